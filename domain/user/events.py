"""What can happen to a user. Personal data stands only here, and only sealed."""

from enum import StrEnum

import msgspec

from domain.account.events import AccountMode
from domain.ids import AccountId, UserId


class Sealed(msgspec.Struct, frozen=True):
    """A personal field under the user's own key (AES-256-GCM). With the key destroyed it reads as erased."""

    nonce: bytes
    ciphertext: bytes


ERASED = Sealed(nonce=b"", ciphertext=b"")
"""What every sealed field of an erased user folds to: nothing is left to be opened."""


class UserRegistered(msgspec.Struct, frozen=True, kw_only=True, tag="user.registered.v1"):
    """A person can log in. `account_id` is the paper account that came with it and their default account."""

    user_id: UserId
    account_id: AccountId
    email: Sealed
    name: Sealed


class RiskProfile(StrEnum):
    """How much risk a person says they want to take. It binds nothing: limits are those of the account."""

    CONSERVATIVE = "conservative"
    BALANCED = "balanced"
    AGGRESSIVE = "aggressive"


class ProfileChanged(msgspec.Struct, frozen=True, kw_only=True, tag="user.profile_changed.v1"):
    """What somebody says of themselves. None: that stays as it was."""

    user_id: UserId
    name: Sealed | None
    risk_profile: RiskProfile | None


class PasswordChanged(msgspec.Struct, frozen=True, kw_only=True, tag="user.password_changed.v1"):
    """Another password was set, by somebody who knew the one before. All log-ins of the user ended."""

    user_id: UserId


class AccountAdded(msgspec.Struct, frozen=True, kw_only=True, tag="user.account_added.v1"):
    """The user opened another account, and owns it."""

    user_id: UserId
    account_id: AccountId
    mode: AccountMode


class BrokerLinked(msgspec.Struct, frozen=True, kw_only=True, tag="user.broker_linked.v1"):
    """Credentials of the broker were set, or replaced, for the user's live account. They are nowhere in the log."""

    user_id: UserId
    account_id: AccountId
    client_id: Sealed


class BrokerUnlinked(msgspec.Struct, frozen=True, kw_only=True, tag="user.broker_unlinked.v1"):
    """The credentials were destroyed. The live account stays, and nobody can trade in it at the broker."""

    user_id: UserId
    account_id: AccountId


class UserErased(msgspec.Struct, frozen=True, kw_only=True, tag="user.erased.v1"):
    """The key of the user's personal data was destroyed: what it sealed reads as erased, here and in every copy."""

    user_id: UserId


UserEvent = (
    UserRegistered | ProfileChanged | PasswordChanged | AccountAdded | BrokerLinked | BrokerUnlinked | UserErased
)
