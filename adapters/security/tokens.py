"""Access tokens: JWTs signed with Ed25519, ten minutes long."""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from hashlib import sha256

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from commands.ports import Clock, TokenExpired, TokenInvalid
from domain.ids import UserId

ALGORITHM = "EdDSA"
ISSUER = "khata"
AUDIENCE = "khata-api"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - the media type of RFC 9068, no secret
LIFETIME_S = 600
LEEWAY_S = 5
KNOWN_MAX = 10_000
_CLAIMS = ["iss", "aud", "sub", "exp", "iat", "jti"]
_NS_PER_S = 1_000_000_000


class Ed25519Tokens:
    """Issues tokens with one key and believes those of it and of any key that is *also_accepted* (rotation)."""

    def __init__(self, signing_pem: bytes, *, clock: Clock, also_accepted: Iterable[Ed25519PublicKey] = ()) -> None:
        key = load_pem_private_key(signing_pem, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            message = f"received a {type(key).__name__} as signing key, expected Ed25519"
            raise TypeError(message)
        self._clock = clock
        self._signing = key
        self._key_id = key_id_of(key.public_key())
        self._accepted = {key_id_of(public): public for public in (key.public_key(), *also_accepted)}
        # Checking a signature costs as much as deciding an intent, and a client sends the same token for ten minutes.
        self._known: OrderedDict[str, tuple[UserId, int]] = OrderedDict()

    def issue(self, user_id: UserId) -> tuple[str, int]:
        """Return a token for the user and the seconds it is good for."""
        now = self._clock.wall_ns() // _NS_PER_S
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user_id,
            "iat": now,
            "exp": now + LIFETIME_S,
            "jti": secrets.token_urlsafe(16),
        }
        headers = {"kid": self._key_id, "typ": TOKEN_TYPE}
        return jwt.encode(claims, self._signing, algorithm=ALGORITHM, headers=headers), LIFETIME_S

    def verify(self, token: str) -> UserId:
        """Return whom *token* was issued to.

        Raises:
            TokenExpired: it was ours and its time is over.
            TokenInvalid: anything else is wrong with it.
        """
        known = self._known.get(token)
        if known is not None and self._clock.wall_ns() < known[1]:
            return known[0]
        user_id, expires_at_ns = self._read(token)
        self._known[token] = user_id, expires_at_ns
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return user_id

    def _read(self, token: str) -> tuple[UserId, int]:
        """Return whom a token was issued to, and when it expires. Raises as `verify` does."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._accepted.get(str(header.get("kid")))
            if key is None or header.get("typ") != TOKEN_TYPE:
                raise TokenInvalid
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],  # Ours, never the header's: the classic forgeries name another one there.
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY_S,
                options={"require": _CLAIMS},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired from None
        except (jwt.InvalidTokenError, ValueError):
            # A ValueError is what some malformed texts, lone surrogates among them, end in before they are a token.
            raise TokenInvalid from None
        return UserId(claims["sub"]), int(claims["exp"]) * _NS_PER_S


def key_id_of(key: Ed25519PublicKey) -> str:
    """Return the name under which a token's header points to *key*."""
    return sha256(key.public_bytes_raw()).hexdigest()[:16]
