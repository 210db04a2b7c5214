"""The client says what the document says, keeps keys, reads its own writes, and tells problems by their kind."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from tenacity import wait_none

from api.requests import LoginRequest, RegisterRequest, RiskLimits, TradeRequest
from api.switch_requests import BreachReleaseRequest, CashMovementRequest, KillSwitchRequest
from api.trade_requests import (
    BasketRequest,
    CloseAllRequest,
    CloseScope,
    LegRequest,
    PositionCloseRequest,
    TradeChangeRequest,
    TradeCloseRequest,
)
from domain.order import Side
from domain.risk import BreachKind, RiskParameters
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
from tests.support.api import PASSWORD, ApiWorld

DOCUMENT: dict[str, Any] = ApiWorld().app.openapi()
BUY = TradeRequest(symbol="RELIANCE", side=Side.BUY, quantity=10)
LEG = LegRequest(symbol="RELIANCE", side=Side.BUY, quantity=10)
POSITION = "NSE_EQ-2885-INTRADAY"
CALLS: list[tuple[str, Call[Any]]] = [
    ("register", client.register(RegisterRequest(email="a@example.in", name="A", password=PASSWORD))),
    ("login", client.login(LoginRequest(email="a@example.in", password=PASSWORD))),
    ("show_profile", client.show_profile()),
    ("open_trade", client.open_trade(BUY)),
    ("open_basket", client.open_basket(BasketRequest(legs=[LEG, LEG]))),
    ("change_trade", client.change_trade("{trade_id}", TradeChangeRequest(expected_version=1))),
    ("cancel_trade", client.cancel_trade("{trade_id}")),
    ("close_trade", client.close_trade("{trade_id}", TradeCloseRequest())),
    ("close_position", client.close_position("{position_id}", PositionCloseRequest())),
    ("close_all", client.close_all(CloseAllRequest(scope=CloseScope.ACCOUNT))),
    ("list_trades", client.list_trades(status="open", symbol="X", strategy_id="s", day="x", before=1, limit=1)),
    ("show_trade", client.show_trade("{trade_id}", as_of="x")),
    ("list_orders", client.list_orders(status="filled", purpose="exit", symbol="X", sort="oldest", after=1)),
    ("list_orders_of_trade", client.list_orders_of_trade("{trade_id}", at_sequence=1)),
    ("list_positions", client.list_positions(open_only=True)),
    ("show_portfolio", client.show_portfolio(min_sequence=1)),
    ("show_parameters", client.show_parameters(limit=1)),
    ("set_parameters", client.set_parameters(RiskLimits.of(RiskParameters()))),
    ("show_exposure", client.show_exposure()),
    ("show_budgets", client.show_budgets()),
    ("show_drawdown", client.show_drawdown()),
    ("show_value_at_risk", client.show_value_at_risk()),
    ("engage_kill_switch", client.engage_kill_switch(KillSwitchRequest(reason="x"))),
    ("release_kill_switch", client.release_kill_switch(scope="account", strategy_id="s")),
    ("release_breach", client.release_breach(BreachKind.DAY_LOSS, BreachReleaseRequest(reason="x"))),
    ("move_cash", client.move_cash(CashMovementRequest(amount="1.00", reason="x"))),
]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, said in methods.items():
            yield method.upper(), path, said


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[name for name, _ in CALLS])
def test_a_call_is_what_the_document_says_of_the_operation_of_its_name(name: str, call: Call[Any]) -> None:
    [(method, path, said)] = [each for each in operations() if each[2]["operationId"] == name]
    assert (call.method, call.path) == (method, path.replace("{kind}", "day_loss"))
    answers = [answer for status, answer in said["responses"].items() if status.startswith("2")]
    for answer in answers:
        assert answer["content"]["application/json"]["schema"]["$ref"].endswith(f"/{call.answer.__name__}")
    wanted = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}).get("$ref")
    assert (None if wanted is None else wanted.rpartition("/")[2]) == (
        None if call.body is None else type(call.body).__name__
    )
    parameters = {each["name"] for each in said.get("parameters", [])}
    assert set(call.query) <= parameters
    assert (call.key is not None) == ("Idempotency-Key" in parameters)
    assert call.is_public == ("security" not in said)


def test_every_function_that_makes_a_call_is_held_against_the_document() -> None:
    makers = {name for name in client.__all__ if name.islower()}
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
