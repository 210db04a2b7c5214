from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.errors import FieldInvalid
from api.moments import parse_time_us
from commands.accounts import CommandContext
from domain.account.commands import BeginSubmission, RecordAccepted, RecordFill
from domain.ids import AccountId, CorrelationId, OrderId, VenueFillId, VenueOrderId
from tests.support.api import ApiWorld
from tests.support.past_answers import without_prices

ORDER: dict[str, Any] = {
    "symbol": "RELIANCE",
    "side": "BUY",
    "quantity": 10,
    "stop_loss": "2800",
    "target": "2900.50",
    "protection": "engine",
}
POSITION = "NSE_EQ-2885-INTRADAY"
QUERIES = ("trades", "positions", "risk/portfolio", "trades/{trade_id}")


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    async with made.client:
        yield made


class Trader:
    """Somebody who is logged in, and whatever each step showed at its time."""

    def __init__(self, world: ApiWorld, headers: dict[str, str]) -> None:
        self._world = world
        self._headers = headers
        self._keys = 0
        self.trade_id = ""
        self.shown: list[tuple[int, str, dict[str, Any]]] = []

    async def ask(self, path: str, expected: int = 200, /, **query: Any) -> dict[str, Any]:
        answer = await self._world.client.get(f"/api/{path}", headers=self._headers, params=query)
        assert answer.status_code == expected, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def place(self, **changed: Any) -> dict[str, Any]:
        self._keys += 1
        headers = self._headers | {"Idempotency-Key": str(self._keys)}
        answer = await self._world.client.post("/api/trades", json=ORDER | changed, headers=headers)
        body: dict[str, Any] = answer.json()
        self.trade_id = self.trade_id or body["trade_id"]
        return body

    async def close(self) -> str:
        headers = self._headers | {"Idempotency-Key": "close"}
        answer = await self._world.client.post(f"/api/positions/close/{POSITION}", headers=headers)
        (order_id,) = answer.json()["order_ids"]
        return str(order_id)

    async def fill(self, order_id: str, *, price_e4: int) -> None:
        account_id = AccountId((await self.ask("auth/profile"))["account_id"])
        order, now_ns = OrderId(order_id), self._world.clock.wall_ns()
        for command in (
            BeginSubmission(order_id=order, correlation_id=CorrelationId("c"), sender_epoch=1, market_time_ns=now_ns),
            RecordAccepted(order_id=order, venue_order_id=VenueOrderId("v"), sent_at_ns=now_ns),
            RecordFill(
                order_id=order,
                venue_fill_id=VenueFillId(f"f-{order_id}"),
                quantity=10,
                price_e4=price_e4,
                filled_at_ns=now_ns,
            ),
        ):
            context = CommandContext(actor="executor", source="executor", received_at_ns=now_ns)
            await self._world.services.accounts.carry_out(account_id, command, context)
            await self.look()

    async def look(self) -> None:
        """Keep what every query shows now."""
        for path in QUERIES:
            shown = await self.ask(path.format(trade_id=self.trade_id))
            self.shown.append((shown["sequence"], path, shown))


@pytest.fixture
async def asha(world: ApiWorld) -> Trader:
    """Somebody who bought and sold, and was denied something in between."""
    trader = Trader(world, await world.log_in())
    opened = await trader.place()
    await trader.look()
    await trader.fill(opened["order_id"], price_e4=28_500_000)
    await trader.place(quantity=5_001)
    await trader.look()
    exit_order = await trader.close()
    await trader.look()
    await trader.fill(exit_order, price_e4=28_600_000)
    return trader


async def test_what_was_shown_is_shown_again(asha: Trader) -> None:
    assert len({sequence for sequence, _, _ in asha.shown}) > 6
    for sequence, path, then in asha.shown:
        again = await asha.ask(path.format(trade_id=asha.trade_id), at_sequence=sequence)
        assert again["sequence"] == sequence
        assert without_prices(again) == without_prices(then)
        assert again.keys() == then.keys(), "now and then have one schema"


