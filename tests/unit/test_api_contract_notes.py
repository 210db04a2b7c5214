"""What the broker charged, over HTTP: by day, by line, and by whom it may be seen."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.account.events import ContractNoteReceived
from tests.support.api import ApiWorld
from tests.support.log_writing import Scribe
from tests.support.people import Person, registered
from tests.support.specimens import TODAY, contract_note_received

PATH = "/api/contract-notes"


async def told(person: Person, *notes: ContractNoteReceived) -> None:
    """Let the broker have told of days of a person's account."""
    stream_id = f"account-{person.account_id}"
    versions = {stream_id: len(await person.world.log.read_stream(stream_id))}
    await Scribe(person.world.log, versions).write(stream_id, list(notes))


@pytest.fixture
async def asha() -> Person:
    return await registered(ApiWorld())


def on(day: str, **changes: Any) -> ContractNoteReceived:
    return replace(contract_note_received, trading_day=day, **changes)


async def test_a_day_is_shown_line_by_line_with_the_causes(asha: Person) -> None:
    await told(asha, contract_note_received)
    shown = await asha.get(f"{PATH}/{TODAY}")
    assert {name: shown["contract_note"][name] for name in ("day", "ours", "brokers", "difference", "unexplained")} == {
        "day": TODAY,
        "ours": "91.25",
        "brokers": "93.00",
        "difference": "1.75",
        "unexplained": "2.00",
    }
    brokerage, stt = shown["lines"]
    assert (brokerage["line"], brokerage["difference"], brokerage["causes"]) == ("brokerage", "0.00", [])
    assert (stt["ours"], stt["brokers"], stt["difference"]) == ("71.25", "73.00", "1.75")
    assert stt["causes"] == [
        {"cause": "whole_rupees", "difference": "-0.25"},
        {"cause": "unexplained", "difference": "2.00"},
    ]
    (order,) = shown["orders"]
    assert (order["match"], order["quantity"], order["our_quantity"]) == ("other_quantity", 101, 100)
    assert (order["ours"], order["brokers"], order["unexplained"]) == ("91.25", "93.00", "2.00")


async def test_amounts_finer_than_a_paisa_are_told_as_they_are(asha: Person) -> None:
    first, second = contract_note_received.lines
    await told(asha, on(TODAY, lines=(first, replace(second, theirs_e4=71_2464))))
    assert (await asha.get(f"{PATH}/{TODAY}"))["lines"][1]["difference"] == "-0.0036"


async def test_a_later_note_of_a_day_replaces_the_one_before(asha: Person) -> None:
    await told(asha, contract_note_received, on(TODAY, number=2, orders=()))
    shown = await asha.get(f"{PATH}/{TODAY}")
    assert (shown["contract_note"]["number"], shown["contract_note"]["order_count"], shown["orders"]) == (2, 0, [])
    assert len((await asha.get(PATH))["contract_notes"]) == 1


async def test_days_are_listed_newest_first_in_pages(asha: Person) -> None:
    days = ["2026-11-17", "2026-11-18", "2026-11-19"]
    await told(asha, *(on(day) for day in days), on("2026-11-17", number=2))
    assert [note["day"] for note in (await asha.get(PATH))["contract_notes"]] == days[::-1]
    page = await asha.get(f"{PATH}?limit=2")
    assert [note["day"] for note in page["contract_notes"]] == days[:0:-1]
    rest = await asha.get(f"{PATH}?limit=2&before={page['next_before']}")
    assert ([note["day"] for note in rest["contract_notes"]], rest["next_before"]) == (days[:1], None)
    oldest = await asha.get(f"{PATH}?sort=oldest&limit=1")
    assert oldest["contract_notes"][0]["day"] == days[0]


@pytest.mark.parametrize("day", ["2026-11-19", "yesterday", "2026-11-20T00:00", "%20"])
async def test_a_day_without_a_note_is_not_found(asha: Person, day: str) -> None:
    await told(asha, contract_note_received)
    assert await asha.refused("GET", f"{PATH}/{day}") == (404, "CONTRACT_NOTE_NOT_FOUND")


async def test_the_notes_of_others_are_not_seen(asha: Person) -> None:
    ravi = await registered(asha.world, "ravi")
    await told(asha, contract_note_received)
    assert (await ravi.get(PATH))["contract_notes"] == []
    assert await ravi.refused("GET", f"{PATH}/{TODAY}") == (404, "CONTRACT_NOTE_NOT_FOUND")
    assert await ravi.refused("GET", f"{PATH}?account_id={asha.account_id}") == (404, "ACCOUNT_NOT_FOUND")


async def test_who_has_the_note_already_is_told_so(asha: Person) -> None:
    await told(asha, contract_note_received)
    tag = (await asha.ask("GET", f"{PATH}/{TODAY}")).headers["ETag"]
    headers = {**asha.headers, "If-None-Match": tag}
    assert (await asha.world.client.get(f"{PATH}/{TODAY}", headers=headers)).status_code == 304
    await told(asha, on(TODAY, number=2))
    assert (await asha.world.client.get(f"{PATH}/{TODAY}", headers=headers)).status_code == 200
