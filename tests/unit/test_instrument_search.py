"""Search in the instrument master: what traders type, and what they mean; over HTTP with the definitions of each."""

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.dhan.scrip_master import read_scrip_master
from adapters.instrument_store.definitions import KEY
from adapters.instrument_store.merging import history_of, merge
from adapters.instrument_store.search import Search
from adapters.instruments import InstrumentMaster
from domain.instrument import InstrumentKey, InstrumentKind, Segment
from tests.support import scrip_masters as rows
from tests.support.api import ApiWorld
from tests.support.scrip_masters import DAY, nifty_call, read_master

REAL = Path(__file__).parents[3] / "shared" / "data" / "instruments" / "dhan_scrip_master_subset.csv.gz"
needs_real_masters = pytest.mark.skipif(not REAL.exists(), reason=f"there is no real scrip master at {REAL}")

INFOSYS = "NSE,E,1594,EQUITY,0,INFY,1.0,Infosys,,,,10.0000,NA,ES,EQ,INFOSYS LIMITED"
RELIANCE_POWER = "NSE,E,15259,EQUITY,0,RPOWER,1.0,Reliance Power,,,,1.0000,NA,ES,EQ,RELIANCE POWER LTD."
LATER_FUTURE = rows.RELIANCE_FUTURE.replace("52509", "52510").replace("Oct", "Nov").replace("2025-10-28", "2025-11-25")
LISTED = (*rows.WHOLE, INFOSYS, RELIANCE_POWER, LATER_FUTURE, nifty_call(50, date(2025, 10, 7), 25_050))


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    read = read_master(tmp_path_factory.mktemp("search"), LISTED)
    merged = merge(history_of(InstrumentMaster.load().whole()), read, on=DAY, version=1)
    return Search(merged.history)


def found(search: Search, query: str, day: date = DAY, limit: int = 20, **wanted: Any) -> list[str]:
    return [str(key) for key in search.keys(query, day=day, limit=limit, **wanted)]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("rel", "NSE_EQ:2885"),
        ("RELIANCE", "NSE_EQ:2885"),
        ("reliance power", "NSE_EQ:15259"),
        ("power reliance", "NSE_EQ:15259"),
        ("bse reliance", "BSE_EQ:500325"),
        ("consultancy tata", "NSE_EQ:11536"),
        ("nifty", "INDEX:13"),
        ("nifty 50", "INDEX:13"),
        ("nifty etf", "NSE_EQ:10576"),
        ("nifty 25000 ce", "NSE_FNO:38387"),
        ("25000 call nifty", "NSE_FNO:38387"),
        ("nifty 14 oct 25000 ce", "NSE_FNO:42673"),
        ("reliance fut", "NSE_FNO:52509"),
        ("reliance nov future", "NSE_FNO:52510"),
        ("sensex put", "BSE_FNO:1100001"),
        ("usdinr 83.25", "NSE_CURRENCY:10000"),
        ("gold", "MCX_COMM:440939"),
        ("relaince", "NSE_EQ:2885"),
        ("infosis", "NSE_EQ:1594"),
        ("relaince furture", "NSE_FNO:52509"),
        ("sdl 6.56%", "NSE_EQ:1000"),
    ],
)
def test_what_was_meant_comes_first(search: Search, query: str, first: str) -> None:
    assert found(search, query)[0] == first


def test_every_word_has_to_fit(search: Search) -> None:
    assert set(found(search, "nifty 25000 ce")) == {"NSE_FNO:38387", "NSE_FNO:42673"}
    assert found(search, "reliance 25000") == []


@pytest.mark.parametrize("query", ["xyzzyqq", "25001", "%%", " "])
def test_what_is_like_nothing_finds_nothing(search: Search, query: str) -> None:
    assert found(search, query) == []


def test_a_number_is_never_taken_for_another(search: Search) -> None:
    assert found(search, "nifty 25500 ce") == []


def test_segment_and_kind_narrow_what_is_found(search: Search) -> None:
    assert found(search, "reliance", segment=Segment.BSE_EQ) == ["BSE_EQ:500325"]
    assert found(search, "reliance", kind=InstrumentKind.FUTURE) == ["NSE_FNO:52509", "NSE_FNO:52510"]


def test_no_more_is_found_than_was_asked_for(search: Search) -> None:
    assert len(found(search, "reliance", limit=2)) == 2


