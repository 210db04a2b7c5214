"""Which accounts there are, by the log itself."""

from adapters.postgres.database import Database
from commands.accounts import account_of
from domain.ids import AccountId

_STREAMS = """
    -- Name every account that the log has a stream of. A stream has a row for each of its eras.
    SELECT DISTINCT stream_id FROM log.streams WHERE starts_with(stream_id, 'account-') ORDER BY stream_id
"""


class PostgresAccountList:
    """Lists accounts, as any role of ours."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def account_ids(self) -> list[AccountId]:
        """Return every account, in the order of their ids. Raises StoreUnavailable."""
        found = [account_of(stream_id) for (stream_id,) in await self._database.fetch(_STREAMS)]
        return [account_id for account_id in found if account_id is not None]
