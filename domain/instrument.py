"""Instruments: what can be traded, where, and in which steps."""

from enum import StrEnum

import msgspec

from domain.refusals import InvalidInput


class Segment(StrEnum):
    """An exchange and one of its segments, by the short name used throughout (`NSE_EQ`: NSE cash equity)."""

    NSE_EQ = "NSE_EQ"
    NSE_FNO = "NSE_FNO"
    NSE_CURRENCY = "NSE_CURRENCY"
    BSE_EQ = "BSE_EQ"
    BSE_FNO = "BSE_FNO"
    BSE_CURRENCY = "BSE_CURRENCY"
    MCX_COMM = "MCX_COMM"
    INDEX = "INDEX"


class InstrumentKind(StrEnum):
    """What kind of paper it is."""

    EQUITY = "equity"
    INDEX = "index"
    FUTURE = "future"
    OPTION = "option"


class InstrumentKey(msgspec.Struct, frozen=True, order=True):
    """What identifies an instrument: a security id is unique only within its segment."""

    segment: Segment
    security_id: str

    def __str__(self) -> str:
        return f"{self.segment.value}:{self.security_id}"


class InstrumentUnknown(InvalidInput):
    """No instrument has this symbol. The caller sees 422; nothing is stored."""

    code = "INSTRUMENT_UNKNOWN"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dated definition of an instrument.

    `tick_e4` is the price step in 1/10,000 rupee, `lot` the quantity step in units, `freeze_quantity` the largest
    quantity of one order (None: no such limit), `multiplier` the units of the underlying behind one unit traded.
    `expires_on` is the last day of a derivative (ISO), None for what does not expire. `mtf` tells whether the broker
    lends for it, `has_derivatives` whether it closes early for the auction that stocks with derivatives have.
    """

    key: InstrumentKey
    symbol: str
    name: str
    tradable: bool
    tick_e4: int
    lot: int
    multiplier: int = 1
    freeze_quantity: int | None = None
    kind: InstrumentKind = InstrumentKind.EQUITY
    expires_on: str | None = None
    mtf: bool = False
    has_derivatives: bool = False

    def is_on_tick(self, price_e4: int) -> bool:
        """Tell whether *price_e4* is a whole number of ticks."""
        return price_e4 % self.tick_e4 == 0
