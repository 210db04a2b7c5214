"""Access tokens: one live token per account, renewed early, asked for once however many callers wait.

A token lives 24 hours at most and may die sooner, because the venue allows one per client and a newer one kills the
older. So its expiry is for planning only; the venue's "invalid token" is the truth, and `mark_dead` brings it here.

Nobody shall be surprised by an end: `status` tells the seconds that are left, `renew_due` renews what is due although
nobody calls, and warns where it cannot.
"""

import asyncio
import base64
import binascii
import hmac
from collections import Counter, defaultdict
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol

import structlog

from adapters.breaker import BreakerOpen, CircuitBreaker
from adapters.dhan.http.client import HttpAnswer, HttpRequest, Lane, Transport
from adapters.dhan.http.errors import Ambiguous, Fine, VenueRefusal, classify
from adapters.dhan.secret import Secret
from adapters.dhan.settings import DhanSettings
from adapters.dhan.words.codec import AnswerMalformed, parse_document, utc_ns_of
from commands.ports import Clock
from domain.ids import AccountId
from domain.market import NS_PER_S
from domain.venue import BreakerState

log = structlog.get_logger(__name__)

_DAY_NS = 24 * 3600 * NS_PER_S
_LIFE_NS_MIN = 60 * NS_PER_S
_JWT_PARTS = 3
_SHOWN_MAX = 100
"""So many tokens are shown: an engine may have thousands of accounts, and an answer has to stay small."""
_REFUSALS_DOUBLING = 7
"""After each refusal in a row the pause is twice as long, up to 128 times: guesses at a pin lock an account."""
PAPER_TOTP = "000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A token and whose it is. Times in UTC nanoseconds."""

    client_id: str
    token: Secret
    expires_at_ns: int
    renew_at_ns: int


class LoginUnavailable(Exception):
    """The venue's log-in could not be asked, or gave no answer. Nothing is known; ask again later."""


class LoginRefused(Exception):
    """The venue refused the log-in. Asking again with the same credentials will not help."""


class Logins(Protocol):
    """How an account gets a fresh token."""

    async def log_in(self, account_id: AccountId) -> Session:
        """Return a fresh session.

        Raises:
            LoginUnavailable, LoginRefused
        """
        ...

    async def renew(self, account_id: AccountId, held: Session) -> Session:
        """Return a session in place of one that still lives.

        Raises:
            LoginUnavailable, LoginRefused
        """
        ...


class TokenState(StrEnum):
    """How it stands with an account's token."""

    LIVE = "live"
    ENDING = "ending"
    """It lives, but ends soon."""
    ENDED = "ended"
    DEAD = "dead"
    """The venue called it invalid, and there is no other yet."""
    REFUSED = "refused"
    """The last log-in was refused: it needs a person."""