async def test_a_time_stands_for_the_last_event_before_it(world: ApiWorld, asha: Trader) -> None:
    # As in life, where nobody asks about a time to come.
    world.clock.now_ns = world.store.events[-1].recorded_at_us * 1_000 + 10_000_000_000
    for event in world.store.events[2:]:
        moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=event.recorded_at_us)
        same_time = [e.sequence for e in world.store.events if e.recorded_at_us == event.recorded_at_us]
        shown = await asha.ask("risk/portfolio", as_of=moment.isoformat().replace("+00:00", "Z"))
        assert shown["sequence"] == max(same_time)
        assert datetime.fromisoformat(shown["as_of"]) == moment
    latest = await asha.ask("trades", as_of=(moment + timedelta(seconds=5)).isoformat())
    assert latest["sequence"] == len(world.store.events)


async def test_prices_of_the_past_are_those_that_an_event_recorded_or_missing(world: ApiWorld, asha: Trader) -> None:
    world.market.last_price_e4 = 99_000_000
    held = next(s for s, path, then in asha.shown if path == "positions" and then["positions"])
    (position,) = (await asha.ask("positions", at_sequence=held))["positions"]
    assert (position["mark"], position["mark_source"], position["mark_missing"]) == ("2850.00", "event", False)
    assert position["mark_time"] == "2026-09-21T19:43:20.000000+05:30"
    (flat,) = (await asha.ask("positions", at_sequence=await world.stored()))["positions"]
    assert (flat["mark"], flat["value"], flat["open_result"], flat["mark_source"]) == (None, None, None, None)
    assert flat["mark_missing"] is True
    now = (await asha.ask("positions"))["positions"][0]
    assert (now["mark"], now["mark_source"], now["mark_missing"]) == ("9900.00", "market", False)


async def test_what_needs_a_missing_price_of_the_past_is_null(world: ApiWorld, asha: Trader) -> None:
    # The day after, nothing was recorded yet of what prices there were.
    world.services.history._is_tape = False
    held = next(s for s, path, then in asha.shown if path == "positions" and then["positions"])
    shown = await asha.ask("risk/portfolio", at_sequence=held)
    assert shown["mark_missing"] == ["RELIANCE"]
    names = ("open_result", "day_result", "total_result", "gross_exposure", "net_exposure")
    assert [shown[name] for name in names] == [None] * 5
    assert (shown["trades_today"], shown["trades"], shown["realised"]) == (0, 1, "0.00")


async def test_pages_of_the_past_are_pages_of_then(asha: Trader, world: ApiWorld) -> None:
    sequence = await world.stored()
    for _ in range(3):
        await asha.place()
    first = await asha.ask("trades", at_sequence=sequence, limit=1)
    second = await asha.ask("trades", at_sequence=sequence, limit=1, before=first["next_before"])
    shown = [trade["trade_id"] for page in (first, second) for trade in page["trades"]]
    assert shown == [trade["trade_id"] for trade in (await asha.ask("trades", at_sequence=sequence))["trades"]]
    assert (len(shown), second["next_before"]) == (2, None)
    oldest = await asha.ask("trades", at_sequence=sequence, sort="oldest", limit=1)
    newer = await asha.ask("trades", at_sequence=sequence, sort="oldest", limit=1, after=oldest["next_after"])
    assert [trade["trade_id"] for page in (oldest, newer) for trade in page["trades"]] == shown[::-1]
    assert newer["next_after"] is None
    held = next(s for s, path, then in asha.shown if path == "positions" and then["positions"])
    (opened,) = (await asha.ask("trades", at_sequence=held, status="open"))["trades"]
    assert opened["trade_id"] == asha.trade_id
    assert not (await asha.ask("trades", at_sequence=held, status="closed"))["trades"]
    assert not (await asha.ask("trades", at_sequence=held, symbol="NIFTY"))["trades"]


