"""Synthetic tapes: a seeded market that moves like one.

Log prices are random walks around an anchor: one factor for the whole market, another for the banks, and each stock's
own noise, with fat tails (Student's t) and rare jumps. Volatility and volume are high after the open and before the
close (the U of every session), and volume rises with the size of a move. Indices are weighted baskets of the stocks.
The same seed gives the same tape, however it is consumed.

With `depth` each print has five levels on both sides, a tick apart: it happened at the best bid or at the best ask, as
the toss of a coin has it, and what is shown at a level goes with what the stock trades in a few quiet seconds. Asking
for it changes neither prices nor volumes. With a `ClosingAuction` the stocks print nothing between the end of
continuous trading and the auction's outcome, a single print of half an hour's quiet volume each, and trade at that
price alone in the post-close.

The magnitudes are round figures of the right order: about 1 % of volatility a session for the market, and prices and
volumes of large stocks in April 2026.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

from adapters.simulator.tapes.tape import TapeSecond, Tick
from commands.ports import Instruments
from domain.instrument import Instrument, InstrumentKey
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.matching import Depth, Level
from domain.money import E4_PER_RUPEE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SESSION_SECONDS = 22_500
"""09:15 to 15:30."""
DEMO_START_NS = int(datetime(2026, 4, 15, 9, 15, tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S
"""The open of a session that took place, so that its day's definitions of the instruments hold."""

_BLOCK = 600
_LEVELS = 5
_HALF = 0.5
_SHOWN_SECONDS = 5
_UNITS_AN_ORDER = 100
_AUCTION_SECONDS = 1_800
_DEPTH_STREAM = 1
_T_FREEDOM = 4
_T_SCALE = 1 / sqrt(2)  # Student's t with 4 degrees of freedom has variance 2.


@dataclass(frozen=True, slots=True)
class Character:
    """How one stock behaves: where it starts, how it follows market and banks, how much of it is traded.

    `price` in rupees, `own_volatility` a session (0.01: 1 %), `volume` units a second in a quiet hour, `weight` its
    share in the indices (market, banks).
    """

    price: float
    beta: float
    bank_beta: float
    own_volatility: float
    volume: float
    weight: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Weather:
    """How the whole market behaves. Volatilities and reversion are per session of 22,500 s, jumps a session and stock.

    `reversion` pulls log prices back to where they started; 0 leaves them to wander.
    """

    market_volatility: float = 0.010
    bank_volatility: float = 0.006
    jumps: float = 3.0
    jump_size: float = 0.0025
    reversion: float = 1.0
    volatility_scale: float = 1.0


CHARACTERS: Mapping[str, Character] = {
    "AXISBANK": Character(1354, 0.9, 1.0, 0.009, 110, (0.03, 0.10)),
    "BHARTIARTL": Character(1871, 0.8, 0.0, 0.009, 90, (0.05, 0.0)),
    "HDFCBANK": Character(795, 0.8, 1.0, 0.007, 420, (0.13, 0.28)),
    "HINDUNILVR": Character(2127, 0.5, 0.0, 0.008, 35, (0.02, 0.0)),
    "ICICIBANK": Character(1351, 0.9, 1.0, 0.008, 260, (0.09, 0.25)),
    "INFY": Character(1277, 0.8, 0.0, 0.010, 180, (0.05, 0.0)),
    "ITC": Character(299, 0.6, 0.0, 0.008, 380, (0.04, 0.0)),
    "KOTAKBANK": Character(372, 0.8, 1.0, 0.009, 300, (0.03, 0.09)),
    "LT": Character(3954, 1.0, 0.0, 0.010, 50, (0.04, 0.0)),
    "MARUTI": Character(13076, 0.8, 0.0, 0.010, 10, (0.02, 0.0)),
    "RELIANCE": Character(1315, 1.1, 0.0, 0.009, 330, (0.09, 0.0)),
    "SBIN": Character(1063, 1.1, 0.9, 0.010, 320, (0.03, 0.09)),
    "SUNPHARMA": Character(1652, 0.5, 0.0, 0.009, 45, (0.02, 0.0)),
    "TATASTEEL": Character(206, 1.2, 0.0, 0.013, 900, (0.01, 0.0)),
    "TCS": Character(2470, 0.7, 0.0, 0.009, 70, (0.03, 0.0)),
}
"""Fifteen liquid NSE stocks as of April 2026."""

