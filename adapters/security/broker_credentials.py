"""Credentials of the broker: sealed by whoever takes them in, opened by the executor alone.

Each set is sealed with a key of its own (AES-256-GCM). That key lies with the user's other keys, wrapped for the public
half of the executor's key (X25519, HKDF-SHA256, AES-256-GCM): the process that seals could not open it a moment later.
Row and key are bound to the user and the account, so one that is moved opens nowhere. Destroying the key destroys the
credentials in every copy and backup of the row, and erasing a user destroys theirs.
"""

import secrets
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from adapters.security.personal_data import KEY_BYTES, SealBroken, UserKeys, open_sealed
from domain.ids import AccountId, UserId

PURPOSE = "credentials"
_VERSION = 1
_NONCE_BYTES = 12
_PUBLIC_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedCredentials:
    """One account's credentials as they lie: whose, under which key, and the ciphertext."""

    user_id: UserId
    key_name: str
    nonce: bytes
    ciphertext: bytes


class SealedRows(Protocol):
    """Where sealed credentials lie. Everything raises StoreUnavailable."""

    async def keep(self, account_id: AccountId, sealed: SealedCredentials) -> str | None:
        """Keep an account's credentials, and return the name of the key of those before."""
        ...

    async def find(self, account_id: AccountId) -> SealedCredentials | None:
        """Return an account's credentials, None where there are none."""
        ...

    async def accounts_of(self, user_id: UserId) -> list[AccountId]:
        """Return the accounts of a user that have credentials."""
        ...

    async def drop(self, account_id: AccountId, key_name: str) -> None:
        """Forget an account's credentials, unless others were kept meanwhile."""
        ...


class CredentialsVault:
    """Implements `commands.ports.BrokerCredentials`: it seals for *executor_key*, and can open nothing."""

    def __init__(self, *, executor_key: X25519PublicKey, rows: SealedRows, keys: UserKeys) -> None:
        self._executor_key = executor_key
        self._rows = rows
        self._keys = keys

    async def keep(self, user_id: UserId, account_id: AccountId, credentials: bytes) -> None:
        """Keep an account's credentials in place of older ones, whose key is destroyed."""
        key_name = f"{PURPOSE}-{secrets.token_hex(8)}"
        key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(_NONCE_BYTES)
        ciphertext = AESGCM(key).encrypt(nonce, credentials, _bound_to(user_id, account_id, "row"))
        # The key first: a row without one would look like credentials, and be none.
        await self._keys.put(user_id, key_name, self._wrap(key, _bound_to(user_id, account_id, key_name)))
        sealed = SealedCredentials(user_id=user_id, key_name=key_name, nonce=nonce, ciphertext=ciphertext)
        before = await self._rows.keep(account_id, sealed)
        if before is not None and before != key_name:
            await self._keys.delete(user_id, before)

    async def drop(self, account_id: AccountId) -> None:
        """Destroy an account's credentials; none is no fault."""
        sealed = await self._rows.find(account_id)
        if sealed is not None:
            await self._keys.delete(sealed.user_id, sealed.key_name)
            await self._rows.drop(account_id, sealed.key_name)

    async def drop_all(self, user_id: UserId) -> None:
        """Destroy the credentials of every account of a user."""
        for account_id in await self._rows.accounts_of(user_id):
            await self.drop(account_id)

    def _wrap(self, key: bytes, bound_to: bytes) -> bytes:
        ephemeral = X25519PrivateKey.generate()
        public = ephemeral.public_key().public_bytes_raw()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        wrapping = _derived(ephemeral.exchange(self._executor_key), public, bound_to)
        return bytes([_VERSION]) + public + nonce + wrapping.encrypt(nonce, key, bound_to)


class CredentialsOpener:
    """Opens what a `CredentialsVault` sealed for the public half of *private_key*. For the executor alone."""

    def __init__(self, *, private_key: X25519PrivateKey, rows: SealedRows, keys: UserKeys) -> None:
        self._private_key = private_key
        self._rows = rows
        self._keys = keys

    async def open(self, account_id: AccountId) -> bytes | None:
        """Return an account's credentials, None where there are none or their key was destroyed.

        Raises:
            SealBroken: they were not sealed for this account and this executor.
            commands.ports.StoreUnavailable
        """
        sealed = await self._rows.find(account_id)
        wrapped = None if sealed is None else await self._keys.get(sealed.user_id, sealed.key_name)
        if sealed is None or wrapped is None:
            return None
        key = self._unwrap(wrapped, _bound_to(sealed.user_id, account_id, sealed.key_name))
        return open_sealed(AESGCM(key), sealed.nonce, sealed.ciphertext, _bound_to(sealed.user_id, account_id, "row"))

    def _unwrap(self, wrapped: bytes, bound_to: bytes) -> bytes:
        version, public = wrapped[:1], wrapped[1 : 1 + _PUBLIC_BYTES]
        if version != bytes([_VERSION]):
            message = f"the key of credentials is wrapped in version {version.hex()}, expected {_VERSION}"
            raise SealBroken(message)
        rest = wrapped[1 + _PUBLIC_BYTES :]
        shared = self._private_key.exchange(X25519PublicKey.from_public_bytes(public))
        return open_sealed(_derived(shared, public, bound_to), rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], bound_to)


def _derived(shared: bytes, public: bytes, bound_to: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=public, info=bound_to).derive(shared))


def _bound_to(user_id: UserId, account_id: AccountId, what: str) -> bytes:
    return f"{PURPOSE}|{_VERSION}|{user_id}|{account_id}|{what}".encode()
