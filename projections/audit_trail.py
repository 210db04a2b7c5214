"""Read model `audit_trail`, which answers what happened, by whom, from where and why: one row for each event of ours.

It names users, accounts and ids, and holds no personal data and no free text. What the `eventsourcing` library's
applications write to the log is theirs, and not in it.
"""

from functools import lru_cache

import msgspec

from domain.envelope import Metadata, RecordedEvent
from domain.events import EVENT_TYPES, Event
from domain.ids import AccountId, OrderId, TradeId, UserId
from projections.read_model import BY_ACCOUNT, BY_USER, Key, ReadModel

_ACCOUNT = "account-"
_METADATA = msgspec.json.Decoder(Metadata)


@lru_cache(maxsize=1_024)
def _said(metadata: bytes) -> Metadata:
    # The events of one command come together and carry the same.
    return _METADATA.decode(metadata)


class AuditTrailRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event. `account_id` or `user_id` says whose it is: the account's, or else the user's.

    `actor` asked for it through the door `source`; `correlation_id` names the workflow and `causation_id` what made it
    happen. None: nobody said. `received_at_ns` is when the command reached us (UTC nanoseconds).
    """

    sequence: int
    stream_id: str
    version: int
    name: str
    account_id: AccountId | None
    user_id: UserId | None
    trade_id: TradeId | None
    order_id: OrderId | None
    actor: str | None
    source: str | None
    correlation_id: str | None
    causation_id: str | None
    command_id: str
    received_at_ns: int | None
    recorded_at_us: int


def _key_of(_: Event, recorded: RecordedEvent) -> Key | None:
    return (str(recorded.sequence),)


def _apply(event: Event, recorded: RecordedEvent, _: AuditTrailRow | None) -> AuditTrailRow | None:
    stream_id = recorded.stream_id
    metadata = _said(recorded.metadata)
    is_accounts = stream_id.startswith(_ACCOUNT)
    return AuditTrailRow(
        sequence=recorded.sequence,
        stream_id=stream_id,
        version=recorded.version,
        name=recorded.name,
        account_id=AccountId(stream_id[len(_ACCOUNT) :]) if is_accounts else None,
        user_id=None if is_accounts else getattr(event, "user_id", None),
        trade_id=getattr(event, "trade_id", None),
        order_id=getattr(event, "order_id", None),
        actor=metadata.actor or None,
        source=metadata.source or None,
        correlation_id=metadata.correlation_id or None,
        causation_id=metadata.causation_id or None,
        command_id=recorded.command_id,
        received_at_ns=metadata.received_at_ns or None,
        recorded_at_us=recorded.recorded_at_us,
    )


AUDIT_TRAIL = ReadModel(
    name="audit_trail",
    version=1,
    row=AuditTrailRow,
    key=("sequence",),
    key_of=_key_of,
    apply=_apply,
    concerns=tuple(EVENT_TYPES.values()),
    only_grows=True,
    security=(BY_ACCOUNT, BY_USER),
    indexes=(("account_id", "sequence"), ("user_id", "sequence")),
)