INDEX_LEVELS: Mapping[str, tuple[float, int]] = {"NIFTY": (24_100.0, 0), "BANKNIFTY": (52_300.0, 1)}
"""Where an index starts, and which of the weights make it."""


class ClosingAuction(NamedTuple):
    """When in the tape, in seconds since its start, continuous trading ends, the auction prints, the post-close begins.

    Until `ends_s` the tape is as without it.
    """

    ends_s: int
    outcome_s: int
    post_close_s: int


class SyntheticTape:
    """A seeded tape. Implements `adapters.simulator.tapes.tape.Tape`.

    `seconds=None` has no end: one session's U follows the other. Instruments the master does not know at *start_ns* are
    left out, and so are those outside *symbols* where these are given.
    """

    def __init__(
        self,
        *,
        instruments: Instruments,
        seed: int = 1,
        start_ns: int = DEMO_START_NS,
        seconds: int | None = SESSION_SECONDS,
        symbols: Sequence[str] | None = None,
        weather: Weather | None = None,
        depth: bool = False,
        closing_auction: ClosingAuction | None = None,
    ) -> None:
        wanted = tuple(symbols) if symbols is not None else (*CHARACTERS, *INDEX_LEVELS)
        known = [instruments.by_symbol(symbol, market_time_ns=start_ns) for symbol in wanted]
        self._stocks = [found for found in known if found.symbol in CHARACTERS]
        self._indices = [found for found in known if found.symbol in INDEX_LEVELS]
        if not self._stocks or len(self._stocks) + len(self._indices) != len(known):
            raise ValueError(f"received symbols {wanted}, expected some of {(*CHARACTERS, *INDEX_LEVELS)}, one a stock")
        self._seed = seed
        self._start_ns = start_ns // NS_PER_S * NS_PER_S
        self._seconds = seconds
        self._weather = weather or Weather()
        self._shows_depth = depth
        self._auction = closing_auction

    @property
    def instruments(self) -> Sequence[InstrumentKey]:
        """Stocks first, then indices."""
        return tuple(found.key for found in (*self._stocks, *self._indices))

    @property
    def start_ns(self) -> int:
        """The market time of the first second."""
        return self._start_ns

    @property
    def seconds(self) -> int | None:
        """How many seconds there are, None for a tape without an end."""
        return self._seconds

    @property
    def previous_closes_e4(self) -> Mapping[InstrumentKey, int]:
        """Where each instrument starts from."""
        stocks = {found.key: _on_tick(CHARACTERS[found.symbol].price, found) for found in self._stocks}
        return stocks | {found.key: _on_tick(INDEX_LEVELS[found.symbol][0], found) for found in self._indices}

    def play(self) -> Iterator[TapeSecond]:
        """Yield every second, quiet ones too, made in blocks as they are asked for."""
        import numpy as np  # noqa: PLC0415 - a tenth of a second that only the simulator should cost

        walk = _Walk(np.random.default_rng(self._seed), self._stocks, self._weather, self._seconds or SESSION_SECONDS)
        shelves = _Shelves(self._seed, self._stocks) if self._shows_depth else None
        closes = [0] * len(self._stocks)
        second = 0
        while self._seconds is None or second < self._seconds:
            block = _BLOCK if self._seconds is None else min(_BLOCK, self._seconds - second)
            # Always a whole block of random numbers, so that the first seconds do not depend on how many follow.
            logs, volumes = walk.next_block(second)
            prices = [self._stock_prices(logs[:, i], stock) for i, stock in enumerate(self._stocks)]
            levels = [self._levels(logs, index) for index in self._indices]
            shown = None if shelves is None else shelves.next_block(prices)
            for i in range(block):
                quoted = self._second(second + i, i, prices, volumes[i], levels)
                if self._auction is not None and second + i >= self._auction.ends_s:
                    yield self._behind_the_end(
                        self._auction, second + i, quoted, [column[i] for column in prices], closes
                    )
                elif shown is not None:
                    yield quoted._replace(ticks=[*shown(i, quoted.ticks)])
                else:
                    yield quoted
            second += block

    def _second(
        self, second: int, row: int, prices: list[list[int]], volumes: list[int], levels: list[list[int]]
    ) -> TapeSecond:
        time_ns = self._start_ns + second * NS_PER_S
        ticks = [
            Tick(stock.key, prices[i][row], volumes[i], time_ns)
            for i, stock in enumerate(self._stocks)
            if volumes[i] > 0
        ]
        ticks += [Tick(index.key, levels[i][row], 0, time_ns) for i, index in enumerate(self._indices)]
        return TapeSecond(time_ns, ticks)

    def _behind_the_end(
        self, auction: ClosingAuction, second: int, quoted: TapeSecond, prices: list[int], closes: list[int]
    ) -> TapeSecond:
        """Return what is printed once continuous trading is over. *closes* is told the outcome of the auction."""
        if second == auction.outcome_s:
            closes[:] = prices
            stocks = [
                Tick(stock.key, price, _auction_volume(stock), quoted.market_time_ns)
                for stock, price in zip(self._stocks, prices, strict=True)
            ]
            return quoted._replace(ticks=[*stocks, *quoted.ticks[-len(self._indices) :]] if self._indices else stocks)
        if second < auction.post_close_s:
            return quoted._replace(ticks=())
        at_close = {stock.key: close for stock, close in zip(self._stocks, closes, strict=True)}
        ticks = [
            tick._replace(last_price_e4=at_close[tick.instrument])
            for tick in quoted.ticks
            if tick.instrument in at_close
        ]
        return quoted._replace(ticks=ticks)

    def _stock_prices(self, logs: "NDArray[np.float64]", stock: Instrument) -> list[int]:
        import numpy as np  # noqa: PLC0415 - see above

        return _ticks_of(CHARACTERS[stock.symbol].price * np.exp(logs), stock)

    def _levels(self, logs: "NDArray[np.float64]", index: Instrument) -> list[int]:
        import numpy as np  # noqa: PLC0415 - see above

        level, which = INDEX_LEVELS[index.symbol]
        weights = np.array([CHARACTERS[stock.symbol].weight[which] for stock in self._stocks])
        total = weights.sum()
        # Without a member on the tape the index stands still.
        shares = weights / total if total > 0 else weights
        return _ticks_of(level * np.exp(logs @ shares), index)


