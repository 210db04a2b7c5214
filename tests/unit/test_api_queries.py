from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from commands.accounts import CommandContext
from domain.account.commands import BeginSubmission, RecordAccepted, RecordFill
from domain.ids import AccountId, CorrelationId, OrderId, VenueFillId, VenueOrderId
from tests.support.api import ApiWorld

ORDER: dict[str, Any] = {
    "symbol": "RELIANCE",
    "side": "BUY",
    "quantity": 10,
    "stop_loss": "2800",
    "target": "2900.50",
    "protection": "engine",
}
POSITION = "NSE_EQ-2885-INTRADAY"


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    async with made.client:
        yield made


class Trader:
    """Somebody who is logged in."""

    def __init__(self, world: ApiWorld, headers: dict[str, str]) -> None:
        self._world = world
        self._headers = headers
        self._keys = 0

    async def ask(self, path: str, expected: int = 200, /, **query: Any) -> dict[str, Any]:
        answer = await self._world.client.get(path, headers=self._headers, params=query)
        assert answer.status_code == expected, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def place(self, **changed: Any) -> dict[str, Any]:
        self._keys += 1
        headers = self._headers | {"Idempotency-Key": str(self._keys)}
        answer = await self._world.client.post("/api/trades", json=ORDER | changed, headers=headers)
        body: dict[str, Any] = answer.json()
        return body

    async def close(self) -> list[str]:
        headers = self._headers | {"Idempotency-Key": "close"}
        answer = await self._world.client.post(f"/api/positions/close/{POSITION}", headers=headers)
        order_ids: list[str] = answer.json()["order_ids"]
        return order_ids

    async def fill(self, order_id: str, *, price_e4: int, quantity: int = 10) -> None:
        """Let the venue take an order and fill it: what the executor records."""
        account_id = AccountId((await self.ask("/api/auth/profile"))["account_id"])
        order, now_ns = OrderId(order_id), self._world.clock.wall_ns()
        for command in (
            BeginSubmission(order_id=order, correlation_id=CorrelationId("c"), sender_epoch=1, market_time_ns=now_ns),
            RecordAccepted(order_id=order, venue_order_id=VenueOrderId("v"), sent_at_ns=now_ns),
            RecordFill(
                order_id=order,
                venue_fill_id=VenueFillId(f"f-{order_id}"),
                quantity=quantity,
                price_e4=price_e4,
                filled_at_ns=now_ns,
            ),
        ):
            context = CommandContext(actor="executor", source="executor", received_at_ns=now_ns)
            await self._world.services.accounts.carry_out(account_id, command, context)


@pytest.fixture
async def asha(world: ApiWorld) -> Trader:
    return Trader(world, await world.log_in())


@pytest.fixture
async def ravi(world: ApiWorld, asha: Trader) -> Trader:  # noqa: ARG001 - registered after her
    return Trader(world, await world.log_in("ravi@example.in"))


async def test_a_profile_shows_what_was_sealed_and_an_erased_one_shows_nothing_of_it(
    world: ApiWorld, asha: Trader
) -> None:
    profile = await asha.ask("/api/auth/profile")
    assert (profile["email"], profile["name"], profile["sequence"]) == ("asha@example.in", "Asha Rao", 2)
    await world.personal_data.destroy_key(profile["user_id"])
    erased = await asha.ask("/api/auth/profile")
    assert (erased["email"], erased["name"]) == (None, None)


async def test_a_trade_is_shown_with_its_orders_from_intent_to_result(asha: Trader) -> None:
    opened = await asha.place()
    await asha.fill(opened["order_id"], price_e4=28_500_500)
    (exit_order,) = await asha.close()
    await asha.fill(exit_order, price_e4=28_600_000)
    shown = await asha.ask(f"/api/trades/{opened['trade_id']}")
    trade, orders = shown["trade"], shown["orders"]
    assert trade["position_id"] == POSITION
    assert (trade["symbol"], trade["side"], trade["quantity"]) == ("RELIANCE", "BUY", 10)
    assert (trade["stop_loss"], trade["target"], trade["limit_price"]) == ("2800.00", "2900.50", None)
    assert (trade["entry_price"], trade["exit_price"], trade["realised"]) == ("2850.05", "2860.00", "99.50")
    assert (trade["net_quantity"], trade["exit_cause"], trade["denial"]) == (0, "manual", None)
    assert [(o["order_id"], o["purpose"], o["side"], o["status"]) for o in orders] == [
        (opened["order_id"], "entry", "BUY", "filled"),
        (exit_order, "exit", "SELL", "filled"),
    ]
    assert trade["first_filled_at"] == "2026-09-21T19:43:20.000000+05:30"


async def test_closing_again_under_its_key_is_answered_alike_when_all_is_long_closed(asha: Trader) -> None:
    opened = await asha.place()
    await asha.fill(opened["order_id"], price_e4=28_500_000)
    first = await asha.close()
    await asha.fill(first[0], price_e4=28_400_000)
    assert await asha.close() == first


