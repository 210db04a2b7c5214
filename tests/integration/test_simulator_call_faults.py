"""What a fault does to a call at the simulator: on the wire, to the books, to the token, to the server itself."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from adapters.simulator.faults.call_faults import Fault, FaultDesk, FaultKind
from adapters.simulator.faults.fault_plan import FaultPlan, plan_from
from adapters.simulator.faults.update_faults import UpdateFaultKind
from tests.support.eventually import eventually
from tests.support.tape import CLIENT_ID, ORDER, SECRET, Venue, config_of, steady, venue

PRICE = 1_310_00_00
BROKEN = (httpx.RemoteProtocolError, httpx.ReadError)
QUOTE = {"NSE_EQ": [2885]}


async def ask_admin(client: Venue, method: str, path: str, body: Any) -> httpx.Response:
    headers = {"x-simulator-secret": SECRET.hex()}
    return await client.http.request(method, f"/admin{path}", headers=headers, json=body)


@pytest.mark.parametrize("kind", ["tear_head", "tear_body", "truncate_body"])
async def test_a_torn_answer_ends_the_connection_and_the_order_is_in_the_book(kind: str) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault(kind)
        with pytest.raises(BROKEN):
            await client.place()
        (row,) = await client.get("/orders")
        assert row["correlationId"] == ORDER["correlationId"]


async def raw_answer(client: Venue, path: str) -> bytes:
    """Return every byte that comes back until the connection ends, or until it is quiet after an answer came twice."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\naccess-token: {client.token}\r\n\r\n".encode())
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while received.count(b"HTTP/1.1 200") < 2 or not received.endswith(b"}"):
                chunk = await reader.read(65_536)
                if not chunk:
                    break
                received += chunk
        return received
    finally:
        writer.close()