async def test_what_was_not_there_yet_is_not_shown(world: ApiWorld, asha: Trader) -> None:
    account = next(e.sequence for e in world.store.events if e.name == "account.opened.v1")
    assert (await asha.ask("risk/portfolio", 404, at_sequence=account - 1))["code"] == "ACCOUNT_NOT_OPEN_YET"
    assert (await asha.ask(f"trades/{asha.trade_id}", 404, at_sequence=account))["code"] == "TRADE_NOT_FOUND"
    assert (await asha.ask("trades", at_sequence=account))["trades"] == []
    assert (await asha.ask("positions", at_sequence=account))["positions"] == []


async def test_the_past_of_others_is_not_shown(world: ApiWorld, asha: Trader) -> None:
    ravi = Trader(world, await world.log_in("ravi@example.in"))
    at = await world.stored()
    assert (await ravi.ask(f"trades/{asha.trade_id}", 404, at_sequence=at))["code"] == "TRADE_NOT_FOUND"
    assert (await ravi.ask("trades", at_sequence=at))["trades"] == []
    assert (await ravi.ask("risk/portfolio", at_sequence=at))["trades"] == 0
    # She had traded before he came.
    assert (await ravi.ask("risk/portfolio", 404, at_sequence=5))["code"] == "ACCOUNT_NOT_OPEN_YET"


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({"as_of": "2026-11-20T09:15:00Z", "at_sequence": 3}, "AS_OF_AND_AT_SEQUENCE", "as_of"),
        ({"as_of": "1999-01-01T00:00:00Z"}, "AS_OF_BEFORE_LOG", "as_of"),
        ({"as_of": "9999-12-31T23:59:59Z"}, "AS_OF_IN_FUTURE", "as_of"),
        ({"as_of": "2026-11-20T09:15:00"}, "AS_OF_INVALID", "as_of"),
        ({"as_of": "yesterday"}, "AS_OF_INVALID", "as_of"),
        ({"as_of": ""}, "AS_OF_INVALID", "as_of"),
        ({"at_sequence": 10**6}, "AT_SEQUENCE_BEYOND_LOG", "at_sequence"),
        ({"at_sequence": 0}, "AT_SEQUENCE_INVALID", "at_sequence"),
        ({"at_sequence": 2**70}, "AT_SEQUENCE_INVALID", "at_sequence"),
        ({"at_sequence": "x"}, "AT_SEQUENCE_INVALID", "at_sequence"),
    ],
)
async def test_a_moment_that_is_none_is_refused(world: ApiWorld, query: dict[str, Any], code: str, field: str) -> None:
    somebody = Trader(world, await world.log_in())
    for path in QUERIES:
        problem = await somebody.ask(path.format(trade_id="trd_00000000000000000000000000"), 422, **query)
        assert (problem["code"], problem["field"]) == (code, field)


async def test_the_past_too_needs_a_log_in(world: ApiWorld) -> None:
    answer = await world.client.get("/api/trades", params={"as_of": "yesterday"})
    assert (answer.status_code, answer.json()["code"]) == (401, "TOKEN_MISSING")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T05:30:01+05:30", 1),
        ("1970-01-01T05:30:01 05:30", 1),
        ("1969-12-31T19:00:01-05:00", 1),
        ("1970-01-01t00:00:01z", 1),
        ("1970-01-01 00:00:01.25Z", 1.25),
        ("1970-01-01T00:00:01.2500009Z", 1.25),
        ("1970-01-01T00:00:01.123456789+00:00", 1.123456),
    ],
)
def test_a_time_is_read_with_its_offset(text: str, seconds: float) -> None:
    assert parse_time_us(text) == round(seconds * 1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20",
        "2026-11-20T09:15Z",
        "2026-13-20T09:15:00Z",
        "2026-11-20T09:15:60Z",
        "2026-11-20T09:15:00+25:00",
        "2026-11-20T09:15:00.Z",
        "2026-11-20T09:15:00+0530",
        "2026-11-20T09:15:00 IST",
        "٢٠٢٦-11-20T09:15:00Z",
        "0000-01-01T00:00:00Z",
        "1700000000",
        " 2026-11-20T09:15:00Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FieldInvalid, match="expected a time with its offset") as raised:
        parse_time_us(text)
    assert raised.value.code == "AS_OF_INVALID"
