"""How orders in doubt are shown to people, and how they learn what to do about one."""

import sys
from typing import TYPE_CHECKING

from infra.cli.asking import print_blocks, second_of

if TYPE_CHECKING:
    from api.doubts import DoubtsAnswer, DoubtView

_S_PER_MINUTE, _S_PER_HOUR = 60, 3_600


def print_doubts(shown: "DoubtsAnswer") -> None:
    """Print orders in doubt, each with its age, what was asked and answered, and what comes next."""
    blocks = [
        (_headline(each), (("cause", each.cause), ("asked", _asked(each)), ("next", each.next_step_detail)))
        for each in shown.orders
    ]
    print_blocks(blocks, nothing="No order is in doubt.", next_before=shown.next_before)
    if shown.orders:
        read_at = "nobody tells when" if shown.books_read_at is None else f"at {second_of(shown.books_read_at)}"
        sys.stdout.write(f"The broker's books were read last: {read_at}.\n")
        sys.stdout.write(
            "You looked at the broker yourself? `khata resolve ORDER_ID --absent --reason WHY`,"
            " or --at-broker ID where it has the order.\n"
        )


def age_text(age_s: int) -> str:
    """Return an age in the largest unit that fits."""
    if age_s < _S_PER_MINUTE:
        return f"{age_s} s"
    if age_s < _S_PER_HOUR:
        return f"{age_s // _S_PER_MINUTE} min"
    return f"{age_s // _S_PER_HOUR} h {age_s % _S_PER_HOUR // _S_PER_MINUTE} min"


def _headline(doubt: "DoubtView") -> str:
    what = f"{doubt.purpose} {doubt.side} {doubt.cumulative_quantity}/{doubt.quantity} {doubt.symbol or ''}"
    return f"{doubt.order_id}  {what}  {doubt.status.replace('_', ' ')} for {age_text(doubt.age_s)}"


def _asked(doubt: "DoubtView") -> str:
    """Return what was asked and answered so far, in a few words."""
    if doubt.lookups is not None:
        return f"{doubt.lookups} answers without it, then given up at {second_of(doubt.presumed_absent_at)}"
    search = doubt.search
    if search is None:
        return doubt.search_missing or ""
    last = "" if search.last_answer is None else f"; last: {search.last_answer.value.replace('_', ' ')}"
    asked = "" if search.asked_at is None else f" at {second_of(search.asked_at)}"
    return f"{search.by_correlation} look-ups and {search.by_order_book} order books without it{last}{asked}"
