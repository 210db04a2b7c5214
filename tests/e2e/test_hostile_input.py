"""What a hostile client sends over a real socket is answered with a clear problem, and nothing of it is stored."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.clock import SystemClock
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.database import Database
from adapters.security.tokens import LIFETIME_S, Ed25519Tokens
from domain.audit import AuditEntry, decode
from domain.ids import UserId
from infra.demo.traders import Trader
from tests.support.eventually import eventually
from tests.support.onlooker import Onlooker, looking_at
from tests.support.running import RunningEngine
from tests.support.security import ManualClock

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
TOO_MANY = ORDER | {"quantity": 900_000}
"""Denied by risk: it makes a trade, and sends nothing."""
FIVE_MEGABYTES = b'{"symbol": "' + b"R" * 5_000_000 + b'"}'
NS_PER_S = 1_000_000_000
LINES_REFUSED = ("Invalid HTTP request received",)
"""What the server says of requests that are no HTTP, at the level of a warning."""

Ask = Callable[..., Awaitable[httpx.Response]]


@asynccontextmanager
async def nothing_stored(onlooker: Onlooker) -> AsyncIterator[None]:
    before = await onlooker.head()
    yield
    assert await onlooker.head() == before


def demand_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert {"type", "title", "status", "code", "detail", "instance"} <= problem.keys()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture
async def onlooker(engine: RunningEngine) -> AsyncIterator[Onlooker]:
    async with looking_at(engine) as connected:
        yield connected
    assert engine.complaints(expected=LINES_REFUSED) == []


@pytest.fixture
async def mallory(onlooker: Onlooker, request: pytest.FixtureRequest) -> Trader:
    return await onlooker.newcomer(f"mallory-{request.node.name}"[:60])


BAD_ORDERS: list[tuple[str, Any, str]] = [
    ("unknown symbol", ORDER | {"symbol": "NOSUCH"}, "INSTRUMENT_UNKNOWN"),
    ("zero quantity", ORDER | {"quantity": 0}, "QUANTITY_INVALID"),
    ("negative quantity", ORDER | {"quantity": -1}, "QUANTITY_INVALID"),
    ("fractional quantity", ORDER | {"quantity": 1.5}, "QUANTITY_INVALID"),
    ("unknown side", ORDER | {"side": "HOLD"}, "SIDE_INVALID"),
    ("unknown field", ORDER | {"broker": "somebody"}, "FIELD_UNKNOWN"),
    ("price off tick", ORDER | {"order_type": "LIMIT", "limit_price": "1300.03"}, "PRICE_OFF_TICK"),
    ("price as a number", ORDER | {"order_type": "LIMIT", "limit_price": 1300}, "LIMIT_PRICE_INVALID"),
    ("no object", [ORDER], "BODY_INVALID"),
]
NO_JSON: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("a form", b"symbol=RELIANCE&side=BUY&quantity=10"),
    ("half an object", b'{"symbol": "REL'),
    ("no UTF-8", b'{"symbol": "\xff\xfe"}'),
    ("something compressed", b"\x1f\x8b\x08\x00" + bytes(60)),
    ("an abyss", b"[" * 60_000),
]


async def test_an_order_that_can_never_be_right_is_not_stored(onlooker: Onlooker, mallory: Trader) -> None:
    async with nothing_stored(onlooker):
        headers = mallory.headers | {"Idempotency-Key": "one"}
        for _, body, code in BAD_ORDERS:
            demand_problem(await onlooker.api.post("/api/trades", json=body, headers=headers), 422, code)
        for _, content in NO_JSON:
            answer = await onlooker.api.post("/api/trades", content=content, headers=headers)
            demand_problem(answer, 400, "BODY_NOT_JSON")


async def test_five_megabytes_are_refused_whether_announced_or_not(onlooker: Onlooker, mallory: Trader) -> None:
    async def in_chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(FIVE_MEGABYTES), 65_536):
            yield FIVE_MEGABYTES[start : start + 65_536]

    async with nothing_stored(onlooker):
        headers = mallory.headers | {"Idempotency-Key": "one"}
        for path in ("/api/trades", "/api/auth/login", "/api/auth/register"):
            for content in (FIVE_MEGABYTES, in_chunks()):
                answer = await onlooker.api.post(path, content=content, headers=headers)
                demand_problem(answer, 413, "BODY_TOO_LARGE")


async def test_five_megabytes_are_refused_before_they_are_sent(engine: RunningEngine, onlooker: Onlooker) -> None:
    head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"
    async with nothing_stored(onlooker):
        answer = await spoken(engine, head.encode())
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"BODY_TOO_LARGE" in answer


async def test_a_token_that_proves_nothing_opens_nothing(
    engine: RunningEngine, onlooker: Onlooker, mallory: Trader
) -> None:
    """The engine's own signing key is at hand here: even with it, what is not exactly right is refused."""
    genuine = mallory.headers["Authorization"].removeprefix("Bearer ")
    head, claims, signature = genuine.split(".")
    kid = jwt.get_unverified_header(genuine)["kid"]
    mine = UserId(json.loads(jwt.utils.base64url_decode(claims))["sub"])
    signing = engine.keys.signing_pem

    def issued(pem_or_key: Any, *, age_s: int = 0, user: UserId = mine) -> str:
        clock = ManualClock(SystemClock().wall_ns() - age_s * NS_PER_S)
        return Ed25519Tokens(pem_or_key, clock=clock).issue(user)[0]

    def edited(**changes: Any) -> str:
        document = json.loads(jwt.utils.base64url_decode(claims)) | changes
        return f"{head}.{urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip('=')}.{signature}"

    def signed_as(algorithm: str, key: Any, **header: Any) -> str:
        document = json.loads(jwt.utils.base64url_decode(claims))
        return jwt.encode(document, key, algorithm=algorithm, headers={"kid": kid, "typ": "at+jwt"} | header)

    cases = {
        "": "TOKEN_MISSING",
        "Basic bWFsbG9yeTp4": "TOKEN_MISSING",
        "Bearer": "TOKEN_MISSING",
        "Bearer x": "TOKEN_INVALID",
        "Bearer ..": "TOKEN_INVALID",
        f"Bearer {head}.{claims}.": "TOKEN_INVALID",
        f"Bearer {edited(sub='usr_00000000000000000000000000')}": "TOKEN_INVALID",
        f"Bearer {edited(exp=4_000_000_000)}": "TOKEN_INVALID",
        f"Bearer {signed_as('EdDSA', Ed25519PrivateKey.generate())}": "TOKEN_INVALID",
        f"Bearer {signed_as('HS256', b'k' * 32)}": "TOKEN_INVALID",
        f"Bearer {signed_as('none', None)}": "TOKEN_INVALID",
        f"Bearer {issued(signing, age_s=LIFETIME_S + 60)}": "TOKEN_EXPIRED",
        f"Bearer {issued(signing, user=UserId('usr_00000000000000000000000000'))}": "TOKEN_INVALID",
    }
    async with nothing_stored(onlooker):
        for authorization, code in cases.items():
            headers = {"Idempotency-Key": "one"} | ({"Authorization": authorization} if authorization else {})
            demand_problem(await onlooker.api.post("/api/trades", json=ORDER, headers=headers), 401, code)
            demand_problem(await onlooker.api.get("/api/trades", headers=headers), 401, code)


