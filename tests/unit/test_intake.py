"""A storm of intents is turned away before the log, and leaves one event that sums it up."""

import asyncio

import pytest

from commands.intake import IntakeLimit, IntentStorm
from commands.ports import StoreUnavailable
from domain.account.commands import RecordSuppressedIntents
from domain.account.events import IntentsSuppressed
from domain.ids import AccountId
from tests.support.desk import Desk, buy
from tests.support.eventually import eventually
from tests.support.specimens import ACCOUNT, NOW_NS, NS_PER_S

OTHER = AccountId("acc_other")


class SetClock:
    """Implements `commands.ports.Clock`: stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def wall_ns(self) -> int:
        return NOW_NS + self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns


class Recorded:
    def __init__(self) -> None:
        self.commands: list[tuple[AccountId, RecordSuppressedIntents]] = []
        self.is_away = False

    async def __call__(self, account_id: AccountId, command: RecordSuppressedIntents) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.commands.append((account_id, command))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def limit_of(clock: SetClock, recorded: Recorded, *, storm_s: float = 60.0) -> IntakeLimit:
    return IntakeLimit(clock=clock, per_second=5, record=recorded, storm_s=storm_s)


def admitted(intake: IntakeLimit, count: int, account_id: AccountId = ACCOUNT) -> int:
    taken = 0
    for _ in range(count):
        try:
            intake.admit(account_id)
        except IntentStorm:
            continue
        taken += 1
    return taken


async def test_two_seconds_worth_are_taken_at_once_and_then_as_many_as_flow_in(
    clock: SetClock, recorded: Recorded
) -> None:
    intake = limit_of(clock, recorded)
    assert admitted(intake, 30) == 10
    clock.now_ns += NS_PER_S
    assert admitted(intake, 30) == 5
    clock.now_ns += 3600 * NS_PER_S
    assert admitted(intake, 30) == 10
    await intake.close()


async def test_one_account_in_a_storm_keeps_no_other_one_out(clock: SetClock, recorded: Recorded) -> None:
    intake = limit_of(clock, recorded)
    admitted(intake, 100)
    assert admitted(intake, 5, OTHER) == 5
    await intake.close()
    assert [account_id for account_id, _ in recorded.commands] == [ACCOUNT]


async def test_a_storm_leaves_one_event_when_its_window_is_over(clock: SetClock, recorded: Recorded) -> None:
    intake = limit_of(clock, recorded, storm_s=0.02)
    admitted(intake, 1_000)
    clock.now_ns += NS_PER_S // 10
    assert recorded.commands == []
    await eventually(lambda: bool(recorded.commands))
    expected = RecordSuppressedIntents(count=990, since_ns=NOW_NS, until_ns=NOW_NS + NS_PER_S // 10)
    assert recorded.commands == [(ACCOUNT, expected)]
    admitted(intake, 3)
    await eventually(lambda: len(recorded.commands) == 2)
    assert recorded.commands[1][1].count == 3
    await intake.close()


async def test_what_is_still_to_be_said_is_said_at_the_end(clock: SetClock, recorded: Recorded) -> None:
    intake = limit_of(clock, recorded)
    admitted(intake, 12)
    await asyncio.wait_for(intake.close(), 1.0)
    assert [command.count for _, command in recorded.commands] == [2]


async def test_a_log_that_is_away_costs_the_sum_and_nothing_else(clock: SetClock, recorded: Recorded) -> None:
    recorded.is_away = True
    intake = limit_of(clock, recorded)
    admitted(intake, 12)
    await intake.close()
    assert recorded.commands == []


async def test_intents_beyond_the_limit_do_not_come_to_the_log() -> None:
    desk = Desk()
    desk.clock.step_ns = 0
    await desk.open_account()
    turned_away = 0
    for _ in range(210):
        try:
            await desk.open_trade(buy)
        except IntentStorm:
            turned_away += 1
    assert turned_away == 10
    stored = len(desk.events())
    await desk.accounts.close()
    (summary,) = desk.events()[stored:]
    assert isinstance(summary, IntentsSuppressed)
    assert summary.count == 10
