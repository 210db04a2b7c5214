"""The client says what the document says, keeps keys, reads its own writes, and tells problems by their kind."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tenacity import wait_none

from adapters.security.tokens import Ed25519Tokens
from api.auth import LoginAnswer
from api.charges import ChargesRequest
from api.openapi import JSON
from api.reconciling import ResolveDifferenceRequest
from api.requests import (
    AccountRequest,
    LoginRequest,
    MemberRequest,
    ProfileRequest,
    RefreshRequest,
    RegisterRequest,
    RiskLimits,
    StrategyChangeRequest,
    StrategyRequest,
    TradeRequest,
)
from api.resolving import ResolveRequest
from api.switch_requests import (
    BreachReleaseRequest,
    CashMovementRequest,
    InvariantReleaseRequest,
    KillSwitchRequest,
)
from api.trade_requests import (
    BasketRequest,
    CloseAllRequest,
    CloseScope,
    LegRequest,
    PositionCloseRequest,
    TradeChangeRequest,
    TradeCloseRequest,
)
from domain.account.events import OrderResolution, Role
from domain.ids import UserId
from domain.instrument import Segment
from domain.order import Side
from domain.risk import BreachKind, Invariant, RiskParameters
from infra import client
from infra.client import (
    AsyncKhata,
    Call,
    Denied,
    Khata,
    NotNow,
    NotPossible,
    NotThere,
    Unauthorised,
    Unreachable,
    ValueRefused,
)
from tests.support.api import PASSWORD, ApiWorld, signing_pem
from tests.support.security import ManualClock

DOCUMENT: dict[str, Any] = ApiWorld().app.openapi()
BUY = TradeRequest(symbol="RELIANCE", side=Side.BUY, quantity=10)
LEG = LegRequest(symbol="RELIANCE", side=Side.BUY, quantity=10)
TOKEN = RefreshRequest(refresh_token="r")
COSTS = ChargesRequest(symbol="RELIANCE", side=Side.BUY, quantity=10, price="2850.05")
ABSENT = ResolveRequest(resolution=OrderResolution.ABSENT, reason="x")
AS_IT_IS = ResolveDifferenceRequest(reason="x", price="2850.05")
POSITION = "NSE_EQ-2885-INTRADAY"
CALLS: list[tuple[str, Call[Any]]] = [
    ("register", client.register(RegisterRequest(email="a@example.in", name="A", password=PASSWORD))),
    ("login", client.login(LoginRequest(email="a@example.in", password=PASSWORD))),
    ("refresh", client.refresh(TOKEN)),
    ("logout", client.logout(TOKEN)),
    ("show_profile", client.show_profile()),
    ("change_profile", client.change_profile(ProfileRequest(name="A"))),
    ("list_accounts", client.list_accounts()),
    ("open_account", client.open_account(AccountRequest())),
    ("show_account", client.show_account("{account_id}")),
    ("set_member", client.set_member("{account_id}", "{user_id}", MemberRequest(role=Role.TRADER))),
    ("remove_member", client.remove_member("{account_id}", "{user_id}")),
    ("open_trade", client.open_trade(BUY, account_id="a")),
    ("open_basket", client.open_basket(BasketRequest(legs=[LEG, LEG]), account_id="a")),
    ("change_trade", client.change_trade("{trade_id}", TradeChangeRequest(expected_version=1), account_id="a")),
    ("cancel_trade", client.cancel_trade("{trade_id}", account_id="a")),
    ("close_trade", client.close_trade("{trade_id}", TradeCloseRequest(), account_id="a")),
    ("close_position", client.close_position("{position_id}", PositionCloseRequest(), account_id="a")),
    ("close_all", client.close_all(CloseAllRequest(scope=CloseScope.ACCOUNT), account_id="a")),
    ("list_trades", client.list_trades(status="open", symbol="X", strategy_id="s", day="x", before=1, limit=1)),
    ("show_trade", client.show_trade("{trade_id}", as_of="x")),
    ("list_orders", client.list_orders(status="filled", purpose="exit", symbol="X", sort="oldest", after=1)),
    ("list_orders_of_trade", client.list_orders_of_trade("{trade_id}", at_sequence=1)),
    ("list_orders_in_doubt", client.list_orders_in_doubt(sort="oldest", limit=1)),
    ("list_alerts", client.list_alerts(state="open", before=1)),
    ("resolve_order", client.resolve_order("{order_id}", ABSENT, account_id="a")),
    ("show_reconciliation", client.show_reconciliation(min_sequence=1)),
    ("resolve_difference", client.resolve_difference("{difference_id}", AS_IT_IS, account_id="a")),
    ("list_positions", client.list_positions(open_only=True)),
    ("show_portfolio", client.show_portfolio(min_sequence=1)),
    ("show_parameters", client.show_parameters(limit=1)),
    ("set_parameters", client.set_parameters(RiskLimits.of(RiskParameters()), account_id="a")),
    ("show_exposure", client.show_exposure()),
    ("show_budgets", client.show_budgets()),
    ("show_drawdown", client.show_drawdown()),
    ("show_value_at_risk", client.show_value_at_risk()),
    ("engage_kill_switch", client.engage_kill_switch(KillSwitchRequest(reason="x"), account_id="a")),
    ("release_kill_switch", client.release_kill_switch(scope="account", strategy_id="s", account_id="a")),
    ("release_breach", client.release_breach(BreachKind.DAY_LOSS, BreachReleaseRequest(reason="x"), account_id="a")),
    (
        "release_invariant",
        client.release_invariant(Invariant.SENT_TWICE, InvariantReleaseRequest(reason="x"), account_id="a"),
    ),
    ("move_cash", client.move_cash(CashMovementRequest(amount="1.00", reason="x"), account_id="a")),
    ("show_funds", client.show_funds(account_id="a")),
    ("list_holdings", client.list_holdings(as_of="x")),
    ("estimate_charges", client.estimate_charges(COSTS)),
    ("list_contract_notes", client.list_contract_notes(sort="oldest", after=1, limit=1)),
    ("show_contract_note", client.show_contract_note("{day}", min_sequence=1)),
    ("search_instruments", client.search_instruments("rel", segment="NSE_EQ", kind="equity", limit=1)),
    ("instrument_definitions", client.instrument_definitions(Segment.NSE_EQ, "{security_id}")),
    ("show_sessions", client.show_sessions(segment="NSE_EQ", first_day="x", last_day="x", limit=1)),
    ("list_strategies", client.list_strategies(status="draft", before=1, limit=1)),
    ("draft_strategy", client.draft_strategy(StrategyRequest(name="S", code="pass"))),
    ("show_strategy", client.show_strategy("{strategy_id}", source_hash="x")),
    (
        "change_strategy",
        client.change_strategy("{strategy_id}", StrategyChangeRequest(name="S", code="pass", expected_version=1)),
    ),
    ("archive_strategy", client.archive_strategy("{strategy_id}", expected_version=1)),
    ("list_backtests", client.list_backtests(strategy_id="s", before=1, limit=1)),
    ("show_backtest", client.show_backtest("{backtest_id}")),
    ("list_events", client.list_events(type="x", stream="x", day="x", account_id="a", first_sequence=1)),
    ("show_event", client.show_event(7)),
    ("healthz", client.healthz()),
    ("readyz", client.readyz()),
]
WRITTEN_OUT = {"{kind}": "day_loss", "{invariant}": "sent_twice", "{segment}": "NSE_EQ", "{sequence}": "7"}
"""What stands in a path where a call takes a value that is no text."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, said in methods.items():
            yield method.upper(), path, said


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_a_call_is_what_the_document_says_of_the_operation_of_its_name(name: str, call: Call[Any]) -> None:
    [(method, path, said)] = [each for each in operations() if each[2]["operationId"] == name]
    for parameter, written in WRITTEN_OUT.items():
        path = path.replace(parameter, written)
    assert (call.method, call.path) == (method, path)
    statuses = {int(status) for status, answer in said["responses"].items() if JSON in answer.get("content", {})}
    assert set(call.also) == {status for status in statuses if not 200 <= status < 300}
    for answer in [said["responses"][str(status)] for status in statuses]:
        assert answer["content"]["application/json"]["schema"]["$ref"].endswith(f"/{call.answer.__name__}")
    wanted = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
    assert (None if wanted is None else wanted.rpartition("/")[2]) == (
        None if call.body is None else type(call.body).__name__
    )
    parameters = {each["name"] for each in said.get("parameters", [])}
    assert set(call.query) <= parameters
    assert ("account_id" in call.query) == ("account_id" in parameters) or call.is_read or "{account_id}" in path
    assert not call.is_read or call.is_of_log == ("min_sequence" in parameters)
    assert (call.key is not None) == ("Idempotency-Key" in parameters)
    assert call.is_public == ("security" not in said)


