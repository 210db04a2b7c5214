"""People for benches: registered at once, and without the price of a password's hash for each of them."""

from argon2 import PasswordHasher

from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.passwords import PostgresPasswords
from adapters.security.personal_data import SealedPersonalData
from commands.users import Users
from domain.envelope import Metadata
from infra.supervisor import Supervisor
from infra.user_keys import open_user_keys

PASSWORD = "the ledger shows it all"  # noqa: S105 - of people who are made up
_SOURCE = "bench"


class OneHash:
    """Gives one hash to everybody, for they have one password. Implements `commands.ports.PasswordHasher`."""

    def __init__(self, password_hash: str) -> None:
        self._password_hash = password_hash

    async def hash(self, password: str) -> str:
        """Return the hash of the one password."""
        assert password == PASSWORD, "there is one password here"
        return self._password_hash

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Nobody logs in here."""
        raise NotImplementedError


def email_of(number: int) -> str:
    """Return the address of one of them."""
    return f"trader-{number}@bench.invalid"


async def register_people(supervisor: Supervisor, amount: int) -> None:
    """Register so many people, 0 first, in the log of a running engine."""
    clock = SystemClock()
    ids = SystemIds(clock)
    # A genuine hash of the lowest cost: what a log-in has to pay is told by the hash, and is not what is measured.
    one_hash = OneHash(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD))
    async with (
        PostgresEventStore(supervisor.database_urls.writer) as store,
        open_user_keys(supervisor.settings) as user_keys,
    ):
        keys = supervisor.keys
        users = Users(
            store=store,
            ids=ids,
            hasher=one_hash,
            passwords=PostgresPasswords(store.database),
            personal_data=SealedPersonalData(
                master_key=keys.master, lookup_key=keys.lookup, keys=user_keys, clock=clock
            ),
        )
        for number in range(amount):
            metadata = Metadata(source=_SOURCE, received_at_ns=clock.wall_ns())
            await users.register(email=email_of(number), name="A trader", password=PASSWORD, metadata=metadata)
