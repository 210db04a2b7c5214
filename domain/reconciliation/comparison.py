"""The whole comparison, and what it needs to know beside the books."""

from collections.abc import Iterator

from domain.differences import Book, DifferenceKind, Finding
from domain.reconciliation.knowledge import Comparison
from domain.reconciliation.orders import compare_executions, compare_orders
from domain.reconciliation.positions import compare_positions

__all__ = ["Comparison", "compare", "is_sure_at_once"]

_SURE_AT_ONCE = frozenset(
    {
        DifferenceKind.FOREIGN_ORDER,
        DifferenceKind.UNTRADED_EXECUTION,
        DifferenceKind.UNLISTED_EXECUTION,
        DifferenceKind.UNLISTED_POSITION,
        DifferenceKind.ORDER_OTHER_THAN_SENT,
        DifferenceKind.DUPLICATE_ORDER,
        DifferenceKind.HELD_BEFORE,
        DifferenceKind.BOOK_UNREADABLE,
    }
)


def compare(known: Comparison) -> list[Finding]:
    """Return all that is otherwise, books that could not be read included."""
    return list(_compared(known))


def is_sure_at_once(kind: DifferenceKind) -> bool:
    """Tell whether a kind of difference needs no second look: nothing on its way could look like it."""
    return kind in _SURE_AT_ONCE


def _compared(known: Comparison) -> Iterator[Finding]:
    for book in sorted(known.unreadable):
        yield Finding(
            kind=DifferenceKind.BOOK_UNREADABLE, subject=book.value, ours="read every 30 s", theirs="no answer"
        )
    if {Book.EXECUTIONS, Book.ORDERS} <= known.read:
        yield from compare_orders(known)
        yield from compare_executions(known)
        if Book.POSITIONS in known.read:
            yield from compare_positions(known)
