"""The imported instrument master as processes of the engine ask it: by symbol, by key, by day.

What a symbol may be, the first that fits:

- its own symbol, which no other instrument has at the time: `RELIANCE`, `NIFTY 07 OCT 2025 25000 CE`, `BSE:RELIANCE`;
- the exchange's symbol of a derivative (`RELIANCE-Oct2025-FUT`) and the name of an index (`Nifty 50`), as long as only
  one instrument has it;
- with exchange or segment before it: `NSE:RELIANCE`, `INDEX:NIFTY`;
- the key: `NSE_EQ:2885`.

Capitals and runs of blanks make no difference.
"""

from collections.abc import Collection
from datetime import date
from typing import TypeVar

from adapters.instrument_store.index import Index, Record
from domain.instrument import (
    DatedDefinition,
    Instrument,
    InstrumentAmbiguous,
    InstrumentKey,
    InstrumentUnknown,
    Segment,
)
from domain.market import NS_PER_S

_Name = TypeVar("_Name")
_KEPT_MAX = 20_000
_CANDIDATES_MAX = 10
_ORDINAL_OF_1970 = date(1970, 1, 1).toordinal()
_DAY_NS = 86_400 * NS_PER_S
_EXCHANGE_OFFSET_NS = 19_800 * NS_PER_S
"""India's clock is five hours and a half ahead."""


class StoredMaster:
    """Implements `commands.ports.Instruments` over an index. What was asked for is kept for the next time."""

    def __init__(self, index: Index, *, version: int) -> None:
        self.version = version
        self._index = index
        self._by_symbol: dict[tuple[str, int], Instrument] = {}
        self._by_key: dict[tuple[InstrumentKey, int], Instrument] = {}

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:
        """Return the definition of *symbol* in force; the module's docstring says what a symbol may be.

        Raises:
            domain.instrument.InstrumentUnknown: no instrument has this symbol at that time.
            domain.instrument.InstrumentAmbiguous: several go by it; the message lists their own symbols.
        """
        day = (market_time_ns + _EXCHANGE_OFFSET_NS) // _DAY_NS
        found = self._by_symbol.get((symbol, day))
        if found is None:
            found = self._resolved(symbol, day).instrument(day)
            _keep(self._by_symbol, (symbol, day), found)
        return found

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:
        """Return the definition of *key* in force.

        Raises:
            domain.instrument.InstrumentUnknown: no instrument has this key at that time.
        """
        day = (market_time_ns + _EXCHANGE_OFFSET_NS) // _DAY_NS
        found = self._by_key.get((key, day))
        if found is None:
            records = self._index.by_key(key)
            if not records:
                raise InstrumentUnknown(f"received instrument {key}, expected one of the instrument master")
            found = _in_force(records, day, str(key)).instrument(day)
            _keep(self._by_key, (key, day), found)
        return found

    def definitions(self, key: InstrumentKey) -> tuple[DatedDefinition, ...]:
        """Return all definitions of *key*, oldest first, none where it is unknown; price bands are those of no day."""
        dated = []
        for record in self._index.by_key(key):
            valid_from, valid_until = record.validity
            if valid_from is None or valid_from != valid_until:  # else replaced on its very first day
                dated.append(
                    DatedDefinition(
                        valid_from=valid_from, valid_until=valid_until, instrument=record.instrument(day=None)
                    )
                )
        return tuple(dated)

    def find_key(self, name: str) -> InstrumentKey | None:
        """Return the key of the instrument that *name* means or last meant, None where it means none or several."""
        records = self._index.by_symbol(name.upper())
        own = [record for record in records if record.definition.symbol == name.upper()] or records
        keys = {record.definition.key for record in own}
        return keys.pop() if len(keys) == 1 else None

    def all(self, *, market_time_ns: int) -> tuple[Instrument, ...]:
        """Return every definition in force, sorted by key. A whole master takes a second: ask off the event loop."""
        day = (market_time_ns + _EXCHANGE_OFFSET_NS) // _DAY_NS
        return tuple(record.instrument(day) for record in self._index.records() if record.holds_on(day))

    def _resolved(self, symbol: str, day: int) -> Record:
        name = " ".join(symbol.upper().split())
        records = self._candidates(name)
        if len(records) == 1 and records[0].holds_on(day):
            return records[0]
        if not records:
            raise InstrumentUnknown(
                f"received symbol {symbol[:80]!r}, expected one of the instrument master{self._hint(name)}"
            )
        held = [record for record in records if record.holds_on(day)]
        own = [record for record in held if record.definition.symbol == name] or held
        if len({record.definition.key for record in own}) > 1:
            raise InstrumentAmbiguous(
                f"received symbol {symbol[:80]!r}, which is one of {_listed(own)}: write one of these"
            )
        return own[0] if own else _in_force(records, day, symbol)

    def _candidates(self, name: str) -> list[Record]:
        records = self._index.by_symbol(name)
        if records or ":" not in name:
            return records
        before, _, rest = name.partition(":")
        segments = {each for each in Segment if each == before or each.startswith(f"{before}_")}
        named = [record for record in self._index.by_symbol(rest) if record.definition.key.segment in segments]
        return named or (self._index.by_key(InstrumentKey(Segment(before), rest)) if before in set(Segment) else [])

    def _hint(self, name: str) -> str:
        """Return what else may have been meant."""
        there = self._index.by_symbol(f"BSE:{name}")
        return f", such as 'BSE:{name}', which the BSE lists" if there else ", e.g. 'RELIANCE' or 'NSE_EQ:2885'"


def _in_force(records: list[Record], day: int, name: str) -> Record:
    held = [record for record in records if record.holds_on(day)]
    if held:
        return held[-1]
    asked = date.fromordinal(day + _ORDINAL_OF_1970)
    end = records[-1].validity[1]
    if end is not None and end <= asked.isoformat():
        raise InstrumentUnknown(f"received instrument {name} on {asked}, which was listed until {end}")
    raise InstrumentUnknown(f"received instrument {name} on {asked}, before its first definition")


def _listed(records: Collection[Record]) -> str:
    symbols = sorted({f"{record.definition.symbol!r} ({record.definition.key})" for record in records})
    more = f" and {len(symbols) - _CANDIDATES_MAX} more" if len(symbols) > _CANDIDATES_MAX else ""
    return ", ".join(symbols[:_CANDIDATES_MAX]) + more


def _keep(kept: dict[tuple[_Name, int], Instrument], name: tuple[_Name, int], found: Instrument) -> None:
    if len(kept) >= _KEPT_MAX:
        kept.clear()
    kept[name] = found
