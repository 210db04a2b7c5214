"""A lane: many commands on one account at once, and two processes on one account, without ever passing a limit."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from adapters.memory.event_store import MemoryEventStore
from commands.lane import ATTEMPTS_MAX, AccountBusy, Decided, Lane, Request
from commands.ports import (
    Append,
    Appended,
    AppendOutcomeUnknown,
    KeyReused,
    NewEvent,
    StoreUnavailable,
    StreamAppend,
    VersionConflict,
)
from domain.account import Account, decider
from domain.account.commands import AccountCommand
from domain.account.events import (
    AccountEvent,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderDenied,
    OrderIntended,
    TradeOpened,
)
from domain.account.refusals import AccountNotFound
from domain.envelope import is_intact
from domain.events import EventUnknown, decode, encode, name_of
from domain.ids import TradeId
from tests.support.eventually import eventually
from tests.support.specimens import (
    STRANGER,
    account_opened,
    engage,
    kill_switch_engaged,
    open_account,
    open_trade,
    release,
    set_limits,
    wide_limits,
)

STREAM = "account-acc_1"
AccountLane = Lane[AccountCommand, Account, AccountEvent]
numbers = iter(range(1_000_000))


class SlowStore(MemoryEventStore):
    """A log whose answers the test lets through one by one, in the order of the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.held: deque[asyncio.Event] | None = None

    async def append(self, append: Append) -> Appended:
        if self.held is not None:
            gate = asyncio.Event()
            self.held.append(gate)
            await gate.wait()
        return await super().append(append)

    def hold(self) -> None:
        self.held = deque()

    async def let_through(self, count: int) -> None:
        assert self.held is not None
        for _ in range(count):
            await self.until_held(1)
            self.held.popleft().set()

    async def until_held(self, count: int) -> None:
        await eventually(lambda: len(self.held or ()) >= count)

    def flow(self) -> None:
        gates, self.held = self.held or deque(), None
        for gate in gates:
            gate.set()


def request(key: str | None = None, body: bytes = b"body") -> Request:
    return Request(
        command_id=f"cmd_{next(numbers)}",
        metadata=b"{}",
        scope="" if key is None else "acc_1",
        key=key,
        request_hash=body,
    )


def lane_on(store: MemoryEventStore) -> AccountLane:
    return Lane(STREAM, decider, store)


async def ask(lane: AccountLane, command: AccountCommand, asked: Request | None = None) -> Decided[AccountEvent]:
    async def command_on(_: Account) -> AccountCommand:
        return command

    return await lane.execute(command_on, asked or request())


def intents(count: int, *, first: int = 0) -> list[AccountCommand]:
    return [replace(open_trade, trade_id=TradeId(f"trd_{number}")) for number in range(first, first + count)]


def stored(store: MemoryEventStore) -> list[AccountEvent]:
    return [decode(event.name, event.payload) for event in store.events if event.stream_id == STREAM]  # type: ignore[misc]


def kinds(decided: Decided[AccountEvent]) -> list[type[AccountEvent]]:
    return [type(event) for event in decided.events]


async def appended_elsewhere(store: MemoryEventStore, *events: AccountEvent) -> None:
    """Append what another process decided."""
    await appended_raw(store, *(NewEvent(name=name_of(event), payload=encode(event)) for event in events))


async def appended_raw(store: MemoryEventStore, *new: NewEvent) -> None:
    version = sum(event.stream_id == STREAM for event in store.events)
    part = StreamAppend(stream_id=STREAM, expected_version=version, events=new)
    await MemoryEventStore.append(store, Append(command_id=f"cmd_{next(numbers)}", streams=(part,), metadata=b"{}"))


async def opened(store: MemoryEventStore, **changed: int) -> AccountLane:
    lane = lane_on(store)
    await ask(lane, replace(open_account, parameters=replace(wide_limits, **changed)))
    return lane


@pytest.fixture
def store() -> SlowStore:
    return SlowStore()


async def test_what_is_answered_lies_in_the_log(store: SlowStore) -> None:
    lane = await opened(store)
    decided = await ask(lane, open_trade)
    assert kinds(decided) == [TradeOpened, OrderIntended]
    assert (decided.appended.first_sequence, decided.appended.last_sequence) == (2, 3)
    assert stored(store)[1:] == list(decided.events)


