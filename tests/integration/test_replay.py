"""Looking back at a real log: what is chosen, what is shown, and the state at any point."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from rich.console import Console

from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.history import PostgresHistory
from adapters.postgres.log_feed import PostgresFeed
from commands.ports import NewEvent
from domain.account import decider
from domain.account.events import AccountEvent, OrderFilled, OrderIntended, OrderSubmitting
from domain.envelope import RecordedEvent
from domain.events import decode, name_of
from infra.database import DatabaseUrls
from infra.problems import OperatorProblem
from infra.replay.printing import JsonPrinter, TablePrinter
from infra.replay.request import Wish, parse_time_us
from infra.replay.run import run_replay
from projections.replay.aggregates import rebuild
from projections.replay.selection import Selection, last_before, select
from projections.replay.trees import tree_of
from projections.tasks import end
from tests.support.eventually import eventually
from tests.support.lives import Life
from tests.support.log_writing import Scribe
from tests.support.specimens import user_registered

PAYLOAD_OF_ANOTHER_RELEASE = b'{"secret":"not to be dumped"}'


class World:
    """A log with two accounts, a user, and an event that this release does not know in the middle of an account."""

    def __init__(self, database: DatabaseUrls, history: PostgresHistory, lives: list[Life]) -> None:
        self.database = database
        self.history = history
        self.lives = lives
        self.stream = f"account-{lives[0].account_id}"

    async def log(self) -> list[RecordedEvent]:
        return await self.history.read_all(after_sequence=0, limit=10_000)

    async def shown(self, wish: Wish) -> list[dict[str, Any]]:
        out = io.StringIO()
        await run_replay(wish, self.history, PostgresFeed(self.database.query), JsonPrinter(out))
        return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.fixture
async def world(database: DatabaseUrls) -> AsyncIterator[World]:
    lives = [Life(Random(number), number).go_on(60) for number in (1, 2)]  # noqa: S311 - no secret
    async with PostgresEventStore(database.writer) as store, PostgresHistory(database.query) as history:
        scribe = Scribe(store)
        await scribe.write("user-usr_1", [user_registered])
        half = len(lives[0].events) // 2
        await scribe.write(f"account-{lives[0].account_id}", lives[0].events[:half])
        await scribe.write(f"account-{lives[1].account_id}", lives[1].events)
        later = NewEvent(name="trade.dreamt.v7", payload=PAYLOAD_OF_ANOTHER_RELEASE)
        await scribe.write_raw(f"account-{lives[0].account_id}", [later])
        await scribe.write(f"account-{lives[0].account_id}", lives[0].events[half:])
        yield World(database, history, lives)


async def test_events_are_chosen_by_stream_name_order_and_trade(world: World) -> None:
    log = await world.log()
    assert [row["sequence"] for row in await world.shown(Wish.of(streams=()))] == [each.sequence for each in log]
    in_stream = await world.shown(Wish.of(streams=(world.stream,)))
    assert [row["sequence"] for row in in_stream] == [each.sequence for each in log if each.stream_id == world.stream]
    named = await world.shown(Wish.of(streams=(), names=("order.fill*", "user.*")))
    assert {row["name"] for row in named} == {"order.filled.v2", "user.registered.v1"}
    order = next(event for event in world.lives[0].events if isinstance(event, OrderIntended))
    of_order = await world.shown(Wish.of(streams=(), order_id=order.order_id))
    assert {row["event"]["order_id"] for row in of_order} == {order.order_id}
    of_trade = await world.shown(Wish.of(streams=(), trade_id=order.trade_id))
    assert {row["event"]["trade_id"] for row in of_trade} == {order.trade_id}
    wanted = [each for each in world.lives[0].events if getattr(each, "trade_id", None) == order.trade_id]
    assert len(of_trade) == len(wanted) > len(of_order)


async def test_events_are_chosen_by_time_and_sequence(world: World) -> None:
    log = await world.log()
    since, until = log[20].recorded_at_us, log[-20].recorded_at_us
    found = [read.recorded async for read in select(world.history, Selection(since_us=since, until_us=until))]
    assert found == [each for each in log if since <= each.recorded_at_us <= until]
    for event in (log[0], log[20], log[-1]):
        expected = max((e.sequence for e in log if e.recorded_at_us < event.recorded_at_us), default=0)
        assert await last_before(world.history, event.recorded_at_us) == expected
    rows = await world.shown(Wish.of(streams=(), sequences=(7, 11, None)))
    assert [row["sequence"] for row in rows] == [7, 8, 9, 10, 11]


async def test_what_is_unknown_is_an_opaque_row_and_what_is_personal_stays_sealed(world: World) -> None:
    rows = await world.shown(Wish.of(streams=()))
    (opaque,) = [row for row in rows if row["obstacle"]]
    assert (opaque["name"], opaque["event"]) == ("trade.dreamt.v7", None)
    (user,) = [row for row in rows if row["name"] == "user.registered.v1"]
    assert (user["event"]["email"], user["event"]["name"]) == ("<sealed>", "<sealed>")
    told = io.StringIO()
    printer = TablePrinter(Console(file=told, width=300), erased=frozenset({user_registered.user_id}))
    await run_replay(Wish.of(streams=()), world.history, PostgresFeed(world.database.query), printer)
    assert "<erased>" in told.getvalue()
    assert "dumped" not in told.getvalue()
    assert told.getvalue().count("recorded (exchange)") == 1


async def test_the_state_is_what_the_decider_folds_at_any_sequence_and_time(world: World) -> None:
    in_stream = [each for each in await world.log() if each.stream_id == world.stream]
    for upto in (0, 5, len(in_stream) // 2, len(in_stream) - 1):
        recorded = in_stream[upto]
        known = [decode(e.name, e.payload) for e in in_stream[: upto + 1] if not e.name.startswith("trade.dreamt")]
        expected = tree_of(decider.fold(event for event in known if isinstance(event, AccountEvent)))
        rebuilt = await rebuild(world.history, world.stream, at_sequence=recorded.sequence)
        assert rebuilt.state == expected
        assert (rebuilt.sequence, rebuilt.version) == (recorded.sequence, recorded.version)
        assert rebuilt.opaque == upto + 1 - len(known)
    last_at = in_stream[-1].recorded_at_us
    assert (await rebuild(world.history, world.stream, as_of_us=last_at)).state == expected
    assert (await rebuild(world.history, world.stream, at_sequence=1)).version == 0


async def test_steps_lead_from_nothing_to_the_present_state_and_say_what_changed(world: World) -> None:
    rows = await world.shown(Wish.of(streams=(world.stream,), mode="step"))
    assert [row["after"] for row in rows[:-1]] == [row["before"] for row in rows[1:]]
    assert rows[-1]["after"] == (await rebuild(world.history, world.stream)).state
    (unknown,) = [row for row in rows if row["obstacle"]]
    assert unknown["changes"] == []
    fill = next(event for event in world.lives[0].events if isinstance(event, OrderFilled))
    of_order = await world.shown(Wish.of(streams=(), order_id=fill.order_id, mode="step"))
    filled = next(row for row in of_order if row["name"] == "order.filled.v2")
    assert f"orders/{fill.order_id}/cumulative_quantity" in {change["path"] for change in filled["changes"]}


async def test_what_is_recorded_later_is_shown_as_well_where_that_is_asked_for(world: World) -> None:
    out = io.StringIO()
    wish = Wish.of(streams=(), names=("order.*", "user.*"), mode="follow")
    feed = PostgresFeed(world.database.query)
    following = asyncio.create_task(run_replay(wish, world.history, feed, JsonPrinter(out)))

    def names() -> list[str]:
        return [json.loads(line)["name"] for line in out.getvalue().splitlines()]

    before = [event.name for event in await world.log() if event.name.startswith(("order.", "user."))]
    await eventually(lambda: names() == before)
    async with PostgresEventStore(world.database.writer) as store:
        life = Life(Random(9), 9).go_on(20)  # noqa: S311 - no secret
        await Scribe(store).write(f"account-{life.account_id}", life.events)
    later = [name_of(event) for event in life.events if name_of(event).startswith("order.")]
    assert later
    await eventually(lambda: names() == before + later)
    await end(following)


async def test_on_a_terminal_it_shows_how_far_the_log_was_read(world: World) -> None:
    told = io.StringIO()
    console = Console(file=told, width=200, force_terminal=True, force_interactive=True)
    rare = Wish.of(streams=(), names=("trade.dreamt.*",))
    await run_replay(rare, world.history, PostgresFeed(world.database.query), TablePrinter(console))
    assert f"read up to sequence {(await world.log())[-1].sequence}" in told.getvalue()
    assert told.getvalue().count("trade.dreamt.v7") == 1


async def test_on_a_terminal_each_step_waits_for_a_word(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["", "", "q"]
    monkeypatch.setattr("builtins.input", lambda _prompt="": words.pop(0))
    told = io.StringIO()
    console = Console(file=told, width=200, force_terminal=True, force_interactive=True, color_system=None)
    feed = PostgresFeed(world.database.query)
    await run_replay(Wish.of(streams=(world.stream,), mode="step"), world.history, feed, TablePrinter(console))
    assert words == []
    shown = [event.sequence for event in await world.log() if event.stream_id == world.stream]
    assert [sequence for sequence in shown if f"{sequence} · " in told.getvalue()] == shown[:3]


async def test_an_accounts_past_is_held_against_what_always_holds(world: World) -> None:
    wish = Wish.of(streams=(world.stream,), mode="invariants")
    [line] = await world.shown(wish)
    assert line == {"events": len(world.lives[0].events), "broken": 0}
    sent = next(event for event in world.lives[0].events if isinstance(event, OrderSubmitting))
    async with PostgresEventStore(world.database.writer) as store:
        await Scribe(store, versions={world.stream: len(world.lives[0].events) + 1}).write(world.stream, [sent])
    *found, counted = await world.shown(wish)
    assert [(each["invariant"], each["subject"]) for each in found] == [("sent_twice", sent.order_id)]
    assert found[0]["sequence"] == (await world.log())[-1].sequence
    assert counted["broken"] == 1
    told = io.StringIO()
    printer = TablePrinter(Console(file=told, width=300))
    assert not await run_replay(wish, world.history, PostgresFeed(world.database.query), printer)
    assert f"sequence {found[0]['sequence']} · order.submitting.v1" in told.getvalue()


async def test_what_does_not_go_together_or_does_not_exist_is_said(world: World) -> None:
    for wish in (
        Wish.of(streams=("account-nobody",), mode="state"),
        Wish.of(streams=("uuid-1",), mode="state"),
        Wish.of(streams=(), trade_id="trd_none", mode="step"),
    ):
        with pytest.raises(OperatorProblem):
            await world.shown(wish)
    for problem in (
        {"streams": ("account-1", "user-1")},
        {"streams": (), "mode": "step"},
        {"streams": (), "mode": "invariants"},
        {"streams": (), "sequences": (1, None, 5)},
        {"streams": ("account-1",), "times": (None, None, "2026-11-20"), "sequences": (1, None, 5), "mode": "state"},
        {"streams": (), "times": ("yesterday", None, None)},
    ):
        with pytest.raises(OperatorProblem):
            Wish.of(**problem)  # type: ignore[arg-type]
    assert parse_time_us("2026-11-20T09:15:00") == parse_time_us("2026-11-20T03:45:00+00:00")
