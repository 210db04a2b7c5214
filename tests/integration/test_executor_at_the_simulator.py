"""The executor, the adapter and the simulator together: stops, changes and what others trade, over real HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace as but
from typing import Any

import pytest
from msgspec import UNSET

from adapters.clock import SystemClock
from adapters.dhan.access.tokens import PaperLogins, PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.streams.order_updates import DhanOrderUpdates
from commands.executor import Executor, ExecutorSettings
from domain.account.commands import ChangeTrade, CloseTrade, EngageKillSwitch
from domain.account.events import (
    ExitCause,
    FlattenFinished,
    ForeignFillAllocated,
    KillMode,
    OrderAcknowledged,
    OrderFilled,
    OrderModified,
    ProtectionLapsed,
    ProtectionMode,
    TradeClosed,
    TradeOpened,
)
from domain.order import OrderType, Purpose
from tests.support import tape
from tests.support.desk import SETTINGS, Desk, buy, running
from tests.support.dhan import settings_for
from tests.support.eventually import eventually
from tests.support.specimens import ACCOUNT, OWNER, market

PRICE = 2_850_00_00
PROTECTED = but(buy, protection=ProtectionMode.RESTING, target_e4=None)
IN_STEP = but(SETTINGS, lock_step=True)


class Floor:
    """A desk whose venue is the simulator, which moves as it is told."""

    def __init__(self, venue: tape.Venue, desk: Desk, executor: Executor, client_id: str) -> None:
        self.venue = venue
        self.desk = desk
        self.executor = executor
        self.client_id = client_id

    async def step(self, seconds: int = 1) -> None:
        await self.venue.step(seconds)
        await self.settle()

    async def settle(self) -> None:
        async with asyncio.timeout(20):
            await self.executor.settle()

    async def books(self) -> Any:
        return (await self.venue.admin("GET", "/books"))["clients"][self.client_id]

    async def stop(self) -> Any:
        """Return the only stop at the venue."""
        (stop,) = [order for order in (await self.books())["orders"] if order["order_type"] == "SL"]
        return stop

    async def by_hand(self, side: str, quantity: int) -> None:
        body = {name: value for name, value in tape.ORDER.items() if name != "correlationId"}
        order = {"dhanClientId": self.client_id, "transactionType": side, "quantity": quantity}
        await self.venue.admin("POST", "/orders", json={**body, **order, "orderType": "MARKET", "price": 0})

    async def change(self, **changes: Any) -> None:
        trade_id = self.desk.events_of(TradeOpened)[0].trade_id
        command = ChangeTrade(
            trade_id=trade_id,
            user_id=OWNER,
            expected_version=1,
            market=market,
            **{"quantity": UNSET, **changes},
        )
        await self.desk.do(command)


@contextlib.asynccontextmanager
async def floor(
    *prices: int, lock_step: bool = True, told: ExecutorSettings | None = None, **config: Any
) -> AsyncIterator[Floor]:
    """Open a floor. With *told*, the executor works by itself, by these settings, and is told of its orders."""
    async with tape.venue(tape.config_of(tape.steady(*prices), **config), logged_in=False) as venue:
        address = f"127.0.0.1:{venue.port}"
        settings = settings_for(f"http://{address}", updates_url=f"ws://{address}/order-updates")
        clock = SystemClock()
        client = HttpClient(settings, clock)
        broker = DhanBroker(settings, PaperLogins(PinLogin(client, settings, clock), tape.SECRET), client, clock)
        desk = Desk()
        desk.broker = broker  # type: ignore[assignment]
        await desk.open_account()
        session = await broker.tokens.session(ACCOUNT)
        if told is not None:
            desk.clock = clock  # type: ignore[assignment] - with real connections, real time
            desk.updates = DhanOrderUpdates(settings, broker.tokens)
        executor = desk.executor(told or (IN_STEP if lock_step else SETTINGS))
        try:
            async with running(executor):
                yield Floor(venue, desk, executor, session.client_id)
        finally:
            await broker.aclose()


async def protected(there: Floor) -> None:
    """Have 100 shares bought at the first price, and their stop at 2800 rest at the venue."""
    await there.venue.step()
    await there.desk.open_trade(PROTECTED)
    await there.settle()
    stop = await there.stop()
    assert (stop["status"], stop["trigger_price_e4"], stop["quantity"]) == ("PENDING", 2_800_00_00, 100)


async def test_a_stop_closes_its_trade_without_a_word_of_ours() -> None:
    async with floor(PRICE, 2_810_00_00, 2_799_00_00) as there:
        await protected(there)
        await there.step()
        assert not there.desk.events_of(TradeClosed)
        await there.step()
        (closed,) = there.desk.events_of(TradeClosed)
        assert closed.cause is ExitCause.STOP_LOSS
        assert (await there.books())["positions"][0]["net_quantity"] == 0


async def test_a_stop_follows_the_level_and_then_triggers_there() -> None:
    async with floor(PRICE, 2_829_00_00) as there:
        await protected(there)
        await there.change(stop_loss_e4=2_830_00_00)
        await there.settle()
        stop = await there.stop()
        assert (stop["trigger_price_e4"], stop["modifications"]) == (2_830_00_00, 1)
        await there.step()
        assert there.desk.events_of(TradeClosed)


async def test_a_person_closes_the_trade_and_its_stop_becomes_the_exit() -> None:
    async with floor(PRICE, PRICE) as there:
        await protected(there)
        trade_id = there.desk.events_of(TradeOpened)[0].trade_id
        await there.desk.do(CloseTrade(trade_id=trade_id, user_id=OWNER))
        await there.settle()
        assert there.desk.events_of(TradeClosed)
        books = await there.books()
        assert len(books["orders"]) == 2
        assert books["positions"][0]["net_quantity"] == 0


async def test_a_stop_shrinks_with_what_others_sell_and_goes_with_the_rest() -> None:
    async with floor(PRICE, PRICE, PRICE) as there:
        await protected(there)
        await there.by_hand("SELL", 60)
        await there.settle()
        assert (await there.stop())["quantity"] == 40
        await there.by_hand("SELL", 40)
        await there.settle()
        assert (await there.stop())["status"] == "CANCELLED"
        assert there.desk.events_of(TradeClosed)
        assert len(there.desk.events_of(ForeignFillAllocated)) == 2
        assert (await there.books())["positions"][0]["net_quantity"] == 0


async def test_a_flattened_account_is_flat_at_the_venue() -> None:
    async with floor(PRICE, PRICE) as there:
        await protected(there)
        await there.desk.do(EngageKillSwitch(user_id=OWNER, reason="enough", mode=KillMode.FLATTEN))
        await there.settle()
        (finished,) = there.desk.events_of(FlattenFinished)
        assert finished.remaining == ()
        assert (await there.books())["positions"][0]["net_quantity"] == 0


async def test_a_stop_lapses_with_the_session() -> None:
    async with floor(PRICE) as there:
        await protected(there)
        await there.step()
        assert (await there.stop())["status"] == "EXPIRED"
        assert len(there.desk.events_of(ProtectionLapsed)) == 1


@pytest.mark.parametrize(
    "kind", ["lose_answer_after_acceptance", "lose_answer_before_acceptance", "bad_gateway_after_acceptance"]
)
async def test_a_change_survives_whatever_becomes_of_its_answer(kind: str) -> None:
    async with floor(PRICE, PRICE) as there:
        await protected(there)
        await there.venue.fault(kind, target="modify")
        await there.change(stop_loss_e4=2_830_00_00)
        await there.settle()
        assert (await there.stop())["trigger_price_e4"] == 2_830_00_00
        assert len(there.desk.events_of(OrderModified)) == 1


async def test_changes_travel_while_the_loops_work_by_themselves() -> None:
    async with floor(PRICE, PRICE, lock_step=False, transit_ms=30) as there:
        there.desk.clock.step_ns = 100_000
        await there.venue.step()
        await there.desk.open_trade(PROTECTED)
        placed = there.desk.events_of
        await eventually(lambda: len(placed(OrderAcknowledged)) == 2)
        await there.change(stop_loss_e4=2_830_00_00)
        (modified,) = await eventually(lambda: there.desk.events_of(OrderModified))
        assert modified.instruction.trigger_price_e4 == 2_830_00_00
        stop = await there.stop()
        assert (stop["status"], stop["trigger_price_e4"]) == ("PENDING", 2_830_00_00)
        assert not there.executor._broker.is_held_back(ACCOUNT, Purpose.STOP)


# --- What the venue tells ---------------------------------------------------------------------------------------------

NEVER_MS = 10**9
TOLD = but(SETTINGS, told_poll_ms=NEVER_MS, idle_poll_ms=NEVER_MS)
"""Whoever the venue tells of is read for that alone."""
LOW = PRICE - 2_00_00
RESTING = but(buy, order_type=OrderType.LIMIT, limit_price_e4=PRICE - 1_00_00, quantity=10)


async def rest(there: Floor) -> None:
    """Have an order of 10 rest below the market, of which 4 will execute first, at a venue that tells of it."""
    await there.venue.step()
    await there.venue.fault("partial", quantity=4)
    await there.desk.open_trade(RESTING)
    books = there.executor.status
    await eventually(lambda: books()["orders"] == {"acknowledged": 1} and books()["books"]["told"] == 1)


def filled(there: Floor) -> list[int]:
    return [fill.cumulative_quantity for fill in there.desk.events_of(OrderFilled)]


async def test_a_fill_that_the_venue_tells_is_recorded_without_another_look() -> None:
    async with floor(PRICE, LOW, told=TOLD) as there:
        await rest(there)
        await there.venue.step()
        await eventually(lambda: filled(there) == [4])


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lose", "count": 20},
        {"kind": "duplicate", "count": 20},
        {"kind": "delay", "count": 20, "delay_ms": 100},
        {"kind": "reorder", "count": 2},
        {"kind": "repeat_fill", "count": 2},
        {"kind": "sum_fills", "count": 2},
        {"kind": "reset"},
        {"kind": "deafen"},
    ],
    ids=lambda fault: fault["kind"],
)
async def test_however_wrongly_the_venue_tells_the_books_come_out_the_same(fault: dict[str, Any]) -> None:
    async with floor(PRICE, LOW, LOW, told=but(TOLD, told_poll_ms=200)) as there:
        await rest(there)
        await there.venue.admin("POST", "/update-faults", json=fault)
        for quantity in (4, 10):
            await there.venue.step()
            await eventually(lambda quantity=quantity: filled(there)[-1:] == [quantity])
        assert filled(there) == [4, 10]
        assert [trade["quantity"] for trade in (await there.books())["trades"]] == [4, 6]
        assert len((await there.books())["orders"]) == 1
