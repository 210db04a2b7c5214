"""A newer master joins the history: what is new, what became another, what is gone, each from the master's day on.

A master speaks of what it has rows of: an instrument that a file lacks is gone only if the file has others of its
segment and kind, and only if a master has told of it before: what is shipped stays. Columns that the file's layout does
not have stay as they are known.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

import msgspec
import polars as pl
from polars import col

from adapters.instrument_store.definitions import CIRCUITS, COMPARED, DEFINITION, HISTORY, KEY, MasterRead
from domain.instrument import DatedDefinition

_GONE_PERCENT_MAX = 20
_GONE_MIN = 10


class MasterLacksMany(Exception):
    """The file lacks so much of what is listed that it may be a part of a master; nothing was stored."""

    def __init__(self, gone: int, listed: int) -> None:
        super().__init__(f"it lacks {gone:,} of the {listed:,} instruments that are listed in its segments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The history after a master was merged into it, and how many instruments what happened to.

    `changed` has the renamed in it. `expired` are derivatives that are gone after their last day, `delisted` those that
    went without one. `has_changed` is False where the master says nothing new, not even a price band.
    """

    history: pl.DataFrame
    listed: int
    added: int
    changed: int
    renamed: int
    delisted: int
    expired: int
    has_changed: bool


def history_of(definitions: Collection[DatedDefinition]) -> pl.DataFrame:
    """Return the history that *definitions* (of version 0: those that are shipped) are."""
    rows = []
    for each in definitions:
        told = msgspec.to_builtins(each.instrument)
        whole = {**{name: getattr(each.instrument, name, None) for name in (*DEFINITION, *CIRCUITS)}, **told}
        key = whole.pop("key")
        rows.append(
            whole
            | {name: key[name] for name in KEY}
            | {
                "kind": each.instrument.kind.value,
                "valid_from": each.valid_from and date.fromisoformat(each.valid_from),
                "valid_until": each.valid_until and date.fromisoformat(each.valid_until),
                "since_version": 0,
                "until_version": None if each.valid_until is None else 0,
            }
        )
    return pl.DataFrame(rows, schema=HISTORY, orient="row")


def merge(
    history: pl.DataFrame,
    read: MasterRead,
    *,
    on: date,
    version: int,
    is_partial: bool = False,
    is_complete: bool = False,
) -> Merged:
    """Return *history* with the master *read*, which is of the day *on*, as its next *version*.

    From a part of a master (*is_partial*) nothing is taken to be gone. That it is complete (*is_complete*) is to be
    said of one that lacks much of what is listed.

    Raises:
        MasterLacksMany: it is neither, and lacks more than a fifth of what is listed in its segments.
    """
    ended, listed = _parted(history, col("until_version").is_null())
    coming = _completed(read, listed)
    both = coming.join(listed, on=KEY, how="inner", suffix="_before", maintain_order="left")
    is_other = pl.any_horizontal(col(name).ne_missing(col(f"{name}_before")) for name in COMPARED)
    is_renamed = col("symbol") != col("symbol_before")
    other = both.filter(is_other)
    added = coming.join(listed, on=KEY, how="anti", maintain_order="left")
    gone = _gone(listed, coming) if not is_partial else listed.clear()
    expired, delisted = _parted(gone, ~(col("expires_on") < on.isoformat()).fill_null(value=False))
    if not is_complete and not is_partial:
        _demand_most(listed, coming, delisted.height)

    over, same = _parted(
        listed, ~pl.struct(KEY).is_in(pl.concat([other.select(KEY), gone.select(KEY)]).to_struct().implode())
    )
    same, moved = _with_circuits(same, coming) if set(CIRCUITS) <= read.told else (same, False)
    over = over.with_columns(valid_until=pl.lit(on), until_version=pl.lit(version, pl.Int32))
    # The table that is shipped may know of days that a first master is older than: the master is believed.
    is_over = pl.struct(KEY).is_in(over.select(KEY).to_struct().implode())
    ended = ended.with_columns(
        pl.when(is_over & (col("valid_until") > on)).then(pl.lit(on)).otherwise("valid_until").alias("valid_until")
    )
    # What the first master has was there before it, nobody knows since when.
    is_first = not (history["since_version"] > 0).any()
    first_day = pl.lit(None if is_first else on, pl.Date)
    fresh = pl.concat(
        [
            other.select(*DEFINITION, *CIRCUITS).with_columns(valid_from=pl.lit(on)),
            added.select(*DEFINITION, *CIRCUITS).with_columns(valid_from=first_day),
        ]
    ).with_columns(
        valid_until=pl.lit(None, pl.Date),
        since_version=pl.lit(version, pl.Int32),
        until_version=pl.lit(None, pl.Int32),
    )
    whole = pl.concat([part.select(*HISTORY) for part in (ended, over, same, fresh)])
    return Merged(
        history=whole.sort(*KEY, "since_version", "valid_from"),
        listed=same.height + fresh.height,
        added=added.height,
        changed=other.height,
        renamed=other.filter(is_renamed).height,
        delisted=delisted.height,
        expired=expired.height,
        has_changed=moved or bool(fresh.height + over.height),
    )


def _completed(read: MasterRead, listed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a master with what is known already in the columns that it does not tell."""
    untold = [name for name in COMPARED if name not in read.told]
    if not untold:
        return read.frame
    known = listed.select(*KEY, *(col(name).alias(f"known_{name}") for name in untold))
    joined = read.frame.join(known, on=KEY, how="left", maintain_order="left")
    completed = joined.with_columns(pl.coalesce(f"known_{name}", name).alias(name) for name in untold)
    return completed.select(read.frame.columns)


def _gone(listed: pl.DataFrame, coming: pl.DataFrame) -> pl.DataFrame:
    """Return what is listed and missing where the master has others of the kind."""
    return _spoken_of(listed, coming).join(coming, on=KEY, how="anti", maintain_order="left")


def _spoken_of(listed: pl.DataFrame, coming: pl.DataFrame) -> pl.DataFrame:
    kinds = coming.select("segment", "kind").unique()
    imported = listed.filter(col("since_version") > 0)
    return imported.join(kinds, on=("segment", "kind"), how="semi", maintain_order="left")


def _demand_most(listed: pl.DataFrame, coming: pl.DataFrame, delisted: int) -> None:
    spoken_of = _spoken_of(listed, coming).height
    if delisted > _GONE_MIN and delisted * 100 > spoken_of * _GONE_PERCENT_MAX:
        raise MasterLacksMany(delisted, spoken_of)


def _with_circuits(same: pl.DataFrame, coming: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """Return rows with the price bands of the day, and whether any is another than before."""
    told = coming.select(*KEY, *(col(name).alias(f"told_{name}") for name in CIRCUITS))
    joined = same.join(told, on=KEY, how="left", maintain_order="left")
    is_told = col("told_circuits_on").is_not_null()
    moved = joined.filter(
        is_told & pl.any_horizontal(col(name).ne_missing(col(f"told_{name}")) for name in CIRCUITS)
    ).height
    replaced = (pl.when(is_told).then(f"told_{name}").otherwise(name).alias(name) for name in CIRCUITS)
    return joined.with_columns(replaced).select(same.columns), bool(moved)


def _parted(frame: pl.DataFrame, is_second: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    return frame.filter(~is_second), frame.filter(is_second)