async def test_a_truncated_answer_is_the_beginning_of_the_true_one() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        true = await client.http.get("/v2/fundlimit")
        await client.fault("truncate_body", target="read")
        head, _, body = (await raw_answer(client, "/v2/fundlimit")).partition(b"\r\n\r\n")
        assert f"content-length: {len(true.content)}".encode() in head
        assert body == true.content[: len(true.content) // 2]


@pytest.mark.parametrize(("kind", "orders"), [("hang_before_acceptance", 0), ("hang_after_acceptance", 1)])
async def test_a_call_that_hangs_is_never_answered(kind: str, orders: int) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault(kind)
        with pytest.raises(httpx.ReadTimeout):
            await client.http.post("/v2/orders", json=ORDER, timeout=0.1)
        assert len(await client.get("/orders")) == orders


async def test_an_answer_that_drips_is_whole_in_the_end() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("drip", delay_ms=50)
        answer = await client.place()
        assert answer.json()["orderStatus"] == "TRANSIT"
        (row,) = await client.get("/orders")
        assert row["orderId"] == answer.json()["orderId"]


async def test_an_answer_that_comes_twice_is_the_same_twice() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        true = await client.http.get("/v2/fundlimit")
        await client.fault("duplicate_answer", target="read")
        received = await raw_answer(client, "/v2/fundlimit")
        assert (received.count(b"HTTP/1.1 200 OK"), received.count(true.content)) == (2, 2)


@pytest.mark.parametrize(
    ("kind", "status", "orders"),
    [
        ("internal_error", 500, 0),
        ("internal_error_after_acceptance", 500, 1),
        ("html", 200, 0),
        ("html_after_acceptance", 200, 1),
    ],
)
async def test_an_answer_that_tells_nothing_comes_whether_or_not_the_order_exists(
    kind: str, status: int, orders: int
) -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault(kind)
        answer = await client.place()
        assert answer.status_code == status
        if status == 500:
            assert answer.json()["errorCode"] == "DH-908"
        else:
            assert answer.content.startswith(b"<!DOCTYPE html>")
        assert len(await client.get("/orders")) == orders


async def test_each_family_of_paths_says_in_its_own_shape_that_there_were_too_many_requests() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        for target in ("place", "read", "quote"):
            await client.fault("throttle", target=target)
        answers = [
            await client.place(),
            await client.http.get("/v2/orders"),
            await client.http.post("/v2/marketfeed/ltp", json=QUOTE),
        ]
        assert [answer.status_code for answer in answers] == [429, 429, 429]
        assert [answer.json().get("errorCode") for answer in answers] == ["DH-904", "DH-904", None]
        assert (answers[2].json()["status"], list(answers[2].json()["data"])) == ("failed", ["805"])
        assert "retry-after" not in answers[0].headers


async def test_from_an_address_that_is_not_registered_nothing_is_written_and_everything_read() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        resting = (await client.place(price=1300)).json()["orderId"]
        for target in ("place", "modify", "cancel"):
            await client.fault("invalid_ip", target=target)
        answers = [
            await client.place(correlationId="another"),
            await client.modify(resting, price=1299),
            await client.http.delete(f"/v2/orders/{resting}"),
        ]
        refusals = {(answer.status_code, *answer.json().values()) for answer in answers}
        assert refusals == {(400, "Input_Exception", "DH-905", "Invalid IP")}
        (row,) = await client.get("/orders")
        assert (row["price"], row["orderStatus"]) == (1300.0, "PENDING")


async def test_a_token_that_dies_in_mid_call_serves_this_call_and_no_other() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("kill_token")
        assert (await client.place()).status_code == 200
        assert (await client.http.get("/v2/orders")).status_code == 401
        await client.log_in()
        assert len(await client.get("/orders")) == 1


async def test_an_order_that_is_entered_twice_is_two_orders_under_one_id() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("accept_twice")
        told = (await client.place()).json()["orderId"]
        first, second = await client.get("/orders")
        assert first["correlationId"] == second["correlationId"] == ORDER["correlationId"]
        assert told == first["orderId"] != second["orderId"]
        (position,) = await client.get("/positions")
        assert position["netQty"] == 20


async def test_a_known_id_is_refused_on_request_and_an_unknown_one_is_not() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("refuse_repeated_id", count=2)
        assert (await client.place()).status_code == 200
        again = await client.place()
        assert (again.status_code, again.json()["errorMessage"]) == (400, "Duplicate correlationId")
        assert (await client.place()).status_code == 200


async def test_somebody_trades_by_hand_beside_an_order() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.fault("trade_by_hand", quantity=3)
        await client.place()
        ours, by_hand = await client.get("/orders")
        assert (by_hand["correlationId"], by_hand["quantity"], by_hand["orderStatus"]) == ("NA", 3, "TRADED")
        assert by_hand["dhanClientId"] == ours["dhanClientId"]
        (position,) = await client.get("/positions")
        assert position["netQty"] == 13


async def test_a_wrong_report_of_positions_is_wrong_once_and_the_books_are_right() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        await client.place()
        await client.fault("wrong_positions", target="read", quantity=4)
        await client.get("/orders")  # Another read does not meet it.
        quantities = [(await client.get("/positions"))[0]["netQty"] for _ in range(2)]
        assert quantities == [14, 10]


async def test_a_fault_may_wait_for_a_read_of_one_path() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.fault("unavailable", target="read", path="/trades")
        assert await client.get("/orders") == []
        assert (await client.http.get("/v2/trades")).status_code == 503


async def test_the_account_tells_what_was_met_and_by_which_plan() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        await client.step()
        plan = {"seed": 7, "rates": {"unavailable": 1.0}, "targets": ["place"]}
        assert (await ask_admin(client, "POST", "/faults/plan", plan)).status_code == 200
        for _ in range(2):
            assert (await client.place()).status_code == 503
        told = await client.admin("GET", "/faults")
        assert (told["met"], told["waiting"]) == ({"unavailable": 2}, 0)
        assert (told["plan"]["seed"], told["plan"]["rates"]) == (7, {"unavailable": 1.0})
        assert told["last_met"][0] == {
            "number": 1,
            "kind": "unavailable",
            "target": "place",
            "client_id": CLIENT_ID,
            "correlation_id": ORDER["correlationId"],
        }
        await client.admin("DELETE", "/faults")
        assert (await client.place()).status_code == 200
        assert (await client.admin("GET", "/faults"))["plan"] is None


async def test_a_simulator_may_begin_with_a_plan() -> None:
    plan = FaultPlan(seed=1, rates={FaultKind.HTML: 1.0})
    async with venue(config_of(steady(PRICE), fault_plan=plan)) as client:
        assert (await client.place()).content.startswith(b"<!DOCTYPE html>")


async def test_what_cannot_be_is_refused() -> None:
    async with venue(config_of(steady(PRICE))) as client:
        for path, body, status in (
            ("/faults", {"kind": "restart"}, 409),
            ("/faults/plan", {"seed": 1, "rates": {"restart": 0.1}}, 409),
            ("/faults/plan", {"seed": 1, "rates": {"delay": 0.7, "html": 0.7}}, 422),
            ("/faults/plan", {"seed": 1, "rates": {"revoke_token": 0.1}}, 422),
            ("/faults", {"kind": "delay", "delay_ms": 90_001}, 422),
            ("/faults", {"kind": "invalid_ip", "target": "read"}, 422),
            ("/faults", {"kind": "revoke_token"}, 422),
        ):
            assert (await ask_admin(client, "POST", path, body)).status_code == status, body


async def test_a_broker_that_restarts_cuts_everybody_off_and_comes_back_with_its_books(tmp_path: Path) -> None:
    config = config_of(steady(PRICE, PRICE, 1_300_00_00), journal=tmp_path / "books.jsonl")
    async with venue(config) as client:
        await client.step(2)
        await client.place()
        await client.place(correlationId="resting", price=1300)
        known = await client.get("/orders")
        await client.fault("unavailable")
        await client.fault("restart")
        await eventually(lambda: is_back(client))
        assert (await client.http.get("/v2/orders")).status_code == 401  # Every token is dead.
        await client.log_in()
        assert await client.get("/orders") == known
        progress = await client.step()  # The tape goes on where it was.
        assert progress["done"] is False
        (row,) = await client.get(f"/orders/{known[1]['orderId']}")
        assert (row["orderStatus"], row["averageTradedPrice"]) == ("TRADED", 1300.0)
        assert (await client.step())["done"] is True
        assert (await client.place(correlationId="later")).status_code == 503  # Faults asked for are not forgotten.


async def test_a_broker_may_restart_in_mid_call(tmp_path: Path) -> None:
    config = config_of(steady(PRICE, PRICE), journal=tmp_path / "books.jsonl")
    async with venue(config) as client:
        await client.step()
        plan = {"seed": 1, "rates": {"restart": 1.0}, "targets": ["place"]}
        await ask_admin(client, "POST", "/faults/plan", plan)
        with pytest.raises(BROKEN):
            await client.place()
        await eventually(lambda: is_back(client))
        await client.log_in()
        (row,) = await client.get("/orders")
        assert row["correlationId"] == ORDER["correlationId"]
        assert (await client.admin("GET", "/faults"))["met"] == {"restart": 1}


async def is_back(client: Venue) -> bool:
    """Tell whether the broker answers, and knows no token of its life before."""
    try:
        return (await client.http.get("/v2/profile")).status_code == 401
    except httpx.TransportError:
        return False


def test_the_page_about_faults_names_every_kind_once() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator-faults.md").read_text()
    _, of_calls, of_updates = page.split("| Kind |")
    for part, kinds in ((of_calls, FaultKind), (of_updates, UpdateFaultKind)):
        named = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        assert sorted(named) == sorted(kind.value for kind in kinds)


def test_what_the_page_about_faults_asks_for_is_understood() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulator-faults.md").read_text()
    fault, plan = [line.split("'")[1].encode() for line in page.splitlines() if "--data" in line]
    FaultDesk().order(msgspec.json.decode(fault, type=Fault))
    assert msgspec.json.decode(plan, type=FaultPlan).seed == 7
    [words] = [line.split("'")[1] for line in page.splitlines() if "--faults" in line]
    assert plan_from(words).rates == {FaultKind.DELAY: 0.02, FaultKind.TEAR_BODY: 0.01}
