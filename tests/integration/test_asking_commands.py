"""`khata login`, `orders`, `resolve`, `alerts`, `trades` and `positions`, typed at an API that is served."""

import asyncio
import fcntl
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from starlette.types import Receive, Scope, Send
from typer.testing import CliRunner

from adapters.security.tokens import Ed25519Tokens
from api.requests import RegisterRequest, TradeRequest
from commands.accounts import CommandContext
from commands.doubt_reports import DoubtReport, SearchReport
from commands.evidence import SearchAnswer
from domain.account.commands import BeginSubmission, PresumeAbsent, RecordAccepted, RecordFill, RecordUnknown
from domain.ids import AccountId, CorrelationId, OrderId, UserId, VenueFillId, VenueOrderId
from domain.order import Side
from infra.cli import app
from infra.cli.doubts import age_text
from infra.client import AsyncKhata, list_positions, open_trade, register
from infra.database import DatabaseUrls
from infra.edge import Edge
from infra.home import Home
from infra.kept_log_in import KeptTokens, api_addresses, ask
from infra.problems import OperatorProblem
from infra.runtime import RuntimeFile
from infra.settings import Settings, load
from tests.support.api import PASSWORD, ApiWorld, signing_pem
from tests.support.log_writing import Scribe
from tests.support.security import ManualClock
from tests.support.serving import serving
from tests.support.specimens import contract_note_received

EMAIL = "asha@example.in"
TEN_NS = 1_795_149_000 * 1_000_000_000
"""2026-11-20 10:00:00 in India."""


class Desk:
    """Somebody at a command line, whose API is served; what it is asked is counted."""

    def __init__(self, world: ApiWorld, home: Home) -> None:
        self.world = world
        self.home = home
        self.asked: list[str] = []
        self.khata = AsyncKhata(http=world.client)
        self.account_id = AccountId("")
        self.user_id = UserId("")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.asked.append(scope["path"])
        await self.world.app(scope, receive, send)

    async def join(self) -> None:
        person = RegisterRequest(email=EMAIL, name="Asha Rao", password=PASSWORD)
        registered = await self.khata.send(register(person))
        self.account_id, self.user_id = AccountId(registered.account_id), UserId(registered.user_id)
        await self.khata.log_in(EMAIL, PASSWORD)

    async def type(self, *words: str, typed: str = "") -> str:
        """Return what a command prints. Raises what it tells the operator."""
        result = await asyncio.to_thread(CliRunner().invoke, app, words, input=typed)
        if result.exception is not None:
            raise result.exception
        return result.stdout

    async def asking(self, *words: str) -> Any:
        return json.loads(await self.type(*words, "--json"))

    async def log_in(self) -> str:
        return await self.type("login", EMAIL, "--password-stdin", typed=f"{PASSWORD}\n")

    def kept(self) -> KeptTokens:
        return msgspec.json.decode(self.home.log_in_file.read_bytes(), type=KeptTokens)

    def let_the_token_expire(self) -> None:
        over, _ = Ed25519Tokens(signing_pem(), clock=ManualClock(wall_ns=1_500_000_000_000_000_000)).issue(self.user_id)
        kept = msgspec.structs.replace(self.kept(), access_token=over)
        self.home.log_in_file.write_bytes(msgspec.json.encode(kept))

    async def buy(self, quantity: int) -> OrderId:
        intent = TradeRequest(symbol="RELIANCE", side=Side.BUY, quantity=quantity)
        placed = await self.khata.send(open_trade(intent))
        assert placed.order_id is not None
        return OrderId(placed.order_id)

    async def do(self, *commands: Any) -> None:
        context = CommandContext(actor="executor", source="executor", received_at_ns=self.world.clock.wall_ns())
        for command in commands:
            await self.world.services.accounts.carry_out(self.account_id, command, context)

    async def submit(self, order_id: OrderId) -> None:
        now_ns = self.world.clock.wall_ns()
        correlation_id = CorrelationId(order_id)
        await self.do(
            BeginSubmission(order_id=order_id, correlation_id=correlation_id, sender_epoch=1, market_time_ns=now_ns)
        )

    async def fill(self, order_id: OrderId, quantity: int) -> None:
        await self.submit(order_id)
        await self.do(
            RecordAccepted(order_id=order_id, venue_order_id=VenueOrderId("v"), sent_at_ns=1),
            RecordFill(
                order_id=order_id,
                venue_fill_id=VenueFillId("f"),
                quantity=quantity,
                price_e4=2_850_00_00,
                filled_at_ns=self.world.clock.wall_ns(),
            ),
        )


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(ApiWorld(), Home(tmp_path / "home"))
    async with made.world.client, serving(made, Edge()) as port:
        monkeypatch.setenv("KHATA_HOME", str(made.home.path))
        monkeypatch.setenv("KHATA_API_PORT", str(port))
        monkeypatch.setenv("COLUMNS", "200")
        await made.join()
        yield made


