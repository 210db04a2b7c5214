"""Read model `users`, which answers who somebody is and which account is theirs. Personal data stays sealed."""

import msgspec

from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, UserId
from domain.user.events import ERASED, UserErased, UserRegistered
from projections.read_model import BY_USER, Key, ReadModel, RowMissing


class UserRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One user. `account_id` is the default account; the sealed fields open with the user's own key only.

    Of an erased user they are empty.
    """

    user_id: UserId
    account_id: AccountId
    email_nonce: bytes
    email_ciphertext: bytes
    name_nonce: bytes
    name_ciphertext: bytes
    registered_at_us: int
    sequence: int


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    return (event.user_id,) if isinstance(event, UserRegistered | UserErased) else None


def _apply(event: Event, recorded: RecordedEvent, row: UserRow | None) -> UserRow | None:
    if isinstance(event, UserErased):
        return _erased(event, recorded, row)
    if not isinstance(event, UserRegistered):
        return row
    return UserRow(
        user_id=event.user_id,
        account_id=event.account_id,
        email_nonce=event.email.nonce,
        email_ciphertext=event.email.ciphertext,
        name_nonce=event.name.nonce,
        name_ciphertext=event.name.ciphertext,
        registered_at_us=recorded.recorded_at_us,
        sequence=recorded.sequence,
    )


def _erased(event: UserErased, recorded: RecordedEvent, row: UserRow | None) -> UserRow:
    if row is None:
        raise RowMissing(event)
    return msgspec.structs.replace(
        row,
        email_nonce=ERASED.nonce,
        email_ciphertext=ERASED.ciphertext,
        name_nonce=ERASED.nonce,
        name_ciphertext=ERASED.ciphertext,
        sequence=recorded.sequence,
    )


USERS = ReadModel(
    name="users",
    version=1,
    row=UserRow,
    key=("user_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=(UserRegistered, UserErased),
    makes=(UserRegistered,),
    security=(BY_USER,),
)
