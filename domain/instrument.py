"""Instruments: what can be traded, where, and in which steps."""

from enum import StrEnum

import msgspec

from domain.refusals import InvalidInput, NotFound


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
    FUND = "fund"
    """A share of a fund or of a trust that an exchange lists."""
    BOND = "bond"
    """Debt of any kind, and what else is listed among shares without being one: bills, debentures, warrants."""


class OptionType(StrEnum):
    """What an option gives a right to."""

    CALL = "call"
    PUT = "put"


class InstrumentKey(msgspec.Struct, frozen=True, order=True, gc=False):
    """What identifies an instrument: a security id is unique only within its segment."""

    segment: Segment
    security_id: str

    def __str__(self) -> str:
        return f"{self.segment.value}:{self.security_id}"


class InstrumentUnknown(InvalidInput):
    """No instrument has this symbol. The caller sees 422; nothing is stored."""

    code = "INSTRUMENT_UNKNOWN"


class InstrumentAmbiguous(InvalidInput):
    """Several instruments go by this name: the message lists their symbols. The caller sees 422; nothing is stored."""

    code = "INSTRUMENT_AMBIGUOUS"


class InstrumentNotListed(NotFound):
    """No instrument of the master has this key. The caller sees 404; nothing is stored."""

    code = "INSTRUMENT_NOT_FOUND"


class Instrument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One dated definition of an instrument.

    `tick_e4` is the price step in 1/10,000 rupee, `lot` the quantity step in units, `freeze_quantity` the largest
    quantity of one order (None: no such limit), `multiplier` the units of the underlying behind one unit traded.
    `expires_on` is the last day of a derivative (ISO), None for what does not expire. `mtf` tells whether the broker
    lends for it, `has_derivatives` whether it closes early for the auction that stocks with derivatives have.

    `underlying` is the symbol behind a derivative, `strike_e4` (1/10,000 rupee) and `option_type` are those of an
    option. `series` is the exchange's series of what is traded in cash, `isin` its international number; None: not
    known. `is_test` marks what an exchange lists for its own trials. `lower_circuit_e4` and `upper_circuit_e4` are the
    price band of the very day that the definition was asked for, None where nobody told one of that day.
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
    underlying: str | None = None
    strike_e4: int | None = None
    option_type: OptionType | None = None
    series: str | None = None
    isin: str | None = None
    is_test: bool = False
    lower_circuit_e4: int | None = None
    upper_circuit_e4: int | None = None

    def is_on_tick(self, price_e4: int) -> bool:
        """Tell whether *price_e4* is a whole number of ticks."""
        return price_e4 % self.tick_e4 == 0


class DatedDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A definition and the days of the exchange (ISO) on which it holds.

    `valid_from` is the first of them, None where it holds from the beginning; `valid_until` is the first on which it
    does not hold any more, None where no end is known.
    """

    valid_from: str | None
    valid_until: str | None
    instrument: Instrument