async def test_a_hundred_commands_at_once_never_pass_a_limit(store: SlowStore) -> None:
    lane = await opened(store, open_trades_max=37)
    decided = await asyncio.gather(*(ask(lane, intent) for intent in intents(100)))
    assert sum(kinds(each) == [TradeOpened, OrderIntended] for each in decided) == 37
    assert sum(kinds(each) == [OrderDenied] for each in decided) == 63
    assert store.appends == 101, "each was decided once and appended once"
    assert [event.version for event in store.events] == list(range(1, len(store.events) + 1))
    assert all(is_intact(event) for event in store.events)


async def test_commands_are_decided_one_upon_another_before_the_first_is_confirmed(store: SlowStore) -> None:
    lane = await opened(store, open_trades_max=1)
    store.hold()
    first, second = (asyncio.create_task(ask(lane, intent)) for intent in intents(2))
    await store.let_through(2)
    assert kinds(await first) == [TradeOpened, OrderIntended]
    assert kinds(await second) == [OrderDenied]


async def test_two_processes_racing_through_one_limit_never_pass_it(store: SlowStore) -> None:
    lanes = [await opened(store, open_trades_max=10), lane_on(store)]

    async def until_answered(lane: AccountLane, command: AccountCommand) -> Decided[AccountEvent]:
        while True:
            try:
                return await ask(lane, command)
            except AccountBusy:
                continue

    work = [until_answered(lanes[number % 2], intent) for number, intent in enumerate(intents(60))]
    decided = await asyncio.gather(*work)
    assert sum(TradeOpened in kinds(each) for each in decided) == 10
    assert sum(isinstance(event, TradeOpened) for event in stored(store)) == 10
    assert sum(isinstance(event, OrderDenied) for event in stored(store)) == 50
    assert decider.fold(stored(store)) == await lane_on(store).state()


async def test_a_conflict_in_the_middle_decides_again_what_was_decided_upon_it(store: SlowStore) -> None:
    lane = await opened(store)
    store.hold()
    tasks = [asyncio.create_task(ask(lane, intent)) for intent in intents(6)]
    await store.let_through(3)
    await tasks[2]
    await appended_elsewhere(store, kill_switch_engaged)
    store.flow()
    decided = await asyncio.gather(*tasks)
    assert [TradeOpened in kinds(each) for each in decided] == [True] * 3 + [False] * 3
    assert [each.events[0].code for each in decided[3:]] == ["KILL_SWITCH_ENGAGED"] * 3  # type: ignore[union-attr]
    assert await lane.state() == decider.fold(stored(store))


async def test_a_version_alone_does_not_tell_whose_event_is_there(store: SlowStore) -> None:
    """The accident that `expected_leaf` is there for.

    A releases the kill switch, B opens a trade on the state in which it is released; then A's append fails, and
    another process' event takes the very version that A's would have had. B's version fits, its decision does not.
    """
    lane = await opened(store)
    await ask(lane, engage)
    store.hold()
    a = asyncio.create_task(ask(lane, release))
    b = asyncio.create_task(ask(lane, open_trade))
    await store.until_held(2)
    await appended_elsewhere(store, replace(kill_switch_engaged, reason="somebody else's word"))
    a.cancel()
    assert store.held
    store.held.popleft()
    store.held.popleft().set()
    store.flow()
    decided = await b
    assert kinds(decided) == [OrderDenied]
    assert KillSwitchReleased not in [type(event) for event in stored(store)]


async def test_a_remark_of_a_later_release_is_passed_over_and_counts_as_a_version(store: SlowStore) -> None:
    lane = await opened(store)
    await appended_raw(store, NewEvent(name="account.annotated.v1.ignorable", payload=b"a remark"))
    assert kinds(await ask(lane, engage)) == [KillSwitchEngaged]
    await appended_raw(store, NewEvent(name="account.annotated.v1.ignorable", payload=b"another"))
    lane.observe(store.events[-1])
    assert kinds(await ask(lane_on(store), release)) == [KillSwitchReleased]
    assert [event.version for event in store.events] == list(range(1, len(store.events) + 1))


async def test_an_event_of_a_later_release_stops_the_lane(store: SlowStore) -> None:
    lane = await opened(store)
    await appended_raw(store, NewEvent(name="account.frozen.v1", payload=b"{}"))
    with pytest.raises(EventUnknown, match=r"account\.frozen\.v1"):
        await ask(lane, engage)


async def test_an_append_that_failed_takes_with_it_what_was_decided_upon_it(store: SlowStore) -> None:
    lane = await opened(store)
    await ask(lane, engage)
    store.hold()
    a = asyncio.create_task(ask(lane, release))
    b = asyncio.create_task(ask(lane, open_trade))
    store.fail_next(StoreUnavailable("the log is away"))
    store.flow()
    with pytest.raises(StoreUnavailable):
        await a
    assert kinds(await b) == [OrderDenied]


