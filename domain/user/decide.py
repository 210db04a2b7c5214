"""A user: what can be asked, what must be remembered for it, and every decision."""

from typing import assert_never

import msgspec

from domain.decider import Decider
from domain.ids import AccountId, UserId
from domain.refusals import Conflict
from domain.user.events import Sealed, UserErased, UserEvent, UserRegistered

# --- Refusals ---------------------------------------------------------------------------------------------------------


class EmailTaken(Conflict):
    """Somebody is registered under this e-mail address. The caller sees 409; nothing is stored."""

    code = "EMAIL_TAKEN"

    def __init__(self) -> None:
        super().__init__("this e-mail address is registered already")


# --- Commands ---------------------------------------------------------------------------------------------------------


class RegisterUser(msgspec.Struct, frozen=True, kw_only=True):
    """Let a person log in. `account_id` is the paper account that comes with it."""

    user_id: UserId
    account_id: AccountId
    email: Sealed
    name: Sealed


class EraseUser(msgspec.Struct, frozen=True, kw_only=True):
    """Say in the log that a user's personal data can never be opened again."""

    user_id: UserId


UserCommand = RegisterUser | EraseUser

# --- State ------------------------------------------------------------------------------------------------------------


class User(msgspec.Struct, frozen=True):
    """What a user's later commands need. `default_account` is None before the registration."""

    default_account: AccountId | None = None
    is_erased: bool = False


def evolve(state: User, event: UserEvent) -> User:
    """Return the state after *event*."""
    match event:
        case UserRegistered():
            return msgspec.structs.replace(state, default_account=event.account_id)
        case UserErased():
            return msgspec.structs.replace(state, is_erased=True)
        case _:
            assert_never(event)


# --- Decisions --------------------------------------------------------------------------------------------------------


def decide(command: UserCommand, state: User) -> tuple[UserEvent, ...]:
    """Return what happens when *command* meets *state*."""
    match command:
        case RegisterUser():
            return _register(command, state)
        case EraseUser():
            return _erase(command, state)
        case _:
            assert_never(command)


def _register(command: RegisterUser, state: User) -> tuple[UserEvent, ...]:
    if state.default_account is not None:
        return ()  # Asked again: the first registration stands.
    return (
        UserRegistered(user_id=command.user_id, account_id=command.account_id, email=command.email, name=command.name),
    )


def _erase(command: EraseUser, state: User) -> tuple[UserEvent, ...]:
    if state.default_account is None or state.is_erased:
        return ()  # There is nobody, or nothing left of them.
    return (UserErased(user_id=command.user_id),)


decider: Decider[UserCommand, User, UserEvent] = Decider(initial=User(), decide=decide, evolve=evolve)
