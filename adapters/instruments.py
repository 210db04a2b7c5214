"""The instrument master: dated definitions from a table, found by symbol or by key.

The table is a CSV with one row per definition and the columns `valid_from, segment, security_id, symbol, name,
tradable, tick_e4, lot, freeze_quantity, derivatives`. `valid_from` is the first day (of the exchange) on which the row
holds; a row without it holds from the beginning; each row holds until the next one of the same instrument. Ticks change
with the price of a stock (NSE, price bands since April 2025, reviewed every month), so an order is checked against the
definition of its own day. `derivatives` tells whether a stock has listed derivatives, and so closes in an auction.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterable
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

from domain.instrument import (
    DatedDefinition,
    Instrument,
    InstrumentKey,
    InstrumentKind,
    InstrumentUnknown,
    Segment,
)
from domain.market import trading_day

_TRUTH = {"yes": True, "no": False}


class _Dated(NamedTuple):
    """An instrument's definitions, oldest first, with the day from which each holds."""

    valid_from: list[date]
    definitions: list[Instrument]

    def on(self, day: date) -> Instrument | None:
        """Return the definition in force on *day*."""
        index = bisect_right(self.valid_from, day)
        return self.definitions[index - 1] if index else None


class InstrumentMaster:
    """The instruments of a table. Implements `commands.ports.Instruments`."""

    version = 0
    """Which version of the instrument master it is: the first that is imported is 1."""

    def __init__(self, definitions: Iterable[tuple[date, Instrument]]) -> None:
        self._by_key: dict[InstrumentKey, _Dated] = {}
        self._by_symbol: dict[str, InstrumentKey] = {}
        for valid_from, instrument in sorted(definitions, key=lambda pair: pair[0]):
            owner = self._by_symbol.setdefault(instrument.symbol, instrument.key)
            if owner != instrument.key:
                raise ValueError(f"symbol {instrument.symbol} names both {owner} and {instrument.key}")
            dated = self._by_key.setdefault(instrument.key, _Dated([], []))
            dated.valid_from.append(valid_from)
            dated.definitions.append(instrument)
        names = {each.name.upper(): key for key, dated in self._by_key.items() for each in dated.definitions}
        self._by_name = names | {symbol.upper(): key for symbol, key in self._by_symbol.items()}

    @classmethod
    def load(cls, table: Traversable | None = None) -> "InstrumentMaster":
        """Return the master that *table* (a path or resource; default: the table shipped with Khata) describes."""
        source = table if table is not None else files("adapters") / "data" / "instruments.csv"
        return cls(_definition(row) for row in csv.DictReader(source.read_text(encoding="utf-8").splitlines()))

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:
        """Return the definition of *symbol* in force.

        Raises:
            domain.instrument.InstrumentUnknown: no instrument has this symbol, or not yet at that time.
        """
        key = self._by_symbol.get(symbol)
        if key is None:
            raise InstrumentUnknown(
                f"received symbol {symbol!r}, expected one of the instrument master, e.g. 'RELIANCE'"
            )
        return self.by_key(key, market_time_ns=market_time_ns)

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:
        """Return the definition of *key* in force.

        Raises:
            domain.instrument.InstrumentUnknown: no instrument has this key, or not yet at that time.
        """
        dated = self._by_key.get(key)
        if dated is None:
            raise InstrumentUnknown(f"received instrument {key}, expected one of the instrument master")
        day = trading_day(market_time_ns)
        definition = dated.on(day)
        if definition is None:
            raise InstrumentUnknown(f"received instrument {key} on {day}, before its first definition")
        return definition

    def definitions(self, key: InstrumentKey) -> tuple[DatedDefinition, ...]:
        """Return all definitions of *key*, oldest first, none where it is unknown."""
        dated = self._by_key.get(key)
        if dated is None:
            return ()
        days: list[str | None] = [None if day == date.min else day.isoformat() for day in dated.valid_from]
        return tuple(
            DatedDefinition(valid_from=first, valid_until=end, instrument=instrument)
            for first, end, instrument in zip(days, [*days[1:], None], dated.definitions, strict=True)
        )

    def whole(self) -> tuple[DatedDefinition, ...]:
        """Return all definitions of all instruments, sorted by key, oldest first."""
        return tuple(each for key in sorted(self._by_key) for each in self.definitions(key))

    def find_key(self, name: str) -> InstrumentKey | None:
        """Return the key of the instrument whose symbol or name is *name*, None where there is none."""
        return self._by_name.get(name.upper())

    def all(self, *, market_time_ns: int) -> tuple[Instrument, ...]:
        """Return every definition in force, sorted by symbol."""
        day = trading_day(market_time_ns)
        in_force = (dated.on(day) for dated in self._by_key.values())
        return tuple(sorted((found for found in in_force if found is not None), key=lambda found: found.symbol))

    def finest(self) -> tuple[Instrument, ...]:
        """Return each instrument as it was when its tick was finest, sorted by symbol.

        For whoever reads prices without knowing of which day they are: a price of any day lies on that tick.
        """
        finest = (min(dated.definitions, key=lambda found: found.tick_e4) for dated in self._by_key.values())
        return tuple(sorted(finest, key=lambda found: found.symbol))


def _definition(row: dict[str, str]) -> tuple[date, Instrument]:
    segment = Segment(row["segment"])
    instrument = Instrument(
        key=InstrumentKey(segment, row["security_id"]),
        symbol=row["symbol"],
        name=row["name"],
        tradable=_TRUTH[row["tradable"]],
        tick_e4=int(row["tick_e4"]),
        lot=int(row["lot"]),
        freeze_quantity=int(row["freeze_quantity"]) if row["freeze_quantity"] else None,
        kind=InstrumentKind.INDEX if segment is Segment.INDEX else InstrumentKind.EQUITY,
        has_derivatives=_TRUTH[row["derivatives"]],
    )
    valid_from = date.fromisoformat(row["valid_from"]) if row["valid_from"] else date.min
    return valid_from, instrument
