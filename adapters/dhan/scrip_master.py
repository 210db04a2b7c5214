"""Dhan's scrip master: its compact and its detailed layout, read into definitions of ours.

Columns are read by name, because the detailed layout has gained and lost some over the years. A tick is in paise and a
price band in rupees; an index may have its step in rupees. An expiry stands as `2025-09-30 14:30:00` (only the day is
right), as `2026-09-29` or as `27/11/36`; cash instruments and indices have none or a placeholder. Bonds, bills and
funds stand among the shares. Security ids are unique within exchange and segment only, and weekly options of one month
share their trading symbol, so symbols are made here:

- a share on the NSE, and an index, go by their own symbol: `RELIANCE`, `NIFTY`;
- a derivative by underlying, last day, strike and right: `NIFTY 07 OCT 2025 25000 CE`, `NIFTY 28 OCT 2025 FUT`;
- what the BSE lists has its name before that: `BSE:RELIANCE`, `BSE:SENSEX 09 OCT 2025 80000 PE`. Only the indices that
  it has derivatives on go without: `SENSEX`;
- where two would share a symbol, shares come before bonds and those before indices, series EQ before others: the other
  one is told with its series or segment, `IMC1-N1`, `INDEX:METAL`.

What a contract's price is multiplied with is not in the master. For commodities and currencies it comes from
`data/contract_units.csv`; what is not in there is known, and cannot be traded.
"""

import hashlib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from polars import col

from adapters.instrument_store.definitions import CIRCUITS, DEFINITION, KEY, MasterRead
from domain.instrument import InstrumentKind, OptionType, Segment

_SEGMENTS = {
    "NSE E": Segment.NSE_EQ,
    "NSE D": Segment.NSE_FNO,
    "NSE C": Segment.NSE_CURRENCY,
    "NSE I": Segment.INDEX,
    "BSE E": Segment.BSE_EQ,
    "BSE D": Segment.BSE_FNO,
    "BSE C": Segment.BSE_CURRENCY,
    "BSE I": Segment.INDEX,
    "MCX M": Segment.MCX_COMM,
    "MCX I": Segment.INDEX,
}
_CASH, _INDEX = "EQUITY", "INDEX"
_FUTURES = ("FUTIDX", "FUTSTK", "FUTCUR", "FUTCOM")
_OPTIONS = ("OPTIDX", "OPTSTK", "OPTCUR", "OPTFUT")
_ON_SHARES = ("FUTSTK", "OPTSTK")
_KINDS = {
    "ES": InstrumentKind.EQUITY,
    "ETF": InstrumentKind.FUND,
    "MF": InstrumentKind.FUND,
    "InvITU": InstrumentKind.FUND,
    "REIT": InstrumentKind.FUND,
}
"""What is traded in cash, by the broker's type of it. `Other` goes by its series, everything else is debt."""
_SHARE_SERIES = ("EQ", "BE", "BZ", "SM", "ST", "SZ", "IT", "A", "B", "T", "X", "XT", "Z", "ZP", "P", "M", "MT", "NT")
_BSE_INDICES_ALONE = ("SENSEX", "BANKEX", "SENSEX50")
_OPTION_TYPES = {"CE": OptionType.CALL, "PE": OptionType.PUT}
_TEST_SYMBOL, _TEST_ISIN = r"NSETEST$", "DUMMY"
_ISIN = "^[A-Z]{2}[0-9A-Z]{10}$"
_FREE_TEXT = ("own_symbol", "underlying", "name", "series")
_NO_EXPIRY_BEFORE = date(1990, 1, 1)
_UNDERLYING = r"^(.+?)-(?:\d\d)?[A-Z][a-z]{2}\d{4}-"
_E4_PER_RUPEE, _E4_PER_PAISA = 10_000, 100
_INDEX_TICK_E4 = 100
"""Where a master tells none: indices are published with two decimals."""
_LEVERAGE_OF_OWN_MONEY = 1.0

