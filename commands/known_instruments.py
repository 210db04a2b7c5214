"""Instruments that may have left the master: what is held and was traded in them is looked after all the same."""

from commands.ports import Instruments
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown


def known_instrument(instruments: Instruments, key: InstrumentKey, *, market_time_ns: int) -> Instrument | None:
    """Return the definition of *key* in force at *market_time_ns* (UTC), None where the master has none."""
    try:
        return instruments.by_key(key, market_time_ns=market_time_ns)
    except InstrumentUnknown:
        return None