async def test_a_denied_intent_is_among_the_trades_with_its_reason(asha: Trader) -> None:
    denied = await asha.place(quantity=5_001)
    (shown,) = (await asha.ask("/api/trades", status="denied"))["trades"]
    assert shown["trade_id"] == denied["trade_id"]
    assert shown["denial"] == {
        "code": "QUANTITY_ABOVE_LIMIT",
        "limit": "5000",
        "value": "5001",
        "passing": "5000 units",
    }
    assert not (await asha.ask("/api/trades", status="open"))["trades"]


async def test_trades_come_newest_first_in_pages(asha: Trader) -> None:
    placed = [(await asha.place(quantity=quantity))["trade_id"] for quantity in (1, 2, 3)]
    first = await asha.ask("/api/trades", limit=2)
    second = await asha.ask("/api/trades", limit=2, before=first["next_before"])
    shown = [trade["trade_id"] for page in (first, second) for trade in page["trades"]]
    assert shown == placed[::-1]
    assert second["next_before"] is None


async def test_trades_come_oldest_first_in_pages_and_between_two_places(asha: Trader) -> None:
    placed = [(await asha.place(quantity=quantity))["trade_id"] for quantity in (1, 2, 3)]
    first = await asha.ask("/api/trades", sort="oldest", limit=2)
    assert (first["next_before"], [trade["trade_id"] for trade in first["trades"]]) == (None, placed[:2])
    second = await asha.ask("/api/trades", sort="oldest", limit=2, after=first["next_after"])
    assert ([trade["trade_id"] for trade in second["trades"]], second["next_after"]) == (placed[2:], None)
    newest = await asha.ask("/api/trades", limit=1)
    between = await asha.ask("/api/trades", sort="oldest", after=1, before=newest["next_before"])
    assert [trade["trade_id"] for trade in between["trades"]] == placed[:2]


async def test_trades_are_found_by_the_day_on_which_they_were_intended(asha: Trader) -> None:
    trade = (await asha.ask(f"/api/trades/{(await asha.place())['trade_id']}"))["trade"]
    assert [each["trade_id"] for each in (await asha.ask("/api/trades", day=trade["day"]))["trades"]] == [
        trade["trade_id"]
    ]
    assert not (await asha.ask("/api/trades", day="2026-01-01"))["trades"]


async def test_a_position_is_shown_at_the_last_price(world: ApiWorld, asha: Trader) -> None:
    opened = await asha.place()
    assert not (await asha.ask("/api/positions"))["positions"]
    await asha.fill(opened["order_id"], price_e4=28_500_000)
    world.market.last_price_e4 = 28_450_000
    (position,) = (await asha.ask("/api/positions"))["positions"]
    assert (position["position_id"], position["net_quantity"]) == (POSITION, 10)
    assert (position["average_price"], position["mark"]) == ("2850.00", "2845.00")
    assert (position["cost"], position["value"], position["open_result"]) == ("28500.00", "28450.00", "-50.00")


async def test_a_closed_position_shows_its_result_unless_only_open_ones_are_asked_for(asha: Trader) -> None:
    opened = await asha.place()
    await asha.fill(opened["order_id"], price_e4=28_500_000)
    (exit_order,) = await asha.close()
    await asha.fill(exit_order, price_e4=28_400_000)
    (position,) = (await asha.ask("/api/positions"))["positions"]
    assert (position["net_quantity"], position["realised"], position["average_price"]) == (0, "-100.00", None)
    assert not (await asha.ask("/api/positions", open_only=True))["positions"]


async def test_a_trade_shows_its_charges_by_line_and_its_result_before_and_after(asha: Trader) -> None:
    opened = await asha.place()
    await asha.fill(opened["order_id"], price_e4=28_500_000)
    (exit_order,) = await asha.close()
    await asha.fill(exit_order, price_e4=28_600_000)
    trade = (await asha.ask(f"/api/trades/{opened['trade_id']}"))["trade"]
    charges = {name: Decimal(amount) for name, amount in trade["charges"].items()}
    total = charges.pop("total")
    assert total == sum(charges.values())
    assert (charges["brokerage"], charges["stt"]) == (Decimal("17.13"), Decimal("7.15"))
    assert trade["realised"] == "100.00"
    assert Decimal(trade["net_realised"]) == 100 - total
    (position,) = (await asha.ask("/api/positions"))["positions"]
    assert (position["position_id"], position["charges"], position["charges_today"]) == (
        POSITION,
        str(total),
        str(total),
    )
    portfolio = await asha.ask("/api/risk/portfolio")
    assert Decimal(portfolio["net_realised"]) == Decimal(position["net_realised"]) == 100 - total
    curve = (await asha.ask("/api/risk/drawdown"))["curve"]
    assert [(point["realised"], point["charges"]) for point in curve] == [("100.00", str(total))]
    assert Decimal(curve[0]["result"]) == 100 - total


