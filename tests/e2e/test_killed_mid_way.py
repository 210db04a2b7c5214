"""Processes are killed and the transport is wiped while orders flow: nothing is lost, and nothing is sent twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.nats.stream import stream_name
from domain.account.events import (
    OrderFilled,
    OrderIntended,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderSubmitting,
    TradeOpened,
)
from domain.events import Event
from infra.demo.traders import Reply, Trader
from tests.support.eventually import eventually
from tests.support.onlooker import Onlooker, client_of, executions_of, fills_of, held_by, looking_at
from tests.support.running import RunningEngine, throwaway_home

WAVES = 4
INTENTS_EACH = 5
NAMES = ("Asha", "Bala", "Chitra", "Dev")
SYMBOLS = ("RELIANCE", "INFY", "TCS", "SBIN", "ITC")
OF_THE_KILLED = ('"exit_code": -9', "connection to client lost", ': budget"')
"""What the supervisor and the database say of the killed, and the executor of the many orders in doubt afterwards:
it looks for them at the pace that the broker allows."""
LATE_MS = 4_000
"""Within the time that the engine waits for an answer, so that it still waits."""
MARK_AGE_MS = 60_000
PATIENCE_S = 40.0
"""Longer than the sender's lease, which a killed executor cannot give back."""


@pytest.fixture
async def engine() -> AsyncIterator[RunningEngine]:
    """An engine at real speed whose intents outlive the outage of the executor."""
    with throwaway_home() as home:
        running = RunningEngine(home, entry_not_after_ms="60000", order_lookup_window_ms="500")
        try:
            await running.start()
            yield running
        finally:
            await running.abandon()


async def wave(traders: list[Trader]) -> list[Reply]:
    """Have every trader hand in some intents, all at once."""
    return await asyncio.gather(
        *(
            trader.intend(SYMBOLS[number], "BUY" if number % 2 else "SELL", 5 + number)
            for trader in traders
            for number in range(INTENTS_EACH)
        )
    )


async def killed(engine: RunningEngine, process: str) -> None:
    """Kill a process and return once another one stands in for it."""
    before = engine.kill(process)
    await eventually(lambda: engine.runtime.processes[process] != before, within_s=PATIENCE_S)


async def close_everything(trader: Trader) -> None:
    for position in await trader.positions():
        await trader.close(position["position_id"])


def order_ids(events: list[Event], *kinds: type[Any]) -> set[str]:
    return {event.order_id for event in events if isinstance(event, kinds)}


def filled(events: list[Event]) -> set[str]:
    """Return the orders of which nothing is left to fill."""
    return {event.order_id for event in events if isinstance(event, OrderFilled) and event.leaves_quantity == 0}


async def nothing_is_open(onlooker: Onlooker) -> bool:
    """Tell whether every order is filled, or presumed to have died with its sender before it was sent; and shown so."""
    events, head = await onlooker.events(), await onlooker.head()
    is_open = order_ids(events, OrderIntended) - filled(events) - order_ids(events, OrderPresumedAbsent)
    return not is_open and await onlooker.views_reached(head)


@pytest.mark.timeout(120)
async def test_killing_and_wiping_while_orders_flow_loses_nothing_and_sends_nothing_twice(
    engine: RunningEngine,
) -> None:
    async with looking_at(engine) as onlooker:
        late, *traders = everybody = [await onlooker.newcomer(name) for name in NAMES]

        # How old prices become while the market role is away, and how close waves come, is the machine's matter.
        for trader in everybody:
            await trader.set_limits(mark_age_ms_max=MARK_AGE_MS, orders_per_second_max=1_000)

        # The exchange has an order, and its answer is still under way when its sender dies.
        await onlooker.order_fault(kind="delay", delay_ms=LATE_MS, client_id=client_of(late))
        replies = [await late.intend("RELIANCE", "BUY", 1)]
        await eventually(onlooker.has_met_its_faults, within_s=PATIENCE_S)
        _, more = await asyncio.gather(killed(engine, "executor-market"), wave(traders))
        replies += more

        _, more = await asyncio.gather(killed(engine, "relay-projector"), wave(traders))
        replies += more
        reached = await onlooker.head()
        await eventually(lambda: onlooker.views_reached(reached), within_s=PATIENCE_S)

        epoch = (await onlooker.store.head()).epoch
        _, more = await asyncio.gather(onlooker.nats.jetstream().delete_stream(stream_name(epoch)), wave(traders))
        replies += more

        _, more = await asyncio.gather(killed(engine, "relay-projector"), wave(traders))
        replies += more

        await eventually(lambda: nothing_is_open(onlooker), within_s=PATIENCE_S)
        await asyncio.gather(*(close_everything(trader) for trader in everybody))
        await eventually(lambda: nothing_is_open(onlooker), within_s=PATIENCE_S)

        events, books = await onlooker.events(), await onlooker.exchange.books()
        assert await onlooker.views_not_as_the_log() == []

        # What was answered is in the log, and all of it was carried out.
        assert {reply.denial_code for reply in replies} == {None}
        opened = {event.trade_id for event in events if isinstance(event, TradeOpened)}
        assert opened == {reply.trade_id for reply in replies}
        assert len(opened) == 1 + WAVES * INTENTS_EACH * len(traders)
        absent = order_ids(events, OrderPresumedAbsent)
        assert len(order_ids(events, OrderIntended)) == 2 * len(opened) - len(absent)

        # Each order was sent once, and those in doubt were found.
        submitted = {event.order_id: event.correlation_id for event in events if isinstance(event, OrderSubmitting)}
        booked = [order["correlation_id"] for book in books.values() for order in book["orders"]]
        assert sorted(booked) == sorted(name for order_id, name in submitted.items() if order_id not in absent)
        assert len(set(booked)) == len(booked)
        assert order_ids(events, OrderOutcomeUnknown) - absent, "no answer was under way when the executor was killed"

        # Each execution is in the log once, and leads to the same positions.
        assert fills_of(events) == executions_of(books)
        assert set(fills_of(events).values()) == {1}
        for trader in everybody:
            assert held_by(await trader.positions()) == held_by(books[client_of(trader)]["positions"])

    assert engine.complaints(expected=OF_THE_KILLED) == []