def session_of(
    client_id: str, token: Secret, *, now_ns: int, renew_before_s: float, expiry_text: str | None = None
) -> Session:
    """Return the session that *token* gives, its expiry read from the venue's text and from the token itself."""
    told = None if expiry_text is None else utc_ns_of(expiry_text)
    known = [time_ns for time_ns in (told, _expiry_in(token)) if time_ns is not None]
    # A clock that disagrees with the venue's must not make us log in before every call.
    expires_at_ns = max(min(known, default=now_ns + _DAY_NS), now_ns + _LIFE_NS_MIN)
    life_ns = expires_at_ns - now_ns
    early_ns = min(int(renew_before_s * NS_PER_S), life_ns // 4)
    return Session(client_id=client_id, token=token, expires_at_ns=expires_at_ns, renew_at_ns=expires_at_ns - early_ns)


def _expiry_in(token: Secret) -> int | None:
    """Return the expiry inside a JWT, unverified: the key is the venue's, and it is for planning only."""
    parts = token.reveal().split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        claims = parse_document(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (AnswerMalformed, binascii.Error, ValueError):
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    return expiry * NS_PER_S if isinstance(expiry, int) else None


class PinLogin:
    """The venue's log-in with client id, pin and one-time code, and its renewal of tokens."""

    def __init__(self, client: Transport, settings: DhanSettings, clock: Clock) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock

    async def log_in(self, client_id: str, pin: Secret, totp: Secret) -> Session:
        """Return a fresh session of *client_id*. The client's older token dies.

        Raises:
            LoginUnavailable, LoginRefused
        """
        request = HttpRequest(
            method="POST",
            url=f"{self._settings.auth_url}/app/generateAccessToken",
            lane=Lane.READS,
            params={"dhanClientId": client_id, "pin": pin.reveal(), "totp": totp.reveal()},
        )
        return await self._ask("log-in", client_id, request)

    async def renew(self, held: Session) -> Session:
        """Return a fresh session in place of *held*, whose token was made in the venue's web page and still lives.

        That token dies. Source: Dhan, authentication, RenewToken: a GET, its client id under a name of its own.

        Raises:
            LoginUnavailable, LoginRefused
        """
        headers = {"access-token": held.token.reveal(), "dhanClientId": held.client_id}
        request = HttpRequest(method="GET", url=f"{self._settings.base_url}/RenewToken", headers=headers)
        return await self._ask("renewal", held.client_id, request)

    async def _ask(self, what: str, client_id: str, request: HttpRequest) -> Session:
        answer = await self._client.send(request)
        if not isinstance(answer, HttpAnswer):
            raise LoginUnavailable(f"{what} of client {client_id}: {answer.cause}")
        match classify(answer.status, answer.body):
            case VenueRefusal(code=code, message=message):
                raise LoginRefused(f"{what} of client {client_id} refused: {code} {message}")
            case Ambiguous(cause=cause):
                raise LoginUnavailable(f"{what} of client {client_id}: {cause}")
            case Fine(document=document):
                return self._session(what, client_id, document)

    def _session(self, what: str, client_id: str, document: Any) -> Session:
        token = document.get("accessToken") if isinstance(document, dict) else None
        if not isinstance(token, str) or not token:
            raise LoginUnavailable(f"{what} of client {client_id}: an answer without a token")
        expiry = document.get("expiryTime")
        try:
            return session_of(
                client_id,
                Secret(token),
                now_ns=self._clock.wall_ns(),
                renew_before_s=self._settings.token_renew_before_s,
                expiry_text=expiry if isinstance(expiry, str) else None,
            )
        except AnswerMalformed as error:
            raise LoginUnavailable(f"{what} of client {client_id}: {error}") from error


class PaperLogins:
    """Log-ins of paper accounts at the simulator: derived from the account's id and the installation's secret."""

    def __init__(self, login: PinLogin, simulator_key: bytes) -> None:
        self._login = login
        self._key = simulator_key

    def client_id(self, account_id: AccountId) -> str:
        """Return the client id of a paper account: ten digits, always the same."""
        number = int.from_bytes(sha256(account_id.encode()).digest(), "big")
        return f"10{number % 10**8:08d}"

    def pin(self, client_id: str) -> Secret:
        """Return the pin of a client of the simulator: six digits, known only with the secret."""
        digest = hmac.digest(self._key, client_id.encode(), "sha256")
        return Secret(f"{int.from_bytes(digest[:8], 'big') % 10**6:06d}")

    async def log_in(self, account_id: AccountId) -> Session:
        """Return a fresh session; the simulator opens the client at its first log-in."""
        client_id = self.client_id(account_id)
        return await self._login.log_in(client_id, self.pin(client_id), Secret(PAPER_TOTP))

    async def renew(self, account_id: AccountId, held: Session) -> Session:  # noqa: ARG002 - it needs no older one
        """Return a fresh session; the older token dies."""
        return await self.log_in(account_id)


class Tokens:
    """The sessions of all accounts of this process."""

    def __init__(self, logins: Logins, clock: Clock, settings: DhanSettings, breaker: CircuitBreaker) -> None:
        self._logins = logins
        self._clock = clock
        self._pause_ns = int(settings.login_pause_s * NS_PER_S)
        self._warn_before_ns = int(settings.token_warn_before_s * NS_PER_S)
        self._breaker = breaker
        self._sessions: dict[AccountId, Session] = {}
        self._paused_until_ns: dict[AccountId, int] = {}
        self._asking: defaultdict[AccountId, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._refusals: Counter[AccountId] = Counter()
        self._troubles: dict[AccountId, tuple[TokenState, str]] = {}
        self._warned: dict[AccountId, Session] = {}
        self.logins = 0

    async def session(self, account_id: AccountId) -> Session:
        """Return a live session, logging in where there is none or its end is near.

        Raises:
            LoginUnavailable, LoginRefused
        """
        held = self._sessions.get(account_id)
        if held is not None and self._clock.wall_ns() < held.renew_at_ns:
            return held
        async with self._asking[account_id]:
            held = self._sessions.get(account_id)
            now_ns = self._clock.wall_ns()
            if held is not None and now_ns < held.renew_at_ns:
                return held
            try:
                session = await self._log_in(account_id, held)
            except (LoginUnavailable, LoginRefused):
                if held is not None and now_ns < held.expires_at_ns:
                    return held  # It was only to be renewed early; there is time to try again.
                raise
            self.put(account_id, session)
            return session

    def put(self, account_id: AccountId, session: Session) -> None:
        """Use *session* from now on: one that a person brought, or that a log-in gave."""
        self._sessions[account_id] = session
        self._refusals.pop(account_id, None)
        self._paused_until_ns.pop(account_id, None)
        self._troubles.pop(account_id, None)

    def held(self, account_id: AccountId) -> Session | None:
        """Return the session at hand, which may have died since."""
        return self._sessions.get(account_id)

    def mark_dead(self, account_id: AccountId, session: Session, *, cause: str) -> None:
        """Forget *session*, which the venue called invalid; a newer one stays."""
        if self._sessions.get(account_id) == session:
            del self._sessions[account_id]
            self._troubles[account_id] = (TokenState.DEAD, cause)
            log.error("token is dead", account_id=account_id, cause=cause)

    async def renew_due(self) -> None:
        """Renew the tokens that are due, and warn once of each that ends soon and could not be renewed."""
        for account_id, held in list(self._sessions.items()):
            try:
                session = await self.session(account_id)
            except (LoginUnavailable, LoginRefused) as fault:
                log.warning("token ended", account_id=account_id, fault=str(fault))
                continue
            left_ns = session.expires_at_ns - self._clock.wall_ns()
            if session is held and left_ns < self._warn_before_ns and self._warned.get(account_id) is not session:
                self._warned[account_id] = session
                log.warning("token ends soon", account_id=account_id, seconds_left=left_ns // NS_PER_S)

    def status(self) -> dict[str, Any]:
        """Return how it stands with accounts' tokens, those that end first first: for people and probes, no token."""
        now_ns = self._clock.wall_ns()
        accounts = {*self._sessions, *self._troubles}
        standings = [(account_id, self._standing(account_id, now_ns)) for account_id in accounts]
        standings.sort(key=lambda standing: standing[1]["seconds_left"])
        return dict(standings[:_SHOWN_MAX])

    def _standing(self, account_id: AccountId, now_ns: int) -> dict[str, Any]:
        held = self._sessions.get(account_id)
        trouble, cause = self._troubles.get(account_id, (None, ""))
        if held is None:
            return {"state": trouble, "seconds_left": 0, "cause": cause}
        left_ns = held.expires_at_ns - now_ns
        state = TokenState.ENDED if left_ns <= 0 else TokenState.LIVE
        if 0 < left_ns < self._warn_before_ns:
            state = TokenState.ENDING
        renews_in_s = max(0, held.renew_at_ns - now_ns) / NS_PER_S
        return {"state": state, "seconds_left": max(0, left_ns) / NS_PER_S, "renews_in_s": renews_in_s, "cause": cause}

    def is_held_back(self, account_id: AccountId) -> bool:
        """Tell whether asking for a session now would fail without asking the venue."""
        held = self._sessions.get(account_id)
        if held is not None and self._clock.wall_ns() < held.expires_at_ns:
            return False
        return self._is_paused(account_id) or (self._breaker.trial_wait_ns() or 0) > 0

    def _is_paused(self, account_id: AccountId) -> bool:
        return self._clock.monotonic_ns() < self._paused_until_ns.get(account_id, 0)

    async def _log_in(self, account_id: AccountId, held: Session | None) -> Session:
        if self._is_paused(account_id):
            raise LoginUnavailable("the last log-in failed a moment ago")
        try:
            # A log-in moves no money, so it may itself be the trial that closes its breaker again.
            is_closed = self._breaker.state is BreakerState.CLOSED
            permit = self._breaker.acquire() if is_closed else self._breaker.acquire_trial()
        except BreakerOpen as held_back:
            raise LoginUnavailable(str(held_back)) from held_back
        self.logins += 1
        with permit:
            try:
                session = await self._asked(account_id, held)
            except LoginRefused as refused:
                permit.ignored()
                self._refusals[account_id] += 1
                self._troubles[account_id] = (TokenState.REFUSED, str(refused))
                self._pause(account_id)
                raise
            except LoginUnavailable:
                self._pause(account_id)
                raise
            permit.succeeded()
        return session

    async def _asked(self, account_id: AccountId, held: Session | None) -> Session:
        if held is not None and self._clock.wall_ns() < held.expires_at_ns:
            return await self._logins.renew(account_id, held)
        return await self._logins.log_in(account_id)

    def _pause(self, account_id: AccountId) -> None:
        doublings = min(max(0, self._refusals[account_id] - 1), _REFUSALS_DOUBLING)
        self._paused_until_ns[account_id] = self._clock.monotonic_ns() + (self._pause_ns << doublings)
