"""Versions of the instrument master: what an import changes, what held before, and what is found by which name."""

import asyncio
import shutil
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from adapters.ids import SystemIds
from adapters.instrument_store.changes import Changes, changes_of
from adapters.instrument_store.definitions import MasterRead
from adapters.instrument_store.index import FORMAT
from adapters.instrument_store.master import StoredMaster
from adapters.instrument_store.store import InstrumentStore
from adapters.instruments import InstrumentMaster
from adapters.memory.event_store import MemoryEventStore
from commands.instrument_imports import InstrumentImports
from domain.instrument import (
    Instrument,
    InstrumentAmbiguous,
    InstrumentKey,
    InstrumentKind,
    InstrumentUnknown,
    OptionType,
    Segment,
)
from domain.market import EXCHANGE_ZONE, NS_PER_S, trading_day
from infra.instruments import Imported, difference_of, import_master, load_master, store_of, watched
from infra.problems import OperatorProblem
from infra.settings import Settings
from tests.support import scrip_masters as rows
from tests.support.api import ApiWorld
from tests.support.scrip_masters import DAY, nifty_call, read_master
from tests.support.security import ManualClock

NEXT_DAY = DAY + timedelta(days=1)
KEY = InstrumentKey(Segment.NSE_EQ, "2885")
NO_DIFFERENCE = ""