_COMPACT = {
    "exchange": "SEM_EXM_EXCH_ID",
    "part": "SEM_SEGMENT",
    "security_id": "SEM_SMST_SECURITY_ID",
    "instrument": "SEM_INSTRUMENT_NAME",
    "type": "SEM_EXCH_INSTRUMENT_TYPE",
    "own_symbol": "SEM_TRADING_SYMBOL",
    "name": "SEM_CUSTOM_SYMBOL",
    "series": "SEM_SERIES",
    "lot": "SEM_LOT_UNITS",
    "expiry": "SEM_EXPIRY_DATE",
    "strike": "SEM_STRIKE_PRICE",
    "right": "SEM_OPTION_TYPE",
    "tick": "SEM_TICK_SIZE",
}
_DETAILED = {
    "exchange": "EXCH_ID",
    "part": "SEGMENT",
    "security_id": "SECURITY_ID",
    "instrument": "INSTRUMENT",
    "type": "INSTRUMENT_TYPE",
    "underlying": "UNDERLYING_SYMBOL",
    "own_symbol": "SYMBOL_NAME",
    "name": "DISPLAY_NAME",
    "series": "SERIES",
    "lot": "LOT_SIZE",
    "expiry": "SM_EXPIRY_DATE",
    "strike": "STRIKE_PRICE",
    "right": "OPTION_TYPE",
    "tick": "TICK_SIZE",
}
_DETAILED_PERHAPS = {
    "isin": "ISIN",
    "leverage": "MTF_LEVERAGE",
    "upper": "SM_UPPER_LIMIT",
    "lower": "SM_LOWER_LIMIT",
    "freeze": "SM_FREEZE_QTY",
}
"""Columns that only some versions of the detailed layout have."""


class Unusable(StrEnum):
    """Why a row defines nothing we can use; the first that holds is counted."""

    SEGMENT_UNKNOWN = "segment_unknown"
    """A part of an exchange that no order can name, such as the commodity options of the NSE."""
    ID_MISSING = "id_missing"
    SYMBOL_MISSING = "symbol_missing"
    KIND_UNKNOWN = "kind_unknown"
    """An instrument of another kind than its segment has, such as an index among currencies."""
    TICK_INVALID = "tick_invalid"
    LOT_INVALID = "lot_invalid"
    EXPIRY_MISSING = "expiry_missing"
    """A derivative whose last day is missing or a placeholder."""
    EXPIRED = "expired"
    """A derivative whose last day was before the day of the master."""
    STRIKE_INVALID = "strike_invalid"
    KEY_REPEATED = "key_repeated"
    """Another row before it has the same exchange, segment and security id."""
    SYMBOL_REPEATED = "symbol_repeated"
    """Nothing tells its symbol from that of another row, not even series and segment."""


class ScripMasterInvalid(Exception):
    """The file is no scrip master, or cannot be read."""


def read_scrip_master(path: Path, *, on: date) -> MasterRead:
    """Return what the scrip master in *path* (CSV, also .gz), which is of the exchange's day *on*, defines.

    Raises:
        ScripMasterInvalid
    """
    try:
        content = path.read_bytes()
        header = pl.read_csv(content, infer_schema=False, truncate_ragged_lines=True, n_rows=0).columns
        layout, told, chosen = _layout_of(header, path.name)
        wanted = sorted(chosen.values())
        raw = pl.read_csv(content, infer_schema=False, truncate_ragged_lines=True, columns=wanted)
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        raise ScripMasterInvalid(f"received {path.name}, which cannot be read as CSV: {reason}") from error
    source_hash = hashlib.sha256(content).hexdigest()
    del content
    rows = raw.height
    judged = _judged(_meant(_by_our_names(raw, chosen)), on)
    del raw
    unusable = dict(judged.filter(col("why").is_not_null()).group_by("why").len().rows())
    judged = judged.filter(col("why").is_null())
    named, repeated = _with_symbols(judged)
    del judged
    if repeated:
        unusable[Unusable.SYMBOL_REPEATED.value] = repeated
    frame, tells_derivatives = _finished(named, on)
    if tells_derivatives:
        told |= {"has_derivatives"}
    return MasterRead(
        frame=frame,
        told=frozenset(told),
        layout=layout,
        rows=rows,
        unusable=dict(sorted(unusable.items())),
        source_hash=source_hash,
    )


