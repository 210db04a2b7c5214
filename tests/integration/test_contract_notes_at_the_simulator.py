"""A day is traded at the simulator, and on the next morning what it charged is in the log beside what we booked."""

from commands.contract_notes import ContractNotes, ContractNoteSettings
from domain.account.events import ContractNoteReceived, ForeignFillAllocated, OrderFilled
from domain.contract_note import Cause, Match, NoteLine
from domain.order import Product, Side
from tests.support.dealing_room import PRICE_E4, STOCKS, DealingRoom, dealing_room
from tests.support.specimens import NOW_NS, NS_PER_S, TODAY
from tests.support.tariffs import TARIFFS
from tests.support.virtual_time import in_virtual_time, within

MORNING_NS = NOW_NS + 20 * 3600 * NS_PER_S
"""06:00 of the next day: the room opens at 10:00."""


def notes_of(room: DealingRoom) -> ContractNotes:
    return ContractNotes(
        accounts=room.desk.another_process(),
        statements=room.broker,
        store=room.desk.store,
        marks=room.desk.marks,
        clock=room.desk.clock,
        watermarks=room.desk.watermarks,
        instruments=room.desk.instruments,
        tariffs=TARIFFS,
        settings=ContractNoteSettings(),
    )


@in_virtual_time
async def test_the_note_of_a_day_is_there_on_the_next_morning() -> None:
    async with dealing_room(STOCKS[:3]) as room:
        kept = await room.open(symbol=STOCKS[0].symbol, product=Product.CNC, quantity=333)
        sold = await room.open(symbol=STOCKS[1].symbol, quantity=45)
        await room.settled()
        await room.second({STOCKS[1].key: PRICE_E4 + 7_1500})
        await room.desk.accounts.close_trade(
            room.state().account_id or "",
            room.state().owner_id or "",
            sold,
            room.desk.context(),  # type: ignore[arg-type]
        )
        await room.seconds(3)
        await room.settled()
        await room.by_hand(STOCKS[2], Side.BUY, 12, Product.INTRADAY)
        await room.seconds(3)
        await within(30, lambda: bool(room.desk.events_of(ForeignFillAllocated)))
        await room.close_session()

        notes = notes_of(room)
        room.desk.marks.now_ns = MORNING_NS - 1
        await notes.look_if_due()
        assert room.desk.events_of(ContractNoteReceived) == []
        room.desk.marks.now_ns = MORNING_NS
        await notes.look_if_due()
        await notes_of(room).look_if_due()

        (note,) = room.desk.events_of(ContractNoteReceived)
        fills = [*room.desk.events_of(OrderFilled), *room.desk.events_of(ForeignFillAllocated)]
        assert (note.trading_day, note.number) == (TODAY, 1)
        assert {order.match for order in note.orders} == {Match.BOTH}
        assert {order.venue_order_id for order in note.orders} == {fill.venue_order_id for fill in fills}
        assert len(note.orders) == 4
        assert sum(line.ours_e4 for line in note.lines) == sum(fill.charges.total_paise for fill in fills) * 100
        assert {share.cause for line in note.lines for share in line.shares} == {Cause.ROUNDING}
        assert next(line for line in note.lines if line.line is NoteLine.BROKERAGE).theirs_e4 > 0
        assert room.state().trades[kept].holding.net_quantity == 333