def test_every_operation_has_its_function_and_each_is_held_against_the_document() -> None:
    makers = {name for name in client.__all__ if name.islower()}
    assert makers == {said["operationId"] for _, _, said in operations()}
    assert makers == {name for name, _ in CALLS}


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    async with made.client:
        yield made


@pytest.fixture
async def khata(world: ApiWorld) -> AsyncKhata:
    made = AsyncKhata(http=world.client)
    await made.send(client.register(RegisterRequest(email="asha@example.in", name="Asha Rao", password=PASSWORD)))
    await made.log_in("asha@example.in", PASSWORD)
    return made


async def test_what_was_done_is_seen(khata: AsyncKhata) -> None:
    placed = await khata.send(client.open_trade(BUY))
    assert khata.sequence == placed.sequence
    shown = await khata.send(client.list_trades())
    assert [trade.trade_id for trade in shown.trades] == [placed.trade_id]
    assert shown.sequence >= placed.sequence


async def test_the_same_call_again_is_not_done_again(world: ApiWorld, khata: AsyncKhata) -> None:
    call = client.open_trade(BUY)
    first = await khata.send(call)
    stored = await world.stored()
    assert await khata.send(call) == first
    assert await world.stored() == stored
    assert (await khata.send(client.open_trade(BUY))).trade_id != first.trade_id


