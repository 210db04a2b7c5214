"""Refresh tokens by their hashes, beside the log."""

from adapters.postgres.database import Database
from commands.ports import Rotation, RotationOutcome
from domain.ids import UserId

_FORGET = "DELETE FROM keys.token_families WHERE ends_at_us <= %s"
_BEGIN = """
    -- Begin a family with its first token. Begun already: the statement ran before, on a connection that was lost.
    WITH family AS (
        INSERT INTO keys.token_families (family_id, user_id, ends_at_us) VALUES (%s, %s, %s)
        ON CONFLICT (family_id) DO NOTHING
        RETURNING family_id
    )
    INSERT INTO keys.refresh_tokens (token_hash, family_id, ends_at_us) SELECT %s, family_id, %s FROM family
"""
_ROTATE = "SELECT outcome, user_id, ends_at_us FROM keys.rotate_refresh_token(%s, %s, %s, %s, %s)"
_END_FAMILY = """
    -- End the family that a token belongs to.
    DELETE FROM keys.token_families
    WHERE family_id = (SELECT family_id FROM keys.refresh_tokens WHERE token_hash = %s)
"""
_END_EVERYBODYS = "DELETE FROM keys.token_families"
_END_ALL = "DELETE FROM keys.token_families WHERE user_id = %s"


class PostgresRefreshTokens:
    """Implements `commands.ports.RefreshTokens` as `khata_writer`. Everything raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self,
        family_id: str,
        user_id: UserId,
        token_hash: bytes,
        *,
        now_us: int,
        ends_at_us: int,
        family_ends_at_us: int,
    ) -> None:
        """Begin a family with its first token, and forget the families whose time is over."""
        await self._database.execute(_FORGET, (now_us,))
        await self._database.execute(_BEGIN, (family_id, user_id, family_ends_at_us, token_hash, ends_at_us))

    async def rotate(
        self, token_hash: bytes, successor_hash: bytes, *, now_us: int, ends_at_us: int, grace_us: int
    ) -> Rotation:
        """Spend a token and make its successor good."""
        parameters = (token_hash, successor_hash, now_us, ends_at_us, grace_us)
        [(outcome, user_id, successor_ends_at_us)] = await self._database.fetch(_ROTATE, parameters)
        return Rotation(
            outcome=RotationOutcome(outcome),
            user_id=None if user_id is None else UserId(user_id),
            ends_at_us=successor_ends_at_us,
        )

    async def end_family(self, token_hash: bytes) -> None:
        """End the family that a token belongs to."""
        await self._database.execute(_END_FAMILY, (token_hash,))

    async def end_all(self, user_id: UserId) -> None:
        """End every family of a user."""
        await self._database.execute(_END_ALL, (user_id,))

    async def end_everybodys(self) -> None:
        """End every family of everybody: a database that was put back knows tokens as good that were used since."""
        await self._database.execute(_END_EVERYBODYS)