async def test_tokens_are_kept_for_nobody_else_and_never_shown(desk: Desk) -> None:
    said = await desk.log_in() + await desk.type("login", EMAIL, "--password-stdin", "--json", typed=f"{PASSWORD}\n")
    assert "Logged in. Come back within 7 days" in said
    kept = desk.kept()
    for secret in (PASSWORD, kept.access_token, kept.refresh_token):
        assert secret not in said
        assert secret not in repr(kept)
    assert stat.S_IMODE(desk.home.log_in_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(desk.home.log_in.stat().st_mode) == 0o700


async def test_a_password_is_asked_for_and_not_echoed(desk: Desk) -> None:
    said = await desk.type("login", EMAIL, typed=f"{PASSWORD}\n")
    assert "Logged in." in said
    assert PASSWORD not in said
    assert desk.kept().access_token


async def test_orders_are_listed_and_those_of_unknown_fate_found(desk: Desk) -> None:
    await desk.log_in()
    assert await desk.type("orders") == "There are no such orders.\n"
    filled, lost = await desk.buy(10), await desk.buy(5)
    await desk.fill(filled, 10)
    await desk.submit(lost)
    await desk.do(RecordUnknown(order_id=lost, cause="no [answer]", sent_at_ns=1))

    everything = await desk.asking("orders")
    assert [(each["order_id"], each["status"]) for each in everything["orders"]] == [
        (lost, "unknown"),
        (filled, "filled"),
    ]
    for words in (("--unknown",), ("--status", "unknown"), ("--unknown", "--status", "unknown")):
        assert [each["order_id"] for each in (await desk.asking("orders", *words))["orders"]] == [lost]
    assert (await desk.asking("orders", "--unknown", "--symbol", "TCS"))["orders"] == []
    shown = await desk.type("orders")
    assert lost in shown
    assert "10/10" in shown
    assert "no [answer]" in shown
    first_page = await desk.type("orders", "--limit", "1")
    place = (await desk.asking("orders", "--limit", "1"))["next_before"]
    assert first_page.endswith(f"There are more: --before {place}\n")
    assert filled in await desk.type("orders", "--limit", "1", "--before", str(place))


async def test_the_newest_contract_note_is_shown_or_that_of_a_day(desk: Desk) -> None:
    await desk.log_in()
    assert "told no charges yet" in await desk.type("contract-note")
    stream_id = f"account-{desk.account_id}"
    versions = {stream_id: len(await desk.world.log.read_stream(stream_id))}
    notes = [msgspec.structs.replace(contract_note_received, trading_day=day) for day in ("2026-11-19", "2026-11-20")]
    await Scribe(desk.world.log, versions).write(stream_id, notes)
    assert (await desk.asking("contract-note"))["contract_note"]["day"] == "2026-11-20"
    assert (await desk.asking("contract-note", "2026-11-19"))["contract_note"]["day"] == "2026-11-19"
    shown = await desk.type("contract-note", "--account", desk.account_id)
    assert "2026-11-20: 1 orders, note 1 of the day" in shown
    for words in ("whole_rupees -0.25, unexplained 2.00", "other_quantity", "91.25", "112111182199"):
        assert words in shown
    with pytest.raises(OperatorProblem, match="2026-11-21"):
        await desk.type("contract-note", "2026-11-21")


async def test_an_order_in_doubt_is_shown_resolved_and_an_alert_meanwhile(desk: Desk) -> None:
    await desk.log_in()
    assert await desk.type("orders", "--unknown") == "No order is in doubt.\n"
    assert await desk.type("alerts") == "There is nothing to look at.\n"
    lost, there = await desk.buy(5), await desk.buy(7)
    for order_id in (lost, there):
        await desk.submit(order_id)
        await desk.do(RecordUnknown(order_id=order_id, cause="no [answer]", sent_at_ns=1))
    await desk.do(PresumeAbsent(order_id=lost, lookups=6))
    desk.world.doubt_reports.report = report_of(there)
    shown = await desk.type("orders", "--unknown")
    for told in (
        "no [answer]",
        "2 look-ups and 4 order books without it; last: not found at 2026-11-20 10:00:00",
        "6 answers without it, then given up",
        "and it ends with that day; it is never sent again",
        "The broker's books were read last: at 2026-11-20 10:00:01.",
        "`khata resolve ORDER_ID --absent --reason WHY`",
    ):
        assert told in " ".join(shown.split()), told
    desk.world.doubt_reports.report = None
    assert "the executor does not tell just now" in " ".join((await desk.type("orders", "--unknown")).split())
    assert f"Nobody knows whether the broker has order {there}." in " ".join((await desk.type("alerts")).split())

    for words in ((), ("--absent", "--at-broker", "1")):
        with pytest.raises(OperatorProblem, match="Nothing was done"):
            await desk.type("resolve", lost, "--reason", "x", *words)
    said = await desk.type("resolve", lost, "--absent", "--reason", "the app does not show it")
    assert said == f"{lost} is absent: should it turn up after all, it is canceled.\n"
    done = await desk.asking("resolve", there, "--at-broker", "11211", "--reason", "the app shows it")
    assert (done["status"], done["venue_order_id"]) == ("acknowledged", "11211")
    with pytest.raises(OperatorProblem, match="ORDER_NOT_IN_DOUBT"):
        await desk.type("resolve", lost, "--absent", "--reason", "again")
    assert await desk.type("orders", "--unknown") == "No order is in doubt.\n"
    assert await desk.type("alerts") == "There is nothing to look at.\n"
    assert {each["state"] for each in (await desk.asking("alerts", "--all"))["alerts"]} == {"ended"}


def report_of(order_id: OrderId) -> DoubtReport:
    search = SearchReport(
        by_correlation=2,
        by_order_book=4,
        answers_wanted=3,
        asked_at_ns=TEN_NS,
        answer=SearchAnswer.NOT_FOUND,
        until_ns=TEN_NS + 3_000_000_000,
    )
    return DoubtReport(searches={order_id: search}, books_read_at_ns=TEN_NS + 1_000_000_000)


@pytest.mark.parametrize(
    ("age_s", "text"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7380, "2 h 3 min")]
)
def test_an_age_is_told_in_the_largest_unit_that_fits(age_s: int, text: str) -> None:
    assert age_text(age_s) == text