async def test_what_was_stored_although_the_answer_was_lost_is_found_again(store: SlowStore) -> None:
    lane = await opened(store)
    store.fail_next(AppendOutcomeUnknown("the line went dead"), is_stored=True)
    with pytest.raises(AppendOutcomeUnknown):
        await ask(lane, engage, request("k-1"))
    again = await ask(lane, engage, request("k-1"))
    assert again.appended.repeated
    assert kinds(again) == [KillSwitchEngaged]
    assert (await lane.state()).kill_switch_engaged


async def test_a_repeated_key_gives_the_first_outcome_again(store: SlowStore) -> None:
    lane = await opened(store)
    first = await ask(lane, open_trade, request("k-1"))
    for process in (lane, lane_on(store)):
        again = await ask(process, replace(open_trade, trade_id=TradeId("trd_made_anew")), request("k-1"))
        assert again.events == first.events
        assert again.appended == Appended(
            first_sequence=first.appended.first_sequence, last_sequence=first.appended.last_sequence, repeated=True
        )
    assert len(stored(store)) == 3


async def test_a_repeated_key_gives_the_first_outcome_although_it_would_be_refused_now(store: SlowStore) -> None:
    lane = await opened(store)
    first = await ask(lane, open_trade, request("k-1"))
    refused_now = replace(open_trade, user_id=STRANGER)
    with pytest.raises(AccountNotFound):
        await ask(lane, refused_now, request("k-2"))
    again = await ask(lane, refused_now, request("k-1"))
    assert again.events == first.events


async def test_a_repeated_key_gives_the_first_outcome_although_nothing_would_happen_now(store: SlowStore) -> None:
    lane = await opened(store)
    first = await ask(lane, engage, request("k-1"))
    again = await ask(lane, engage, request("k-1"))
    assert again.events == first.events


async def test_the_same_key_twice_at_once_is_carried_out_once(store: SlowStore) -> None:
    lane = await opened(store)
    twins = [replace(open_trade, trade_id=TradeId(f"trd_twin_{number}")) for number in range(2)]
    others = intents(3)
    work = [ask(lane, twins[0], request("k-1")), ask(lane, twins[1], request("k-1"))]
    first, second, *rest = await asyncio.gather(*work, *(ask(lane, other) for other in others))
    assert first.events == second.events
    assert (first.appended.repeated, second.appended.repeated) == (False, True)
    assert all(TradeOpened in kinds(each) for each in rest)
    assert sum(isinstance(event, TradeOpened) for event in stored(store)) == 4


async def test_a_key_of_another_request_is_refused(store: SlowStore) -> None:
    lane = await opened(store)
    await ask(lane, open_trade, request("k-1", b"one body"))
    with pytest.raises(KeyReused):
        await ask(lane, open_trade, request("k-1", b"another body"))
    assert kinds(await ask(lane, replace(open_trade, trade_id=TradeId("trd_next")))) == [TradeOpened, OrderIntended]


async def test_a_refused_command_leaves_its_key_free(store: SlowStore) -> None:
    lane = await opened(store)
    with pytest.raises(AccountNotFound):
        await ask(lane, replace(open_trade, user_id=STRANGER), request("k-1"))
    assert kinds(await ask(lane, open_trade, request("k-1"))) == [TradeOpened, OrderIntended]


async def test_a_decision_without_events_is_answered_for_the_head_of_the_stream(store: SlowStore) -> None:
    """Another process engaged the kill switch: that it is released already is no longer true."""
    lane = await opened(store)
    await appended_elsewhere(store, kill_switch_engaged)
    assert kinds(await ask(lane, release)) == [KillSwitchReleased]
    assert kinds(await ask(lane, release)) == []


async def test_a_refusal_is_answered_for_the_head_of_the_stream(store: SlowStore) -> None:
    lane = lane_on(store)
    with pytest.raises(AccountNotFound):
        await ask(lane, set_limits)
    await appended_elsewhere(store, account_opened)
    assert len((await ask(lane, set_limits)).events) == 1


async def test_a_command_is_made_anew_for_every_attempt(store: SlowStore) -> None:
    lane = await opened(store)
    seen: list[bool] = []

    async def command_on(account: Account) -> AccountCommand:
        seen.append(account.kill_switch_engaged)
        return open_trade

    await appended_elsewhere(store, kill_switch_engaged)
    await lane.execute(command_on, request())
    assert seen == [False, True]