async def test_what_is_another_users_does_not_exist(onlooker: Onlooker, mallory: Trader) -> None:
    asha = await onlooker.newcomer("asha-with-a-trade")
    denied = await asha.intend(**TOO_MANY)
    theirs, fresh = f"/api/trades/{denied.trade_id}", {"min_sequence": denied.sequence}

    async with nothing_stored(onlooker):
        assert (await onlooker.api.get(theirs, headers=asha.headers, params=fresh)).status_code == 200
        demand_problem(await onlooker.api.get(theirs, headers=mallory.headers, params=fresh), 404, "TRADE_NOT_FOUND")
        listed = await onlooker.api.get("/api/trades", headers=mallory.headers, params=fresh)
        assert listed.json()["trades"] == []
        headers = mallory.headers | {"Idempotency-Key": "close"}
        answer = await onlooker.api.post("/api/positions/close/NSE_EQ-2885-INTRADAY", headers=headers)
        demand_problem(answer, 409, "POSITION_NOT_OPEN")


async def test_a_key_names_one_request_of_one_user(onlooker: Onlooker, mallory: Trader) -> None:
    headers = mallory.headers | {"Idempotency-Key": "one"}
    first = await onlooker.api.post("/api/trades", json=TOO_MANY, headers=headers)
    demand_problem(first, 403, "QUANTITY_ABOVE_LIMIT")

    async with nothing_stored(onlooker):
        other = await onlooker.api.post("/api/trades", json=TOO_MANY | {"quantity": 900_001}, headers=headers)
        demand_problem(other, 422, "IDEMPOTENCY_KEY_REUSED")
        again = await onlooker.api.post("/api/trades", json=TOO_MANY, headers=headers)
        assert again.json() == first.json()
        for key, code in {None: "MISSING", "": "INVALID", "two words": "INVALID", "x" * 129: "INVALID"}.items():
            keyed = mallory.headers | ({} if key is None else {"Idempotency-Key": key})
            answer = await onlooker.api.post("/api/trades", json=TOO_MANY, headers=keyed)
            demand_problem(answer, 400, f"IDEMPOTENCY_KEY_{code}")

    bala = await onlooker.newcomer("bala-with-the-same-key")
    theirs = await onlooker.api.post("/api/trades", json=TOO_MANY, headers=bala.headers | {"Idempotency-Key": "one"})
    assert theirs.json()["trade_id"] != first.json()["trade_id"]