def _layout_of(header: list[str], name: str) -> tuple[str, set[str], dict[str, str]]:
    """Return the layout, the columns of ours that it tells, and its columns by our names for them."""
    layout, columns = ("compact", _COMPACT) if set(_COMPACT.values()) <= set(header) else ("detailed", _DETAILED)
    if not set(columns.values()) <= set(header):
        raise ScripMasterInvalid(
            f"received {name} with columns {', '.join(header[:4])} …, expected those of a compact or detailed master"
        )
    perhaps = {ours: theirs for ours, theirs in _DETAILED_PERHAPS.items() if layout != "compact" and theirs in header}
    told = set(DEFINITION) - {"isin", "mtf", "freeze_quantity", "has_derivatives"}
    for ours, theirs in (("isin", "isin"), ("mtf", "leverage"), ("freeze_quantity", "freeze")):
        told |= {ours} if theirs in perhaps else set()
    told |= set(CIRCUITS) if {"upper", "lower"} <= perhaps.keys() else set()
    return layout, told, {**columns, **perhaps}


def _by_our_names(raw: pl.DataFrame, chosen: Mapping[str, str]) -> pl.DataFrame:
    """Return the rows under our names for the columns; those that the file does not have are null."""
    missing = sorted({"underlying", *_DETAILED_PERHAPS} - chosen.keys())
    return raw.select(
        *(
            (col(theirs).str.replace_all(r"[[:cntrl:]]", " ") if ours in _FREE_TEXT else col(theirs))
            .str.strip_chars()
            .alias(ours)
            for ours, theirs in chosen.items()
        ),
        *(pl.lit(None, pl.String).alias(ours) for ours in missing),
    )