class _Walk:
    """The random walk behind a tape: state between blocks."""

    def __init__(
        self, rng: "np.random.Generator", stocks: Sequence[Instrument], weather: Weather, session_seconds: int
    ) -> None:
        import numpy as np  # noqa: PLC0415 - see above

        people = [CHARACTERS[stock.symbol] for stock in stocks]
        self._rng = rng
        self._weather = weather
        self._session_seconds = session_seconds
        self._beta = np.array([one.beta for one in people])
        self._bank_beta = np.array([one.bank_beta for one in people])
        self._own = np.array([one.own_volatility for one in people])
        self._volume = np.array([one.volume for one in people])
        self._logs = np.zeros(len(people))

    def next_block(self, first_second: int) -> tuple["NDArray[np.float64]", list[list[int]]]:
        """Return log prices (seconds x stocks, 0: where it started) and volumes of the next block."""
        import numpy as np  # noqa: PLC0415 - see above

        rng, weather, stocks = self._rng, self._weather, len(self._logs)
        mood = self._mood(first_second + np.arange(_BLOCK))[:, None]
        per_second = weather.volatility_scale / sqrt(SESSION_SECONDS)
        market = rng.standard_t(_T_FREEDOM, (_BLOCK, 1)) * _T_SCALE * weather.market_volatility
        banks = rng.standard_t(_T_FREEDOM, (_BLOCK, 1)) * _T_SCALE * weather.bank_volatility
        own = rng.standard_t(_T_FREEDOM, (_BLOCK, stocks)) * _T_SCALE * self._own
        jumped = rng.random((_BLOCK, stocks)) < weather.jumps / SESSION_SECONDS
        jumps = jumped * rng.normal(0, weather.jump_size, (_BLOCK, stocks)) * weather.volatility_scale
        moves = (market * self._beta + banks * self._bank_beta + own) * mood * per_second + jumps
        pull = weather.reversion / SESSION_SECONDS
        logs = np.empty((_BLOCK, stocks))
        for i in range(_BLOCK):
            self._logs = self._logs * (1 - pull) + moves[i]
            logs[i] = self._logs
        usual = self._own * per_second
        surprise = 1 + 0.5 * np.abs(moves) / np.maximum(usual, 1e-12)
        mean = self._volume * mood**2 * np.minimum(surprise, 20)
        # Gamma-mixed Poisson: seconds without a trade, and bursts. The shape is that of the liquid recordings.
        volumes = rng.poisson(mean * rng.gamma(0.6, 1 / 0.6, (_BLOCK, stocks)))
        return logs, volumes.tolist()

    def _mood(self, seconds: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """Return the U of a session, 1 at its quietest: how much livelier the market is at each second."""
        import numpy as np  # noqa: PLC0415 - see above

        part = (seconds % self._session_seconds) / self._session_seconds
        return 1 + 1.2 * np.exp(-part / 0.06) + 0.7 * np.exp(-(1 - part) / 0.06)


class _Shelves:
    """What is shown on both sides of each print. Its random numbers are its own."""

    def __init__(self, seed: int, stocks: Sequence[Instrument]) -> None:
        import numpy as np  # noqa: PLC0415 - see above

        self._rng = np.random.default_rng([seed, _DEPTH_STREAM])
        self._stocks = stocks
        self._numbers = {stock.key: number for number, stock in enumerate(stocks)}
        self._usual = np.array([CHARACTERS[stock.symbol].volume for stock in stocks])[None, :, None] * _SHOWN_SECONDS

    def next_block(self, prices: list[list[int]]) -> Callable[[int, Sequence[Tick]], Iterator[Tick]]:
        """Return what gives the ticks of one second of the next block their depth."""
        rng, stocks = self._rng, len(self._stocks)
        quantities = (rng.gamma(2.0, 0.5, (_BLOCK, stocks, 2 * _LEVELS)) * self._usual).astype(int).tolist()
        at_ask = (rng.random((_BLOCK, stocks)) < _HALF).tolist()

        def shown(row: int, ticks: Sequence[Tick]) -> Iterator[Tick]:
            for tick in ticks:
                number = self._numbers.get(tick.instrument)
                if number is None:
                    yield tick
                else:
                    depth = self._depth(number, prices[number][row], quantities[row][number], at_ask[row][number])
                    yield tick._replace(depth=depth)

        return shown

    def _depth(self, number: int, price_e4: int, quantities: Sequence[int], at_ask: bool) -> Depth:  # noqa: FBT001
        stock = self._stocks[number]
        tick, lot = stock.tick_e4, stock.lot
        bid_e4 = price_e4 - tick if at_ask else price_e4
        shown = [quantity // lot * lot + lot for quantity in quantities]
        bids = tuple(
            Level(price, quantity, 1 + quantity // _UNITS_AN_ORDER)
            for level, quantity in enumerate(shown[:_LEVELS])
            if (price := bid_e4 - level * tick) > 0
        )
        asks = tuple(
            Level(bid_e4 + (level + 1) * tick, quantity, 1 + quantity // _UNITS_AN_ORDER)
            for level, quantity in enumerate(shown[_LEVELS:])
        )
        return Depth(bids, asks)


def _auction_volume(stock: Instrument) -> int:
    return max(round(CHARACTERS[stock.symbol].volume * _AUCTION_SECONDS) // stock.lot, 1) * stock.lot


def _on_tick(rupees: float, instrument: Instrument) -> int:
    return max(round(rupees * E4_PER_RUPEE / instrument.tick_e4), 1) * instrument.tick_e4


def _ticks_of(rupees: "NDArray[np.float64]", instrument: Instrument) -> list[int]:
    import numpy as np  # noqa: PLC0415 - see above

    steps = np.maximum(np.rint(rupees * (E4_PER_RUPEE / instrument.tick_e4)).astype(np.int64), 1)
    prices: list[int] = (steps * instrument.tick_e4).tolist()
    return prices
