"""One batch of the log on its way into the read models: read, folded, and cut where a read model cannot go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from domain.envelope import RecordedEvent
from domain.events import Event, EventUnknown, decode_known
from projections.ports import Checkpoint
from projections.read_model import AnyReadModel, Key, Row


@dataclass(frozen=True, slots=True)
class Decoded:
    """An event of the log that this release can read. `event` is None for one that read models may ignore."""

    recorded: RecordedEvent
    event: Event | None


@dataclass(frozen=True, slots=True)
class Reading:
    """As much of a batch as can be read; `obstacle` says why it is not all."""

    decoded: list[Decoded]
    obstacle: str | None


def read_batch(batch: Sequence[RecordedEvent]) -> Reading:
    """Return the events of *batch*, up to the first that this release cannot read."""
    decoded = []
    for recorded in batch:
        try:
            decoded.append(Decoded(recorded, decode_known(recorded.name, recorded.payload)))
        except EventUnknown as error:
            return Reading(decoded, f"UPGRADE_NEEDED: sequence {recorded.sequence}: {error}")
        except msgspec.DecodeError as error:
            return Reading(decoded, f"POISON_EVENT: sequence {recorded.sequence} cannot be read: {error}")
    return Reading(decoded, None)


@dataclass(slots=True)
class Projection:
    """What a batch does to one read model: rows before and after, and where the model stands then."""

    model: AnyReadModel
    before: Checkpoint
    events: list[Decoded]
    keys: set[Key] = field(default_factory=set)
    changes: dict[Key, Row | None] = field(default_factory=dict)
    after: Checkpoint = field(init=False)
    _obstacle: str | None = None

    def __post_init__(self) -> None:
        self.after = self.before
        for number, decoded in enumerate(self.events):
            if decoded.event is None:
                continue
            try:
                key = self.model.key_of(decoded.event, decoded.recorded)
            except Exception as error:  # noqa: BLE001 - a fold is pure: whatever it raises it will always raise
                self._stop_before(number, decoded, error)
                return
            if key is not None:
                self.keys.add(key)

    def fold(self, rows: Mapping[Key, Row]) -> None:
        """Fold the events into *rows*, the rows that exist under `keys`."""
        kept: dict[Key, Row | None] = dict(rows)
        for number, decoded in enumerate(self.events):
            if decoded.event is None:
                continue
            try:
                key = self.model.key_of(decoded.event, decoded.recorded)
                if key is None:
                    continue
                row = self.model.apply(decoded.event, decoded.recorded, kept.get(key))
            except Exception as error:  # noqa: BLE001 - as above
                self._stop_before(number, decoded, error)
                break
            kept[key] = self.changes[key] = row
        last = self.events[-1].recorded if self.events else None
        if last is not None:
            self.after = Checkpoint(sequence=last.sequence, hash=last.hash)
        self.after = replace(self.after, halted=self._obstacle)

    def _stop_before(self, number: int, decoded: Decoded, error: Exception) -> None:
        self._obstacle = f"POISON_EVENT: sequence {decoded.recorded.sequence}: {type(error).__name__}: {error}"
        self.events = self.events[:number]


def project(checkpoints: Mapping[AnyReadModel, Checkpoint], decoded: Sequence[Decoded]) -> list[Projection]:
    """Return what *decoded* does to each read model: only what lies after its own checkpoint."""
    return [
        Projection(model, before, [each for each in decoded if each.recorded.sequence > before.sequence])
        for model, before in checkpoints.items()
    ]
