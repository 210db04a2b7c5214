"""How a program gets a token without a PIN: an API key asks for consent, a person gives it, a token id is consumed.

The person's part, a page of the broker, is left out: whoever opens the address of a consent has given it.
"""

import hashlib
import hmac
from dataclasses import dataclass, field

from domain.market import trading_day

CONSENTS_A_DAY_MAX = 25
_KEY_LENGTH, _SECRET_LENGTH, _ID_LENGTH = 8, 36, 32


class ApiKeyWrong(Exception):
    """The key and the secret are not those of the client."""


class ConsentsExhausted(Exception):
    """The client's key has asked 25 times today."""


class ConsentUnknown(Exception):
    """There is no such consent or token id, or it was used: each is good once."""


def api_key_of(client_id: str, *, secret: bytes) -> tuple[str, str]:
    """Return a client's API key and its secret: whoever holds the simulator's secret can derive them."""
    digest = hmac.new(secret, f"api key {client_id}".encode(), hashlib.sha256).hexdigest()
    return digest[:_KEY_LENGTH], digest[_KEY_LENGTH : _KEY_LENGTH + _SECRET_LENGTH]


@dataclass(slots=True)
class Consents:
    """The consents of all clients. *secret* is the simulator's."""

    secret: bytes = field(repr=False)
    _asked: dict[str, str] = field(default_factory=dict)
    _given: dict[str, str] = field(default_factory=dict)
    _counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _issued: int = 0

    def ask(self, client_id: str, *, app_id: str, app_secret: str, now_ns: int) -> str:
        """Return the id of a new consent. Raises ApiKeyWrong or ConsentsExhausted."""
        self._check(client_id, app_id, app_secret)
        today = (client_id, trading_day(now_ns).isoformat())
        if self._counts.get(today, 0) >= CONSENTS_A_DAY_MAX:
            raise ConsentsExhausted(f"received consent {CONSENTS_A_DAY_MAX + 1} of {client_id} on {today[1]}")
        self._counts[today] = self._counts.get(today, 0) + 1
        consent_id = self._new_id("consent")
        self._asked[consent_id] = client_id
        return consent_id

    def give(self, consent_id: str) -> str:
        """Return the token id of a consent that a person has given. Raises ConsentUnknown."""
        client_id = self._asked.pop(consent_id, None)
        if client_id is None:
            raise ConsentUnknown("received a consent that was not asked for, or was given before")
        token_id = self._new_id("token")
        self._given[token_id] = client_id
        return token_id

    def consume(self, token_id: str, *, app_id: str, app_secret: str) -> str:
        """Return whose token a token id is good for. Raises ConsentUnknown or ApiKeyWrong."""
        client_id = self._given.get(token_id)
        if client_id is None:
            raise ConsentUnknown("received a token id that was not issued, or was consumed before")
        self._check(client_id, app_id, app_secret)
        del self._given[token_id]
        return client_id

    def _check(self, client_id: str, app_id: str, app_secret: str) -> None:
        expected = "\n".join(api_key_of(client_id, secret=self.secret))
        if not hmac.compare_digest(expected.encode(), f"{app_id}\n{app_secret}".encode()):
            raise ApiKeyWrong(f"received a key that is not that of {client_id}")

    def _new_id(self, kind: str) -> str:
        self._issued += 1
        return hmac.new(self.secret, f"{kind} {self._issued}".encode(), hashlib.sha256).hexdigest()[:_ID_LENGTH]
