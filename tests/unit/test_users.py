import asyncio
from typing import Any

import msgspec
import pytest

from adapters.ids import SystemIds
from adapters.memory.event_store import MemoryEventStore
from adapters.security.personal_data import SealedPersonalData
from commands.ports import AppendOutcomeUnknown, HasherBusy
from commands.users import CredentialsWrong, Registered, Users
from domain.account.events import AccountMode, AccountOpened
from domain.envelope import Metadata
from domain.events import decode
from domain.ids import UserId
from domain.risk import RiskParameters
from domain.user.credentials import EmailInvalid, NameInvalid, PasswordInvalid
from domain.user.decide import EmailTaken, UserUnknown
from domain.user.events import UserRegistered
from tests.support.security import ManualClock, MemoryPasswords, MemoryUserKeys, PlainHasher

EMAIL = "asha@example.in"
PASSWORD = "monsoon over the ghats"


class World:
    """Users over fakes of everything around them."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.store = MemoryEventStore()
        self.hasher = PlainHasher()
        self.passwords = MemoryPasswords()
        self.keys = MemoryUserKeys()
        self.personal_data = SealedPersonalData(master_key=bytes(32), lookup_key=bytes(32), keys=self.keys, clock=clock)
        self.ids = SystemIds(clock)
        self.users = self.another_process()

    def another_process(self) -> Users:
        return Users(
            store=self.store,
            ids=self.ids,
            hasher=self.hasher,
            passwords=self.passwords,
            personal_data=self.personal_data,
        )

    async def register(self, **changed: str) -> Registered:
        values = {"email": EMAIL, "name": "Asha Rao", "password": PASSWORD} | changed
        return await self.users.register(**values, metadata=Metadata(source="api", received_at_ns=7))

    async def events(self) -> list[Any]:
        return [decode(event.name, event.payload) for event in await self.store.read_all(after_sequence=0)]


@pytest.fixture
def world() -> World:
    return World()


async def test_registering_makes_a_user_and_a_paper_account_at_once(world: World) -> None:
    registered = await world.register()
    user, account = await world.events()
    assert isinstance(user, UserRegistered)
    assert (user.user_id, user.account_id) == (registered.user_id, registered.account_id)
    assert account == AccountOpened(
        account_id=registered.account_id,
        owner_id=registered.user_id,
        mode=AccountMode.PAPER,
        currency="INR",
        parameters=RiskParameters(),
    )
    assert registered.last_sequence == 2


async def test_who_registered_and_from_where_stands_beside_the_events(world: World) -> None:
    registered = await world.register()
    first, second = await world.store.read_all(after_sequence=0)
    metadata = msgspec.json.decode(first.metadata, type=Metadata)
    assert metadata == Metadata(actor=registered.user_id, source="api", received_at_ns=7)
    assert (first.command_id, first.stream_id) == (second.command_id, f"user-{registered.user_id}")


async def test_the_log_holds_neither_address_nor_name_nor_password(world: World) -> None:
    await world.register(name="Asha Rao")
    stored = b"".join(event.payload + event.metadata for event in await world.store.read_all(after_sequence=0))
    assert not [secret for secret in (EMAIL, "asha", "Asha", PASSWORD) if secret.encode() in stored]


async def test_what_was_sealed_opens_for_its_user_until_the_key_is_destroyed(world: World) -> None:
    registered = await world.register(email=" Asha@Example.IN ")
    user = (await world.events())[0]
    sealed = user.email.nonce, user.email.ciphertext
    assert await world.personal_data.unseal(registered.user_id, "email", *sealed) == EMAIL
    await world.personal_data.destroy_key(registered.user_id)
    assert await world.personal_data.unseal(registered.user_id, "email", *sealed) is None


async def test_an_address_is_registered_once_however_it_is_spelled(world: World) -> None:
    await world.register()
    with pytest.raises(EmailTaken):
        await world.register(email="ASHA@EXAMPLE.IN ")
    assert len(await world.events()) == 2


async def test_of_two_who_register_one_address_at_once_one_wins_and_nothing_is_left_of_the_other(world: World) -> None:
    answers = await asyncio.gather(*(world.register() for _ in range(3)), return_exceptions=True)
    (winner,) = [answer for answer in answers if isinstance(answer, Registered)]
    assert [type(answer) for answer in answers if answer is not winner] == [EmailTaken, EmailTaken]
    assert len(await world.events()) == 2
    assert set(world.passwords.hashes) == {winner.user_id}
    assert {user_id for user_id, _ in world.keys.wrapped} == {winner.user_id}


async def test_a_registration_whose_outcome_is_unknown_can_log_in_if_it_was_stored(world: World) -> None:
    world.store.fail_next(AppendOutcomeUnknown(), is_stored=True)
    with pytest.raises(AppendOutcomeUnknown):
        await world.register()
    user_id = await world.users.authenticate(email=EMAIL, password=PASSWORD)
    assert {name for name, _ in world.keys.wrapped} == {user_id}


@pytest.mark.parametrize(
    "email",
    [
        "",
        "asha",
        "asha@",
        "@example.in",
        "asha@example",
        "a@b@c.in",
        "asha@.in",
        "as ha@b.in",
        "a\0@b.in",
        "a" * 250 + "@b.in",
    ],
)
async def test_what_is_no_address_is_refused(world: World, email: str) -> None:
    with pytest.raises(EmailInvalid):
        await world.register(email=email)
    assert not await world.events()


@pytest.mark.parametrize("name", ["", "   ", "a" * 101, "Asha\nRao", "Asha\x00"])
async def test_what_is_no_name_is_refused(world: World, name: str) -> None:
    with pytest.raises(NameInvalid):
        await world.register(name=name)


@pytest.mark.parametrize(
    "password",
    [
        "fourteen chars",
        "a" * 129 + "bcdef",
        "PasswordPassword",
        "1234567890123456",
        "aaaaaaaaaaaaaaaaaaaa",
        "ababababababababab",
        "a.long.address@example.in",
    ],
)
async def test_a_password_that_is_short_or_easily_guessed_is_refused(world: World, password: str) -> None:
    with pytest.raises(PasswordInvalid) as refused:
        await world.register(email="a.long.address@example.in", password=password)
    assert password not in refused.value.message
    assert not world.passwords.hashes


async def test_address_and_password_open_the_door_however_they_are_spelled(world: World) -> None:
    registered = await world.register(password="café by the seaside")
    # The same letter as one character and as two: keyboards differ.
    assert await world.users.authenticate(email="Asha@Example.in", password="café by the seaside") == registered.user_id


@pytest.mark.parametrize("email", ["nobody@example.in", "no address", EMAIL])
async def test_wrong_password_and_unknown_address_are_told_apart_by_nobody(world: World, email: str) -> None:
    await world.register()
    with pytest.raises(CredentialsWrong) as raised:
        await world.users.authenticate(email=email, password="another long password")
    assert str(raised.value) == ""


async def test_logging_in_waits_its_turn(world: World) -> None:
    await world.register()
    world.hasher.is_busy = True
    with pytest.raises(HasherBusy):
        await world.users.authenticate(email="nobody@example.in", password=PASSWORD)


async def test_another_process_finds_a_users_account_in_the_log(world: World) -> None:
    registered = await world.register()
    assert await world.another_process().default_account(registered.user_id) == registered.account_id


async def test_nobody_has_no_account(world: World) -> None:
    with pytest.raises(UserUnknown):
        await world.users.default_account(UserId("usr_nobody"))