async def test_the_past_is_asked_without_waiting_for_the_present(world: ApiWorld, khata: AsyncKhata) -> None:
    before = await world.stored()
    await khata.send(client.open_trade(BUY))
    then = await khata.send(client.show_portfolio(at_sequence=before))
    assert (then.trades, then.as_of is not None) == (0, True)


async def test_a_problem_is_told_by_its_kind(world: ApiWorld, khata: AsyncKhata) -> None:
    cases: list[tuple[Call[Any], type[Exception], str]] = [
        (
            client.open_trade(TradeRequest(symbol="NOSUCH", side=Side.BUY, quantity=1)),
            ValueRefused,
            "INSTRUMENT_UNKNOWN",
        ),
        (
            client.open_trade(TradeRequest(symbol="RELIANCE", side=Side.BUY, quantity=90_000)),
            Denied,
            "QUANTITY_ABOVE_LIMIT",
        ),
        (client.show_trade("trd_1"), NotThere, "TRADE_NOT_FOUND"),
        (client.close_position(POSITION), NotPossible, "POSITION_NOT_OPEN"),
    ]
    for call, kind, code in cases:
        with pytest.raises(kind) as raised:
            await khata.send(call)
        assert raised.value.code == code  # type: ignore[attr-defined]
    with pytest.raises(Unauthorised) as nobody:
        await AsyncKhata(http=world.client).send(client.show_profile())
    assert nobody.value.code == "TOKEN_MISSING"


