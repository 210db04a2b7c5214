"""The table of definitions: its columns, and what was read of a broker's master before it becomes part of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

KEY = ("segment", "security_id")
DEFINITION: dict[str, type[pl.DataType]] = {
    "segment": pl.String,
    "security_id": pl.String,
    "symbol": pl.String,
    "venue_symbol": pl.String,
    "name": pl.String,
    "kind": pl.String,
    "tradable": pl.Boolean,
    "is_test": pl.Boolean,
    "tick_e4": pl.Int64,
    "lot": pl.Int64,
    "multiplier": pl.Int64,
    "freeze_quantity": pl.Int64,
    "expires_on": pl.String,
    "mtf": pl.Boolean,
    "has_derivatives": pl.Boolean,
    "underlying": pl.String,
    "strike_e4": pl.Int64,
    "option_type": pl.String,
    "series": pl.String,
    "isin": pl.String,
}
"""A definition by itself: the fields of `domain.instrument.Instrument`, and the exchange's own symbol for it."""
COMPARED = tuple(name for name in DEFINITION if name not in KEY)
"""What makes another definition of it when it changes."""
CIRCUITS: dict[str, type[pl.DataType]] = {
    "lower_circuit_e4": pl.Int64,
    "upper_circuit_e4": pl.Int64,
    "circuits_on": pl.Date,
}
"""The price band of one day: another every day, so it is no part of a definition, and only the newest is kept."""
VALIDITY: dict[str, type[pl.DataType]] = {
    "valid_from": pl.Date,
    "valid_until": pl.Date,
    "since_version": pl.Int32,
    "until_version": pl.Int32,
}
"""On which days a definition holds (null: no end to that side), and which versions of the master brought and ended it.

Version 0 is the table that is shipped.
"""
HISTORY = {**DEFINITION, **CIRCUITS, **VALIDITY}


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterRead:
    """A broker's master in our words.

    `frame` has the columns of `DEFINITION` and `CIRCUITS`, one row per instrument. `told` names the columns that the
    file's layout has: what it does not have stays as it is known. `rows` counts what the file holds, `unusable` the
    rows that define nothing we can use, by reason. `source_hash` is the file's SHA-256.
    """

    frame: pl.DataFrame
    told: frozenset[str]
    layout: str
    rows: int
    unusable: Mapping[str, int]
    source_hash: str
