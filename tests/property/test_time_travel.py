"""Whatever an account lives through and whatever is stored of it, its past is what the log says."""

import asyncio
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.envelope import RecordedEvent
from domain.events import decode
from domain.market import trading_day
from projections.as_of import History
from projections.historical_marks import EventMarks
from projections.past import PORTFOLIO, PastAccounts
from projections.read_model import Key, fold
from projections.state_keeper import MODELS, StateKeeper
from projections.trades import TRADES, TradeStatus
from tests.support.happenings import Happenings
from tests.support.lives import Life
from tests.support.log_writing import recorded_log
from tests.support.memory_log import MemoryLog
from tests.support.memory_queries import MemoryQueries
from tests.support.memory_states import MemoryStates
from tests.support.past_answers import check_against_oracle
from tests.support.security import ManualClock

DAY_US = 86_400_000_000


class World:
    """A log of lives that took turns over several days, its tables in memory, and stored states.

    Every second life is one of happenings.
    """

    def __init__(self, random: Random, *, accounts: int = 2, commands: int = 60) -> None:
        self.random = random
        kinds = [Life, Happenings]
        self.lives = [kinds[number % 2](random, number).go_on(commands) for number in range(accounts)]
        turns = [(f"account-{life.account_id}", life.events) for life in self.lives]
        mixed = []
        places = [0] * accounts
        while any(place < len(events) for place, (_, events) in zip(places, turns, strict=True)):
            number = random.randrange(accounts)
            stream_id, events = turns[number]
            if places[number] < len(events):
                mixed.append((stream_id, events[places[number]]))
                places[number] += 1
        self.events = self._over_days(recorded_log(mixed))
        self.log = MemoryLog(self.events)
        self.queries = MemoryQueries(self.log)
        self.states = MemoryStates()
        self.states.head = len(self.events)
        pairs = [(decode(each.name, each.payload), each) for each in self.events]
        for model in MODELS:
            rows: dict[Key, Any] = {}
            fold(model, pairs, rows)
            self.states.tables[model] = rows

    def _over_days(self, events: list[RecordedEvent]) -> list[RecordedEvent]:
        late_us = 0
        moved = []
        for event in events:
            late_us += DAY_US if self.random.random() < 0.02 else 0
            moved.append(replace(event, recorded_at_us=event.recorded_at_us + late_us))
        return moved

    def keeper(self, events_max: int, clock: ManualClock | None = None) -> StateKeeper:
        return StateKeeper(log=self.log, states=self.states, clock=clock or ManualClock(), events_max=events_max)

    def history(self) -> History:
        # Nothing is remembered from question to question: what is stored may change between them.
        accounts = PastAccounts(states=self.states, log=self.log)
        return History(
            queries=self.queries,
            accounts=accounts,
            log=self.log,
            marks=EventMarks(accounts),
            clock=ManualClock(),
            is_tape=True,
        )

    def forget_some(self) -> None:
        """Delete stored states at random, of each read model others."""
        for states in self.states.states.values():
            for sequence in list(states):
                if self.random.random() < 0.4:
                    del states[sequence]

    async def check(self, sequence: int) -> None:
        """Hold the answers as of *sequence* against the oracle and against a fold of the whole log."""
        history = self.history()
        past = history.at(await history.moment_of(sequence))
        for life in self.lives:
            await check_against_oracle(past, life.account_id, self.events)
        pairs = [(decode(each.name, each.payload), each) for each in self.events[:sequence]]
        for kind in PORTFOLIO:
            folded: dict[Key, Any] = {}
            fold(kind.model, pairs, folded)
            found: dict[Key, Any] = {}
            for life in self.lives:
                mine = {key: row for key, row in folded.items() if row.account_id == life.account_id}
                births = None if kind.born is None else {key: kind.born(row) for key, row in mine.items()}
                then = PastAccounts(states=self.states, log=self.log).then(life.account_id, sequence)
                found |= await then.rows(kind, births)
            assert found == folded


