"""The parts that erase a user, put together for the command line and for a restore."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.archive.parquet import ParquetArchive
from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.postgres.broker_credentials import PostgresSealedRows
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.refresh_tokens import PostgresRefreshTokens
from adapters.postgres.strategy_sources import PostgresStrategySources
from adapters.postgres.traces import PostgresClaims, PostgresParkedViews
from adapters.security.broker_credentials import CredentialsVault
from adapters.security.erasures import ErasureList
from adapters.security.personal_data import SealedPersonalData
from commands.erasing import Erasing
from commands.ports import StoreUnavailable
from domain.envelope import Metadata
from domain.ids import UserId
from infra.credentials_key import ensure_credentials_key, load_sealing_key
from infra.database import DatabaseUrls
from infra.home import Home
from infra.keys import Keys
from infra.places import archive_folder
from infra.settings import Settings
from infra.user_keys import open_user_keys

BY_OPERATOR = Metadata(actor="operator", source="command line")
BY_RESTORE = Metadata(actor="operator", source="restore")


class FileErasures:
    """Implements `commands.ports.Erasures` over the list in a file."""

    def __init__(self, listed: ErasureList) -> None:
        self._list = listed

    async def record(self, user_id: UserId, *, erased_at_ns: int) -> None:
        """Put a user on the list. Raises StoreUnavailable."""
        try:
            await asyncio.to_thread(self._list.record, user_id, erased_at_ns=erased_at_ns)
        except OSError as error:
            raise StoreUnavailable(f"the list of erasures cannot be written: {error.strerror}") from error


@asynccontextmanager
async def open_erasing(settings: Settings, keys: Keys, database: DatabaseUrls) -> AsyncIterator[Erasing]:
    """Yield what erases users of the log in *database*."""
    clock, home = SystemClock(), Home(settings.home)
    ensure_credentials_key(home)
    log = PostgresEventStore(database.writer, archive=ParquetArchive(archive_folder(settings)))
    async with open_user_keys(settings) as user_keys, log as store:
        yield Erasing(
            store=store,
            ids=SystemIds(clock),
            clock=clock,
            passwords=PostgresPasswords(store.database),
            log_ins=PostgresRefreshTokens(store.database),
            credentials=CredentialsVault(
                executor_key=load_sealing_key(home), rows=PostgresSealedRows(store.database), keys=user_keys
            ),
            sources=PostgresStrategySources(store.database),
            personal_data=SealedPersonalData(
                master_key=keys.master, lookup_key=keys.lookup, keys=user_keys, clock=clock
            ),
            claims=PostgresClaims(store.database),
            views=PostgresParkedViews(database.projector),
            erasures=FileErasures(ErasureList(home.erasures)),
        )


async def erase_again(settings: Settings, keys: Keys, database: DatabaseUrls) -> int:
    """Apply every erasure on the list to the log in *database*; return how many. Safe to repeat."""
    listed = ErasureList(Home(settings.home).erasures).read()
    if listed:
        async with open_erasing(settings, keys, database) as erasing:
            for each in listed:
                await erasing.apply(each.user_id, BY_RESTORE)
    return len(listed)
