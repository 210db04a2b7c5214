"""One batch of the log on its way into the read models: read, shared out, folded; what cannot be taken in set aside."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple, cast

import msgspec

from domain.envelope import RecordedEvent
from domain.events import EVENT_TYPES, Event, EventUnknown, decode_known
from projections.ports import Checkpoint, ParkedEvent, Part
from projections.read_model import AnyReadModel, Key, OnPoison, Row
from projections.shards import shard_of


class Decoded(NamedTuple):
    """An event of the log that this release can read. `event` is None for one that read models may ignore."""

    recorded: RecordedEvent
    event: Event | None


class Concerned(NamedTuple):
    """An event that concerns a read model: what `Decoded` holds of one that may not be ignored."""

    recorded: RecordedEvent
    event: Event


@dataclass(frozen=True, slots=True)
class Reading:
    """As much of a batch as can be read; `obstacle` says why it is not all."""

    decoded: list[Decoded]
    obstacle: str | None


def read_batch(batch: Sequence[RecordedEvent], *, only: frozenset[str] | None = None) -> Reading:
    """Return the events of *batch*, up to the first that this release cannot read.

    Of events whose stored name is not among *only* (None: all are wanted) nothing but the name is looked at.
    """
    decoded = []
    for recorded in batch:
        if only is not None and recorded.name not in only and recorded.name in EVENT_TYPES:
            decoded.append(Decoded(recorded, None))
            continue
        try:
            decoded.append(Decoded(recorded, decode_known(recorded.name, recorded.payload)))
        except EventUnknown as error:
            return Reading(decoded, f"UPGRADE_NEEDED: sequence {recorded.sequence}: {error}")
        except msgspec.DecodeError as error:
            return Reading(decoded, f"POISON_EVENT: sequence {recorded.sequence} cannot be read: {error}")
    return Reading(decoded, None)


class _NoKey(NamedTuple):
    """Stands for the key of an event whose row could not be named."""

    error: Exception


@dataclass(slots=True)
class Projection:
    """What a batch does to one part: rows before and after, where it stands then, and what had to be put aside.

    `concerned` are the events for it; `parked_before` the streams that wait already.
    """

    part: Part
    before: Checkpoint
    batch: Sequence[Decoded]
    concerned: Sequence[Concerned]
    parked_before: frozenset[str]
    may_park: bool = True
    changes: dict[Key, Row | None] = field(default_factory=dict)
    parked: list[ParkedEvent] = field(default_factory=list)
    after: Checkpoint = field(init=False)
    _by_row: dict[Key, list[Concerned]] | None = field(init=False)

    def __post_init__(self) -> None:
        self.after = self.before
        model = self.part.model
        self._by_row = None if _only_makes(model) else _events_by_row(model, self.concerned)

    def wanted(self) -> Iterable[Key]:
        """Return the keys of the rows that `fold` needs, each once."""
        model = self.part.model
        if model.only_grows:
            return ()
        unasked = (*model.makes, *model.fresh)
        if self._by_row is not None:
            return [key for key, events in self._by_row.items() if type(events[0].event) not in unasked]
        first: dict[Key, bool] = {}
        for (_, event), keys in zip(self.concerned, self._keys(), strict=True):
            if isinstance(keys, _NoKey):
                continue
            for key in keys:
                if key not in first:
                    first[key] = type(event) in unasked
        return [key for key, is_unasked in first.items() if not is_unasked]

    def fold(self, rows: dict[Key, Row | None]) -> None:
        """Fold the events into *rows*, which has what exists under `wanted`, and has the rows after the batch then."""
        changes = self._fold_by_row(rows)
        if changes is None:
            self._move(self._fold_in_order(rows))
        else:
            self.changes = changes
            if self.part.model.fresh:  # Of what was not there and is not there now, nothing is to be written.
                was_there = {key for key in changes if rows.get(key) is not None}
                self.changes = {key: row for key, row in changes.items() if row is not None or key in was_there}
            rows.update(changes)
            self._move(None)

    def _fold_by_row(self, rows: Mapping[Key, Row | None]) -> dict[Key, Row | None] | None:
        """Return the rows after the batch, each folded for itself: a row is at hand while all its events come.

        None where the order among rows matters: something of the batch has to be put aside, or cannot be taken in.
        """
        if self.parked_before and any(each.recorded.stream_id in self.parked_before for each in self.concerned):
            return None
        try:
            if self._by_row is not None:
                return _folded(self.part.model, self._by_row, rows)
            if _only_makes(self.part.model):
                return _made(self.part.model, self.concerned)
        except Exception:  # noqa: BLE001 - raised again, and answered, where the events are folded in their order
            return None
        return None

    def _fold_in_order(self, rows: dict[Key, Row | None]) -> tuple[RecordedEvent, str] | None:
        """Fold event by event, put aside what has to be, and return where the part has to halt, and why."""
        apply, changes, is_sparse = self.part.model.apply, self.changes, bool(self.part.model.fresh)
        parked = set(self.parked_before)
        for (recorded, event), keys in zip(self.concerned, self._keys(), strict=True):
            if parked and recorded.stream_id in parked:
                self.parked.append(_parked(recorded))
                continue
            try:
                if isinstance(keys, _NoKey):
                    raise keys.error  # noqa: TRY301 - told as what the fold raises
                # All of an event or nothing of it, should one of its rows not take it in.
                made = [(key, apply(event, recorded, rows.get(key))) for key in keys]
            except Exception as error:  # noqa: BLE001 - a fold is pure: whatever it raises it will always raise
                told = f"{type(error).__name__}: {error}"
                if not self.may_park or self.part.model.on_poison is OnPoison.HALT:
                    return recorded, f"POISON_EVENT: sequence {recorded.sequence}: {told}"
                parked.add(recorded.stream_id)
                self.parked.append(_parked(recorded, told))
                continue
            for key, row in made:
                if row is not None or not is_sparse or rows.get(key) is not None:
                    changes[key] = row
                rows[key] = row
        return None

    def _keys(self) -> Iterator[tuple[Key, ...] | _NoKey]:
        """Yield the keys of each event."""
        keys_of = self.part.model.keys_of
        for recorded, event in self.concerned:
            try:
                yield keys_of(event, recorded)
            except Exception as error:  # noqa: BLE001 - as above
                yield _NoKey(error)

    def _move(self, obstacle: tuple[RecordedEvent, str] | None) -> None:
        reached: RecordedEvent | None = self.batch[-1].recorded
        halted = None
        if obstacle is not None:
            poison, halted = obstacle
            place = poison.sequence - self.batch[0].recorded.sequence
            reached = self.batch[place - 1].recorded if place else None
        if reached is None or reached.sequence <= self.before.sequence:
            self.after = replace(self.before, halted=halted)
        else:
            self.after = Checkpoint(sequence=reached.sequence, hash=reached.hash, halted=halted)


def _events_by_row(model: AnyReadModel, concerned: Sequence[Concerned]) -> dict[Key, list[Concerned]] | None:
    """Return the events of each row, in their order; None where one concerns several rows or its row has no name."""
    key_of, several = model.key_of, model.several
    rows: dict[Key, list[Concerned]] = {}
    try:
        for each in concerned:
            recorded, event = each
            if several and type(event) in several:
                return None
            key = key_of(event, recorded)
            if key is None:
                continue
            if (known := rows.get(key)) is None:
                rows[key] = [each]
            else:
                known.append(each)
    except Exception:  # noqa: BLE001 - as above
        return None
    return rows


def _folded(
    model: AnyReadModel, by_row: Mapping[Key, Sequence[Concerned]], rows: Mapping[Key, Row | None]
) -> dict[Key, Row | None]:
    apply = model.apply
    changes: dict[Key, Row | None] = {}
    for key, events in by_row.items():
        row = rows.get(key)
        for recorded, event in events:
            row = apply(event, recorded, row)
        changes[key] = row
    return changes


def _only_makes(model: AnyReadModel) -> bool:
    return model.only_grows and not model.several


def _made(model: AnyReadModel, concerned: Sequence[Concerned]) -> dict[Key, Row | None]:
    key_of, apply = model.key_of, model.apply
    return {
        key: apply(event, recorded, None)
        for recorded, event in concerned
        if (key := key_of(event, recorded)) is not None
    }


def _parked(recorded: RecordedEvent, error: str | None = None) -> ParkedEvent:
    return ParkedEvent(sequence=recorded.sequence, stream_id=recorded.stream_id, event_name=recorded.name, error=error)


@cache
def _concerned(models: tuple[AnyReadModel, ...]) -> dict[type[Event], tuple[int, ...]]:
    """Return which of *models* each type of event concerns, by their places."""
    concerns = [frozenset(model.concerns) for model in models]
    return {
        event_type: tuple(place for place, types in enumerate(concerns) if event_type in types)
        for event_type in EVENT_TYPES.values()
    }


def project(
    checkpoints: Mapping[Part, Checkpoint],
    decoded: Sequence[Decoded],
    *,
    shards: int = 1,
    parked: Mapping[AnyReadModel, frozenset[str]] | None = None,
    may_park: bool = True,
) -> list[Projection]:
    """Return what *decoded*, which is not empty and has no hole, does to each part: what lies after its checkpoint.

    *parked* names the streams that wait, by read model. Unless it *may_park*, every read model halts at poison.
    """
    models = tuple(dict.fromkeys(part.model for part in checkpoints))
    concerned = _concerned(models)
    boxes: dict[int, list[list[Concerned]]] = {part.shard: [[] for _ in models] for part in checkpoints}
    only_box = boxes.get(0) if shards == 1 else None
    for known in decoded:
        recorded, event = known
        if event is None or not (places := concerned[type(event)]):
            continue
        box = only_box if shards == 1 else boxes.get(shard_of(recorded.stream_id, shards))
        if box is not None:
            each = cast("Concerned", known)  # It has an event: another object for each would be made for nothing.
            for place in places:
                box[place].append(each)
    first = decoded[0].recorded.sequence
    projections = []
    for part, before in checkpoints.items():
        events = boxes[part.shard][models.index(part.model)]
        if before.sequence >= first:
            events = [each for each in events if each.recorded.sequence > before.sequence]
        waiting = frozenset() if parked is None else parked.get(part.model, frozenset())
        projections.append(Projection(part, before, decoded, events, waiting, may_park))
    return projections