# A seed says nothing by being small.
@settings(max_examples=6, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(min_value=0, max_value=10**6), events_max=st.integers(min_value=1, max_value=40))
def test_the_past_is_what_the_log_says_whatever_is_stored(seed: int, events_max: int) -> None:
    async def live() -> None:
        random = Random(seed)  # noqa: S311 - no secret
        world = World(random)
        places = [random.randint(1, len(world.events)) for _ in range(3)]
        for sequence in places:
            await world.check(sequence)  # Nothing is stored.
        await world.keeper(events_max).catch_up()
        for sequence in places:
            await world.check(sequence)
        world.forget_some()
        for sequence in places:
            await world.check(sequence)
        # Another keeper stores at other places, from whatever is left of each read model's states.
        world.states.kept_progress = 0
        await world.keeper(random.randint(1, 40)).catch_up()
        for sequence in places:
            await world.check(sequence)

    asyncio.run(live())


def test_a_row_that_was_over_and_changed_once_more_is_shown_as_it_was() -> None:
    """A late fill opens a closed trade again, and no stored state after the closing has the trade."""

    async def live(seed: int) -> int:
        world = World(Random(seed), accounts=1, commands=300)  # noqa: S311 - no secret
        await world.keeper(2).catch_up()
        over: set[str] = set()
        rows: dict[Key, Any] = {}
        reopened = []
        for recorded in world.events:
            fold(TRADES, [(decode(recorded.name, recorded.payload), recorded)], rows)
            closed = {row.trade_id for row in rows.values() if row.status is TradeStatus.CLOSED}
            if over - closed:
                reopened.append(recorded.sequence)
            over = closed
        for sequence in reopened[:2]:
            await world.check(sequence - 1)
            await world.check(sequence)
        return len(reopened)

    assert sum(asyncio.run(live(seed)) > 0 for seed in range(5)) > 1


def test_a_long_life_is_folded_from_near_and_every_day_ends_with_a_stored_state() -> None:
    async def live() -> None:
        world = World(Random(3), accounts=3, commands=400)  # noqa: S311 - no secret
        await world.keeper(20).catch_up()
        for life in world.lives:
            own = [each for each in world.events if each.stream_id == f"account-{life.account_id}"]
            stored = {
                state
                for (_, account), states in world.states.states.items()
                for state in states
                if account == life.account_id
            }
            last_of_day = {trading_day(each.recorded_at_us * 1_000): each.sequence for each in own}
            today = trading_day(world.events[-1].recorded_at_us * 1_000)
            assert {sequence for day, sequence in last_of_day.items() if day != today} <= stored
            for sequence in (len(world.events) // 2, len(world.events) - 1):
                before = world.log.span_events
                past = world.history().at(await world.history().moment_of(sequence))
                await past.portfolio(life.account_id)
                assert world.log.span_events - before < 20
        assert len(last_of_day) > 3

    asyncio.run(live())


def test_a_life_that_nothing_is_stored_of_is_folded_page_by_page() -> None:
    async def live() -> None:
        world = World(Random(5), accounts=1, commands=1_200)  # noqa: S311 - no secret
        assert len(world.events) > 600
        await world.check(len(world.events) - 7)

    asyncio.run(live())


def test_a_day_ends_by_the_clock_though_nothing_happens_any_more() -> None:
    async def live() -> None:
        world = World(Random(1), accounts=1, commands=40)  # noqa: S311 - no secret
        last = world.events[-1]
        clock = ManualClock(last.recorded_at_us * 1_000)
        keeper = world.keeper(1_000, clock)
        await keeper.catch_up()
        before = await world.states.versions([world.lives[0].account_id], MODELS)
        assert before[world.lives[0].account_id] < last.version
        clock.advance_s(86_400)
        await keeper.catch_up()
        assert await world.states.versions([world.lives[0].account_id], MODELS) == {
            world.lives[0].account_id: last.version
        }
        assert await world.states.progress(MODELS) == last.sequence

    asyncio.run(live())
