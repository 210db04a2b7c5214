"""Whatever is planted in the venue's books is found within a minute, recorded, and gone once it is repaired."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from adapters.simulator.books.account import BookedOrder, Status
from adapters.simulator.books.conversion import convert
from adapters.simulator.books.standing_records import PositionConverted
from domain.account.commands import CancelTrade, CloseTrade
from domain.account.events import DifferenceFound, OrderDenied
from domain.differences import RULES
from domain.ids import OrderId, TradeId
from domain.instrument import Instrument
from domain.order import OrderType, Product, Side, correlation_id_of
from tests.support.dealing_room import QUANTITY, STOCKS, buy
from tests.support.planting import Planted, found_by, planting_room
from tests.support.specimens import ACCOUNT, CODE, OWNER
from tests.support.virtual_time import in_virtual_time, within

BELOW_E4 = 960_0000
MINUTE_S = 60


async def rest(planted: Planted, symbol: str) -> TradeId:
    """Let an entry rest at the venue."""
    return await planted.room.open(
        symbol=symbol, order_type=OrderType.LIMIT, limit_price_e4=BELOW_E4, stop_loss_e4=None
    )


async def hold(planted: Planted, stocks: Sequence[Instrument]) -> None:
    for stock in stocks:
        await planted.room.open(symbol=stock.symbol)
    await planted.room.settled()
    await planted.room.second()
    await asyncio.sleep(1)


@in_virtual_time
async def test_what_others_did_is_taken_over_and_said() -> None:
    """Repaired by rule: nothing is held for it, and it opens and closes in one step."""
    held, resting = list(STOCKS[:6]), list(STOCKS[6:11])
    async with planting_room(STOCKS[:12]) as planted:
        room = planted.room
        await hold(planted, held)
        trades = [await rest(planted, stock.symbol) for stock in resting]
        await room.settled()
        await room.desk.do(CancelTrade(trade_id=trades[4], user_id=OWNER))
        await asyncio.sleep(3)

        stop = planted.order(held[0], OrderType.SL)
        planted.account.close(stop, Status.CANCELLED)
        planted.order(held[1], OrderType.SL).trigger_price_e4 -= 10_0000
        planted.order(resting[0]).quantity += 5
        planted.order(resting[1]).limit_price_e4 += 1_0000
        planted.order(resting[2]).order_type = OrderType.SL
        planted.order(resting[2]).trigger_price_e4 = BELOW_E4
        late = planted.order(resting[4])
        planted.account.execute(planted.execution(late, QUANTITY))
        convert(
            planted.account,
            PositionConverted(
                client_id=room.client_id,
                instrument=held[3],
                from_product="INTRADAY",
                to_product="CNC",
                quantity=QUANTITY,
                time_ns=room.now_ns,
            ),
        )
        await room.by_hand(held[2], Side.SELL, 4, Product.INTRADAY)
        await room.by_hand(STOCKS[11], Side.BUY, 3, Product.INTRADAY)
        await room.print_prices()
        wanted = {
            held[0]: "canceled_outside",
            held[1]: "trigger_changed_outside",
            resting[0]: "quantity_changed_outside",
            resting[1]: "price_changed_outside",
            resting[2]: "type_changed_outside",
            resting[4]: "late_fill",
            held[3]: "position_converted",
            held[2]: "foreign_reduction",
            STOCKS[11]: "foreign_trade",
        }
        await within(MINUTE_S, lambda: found_by(planted, wanted), pace_s=1)
        assert not [each for each in planted.open().values() if each.gates]
        repaired = [
            event for event in room.desk.events_of(DifferenceFound) if event.symbol in {s.symbol for s in wanted}
        ]
        assert {planted.ends()[event.difference_id] for event in repaired} == {"repaired"}
        assert all(event.cause and event.repair and not event.gates for event in repaired)
        assert room.state().gating_difference is None
        await room.open(symbol=STOCKS[5].symbol)


HELD, RESTED, EXTRA = STOCKS[:11], STOCKS[11:13], STOCKS[13:19]
LARGER, SMALLER, REVERSED, GONE, WITHDRAWN, CHANGED, BEYOND, BEHIND, OTHER, MISSING, EXITING = HELD
REVIVED, DUPLICATE = RESTED
UNEXPECTED, UNREMEMBERED, NOBODYS, FOREIGN, UNTRADED, ENTERED = EXTRA
RESIDUE = {
    LARGER: "position_larger",
    SMALLER: "position_smaller",
    REVERSED: "position_reversed",
    GONE: "position_gone",
    WITHDRAWN: "execution_withdrawn",
    CHANGED: "execution_changed",
    BEYOND: "order_beyond_executions",
    BEHIND: "order_behind_executions",
    OTHER: "order_other_than_sent",
    MISSING: "order_missing",
    REVIVED: "order_revived",
    DUPLICATE: "duplicate_order",
    UNEXPECTED: "position_unexpected",
    UNREMEMBERED: "unremembered_order",
    NOBODYS: "unattributed_execution",
    FOREIGN: "foreign_order",
    UNTRADED: "untraded_execution",
}
AGREE_AGAIN = {LARGER, SMALLER, REVERSED, BEYOND, BEHIND, OTHER, MISSING, REVIVED, DUPLICATE}


def plant_residue(planted: Planted) -> None:
    planted.holding(LARGER).bought_quantity += 5
    planted.holding(SMALLER).bought_quantity -= 5
    planted.holding(REVERSED).sold_quantity += 2 * QUANTITY
    planted.holding(GONE).sold_quantity += QUANTITY
    planted.alter_execution(WITHDRAWN, None)
    planted.alter_execution(CHANGED, QUANTITY - 1)
    planted.order(BEYOND, OrderType.MARKET).filled_quantity += 1
    planted.order(BEHIND, OrderType.MARKET).filled_quantity -= 1
    planted.order(OTHER, OrderType.SL).product = "CNC"
    del planted.account.orders[planted.order(MISSING, OrderType.SL).order_id]
    planted.order(REVIVED).status = Status.PENDING
    planted.add_copy(planted.order(DUPLICATE))
    planted.holding(UNEXPECTED).bought_quantity += 7
    planted.add_order(UNREMEMBERED, correlation_id_of(OrderId("trd_of_another_log.1"), code=CODE))
    ghost = planted.add_order(NOBODYS, "NA")
    del planted.account.orders[ghost.order_id]
    planted.account.executions.append(planted.execution(ghost, 5))
    planted.add_order(FOREIGN, "NA")
    bracket = planted.add_order(UNTRADED, "NA", Status.TRADED)
    bracket.product, bracket.filled_quantity = "CO", 5
    planted.account.executions.append(planted.execution(bracket, 5))


def take_back(planted: Planted, orders: dict[str, BookedOrder]) -> None:
    """Take back what can be: *orders* were there before."""
    planted.holding(LARGER).bought_quantity -= 5
    planted.holding(SMALLER).bought_quantity += 5
    planted.holding(REVERSED).sold_quantity -= 2 * QUANTITY
    planted.order(BEYOND, OrderType.MARKET).filled_quantity -= 1
    planted.order(BEHIND, OrderType.MARKET).filled_quantity += 1
    planted.order(OTHER, OrderType.SL).product = "INTRADAY"
    planted.account.orders.update(orders)
    del planted.account.orders[planted.order(DUPLICATE).order_id]
    planted.order(REVIVED).status = Status.CANCELLED


@in_virtual_time
async def test_what_nothing_explains_holds_entries_and_no_exit_until_it_is_gone() -> None:
    """Residue: each is found and gates, exits pass all the while, and it is over when the books agree again."""
    async with planting_room(STOCKS[:19]) as planted:
        room = planted.room
        await hold(planted, HELD)
        trades = [await rest(planted, stock.symbol) for stock in RESTED]
        await room.settled()
        await room.desk.do(CancelTrade(trade_id=trades[0], user_id=OWNER))
        await asyncio.sleep(3)
        orders = dict(planted.account.orders)
        plant_residue(planted)
        await within(MINUTE_S, lambda: found_by(planted, RESIDUE), pace_s=1)
        for found in planted.open().values():
            assert (found.gates, found.repair) == (RULES[found.kind].gates, RULES[found.kind].repair)
            assert found.cause
        assert len(planted.open()) >= len(RESIDUE)

        (denied,) = (await room.desk.open_trade(replace(buy, symbol=ENTERED.symbol))).events
        assert isinstance(denied, OrderDenied)
        assert denied.code.value == "BOOKS_DISAGREE"
        exiting = next(trade for trade in room.state().trades.values() if trade.symbol == EXITING.symbol)
        await room.desk.do(CloseTrade(trade_id=exiting.trade_id, user_id=OWNER))
        await room.print_prices()
        await within(10, lambda: room.state().trades[exiting.trade_id].is_closed)

        await room.crash()
        assert len(planted.open()) >= len(RESIDUE), "what is open is in the log, whoever begins anew"
        take_back(planted, orders)
        symbols = {stock.symbol for stock in AGREE_AGAIN}
        await within(MINUTE_S, lambda: not symbols & {each.symbol for each in planted.open().values()}, pace_s=1)

        for left in [*planted.open().values()]:
            await room.desk.accounts.resolve_difference(
                ACCOUNT, OWNER, left.difference_id, reason="tried", price_e4=None, context=room.desk.context()
            )
        await asyncio.sleep(MINUTE_S)
        assert room.state().gating_difference is None, "what somebody took as it is is not told again"
        nets = {trade.symbol: trade.holding.net_quantity for trade in room.state().trades.values()}
        assert (nets[GONE.symbol], nets[UNEXPECTED.symbol]) == (0, 7)
        await room.open(symbol=ENTERED.symbol)
        await room.settled()
        assert (await room.held())[ENTERED.symbol, "INTRADAY"] == QUANTITY
