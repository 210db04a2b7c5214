"""Registering and logging in.

A registration is one append of two streams and a claim on the e-mail address, so that a person without an account, or
two persons with one address, cannot come to be. What lies beside the log (the user's key, the password's hash) is made
before it: an append that fails leaves orphans that open nothing, and a crash never leaves a user without a key.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from commands.accounts import stream_of
from commands.ports import (
    Append,
    Claim,
    ClaimTaken,
    EventStore,
    Ids,
    NewEvent,
    PasswordHasher,
    Passwords,
    PersonalData,
    StoreUnavailable,
    StreamAppend,
)
from domain.account import decider as account_decider
from domain.account.commands import OpenAccount
from domain.account.events import AccountMode
from domain.envelope import Metadata
from domain.events import Event, decode_known, encode, name_of
from domain.ids import AccountId, UserId
from domain.risk import RiskParameters
from domain.user.credentials import (
    EmailInvalid,
    check_password,
    normalise_email,
    normalise_name,
    normalise_password,
)
from domain.user.decide import EmailTaken, RegisterUser, UserUnknown
from domain.user.decide import decider as user_decider
from domain.user.events import Sealed, UserEvent

EMAIL_CLAIM = "email"
CURRENCY = "INR"
_NOBODY = UserId("usr_nobody")
_ACCOUNTS_CACHED_MAX = 10_000


class CredentialsWrong(Exception):
    """Unknown address or wrong password: which of the two, nobody is told. The caller sees 401; nothing is stored."""


def user_stream_of(user_id: UserId) -> str:
    """Return the stream in which a user's events lie."""
    return f"user-{user_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A new user, the paper account that came with them, and the sequence up to which a view must read to show both."""

    user_id: UserId
    account_id: AccountId
    last_sequence: int


class Users:
    """Commands on users."""

    def __init__(
        self,
        *,
        store: EventStore,
        ids: Ids,
        hasher: PasswordHasher,
        passwords: Passwords,
        personal_data: PersonalData,
    ) -> None:
        self._store = store
        self._ids = ids
        self._hasher = hasher
        self._passwords = passwords
        self._personal_data = personal_data
        self._accounts: OrderedDict[UserId, AccountId] = OrderedDict()

    async def register(self, *, email: str, name: str, password: str, metadata: Metadata) -> Registered:
        """Make a user and their paper account.

        Raises:
            EmailInvalid, NameInvalid, PasswordInvalid: the value can never be right.
            EmailTaken: somebody is registered under this address.
            HasherBusy, StoreUnavailable, AppendOutcomeUnknown
        """
        email, name, password = normalise_email(email), normalise_name(name), normalise_password(password)
        check_password(password, email=email)
        email_hash = self._personal_data.lookup_hash(EMAIL_CLAIM, email)
        if await self._store.find_claim(EMAIL_CLAIM, email_hash) is not None:
            raise EmailTaken  # Told early, before a hash is paid for; the claim below is what decides.
        password_hash = await self._hasher.hash(password)
        user_id, account_id = UserId(self._ids.new("usr")), AccountId(self._ids.new("acc"))
        await self._personal_data.create_key(user_id)
        await self._passwords.keep(user_id, password_hash)
        registration = RegisterUser(
            user_id=user_id,
            account_id=account_id,
            email=await self._seal(user_id, "email", email),
            name=await self._seal(user_id, "name", name),
        )
        opening = OpenAccount(
            account_id=account_id,
            owner_id=user_id,
            mode=AccountMode.PAPER,
            currency=CURRENCY,
            parameters=RiskParameters(),
        )
        append = Append(
            command_id=self._ids.new("cmd"),
            streams=(
                _new_stream(user_stream_of(user_id), user_decider.decide(registration, user_decider.initial)),
                _new_stream(stream_of(account_id), account_decider.decide(opening, account_decider.initial)),
            ),
            metadata=msgspec.json.encode(msgspec.structs.replace(metadata, actor=user_id)),
            claim=Claim(kind=EMAIL_CLAIM, key_hash=email_hash, owner=user_id),
        )
        try:
            appended = await self._store.append(append)
        except ClaimTaken:
            # Somebody else won the race. Only here the orphans are surely orphans, so only here they are removed; where
            # that fails they stay, and open nothing.
            with suppress(StoreUnavailable):
                await self._passwords.drop(user_id)
                await self._personal_data.destroy_key(user_id)
            raise EmailTaken from None
        self._remember(user_id, account_id)
        return Registered(user_id=user_id, account_id=account_id, last_sequence=appended.last_sequence)

    async def authenticate(self, *, email: str, password: str) -> UserId:
        """Return whose address and password these are; an unknown address takes as long as a wrong password.

        Raises:
            CredentialsWrong: they are nobody's.
            HasherBusy, StoreUnavailable
        """
        try:
            spelling = normalise_email(email)
        except EmailInvalid:
            spelling = ""  # Nobody's, and it takes as long as everybody's.
        owner = await self._store.find_claim(EMAIL_CLAIM, self._personal_data.lookup_hash(EMAIL_CLAIM, spelling))
        user_id = _NOBODY if owner is None else UserId(owner)
        password_hash = await self._passwords.find(user_id)
        if not await self._hasher.verify(password_hash, normalise_password(password)):
            raise CredentialsWrong
        return user_id

    async def default_account(self, user_id: UserId) -> AccountId:
        """Return the account that a user's commands act on.

        Raises:
            UserUnknown: no user has this id.
        """
        known = self._accounts.get(user_id)
        if known is not None:
            self._accounts.move_to_end(user_id)
            return known
        recorded = await self._store.read_stream(user_stream_of(user_id))
        events = [decode_known(event.name, event.payload) for event in recorded]
        user = user_decider.fold(event for event in events if isinstance(event, UserEvent))
        if user.default_account is None:
            raise UserUnknown(f"received user {user_id}, expected one who is registered")
        self._remember(user_id, user.default_account)
        return user.default_account

    async def _seal(self, user_id: UserId, field: str, text: str) -> Sealed:
        nonce, ciphertext = await self._personal_data.seal(user_id, field, text)
        return Sealed(nonce=nonce, ciphertext=ciphertext)

    def _remember(self, user_id: UserId, account_id: AccountId) -> None:
        self._accounts[user_id] = account_id
        if len(self._accounts) > _ACCOUNTS_CACHED_MAX:
            self._accounts.popitem(last=False)


def _new_stream(stream_id: str, events: tuple[Event, ...]) -> StreamAppend:
    new = tuple(NewEvent(name=name_of(event), payload=encode(event)) for event in events)
    return StreamAppend(stream_id=stream_id, expected_version=0, events=new)