def _meant(plain: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with what their text means; null where it means nothing."""
    is_index = col("instrument") == _INDEX
    is_cash = is_index | (col("instrument") == _CASH)
    day = col("expiry").str.slice(0, 10)
    expiry = pl.coalesce(day.str.to_date("%Y-%m-%d", strict=False), day.str.to_date("%d/%m/%y", strict=False))
    behind = pl.coalesce("underlying", col("own_symbol").str.extract(_UNDERLYING)).str.to_uppercase()
    by_series = pl.when(col("series").is_in(_SHARE_SERIES)).then(pl.lit(InstrumentKind.EQUITY.value))
    kind = (
        pl.when(is_index)
        .then(pl.lit(InstrumentKind.INDEX.value))
        .when(col("instrument").is_in(_FUTURES))
        .then(pl.lit(InstrumentKind.FUTURE.value))
        .when(col("instrument").is_in(_OPTIONS))
        .then(pl.lit(InstrumentKind.OPTION.value))
        .when((col("instrument") == _CASH) & (col("type") == "Other"))
        .then(by_series.otherwise(pl.lit(InstrumentKind.BOND.value)))
        .when(col("instrument") == _CASH)
        .then(_words("type", _KINDS, default=InstrumentKind.BOND))
    )
    tick = _number("tick")
    index_tick = pl.when(tick <= 0).then(_INDEX_TICK_E4).when(tick < 1).then(tick * _E4_PER_RUPEE)
    return plain.select(
        _words(col("exchange") + " " + col("part"), _SEGMENTS).alias("segment"),
        "exchange",
        "security_id",
        "instrument",
        kind.alias("kind"),
        pl.when(~is_index & (col("series") != "NA")).then("series").alias("series"),
        "name",
        # The detailed layout has a share's symbol in the column that names what is behind a derivative.
        pl.when(is_cash).then(pl.coalesce("underlying", "own_symbol")).otherwise("own_symbol").alias("own_symbol"),
        pl.when(~is_cash).then(behind).alias("underlying"),
        pl.when(~is_cash & (expiry >= _NO_EXPIRY_BEFORE)).then(expiry).alias("expiry"),
        (_number("strike") * _E4_PER_RUPEE).round().cast(pl.Int64).alias("strike_e4"),
        _words("right", _OPTION_TYPES).alias("option_type"),
        pl.when(is_index)
        .then(index_tick.otherwise(tick * _E4_PER_PAISA))
        .otherwise(tick * _E4_PER_PAISA)
        .round()
        .cast(pl.Int64)
        .alias("tick_e4"),
        pl.when(is_index).then(1).otherwise(_number("lot").cast(pl.Int64, strict=False)).alias("lot"),
        (_number("leverage") > _LEVERAGE_OF_OWN_MONEY).fill_null(value=False).alias("mtf"),
        _price_e4("lower").alias("lower_circuit_e4"),
        _price_e4("upper").alias("upper_circuit_e4"),
        pl.when(_number("freeze") > 0).then(_number("freeze").cast(pl.Int64, strict=False)).alias("freeze_quantity"),
        pl.when(col("isin").str.contains(_ISIN)).then("isin").alias("isin"),
        (pl.coalesce(behind, "own_symbol").str.contains(_TEST_SYMBOL) | col("isin").str.starts_with(_TEST_ISIN))
        .fill_null(value=False)
        .alias("is_test"),
    )


def _judged(meant: pl.DataFrame, on: date) -> pl.DataFrame:
    """Return the rows with why they define nothing we can use, null where they do."""
    is_derivative = col("kind").is_in([InstrumentKind.FUTURE.value, InstrumentKind.OPTION.value])
    is_index = col("kind") == InstrumentKind.INDEX.value
    in_cash = col("segment").is_in([Segment.NSE_EQ.value, Segment.BSE_EQ.value])
    in_place = (
        pl.when(is_index)
        .then(col("segment") == Segment.INDEX.value)
        .when(is_derivative)
        .then(~in_cash & (col("segment") != Segment.INDEX.value))
        .otherwise(in_cash)
    )
    is_sound_option = (col("strike_e4") > 0) & col("option_type").is_not_null()
    faults: list[tuple[Unusable, pl.Expr]] = [
        (Unusable.SEGMENT_UNKNOWN, col("segment").is_null()),
        (Unusable.ID_MISSING, ~col("security_id").str.contains("^[0-9A-Za-z]+$").fill_null(value=False)),
        (Unusable.SYMBOL_MISSING, col("own_symbol").fill_null("") == ""),
        (Unusable.KIND_UNKNOWN, col("kind").is_null() | ~in_place),
        (Unusable.TICK_INVALID, ~(col("tick_e4") > 0).fill_null(value=False)),
        (Unusable.LOT_INVALID, ~(col("lot") > 0).fill_null(value=False)),
        (Unusable.SYMBOL_MISSING, is_derivative & col("underlying").is_null()),
        (Unusable.EXPIRY_MISSING, is_derivative & col("expiry").is_null()),
        (Unusable.EXPIRED, (col("expiry") < on).fill_null(value=False)),
        (
            Unusable.STRIKE_INVALID,
            (col("kind") == InstrumentKind.OPTION.value) & ~is_sound_option.fill_null(value=False),
        ),
        (Unusable.KEY_REPEATED, ~pl.struct(KEY).is_first_distinct()),
    ]
    return meant.with_columns(
        pl.coalesce(pl.when(is_so).then(pl.lit(fault.value)) for fault, is_so in faults).alias("why")
    )


def _with_symbols(usable: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Return the rows with a symbol each that no other has, and how many had to be left out for want of one."""
    own = col("own_symbol").str.to_uppercase()
    strike = _plain_decimal(col("strike_e4"))
    right = pl.when(col("option_type") == OptionType.CALL.value).then(pl.lit("CE")).otherwise(pl.lit("PE"))
    days = usable["expiry"].drop_nulls().unique().to_list()
    last_day = col("expiry").replace_strict(
        days, [f"{day:%d %b %Y}".upper() for day in days], default=None, return_dtype=pl.String
    )
    name = (
        pl.when(col("kind") == InstrumentKind.OPTION.value)
        .then(pl.concat_str("underlying", last_day, strike, right, separator=" "))
        .when(col("kind") == InstrumentKind.FUTURE.value)
        .then(pl.concat_str("underlying", last_day, pl.lit("FUT"), separator=" "))
        .otherwise(own)
    )
    is_alone = (col("exchange") != "BSE") | (
        (col("kind") == InstrumentKind.INDEX.value) & own.is_in(_BSE_INDICES_ALONE)
    )
    named = usable.with_columns(pl.when(is_alone).then(name).otherwise(pl.lit("BSE:") + name).alias("symbol"))
    shared = named.filter(col("symbol").is_duplicated())
    if shared.is_empty():
        return named, 0
    kinds = [InstrumentKind.EQUITY, InstrumentKind.FUND, InstrumentKind.FUTURE, InstrumentKind.OPTION]
    rank = _words("kind", {kind.value: number for number, kind in enumerate(kinds)}, default=len(kinds))
    ranked = shared.sort(
        rank, col("segment") == Segment.INDEX.value, col("series") != "EQ", "series", "segment", "security_id"
    )
    first = ranked.filter(col("symbol").is_first_distinct())
    others = ranked.filter(~col("symbol").is_first_distinct()).with_columns(
        pl.when(col("series").is_not_null() & (col("segment") != Segment.INDEX.value))
        .then(col("symbol") + "-" + col("series"))
        .otherwise(col("segment") + ":" + col("symbol").str.strip_prefix("BSE:"))
        .alias("symbol")
    )
    whole = pl.concat([named.filter(~col("symbol").is_duplicated()), first, others])
    told_apart = whole.filter(col("symbol").is_first_distinct())
    return told_apart, whole.height - told_apart.height


def _finished(named: pl.DataFrame, on: date) -> tuple[pl.DataFrame, bool]:
    """Return the definitions, and whether the file tells on which shares there are derivatives."""
    units = pl.read_csv(
        (files("adapters") / "data" / "contract_units.csv").read_bytes(),
        schema={"segment": pl.String, "underlying": pl.String, "multiplier": pl.Int64},
    )
    # The national exchange's own contracts are in units of what is behind them; so are the BSE's.
    in_units = col("segment").is_in([Segment.NSE_FNO.value, Segment.BSE_FNO.value])
    is_debt_or_index = col("kind").is_in([InstrumentKind.BOND.value, InstrumentKind.INDEX.value])
    is_derivative = col("kind").is_in([InstrumentKind.FUTURE.value, InstrumentKind.OPTION.value])
    on_shares = named.filter(
        col("instrument").is_in(_ON_SHARES), col("segment") == Segment.NSE_FNO.value, ~col("is_test")
    )["underlying"].unique()
    is_share = col("segment").is_in([Segment.NSE_EQ.value]) & ~is_debt_or_index
    frame = (
        named.join(units, on=("segment", "underlying"), how="left", maintain_order="left")
        .with_columns(
            tradable=~col("is_test")
            & ~is_debt_or_index
            & (~is_derivative | in_units | col("multiplier").is_not_null()),
            multiplier=col("multiplier").fill_null(1),
            expires_on=col("expiry").dt.to_string("%Y-%m-%d"),
            strike_e4=pl.when(col("kind") == InstrumentKind.OPTION.value).then("strike_e4"),
            name=pl.coalesce("name", "own_symbol"),
            venue_symbol=pl.when(is_derivative).then(col("own_symbol").str.to_uppercase()),
            has_derivatives=is_share & col("own_symbol").str.to_uppercase().is_in(on_shares.implode()),
            circuits_on=pl.when(pl.any_horizontal(col("lower_circuit_e4", "upper_circuit_e4").is_not_null())).then(
                pl.lit(on)
            ),
        )
        .select(col(name).cast(kind) for name, kind in {**DEFINITION, **CIRCUITS}.items())
    )
    return frame, not on_shares.is_empty()


def _number(name: str) -> pl.Expr:
    return col(name).cast(pl.Float64, strict=False)


def _price_e4(name: str) -> pl.Expr:
    """Return a price in rupees as 1/10,000 rupee, null where it is none."""
    number = (_number(name) * _E4_PER_RUPEE).round()
    return pl.when(number > 0).then(number.cast(pl.Int64, strict=False))


def _words(name: str | pl.Expr, meanings: Mapping[str, Any], *, default: Any = None) -> pl.Expr:
    """Return what a column's words mean, *default* for others."""
    plain = {word: getattr(meaning, "value", meaning) for word, meaning in meanings.items()}
    known = next(iter(plain.values()))
    expression = col(name) if isinstance(name, str) else name
    return expression.replace_strict(
        list(plain),
        list(plain.values()),
        default=getattr(default, "value", default),
        return_dtype=pl.Int64 if isinstance(known, int) else pl.String,
    )


def _plain_decimal(price_e4: pl.Expr) -> pl.Expr:
    """Return a price as people write it: `25000`, `83.25`."""
    rupees, rest = price_e4 // _E4_PER_RUPEE, price_e4 % _E4_PER_RUPEE
    decimals = rest.cast(pl.String).str.zfill(4).str.strip_chars_end("0")
    whole = rupees.cast(pl.String)
    return pl.when(rest == 0).then(whole).otherwise(whole + "." + decimals)