async def test_the_portfolio_shows_limits_use_and_results(world: ApiWorld, asha: Trader) -> None:
    opened = await asha.place()
    await asha.place(quantity=5_001)
    await asha.fill(opened["order_id"], price_e4=28_500_000)
    world.market.last_price_e4 = 28_600_000
    shown = await asha.ask("/api/risk/portfolio")
    assert (shown["mode"], shown["currency"], shown["kill_switch"]["engaged"]) == ("paper", "INR", False)
    assert (shown["trades_today"], shown["open_trades"]) == (1, 1)
    assert shown["denials_today"] == {"QUANTITY_ABOVE_LIMIT": 1}
    assert (shown["realised_today"], shown["open_result"], shown["day_result"]) == ("0.00", "100.00", "87.98")
    assert (shown["charges_today"], shown["charges"], shown["net_realised"]) == ("12.02", "12.02", "-12.02")
    assert (shown["gross_exposure"], shown["net_exposure"]) == ("28600.00", "28600.00")
    world.clock.advance_s(86_400)
    tomorrow = await asha.ask("/api/risk/portfolio")
    assert (tomorrow["trades_today"], tomorrow["denials_today"], tomorrow["denials"]) == (
        0,
        {},
        {"QUANTITY_ABOVE_LIMIT": 1},
    )


async def test_the_limits_shown_can_be_put_back_as_they_are(world: ApiWorld, asha: Trader) -> None:
    shown = (await asha.ask("/api/risk/portfolio"))["parameters"]
    answer = await world.client.put("/api/risk/parameters", json=shown, headers=asha._headers)
    assert (answer.status_code, answer.json()["parameters"]) == (200, shown)
    assert await world.stored() == 2  # Nothing changed, so nothing happened.


async def test_another_users_trade_does_not_exist(world: ApiWorld, asha: Trader, ravi: Trader) -> None:
    opened = await asha.place()
    await asha.fill(opened["order_id"], price_e4=28_500_000)
    before = await world.stored()
    problem = await ravi.ask(f"/api/trades/{opened['trade_id']}", 404)
    assert problem["code"] == "TRADE_NOT_FOUND"
    for path in ("trd_00000000000000000000000000", "x", "a%00b", "'%20OR%201=1", opened["trade_id"].lower()):
        assert (await ravi.ask(f"/api/trades/{path}", 404))["code"] == "TRADE_NOT_FOUND"
    assert not (await ravi.ask("/api/trades"))["trades"]
    assert not (await ravi.ask("/api/positions"))["positions"]
    portfolio = await ravi.ask("/api/risk/portfolio")
    assert (portfolio["trades"], portfolio["positions"]) == (0, [])
    assert await world.stored() == before


async def test_a_query_waits_for_what_its_caller_wrote(asha: Trader) -> None:
    opened = await asha.place()
    shown = await asha.ask("/api/trades", min_sequence=opened["sequence"])
    assert shown["sequence"] >= opened["sequence"]
    assert shown["trades"][0]["trade_id"] == opened["trade_id"]


WAITING = ["auth/profile", "trades", "positions", "risk/portfolio", "trades/trd_x"]


@pytest.mark.parametrize("path", WAITING)
async def test_a_query_that_would_show_too_little_says_so(world: ApiWorld, asha: Trader, path: str) -> None:
    sequence = await world.stored()
    world.queries.stopped_at = sequence - 1
    problem = await asha.ask(f"/api/{path}", 503, min_sequence=sequence)
    assert problem["code"] == "READ_MODEL_BEHIND"


@pytest.mark.parametrize("path", WAITING)
async def test_nobody_waits_for_what_the_log_does_not_have(world: ApiWorld, asha: Trader, path: str) -> None:
    problem = await asha.ask(f"/api/{path}", 422, min_sequence=await world.stored() + 1)
    assert (problem["code"], problem["field"]) == ("MIN_SEQUENCE_BEYOND_LOG", "min_sequence")


async def test_a_view_that_has_not_seen_its_user_is_behind_and_not_empty(world: ApiWorld, asha: Trader) -> None:
    world.queries.stopped_at = 0
    for path in ("auth/profile", "risk/portfolio"):
        assert (await asha.ask(f"/api/{path}", 503))["code"] == "READ_MODEL_BEHIND"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"min_sequence": "soon"}, "MIN_SEQUENCE_INVALID"),
        ({"min_sequence": -1}, "MIN_SEQUENCE_INVALID"),
        ({"min_sequence": 2**63}, "MIN_SEQUENCE_INVALID"),
        ({"limit": 0}, "LIMIT_INVALID"),
        ({"limit": 201}, "LIMIT_INVALID"),
        ({"before": "x"}, "BEFORE_INVALID"),
        ({"status": "gone"}, "STATUS_INVALID"),
        ({"symbol": ""}, "SYMBOL_INVALID"),
        ({"symbol": "REL\0"}, "SYMBOL_INVALID"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(asha: Trader, query: dict[str, Any], code: str) -> None:
    assert (await asha.ask("/api/trades", 422, **query))["code"] == code
