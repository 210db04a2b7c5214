"""What one version of the master changed, read from the history."""

import msgspec
import polars as pl
from polars import col

from adapters.instrument_store.definitions import COMPARED, KEY


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to one instrument. `fields` has before and after of what is another, by the definition's field."""

    key: str
    symbol: str
    fields: dict[str, tuple[str | int | bool | None, str | int | bool | None]] = {}


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What one version changed, each list sorted by symbol. The renamed are not among the changed."""

    added: list[Change]
    changed: list[Change]
    renamed: list[Change]
    delisted: list[Change]
    expired: list[Change]


def changes_of(history: pl.DataFrame, version: int) -> Changes:
    """Return what *version* changed."""
    began = history.filter(col("since_version") == version)
    over = history.filter(col("until_version") == version)
    both = began.join(over, on=KEY, suffix="_before")
    gone = over.join(began, on=KEY, how="anti")
    has_expired = (col("expires_on") < col("valid_until").cast(pl.String)).fill_null(value=False)
    is_renamed = col("symbol") != col("symbol_before")
    return Changes(
        added=_plain(began.join(over, on=KEY, how="anti")),
        changed=_with_fields(both.filter(~is_renamed)),
        renamed=_with_fields(both.filter(is_renamed)),
        delisted=_plain(gone.filter(~has_expired)),
        expired=_plain(gone.filter(has_expired)),
    )


def _plain(rows: pl.DataFrame) -> list[Change]:
    named = rows.sort("symbol", *KEY).select(*KEY, "symbol").rows()
    return [Change(key=f"{segment}:{security_id}", symbol=symbol) for segment, security_id, symbol in named]


def _with_fields(rows: pl.DataFrame) -> list[Change]:
    return [
        Change(
            key=f"{row['segment']}:{row['security_id']}",
            symbol=row["symbol"],
            fields={
                name: (row[f"{name}_before"], row[name]) for name in COMPARED if row[f"{name}_before"] != row[name]
            },
        )
        for row in rows.sort("symbol", *KEY).iter_rows(named=True)
    ]
