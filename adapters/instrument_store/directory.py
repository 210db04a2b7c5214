"""The instrument master for looking things up in it; what searches is made when the first search comes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from adapters.instrument_store.store import MasterDamaged
from domain.instrument import DatedDefinition, Instrument, InstrumentKey, InstrumentKind, Segment
from domain.market import trading_day
from projections.ports import InstrumentsUnreadable

if TYPE_CHECKING:
    import polars as pl

    from adapters.instrument_store.search import Search


class DatedMaster(Protocol):
    """The instrument master, imported or shipped."""

    version: int

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:
        """Return the definition of *key* in force."""
        ...

    def definitions(self, key: InstrumentKey) -> tuple[DatedDefinition, ...]:
        """Return all definitions of *key*, oldest first."""
        ...


class InstrumentDirectory:
    """Implements `projections.ports.InstrumentDirectory` over a master and the *history* it is made from."""

    def __init__(self, master: DatedMaster, history: "Callable[[], pl.DataFrame]") -> None:
        self._master = master
        self._history = history
        self._search: Search | None = None
        # One search at a time: each takes all cores for a few milliseconds.
        self._turn = asyncio.Lock()

    @property
    def version(self) -> int:
        """Which version of the master it is, 0 the table that is shipped."""
        return self._master.version

    def definitions(self, key: InstrumentKey) -> Sequence[DatedDefinition]:
        """Return all definitions of *key*, oldest first, none where it is unknown."""
        return self._master.definitions(key)

    async def search(
        self, query: str, *, market_time_ns: int, segment: Segment | None, kind: InstrumentKind | None, limit: int
    ) -> Sequence[Instrument]:
        """Return what *query* finds among the definitions in force, the most likely first.

        Raises:
            projections.ports.InstrumentsUnreadable
        """
        async with self._turn:
            keys = await asyncio.to_thread(self._keys, query, market_time_ns, segment, kind, limit)
        return [self._master.by_key(key, market_time_ns=market_time_ns) for key in keys]

    def _keys(
        self, query: str, market_time_ns: int, segment: Segment | None, kind: InstrumentKind | None, limit: int
    ) -> list[InstrumentKey]:
        if self._search is None:
            from adapters.instrument_store.search import Search  # noqa: PLC0415 - it loads polars

            try:
                self._search = Search(self._history())
            except MasterDamaged as damaged:
                raise InstrumentsUnreadable(str(damaged)) from damaged
        return self._search.keys(query, day=trading_day(market_time_ns), segment=segment, kind=kind, limit=limit)