def at(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 10, tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S


class Importing:
    """Somebody who imports masters, one after another, into a folder and a log in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = Settings(home=folder / "home")
        self.imports = InstrumentImports(store=MemoryEventStore(), ids=SystemIds(ManualClock()))

    def read(self, lines: Sequence[str], *, on: date = DAY, header: str = rows.COMPACT) -> MasterRead:
        return read_master(self.folder, lines, header=header, on=on)

    def bring(
        self, lines: Sequence[str], *, on: date = DAY, header: str = rows.COMPACT, partial: bool = False,
        complete: bool = False, anew: bool = False,
    ) -> Imported:  # fmt: skip
        return asyncio.run(
            import_master(
                self.imports, self.versions, self.read(lines, on=on, header=header), on=on, is_partial=partial,
                is_complete=complete, is_anew=anew,
            )
        )  # fmt: skip

    @property
    def versions(self) -> InstrumentStore:
        return store_of(self.settings)

    @property
    def master(self) -> StoredMaster:
        master = load_master(self.settings)
        assert isinstance(master, StoredMaster)
        return master

    def changes(self, version: int) -> Changes:
        current = self.versions.current()
        assert current is not None
        return changes_of(self.versions.history(current), version)

    def recorded(self) -> int:
        return len(asyncio.run(self.imports.every()))


@pytest.fixture
def importing(tmp_path: Path) -> Importing:
    return Importing(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> StoredMaster:
    importing = Importing(tmp_path_factory.mktemp("whole"))
    importing.bring(rows.WHOLE)
    return importing.master


# --- What is found by which name ---


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("RELIANCE", "NSE_EQ:2885"),
        ("reliance", "NSE_EQ:2885"),
        ("NSE:RELIANCE", "NSE_EQ:2885"),
        ("NSE_EQ:RELIANCE", "NSE_EQ:2885"),
        ("NSE_EQ:2885", "NSE_EQ:2885"),
        ("BSE:RELIANCE", "BSE_EQ:500325"),
        ("BSE_EQ:500325", "BSE_EQ:500325"),
        ("NIFTY", "INDEX:13"),
        ("INDEX:NIFTY", "INDEX:13"),
        ("Nifty 50", "INDEX:13"),
        ("NIFTY 07 OCT 2025 25000 CE", "NSE_FNO:38387"),
        ("  nifty 07 oct  2025 25000 ce ", "NSE_FNO:38387"),
        ("NSE_FNO:38387", "NSE_FNO:38387"),
        ("RELIANCE-Oct2025-FUT", "NSE_FNO:52509"),
        ("BSE:SENSEX 09 OCT 2025 80000 PE", "BSE_FNO:1100001"),
        ("SENSEX-Oct2025-80000-PE", "BSE_FNO:1100001"),
        ("MCX:GOLD 03 OCT 2025 FUT", "MCX_COMM:440939"),
    ],
)
def test_an_instrument_is_found_by_symbol_venue_symbol_name_and_key(whole: StoredMaster, name: str, key: str) -> None:
    for _ in range(2):  # The second time it is kept.
        assert str(whole.by_symbol(name, market_time_ns=at(DAY)).key) == key


def test_a_key_finds_what_its_symbol_finds(whole: StoredMaster) -> None:
    for symbol in ("RELIANCE", "NIFTY", "NIFTY 14 OCT 2025 25000 CE", "USDINR 27 MAR 2026 83.25 CE"):
        found = whole.by_symbol(symbol, market_time_ns=at(DAY))
        assert whole.by_key(found.key, market_time_ns=at(DAY)) == found
        assert found.symbol == symbol


def test_a_definition_comes_back_as_it_was_read(whole: StoredMaster) -> None:
    assert whole.by_symbol("USDINR 27 MAR 2026 83.25 CE", market_time_ns=at(DAY)) == Instrument(
        key=InstrumentKey(Segment.NSE_CURRENCY, "10000"),
        symbol="USDINR 27 MAR 2026 83.25 CE",
        name="USDINR 27 MAR 83.25 CALL",
        tradable=True,
        tick_e4=25,
        lot=1,
        multiplier=1_000,
        kind=InstrumentKind.OPTION,
        expires_on="2026-03-27",
        underlying="USDINR",
        strike_e4=83_2500,
        option_type=OptionType.CALL,
    )


def test_what_several_go_by_is_refused_with_the_symbols_of_all(whole: StoredMaster) -> None:
    with pytest.raises(InstrumentAmbiguous) as raised:
        whole.by_symbol("NIFTY-Oct2025-25000-CE", market_time_ns=at(DAY))
    assert "'NIFTY 07 OCT 2025 25000 CE' (NSE_FNO:38387)" in raised.value.message
    assert "'NIFTY 14 OCT 2025 25000 CE' (NSE_FNO:42673)" in raised.value.message


def test_a_weekly_symbol_is_free_again_when_one_alone_is_left(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    later = date(2025, 10, 8)
    importing.bring([each for each in rows.WHOLE if each != rows.WEEKLY_CALLS[0]], on=later)
    found = importing.master.by_symbol("NIFTY-Oct2025-25000-CE", market_time_ns=at(later))
    assert found.symbol == "NIFTY 14 OCT 2025 25000 CE"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("RELIANZ", "e.g. 'RELIANCE'"),
        ("ZEAL", "'BSE:ZEAL', which the BSE lists"),
        ("NSE_EQ:1", ""),
        ("MCX:TCS", ""),
        ("", ""),
    ],
)
def test_an_unknown_symbol_is_refused_with_what_may_have_been_meant(whole: StoredMaster, name: str, hint: str) -> None:
    with pytest.raises(InstrumentUnknown) as raised:
        whole.by_symbol(name, market_time_ns=at(DAY))
    assert repr(name) in raised.value.message
    assert hint in raised.value.message


def test_an_unknown_key_is_refused(whole: StoredMaster) -> None:
    with pytest.raises(InstrumentUnknown, match="NSE_EQ:1,"):
        whole.by_key(InstrumentKey(Segment.NSE_EQ, "1"), market_time_ns=at(DAY))
    assert whole.definitions(InstrumentKey(Segment.NSE_EQ, "1")) == ()


def test_a_name_with_quotes_and_letters_of_any_kind_comes_back(importing: Importing) -> None:
    importing.bring([rows.TCS.replace("Tata Consultancy Services", '"Tata ""C"" \\ Ünïted"')])
    assert importing.master.by_symbol("TCS", market_time_ns=at(DAY)).name == 'Tata "C" \\ Ünïted'


# --- What an import changes ---


def test_the_first_import_stands_upon_the_table_that_is_shipped(importing: Importing) -> None:
    event = importing.bring(rows.WHOLE).event
    known = {each.key for each in InstrumentMaster.load().finest()}
    assert (event.version, event.listed) == (1, len(known) + event.added)
    then, now = at(date(2021, 4, 27)), at(DAY)
    assert importing.master.by_symbol("RELIANCE", market_time_ns=then).tick_e4 == 500
    assert importing.master.by_symbol("RELIANCE", market_time_ns=now).series == "EQ"
    # What nobody knew before is taken to have been what it is now.
    assert importing.master.by_symbol("RELAXO", market_time_ns=then).tick_e4 == 500


def test_without_an_import_the_table_that_is_shipped_is_used(importing: Importing) -> None:
    assert isinstance(load_master(importing.settings), InstrumentMaster)
    assert not (importing.folder / "home").exists()


def test_a_definition_holds_until_a_newer_one_does(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    event = importing.bring(
        [each.replace("5.0000,NA,ES,EQ", "1.0000,NA,ES,EQ") for each in rows.WHOLE], on=NEXT_DAY
    ).event
    assert (event.added, event.changed, event.renamed, event.delisted, event.expired) == (0, 1, 0, 0, 0)
    assert [importing.master.by_symbol("RELAXO", market_time_ns=at(day)).tick_e4 for day in (DAY, NEXT_DAY)] == [
        500,
        100,
    ]
    (change,) = importing.changes(2).changed
    assert (change.symbol, change.fields) == ("RELAXO", {"tick_e4": (500, 100)})
    dated = importing.master.definitions(InstrumentKey(Segment.NSE_EQ, "3032"))
    assert [(each.valid_from, each.valid_until) for each in dated] == [(None, "2025-09-27"), ("2025-09-27", None)]


def test_a_renamed_instrument_is_found_by_the_name_of_the_day(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    event = importing.bring([each.replace(",TCS,", ",TATACONS,") for each in rows.WHOLE], on=NEXT_DAY).event
    assert (event.changed, event.renamed, event.added, event.delisted) == (1, 1, 0, 0)
    (change,) = importing.changes(2).renamed
    assert change.fields == {"symbol": ("TCS", "TATACONS")}
    assert importing.changes(2).changed == []
    master = importing.master
    assert master.by_symbol("TATACONS", market_time_ns=at(NEXT_DAY)).key.security_id == "11536"
    assert master.by_symbol("TCS", market_time_ns=at(DAY)).key.security_id == "11536"
    with pytest.raises(InstrumentUnknown, match="TCS on 2025-09-27, which was listed until 2025-09-27"):
        master.by_symbol("TCS", market_time_ns=at(NEXT_DAY))
    with pytest.raises(InstrumentUnknown, match="before its first definition"):
        master.by_symbol("TATACONS", market_time_ns=at(DAY))
    assert master.find_key("TCS") == InstrumentKey(Segment.NSE_EQ, "11536")


def test_a_symbol_that_passed_to_another_means_whose_it_was_that_day(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    handed_on = [each.replace(",TCS,", ",OLDTCS,").replace(",RELAXO,", ",TCS,") for each in rows.WHOLE]
    importing.bring(handed_on, on=NEXT_DAY)
    ids = [importing.master.by_symbol("TCS", market_time_ns=at(day)).key.security_id for day in (DAY, NEXT_DAY)]
    assert ids == ["11536", "3032"]


def test_what_is_gone_was_delisted_or_had_expired(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    later = date(2025, 10, 8)
    left = [each for each in rows.WHOLE if each not in (rows.RELAXO, rows.WEEKLY_CALLS[0])]
    event = importing.bring(left, on=later).event
    assert (event.delisted, event.expired, event.added) == (1, 2, 0)
    changes = importing.changes(2)
    assert [each.symbol for each in changes.delisted] == ["RELAXO"]
    assert [each.symbol for each in changes.expired] == ["GOLD 03 OCT 2025 FUT", "NIFTY 07 OCT 2025 25000 CE"]
    with pytest.raises(InstrumentUnknown, match="listed until 2025-10-08"):
        importing.master.by_symbol("RELAXO", market_time_ns=at(later))
    assert importing.master.by_symbol("RELAXO", market_time_ns=at(DAY)).name == "Relaxo Footwears"


def test_what_comes_back_is_new_and_keeps_what_it_was(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    importing.bring([each for each in rows.WHOLE if each != rows.RELAXO], on=NEXT_DAY)
    back = NEXT_DAY + timedelta(days=1)
    assert importing.bring(rows.WHOLE, on=back).event.added == 1
    dated = importing.master.definitions(InstrumentKey(Segment.NSE_EQ, "3032"))
    assert [(each.valid_from, each.valid_until) for each in dated] == [(None, "2025-09-27"), ("2025-09-28", None)]


def test_the_same_master_again_is_no_version(importing: Importing) -> None:
    first = importing.bring(rows.WHOLE)
    again = importing.bring(rows.WHOLE, on=NEXT_DAY)
    assert (again.event, again.sequence) == (first.event, None)
    assert importing.recorded() == 1


def test_a_second_master_of_a_day_replaces_the_first_from_that_day_on(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    for tick in ("1.0000", "50.0000"):
        changed = [each.replace("5.0000,NA,ES,EQ", f"{tick},NA,ES,EQ") for each in rows.WHOLE]
        importing.bring(changed, on=NEXT_DAY)
    assert importing.master.by_symbol("RELAXO", market_time_ns=at(NEXT_DAY)).tick_e4 == 5_000
    dated = importing.master.definitions(InstrumentKey(Segment.NSE_EQ, "3032"))
    assert [each.instrument.tick_e4 for each in dated] == [500, 5_000]
    assert [each.fields for each in importing.changes(3).changed] == [{"tick_e4": (100, 5_000)}]


def test_a_master_speaks_only_of_kinds_that_it_has(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    event = importing.bring([rows.NIFTY, rows.SENSEX, *rows.WEEKLY_CALLS], on=NEXT_DAY).event
    assert (event.delisted, event.expired) == (0, 0)
    assert importing.master.by_symbol("RELIANCE", market_time_ns=at(NEXT_DAY)).key == KEY


def test_what_is_shipped_and_no_master_has_told_of_stays(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    importing.bring([*rows.WHOLE, nifty_call(999, date(2025, 10, 20))], on=NEXT_DAY)
    assert importing.master.by_symbol("BANKNIFTY", market_time_ns=at(NEXT_DAY)).key.security_id == "25"


def test_from_a_part_of_a_master_nothing_is_gone(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    event = importing.bring([nifty_call(999, date(2025, 10, 20))], on=NEXT_DAY, partial=True).event
    assert (event.added, event.delisted) == (1, 0)


def test_a_master_that_lacks_much_is_not_believed_unasked(importing: Importing) -> None:
    calls = [nifty_call(number, date(2025, 10, 7), 20_000 + number) for number in range(50)]
    importing.bring([*rows.WHOLE, *calls])
    with pytest.raises(OperatorProblem, match="it lacks 50 of the 52") as raised:
        importing.bring(rows.WEEKLY_CALLS, on=NEXT_DAY)
    assert "--partial" in raised.value.remedy
    assert importing.recorded() == 1
    assert importing.bring(rows.WEEKLY_CALLS, on=NEXT_DAY, complete=True).event.delisted == 50


def test_an_older_master_is_refused(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    with pytest.raises(OperatorProblem, match="is of 2025-09-26, which is after 2025-09-25"):
        importing.bring(rows.WHOLE, on=DAY - timedelta(days=1))


# --- What another layout tells ---

DETAILED_RELIANCE = (
    "NSE,E,2885,INE002A01018,EQUITY,,RELIANCE,RELIANCE INDUSTRIES LTD,Reliance Industries,ES,EQ,1,,,,10,NA,4.5,{high},"
    "{low},5000"
)


def test_what_a_layout_does_not_tell_stays_as_it_is_known(importing: Importing) -> None:
    detailed = DETAILED_RELIANCE.format(high=1446.6, low=1183.6)
    importing.bring(rows.WHOLE)
    importing.bring([detailed], on=NEXT_DAY, header=rows.WITH_LIMITS, partial=True)
    third = NEXT_DAY + timedelta(days=1)
    importing.bring([each.replace("10.0000,NA,ES,EQ", "5.0000,NA,ES,EQ") for each in rows.WHOLE], on=third)
    found = importing.master.by_symbol("RELIANCE", market_time_ns=at(third))
    assert (found.tick_e4, found.isin, found.mtf, found.freeze_quantity) == (500, "INE002A01018", True, 5_000)
    # That master has no derivatives, and tells nothing of who has them.
    assert importing.master.by_symbol("RELIANCE", market_time_ns=at(NEXT_DAY)).has_derivatives


def test_a_price_band_is_that_of_its_day_alone_and_no_new_definition(importing: Importing) -> None:
    bands = [(1446.6, 1183.6), (1500, 1200)]
    days = [DAY, NEXT_DAY]
    for day, (high, low) in zip(days, bands, strict=True):
        detailed = DETAILED_RELIANCE.format(high=high, low=low)
        event = importing.bring([detailed], on=day, header=rows.WITH_LIMITS, partial=True).event
    assert (event.version, event.changed, event.added) == (2, 0, 0)
    found = [importing.master.by_symbol("RELIANCE", market_time_ns=at(day)) for day in days]
    assert [(each.lower_circuit_e4, each.upper_circuit_e4) for each in found] == [
        (None, None),
        (1_200_0000, 1_500_0000),
    ]
    assert len(importing.master.definitions(KEY)) == 3  # Two of them are shipped.


# --- The files and the log ---


def test_what_was_imported_is_in_the_log(importing: Importing) -> None:
    imported = importing.bring([*rows.WHOLE, rows.TCS])
    (event,) = asyncio.run(importing.imports.every())
    assert event == imported.event
    assert (event.day, event.layout, event.rows, event.unusable) == (
        "2025-09-26", "compact", len(rows.WHOLE) + 1, {"key_repeated": 1},
    )  # fmt: skip
    assert difference_of(importing.settings, event) == NO_DIFFERENCE


def test_an_import_that_stopped_before_the_end_is_ended_by_the_next(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    current = importing.folder / "home" / "instruments" / "current.json"
    before = current.read_bytes()
    renamed = [each.replace(",TCS,", ",TATACONS,") for each in rows.WHOLE]
    event = importing.bring(renamed, on=NEXT_DAY).event
    current.write_bytes(before)
    assert "Used is version 1, the log has version 2" in difference_of(importing.settings, event)
    assert importing.bring(renamed, on=NEXT_DAY).sequence is None
    assert difference_of(importing.settings, event) == NO_DIFFERENCE


def test_an_index_that_is_lost_or_of_another_format_is_made_again(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    (index,) = (importing.folder / "home" / "instruments").glob("*.index")
    whole = index.read_bytes()
    for other in (None, b"", whole.replace(f'"format":{FORMAT}'.encode(), b'"format":0')):
        index.unlink()
        if other is not None:
            index.write_bytes(other)
        assert importing.master.by_symbol("RELIANCE", market_time_ns=at(DAY)).key == KEY
        assert index.read_bytes() == whole


def test_a_history_that_was_touched_is_not_used(importing: Importing) -> None:
    event = importing.bring(rows.WHOLE).event
    (history,) = (importing.folder / "home" / "instruments").glob("*.parquet")
    history.write_bytes(history.read_bytes()[:-1] + b"?")
    assert "is not as it was written" in difference_of(importing.settings, event)
    with pytest.raises(OperatorProblem, match="Version 1 of the instrument master is in the log, but"):
        importing.bring(rows.WHOLE, on=NEXT_DAY)
    (index,) = (importing.folder / "home" / "instruments").glob("*.index")
    index.unlink()
    with pytest.raises(OperatorProblem, match="is damaged"):
        load_master(importing.settings)


def test_a_history_that_is_lost_begins_again_when_that_is_said(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    shutil.rmtree(importing.folder / "home" / "instruments")
    with pytest.raises(OperatorProblem) as raised:
        importing.bring(rows.WHOLE, on=NEXT_DAY)
    assert "--anew" in raised.value.remedy
    event = importing.bring(rows.WHOLE, on=NEXT_DAY, anew=True).event
    assert (event.version, importing.recorded()) == (2, 2)
    assert importing.master.by_symbol("RELAXO", market_time_ns=at(DAY)).tick_e4 == 500
    assert difference_of(importing.settings, event) == NO_DIFFERENCE


def test_a_damaged_pointer_is_said_and_not_guessed(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    (importing.folder / "home" / "instruments" / "current.json").write_bytes(b"{")
    with pytest.raises(OperatorProblem, match=r"current\.json"):
        load_master(importing.settings)


def test_only_the_newest_versions_keep_their_files(importing: Importing) -> None:
    for number in range(8):
        changed = [each.replace("5.0000,NA,ES,EQ", f"{number + 1}.0000,NA,ES,EQ") for each in rows.WHOLE]
        importing.bring(changed, on=DAY + timedelta(days=number))
    kept = sorted(path.name.partition("-")[0] for path in (importing.folder / "home" / "instruments").glob("*.parquet"))
    assert kept == ["4", "5", "6", "7", "8"]
    assert [len(importing.changes(version).changed) for version in range(2, 9)] == [1] * 7


def test_of_two_imports_side_by_side_one_is_refused(importing: Importing) -> None:
    read = importing.read(rows.WHOLE)

    async def both() -> list[object]:
        coming = (import_master(importing.imports, importing.versions, read, on=DAY) for _ in range(2))
        return await asyncio.gather(*coming, return_exceptions=True)

    done = asyncio.run(both())
    refused = [each for each in done if isinstance(each, OperatorProblem)]
    # Unless the first was through before the second began: then that had nothing new to say.
    assert [each.message for each in refused] in (["Another import came first."], [])
    assert importing.recorded() == 1
    (event,) = asyncio.run(importing.imports.every())
    assert difference_of(importing.settings, event) == NO_DIFFERENCE


# --- What is watched ---


def test_ticks_are_wanted_of_what_is_shipped_and_what_is_asked_for(importing: Importing) -> None:
    shipped = {each.key: each.tick_e4 for each in InstrumentMaster.load().finest()}
    importing.bring(rows.WHOLE)
    asked = watched(importing.master, "RELAXO, BSE:RELIANCE", market_time_ns=at(DAY))
    assert {str(each.key) for each in asked} == {*map(str, shipped), "NSE_EQ:3032", "BSE_EQ:500325"}
    assert all(each.tick_e4 <= shipped.get(each.key, each.tick_e4) for each in asked)
    assert {each.key for each in watched(InstrumentMaster.load(), "", market_time_ns=at(DAY))} == set(shipped)


def test_a_watched_symbol_that_means_nothing_is_refused(importing: Importing) -> None:
    importing.bring(rows.WHOLE)
    with pytest.raises(OperatorProblem, match="KHATA_FEED_SYMBOLS: received symbol 'RELAXX'"):
        watched(importing.master, "RELAXX", market_time_ns=at(DAY))


# --- What orders make of it ---


async def test_the_broker_lends_for_what_the_master_says_and_its_price_band_denies(tmp_path: Path) -> None:
    world, importing = ApiWorld(), Importing(tmp_path)
    today = trading_day(world.clock.wall_ns())
    read = importing.read([DETAILED_RELIANCE.format(high=2900, low=2800)], on=today, header=rows.WITH_LIMITS)
    await import_master(importing.imports, importing.versions, read, on=today)
    world = ApiWorld(instruments=importing.master)
    headers = await world.log_in()
    order = {"symbol": "RELIANCE", "side": "BUY", "quantity": 1, "stop_loss": "2820.00", "product": "MTF"}
    asked = [{}, {"order_type": "LIMIT", "limit_price": "2900.00"}, {"order_type": "LIMIT", "limit_price": "2900.10"}]
    answers = [
        await world.client.post("/api/trades", json=order | each, headers=headers | {"Idempotency-Key": f"{number}"})
        for number, each in enumerate(asked)
    ]
    await world.client.aclose()
    assert [answer.status_code for answer in answers] == [201, 201, 403], [answer.text for answer in answers]
    denied = answers[2].json()
    assert (denied["code"], denied["passing"]) == ("PRICE_OUTSIDE_CIRCUIT", "2800.00..2900.00")


async def test_a_name_of_several_is_refused_with_their_symbols_over_http(whole: StoredMaster) -> None:
    world = ApiWorld(instruments=whole)
    headers = await world.log_in() | {"Idempotency-Key": "one"}
    order = {"symbol": "NIFTY-Oct2025-25000-CE", "side": "BUY", "quantity": 75, "stop_loss": "10.00"}
    answer = await world.client.post("/api/trades", json=order, headers=headers)
    await world.client.aclose()
    assert (answer.status_code, answer.json()["code"]) == (422, "INSTRUMENT_AMBIGUOUS")
