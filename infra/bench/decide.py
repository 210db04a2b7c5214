"""Bench `decide`: intents decided a second by every check, on an account with fifty trades open, on one core."""

import time
from collections.abc import Callable, Iterator

import msgspec

from domain.account import Account, decider
from domain.account.commands import BeginSubmission, OpenAccount, OpenTrade, RecordAccepted, RecordFill
from domain.account.events import AccountEvent, AccountMode, OrderIntended, TradeOpened
from domain.account.totals import totals_of
from domain.account.valuation import valuation_of
from domain.ids import AccountId, CorrelationId, TradeId, UserId, VenueFillId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import NS_PER_S, Mark, MarketSnapshot
from domain.order import OrderType, Product, Side, TimeInForce
from domain.risk import RiskParameters
from domain.session import Phase, SessionMoment
from infra.bench.run import Bench

OPEN_TRADES = 50
INSTRUMENTS = 10
INTENTS, INTENTS_QUICK = 200_000, 20_000
ROUNDS = 5
NAIVE_SHARE = 20
"""The yardstick is slower, so it decides one in so many."""
NOW_NS = 1_795_149_000 * NS_PER_S
"""2026-11-20 10:00:00 in India."""
_OWNER = UserId("usr_bench")
# Every limit is set, so that no check is passed over, and none is met.
_LIMITS = RiskParameters(
    open_trades_max=1_000,
    open_positions_max=100,
    open_orders_max=1_000,
    trades_per_day_max=1_000_000,
    position_value_paise_max=10**12,
    capital_paise=10**12,
    gross_exposure_paise_max=10**13,
    net_exposure_paise_max=10**13,
    concentration_bp_max=5_000,
    orders_per_second_max=1_000,
    orders_per_minute_max=10_000,
    orders_per_hour_max=10_000,
    orders_per_day_max=100_000,
    duplicate_window_ms=500,
)


