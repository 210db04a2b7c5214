"""Benches run, find what they check to hold, and hand in their measures under the names that stay."""

import asyncio

import pytest

from adapters.memory.event_store import MemoryEventStore
from commands.ports import Append, Appended, AppendOutcomeUnknown, StoreUnavailable
from infra.bench import decide, exactly_once, history, instruments, store
from infra.bench.run import run_bench
from infra.bench.store_load import EVENT, PAYLOAD_BYTES, Load, command_numbers, open_loop

SMALL = {
    "store": (
        store,
        store.Extent(
            warm_up_s=0.05,
            closed_s=0.3,
            library_s=0.2,
            library_threads=(2,),
            on_schedule_s=0.1,
            snapshot_before_s=0.1,
        ),
        {"commands_1024", "p99_ms_64", "p99_ms_snapshot"},
    ),
    "history": (
        history,
        history.Extent(behind=3_000, recent=2_000, rounds=1, append_s=0.1, accounts=2, snapshot_every=5),
        {"append", "replay", "tail", "asof"},
    ),
}


@pytest.mark.timeout(240)  # Each starts servers of its own, on a disk that syncs.
@pytest.mark.parametrize("name", SMALL)
async def test_a_bench_reports_and_its_checks_hold(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, extent, measures = SMALL[name]
    monkeypatch.setattr(module, "QUICK", extent)
    report = await run_bench(name, is_quick=True)
    assert report.broken == []
    assert set(report.measures) == measures
    assert all(measure.ours > 0 for measure in report.measures.values())


async def test_the_bench_of_decisions_meets_no_limit_and_beats_adding_everything_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decide, "INTENTS_QUICK", 2_000)
    report = await run_bench("decide", is_quick=True)
    assert report.broken == []
    ratio = report.measures["commands"].ratio
    assert ratio is not None
    assert ratio > 5


@pytest.mark.timeout(240)  # It measures in processes of their own, each of which loads polars.
async def test_the_bench_of_instruments_reads_opens_finds_and_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"ROWS": 4_000, "SHARES": 300, "BONDS": 100, "LOOKUPS_QUICK": 200, "ROUNDS_QUICK": 1}
    for name, value in small.items():
        monkeypatch.setattr(instruments, name, value)
    report = await run_bench("instruments", is_quick=True)
    assert report.broken == []
    assert {"load_s", "rss_mb", "lookup_us", "search_ms"} <= set(report.measures)
    assert all(measure.ours > 0 for measure in report.measures.values())


def test_a_command_of_the_store_bench_carries_350_bytes() -> None:
    assert len(EVENT.payload) == PAYLOAD_BYTES == 350


class SlowStore(MemoryEventStore):
    """Takes ten milliseconds for an append."""

    async def append(self, append: Append) -> Appended:
        await asyncio.sleep(0.01)
        return await super().append(append)


async def test_who_has_to_wait_for_a_place_in_flight_is_charged_for_it() -> None:
    latencies_ms = await open_loop(SlowStore(), Load("a"), command_numbers(), in_flight=1, rate=150, for_s=0.2)
    assert len(latencies_ms) == 30
    # One after another they take 300 ms, and the last one was due after 193.
    assert latencies_ms[-1] > 90


async def test_a_store_that_falls_behind_is_left_and_what_it_did_not_take_counts_as_late() -> None:
    load = Load("a")
    latencies_ms = await open_loop(SlowStore(), load, command_numbers(), in_flight=1, rate=2_000, for_s=0.1)
    assert len(load.sequences) < 100
    assert len(latencies_ms) == 200
    # The last one was due after 100 ms, and nobody was asked for longer than 200.
    assert latencies_ms[-1] > 90


async def test_a_command_without_an_answer_is_sent_again_and_is_there_once() -> None:
    store, load = MemoryEventStore(), Load("a")
    store.fail_next(StoreUnavailable("away"))
    store.fail_next(AppendOutcomeUnknown("lost"), is_stored=True)
    latencies_ms = await open_loop(store, load, command_numbers(), in_flight=1, rate=1_000, for_s=0.005)
    assert len(latencies_ms) == 5
    assert load.retries == 2
    assert list(load.sequences) == [1, 2, 3, 4, 5]


@pytest.mark.timeout(240)  # It lives its worlds in processes of their own.
async def test_the_bench_of_worlds_finds_nothing_and_catches_a_naive_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exactly_once, "WORLDS_QUICK", 30)
    report = await run_bench("exactly-once", is_quick=True)
    assert report.broken == []
    measures = {name: measure.ours for name, measure in report.measures.items()}
    assert (measures["worlds"], measures["duplicates"], measures["lost"], measures["unresolved"]) == (30, 0, 0, 0)
    assert min(measures["crashes"], measures["worlds_per_second"], measures["naive_duplicates"]) > 0
    assert measures.keys() >= {"overshoot", "other_findings"}


async def test_the_bench_of_worlds_dies_at_steps_as_often_as_it_is_asked_to() -> None:
    report = await run_bench("exactly-once", runs=3, is_enumerated=True)
    assert report.broken == []
    measures = {name: measure.ours for name, measure in report.measures.items()}
    assert (measures["enumerated_lives"], measures["enumerated_wrong"]) == (3, 0)
    assert report.notes["all there are"] == "33 steps, 36 after each, 12 faults"


async def test_the_world_of_a_seed_is_told() -> None:
    report = await run_bench("exactly-once", seed=4711)
    assert report.broken == []
    assert len(report.notes["last hash of the log"]) == 64
