"""The whole way of an order, over HTTP, in lock-step: from the intent to the exit, the position and the result."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from domain.account.events import OrderDenied
from domain.events import decode
from domain.ids import AccountId
from domain.preopen import PointStanding, PreopenPoint
from infra.broker_state import look_before_opening
from infra.demo.lock_step import LockStep
from infra.demo.traders import Trader
from infra.settings import load, override
from tests.support.eventually import eventually
from tests.support.onlooker import Onlooker, client_of, executions_of, fills_of, held_by, looking_at
from tests.support.past_answers import without_prices
from tests.support.running import RunningEngine, throwaway_home

SECONDS = 3_600
PATIENCE_STEPS = 600
TICK = Decimal("0.10")
RELIANCE = "NSE_EQ-2885-INTRADAY"
RELIANCE_ID = "2885"


@pytest.fixture(scope="module")
def stepped() -> Iterator[RunningEngine]:
    with throwaway_home() as home:
        running = RunningEngine(home, lock_step="true", market_clock="tape", tape_seconds=str(SECONDS))
        try:
            asyncio.run(running.start())
            yield running
        finally:
            asyncio.run(running.abandon())


@pytest.fixture
async def onlooker(stepped: RunningEngine) -> AsyncIterator[Onlooker]:
    async with looking_at(stepped) as connected:
        yield connected
        assert await connected.views_not_as_the_log() == []
        assert fills_of(await connected.events()) == executions_of(await connected.exchange.books())
    assert stepped.complaints() == []


@pytest.fixture
async def tape(onlooker: Onlooker) -> LockStep:
    tape = onlooker.lock_step()
    await tape.advance()
    return tape


async def trade_of(trader: Trader, trade_id: str) -> dict[str, Any]:
    """Return the trade as the API shows it to who asks for what they wrote."""
    return next(trade for trade in await trader.trades() if trade["trade_id"] == trade_id)


async def play_until(tape: LockStep, check: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(PATIENCE_STEPS):
        if await check():
            return
        await tape.advance()
    pytest.fail(f"not within {PATIENCE_STEPS} seconds of the tape")


async def last_price(onlooker: Onlooker, tape: LockStep) -> Decimal:
    low, _ = await onlooker.exchange.range_of(RELIANCE_ID, from_step=tape.now.step, to_step=tape.now.step)
    return Decimal(low) / 10_000


@pytest.mark.parametrize(
    ("side", "cause", "protection"),
    [("BUY", "stop_loss", "resting"), ("SELL", "target", "resting"), ("BUY", "stop_loss", "engine")],
)
async def test_an_order_fills_and_its_exit_follows_when_the_level_is_reached(
    onlooker: Onlooker, tape: LockStep, side: str, cause: str, protection: str
) -> None:
    trader = await onlooker.newcomer(f"whole-{side}-{protection}")
    price = await last_price(onlooker, tape)
    # The level below is near, the one above is far: a stop for who bought, a target for who sold.
    near, far = price - 3 * TICK, price + 1_000 * TICK
    stop, target = (near, far) if side == "BUY" else (far, near)
    terms = {"stop_loss": str(stop), "target": str(target), "protection": protection}
    placed = await trader.intend("RELIANCE", side, 10, **terms)
    trade_id = placed.trade_id
    assert trade_id is not None
    assert placed.denial_code is None
    assert (await trade_of(trader, trade_id))["symbol"] == "RELIANCE"

    async def has_ended() -> bool:
        return bool((await trade_of(trader, trade_id))["status"] == "closed")

    await tape.settle()
    await tape.advance()
    bought = await trade_of(trader, trade_id)
    sign = 1 if side == "BUY" else -1
    assert (bought["status"], bought["entry_quantity"], bought["net_quantity"]) == ("open", 10, 10 * sign)

    await play_until(tape, has_ended)
    trade = await trade_of(trader, trade_id)
    assert (trade["exit_cause"], trade["exit_quantity"], trade["net_quantity"]) == (cause, 10, 0)
    # Where a stop rests, the venue executes it: no tick of ours does.
    is_the_venues = protection == "resting" and cause == "stop_loss"
    assert (trade["exit_mark"] is None) is is_the_venues
    assert is_the_venues or Decimal(trade["exit_mark"]) <= near
    earned = (Decimal(trade["exit_price"]) - Decimal(trade["entry_price"])) * 10 * sign
    assert Decimal(trade["realised"]) == earned
    assert Decimal((await trader.portfolio())["realised_today"]) == earned

    entry, exit_order = (await onlooker.api.get(f"/api/trades/{trade_id}", headers=trader.headers)).json()["orders"]
    booked = (await onlooker.exchange.books())[client_of(trader)]["orders"]
    assert [(order["purpose"], order["status"]) for order in (entry, exit_order)] == [
        ("entry", "filled"),
        ("stop" if protection == "resting" else "exit", "filled"),
    ]
    assert [order["correlation_id"] for order in booked] == [entry["correlation_id"], exit_order["correlation_id"]]


async def test_positions_are_those_in_the_exchanges_books(onlooker: Onlooker, tape: LockStep) -> None:
    traders = [await onlooker.newcomer(f"holder-{number}") for number in range(3)]
    for trader in traders:
        for symbol, side, quantity in (("INFY", "BUY", 7), ("INFY", "BUY", 5), ("TCS", "SELL", 3), ("SBIN", "BUY", 2)):
            assert (await trader.intend(symbol, side, quantity)).denial_code is None
    await tape.settle()
    await tape.advance(3)
    for trader in traders:
        held = {place: quantity for place, quantity in held_by(await trader.positions()).items() if quantity}
        assert sorted(held.values()) == [-3, 2, 12]
        assert held == held_by((await onlooker.exchange.books())[client_of(trader)]["positions"])


async def test_a_denial_is_told_and_durable_and_nothing_is_sent(onlooker: Onlooker, tape: LockStep) -> None:
    trader = await onlooker.newcomer("denied")
    orders_before = sum(len(book["orders"]) for book in (await onlooker.exchange.books()).values())
    headers = trader.headers | {"Idempotency-Key": "too-many"}
    body = {"symbol": "RELIANCE", "side": "BUY", "quantity": 900_000}
    answer = await onlooker.api.post("/api/trades", json=body, headers=headers)
    await tape.settle()

    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["code"], problem["limit"], problem["value"]) == ("QUANTITY_ABOVE_LIMIT", "5000", "900000")
    (recorded,) = await onlooker.store.read_all(after_sequence=problem["sequence"] - 1, limit=1)
    event = decode(recorded.name, recorded.payload)
    assert isinstance(event, OrderDenied)
    assert (event.trade_id, event.code.value) == (problem["trade_id"], problem["code"])
    trader.sequence = problem["sequence"]
    (trade,) = await trader.trades()
    assert (trade["status"], trade["denial"]["code"]) == ("denied", problem["code"])
    assert sum(len(book["orders"]) for book in (await onlooker.exchange.books()).values()) == orders_before


async def test_an_order_whose_answer_is_lost_is_shown_and_ends_by_an_operators_word(
    onlooker: Onlooker, tape: LockStep
) -> None:
    trader = await onlooker.newcomer("doubter")
    await onlooker.order_fault(kind="lose_answer_before_acceptance", target="place", client_id=client_of(trader))
    placed = await trader.intend("INFY", "BUY", 5)

    async def ask(path: str, **query: Any) -> dict[str, Any]:
        answer = await onlooker.api.get(f"/api/{path}", headers=trader.headers, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def what_was_asked() -> dict[str, Any] | None:
        """Return the order once something was asked about it; on a slow machine it is presumed absent by then."""
        for order in (await ask("orders/in-doubt"))["orders"]:
            if order["lookups"] or (order["search"] and order["search"]["asked_at"]):
                return dict(order)
        return None

    order = await eventually(what_was_asked)
    assert (order["trade_id"], order["status"] in {"unknown", "presumed_absent"}) == (placed.trade_id, True)
    assert (order["successor"], bool(order["cause"]), bool(order["next_step_detail"])) == ("never", True, True)
    [alert] = (await ask("alerts", state="open"))["alerts"]
    assert (alert["order_id"], alert["code"].startswith("ORDER_")) == (order["order_id"], True)

    word = {"resolution": "absent", "reason": "the exchange's own books do not have it"}
    headers = trader.headers | {"Idempotency-Key": "looked-myself"}
    path = f"/api/orders/{order['order_id']}/resolve"
    answers = [await onlooker.api.post(path, json=word, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].json() == answers[1].json()
    sequence = answers[0].json()["sequence"]
    assert (await ask("orders/in-doubt", min_sequence=sequence))["orders"] == []
    assert (await ask("alerts", state="open"))["alerts"] == []
    [ended] = (await ask("alerts", state="ended"))["alerts"]
    assert ended["until"] is not None
    trade = (await ask(f"trades/{placed.trade_id}"))["trade"]
    assert (trade["status"], trade["entry_status"], trade["remark"]) == ("closed", "absent", word["reason"])
    await tape.settle()
    assert (await onlooker.exchange.books())[client_of(trader)]["orders"] == []


async def test_who_asks_for_what_they_wrote_reads_it(onlooker: Onlooker, tape: LockStep) -> None:
    trader = await onlooker.newcomer("reader")
    for number in range(1, 31):
        placed = await trader.intend("RELIANCE", "BUY", 1_000_000 + number)
        answer = await onlooker.api.get(
            "/api/trades", headers=trader.headers, params={"min_sequence": placed.sequence, "limit": 1}
        )
        assert answer.status_code == 200
        assert answer.json()["sequence"] >= placed.sequence
        assert [trade["trade_id"] for trade in answer.json()["trades"]] == [placed.trade_id]
    assert tape.now.step > 0


async def test_what_was_shown_is_shown_again_to_who_asks_for_its_sequence(onlooker: Onlooker, tape: LockStep) -> None:
    trader = await onlooker.newcomer("traveller")
    shown: list[tuple[str, dict[str, Any]]] = []

    async def ask(path: str, **query: Any) -> dict[str, Any]:
        answer = await onlooker.api.get(f"/api/{path}", headers=trader.headers, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    trade_ids = []
    for symbol, side, quantity in (("INFY", "BUY", 7), ("TCS", "SELL", 3), ("INFY", "SELL", 9)):
        placed = await trader.intend(symbol, side, quantity)
        trade_ids.append(placed.trade_id)
        for _ in range(2):
            await tape.settle()
            paths = ("trades", "positions", "risk/portfolio", *(f"trades/{name}" for name in trade_ids))
            shown += [(path, await ask(path, min_sequence=placed.sequence)) for path in paths]
            await tape.advance()
    for path, then in shown:
        again = await ask(path, at_sequence=then["sequence"])
        assert without_prices(again) == without_prices(then)
        assert (await ask(path, as_of=again["as_of"]))["sequence"] >= then["sequence"]
    assert len({then["sequence"] for _, then in shown}) >= 3


async def test_whoever_asks_has_it_looked_at_what_could_keep_an_account_from_trading(
    stepped: RunningEngine, onlooker: Onlooker
) -> None:
    trader = await onlooker.newcomer("whole-preopen")
    settings = override(load({}), home=stepped.home.path)
    checked = await look_before_opening(settings, trader.account_id)
    points = {point.point: point.standing for point in checked[AccountId(trader.account_id)]}
    assert PointStanding.FAILING not in points.values()
    assert points[PreopenPoint.FUNDS] is points[PreopenPoint.TOKEN] is PointStanding.OK

    async def is_shown() -> bool:
        shown = (await trader.portfolio())["preopen"]
        return shown is not None and {each["point"] for each in shown["points"]} == {point.value for point in points}

    await eventually(is_shown)
