"""The instrument master as the broker's downloads list it: the compact and the detailed layout, made from ours.

What the layouts tell and our master does not (flags, margins of bracket orders) stands as it does for an instrument
without any of it. A tick is in paise and a price band in rupees; an index has its step in rupees. Lines of the detailed
layout end with a comma.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from adapters.simulator.words.rows import PLACES
from domain.instrument import Instrument, InstrumentKind, OptionType, Segment
from domain.money import E4_PER_PAISA, E4_PER_RUPEE

_BSE = "BSE:"
_BSE_INDICES = frozenset({"SENSEX", "BANKEX", "SENSEX50"})
_RIGHTS = {OptionType.CALL: "CE", OptionType.PUT: "PE", None: "XX"}
_CASH_TYPES = {InstrumentKind.EQUITY: "ES", InstrumentKind.FUND: "ETF", InstrumentKind.BOND: "DBT"}
_DERIVATIVES = frozenset({InstrumentKind.FUTURE, InstrumentKind.OPTION})
_LENT_ON, _NOT_LENT_ON = "4.00", "0"
_COMPACT = (
    "SEM_EXM_EXCH_ID", "SEM_SEGMENT", "SEM_SMST_SECURITY_ID", "SEM_INSTRUMENT_NAME", "SEM_EXPIRY_CODE",
    "SEM_TRADING_SYMBOL", "SEM_LOT_UNITS", "SEM_CUSTOM_SYMBOL", "SEM_EXPIRY_DATE", "SEM_STRIKE_PRICE",
    "SEM_OPTION_TYPE", "SEM_TICK_SIZE", "SEM_EXPIRY_FLAG", "SEM_EXCH_INSTRUMENT_TYPE", "SEM_SERIES", "SM_SYMBOL_NAME",
)  # fmt: skip
_DETAILED = (
    "EXCH_ID", "SEGMENT", "SECURITY_ID", "ISIN", "INSTRUMENT", "UNDERLYING_SECURITY_ID", "UNDERLYING_SYMBOL",
    "SYMBOL_NAME", "DISPLAY_NAME", "INSTRUMENT_TYPE", "SERIES", "LOT_SIZE", "SM_EXPIRY_DATE", "STRIKE_PRICE",
    "OPTION_TYPE", "TICK_SIZE", "EXPIRY_FLAG", "BRACKET_FLAG", "COVER_FLAG", "ASM_GSM_FLAG", "ASM_GSM_CATEGORY",
    "BUY_SELL_INDICATOR", "BUY_CO_MIN_MARGIN_PER", "BUY_CO_SL_RANGE_MAX_PERC", "BUY_CO_SL_RANGE_MIN_PERC",
    "BUY_BO_MIN_MARGIN_PER", "BUY_BO_PROFIT_RANGE_MAX_PERC", "BUY_BO_PROFIT_RANGE_MIN_PERC", "MTF_LEVERAGE",
    "SM_UPPER_LIMIT", "SM_LOWER_LIMIT", "SM_FREEZE_QTY",
)  # fmt: skip
_NO_BRACKETS = ("0",) * 6

_Row = Callable[[Instrument, "_Words"], Sequence[str]]
_Words = Mapping[str, InstrumentKind]
"""What kind of instrument goes by a symbol: tells whether a derivative is one on an index."""


def compact_list(instruments: Sequence[Instrument]) -> bytes:
    """Return the compact layout, a header and a line for each instrument."""
    return _written(_COMPACT, instruments, _compact_row, end="")


def detailed_list(instruments: Sequence[Instrument], *, of: Segment | None = None) -> bytes:
    """Return the detailed layout, where *of* is given the instruments of that segment alone."""
    return _written(_DETAILED, instruments, _detailed_row, end=",", of=of)


def _written(
    header: Iterable[str], instruments: Sequence[Instrument], row: _Row, *, end: str, of: Segment | None = None
) -> bytes:
    kinds = {each.symbol: each.kind for each in instruments if each.kind not in _DERIVATIVES}
    lines = [f"{','.join(header)}{end}"]
    # No field of either layout is quoted, so a comma in a name becomes a blank.
    lines.extend(
        f"{','.join(field.replace(',', ' ') for field in row(each, kinds))}{end}"
        for each in instruments
        if of is None or each.key.segment is of
    )
    return ("\n".join(lines) + "\n").encode()


def _compact_row(each: Instrument, kinds: _Words) -> Sequence[str]:
    exchange, segment = _place(each)
    is_derivative = each.kind in _DERIVATIVES
    return (
        exchange,
        segment,
        each.key.security_id,
        _instrument_word(each, kinds),
        "0",
        _trading_symbol(each),
        f"{each.lot:.1f}",
        each.name,
        f"{each.expires_on} 14:30:00" if is_derivative else "",
        *_contract(each),
        _type_word(each),
        _series(each),
        "" if is_derivative else each.name.upper(),
    )


def _detailed_row(each: Instrument, kinds: _Words) -> Sequence[str]:
    exchange, segment = _place(each)
    is_derivative = each.kind in _DERIVATIVES
    return (
        exchange,
        segment,
        each.key.security_id,
        each.isin or "NA",
        _instrument_word(each, kinds),
        "",
        _bare(each.underlying or "") if is_derivative else _own_symbol(each),
        _trading_symbol(each) if is_derivative else each.name.upper(),
        each.name,
        _type_word(each),
        _series(each),
        f"{each.lot:.1f}",
        (each.expires_on or "") if is_derivative else "",
        *_contract(each),
        "N",
        "N",
        "N",
        "NA",
        "A",
        *_NO_BRACKETS,
        _LENT_ON if each.mtf else _NOT_LENT_ON,
        f"{(each.upper_circuit_e4 or 0) / E4_PER_RUPEE:.4f}",
        f"{(each.lower_circuit_e4 or 0) / E4_PER_RUPEE:.4f}",
        str(each.freeze_quantity or 0),
    )


def _place(each: Instrument) -> tuple[str, str]:
    if each.kind is InstrumentKind.INDEX and (each.symbol.startswith(_BSE) or each.symbol in _BSE_INDICES):
        return "BSE", "I"
    return PLACES[each.key.segment]


def _instrument_word(each: Instrument, kinds: _Words) -> str:
    if each.kind is InstrumentKind.INDEX:
        return "INDEX"
    if each.kind not in _DERIVATIVES:
        return "EQUITY"
    is_future = each.kind is InstrumentKind.FUTURE
    match each.key.segment:
        case Segment.NSE_CURRENCY | Segment.BSE_CURRENCY:
            return "FUTCUR" if is_future else "OPTCUR"
        case Segment.MCX_COMM:
            return "FUTCOM" if is_future else "OPTFUT"
        case _:
            on_share = kinds.get(each.underlying or "") is InstrumentKind.EQUITY
            return f"{'FUT' if is_future else 'OPT'}{'STK' if on_share else 'IDX'}"


def _type_word(each: Instrument) -> str:
    if each.kind is InstrumentKind.INDEX:
        return "INDEX"
    if each.kind in _DERIVATIVES:
        return "FUT" if each.kind is InstrumentKind.FUTURE else "OP"
    return _CASH_TYPES[each.kind]


def _series(each: Instrument) -> str:
    if each.kind is InstrumentKind.INDEX or each.kind in _DERIVATIVES:
        return each.series or "NA"
    return each.series or "EQ"


def _contract(each: Instrument) -> tuple[str, str, str, str]:
    """Return strike, right, tick and expiry flag, which both layouts have in a row."""
    if each.kind not in _DERIVATIVES:
        return "", "", _tick(each), "NA"
    return f"{(each.strike_e4 or 0) / E4_PER_RUPEE:.5f}", _RIGHTS[each.option_type], _tick(each), "M"


def _tick(each: Instrument) -> str:
    unit = E4_PER_RUPEE if each.kind is InstrumentKind.INDEX and each.tick_e4 < E4_PER_RUPEE else E4_PER_PAISA
    return f"{each.tick_e4 / unit:.4f}"


def _trading_symbol(each: Instrument) -> str:
    """Return the exchange's symbol; weekly options of one month share it."""
    if each.kind not in _DERIVATIVES:
        return _own_symbol(each)
    month = f"{date.fromisoformat(each.expires_on or ''):%b%Y}"
    name = f"{_bare(each.underlying or '')}-{month}"
    if each.kind is InstrumentKind.FUTURE:
        return f"{name}-FUT"
    return f"{name}-{(each.strike_e4 or 0) / E4_PER_RUPEE:g}-{_RIGHTS[each.option_type]}"


def _own_symbol(each: Instrument) -> str:
    """Return a symbol of ours without what tells it from another exchange's, another series' or another segment's."""
    symbol = _bare(each.symbol)
    if each.kind is InstrumentKind.INDEX:
        return symbol.removeprefix("INDEX:")
    return symbol.removesuffix(f"-{each.series}") if each.series else symbol


def _bare(symbol: str) -> str:
    return symbol.removeprefix(_BSE)