async def test_the_same_intent_from_many_connections_at_once_is_one_trade(onlooker: Onlooker, mallory: Trader) -> None:
    headers = mallory.headers | {"Idempotency-Key": "storm"}
    before = await onlooker.head()

    async def send() -> httpx.Response:
        return await onlooker.api.post("/api/trades", json=TOO_MANY, headers=headers)

    answers = await asyncio.gather(*(send() for _ in range(20)))
    assert {answer.status_code for answer in answers} == {403}
    assert len({answer.json()["trade_id"] for answer in answers}) == 1
    assert await onlooker.head() == before + 1


async def test_a_question_that_makes_no_sense(onlooker: Onlooker, mallory: Trader) -> None:
    cases: list[tuple[str, dict[str, str], int, str]] = [
        ("/api/trades", {"limit": "0"}, 422, "LIMIT_INVALID"),
        ("/api/trades", {"limit": "1e3"}, 422, "LIMIT_INVALID"),
        ("/api/trades", {"status": "'; DROP TABLE log.events; --"}, 422, "STATUS_INVALID"),
        ("/api/trades", {"symbol": "\x00"}, 422, "SYMBOL_INVALID"),
        ("/api/trades", {"before": str(2**63)}, 422, "BEFORE_INVALID"),
        ("/api/trades", {"min_sequence": "-1"}, 422, "MIN_SEQUENCE_INVALID"),
        ("/api/trades/trd_%00", {}, 404, "TRADE_NOT_FOUND"),
        ("/api/trades/..%2f..%2fetc%2fpasswd", {}, 404, "NOT_FOUND"),
        ("/api/nothing", {}, 404, "NOT_FOUND"),
        ("/admin/books", {}, 404, "NOT_FOUND"),
        ("/api/trades", {"min_sequence": str(2**62)}, 422, "MIN_SEQUENCE_BEYOND_LOG"),
    ]
    async with nothing_stored(onlooker):
        for path, query, status, code in cases:
            answer = await onlooker.api.get(path, params=query, headers=mallory.headers)
            demand_problem(answer, status, code)
        demand_problem(await onlooker.api.patch("/api/trades", headers=mallory.headers), 405, "METHOD_NOT_ALLOWED")


async def spoken(engine: RunningEngine, said: bytes) -> bytes:
    """Say something on a connection of its own and return what comes back, up to a second of silence or the end."""
    address = urlsplit(engine.api_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(said)
        await writer.drain()
        async with asyncio.timeout(10):
            return await reader.readuntil(b"}")
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_what_is_no_http_ends_its_connection_and_nothing_else(engine: RunningEngine, onlooker: Onlooker) -> None:
    post = "POST /api/trades HTTP/1.1\r\nHost: x\r\n"
    cases = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
        b"BUY 10 RELIANCE\r\n\r\n",
        f"{post}Content-Length: -5\r\n\r\n".encode(),
        f"{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
        f"{post}Content-Length: 5\r\nContent-Length: 6\r\n\r\n".encode(),
        f"{post}Transfer-Encoding: chunked\r\n\r\nZZ\r\n".encode(),
        f"{post}X-Long: {'x' * 200_000}\r\n\r\n".encode(),
    ]
    async with nothing_stored(onlooker):
        for said in cases:
            answer = await spoken(engine, said)
            assert answer[9:12] in {b"", b"400", b"401", b"431"}, (said[:80], answer[:200])
        assert (await onlooker.api.get("/healthz")).status_code == 200


async def test_a_refused_command_and_a_failed_log_in_stand_in_the_audit_table(
    engine: RunningEngine, onlooker: Onlooker, mallory: Trader
) -> None:
    wrong = {"email": "nobody@demo.invalid", "password": "open, said nobody at all"}
    failed = await onlooker.api.post("/api/auth/login", json=wrong)
    demand_problem(failed, 401, "CREDENTIALS_WRONG")
    headers = mallory.headers | {"Idempotency-Key": "audited"}
    refused = await onlooker.api.post("/api/trades", json=ORDER | {"symbol": "NOSUCH"}, headers=headers)
    asked = {answer.headers["X-Request-Id"] for answer in (failed, refused)}
    async with Database(engine.runtime.database.writer) as database:
        audit = PostgresAudit(database)

        async def written() -> list[AuditEntry]:
            entries = [decode(entry.body) for entry in await audit.read(after_number=0, limit=10_000)]
            found = [entry for entry in entries if entry.correlation_id in asked]
            return found if len(found) == len(asked) else []

        entries = await eventually(written)
    assert [entry.code for entry in entries] == ["CREDENTIALS_WRONG", "INSTRUMENT_UNKNOWN"]