async def test_a_decision_is_made_on_the_state_that_its_market_was_taken_for(store: SlowStore) -> None:
    """Marks are taken for what is open: what was opened meanwhile has none in them."""
    lane = await opened(store)
    is_asked, may_answer = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def slowly(account: Account) -> AccountCommand:
        seen.append(len(account.trades))
        is_asked.set()
        await may_answer.wait()
        return replace(open_trade, trade_id=TradeId("trd_slow"))

    slow = asyncio.create_task(lane.execute(slowly, request()))
    await is_asked.wait()
    await ask(lane, open_trade)
    may_answer.set()
    assert kinds(await slow) == [TradeOpened, OrderIntended]
    assert seen == [0, 1]


async def test_a_stream_that_changes_under_every_attempt_makes_busy() -> None:
    class Contended(MemoryEventStore):
        async def append(self, append: Append) -> Appended:
            self.appends += 1
            assert append.streams
            raise VersionConflict("somebody was faster")

    store = Contended()
    with pytest.raises(AccountBusy):
        await ask(lane_on(store), open_account)
    assert store.appends == ATTEMPTS_MAX


async def test_a_caller_that_goes_away_leaves_the_lane_in_order(store: SlowStore) -> None:
    lane = await opened(store)
    store.hold()
    gone = asyncio.create_task(ask(lane, engage))
    waiting = asyncio.create_task(ask(lane, open_trade))
    await store.until_held(2)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    store.flow()
    assert kinds(await waiting) == [TradeOpened, OrderIntended]
    assert await lane.state() == decider.fold(stored(store))
    assert lane.in_flight == 0


async def test_a_log_that_is_away_is_said_so_and_forgotten_when_it_is_back(store: SlowStore) -> None:
    lane = await opened(store)
    store.fail_next(StoreUnavailable("the log is away"))
    with pytest.raises(StoreUnavailable):
        await ask(lane, engage)
    assert not (await lane.state()).kill_switch_engaged
    assert kinds(await ask(lane, open_trade)) == [TradeOpened, OrderIntended]


async def test_a_new_process_finds_the_state_that_the_last_one_left(store: SlowStore) -> None:
    lane = await opened(store)
    await asyncio.gather(*(ask(lane, intent) for intent in intents(5)))
    assert await lane_on(store).state() == await lane.state()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_meets_in_a_lane_the_log_is_a_history_that_the_decider_would_write(seed: int) -> None:
    """Two processes, keys that repeat, switches, refusals, faults: each stored event follows from those before it."""
    store = SlowStore()
    lanes = [await opened(store, open_trades_max=8), lane_on(store)]
    commands: list[Callable[[], tuple[AccountCommand, Request]]] = []
    for number in range(40):
        kind = (number * 7 + seed) % 5
        if kind == 0:
            commands.append(lambda: (engage, request()))
        elif kind == 1:
            commands.append(lambda: (release, request()))
        elif kind == 2:
            commands.append(lambda: (replace(open_trade, user_id=STRANGER), request("k-same")))
        else:
            name = TradeId(f"trd_{number % 13}")
            commands.append(lambda name=name: (replace(open_trade, trade_id=name), request(f"k-{name}")))  # type: ignore[misc]

    async def one(number: int, make: Callable[[], tuple[AccountCommand, Request]]) -> object:
        command, asked = make()
        if number % 11 == seed:
            store.fail_next(AppendOutcomeUnknown("lost"), is_stored=number % 2 == 0)
        return await _any(ask(lanes[(number + seed) % 2], command, asked))

    await asyncio.gather(*(one(number, make) for number, make in enumerate(commands)))
    history = stored(store)
    opened_ids = [event.trade_id for event in history if isinstance(event, TradeOpened)]
    assert len(opened_ids) == len(set(opened_ids)) <= 8
    for place, event in enumerate(history):
        before = decider.fold(history[:place])
        if isinstance(event, TradeOpened):
            assert not before.kill_switch_engaged
        if isinstance(event, KillSwitchEngaged | KillSwitchReleased):
            assert before.kill_switch_engaged is isinstance(event, KillSwitchReleased)
    assert await lane_on(store).state() == decider.fold(history)


async def _any(work: Awaitable[object]) -> object:
    try:
        return await work
    except (AccountBusy, AccountNotFound, AppendOutcomeUnknown) as fault:
        return fault
