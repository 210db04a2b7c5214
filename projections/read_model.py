"""What a read model is: a pure fold of the log into rows, and the table that keeps them.

The row is a struct, and the table's columns are its fields: one definition serves the fold, SQL and the tests. Another
row or another meaning is a new version, with a table of its own beside the old one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from domain.envelope import RecordedEvent
from domain.events import EVENT_TYPES, Event

if TYPE_CHECKING:
    from sqlalchemy import Table

SCHEMA = "views"

Key = tuple[str, ...]
Row = msgspec.Struct
Change = dict[str, Any]
"""Fields of a row with their new values."""
RowT = TypeVar("RowT", bound=msgspec.Struct)


class RowMissing(Exception):
    """An event changes a row that no earlier event made: the fold and the log do not fit. The read model halts."""

    def __init__(self, event: Event) -> None:
        super().__init__(f"{type(event).__name__} changes a row that does not exist")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSecurity:
    """By which column the database decides whether a reader may see a row; one of several is enough.

    `setting` holds what the reader may see, comma-separated: the readers' transactions set it.
    """

    column: str
    setting: str


BY_ACCOUNT = RowSecurity(column="account_id", setting="khata.accounts")
BY_USER = RowSecurity(column="user_id", setting="khata.users")


def table_name_of(name: str, version: int, generation: int) -> str:
    """Return the name of an edition's table: `positions_v1`, or `positions_v1_g2` where it was filled a second time."""
    return f"{name}_v{version}" if generation == 1 else f"{name}_v{version}_g{generation}"


class OnPoison(Enum):
    """What becomes of a read model that cannot take an event in."""

    HALT = "halt"
    """It stops before the event: better no news than wrong ones, where money is decided on it."""
    PARK = "park"
    """The event's stream is put aside, with all that follows in it, and the others go on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadModel(Generic[RowT]):
    """A question's answer, kept up to date.

    `key_of` names the row that an event concerns (None: none), `apply` returns that row after it: from None where the
    row does not exist yet, to None where it shall not exist any more. Both are pure, and a row is made of the events of
    one stream, so that streams can be shared out and put aside. `key` names the row's columns that make up the key, in
    the order of `key_of`. `several` holds the kinds of event that may concern more than one row, each with what names
    them all: such an event is applied to each of these rows, or to none.

    `concerns` are the types of event that `key_of` may name a row for; `makes` those of them that make their row
    whatever was there before, and `fresh` those before which there cannot be a row: none is looked for, so a model of
    what happens rarely costs next to nothing while it does not. A model that `only_grows` has one new row for each
    event that concerns it. `generation` counts how often this version's table was filled anew.
    """

    name: str
    version: int
    row: type[RowT]
    key: tuple[str, ...]
    key_of: Callable[[Event, RecordedEvent], Key | None]
    apply: Callable[[Event, RecordedEvent, RowT | None], RowT | None]
    concerns: tuple[type[Event], ...]
    makes: tuple[type[Event], ...] = ()
    fresh: tuple[type[Event], ...] = ()
    several: Mapping[type[Event], Callable[[Any, RecordedEvent], tuple[Key, ...]]] = field(default_factory=dict)
    only_grows: bool = False
    on_poison: OnPoison = OnPoison.PARK
    security: tuple[RowSecurity, ...] = (BY_ACCOUNT,)
    indexes: tuple[tuple[str, ...], ...] = ()
    generation: int = 1

    @property
    def table_name(self) -> str:
        """The table's name within the schema `views`."""
        return table_name_of(self.name, self.version, self.generation)

    @cached_property
    def table(self) -> "Table":
        """The table: one column per field of the row."""
        # Every process names read models in its ports; SQLAlchemy is a third of what the others would have to load.
        from projections.tables import make_table  # noqa: PLC0415

        return make_table(self.table_name, self.row, schema=SCHEMA, key=self.key, indexes=self.indexes)

    def in_generation(self, generation: int) -> "ReadModel[RowT]":
        """Return the same read model with the table of another generation; the same object for the same generation."""
        return self if generation == self.generation else _in_generation(self, generation)

    def keys_of(self, event: Event, recorded: RecordedEvent) -> tuple[Key, ...]:
        """Return the keys of the rows that an event concerns; of one row nearly always."""
        keys_of = self.several.get(type(event)) if self.several else None
        if keys_of is not None:
            return keys_of(event, recorded)
        key = self.key_of(event, recorded)
        return () if key is None else (key,)

    def key_of_row(self, row: RowT) -> Key:
        """Return the key of *row*."""
        return tuple(str(getattr(row, name)) for name in self.key)

    def __repr__(self) -> str:
        return f"ReadModel({self.table_name})"


AnyReadModel = ReadModel[Any]


@cache
def _in_generation(model: AnyReadModel, generation: int) -> AnyReadModel:
    return replace(model, generation=generation)


def events_with(field: str) -> tuple[type[Event], ...]:
    """Return the types of event that have *field*."""
    return tuple(each for each in EVENT_TYPES.values() if field in each.__struct_fields__)


def fold(model: ReadModel[RowT], events: Iterable[tuple[Event, RecordedEvent]], rows: dict[Key, RowT | None]) -> None:
    """Apply *events*, oldest first, to *rows*, which holds every row they concern (None: it does not exist)."""
    concerns = frozenset(model.concerns)
    for event, recorded in events:
        if type(event) not in concerns:
            continue
        for key in model.keys_of(event, recorded):
            row = model.apply(event, recorded, rows.get(key))
            if row is not None or key in rows:
                rows[key] = row


def account_of(recorded: RecordedEvent) -> str:
    """Return the account in whose stream an event lies."""
    return recorded.stream_id.removeprefix("account-")
