"""The engine goes on where it was, after a stop and after a power cut, and a stop leaves nobody behind."""

import psutil
import pytest

from domain.account.events import OrderFilled, OrderSubmitting
from infra.demo.traders import Reply, Trader
from infra.embedded.process import processes_in
from tests.support.eventually import eventually
from tests.support.onlooker import Onlooker, client_of, executions_of, fills_of, held_by, looking_at
from tests.support.running import RunningEngine, throwaway_home

PATIENCE_S = 30.0
MISSED = ('"kind": "missed_fill"',)
"""What is said of orders that filled while nobody was there."""
RELIANCE = "NSE_EQ-2885-INTRADAY"
RESTING = {"order_type": "LIMIT", "limit_price": "1290.00"}
"""Below the market, and inside the collar around it."""


async def is_filled(onlooker: Onlooker, placed: Reply) -> bool:
    return any(
        isinstance(event, OrderFilled) and event.trade_id == placed.trade_id and event.leaves_quantity == 0
        for event in await onlooker.events()
    )


async def bought(onlooker: Onlooker, trader: Trader, symbol: str, quantity: int) -> Reply:
    """Buy at the market and wait for the fill."""
    placed = await trader.intend(symbol, "BUY", quantity)
    assert placed.denial_code is None
    await eventually(lambda: is_filled(onlooker, placed), within_s=PATIENCE_S)
    return placed


async def is_at_the_exchange(onlooker: Onlooker, trader: Trader) -> bool:
    orders = (await onlooker.exchange.books())[client_of(trader)]["orders"]
    return any(order["status"] == "PENDING" for order in orders)


async def entry_status(trader: Trader, placed: Reply) -> str:
    (trade,) = [trade for trade in await trader.trades() if trade["trade_id"] == placed.trade_id]
    return str(trade["entry_status"])


async def agrees_with_itself(onlooker: Onlooker, trader: Trader) -> bool:
    """Tell whether read models, log and the exchange's books hold the same, which takes a moment after a start."""
    head = await onlooker.head()
    await eventually(lambda: onlooker.views_reached(head), within_s=PATIENCE_S)
    books = await onlooker.exchange.books()
    ours = {place: quantity for place, quantity in held_by(await trader.positions()).items() if quantity}
    theirs = held_by(books[client_of(trader)]["positions"])
    return (
        await onlooker.views_not_as_the_log() == []
        and fills_of(await onlooker.events()) == executions_of(books)
        and ours == {place: quantity for place, quantity in theirs.items() if quantity}
    )


def servers_of(engine: RunningEngine) -> list[psutil.Process]:
    return [
        *processes_in((engine.home.postgres / "data").resolve(), named="postgres"),
        *processes_in(engine.home.nats.resolve(), named="nats-server"),
    ]


async def test_a_stop_in_the_middle_of_a_start_is_no_less_of_a_stop() -> None:
    with throwaway_home() as home:
        engine = RunningEngine(home)
        try:
            await engine.start(until='"event": "process_ready"')
            family = engine.tree()
        finally:
            code = await engine.stop()
        assert code == 0
        assert [process for process in family if process.is_running()] == []
        assert servers_of(engine) == []
        assert not [line for line in engine.said() if '"exit_code": -9' in line], "a process had to be killed"


@pytest.mark.timeout(150)
async def test_the_engine_goes_on_where_it_was_after_a_stop_and_after_a_power_cut(engine: RunningEngine) -> None:
    async with looking_at(engine) as onlooker:
        asha = await onlooker.newcomer("Asha")
        await bought(onlooker, asha, "RELIANCE", 10)
        resting = await asha.intend("RELIANCE", "BUY", 5, **RESTING)
        await eventually(lambda: is_at_the_exchange(onlooker, asha), within_s=PATIENCE_S)
        last_stopped = await onlooker.head()
    family = engine.tree()

    assert await engine.stop() == 0
    assert [process for process in family if process.is_running()] == []
    assert servers_of(engine) == []
    assert not engine.home.runtime_file.exists()
    assert engine.complaints() == []

    await engine.start()
    async with looking_at(engine) as onlooker:
        asha.speak_through(onlooker.api)
        profile = (await onlooker.api.get("/api/auth/profile", headers=asha.headers)).json()
        assert (profile["name"], profile["email"]) == ("Asha", "asha@demo.invalid")
        assert await onlooker.head() >= last_stopped
        assert await entry_status(asha, resting) == "acknowledged"
        await eventually(lambda: agrees_with_itself(onlooker, asha), within_s=PATIENCE_S)
        await bought(onlooker, asha, "RELIANCE", 10)
        await asha.close(RELIANCE)
        # Nobody waits for what becomes of these.
        hasty = [await asha.intend("INFY", "BUY", 1 + number) for number in range(5)]
        last_cut = await onlooker.head()
        await engine.kill_everything()

    await engine.start()
    async with looking_at(engine) as onlooker:
        asha.speak_through(onlooker.api)
        assert await onlooker.head() >= last_cut
        await eventually(lambda: agrees_with_itself(onlooker, asha), within_s=PATIENCE_S)
        await bought(onlooker, asha, "TCS", 3)
        await eventually(lambda: agrees_with_itself(onlooker, asha), within_s=PATIENCE_S)
        assert {placed.trade_id for placed in hasty} <= {trade["trade_id"] for trade in await asha.trades()}
        assert await entry_status(asha, resting) == "canceled"
        sent = [order["correlation_id"] for order in (await onlooker.exchange.books())[client_of(asha)]["orders"]]
        known = {event.correlation_id for event in await onlooker.events() if isinstance(event, OrderSubmitting)}
        assert len(set(sent)) == len(sent)
        assert set(sent) <= known
    assert engine.complaints(expected=MISSED) == []
