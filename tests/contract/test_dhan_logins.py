"""Log-ins: derived for paper accounts, asked for once, renewed early."""

import asyncio
import base64
import hashlib
import hmac
import json

import pytest

from adapters.breaker import CircuitBreaker
from adapters.clock import SystemClock
from adapters.dhan.access.tokens import (
    LoginRefused,
    LoginUnavailable,
    PaperLogins,
    PinLogin,
    Session,
    Tokens,
    session_of,
)
from adapters.dhan.http.client import HttpClient
from adapters.dhan.secret import Secret
from domain.ids import AccountId
from tests.support.dhan import (
    ACCOUNT,
    OTHER_ACCOUNT,
    SIMULATOR_KEY,
    TOKEN_PATH,
    HandClock,
    settings_for,
    token_answer,
    venue_and_broker,
)
from tests.support.venue import Venue, answer

S = 1_000_000_000
DAY_S = 86_400


def jwt(expires_at_s: int) -> str:
    def part(document: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS512'})}.{part({'iss': 'dhan', 'exp': expires_at_s})}.signature"


class ScriptedLogins:
    """Log-ins by list: each is a session, or a fault."""

    def __init__(self, *script: Session | Exception) -> None:
        self.script = list(script)
        self.asked = 0

    async def log_in(self, account_id: AccountId) -> Session:  # noqa: ARG002 - the script decides
        self.asked += 1
        await asyncio.sleep(0)
        outcome = self.script.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def renew(self, account_id: AccountId, held: Session) -> Session:  # noqa: ARG002 - the script decides
        return await self.log_in(account_id)


def a_session(clock: HandClock, token: str, life_s: int = DAY_S) -> Session:
    expires_at_ns = clock.wall_ns() + life_s * S
    return Session(client_id="1", token=Secret(token), expires_at_ns=expires_at_ns, renew_at_ns=expires_at_ns - 900 * S)


def tokens_of(clock: HandClock, *script: Session | Exception) -> tuple[Tokens, ScriptedLogins]:
    logins = ScriptedLogins(*script)
    settings = settings_for("http://unused", login_pause_s=2.0)
    breaker = CircuitBreaker("auth/login", monotonic_ns=clock.monotonic_ns)
    return Tokens(logins, clock, settings, breaker), logins


async def test_a_paper_account_logs_in_with_what_its_id_and_the_secret_give() -> None:
    async with venue_and_broker() as (venue, broker):
        session = await broker.tokens.session(ACCOUNT)
        [request] = venue.requests("POST", TOKEN_PATH)
    digits = int(hashlib.sha256(ACCOUNT.encode()).hexdigest(), 16) % 10**8
    client_id = "10" + str(digits).zfill(8)
    pin = int(hmac.new(SIMULATOR_KEY, client_id.encode(), "sha256").hexdigest()[:16], 16) % 10**6
    assert request.query == {"dhanClientId": client_id, "pin": str(pin).zfill(6), "totp": "000000"}
    assert request.body == b""
    assert session.client_id == client_id
    assert session.token.reveal() == "token-1"


async def test_many_callers_log_in_once() -> None:
    async with venue_and_broker() as (venue, broker):
        sessions = await asyncio.gather(*(broker.tokens.session(ACCOUNT) for _ in range(20)))
        assert len(set(sessions)) == 1
        await broker.tokens.session(OTHER_ACCOUNT)
        assert len(venue.requests("POST", TOKEN_PATH)) == 2


@pytest.mark.parametrize(
    ("status", "document", "fault"),
    [
        (400, {"errorCode": "DH-906", "errorMessage": "Invalid TOTP"}, LoginRefused),
        (502, None, LoginUnavailable),
        (200, {"status": "success"}, LoginUnavailable),
        (200, {"accessToken": "x", "expiryTime": "whenever"}, LoginUnavailable),
    ],
)
async def test_a_failed_log_in_is_refused_or_unavailable(status: int, document: object, fault: type[Exception]) -> None:
    async with Venue() as venue:
        venue.on("POST", TOKEN_PATH, answer(status, document))
        settings = settings_for(venue.url)
        client = HttpClient(settings, SystemClock())
        logins = PaperLogins(PinLogin(client, settings, SystemClock()), SIMULATOR_KEY)
        with pytest.raises(fault) as raised:
            await logins.log_in(ACCOUNT)
        await client.aclose()
        assert logins.pin(logins.client_id(ACCOUNT)).reveal() not in str(raised.value)


async def test_a_token_is_renewed_before_it_ends() -> None:
    clock = HandClock()
    later = HandClock(clock.wall_ns() + DAY_S * S)
    tokens, logins = tokens_of(clock, a_session(clock, "first"), a_session(later, "second"))
    await tokens.session(ACCOUNT)
    clock.advance(DAY_S - 901)
    assert (await tokens.session(ACCOUNT)).token == Secret("first")
    clock.advance(1)
    assert (await tokens.session(ACCOUNT)).token == Secret("second")
    assert logins.asked == 2


async def test_while_renewal_fails_the_old_token_serves_to_its_end() -> None:
    clock = HandClock()
    fault = LoginUnavailable("down")
    tokens, logins = tokens_of(clock, a_session(clock, "first"), fault, fault)
    await tokens.session(ACCOUNT)
    clock.advance(DAY_S - 500)
    assert (await tokens.session(ACCOUNT)).token == Secret("first")
    assert (await tokens.session(ACCOUNT)).token == Secret("first")
    assert logins.asked == 2  # The second call came within the pause after the failure.
    clock.advance(501)
    with pytest.raises(LoginUnavailable):
        await tokens.session(ACCOUNT)


async def test_after_a_refusal_the_log_in_pauses() -> None:
    clock = HandClock()
    tokens, logins = tokens_of(clock, LoginRefused("wrong pin"), a_session(clock, "good"))
    with pytest.raises(LoginRefused):
        await tokens.session(ACCOUNT)
    with pytest.raises(LoginUnavailable):
        await tokens.session(ACCOUNT)
    assert tokens.is_held_back(ACCOUNT)
    clock.advance(2)
    assert not tokens.is_held_back(ACCOUNT)
    assert (await tokens.session(ACCOUNT)).token == Secret("good")
    assert logins.asked == 2


async def test_a_dead_token_is_forgotten_but_never_a_newer_one() -> None:
    clock = HandClock()
    tokens, _ = tokens_of(clock, a_session(clock, "first"), a_session(clock, "second"))
    first = await tokens.session(ACCOUNT)
    tokens.mark_dead(ACCOUNT, first, cause="Invalid Token")
    second = await tokens.session(ACCOUNT)
    tokens.mark_dead(ACCOUNT, first, cause="Invalid Token")  # A slow answer to a call made with the older token.
    assert await tokens.session(ACCOUNT) is second


def test_the_expiry_is_the_earlier_of_what_the_venue_and_the_token_say() -> None:
    now_ns = 1_790_829_000 * S  # 2026-10-01 10:00 in India
    token = Secret(jwt(1_790_829_000 + 7_200))
    session = session_of("1", token, now_ns=now_ns, renew_before_s=900, expiry_text="2026-10-01T11:00:00.000")
    assert session.expires_at_ns == now_ns + 3_600 * S
    session = session_of("1", token, now_ns=now_ns, renew_before_s=900, expiry_text="2026-10-02T10:00:00")
    assert session.expires_at_ns == now_ns + 7_200 * S
    assert session.renew_at_ns == now_ns + (7_200 - 900) * S


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.e30.c", "a.W10.c"])
def test_a_token_that_tells_nothing_is_believed_for_a_day(token: str) -> None:
    session = session_of("1", Secret(token), now_ns=0, renew_before_s=900)
    assert session.expires_at_ns == DAY_S * S


def test_an_expiry_in_the_past_does_not_make_every_call_log_in() -> None:
    now_ns = 1_790_829_000 * S
    session = session_of("1", Secret("x"), now_ns=now_ns, renew_before_s=900, expiry_text="2021-04-27T10:00:00")
    assert now_ns < session.renew_at_ns < session.expires_at_ns


def test_a_secret_is_masked_wherever_it_shows() -> None:
    secret = Secret("token")
    settings = settings_for("http://unused", access_token=secret)
    assert "token" not in f"{secret} {secret!r} {[secret]}"
    assert "Secret(****)" in repr(settings)
    assert secret == Secret("token")
    assert secret != Secret("other")
    with pytest.raises(TypeError):
        secret.__reduce__()


async def test_tokens_are_answered_from_memory() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", TOKEN_PATH, answer(200, token_answer("token-1")))
        first = await broker.tokens.session(ACCOUNT)
        assert await broker.tokens.session(ACCOUNT) is first
        assert broker.tokens.held(ACCOUNT) is first
