"""Differences from the broker's books over HTTP: what is shown, how one is resolved, and what is refused."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from commands.accounts import CommandContext
from commands.looks import LookReport
from domain.account.commands import RecordDifferences
from domain.account.events import DifferenceClosed, ForeignFillAllocated, TradeAdopted
from domain.differences import Book, DifferenceEnd, DifferenceKind, Finding
from domain.events import decode
from domain.ids import AccountId
from domain.instrument import InstrumentKey
from domain.order import Product
from tests.support.api import RELIANCE, ApiWorld
from tests.support.people import Person, registered

Kind = TypeVar("Kind")
LARGER = Finding(
    kind=DifferenceKind.POSITION_LARGER,
    instrument=RELIANCE.key,
    product=Product.INTRADAY,
    symbol="RELIANCE",
    ours="0",
    theirs="10",
    quantity=10,
)
MISSING = Finding(kind=DifferenceKind.ORDER_MISSING, subject="trd_1.1", ours="acknowledged", theirs="not there")
PLAIN: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
GIFT = {"reason": "a gift of ten shares"}


class Looks:
    """What the executor saw last, as a test sets it."""

    def __init__(self) -> None:
        self.report: LookReport | None = None

    async def last(self, _: AccountId) -> LookReport | None:
        return self.report


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
async def asha(looks: Looks) -> AsyncIterator[Person]:
    person = await registered(ApiWorld(last_look=looks.last))
    yield person
    await person.world.client.aclose()


async def find(person: Person, *found: Finding) -> None:
    """Let the executor record what it saw."""
    context = CommandContext(actor="executor", source="executor", received_at_ns=person.world.clock.wall_ns())
    command = RecordDifferences(found=found, read=frozenset(Book))
    await person.world.services.accounts.carry_out(AccountId(person.account_id), command, context)


def events_of(person: Person, kind: type[Kind]) -> list[Kind]:
    events = [decode(event.name, event.payload) for event in person.world.store.events]
    return [event for event in events if isinstance(event, kind)]


def path_of(person: Person, number: int = 1) -> str:
    return f"/api/reconciliation/{person.account_id}.d{number}/resolve"


async def test_where_nothing_is_otherwise_nothing_is_shown(asha: Person) -> None:
    shown = await asha.get("/api/reconciliation")
    assert (shown["differences"], shown["gated"], shown["last_look"]) == ([], False, None)
    assert shown["account_id"] == asha.account_id


async def test_an_open_difference_is_shown_whole_and_the_last_look_with_it(asha: Person, looks: Looks) -> None:
    await find(asha, LARGER, MISSING)
    looks.report = LookReport(
        account_id=AccountId(asha.account_id),
        looked_at_ns=1_795_149_000_000_000_000,
        read=(Book.EXECUTIONS, Book.ORDERS),
        is_whole=False,
        agrees=False,
        differences=(),
        repaired=(),
        suspected=(MISSING,),
    )
    shown = await asha.get("/api/reconciliation")
    assert shown["gated"]
    position, order = shown["differences"]
    assert position == {
        "difference_id": f"{asha.account_id}.d1",
        "kind": "position_larger",
        "subject": None,
        "symbol": "RELIANCE",
        "product": "INTRADAY",
        "ours": "0",
        "theirs": "10",
        "difference": 10,
        "cause": "unexplained",
        "repair": position["repair"],
        "gates": True,
    }
    assert (order["subject"], order["symbol"], order["product"], order["difference"]) == ("trd_1.1", None, None, None)
    assert shown["last_look"] == {
        "looked_at": "2026-11-20T10:00:00.000000+05:30",
        "read": ["executions", "orders"],
        "agrees": False,
        "suspected": 1,
    }


async def test_entries_are_denied_while_it_gates_and_pass_once_it_is_resolved(asha: Person) -> None:
    await find(asha, LARGER)
    assert await asha.refused("POST", "/api/trades", PLAIN) == (403, "BOOKS_DISAGREE")
    answer = await asha.done("POST", path_of(asha), GIFT)
    (adopted,) = events_of(asha, TradeAdopted)
    assert answer == {
        "difference_id": f"{asha.account_id}.d1",
        "trade_ids": [adopted.trade_id],
        "closing": [],
        "canceling": [],
        "sequence": answer["sequence"],
    }
    (closed,) = events_of(asha, DifferenceClosed)
    assert (closed.how, closed.reason, closed.user_id) == (DifferenceEnd.RESOLVED, GIFT["reason"], asha.user_id)
    await asha.done("POST", "/api/trades", PLAIN)
    assert (await asha.get("/api/reconciliation"))["differences"] == []


async def test_a_position_is_taken_at_the_price_that_is_named_or_at_the_last(asha: Person) -> None:
    await find(asha, LARGER)
    await asha.done("POST", path_of(asha), {**GIFT, "price": "2800.05"})
    await find(asha, replace(LARGER, theirs="20"))
    await asha.done("POST", path_of(asha, 2), GIFT)
    prices = [fill.last_price_e4 for fill in events_of(asha, ForeignFillAllocated)]
    assert prices == [2_800_0500, 2_850_0000]


async def test_what_cannot_be_resolved_is_refused(asha: Person) -> None:
    assert await asha.refused("POST", path_of(asha), GIFT) == (404, "DIFFERENCE_NOT_FOUND")
    assert await asha.refused("POST", "/api/reconciliation/d1/resolve", GIFT) == (404, "DIFFERENCE_NOT_FOUND")
    await find(asha, LARGER)
    assert await asha.refused("POST", path_of(asha), {}) == (422, "FIELD_MISSING")
    assert await asha.refused("POST", path_of(asha), {**GIFT, "price": "-1"}) == (422, "PRICE_INVALID")


async def test_a_position_that_nobody_can_price_needs_a_price(looks: Looks) -> None:
    class NoMarks:
        def market_time_ns(self) -> int:
            return 1_795_149_000_000_000_000

        def mark_of(self, _: InstrumentKey) -> None:
            return None

    person = await registered(ApiWorld(market=NoMarks(), last_look=looks.last))
    await find(person, LARGER)
    assert await person.refused("POST", path_of(person), GIFT) == (409, "ADOPTION_NEEDS_PRICE")
    await person.done("POST", path_of(person), {**GIFT, "price": "2800.00"})
    await person.world.client.aclose()
