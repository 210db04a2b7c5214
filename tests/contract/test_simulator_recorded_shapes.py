"""What the broker was recorded to answer, the simulator answers in the same shape: status, fields, kinds of values."""

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from adapters.bars.parquet import ParquetBars
from adapters.instruments import InstrumentMaster
from adapters.simulator.config import SimulatorConfig
from domain.instrument import Instrument, InstrumentKey, OptionType, Segment
from domain.market import EXCHANGE_ZONE, NS_PER_S
from projections.ports import DailyBar
from tests.support.dhan_recordings import needs_recordings, recorded
from tests.support.option_market import option
from tests.support.tape import INSTRUMENTS, NIFTY, ScriptedTape, Venue, config_of, venue

pytestmark = needs_recordings

CLIENT_ID = "1000000001"
HDFC = InstrumentKey(Segment.NSE_EQ, "1333")
START = datetime(2024, 9, 11, 9, 15, tzinfo=EXCHANGE_ZONE)
RECORDED_ORDER = "952502167319"
PRICE = 1_650_00_00

NOT_ASKED = {
    "dhan_hq_get_request.yml": "a path without /v2, which the simulator does not have: nothing of ours asks it",
}
"""Genuine pairs that cannot be asked, and why."""
NOT_GENUINE = {"docs_like", "edited"}
"""Origins of pairs that somebody wrote after the documentation, or changed."""
ADDED_SINCE = {"resources/option_chain.yml": {"average_price", "security_id"}}
"""Fields that the broker's answers have had since the recording (fact sheet, section 7)."""
ONCE_TRADED = {("models/trade_today.yml", "GET")}
ONCE_CLOSED = {
    ("models/orders/create.yml", "POST"),
    ("models/orders/all.yml", "GET"),
    ("models/orders/order.yml", "GET"),
}
ONCE_CANCELED = {("models/orders/update.yml", "GET"), ("models/orders/update.yml", "PUT")}
WITHOUT_TOKEN = {("client/error_dh_901.yml", "GET")}
"""In which state of the market and the order the broker was asked; all others at the open."""


def share(segment: Segment, security_id: str, symbol: str) -> Instrument:
    return Instrument(
        key=InstrumentKey(segment, security_id), symbol=symbol, name=symbol, tradable=True, tick_e4=100, lot=1
    )


def market(folder: Path) -> SimulatorConfig:
    """Return a market with what the recorded requests name, on a day that they ask for."""
    options = [
        option(49_081, 22_900, OptionType.CALL, "2025-01-30"),
        option(49_082, 22_900, OptionType.PUT, "2025-01-30"),
    ]
    bars = ParquetBars(folder)
    day = {"open_e4": 1, "high_e4": 2, "low_e4": 1, "close_e4": 2, "volume": 3, "adjusted_close_e4": 2}
    bars.write(HDFC, [DailyBar(day="2022-01-10", **day)])
    known = [(START.date(), each) for each in INSTRUMENTS.all(market_time_ns=2**60)]
    master = InstrumentMaster(
        known + [(START.date(), each) for each in (*options, share(Segment.BSE_EQ, "539310", "THINKINK"))]
    )
    tape = ScriptedTape([(HDFC, PRICE, 100), (NIFTY, 22_950_0000, 0)], start_ns=int(START.timestamp()) * NS_PER_S)
    return config_of(tape, instruments=master, bars=bars)


async def ask(client: Venue, pair: dict[str, Any], order_id: str) -> httpx.Response:
    url = httpx.URL(pair["uri"].replace(RECORDED_ORDER, order_id))
    return await client.http.request(
        pair["method"],
        url.raw_path.decode(),
        content=pair["request_text"].replace(RECORDED_ORDER, order_id),
        headers={"access-token": "dead"} if _named(pair) in WITHOUT_TOKEN else None,
    )


async def answers(client: Venue, pairs: list[dict[str, Any]]) -> list[tuple[dict[str, Any], httpx.Response]]:
    """Ask what was asked, each in the state of the market in which it was."""
    found: list[tuple[dict[str, Any], httpx.Response]] = []

    async def ask_those(names: set[tuple[str, str]], order_id: str = "") -> None:
        # What places an order comes before what reads it.
        chosen = sorted((pair for pair in pairs if _named(pair) in names), key=lambda pair: pair["method"] != "POST")
        for pair in chosen:
            answer = await ask(client, pair, order_id or await newest_order(client))
            found.append((pair, answer))

    later = ONCE_TRADED | ONCE_CLOSED | ONCE_CANCELED
    await client.step()
    await ask_those({_named(pair) for pair in pairs} - later)
    bought = {"securityId": HDFC.security_id, "productType": "CNC", "price": PRICE / 10_000, "dhanClientId": CLIENT_ID}
    assert (await client.place(**bought)).status_code == 200
    await ask_those(ONCE_TRADED)
    assert (await client.step())["done"]
    await ask_those(ONCE_CLOSED)
    order_id = await newest_order(client)
    assert (await client.http.delete(f"/v2/orders/{order_id}")).status_code == 200
    await ask_those(ONCE_CANCELED, order_id)
    return found


async def newest_order(client: Venue) -> str:
    book = await client.get("/orders")
    return book[-1]["orderId"] if book else "0"


def shape_of(value: Any, *, without: Collection[str] = ()) -> Any:
    """Return what *value* is made of; names that are numbers (ids, strikes) count as one, and so do equal rows."""
    if isinstance(value, Mapping):
        shapes: dict[str, list[Any]] = {}
        for name, each in value.items():
            if name not in without:
                word = "<number>" if re.fullmatch(r"\d+(\.\d+)?", name) else name
                shapes.setdefault(word, []).append(shape_of(each, without=without))
        return {name: _distinct(each) for name, each in sorted(shapes.items())}
    if isinstance(value, list):
        return _distinct([shape_of(each, without=without) for each in value])
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def _distinct(shapes: list[Any]) -> list[Any]:
    return [json.loads(each) for each in sorted({json.dumps(shape) for shape in shapes})]


def _named(pair: dict[str, Any]) -> tuple[str, str]:
    return pair["cassette"], pair["method"]


async def test_every_genuine_answer_has_the_same_status_and_shape_from_the_simulator(tmp_path: Path) -> None:
    genuine = [pair for pair in recorded() if pair["origin"] not in NOT_GENUINE]
    pairs = [pair for pair in genuine if pair["cassette"] not in NOT_ASKED]
    assert len(genuine) - len(pairs) == len(NOT_ASKED)
    async with venue(market(tmp_path), logged_in=False) as client:
        await client.log_in(CLIENT_ID)
        compared = await answers(client, pairs)
    assert sorted(_named(pair) for pair, _ in compared) == sorted(_named(pair) for pair in pairs)
    for pair, answer in compared:
        told = f"{pair['method']} {pair['uri']} of {pair['cassette']}: {answer.text[:500]}"
        assert answer.status_code == pair["status"], told
        assert answer.headers["content-type"] == "application/json", told
        without = ADDED_SINCE.get(pair["cassette"], set())
        assert shape_of(answer.json(), without=without) == shape_of(json.loads(pair["response_text"])), told


def test_a_shape_tells_fields_and_kinds_apart() -> None:
    row = {"price": 1.5, "name": "x", "tags": [1, 2]}
    assert shape_of({**row, "price": 2}) == shape_of(row)
    for other in ({**row, "price": "1.5"}, {**row, "more": 1}, {"price": 1.5, "name": "x"}, {**row, "tags": []}):
        assert shape_of(other) != shape_of(row)
    assert shape_of({"25650.000000": row, "25700.000000": row}) == shape_of({"1": row})
