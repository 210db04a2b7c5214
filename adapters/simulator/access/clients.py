"""Who may use the simulator: client ids with a derived PIN, and one live token each."""

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import Any

import msgspec

from domain.market import NS_PER_S

TOKEN_LIFE_S = 24 * 3600
TOTP_ACCEPTED = "000000"
CLIENT_ID_LENGTH = 10
_PIN_BYTES = 8
_PIN_RANGE = 10**6


class TokenDead(Exception):
    """The token is not the live one of any client, or its time is over."""


class TokenExpired(TokenDead):
    """It was the live token, and is older than 24 hours."""


def pin_of(client_id: str, *, secret: bytes) -> str:
    """Return the PIN with which *client_id* logs in: six digits that whoever holds the secret can derive."""
    digest = hmac.new(secret, client_id.encode(), hashlib.sha256).digest()
    return f"{int.from_bytes(digest[:_PIN_BYTES]) % _PIN_RANGE:06d}"


def partner_secret_of(partner_id: str, *, secret: bytes) -> str:
    """Return the secret with which the partner *partner_id*, whose clients all clients are, hears of their orders."""
    return hmac.new(secret, f"partner {partner_id}".encode(), hashlib.sha256).hexdigest()


class Tokens:
    """Issues and checks tokens: JWTs as the broker's look, good for 24 hours, one live per client."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, b"simulator token", hashlib.sha256).digest()
        self._live: dict[str, str] = {}
        self._issued = 0

    def issue(self, client_id: str, *, now_ns: int, consumer: str = "SELF") -> tuple[str, int]:
        """Return a fresh token and when it ends (UTC seconds); the client's former token is dead from now on.

        *consumer* is who it was made for: the client's own programs, or `APP`, a program with an API key.
        """
        self._issued += 1
        issued_s = now_ns // NS_PER_S
        ends_s = issued_s + TOKEN_LIFE_S
        payload = {
            "iss": "dhan",
            "partnerId": "",
            "exp": ends_s,
            "iat": issued_s,
            "tokenConsumerType": consumer,
            "webhookUrl": "",
            "dhanClientId": client_id,
            "jti": self._issued,  # Two tokens of one second must differ, or the former would live on.
        }
        signed = f"{_segment({'typ': 'JWT', 'alg': 'HS512'})}.{_segment(payload)}"
        signature = hmac.new(self._key, signed.encode(), hashlib.sha512).digest()
        token = f"{signed}.{_base64(signature)}"
        self._live[client_id] = token
        return token, ends_s

    def client_of(self, token: str, *, now_ns: int) -> str:
        """Return whose live token this is.

        Raises:
            TokenDead: it is nobody's, was replaced or revoked, or is older than 24 hours.
        """
        client_id, ends_s = _claims(token)
        live = self._live.get(client_id)
        if live is None or not hmac.compare_digest(live.encode(), token.encode()):
            raise TokenDead(f"received a token of {client_id} that is not the live one")
        if now_ns // NS_PER_S >= ends_s:
            raise TokenExpired(f"received a token of {client_id} that has ended")
        return client_id

    def ends_s(self, token: str) -> int:
        """Return when a token of ours ends (UTC seconds). Raises TokenDead."""
        return _claims(token)[1]

    def revoke(self, client_id: str) -> None:
        """Kill the client's live token before its time."""
        self._live.pop(client_id, None)


@lru_cache(maxsize=1024)  # A client sends its token with every request.
def _claims(token: str) -> tuple[str, int]:
    try:
        payload: dict[str, Any] = msgspec.json.decode(_unbase64(token.split(".")[1]))
        return str(payload["dhanClientId"]), int(payload["exp"])
    except (IndexError, KeyError, TypeError, ValueError, msgspec.DecodeError):
        raise TokenDead("received a token that is no JWT of ours") from None


def _segment(value: dict[str, Any]) -> str:
    return _base64(msgspec.json.encode(value))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
