"""The audit book: what is told is written down, a flood is counted, and a database that is away loses nothing."""

import asyncio

import pytest

from commands.audit import AuditBook
from domain.audit import AuditEntry, AuditKind
from tests.support.eventually import eventually
from tests.support.security import ManualClock, MemoryAudit

refused = AuditEntry(kind=AuditKind.REFUSED, code="TRADE_NOT_FOUND", actor="usr_asha")


def book_of(store: MemoryAudit, clock: ManualClock, **options: float) -> AuditBook:
    return AuditBook(store, clock, pseudonym=lambda address: address[::-1], **options)  # type: ignore[arg-type]


async def test_an_entry_is_written_with_a_pseudonym_for_the_address() -> None:
    store = MemoryAudit()
    book = book_of(store, ManualClock())
    book.note(refused, client="10.0.0.7")
    book.note(refused)
    await book.flush()
    assert [entry.client for entry in store.entries] == ["7.0.0.01", ""]
    assert {entry.code for entry in store.entries} == {"TRADE_NOT_FOUND"}


async def test_a_flood_is_counted_in_one_entry() -> None:
    store, clock = MemoryAudit(), ManualClock()
    book = book_of(store, clock, rate_per_s=1, burst=3)
    for _ in range(10):
        book.note(refused)
    await book.flush()
    assert [entry.kind for entry in store.entries] == [AuditKind.REFUSED] * 3 + [AuditKind.SUPPRESSED]
    assert store.entries[-1].count == 7
    clock.advance_s(2)
    for _ in range(3):
        book.note(refused)
    await book.flush()
    assert [(entry.kind, entry.count) for entry in store.entries[4:]] == [
        (AuditKind.REFUSED, 1),
        (AuditKind.REFUSED, 1),
        (AuditKind.SUPPRESSED, 1),
    ]


async def test_what_the_database_does_not_take_waits() -> None:
    store = MemoryAudit()
    book = book_of(store, ManualClock(), rate_per_s=1, burst=2)
    store.is_away = True
    for _ in range(5):
        book.note(refused)
    await book.flush()
    assert store.entries == []
    store.is_away = False
    await book.flush()
    await book.flush()
    assert [(entry.kind, entry.count) for entry in store.entries] == [
        (AuditKind.REFUSED, 1),
        (AuditKind.REFUSED, 1),
        (AuditKind.SUPPRESSED, 3),
    ]


async def test_the_book_is_flushed_by_itself_and_once_more_at_the_end() -> None:
    store = MemoryAudit()
    book = book_of(store, ManualClock(), flush_s=0.001)
    running = asyncio.create_task(book.run())
    book.note(refused)
    await eventually(lambda: store.entries)
    slow = book_of(store, ManualClock(), flush_s=3600)
    ending = asyncio.create_task(slow.run())
    await asyncio.sleep(0)
    slow.note(refused)
    for task in (running, ending):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(store.entries) == 2
