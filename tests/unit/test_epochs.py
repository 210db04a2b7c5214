from pathlib import Path

import pytest

from adapters.epoch_file import EpochFile
from domain.epoch import Epoch, EpochInvalid
from infra.continuity import FoundLog, HistoryChanged, LastKnown, contradiction, demand_known_epoch
from tests.support.api import ApiWorld

FIRST = Epoch("6f3a", 1, 0)
PROMOTED = Epoch("6f3a", 0x1F, 0)
RESTORED = Epoch("6f3a", 1, 1)
ELSEWHERE = Epoch("77aa", 9, 9)


def test_an_epoch_is_written_and_read_alike() -> None:
    assert str(PROMOTED) == "6f3at1fr0"
    for epoch in (FIRST, PROMOTED, RESTORED, ELSEWHERE):
        assert Epoch.parse(str(epoch)) == epoch


@pytest.mark.parametrize("text", ["", "6f3a", "6f3at1", "6f3at1r", "6F3At1r0", "6f3at1r0 ", "6f3at-1r0"])
def test_what_names_no_epoch_is_refused(text: str) -> None:
    with pytest.raises(EpochInvalid):
        Epoch.parse(text)


def test_a_restore_comes_after_every_timeline_before_it() -> None:
    assert FIRST.is_before(PROMOTED)
    assert PROMOTED.is_before(RESTORED)
    assert not RESTORED.is_before(PROMOTED)
    assert not FIRST.is_before(FIRST)
    assert not FIRST.is_before(ELSEWHERE)


def test_the_file_keeps_the_highest_epoch_and_takes_another_only_when_told_to(tmp_path: Path) -> None:
    file, of_another_process = EpochFile(tmp_path / "epoch"), EpochFile(tmp_path / "epoch")
    assert file.read() is None
    assert file.see(FIRST) == FIRST
    assert of_another_process.see(RESTORED) == RESTORED
    assert file.see(PROMOTED) == RESTORED
    assert file.see(ELSEWHERE) == RESTORED
    file.accept(ELSEWHERE)
    assert of_another_process.see(RESTORED) == ELSEWHERE
    assert (tmp_path / "epoch").stat().st_mode & 0o077 == 0


def test_a_log_that_ends_before_what_was_seen_of_it_contradicts() -> None:
    found = FoundLog(10, str(FIRST))
    assert contradiction(found, []) is None
    assert contradiction(found, [LastKnown(source="JetStream", epoch=str(FIRST), sequence=10)]) is None
    said = contradiction(found, [LastKnown(source="an anchor", epoch=str(FIRST), sequence=11)])
    assert said is not None
    assert "an anchor has seen 11" in said


def test_what_was_seen_of_an_earlier_epoch_does_not_contradict_and_of_a_later_one_does() -> None:
    earlier = [LastKnown(source="JetStream", epoch=str(epoch), sequence=999) for epoch in (FIRST, ELSEWHERE)]
    assert contradiction(FoundLog(10, str(RESTORED)), earlier) is None
    later = [LastKnown(source="JetStream", epoch=str(RESTORED), sequence=0)]
    assert contradiction(FoundLog(10, str(FIRST)), later) is not None


def test_a_start_takes_the_epoch_seen_last_and_no_other() -> None:
    found = FoundLog(10, str(PROMOTED))
    demand_known_epoch(found, None)
    demand_known_epoch(found, PROMOTED)
    for seen in (FIRST, RESTORED, ELSEWHERE):
        with pytest.raises(HistoryChanged, match="khata restore --accept"):
            demand_known_epoch(found, seen)


async def test_answers_carry_the_epoch_and_a_query_of_another_one_gets_409() -> None:
    epochs = [FIRST]
    world = ApiWorld(epoch=lambda: str(epochs[0]))
    headers = await world.log_in()
    shown = await world.client.get("/api/auth/profile", headers=headers)
    token = shown.headers["Khata-Epoch"]
    assert token == f"1.{FIRST}"
    for path in ("/api/auth/profile", "/api/positions", "/api/risk/portfolio", "/api/trades"):
        asked = {"params": {"min_sequence": 1}, "headers": headers | {"Khata-Epoch": token}}
        assert (await world.client.get(path, **asked)).status_code == 200  # type: ignore[arg-type]
    epochs[0] = RESTORED
    stale = await world.client.get(
        "/api/positions", params={"min_sequence": 1}, headers=headers | {"Khata-Epoch": token}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "EPOCH_CHANGED")
    assert stale.headers["Khata-Epoch"] == f"1.{RESTORED}"
    assert (await world.client.get("/api/positions", params={"min_sequence": 1}, headers=headers)).status_code == 200
    await world.client.aclose()


async def test_while_the_epoch_is_not_known_nobody_is_told_one_and_nobody_is_refused() -> None:
    world = ApiWorld()
    headers = await world.log_in()
    answer = await world.client.get("/api/positions", headers=headers | {"Khata-Epoch": "1.abct1r0"})
    assert answer.status_code == 200
    assert "Khata-Epoch" not in answer.headers
    await world.client.aclose()
