"""Read model `memberships`, which answers who the members of an account are, and of which accounts somebody is one."""

import msgspec

from domain.account.events import AccountOpened, MemberRemoved, MemberSet, Role
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, UserId
from projections.read_model import BY_ACCOUNT, BY_USER, Key, ReadModel, RowMissing, account_of


class MembershipRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One member of an account, or who was one: their `role` is None.

    `is_opener`: they opened it, and are its owner for good.
    """

    account_id: AccountId
    user_id: UserId
    role: Role | None
    is_opener: bool
    since_us: int
    changed_at_us: int
    sequence: int


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    match event:
        case AccountOpened():
            return (account_of(recorded), event.owner_id)
        case MemberSet() | MemberRemoved():
            return (account_of(recorded), event.member_id)
        case _:
            return None


def _apply(event: Event, recorded: RecordedEvent, row: MembershipRow | None) -> MembershipRow | None:
    match event:
        case AccountOpened():
            return _joined(recorded, event.owner_id, Role.OWNER, is_opener=True)
        case MemberSet():
            if row is None or row.role is None:
                return _joined(recorded, event.member_id, event.role, is_opener=False)
            return _changed(recorded, row, event.role)
        case MemberRemoved():
            if row is None:
                raise RowMissing(event)
            return _changed(recorded, row, None)
        case _:
            return row


def _changed(recorded: RecordedEvent, row: MembershipRow, role: Role | None) -> MembershipRow:
    return msgspec.structs.replace(row, role=role, changed_at_us=recorded.recorded_at_us, sequence=recorded.sequence)


def _joined(recorded: RecordedEvent, user_id: UserId, role: Role, *, is_opener: bool) -> MembershipRow:
    return MembershipRow(
        account_id=AccountId(account_of(recorded)),
        user_id=user_id,
        role=role,
        is_opener=is_opener,
        since_us=recorded.recorded_at_us,
        changed_at_us=recorded.recorded_at_us,
        sequence=recorded.sequence,
    )


MEMBERSHIPS = ReadModel(
    name="memberships",
    version=1,
    row=MembershipRow,
    key=("account_id", "user_id"),
    key_of=_key_of,
    apply=_apply,
    concerns=(AccountOpened, MemberSet, MemberRemoved),
    makes=(AccountOpened,),
    security=(BY_ACCOUNT, BY_USER),
    indexes=(("user_id",),),
)