async def test_a_denial_has_its_limit_and_counts_as_written(khata: AsyncKhata) -> None:
    with pytest.raises(Denied) as raised:
        await khata.send(client.open_trade(TradeRequest(symbol="RELIANCE", side=Side.BUY, quantity=90_000)))
    problem = raised.value.problem
    assert (problem.limit, problem.value) == ("5000", "90000")
    assert khata.sequence == problem.sequence


# --- Coming again -----------------------------------------------------------------------------------------------------

ACCEPTED = {"trade_id": "trd_1", "order_id": None, "order_ids": [], "closing": [], "denial": None, "sequence": 7}
POSITIONS = DOCUMENT["components"]["schemas"]["PositionsAnswer"]["examples"][0]


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    document = {"type": "x", "title": "x", "status": status, "code": code, "detail": "x"}
    return httpx.Response(status, content=json.dumps(document), headers=headers)


class Server:
    """Answers one request after another as it is told."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.asked: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def speak_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[Server], Khata]:
    monkeypatch.setattr("infra.client.connection._BACKOFF", wait_none())
    return lambda server: Khata("http://khata.test", token="t", transport=httpx.MockTransport(server))


def test_a_command_comes_again_under_its_key(speak_to: Callable[[Server], Khata]) -> None:
    lost = httpx.ReadTimeout("no answer")
    server = Server(lost, problem(503, "OUTCOME_UNKNOWN"), httpx.Response(201, json=ACCEPTED))
    with speak_to(server) as khata:
        assert khata.send(client.open_trade(BUY)).trade_id == "trd_1"
    keys = [request.headers["Idempotency-Key"] for request in server.asked]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_a_command_without_a_key_is_sent_once(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(problem(503, "STORE_UNAVAILABLE"))
    with speak_to(server) as khata, pytest.raises(NotNow):
        khata.log_in("asha@example.in", PASSWORD)
    assert len(server.asked) == 1


def test_a_refusal_is_not_asked_again(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(problem(409, "POSITION_NOT_OPEN"))
    with speak_to(server) as khata, pytest.raises(NotPossible):
        khata.send(client.close_position(POSITION))
    assert len(server.asked) == 1


def test_who_never_answers_is_given_up(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(*[httpx.ConnectError("away")] * 5)
    with speak_to(server) as khata, pytest.raises(Unreachable, match="ConnectError: away"):
        khata.send(client.list_positions())
    assert len(server.asked) == 5


def test_what_is_no_answer_of_ours_is_none(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(httpx.Response(502, text="<html>"), httpx.Response(200, json=POSITIONS))
    with speak_to(server) as khata:
        assert khata.send(client.list_positions()).sequence == POSITIONS["sequence"]


def test_a_log_that_was_put_back_is_told_once(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(
        httpx.Response(201, json=ACCEPTED, headers={"Khata-Epoch": "0.1"}),
        problem(409, "EPOCH_CHANGED"),
        httpx.Response(200, json=POSITIONS),
    )
    with speak_to(server) as khata:
        khata.send(client.open_trade(BUY))
        with pytest.raises(NotPossible):
            khata.send(client.list_positions())
        khata.send(client.list_positions())
    _, first, second = server.asked
    assert (first.url.params["min_sequence"], first.headers["Khata-Epoch"]) == ("7", "0.1")
    assert "min_sequence" not in second.url.params
    assert "Khata-Epoch" not in second.headers


def test_it_reads_from_what_somebody_else_wrote(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(httpx.Response(200, json=POSITIONS))
    with speak_to(server) as khata:
        khata.sequence = 9
        khata.send(client.list_positions())
    assert server.asked[0].url.params["min_sequence"] == "9"


def test_it_waits_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch, speak_to: Callable[[Server], Khata]) -> None:
    waited: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", waited.append)
    server = Server(problem(429, "INTENT_STORM", **{"Retry-After": "3"}), httpx.Response(201, json=ACCEPTED))
    with speak_to(server) as khata:
        khata.send(client.open_trade(BUY))
    assert waited == [3.0]


# --- Staying logged in ------------------------------------------------------------------------------------------------

EXPIRED = problem(401, "TOKEN_EXPIRED")
TOKENS = {"access_token": "new", "token_type": "Bearer", "expires_in": 600, "refresh_token": "next"} | {
    "refresh_expires_in": 604_800
}


@pytest.fixture
async def returning(world: ApiWorld, khata: AsyncKhata) -> Callable[..., Awaitable[AsyncKhata]]:
    """Makes connections of who comes back with an access token that is over, and a refresh token that is not."""
    user_id = UserId((await khata.send(client.show_profile())).user_id)
    over, _ = Ed25519Tokens(signing_pem(), clock=ManualClock(wall_ns=1_500_000_000_000_000_000)).issue(user_id)

    async def made(**options: Any) -> AsyncKhata:
        logged_in = await khata.log_in("asha@example.in", PASSWORD)
        return AsyncKhata(http=world.client, token=over, refresh_token=logged_in.refresh_token, **options)

    return made


def paths_of(requests: Iterable[httpx.Request]) -> list[str]:
    return [request.url.path for request in requests]


async def test_an_expired_token_is_renewed_and_the_caller_does_not_notice(
    returning: Callable[..., Awaitable[AsyncKhata]],
) -> None:
    kept: list[LoginAnswer] = []
    back = await returning(on_log_in=kept.append)
    placed = await back.send(client.open_trade(BUY))
    assert [trade.trade_id for trade in (await back.send(client.list_trades())).trades] == [placed.trade_id]
    assert len(kept) == 1
    renewed = await back.send(client.refresh(RefreshRequest(refresh_token=kept[0].refresh_token)))
    assert renewed.refresh_token != kept[0].refresh_token


async def test_a_refresh_token_alone_is_enough_to_come_back(world: ApiWorld, khata: AsyncKhata) -> None:
    logged_in = await khata.log_in("asha@example.in", PASSWORD)
    back = AsyncKhata(http=world.client, refresh_token=logged_in.refresh_token)
    assert (await back.send(client.show_profile())).email == "asha@example.in"


async def test_of_many_calls_with_an_expired_token_one_renews_it(
    returning: Callable[..., Awaitable[AsyncKhata]],
) -> None:
    answered: list[httpx.Response] = []
    back = await returning(on_answer=answered.append)
    profiles = await asyncio.gather(*(back.send(client.show_profile()) for _ in range(5)))
    assert len({profile.user_id for profile in profiles}) == 1
    assert paths_of(answer.request for answer in answered).count("/api/auth/refresh") == 1


async def test_who_logs_out_is_nobody_from_then_on(returning: Callable[..., Awaitable[AsyncKhata]]) -> None:
    kept: list[LoginAnswer] = []
    back = await returning(on_log_in=kept.append)
    await back.send(client.show_profile())
    await back.log_out()
    with pytest.raises(Unauthorised) as nobody:
        await back.send(client.show_profile())
    assert nobody.value.code == "TOKEN_MISSING"
    with pytest.raises(Unauthorised) as over:
        await back.send(client.refresh(RefreshRequest(refresh_token=kept[0].refresh_token)))
    assert over.value.code == "REFRESH_TOKEN_INVALID"


@pytest.fixture
def return_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Khata]:
    monkeypatch.setattr("infra.client.connection._BACKOFF", wait_none())

    def made(server: Callable[[httpx.Request], httpx.Response], **options: Any) -> Khata:
        transport = httpx.MockTransport(server)
        return Khata("http://khata.test", transport=transport, **({"token": "old", "refresh_token": "r"} | options))

    return made


def test_of_many_threads_with_an_expired_token_one_renews_it(return_to: Callable[..., Khata]) -> None:
    threads = 3
    refused = threading.Barrier(threads, timeout=60)
    renewals: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/auth/refresh":
            renewals.append(request.content)
            return httpx.Response(200, json=TOKENS)
        if request.headers["Authorization"] == "Bearer old":
            refused.wait()  # Nobody renews before everybody was turned away.
            return problem(401, "TOKEN_EXPIRED")
        return httpx.Response(200, json=POSITIONS)

    with return_to(answer) as khata, ThreadPoolExecutor(threads) as pool:
        asked = [pool.submit(khata.send, client.list_positions()) for _ in range(threads)]
        assert {each.result().sequence for each in asked} == {POSITIONS["sequence"]}
    assert renewals == [b'{"refresh_token":"r"}']


def test_a_command_without_a_key_is_sent_again_under_the_new_token(return_to: Callable[..., Khata]) -> None:
    changed = {"user_id": "usr_1", "log_ins_ended": False, "sequence": 7}
    server = Server(EXPIRED, httpx.Response(200, json=TOKENS), httpx.Response(200, json=changed))
    with return_to(server) as khata:
        assert khata.send(client.change_profile(ProfileRequest(name="A"))).sequence == 7
    first, renewal, second = server.asked
    assert (first.headers["Authorization"], second.headers["Authorization"]) == ("Bearer old", "Bearer new")
    assert "Authorization" not in renewal.headers
    assert first.content == second.content


def test_a_renewal_whose_answer_was_lost_is_asked_for_again(return_to: Callable[..., Khata]) -> None:
    lost = httpx.ReadTimeout("no answer")
    renewed, shown = httpx.Response(200, json=TOKENS), httpx.Response(200, json=POSITIONS)
    server = Server(EXPIRED, lost, EXPIRED, renewed, shown)
    with return_to(server) as khata:
        assert khata.send(client.list_positions()).sequence == POSITIONS["sequence"]
    assert server.asked[1].content == server.asked[3].content


@pytest.mark.parametrize("code", ["REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_REUSED"])
def test_a_log_in_that_ended_is_told_and_not_renewed_again(return_to: Callable[..., Khata], code: str) -> None:
    server = Server(EXPIRED, problem(401, code), EXPIRED)
    with return_to(server) as khata:
        for expected in (code, "TOKEN_EXPIRED"):
            with pytest.raises(Unauthorised) as raised:
                khata.send(client.list_positions())
            assert raised.value.code == expected
    assert paths_of(server.asked) == ["/api/positions", "/api/auth/refresh", "/api/positions"]


def test_without_a_refresh_token_an_expired_token_is_told(return_to: Callable[..., Khata]) -> None:
    server = Server(EXPIRED)
    with return_to(server, refresh_token="") as khata, pytest.raises(Unauthorised, match="TOKEN_EXPIRED"):
        khata.send(client.list_positions())
    assert len(server.asked) == 1


# --- Where a call goes, and what it asks for --------------------------------------------------------------------------


def test_queries_go_to_their_half_and_the_rest_to_the_other(return_to: Callable[..., Khata]) -> None:
    server = Server(EXPIRED, httpx.Response(200, json=TOKENS), httpx.Response(200, json=POSITIONS))
    with return_to(server, query_url="http://queries.test:8001") as khata:
        khata.send(client.list_positions())
    asked = [f"{request.url.host} {request.url.path}" for request in server.asked]
    assert asked == ["queries.test /api/positions", "khata.test /api/auth/refresh", "queries.test /api/positions"]


def test_what_is_not_of_the_log_waits_for_no_sequence(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(httpx.Response(200, json={"instruments": [], "master_version": 0}))
    with speak_to(server) as khata:
        khata.sequence = 9
        khata.send(client.search_instruments("rel"))
    assert dict(server.asked[0].url.params) == {"q": "rel"}


def test_an_engine_that_is_not_ready_says_so_in_its_answer(speak_to: Callable[[Server], Khata]) -> None:
    server = Server(httpx.Response(503, json={"ready": False, "checks": {"log": False}}))
    with speak_to(server) as khata:
        readiness = khata.send(client.readyz())
    assert (readiness.ready, readiness.checks) == (False, {"log": False})
    assert "Authorization" not in server.asked[0].headers