async def run(bench: Bench) -> None:
    """Measure."""
    intents = INTENTS_QUICK if bench.is_quick else INTENTS
    account = account_with(OPEN_TRADES)
    commands = list(_intents(account, 64))
    bench.report.check(f"{OPEN_TRADES} trades are open", holds=account.totals.open_trades == OPEN_TRADES)
    for command in commands:
        kinds = [type(event) for event in decider.decide(command, account)]
        bench.report.check("every intent passes every check", holds=kinds == [TradeOpened, OrderIntended])
    task = bench.progress.add_task("deciding", total=2)
    ours = _rate(lambda command: decider.decide(command, account), commands, intents // ROUNDS)
    bench.progress.advance(task)
    naive = _rate(lambda command: _decide_naively(command, account), commands, intents // ROUNDS // NAIVE_SHARE)
    bench.progress.advance(task)
    bench.report.add("commands", ours, unit="commands/s", better="higher", yardstick=naive)
    bench.report.note("account", f"{OPEN_TRADES} open trades with stops in {INSTRUMENTS} instruments, every limit set")
    bench.report.note("yardstick", "the same table, sums and valuation made anew for each command")
    bench.report.note("time", f"the best of {ROUNDS} rounds of CPU time, {intents:,} commands in all")


def account_with(trades: int) -> Account:
    """Return an account that holds so many trades, each with a stop at the venue."""
    opening = OpenAccount(
        account_id=AccountId("acc_bench"), owner_id=_OWNER, mode=AccountMode.PAPER, currency="INR", parameters=_LIMITS
    )
    account = decider.fold(decider.decide(opening, decider.initial))
    for number in range(trades):
        opened_at_ns = NOW_NS - (trades - number) * 10 * NS_PER_S
        intent = _intent(account, number, at_ns=opened_at_ns)
        account = decider.fold(decider.decide(intent, account), account)
        account = _sent_and_filled(account, intent, opened_at_ns)
    return account


def _sent_and_filled(account: Account, intent: OpenTrade, at_ns: int) -> Account:
    """Send what waits, fill the entry, and send the stop that follows."""
    for _ in range(2):
        for order in [each for each in account.orders_of(intent.trade_id) if each.venue_order_id is None]:
            begin = BeginSubmission(
                order_id=order.order_id,
                correlation_id=CorrelationId(f"c-{order.order_id}"),
                sender_epoch=1,
                market_time_ns=at_ns,
            )
            accepted = RecordAccepted(
                order_id=order.order_id, venue_order_id=VenueOrderId(f"v-{order.order_id}"), sent_at_ns=at_ns
            )
            for command in (begin, accepted):
                account = decider.fold(decider.decide(command, account), account)
            if order.purpose.closes:
                continue
            fill = RecordFill(
                order_id=order.order_id,
                venue_fill_id=VenueFillId(f"f-{order.order_id}"),
                quantity=order.instruction.quantity,
                price_e4=_price_e4(_number_of(order.instruction.instrument)),
                filled_at_ns=at_ns,
            )
            account = decider.fold(decider.decide(fill, account), account)
    return account


def _number_of(key: InstrumentKey) -> int:
    return int(key.security_id)


def _price_e4(number: int) -> int:
    return 1_000_0000 + 100_0000 * number


def _instrument(number: int) -> Instrument:
    return Instrument(
        key=InstrumentKey(Segment.NSE_EQ, str(number)),
        symbol=f"SHARE{number}",
        name=f"Share {number}",
        tradable=True,
        tick_e4=500,
        lot=1,
        freeze_quantity=10_000,
    )


def _intent(account: Account, number: int, *, at_ns: int) -> OpenTrade:
    instrument = _instrument(number % INSTRUMENTS)
    price = _price_e4(number % INSTRUMENTS)
    marks = tuple(_mark(each, at_ns) for each in range(INSTRUMENTS))
    held = {mark.instrument: mark for mark in marks}
    return OpenTrade(
        trade_id=TradeId(f"trd_{number:08d}"),
        user_id=_OWNER,
        side=Side.BUY,
        quantity=100,
        order_type=OrderType.LIMIT if number % 2 else OrderType.MARKET,
        limit_price_e4=price if number % 2 else None,
        product=Product.INTRADAY,
        time_in_force=TimeInForce.DAY,
        stop_loss_e4=price - 20_0000,
        target_e4=price + 40_0000,
        entry_life_ns=5 * NS_PER_S,
        market=MarketSnapshot(
            market_time_ns=at_ns,
            instrument=instrument,
            marks=marks,
            session=SessionMoment(
                phase=Phase.CONTINUOUS, trading_day="2026-11-20", continuous_until_ns=NOW_NS + 5 * 3600 * NS_PER_S
            ),
            valuation=valuation_of(account, held.get, market_time_ns=at_ns),
        ),
    )


def _mark(number: int, at_ns: int) -> Mark:
    price = _price_e4(number)
    return Mark(
        instrument=InstrumentKey(Segment.NSE_EQ, str(number)),
        last_price_e4=price,
        exchange_time_ns=at_ns,
        received_at_ns=at_ns,
        number=number,
        bid_price_e4=price - 500,
        ask_price_e4=price + 500,
        previous_close_e4=price,
        lower_circuit_e4=price * 9 // 10,
        upper_circuit_e4=price * 11 // 10,
    )


def _intents(account: Account, count: int) -> Iterator[OpenTrade]:
    for number in range(count):
        yield _intent(account, OPEN_TRADES + number, at_ns=NOW_NS)


def _decide_naively(command: OpenTrade, account: Account) -> tuple[AccountEvent, ...]:
    """Decide with nothing kept: add up trades and orders, and value what is held, for this command alone."""
    bare = msgspec.structs.replace(account, totals=totals_of(account.trades, account.orders.values()))
    market = msgspec.structs.replace(command.market, valuation=None)
    return decider.decide(msgspec.structs.replace(command, market=market), bare)


def _rate(decide: Callable[[OpenTrade], object], commands: list[OpenTrade], count: int) -> float:
    """Return decisions a second of CPU time: the best round, for the machine has other work."""
    best = 0.0
    for _ in range(ROUNDS):
        began = time.process_time()
        for number in range(count):
            decide(commands[number % len(commands)])
        best = max(best, count / (time.process_time() - began))
    return best
