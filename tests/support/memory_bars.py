"""Stored bars in memory."""

from collections.abc import Sequence
from datetime import date, timedelta

from domain.instrument import InstrumentKey
from projections.ports import DailyBar


def bar(day: str, close_e4: int, *, adjusted_close_e4: int | None = None) -> DailyBar:
    """Return a day on which everything was traded at its close."""
    return DailyBar(
        day=day,
        open_e4=close_e4,
        high_e4=close_e4,
        low_e4=close_e4,
        close_e4=close_e4,
        volume=1_000,
        adjusted_close_e4=adjusted_close_e4 or close_e4,
    )


def bars_until(last_day: str, closes_e4: Sequence[int]) -> list[DailyBar]:
    """Return a bar a day, weekends among them, of which the last is *last_day*'s."""
    last = date.fromisoformat(last_day)
    return [
        bar((last - timedelta(days=len(closes_e4) - 1 - number)).isoformat(), close_e4)
        for number, close_e4 in enumerate(closes_e4)
    ]


class MemoryBars:
    """Implements `projections.ports.Bars` over what is put into `stored`."""

    def __init__(self) -> None:
        self.stored: dict[InstrumentKey, Sequence[DailyBar]] = {}

    async def daily(self, instrument: InstrumentKey, *, first_day: str, last_day: str) -> Sequence[DailyBar]:
        return [each for each in self.stored.get(instrument, ()) if first_day <= each.day <= last_day]
