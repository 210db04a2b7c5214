"""What can happen to a user. Personal data stands only here, and only sealed."""

import msgspec

from domain.ids import AccountId, UserId


class Sealed(msgspec.Struct, frozen=True):
    """A personal field under the user's own key (AES-256-GCM). With the key destroyed it reads as erased."""

    nonce: bytes
    ciphertext: bytes


class UserRegistered(msgspec.Struct, frozen=True, kw_only=True, tag="user.registered.v1"):
    """A person can log in. `account_id` is the paper account that came with it and their default account."""

    user_id: UserId
    account_id: AccountId
    email: Sealed
    name: Sealed


UserEvent = UserRegistered
