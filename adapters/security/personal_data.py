"""Personal data under a key of each user: destroying the key erases what it sealed.

A user's data key (256 random bits) seals fields with AES-256-GCM and lies in the key store wrapped by the master key.
What every ciphertext is bound to (purpose, version, user, field) is authenticated with it, so that one that is moved to
another user or field opens nowhere. The log and its backups hold ciphertexts only, the key store no plaintext key.
"""

import hmac
import secrets
from collections import OrderedDict
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from commands.ports import Clock
from domain.ids import UserId

PURPOSE = "personal"
KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = 1
_CACHED_MAX = 4_096
_CACHED_FOR_NS = 5_000_000_000
"""How long another process may still open what was erased."""


class SealBroken(Exception):
    """A ciphertext that was not sealed for this user and field under this key: moved, altered, or the wrong key."""


class KeyMissing(Exception):
    """The user has no key to seal with: none was made, or it was destroyed."""


class UserKeys(Protocol):
    """Where the wrapped keys lie."""

    async def put(self, user_id: UserId, purpose: str, wrapped: bytes) -> None:
        """Keep a user's key."""
        ...

    async def get(self, user_id: UserId, purpose: str) -> bytes | None:
        """Return a user's key, None where there is none."""
        ...

    async def delete(self, user_id: UserId, purpose: str) -> None:
        """Destroy a user's key; no key is no fault."""
        ...


class SealedPersonalData:
    """Seals and opens personal fields. `master_key` and `lookup_key` are 32 bytes each."""

    def __init__(self, *, master_key: bytes, lookup_key: bytes, keys: UserKeys, clock: Clock) -> None:
        if len(master_key) != KEY_BYTES or len(lookup_key) != KEY_BYTES:
            message = f"expected keys of {KEY_BYTES} bytes, received {len(master_key)} and {len(lookup_key)}"
            raise ValueError(message)
        self._master = AESGCM(master_key)
        self._lookup_key = lookup_key
        self._keys = keys
        self._clock = clock
        self._unwrapped: OrderedDict[UserId, tuple[AESGCM, int]] = OrderedDict()

    async def create_key(self, user_id: UserId) -> None:
        """Make the user's key and keep it wrapped."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = self._master.encrypt(nonce, secrets.token_bytes(KEY_BYTES), _bound_to(user_id, "key"))
        await self._keys.put(user_id, PURPOSE, bytes([_VERSION]) + nonce + ciphertext)

    async def seal(self, user_id: UserId, field: str, text: str) -> tuple[bytes, bytes]:
        """Return nonce and ciphertext of *text*, bound to the user and the field.

        Raises:
            KeyMissing: the user has no key.
        """
        key = await self._key_of(user_id)
        if key is None:
            message = f"{user_id} has no key"
            raise KeyMissing(message)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce, key.encrypt(nonce, text.encode(), _bound_to(user_id, f"field:{field}"))

    async def unseal(self, user_id: UserId, field: str, nonce: bytes, ciphertext: bytes) -> str | None:
        """Return the text, None where the key was destroyed or nothing is left to open: the field is erased.

        Raises:
            SealBroken: it was not sealed for this user and field.
        """
        if not ciphertext:
            return None
        key = await self._key_of(user_id)
        if key is None:
            return None
        return open_sealed(key, nonce, ciphertext, _bound_to(user_id, f"field:{field}")).decode()

    async def destroy_key(self, user_id: UserId) -> None:
        """Destroy the user's key: here at once, in other processes when their copy ends, 5 s later at most."""
        await self._keys.delete(user_id, PURPOSE)
        self._unwrapped.pop(user_id, None)

    def lookup_hash(self, kind: str, text: str) -> bytes:
        """Return the keyed hash under which *text*, already normalised, is found again without being stored."""
        return hmac.digest(self._lookup_key, f"{kind}|{text}".encode(), sha256)

    async def _key_of(self, user_id: UserId) -> AESGCM | None:
        known = self._unwrapped.get(user_id)
        if known is not None and self._clock.monotonic_ns() < known[1]:
            return known[0]
        asked_at_ns = self._clock.monotonic_ns()
        wrapped = await self._keys.get(user_id, PURPOSE)
        if wrapped is None:
            self._unwrapped.pop(user_id, None)
            return None
        key = self._unwrap(user_id, wrapped)
        self._unwrapped[user_id] = (key, asked_at_ns + _CACHED_FOR_NS)
        self._unwrapped.move_to_end(user_id)
        if len(self._unwrapped) > _CACHED_MAX:
            self._unwrapped.popitem(last=False)
        return key

    def _unwrap(self, user_id: UserId, wrapped: bytes) -> AESGCM:
        version, nonce, ciphertext = wrapped[:1], wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        if version != bytes([_VERSION]):
            message = f"the key of {user_id} is wrapped in version {version.hex()}, expected {_VERSION}"
            raise SealBroken(message)
        return AESGCM(open_sealed(self._master, nonce, ciphertext, _bound_to(user_id, "key")))


def _bound_to(user_id: UserId, what: str) -> bytes:
    return f"{PURPOSE}|{_VERSION}|{user_id}|{what}".encode()


def open_sealed(key: AESGCM, nonce: bytes, ciphertext: bytes, bound_to: bytes) -> bytes:
    """Return what was sealed with *key* and bound to *bound_to*. Raises SealBroken."""
    try:
        return key.decrypt(nonce, ciphertext, bound_to)
    except (InvalidTag, ValueError):
        raise SealBroken(f"not sealed for {bound_to.decode()}") from None
