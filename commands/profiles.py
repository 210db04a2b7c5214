"""What registered people change of themselves: profile, password, further accounts, and the link to the broker.

A further account is one append of two streams: the user's says that they opened it, the account's own that it is open.
What lies beside the log is made in an order in which every repetition mends what a crash left. Credentials are kept
before the event that speaks of them: without it they open nothing. They are destroyed, and a password is replaced,
after the event: until then the old one is good, and asking again does the rest.
"""

from dataclasses import dataclass

import msgspec

from commands.accounts import CommandContext, metadata_of, stream_of
from commands.lane import ATTEMPTS_MAX, AccountBusy
from commands.log_ins import LogIns
from commands.ports import (
    Append,
    Appended,
    BrokerCredentials,
    Claim,
    ClaimTaken,
    EventStore,
    Ids,
    NewEvent,
    PasswordHasher,
    Passwords,
    PersonalData,
    StreamAppend,
    VersionConflict,
)
from commands.users import CURRENCY, user_stream_of
from domain.account import decider as account_decider
from domain.account.commands import OpenAccount
from domain.account.events import AccountOpened
from domain.envelope import RecordedEvent
from domain.events import Event, decode_known, encode, name_of
from domain.ids import AccountId, UserId
from domain.refusals import Conflict, Forbidden
from domain.risk import RiskParameters
from domain.user.credentials import check_password, normalise_name, normalise_password
from domain.user.decide import (
    AddAccount,
    ChangePassword,
    ChangeProfile,
    LinkBroker,
    UnlinkBroker,
    User,
    UserCommand,
)
from domain.user.decide import decider as user_decider
from domain.user.events import AccountAdded, BrokerLinked, RiskProfile, Sealed, UserEvent, UserRegistered

CLIENT_CLAIM = "dhan_client"
CLIENT_FIELD = "dhan_client_id"


class PasswordWrong(Forbidden):
    """The present password, asked for as a proof, is another one. The caller sees 403; nothing is stored."""

    code = "PASSWORD_WRONG"

    def __init__(self) -> None:
        super().__init__("present_password is not your password")


class ClientTaken(Conflict):
    """The client id belongs to another account. The caller sees 409; nothing is stored."""

    code = "DHAN_CLIENT_TAKEN"

    def __init__(self) -> None:
        super().__init__("this client id is linked to another account")


