"""Intraday trades are flat before their session ends, although the venue takes few orders any more.

What the venue takes in a minute is less than there is to close, and most of what it takes in an hour is spent. What is
carried over night is left alone.
"""

from commands.executor import ExecutorSettings
from commands.protection import ProtectionSettings
from domain.account.events import ExitCause, TradeClosed, TradeExitTriggered
from domain.order import Product
from tests.support.dealing_room import FUTURES, QUANTITY, STOCKS, DealingRoom, dealing_room
from tests.support.specimens import NS_PER_S
from tests.support.virtual_time import in_virtual_time

SCALE = 0.1
PER_SECOND, PER_MINUTE, PER_HOUR = 1, 25, 100
BUDGET = {
    "burst_limit": PER_SECOND,
    "requests_per_minute": PER_MINUTE,
    "requests_per_hour": PER_HOUR,
    "order_reserve": 0,
    "reads_per_second": 2,
}
LEAD_S = 5
PROTECTION = ProtectionSettings(
    square_off_lead_ms=LEAD_S * 1_000,
    orders_per_second=PER_SECOND,
    orders_per_minute=PER_MINUTE - 2,
    orders_per_hour=PER_HOUR - 2,
)
TWO_MINUTES_S = 120
"""What thirty exits take where 23 fit into a minute."""
INTRADAY = STOCKS[:30]
LEFT_ALONE = {(STOCKS[30].symbol, "CNC"): QUANTITY, (FUTURES[0].symbol, "MARGIN"): QUANTITY}
ALL = (*STOCKS[:31], FUTURES[0])


async def invest(room: DealingRoom) -> None:
    """Hold thirty intraday trades and two of other products, each with its stop."""
    for stock in INTRADAY:
        await room.open(symbol=stock.symbol)
    for symbol, product in LEFT_ALONE:
        await room.open(symbol=symbol, product=Product(product))
    await room.settled()
    assert len(await room.resting("SL")) == len(INTRADAY) + len(LEFT_ALONE)


@in_virtual_time
async def test_exits_begin_so_early_that_all_are_flat_in_time() -> None:
    async with dealing_room(ALL, executor=ExecutorSettings(poll_ms=3_000)) as room:
        await invest(room)
        room.toll.tighten(room.client_id, SCALE)
        await room.begin_anew(dhan=BUDGET, protection=PROTECTION)
        await room.quiet(60)
        ends_ns = room.now_ns + 200 * NS_PER_S
        room.session(room.now_ns, continuous_s=200)
        await room.quiet(200 - TWO_MINUTES_S - LEAD_S - 2)
        await room.second()
        assert not room.desk.events_of(TradeExitTriggered), "there is time yet"
        spent = len(room.toll.order_requests_ns)
        assert spent + len(INTRADAY) > PER_HOUR * 9 // 10, "little of the hour is left"
        await room.seconds_until(lambda: len(room.desk.events_of(TradeClosed)) == len(INTRADAY), most=TWO_MINUTES_S)
        assert room.now_ns < ends_ns
        assert await room.held() == LEFT_ALONE
        exits = room.desk.events_of(TradeExitTriggered)
        assert [event.cause for event in exits] == [ExitCause.SQUARE_OFF] * len(INTRADAY)
        assert {stop["symbol"] for stop in await room.resting("SL")} == {symbol for symbol, _ in LEFT_ALONE}
        assert len(room.toll.order_requests_ns) == spent + len(INTRADAY), "each stop became the exit"
        exits_ns = room.toll.order_requests_ns[spent:]
        assert exits_ns[-1] - exits_ns[0] > 60 * NS_PER_S, "it took more than the venue takes in a minute"
        assert room.toll.refused == 0
