"""What can happen to a user. Personal data stands only here, and only sealed."""

import msgspec

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


class UserErased(msgspec.Struct, frozen=True, kw_only=True, tag="user.erased.v1"):
    """The key of the user's personal data was destroyed: what it sealed reads as erased, here and in every copy."""

    user_id: UserId


UserEvent = UserRegistered | UserErased
