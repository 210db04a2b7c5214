"""Read model `users`, which answers who somebody is and which account is theirs. Personal data stays sealed."""

from typing import get_args

import msgspec

from domain.account.events import AccountMode
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, UserId
from domain.user.events import (
    ERASED,
    AccountAdded,
    BrokerLinked,
    BrokerUnlinked,
    ProfileChanged,
    RiskProfile,
    Sealed,
    UserErased,
    UserEvent,
    UserRegistered,
)
from projections.read_model import BY_USER, Key, ReadModel, RowMissing


class UserRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One user. `account_id` is the default account, `live_account_id` the one at the broker.

    The sealed fields open with the user's own key only. Of an erased user they are empty, and so is the client id of
    one who has none.
    """

    user_id: UserId
    account_id: AccountId
    email_nonce: bytes
    email_ciphertext: bytes
    name_nonce: bytes
    name_ciphertext: bytes
    client_id_nonce: bytes = b""
    client_id_ciphertext: bytes = b""
    live_account_id: AccountId | None = None
    credentials_set: bool = False
    risk_profile: RiskProfile | None = None
    registered_at_us: int
    changed_at_us: int
    sequence: int


def _key_of(event: Event, _: RecordedEvent) -> Key | None:
    return (event.user_id,) if isinstance(event, UserEvent) else None


def _apply(event: Event, recorded: RecordedEvent, row: UserRow | None) -> UserRow | None:
    if isinstance(event, UserRegistered):
        return UserRow(
            user_id=event.user_id,
            account_id=event.account_id,
            email_nonce=event.email.nonce,
            email_ciphertext=event.email.ciphertext,
            name_nonce=event.name.nonce,
            name_ciphertext=event.name.ciphertext,
            registered_at_us=recorded.recorded_at_us,
            changed_at_us=recorded.recorded_at_us,
            sequence=recorded.sequence,
        )
    if not isinstance(event, UserEvent):
        return row
    if row is None:
        raise RowMissing(event)
    return msgspec.structs.replace(
        _changed(event, row), changed_at_us=recorded.recorded_at_us, sequence=recorded.sequence
    )


def _changed(event: UserEvent, row: UserRow) -> UserRow:
    change = msgspec.structs.replace
    match event:
        case ProfileChanged():
            if event.name is not None:
                row = change(row, name_nonce=event.name.nonce, name_ciphertext=event.name.ciphertext)
            return change(row, risk_profile=event.risk_profile or row.risk_profile)
        case AccountAdded() if event.mode is AccountMode.LIVE:
            return change(row, live_account_id=event.account_id)
        case BrokerLinked():
            return change(row, credentials_set=True, **_client_id(event.client_id))
        case BrokerUnlinked():
            return change(row, credentials_set=False)
        case UserErased():
            return change(
                row,
                email_nonce=ERASED.nonce,
                email_ciphertext=ERASED.ciphertext,
                name_nonce=ERASED.nonce,
                name_ciphertext=ERASED.ciphertext,
                risk_profile=None,
                credentials_set=False,
                **_client_id(ERASED),
            )
        case _:
            return row


def _client_id(sealed: Sealed) -> dict[str, bytes]:
    return {"client_id_nonce": sealed.nonce, "client_id_ciphertext": sealed.ciphertext}


USERS = ReadModel(
    name="users",
    version=2,
    row=UserRow,
    key=("user_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=get_args(UserEvent),
    makes=(UserRegistered,),
    security=(BY_USER,),
)