async def test_trades_and_positions_are_listed(desk: Desk) -> None:
    await desk.log_in()
    assert await desk.type("trades") == "There are no such trades.\n"
    assert await desk.type("positions") == "Nothing is held.\n"
    await desk.fill(await desk.buy(10), 10)
    (trade,) = (await desk.asking("trades", "--status", "open", "--symbol", "RELIANCE"))["trades"]
    (position,) = (await desk.asking("positions"))["positions"]
    assert (trade["net_quantity"], position["net_quantity"]) == (10, 10)
    assert (await desk.asking("trades", "--status", "closed"))["trades"] == []
    assert trade["trade_id"] in await desk.type("trades")
    assert "2850.00" in await desk.type("positions")
    assert (await desk.asking("positions", "--all", "--account", desk.account_id))["positions"] == [position]


async def test_an_expired_token_is_renewed_and_the_new_pair_kept(desk: Desk) -> None:
    await desk.log_in()
    first = desk.kept()
    for _ in range(2):
        desk.let_the_token_expire()
        await desk.type("positions")
    assert desk.kept().refresh_token != first.refresh_token
    assert desk.asked.count("/api/auth/refresh") == 2


async def test_commands_at_the_same_time_renew_it_once(desk: Desk) -> None:
    await desk.log_in()
    desk.let_the_token_expire()
    answers = await asyncio.gather(*(asyncio.to_thread(ask, load(), list_positions()) for _ in range(3)))
    assert [answer.positions for answer in answers] == [[], [], []]
    assert desk.asked.count("/api/auth/refresh") == 1


