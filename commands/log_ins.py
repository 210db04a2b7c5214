"""Staying logged in: refresh tokens, each good once, and what happens when one comes twice.

A log-in begins a family. Its token is opaque (256 random bits), kept by its hash alone, and exchanged for the next one
whenever an access token is wanted. A token that comes a second time is in two hands: nobody can tell whose is the right
one, so the family ends and both have to log in. One exception: an answer that was lost on its way. For a few seconds
after it was spent, a token is answered with the same successor again, as long as that one has not been used. It is safe
because both hands then hold one successor, and the second of them to use it ends the family: a theft is noticed one
step later, never not at all. For this the successor is derived from the token under a key of ours.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes

from commands.ports import Clock, Ids, RefreshTokens, RotationOutcome
from domain.ids import UserId

TOKEN_BYTES = 32
IDLE_S = 7 * 24 * 3600
"""Who does not come back for so long logs in again."""
FAMILY_S = 30 * 24 * 3600
"""Everybody logs in again after so long, whatever they did."""
GRACE_S = 10
_PREFIX = "khr_"
_US_PER_S = 1_000_000
_NS_PER_US = 1_000

Derive = Callable[[str, str], bytes]
"""Returns 32 bytes that follow from a purpose and a text under a key of ours."""


class RefreshTokenInvalid(Exception):
    """The refresh token is not one of ours, or its time is over. The caller sees 401 and logs in again."""


class RefreshTokenReused(Exception):
    """The refresh token was used before. Its family has ended; the caller sees 401 and logs in again."""

    def __init__(self, user_id: UserId) -> None:
        super().__init__(f"a refresh token of {user_id} came twice")
        self.user_id = user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A refresh token and the seconds it is good for."""

    token: str
    expires_in_s: int


class LogIns:
    """Who is logged in. *derive* is `commands.ports.PersonalData.lookup_hash`, or another keyed hash."""

    def __init__(self, *, tokens: RefreshTokens, clock: Clock, ids: Ids, derive: Derive) -> None:
        self._tokens = tokens
        self._clock = clock
        self._ids = ids
        self._derive = derive

    async def begin(self, user_id: UserId) -> Issued:
        """Begin a log-in that passed. Raises StoreUnavailable."""
        token, now_us = _written(token_bytes(TOKEN_BYTES)), self._now_us()
        await self._tokens.begin(
            self._ids.new("fam"),
            user_id,
            _hash_of(token),
            now_us=now_us,
            ends_at_us=now_us + IDLE_S * _US_PER_S,
            family_ends_at_us=now_us + FAMILY_S * _US_PER_S,
        )
        return Issued(token=token, expires_in_s=IDLE_S)

    async def renew(self, token: str) -> tuple[UserId, Issued]:
        """Exchange a refresh token for its successor, and tell whose it is.

        Raises:
            RefreshTokenInvalid, RefreshTokenReused
            commands.ports.StoreUnavailable
        """
        successor, now_us = _written(self._derive("refresh_token", token)), self._now_us()
        rotation = await self._tokens.rotate(
            _hash_of(token),
            _hash_of(successor),
            now_us=now_us,
            ends_at_us=now_us + IDLE_S * _US_PER_S,
            grace_us=GRACE_S * _US_PER_S,
        )
        if rotation.user_id is None:
            raise RefreshTokenInvalid
        if rotation.outcome is RotationOutcome.REUSED:
            raise RefreshTokenReused(rotation.user_id)
        return rotation.user_id, Issued(
            token=successor, expires_in_s=max(0, (rotation.ends_at_us - now_us) // _US_PER_S)
        )

    async def end(self, token: str) -> None:
        """End the log-in that a refresh token belongs to. Raises StoreUnavailable."""
        await self._tokens.end_family(_hash_of(token))

    async def end_all(self, user_id: UserId) -> None:
        """End every log-in of a user. Raises StoreUnavailable."""
        await self._tokens.end_all(user_id)

    def _now_us(self) -> int:
        return self._clock.wall_ns() // _NS_PER_US


def _written(token: bytes) -> str:
    return _PREFIX + urlsafe_b64encode(token).rstrip(b"=").decode()


def _hash_of(token: str) -> bytes:
    # Nothing slower: nobody guesses 256 random bits.
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
