"""A user: what can be asked, what must be remembered for it, and every decision."""

from typing import assert_never

import msgspec

from domain.account.events import AccountMode
from domain.decider import Decider
from domain.ids import AccountId, UserId
from domain.refusals import Conflict, NotFound
from domain.user.events import (
    AccountAdded,
    BrokerLinked,
    BrokerUnlinked,
    PasswordChanged,
    ProfileChanged,
    RiskProfile,
    Sealed,
    UserErased,
    UserEvent,
    UserRegistered,
)

ACCOUNTS_MAX = 20

# --- Refusals ---------------------------------------------------------------------------------------------------------


class EmailTaken(Conflict):
    """Somebody is registered under this e-mail address. The caller sees 409; nothing is stored."""

    code = "EMAIL_TAKEN"

    def __init__(self) -> None:
        super().__init__("this e-mail address is registered already")


class UserUnknown(NotFound):
    """No user has this id. The caller sees 401, because only an old token can name one; nothing is stored."""

    code = "USER_UNKNOWN"


class AccountsTooMany(Conflict):
    """The user has as many accounts as they may have. The caller sees 409; nothing is stored."""

    code = "ACCOUNTS_TOO_MANY"


# --- Commands ---------------------------------------------------------------------------------------------------------


class RegisterUser(msgspec.Struct, frozen=True, kw_only=True):
    """Let a person log in. `account_id` is the paper account that comes with it."""

    user_id: UserId
    account_id: AccountId
    email: Sealed
    name: Sealed


class ChangeProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Keep what a person says of themselves; None: that stays as it is."""

    user_id: UserId
    name: Sealed | None = None
    risk_profile: RiskProfile | None = None


class ChangePassword(msgspec.Struct, frozen=True, kw_only=True):
    """Keep that another password is set."""

    user_id: UserId


class AddAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Give the user another paper account."""

    user_id: UserId
    account_id: AccountId


class LinkBroker(msgspec.Struct, frozen=True, kw_only=True):
    """Keep that credentials are set for *account_id*: the live account, which comes to be where there is none yet."""

    user_id: UserId
    account_id: AccountId
    client_id: Sealed


class UnlinkBroker(msgspec.Struct, frozen=True, kw_only=True):
    """Keep that the credentials are destroyed."""

    user_id: UserId


class EraseUser(msgspec.Struct, frozen=True, kw_only=True):
    """Say in the log that a user's personal data can never be opened again."""

    user_id: UserId


UserCommand = RegisterUser | ChangeProfile | ChangePassword | AddAccount | LinkBroker | UnlinkBroker | EraseUser

# --- State ------------------------------------------------------------------------------------------------------------


class User(msgspec.Struct, frozen=True):
    """What a user's later commands need. `default_account` is None before the registration.

    `accounts` are those that the user opened, the oldest first. `is_linked`: credentials of `live_account` are set.
    """

    default_account: AccountId | None = None
    accounts: tuple[AccountId, ...] = ()
    live_account: AccountId | None = None
    is_linked: bool = False
    risk_profile: RiskProfile | None = None
    is_erased: bool = False


def evolve(state: User, event: UserEvent) -> User:  # noqa: PLR0911 - one arm per event
    """Return the state after *event*."""
    change = msgspec.structs.replace
    match event:
        case UserRegistered():
            return change(state, default_account=event.account_id, accounts=(event.account_id,))
        case ProfileChanged():
            return change(state, risk_profile=event.risk_profile or state.risk_profile)
        case PasswordChanged():
            return state  # For people: no decision depends on it.
        case AccountAdded():
            live = event.account_id if event.mode is AccountMode.LIVE else state.live_account
            return change(state, accounts=(*state.accounts, event.account_id), live_account=live)
        case BrokerLinked():
            return change(state, is_linked=True)
        case BrokerUnlinked():
            return change(state, is_linked=False)
        case UserErased():
            return change(state, is_linked=False, risk_profile=None, is_erased=True)
        case _:
            assert_never(event)


# --- Decisions --------------------------------------------------------------------------------------------------------


def decide(command: UserCommand, state: User) -> tuple[UserEvent, ...]:  # noqa: PLR0911 - one arm each
    """Return what happens when *command* meets *state*; nothing where it changes nothing.

    Raises:
        domain.refusals.Refusal: the command makes no sense in *state*.
    """
    match command:
        case RegisterUser():
            return _register(command, state)
        case EraseUser():
            return _erase(command, state)
        case _:
            _demand_present(state, command.user_id)
    match command:
        case ChangeProfile():
            return _change_profile(command, state)
        case ChangePassword():
            return (PasswordChanged(user_id=command.user_id),)
        case AddAccount():
            return _add_account(command, state)
        case LinkBroker():
            return _link_broker(command, state)
        case UnlinkBroker():
            return _unlink_broker(command, state)
        case _:
            assert_never(command)


def _register(command: RegisterUser, state: User) -> tuple[UserEvent, ...]:
    if state.default_account is not None:
        return ()  # Asked again: the first registration stands.
    return (
        UserRegistered(user_id=command.user_id, account_id=command.account_id, email=command.email, name=command.name),
    )


def _demand_present(state: User, user_id: UserId) -> None:
    if state.default_account is None or state.is_erased:
        raise UserUnknown(f"received user {user_id}, expected one who is registered")


def _change_profile(command: ChangeProfile, state: User) -> tuple[UserEvent, ...]:
    risk_profile = command.risk_profile if command.risk_profile is not state.risk_profile else None
    if command.name is None and risk_profile is None:
        return ()  # It is so already. (Of a name nobody can tell: two seals of one text differ.)
    return (ProfileChanged(user_id=command.user_id, name=command.name, risk_profile=risk_profile),)


def _add_account(command: AddAccount, state: User) -> tuple[UserEvent, ...]:
    _demand_room(state)
    return (AccountAdded(user_id=command.user_id, account_id=command.account_id, mode=AccountMode.PAPER),)


def _link_broker(command: LinkBroker, state: User) -> tuple[UserEvent, ...]:
    linked = BrokerLinked(
        user_id=command.user_id, account_id=state.live_account or command.account_id, client_id=command.client_id
    )
    if state.live_account is not None:
        return (linked,)
    _demand_room(state)
    return (AccountAdded(user_id=command.user_id, account_id=command.account_id, mode=AccountMode.LIVE), linked)


def _demand_room(state: User) -> None:
    if len(state.accounts) >= ACCOUNTS_MAX:
        raise AccountsTooMany(f"you have {len(state.accounts)} accounts, which is as many as you may have")


def _unlink_broker(command: UnlinkBroker, state: User) -> tuple[UserEvent, ...]:
    if state.live_account is None or not state.is_linked:
        return ()  # Nothing is set.
    return (BrokerUnlinked(user_id=command.user_id, account_id=state.live_account),)


def _erase(command: EraseUser, state: User) -> tuple[UserEvent, ...]:
    if state.default_account is None or state.is_erased:
        return ()  # There is nobody, or nothing left of them.
    return (UserErased(user_id=command.user_id),)


decider: Decider[UserCommand, User, UserEvent] = Decider(initial=User(), decide=decide, evolve=evolve)