def test_only_what_is_in_force_and_not_expired_is_found(search: Search) -> None:
    assert found(search, "nifty 25000 ce", date(2025, 10, 8)) == ["NSE_FNO:42673"]
    assert found(search, "hdfcbank", date(2021, 4, 27)) == ["NSE_EQ:1333"]


def test_test_symbols_come_last(search: Search) -> None:
    assert found(search, "fut")[-1] == "NSE_FNO:36687"


@needs_real_masters
def test_among_thousands_what_was_meant_comes_first() -> None:
    read = read_scrip_master(REAL, on=DAY)
    merged = merge(history_of(()), read, on=DAY, version=1)
    search = Search(merged.history)
    symbols = {
        f"{segment}:{number}": symbol for segment, number, symbol in merged.history.select(*KEY, "symbol").rows()
    }
    for query, first in (
        ("rel", "RELIANCE"),
        ("relaince", "RELIANCE"),
        ("infosis", "INFY"),
        ("bank nifty", "BANKNIFTY"),
        ("nifty 25000 ce", "NIFTY 30 SEP 2025 25000 CE"),
        ("banknifty oct fut", "BANKNIFTY 28 OCT 2025 FUT"),
    ):
        assert symbols[found(search, query)[0]] == first, query


# --- Over HTTP, on the table that is shipped ---


@pytest.fixture
async def world() -> AsyncIterator[tuple[ApiWorld, dict[str, str]]]:
    world = ApiWorld()
    yield world, await world.log_in()
    await world.client.aclose()


World = tuple[ApiWorld, dict[str, str]]


async def asked(world: World, path: str, **parameters: Any) -> tuple[int, dict[str, Any]]:
    answer = await world[0].client.get(f"/api/instruments{path}", params=parameters, headers=world[1])
    return answer.status_code, answer.json()


async def test_instruments_are_found_over_http(world: World) -> None:
    status, answer = await asked(world, "", q="relaince", limit=1)
    assert (status, answer["master_version"]) == (200, 0)
    (instrument,) = answer["instruments"]
    assert (instrument["symbol"], instrument["segment"], instrument["security_id"]) == ("RELIANCE", "NSE_EQ", "2885")
    assert (instrument["tick_size"], instrument["lot"], instrument["kind"]) == ("0.10", 1, "equity")


async def test_segment_and_kind_narrow_the_answer(world: World) -> None:
    _, indices = await asked(world, "", q="nifty", kind="index")
    assert [each["symbol"] for each in indices["instruments"]] == ["NIFTY", "BANKNIFTY"]
    _, none = await asked(world, "", q="nifty", segment="NSE_EQ")
    assert none["instruments"] == []


async def test_an_instrument_shows_what_it_was_and_is(world: World) -> None:
    status, answer = await asked(world, "/NSE_EQ/2885")
    assert status == 200
    dated = [
        (each["valid_from"], each["valid_until"], each["instrument"]["tick_size"]) for each in answer["definitions"]
    ]
    assert dated == [(None, "2025-04-15", "0.05"), ("2025-04-15", None, "0.10")]


REFUSED: tuple[tuple[str, dict[str, Any], int, str], ...] = (
    ("", {}, 422, "Q_INVALID"),
    ("", {"q": ""}, 422, "Q_INVALID"),
    ("", {"q": "x" * 65}, 422, "Q_INVALID"),
    ("", {"q": "ä"}, 422, "Q_INVALID"),
    ("", {"q": "rel", "limit": 101}, 422, "LIMIT_INVALID"),
    ("", {"q": "rel", "segment": "NYSE"}, 422, "SEGMENT_INVALID"),
    ("", {"q": "rel", "kind": "stamp"}, 422, "KIND_INVALID"),
    ("/NSE_EQ/999", {}, 404, "INSTRUMENT_NOT_FOUND"),
    ("/NYSE/2885", {}, 422, "SEGMENT_INVALID"),
    ("/NSE_EQ/28-85", {}, 422, "SECURITY_ID_INVALID"),
)


async def test_what_cannot_be_asked_is_refused(world: World) -> None:
    for path, parameters, status, code in REFUSED:
        answered, problem = await asked(world, path, **parameters)
        assert (answered, problem["code"]) == (status, code), (path, parameters)


async def test_only_who_is_logged_in_may_search(world: World) -> None:
    for path in ("?q=rel", "/NSE_EQ/2885"):
        assert (await world[0].client.get(f"/api/instruments{path}")).status_code == 401


def test_a_key_is_told_as_orders_name_it() -> None:
    assert str(InstrumentKey(Segment.NSE_EQ, "2885")) == "NSE_EQ:2885"