async def test_who_logged_out_is_nobody_here_and_at_the_engine(desk: Desk) -> None:
    await desk.log_in()
    kept = desk.kept()
    assert await desk.type("logout") == "Logged out.\n"
    assert not desk.home.log_in_file.exists()
    with pytest.raises(OperatorProblem, match="Nobody is logged in"):
        await desk.type("orders")
    renewal = await desk.world.client.post("/api/auth/refresh", json={"refresh_token": kept.refresh_token})
    assert renewal.json()["code"] == "REFRESH_TOKEN_INVALID"


async def test_what_is_refused_is_said_with_its_code(desk: Desk) -> None:
    with pytest.raises(OperatorProblem, match="Nobody is logged in"):
        await desk.type("trades")
    with pytest.raises(OperatorProblem, match="CREDENTIALS_WRONG"):
        await desk.type("login", EMAIL, "--password-stdin", typed="something else altogether\n")
    assert not desk.home.log_in_file.exists()
    await desk.log_in()
    for words, said in (
        (("orders", "--status", "lost"), "status"),
        (("orders", "--status", "filled", "--unknown"), "--unknown is a status"),
        (("positions", "--account", "acc_00000000000000000000000000"), "ACCOUNT_NOT_FOUND"),
    ):
        with pytest.raises(OperatorProblem, match=said):
            await desk.type(*words)
    desk.home.log_in_file.write_text("{}")
    with pytest.raises(OperatorProblem, match="holds no tokens"):
        await desk.type("orders")


async def test_a_log_in_that_has_ended_says_how_to_begin_another(desk: Desk) -> None:
    await desk.log_in()
    await desk.world.client.post("/api/auth/logout", json={"refresh_token": desk.kept().refresh_token})
    desk.let_the_token_expire()
    with pytest.raises(OperatorProblem, match=r"REFRESH_TOKEN_INVALID.*`khata login EMAIL` logs in"):
        await desk.type("orders")


def test_nobody_at_the_address_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("infra.client.connection.ATTEMPTS_MAX", 1)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", _nobody)
    monkeypatch.setenv("KHATA_HOME", str(tmp_path / "home"))
    result = CliRunner().invoke(app, ["login", EMAIL, "--password-stdin"], input=f"{PASSWORD}\n")
    assert isinstance(result.exception, OperatorProblem)
    assert "Nobody answers at http://127.0.0.1:8000" in result.exception.message
    assert "khata up" in result.exception.remedy


def _nobody(_: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


# --- Where the API is -------------------------------------------------------------------------------------------------

URLS = DatabaseUrls(admin="", owner="", writer="", projector="", query="")


def test_the_running_engine_tells_where_it_is(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    settings = Settings(home=home.path, api_port=0)
    running = RuntimeFile(
        settings=settings, database=URLS, nats_url="", api_url="http://a:1", simulator_url="", processes={}
    )
    with home.lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        running.write(home.runtime_file)
        assert api_addresses(settings) == ("http://a:1", "http://a:1")
        msgspec.structs.replace(running, query_api_url="http://a:2").write(home.runtime_file)
        assert api_addresses(settings) == ("http://a:1", "http://a:2")
    with pytest.raises(OperatorProblem, match="No engine runs"):
        api_addresses(settings)


@pytest.mark.parametrize(("apart", "queries"), [(False, "http://h:8000"), (True, "http://h:8001")])
def test_an_engine_elsewhere_is_where_the_settings_say(tmp_path: Path, *, apart: bool, queries: str) -> None:
    settings = Settings(home=tmp_path, api_host="h", api_apart=apart)
    assert api_addresses(settings) == ("http://h:8000", queries)