class LinkedOtherwise(Conflict):
    """The live account has another client id, for good. The caller sees 409; nothing is stored."""

    code = "DHAN_CLIENT_OTHER"

    def __init__(self) -> None:
        super().__init__("your live account belongs to another client id, and its books with it")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLogin:
    """What an account logs in to the broker with."""

    client_id: str
    access_token: str

    def __repr__(self) -> str:
        return "BrokerLogin(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileChange:
    """What shall be otherwise; UNSET: it stays. `broker` None: its credentials are destroyed."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    risk_profile: RiskProfile | msgspec.UnsetType = msgspec.UNSET
    new_password: str | msgspec.UnsetType = msgspec.UNSET
    broker: BrokerLogin | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def needs_proof(self) -> bool:
        """Whether it takes the present password: what could lock somebody out, or trade for them."""
        return self.new_password is not msgspec.UNSET or isinstance(self.broker, BrokerLogin)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMade:
    """A new account, and the sequence up to which a view must read to show it."""

    account_id: AccountId
    last_sequence: int
    repeated: bool


class Profiles:
    """Commands on people who are registered."""

    def __init__(
        self,
        *,
        store: EventStore,
        ids: Ids,
        hasher: PasswordHasher,
        passwords: Passwords,
        personal_data: PersonalData,
        credentials: BrokerCredentials,
        log_ins: LogIns,
    ) -> None:
        self._store = store
        self._ids = ids
        self._hasher = hasher
        self._passwords = passwords
        self._personal_data = personal_data
        self._credentials = credentials
        self._log_ins = log_ins

    async def prove(self, user_id: UserId, password: str) -> None:
        """Accept the user's present password, or refuse another one.

        Raises:
            PasswordWrong
            commands.ports.HasherBusy, StoreUnavailable
        """
        kept = await self._passwords.find(user_id)
        if not await self._hasher.verify(kept, normalise_password(password)):
            raise PasswordWrong

    async def change(self, user_id: UserId, change: ProfileChange, context: CommandContext) -> int:
        """Change a profile and return the sequence from which on it is so; all of it is in one append.

        The caller has proven to know the present password where `change.needs_proof`. A new password ends every log-in.

        Raises:
            domain.refusals.Refusal: a value is malformed, or the client id not the user's to link.
            commands.lane.AccountBusy, commands.ports.HasherBusy, StoreUnavailable, AppendOutcomeUnknown
        """
        commands: list[UserCommand] = []
        if change.name is not msgspec.UNSET or change.risk_profile is not msgspec.UNSET:
            commands.append(await self._profile_command(user_id, change))
        password_hash = None
        if not isinstance(change.new_password, msgspec.UnsetType):
            password_hash = await self._hash_of_new(user_id, change.new_password)
            commands.append(ChangePassword(user_id=user_id))
        if change.broker is None:
            commands.append(UnlinkBroker(user_id=user_id))
        broker = change.broker if isinstance(change.broker, BrokerLogin) else None
        sequence = await self._carry_out(user_id, commands, broker, context)
        if change.broker is None:
            await self._credentials.drop_all(user_id)
        if password_hash is not None:
            await self._passwords.keep(user_id, password_hash)
            await self._log_ins.end_all(user_id)
        return sequence

    async def add_account(self, user_id: UserId, context: CommandContext) -> AccountMade:
        """Open another paper account of a user.

        Raises:
            domain.user.decide.AccountsTooMany
            commands.lane.AccountBusy, commands.ports.KeyReused, StoreUnavailable, AppendOutcomeUnknown
        """
        command = AddAccount(user_id=user_id, account_id=AccountId(self._ids.new("acc")))
        for _ in range(ATTEMPTS_MAX):
            state, version = await self._load(user_id)
            try:
                appended = await self._append(user_id, version, user_decider.decide(command, state), context)
            except VersionConflict:
                continue
            made = command.account_id
            if appended.repeated:
                made = await self._account_made_by(appended)
            return AccountMade(account_id=made, last_sequence=appended.last_sequence, repeated=appended.repeated)
        raise AccountBusy(f"{user_stream_of(user_id)} changed under {ATTEMPTS_MAX} attempts")

    async def accounts_of(self, user_id: UserId) -> tuple[AccountId, ...]:
        """Return the accounts that a user opened, the oldest first. Raises StoreUnavailable."""
        state, _ = await self._load(user_id)
        return state.accounts

    # --- Parts of a change --------------------------------------------------------------------------------------------

    async def _profile_command(self, user_id: UserId, change: ProfileChange) -> ChangeProfile:
        name = None
        if not isinstance(change.name, msgspec.UnsetType):
            name = await self._seal(user_id, "name", normalise_name(change.name))
        risk_profile = None if isinstance(change.risk_profile, msgspec.UnsetType) else change.risk_profile
        return ChangeProfile(user_id=user_id, name=name, risk_profile=risk_profile)

    async def _hash_of_new(self, user_id: UserId, password: str) -> str:
        password = normalise_password(password)
        check_password(password, email=await self._email_of(user_id))
        return await self._hasher.hash(password)

    async def _email_of(self, user_id: UserId) -> str:
        for event in _known(await self._store.read_stream(user_stream_of(user_id))):
            if isinstance(event, UserRegistered):
                sealed = event.email
                return await self._personal_data.unseal(user_id, "email", sealed.nonce, sealed.ciphertext) or ""
        return ""

    async def _carry_out(
        self, user_id: UserId, commands: list[UserCommand], broker: BrokerLogin | None, context: CommandContext
    ) -> int:
        """Decide and append *commands*, and the link to the broker where there is one, again on every conflict."""
        for _ in range(ATTEMPTS_MAX):
            state, version = await self._load(user_id)
            # After the state: a claim of the user's own that the state knows nothing of ends in a conflict of versions.
            claim = None if broker is None else await self._claim_of(user_id, broker.client_id)
            wanted = list(commands)
            if broker is not None:
                wanted.append(await self._link_command(user_id, state, broker, is_claimed=claim is None))
            events = _decided(wanted, state)
            linked = next((event for event in events if isinstance(event, BrokerLinked)), None)
            if linked is not None and broker is not None:
                await self._credentials.keep(user_id, linked.account_id, msgspec.json.encode(broker))
            try:
                appended = await self._append(user_id, version, events, context, claim=claim)
            except (VersionConflict, ClaimTaken):
                if linked is not None and linked.account_id != state.live_account:
                    await self._credentials.drop(linked.account_id)  # Its account never came to be.
                continue  # Whose the claim is by now decides whether there is another attempt.
            return appended.last_sequence
        raise AccountBusy(f"{user_stream_of(user_id)} changed under {ATTEMPTS_MAX} attempts")

    async def _claim_of(self, user_id: UserId, client_id: str) -> Claim | None:
        """Return the claim on a client id that is nobody's yet, None where it is the user's own."""
        key_hash = self._personal_data.lookup_hash(CLIENT_CLAIM, client_id)
        owner = await self._store.find_claim(CLIENT_CLAIM, key_hash)
        if owner is None:
            return Claim(kind=CLIENT_CLAIM, key_hash=key_hash, owner=user_id)
        if owner != user_id:
            raise ClientTaken
        return None

    async def _link_command(self, user_id: UserId, state: User, broker: BrokerLogin, *, is_claimed: bool) -> LinkBroker:
        # A claim came to be together with the live account. So one without the other belongs to another client id.
        if state.live_account is not None and not is_claimed:
            raise LinkedOtherwise
        return LinkBroker(
            user_id=user_id,
            account_id=AccountId(self._ids.new("acc")),
            client_id=await self._seal(user_id, CLIENT_FIELD, broker.client_id),
        )

    # --- The log ------------------------------------------------------------------------------------------------------

    async def _load(self, user_id: UserId) -> tuple[User, int]:
        """Return the user as the log has them, and the version of their stream."""
        recorded = await self._store.read_stream(user_stream_of(user_id))
        return user_decider.fold(_known(recorded)), recorded[-1].version if recorded else 0

    async def _append(
        self,
        user_id: UserId,
        version: int,
        events: tuple[UserEvent, ...],
        context: CommandContext,
        *,
        claim: Claim | None = None,
    ) -> Appended:
        own = StreamAppend(stream_id=user_stream_of(user_id), expected_version=version, events=_new(events))
        opened = (_opening(user_id, event) for event in events if isinstance(event, AccountAdded))
        return await self._store.append(
            Append(
                command_id=self._ids.new("cmd"),
                streams=(own, *opened),
                metadata=metadata_of(context),
                scope=user_id if context.idempotency_key is not None else "",
                key=context.idempotency_key,
                request_hash=context.request_hash,
                claim=claim,
            )
        )

    async def _account_made_by(self, appended: Appended) -> AccountId:
        count = appended.last_sequence - appended.first_sequence + 1
        recorded = await self._store.read_all(after_sequence=appended.first_sequence - 1, limit=count)
        events = (decode_known(each.name, each.payload) for each in recorded)
        return next(event.account_id for event in events if isinstance(event, AccountOpened))

    async def _seal(self, user_id: UserId, field: str, text: str) -> Sealed:
        nonce, ciphertext = await self._personal_data.seal(user_id, field, text)
        return Sealed(nonce=nonce, ciphertext=ciphertext)


def _known(recorded: list[RecordedEvent]) -> list[UserEvent]:
    events = (decode_known(each.name, each.payload) for each in recorded)
    return [event for event in events if isinstance(event, UserEvent)]


def _decided(commands: list[UserCommand], state: User) -> tuple[UserEvent, ...]:
    """Return what *commands* lead to, each decided on what those before it left."""
    events: list[UserEvent] = []
    for command in commands:
        new = user_decider.decide(command, state)
        state = user_decider.fold(new, state)
        events += new
    return tuple(events)


def _opening(user_id: UserId, added: AccountAdded) -> StreamAppend:
    opening = OpenAccount(
        account_id=added.account_id,
        owner_id=user_id,
        mode=added.mode,
        currency=CURRENCY,
        parameters=RiskParameters(),
    )
    events = account_decider.decide(opening, account_decider.initial)
    return StreamAppend(stream_id=stream_of(added.account_id), expected_version=0, events=_new(events))


def _new(events: tuple[Event, ...]) -> tuple[NewEvent, ...]:
    return tuple(NewEvent(name=name_of(event), payload=encode(event)) for event in events)
