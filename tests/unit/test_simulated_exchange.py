"""The simulator where it keeps the exchange's day: phases, auctions, circuit limits, and how it refuses."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from msgspec.structs import replace

from adapters.sessions import shipped_table
from adapters.simulator.books import BookedOrder, OrderTerms, Status
from adapters.simulator.desk import open_desk
from adapters.simulator.exchange import Exchange
from adapters.simulator.ledger import Ledger
from adapters.simulator.market_model import MarketModel
from adapters.simulator.refusals import MARKET_CLOSED
from adapters.simulator.simulator import OrderRequest, Simulator
from adapters.simulator.synthetic import DEMO_START_NS, ClosingAuction
from commands.ports import Sessions
from domain.instrument import Instrument, InstrumentKey
from domain.market import NS_PER_S
from domain.matching import Depth, Level, PhasedMatching, Rejection, TickSlippage
from domain.order import OrderType, Side, TimeInForce
from domain.session import Phase, SessionMoment
from infra.problems import OperatorProblem
from infra.settings import Settings, SettingsInvalid, load
from infra.wiring.exchange import closing_auction_of, slippage_of, tape_day_of
from tests.support.tape import CLIENT_ID, INSTRUMENTS, NIFTY, PLENTY, RELIANCE, ScriptedTape, config_of, steady

SHARE = INSTRUMENTS.by_key(RELIANCE, market_time_ns=DEMO_START_NS)
TICK = SHARE.tick_e4
PRICE = 1_310_00_00
CLOSED, PRE_OPEN, PAUSED, CONTINUOUS, AUCTION, AUCTION_END, POST_CLOSE = (
    Phase.CLOSED,
    Phase.PRE_OPEN,
    Phase.PAUSED,
    Phase.CONTINUOUS,
    Phase.CLOSING_AUCTION,
    Phase.CLOSING_AUCTION_END,
    Phase.POST_CLOSE,
)
Row = tuple[Phase, int, int]
"""A second of the tape: its phase, and what RELIANCE prints in it (price, volume)."""


class PhaseASecond:
    """A day of which every second has the phase given. Implements `commands.ports.Sessions`."""

    def __init__(self, phases: Sequence[Phase], *, first_of_next_day: int = 1_000) -> None:
        self._phases = phases
        self._first_of_next_day = first_of_next_day

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:
        if instrument.key == NIFTY:
            return None
        second = (market_time_ns - DEMO_START_NS) // NS_PER_S
        day = "2026-04-15" if second < self._first_of_next_day else "2026-04-16"
        return SessionMoment(phase=self._phases[second], trading_day=day)


class Banded:
    """The master with circuit limits and a freeze quantity. Implements `commands.ports.Instruments`."""

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:
        return self._banded(INSTRUMENTS.by_symbol(symbol, market_time_ns=market_time_ns))

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:
        return self._banded(INSTRUMENTS.by_key(key, market_time_ns=market_time_ns))

    def _banded(self, found: Instrument) -> Instrument:
        return replace(
            found, lower_circuit_e4=PRICE - 10 * TICK, upper_circuit_e4=PRICE + 10 * TICK, freeze_quantity=500
        )


def simulator(*rows: Row, sessions: Sessions | None = None, **changes: Any) -> Simulator:
    """Return a simulator in the first second of such a tape."""
    tape = ScriptedTape(*([(RELIANCE, price, volume), (NIFTY, price, 0)] for _, price, volume in rows))
    day = sessions or PhaseASecond([phase for phase, _, _ in rows])
    config = config_of(tape, market=MarketModel(sessions=day), **changes)
    begun = Simulator(config, Ledger())
    begun.advance()
    return begun


def place(
    market: Simulator, limit_e4: int = PRICE, *, order_type: OrderType = OrderType.LIMIT, **changes: Any
) -> BookedOrder:
    terms: dict[str, Any] = {
        "correlation_id": "any",
        "instrument": SHARE,
        "side": Side.BUY,
        "order_type": order_type,
        "product": "INTRADAY",
        "time_in_force": TimeInForce.DAY,
        "quantity": 10,
        "limit_price_e4": 0 if order_type is OrderType.MARKET else limit_e4,
        **changes,
    }
    order = market.accept(CLIENT_ID, OrderRequest(**terms))
    market.arrive(order)
    return order


def fills(market: Simulator) -> list[tuple[str, int, int]]:
    """Return order, quantity and price of every execution."""
    return [
        (execution.order.order_id, execution.quantity, execution.price_e4)
        for execution in market.accounts[CLIENT_ID].executions
    ]


def test_the_opening_auctions_outcome_fills_and_the_rest_meets_the_tape() -> None:
    rows = [(PRE_OPEN, PRICE, 0), (PAUSED, PRICE - TICK, 16), (CONTINUOUS, PRICE - TICK, 100)]
    market = simulator(*rows)
    limit = place(market)
    marketable = place(market, order_type=OrderType.MARKET)
    assert (limit.status, marketable.status, marketable.limit_price_e4) == (Status.PENDING, Status.PENDING, 0)
    market.advance()
    assert fills(market) == [(limit.order_id, 4, PRICE - TICK)]
    market.advance()
    assert fills(market)[1:] == [(limit.order_id, 6, PRICE - TICK), (marketable.order_id, 10, PRICE - TICK)]
    assert marketable.limit_price_e4 > 0


def test_a_pause_takes_no_order_and_no_change() -> None:
    market = simulator((CONTINUOUS, PRICE, 100), (PAUSED, PRICE, 0))
    resting = place(market, PRICE - TICK)
    market.advance()
    late = place(market)
    assert (late.status, late.description) == (Status.REJECTED, f"RMS:{late.order_id}:{MARKET_CLOSED}")
    terms = OrderTerms(
        order_type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=5, limit_price_e4=PRICE - TICK
    )
    market.modify(CLIENT_ID, resting.order_id, terms)
    market.arrive_change(resting)
    assert (resting.quantity, resting.status, resting.description) == (
        10,
        Status.PENDING,
        f"RMS:{resting.order_id}:{MARKET_CLOSED}",
    )


def test_the_closing_auction_takes_over_what_rests_without_its_stops_and_the_day_ends() -> None:
    rows = [(CONTINUOUS, PRICE, 100), (PAUSED, PRICE, 0), (AUCTION, PRICE, 0), (AUCTION_END, PRICE, 0)]
    market = simulator(*rows, (PAUSED, PRICE - TICK, 20), (POST_CLOSE, PRICE - TICK, 8), (CLOSED, PRICE, 0))
    resting = place(market, PRICE - TICK)
    stop = place(market, PRICE + TICK, order_type=OrderType.SL, trigger_price_e4=PRICE + TICK)
    for _ in range(4):
        market.advance()
    assert stop.status is Status.CANCELLED
    assert fills(market) == [(resting.order_id, 5, PRICE - TICK)]
    market.advance()
    assert resting.status is Status.CANCELLED
    late = place(market, order_type=OrderType.MARKET, quantity=5)
    assert (late.status, late.limit_price_e4, late.filled_quantity) == (Status.PART_TRADED, PRICE - TICK, 2)
    market.advance()
    assert late.status is Status.EXPIRED


def test_what_an_auction_is_told_by_depth_is_matched_at_its_end() -> None:
    market = simulator((PRE_OPEN, PRICE, 0), (PAUSED, PRICE, 0))
    order = place(market)
    book = market_book(market)
    book.on_print(price_e4=PRICE, volume=0, time_ns=1, depth=Depth((), (Level(PRICE - TICK, 7),)))
    market.advance()
    assert fills(market) == [(order.order_id, 7, PRICE - TICK)]


def market_book(market: Simulator) -> PhasedMatching:
    book = market.exchange.books[RELIANCE]
    assert isinstance(book, PhasedMatching)
    return book


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"limit_price_e4": PRICE + 11 * TICK},
            "Order Price needs to be Circuit Limits of 1309.00 to 1311.00",
        ),
        ({"quantity": 501}, "Order quantity is above the freeze quantity of 500."),
    ],
)
def test_what_the_exchange_does_not_take_is_rejected_in_the_brokers_words(changes: dict[str, Any], words: str) -> None:
    market = simulator((CONTINUOUS, PRICE, 100), instruments=Banded())
    order = place(market, **changes)
    assert (order.status, order.description) == (Status.REJECTED, f"RMS:{order.order_id}:{words}")


def test_without_a_band_the_words_name_none() -> None:
    market = simulator((CONTINUOUS, PRICE, 100))
    exchange = Exchange(config_of(ScriptedTape([(RELIANCE, PRICE, 1)])))
    words = exchange.refusal_of(Rejection.PRICE_OUTSIDE_CIRCUITS, SHARE, market_time_ns=market.market_time_ns)
    assert words == "Order Price is out of the price band of the session."


def test_a_print_outside_the_circuits_executes_nothing() -> None:
    market = simulator((CONTINUOUS, PRICE, 100), (CONTINUOUS, PRICE - 11 * TICK, PLENTY), instruments=Banded())
    order = place(market, PRICE - 10 * TICK)
    market.advance()
    assert order.filled_quantity == 0


def test_a_new_day_begins_anew_with_the_close_of_the_one_before() -> None:
    rows = [(CONTINUOUS, PRICE, 100), (CLOSED, PRICE, 0), (PRE_OPEN, PRICE, 0)]
    market = simulator(*rows, sessions=PhaseASecond([phase for phase, _, _ in rows], first_of_next_day=2))
    market.advance()
    market.advance()
    assert (market_book(market).base_price_e4, market_book(market).last_price_e4) == (PRICE, None)


def test_the_exchanges_own_table_tells_the_phases_of_august_2026() -> None:
    reached = [
        moment.phase
        for minute in (555, 915, 920, 925, 930, 955)
        if (moment := shipped_table().moment_of(SHARE, midnight_of_2026_08_03_ns() + minute * 60 * NS_PER_S))
    ]
    assert reached == [CONTINUOUS, PAUSED, AUCTION, AUCTION_END, PAUSED, POST_CLOSE]


def midnight_of_2026_08_03_ns() -> int:
    return 1_785_695_400 * NS_PER_S


def test_without_sessions_the_market_has_no_phases() -> None:
    market = Simulator(config_of(ScriptedTape([(RELIANCE, PRICE, 100)])), Ledger())
    market.advance()
    assert place(market).status is Status.TRADED


def test_slippage_is_asked_for_by_words() -> None:
    tape = ScriptedTape([(RELIANCE, PRICE, 100)])
    market = Simulator(config_of(tape, market=MarketModel(slippage=slippage_of("ticks:2"))), Ledger())
    market.advance()
    order = place(market, PRICE + 5 * TICK)
    assert fills(market) == [(order.order_id, 10, PRICE + 2 * TICK)]


@pytest.mark.parametrize("words", ["ticks:1", "bp:5", "sqrt:30"])
def test_every_model_of_the_setting_is_one(words: str) -> None:
    settings = load({"KHATA_SIMULATOR_SLIPPAGE": words})
    found = slippage_of(settings.simulator_slippage)
    assert found is not None
    assert found.move_e4(price_e4=PRICE, quantity=100, volume=100, tick_e4=TICK) > 0


def test_no_slippage_is_the_default_and_other_words_are_refused() -> None:
    assert slippage_of(Settings().simulator_slippage) is None
    assert slippage_of("ticks:3") == TickSlippage(3)
    with pytest.raises(SettingsInvalid, match="KHATA_SIMULATOR_SLIPPAGE"):
        load({"KHATA_SIMULATOR_SLIPPAGE": "bp:-1"})


async def test_at_speed_0_the_tape_is_played_as_fast_as_it_goes() -> None:
    desk = open_desk(config_of(steady(*[PRICE] * 5_000), lock_step=False, speed=0.0))
    await desk.play_in_real_time()
    assert (desk.simulator.step, desk.simulator.done) == (5_000, True)


def test_a_synthetic_session_closes_as_its_day_does() -> None:
    table = shipped_table()
    assert closing_auction_of(table, date(2026, 8, 5)) == ClosingAuction(
        ends_s=6 * 3_600, outcome_s=6 * 3_600 + 900, post_close_s=6 * 3_600 + 2_100
    )
    assert closing_auction_of(table, date(2026, 4, 15)) is None


def test_the_day_of_a_tape_is_one_of_the_calendar() -> None:
    assert tape_day_of(Settings()) is None
    assert tape_day_of(load({"KHATA_TAPE_DAY": "2026-08-05"})) == date(2026, 8, 5)
    with pytest.raises(OperatorProblem, match="KHATA_TAPE_DAY is 2026-13-05"):
        tape_day_of(load({"KHATA_TAPE_DAY": "2026-13-05"}))
    with pytest.raises(SettingsInvalid, match="KHATA_TAPE_DAY"):
        load({"KHATA_TAPE_DAY": "tomorrow"})
