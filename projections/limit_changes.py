"""Read model `limit_changes`, which answers which limits an account had when, and who set them."""

import msgspec

from domain.account.events import AccountOpened, RiskParametersChanged
from domain.envelope import Metadata, RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from domain.risk import RiskParameters
from projections.read_model import Key, ReadModel, account_of


class LimitChangeRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Limits in force from `sequence` on. `changed_by` asked for them through the door `source`; None: nobody said."""

    sequence: int
    account_id: AccountId
    parameters: RiskParameters
    changed_by: str | None
    source: str | None
    changed_at_us: int


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    return (str(recorded.sequence),) if isinstance(event, AccountOpened | RiskParametersChanged) else None


def _apply(event: Event, recorded: RecordedEvent, row: LimitChangeRow | None) -> LimitChangeRow | None:
    if not isinstance(event, AccountOpened | RiskParametersChanged):
        return row
    metadata = msgspec.json.decode(recorded.metadata, type=Metadata)
    return LimitChangeRow(
        sequence=recorded.sequence,
        account_id=AccountId(account_of(recorded)),
        parameters=event.parameters,
        changed_by=metadata.actor or None,
        source=metadata.source or None,
        changed_at_us=recorded.recorded_at_us,
    )


LIMIT_CHANGES = ReadModel(
    name="limit_changes",
    version=1,
    row=LimitChangeRow,
    key=("sequence",),
    key_of=_key_of,
    apply=_apply,
    concerns=(AccountOpened, RiskParametersChanged),
    only_grows=True,
    indexes=(("account_id", "sequence"),),
)
