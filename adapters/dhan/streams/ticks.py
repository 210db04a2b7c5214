"""Ticks out of feed packets, cleaned of what is known to be wrong with them."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from adapters.dhan.streams.packets import PreviousClosePacket, TradePacket
from domain.instrument import Instrument, InstrumentKey
from domain.market import NS_PER_S
from domain.money import E4_PER_RUPEE, PRICE_E4_MAX

IST_OFFSET_S = 19_800
"""The feed stamps trades with seconds that show Indian wall time when read as UTC; candles do not."""
_STAMP_S_MIN = 946_684_800
"""The year 2000: an earlier stamp is an unset one (they show 1970 or 1980)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTick:
    """A trade that the feed reports. `exchange_time_ns`: UTC, whole seconds.

    `previous_close_e4` is the close of the session before, None where the connection has not told it.
    """

    instrument: InstrumentKey
    last_price_e4: int
    exchange_time_ns: int
    previous_close_e4: int | None = None


class TickCleaner:
    """Turns packets into ticks: prices on the tick, times in UTC, no repeats, none older than the one before it."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._ticks_e4 = {instrument.key: instrument.tick_e4 for instrument in instruments}
        self._newest: dict[InstrumentKey, FeedTick] = {}
        self._previous_closes_e4: dict[InstrumentKey, int] = {}
        self.dropped: Counter[str] = Counter()

    def begin(self) -> None:
        """Forget what came before: a new connection may show older trades again, and a simulator another day."""
        self._newest.clear()
        self._previous_closes_e4.clear()

    def take_close(self, packet: PreviousClosePacket) -> None:
        """Keep a previous close for the ticks that follow; what makes no sense is passed over."""
        if packet.segment is None:
            return
        instrument = InstrumentKey(packet.segment, packet.security_id)
        tick_e4 = self._ticks_e4.get(instrument)
        if tick_e4 is not None and _is_price(packet.price):
            self._previous_closes_e4[instrument] = snapped_e4(packet.price, tick_e4=tick_e4)

    def tick_of(self, packet: TradePacket) -> FeedTick | None:
        """Return the tick in *packet*, None where there is none to use; `dropped` counts why."""
        tick = self._read(packet)
        if tick is None:
            return None
        newest = self._newest.get(tick.instrument)
        if newest == tick:
            self.dropped["repeated"] += 1
            return None
        if newest is not None and tick.exchange_time_ns < newest.exchange_time_ns:
            self.dropped["late"] += 1
            return None
        self._newest[tick.instrument] = tick
        return tick

    def _read(self, packet: TradePacket) -> FeedTick | None:
        if packet.segment is None:
            self.dropped["unknown_segment"] += 1
            return None
        instrument = InstrumentKey(packet.segment, packet.security_id)
        tick_e4 = self._ticks_e4.get(instrument)
        if tick_e4 is None:
            self.dropped["not_subscribed"] += 1
            return None
        if not _is_price(packet.last_price):
            self.dropped["no_price"] += 1
            return None
        stamp_s = packet.last_trade_time - IST_OFFSET_S
        if stamp_s < _STAMP_S_MIN:
            self.dropped["no_time"] += 1
            return None
        return FeedTick(
            instrument=instrument,
            last_price_e4=snapped_e4(packet.last_price, tick_e4=tick_e4),
            exchange_time_ns=stamp_s * NS_PER_S,
            previous_close_e4=self._previous_closes_e4.get(instrument),
        )


def _is_price(price: float) -> bool:
    return math.isfinite(price) and 0 < price <= PRICE_E4_MAX / E4_PER_RUPEE


def snapped_e4(price: float, *, tick_e4: int) -> int:
    """Return the price on the tick (1/10,000 rupee) that is nearest to *price* (rupees, a 32-bit float on the wire).

    A 32-bit float tells prices apart to about seven digits, far finer than any tick, so the nearest one is the one that
    was meant; from here on the price is an integer.
    """
    return max(round(price * E4_PER_RUPEE / tick_e4), 1) * tick_e4
