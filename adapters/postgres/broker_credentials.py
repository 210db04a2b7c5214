"""Sealed credentials of the broker, beside the log."""

from adapters.postgres.database import Database
from adapters.security.broker_credentials import SealedCredentials
from domain.ids import AccountId, UserId

_KEEP = """
    -- Keep an account's credentials in place of older ones, and name the key that those were sealed with.
    WITH before AS (SELECT key_name FROM keys.broker_credentials WHERE account_id = %s),
    kept AS (
        INSERT INTO keys.broker_credentials (account_id, user_id, key_name, nonce, ciphertext)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (account_id) DO UPDATE
        SET user_id = EXCLUDED.user_id, key_name = EXCLUDED.key_name,
            nonce = EXCLUDED.nonce, ciphertext = EXCLUDED.ciphertext
    )
    SELECT key_name FROM before
"""
_FIND = "SELECT user_id, key_name, nonce, ciphertext FROM keys.broker_credentials WHERE account_id = %s"
_OF_USER = "SELECT account_id FROM keys.broker_credentials WHERE user_id = %s"
_DROP = "DELETE FROM keys.broker_credentials WHERE account_id = %s AND key_name = %s"


class PostgresSealedRows:
    """Implements `adapters.security.broker_credentials.SealedRows` as `khata_writer`.

    Everything raises StoreUnavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, account_id: AccountId, sealed: SealedCredentials) -> str | None:
        """Keep an account's credentials, and return the name of the key of those before."""
        row = (account_id, sealed.user_id, sealed.key_name, sealed.nonce, sealed.ciphertext)
        rows = await self._database.fetch(_KEEP, (account_id, *row))
        return rows[0][0] if rows else None

    async def find(self, account_id: AccountId) -> SealedCredentials | None:
        """Return an account's credentials, None where there are none."""
        rows = await self._database.fetch(_FIND, (account_id,))
        if not rows:
            return None
        user_id, key_name, nonce, ciphertext = rows[0]
        return SealedCredentials(user_id=UserId(user_id), key_name=key_name, nonce=nonce, ciphertext=ciphertext)

    async def accounts_of(self, user_id: UserId) -> list[AccountId]:
        """Return the accounts of a user that have credentials."""
        return [AccountId(account_id) for (account_id,) in await self._database.fetch(_OF_USER, (user_id,))]

    async def drop(self, account_id: AccountId, key_name: str) -> None:
        """Forget an account's credentials, unless others were kept meanwhile."""
        await self._database.execute(_DROP, (account_id, key_name))
