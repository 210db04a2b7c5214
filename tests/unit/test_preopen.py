"""Before the market opens: what is looked at, when, and what of it is recorded."""

from dataclasses import dataclass, field
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from commands.ports import BrokerUnavailable, VenueStanding
from commands.preopen import PreopenChecks, PreopenSettings
from domain.account import Account, decider
from domain.account.commands import OpenAccount, RecordPreopenCheck
from domain.account.events import AccountMode, PreopenChecked, ProtectionFailed, ProtectionLapsed, ProtectionMode
from domain.account.preopen import books_point, stops_point
from domain.ids import AccountId
from domain.market import NS_PER_S, trading_day
from domain.preopen import PointStanding, PreopenPoint
from infra.cli.preopen import lines_of
from tests.support.desk import Desk
from tests.support.scenario import scenario
from tests.support.specimens import (
    ACCOUNT,
    DAY_NS,
    ENTRY,
    NOW_NS,
    STOP,
    TRADE,
    account_opened,
    difference_found,
    exiting,
    held,
    order_acknowledged,
    order_filled,
    order_submitting,
    preopen_checked,
    stop_intended,
    trade_opened,
)

MINUTE_NS = 60 * NS_PER_S
EARLY_NS = NOW_NS - 76 * MINUTE_NS
"""08:44 in India: specimens are of ten o'clock."""
DUE_NS = NOW_NS - 75 * MINUTE_NS
CLOSES_NS = NOW_NS + 330 * MINUTE_NS
FINE = VenueStanding(token_ends_at_ns=NOW_NS + DAY_NS, token_trouble="", available_paise=412_000_00)
given = scenario(decider).given


@dataclass
class Told:
    """What the broker says. Implements `commands.ports.Readiness`."""

    said: VenueStanding | None = FINE
    is_registered: bool | None = True
    asked: list[AccountId] = field(default_factory=list)

    async def standing(self, account_id: AccountId) -> VenueStanding:
        self.asked.append(account_id)
        if self.said is None:
            raise BrokerUnavailable("no answer in time")
        return self.said

    async def is_address_registered(self, account_id: AccountId) -> bool | None:  # noqa: ARG002 - the port's shape
        return self.is_registered


@dataclass
class SetDays:
    """Implements `commands.ports.TradingDays` and `MasterDay`."""

    closes: int | None = CLOSES_NS
    of: str | None = None

    def closes_at_ns(self, market_time_ns: int) -> int | None:  # noqa: ARG002 - the port's shape
        return self.closes

    def day(self) -> str | None:
        return self.of


@dataclass
class Morning:
    """A desk before the market opens."""

    desk: Desk = field(default_factory=Desk)
    told: Told = field(default_factory=Told)
    days: SetDays = field(default_factory=SetDays)

    def checks(self) -> PreopenChecks:
        return PreopenChecks(
            accounts=self.desk.another_process(),
            readiness=self.told,
            days=self.days,
            master=self.days,
            marks=self.desk.marks,
            clock=self.desk.clock,
            at_work=lambda: {ACCOUNT},
            settings=PreopenSettings(),
        )

    async def standings(self) -> dict[PreopenPoint, PointStanding]:
        return {each.point: each.standing for each in await self.checks().check(ACCOUNT)}


@pytest.fixture
async def morning() -> Morning:
    morning = Morning()
    await morning.desk.open_account()
    morning.desk.marks.now_ns = DUE_NS
    return morning


# --- When -------------------------------------------------------------------------------------------------------------


async def test_it_is_looked_once_from_a_quarter_to_nine_on(morning: Morning) -> None:
    checks = morning.checks()
    morning.desk.marks.now_ns = EARLY_NS
    assert await checks.look_if_due() == 0
    morning.desk.marks.now_ns = DUE_NS
    assert await checks.look_if_due() == 1
    assert await checks.look_if_due() == 0
    [recorded] = morning.desk.events_of(PreopenChecked)
    assert (recorded.trading_day, recorded.number) == (trading_day(DUE_NS).isoformat(), 1)
    morning.desk.marks.now_ns = DUE_NS + DAY_NS
    morning.days.closes = CLOSES_NS + DAY_NS
    assert await checks.look_if_due() == 1
    assert len(morning.desk.events_of(PreopenChecked)) == 2


async def test_nothing_is_looked_at_on_a_day_without_trading_or_after_the_close(morning: Morning) -> None:
    morning.days.closes = None
    assert await morning.checks().look_if_due() == 0
    morning.days.closes = DUE_NS
    assert await morning.checks().look_if_due() == 0
    assert morning.told.asked == []


async def test_what_fails_is_looked_at_again_and_recorded_when_other_points_fail(morning: Morning) -> None:
    morning.told.said = but(FINE, available_paise=0)
    checks = morning.checks()
    await checks.look_if_due()
    assert checks.status() == {"looked_at": 1, "failing": [ACCOUNT]}
    assert await checks.look_if_due() == 0, "not at once"
    morning.desk.clock.tick_ns += 5 * MINUTE_NS
    assert await checks.look_if_due() == 1
    assert len(morning.desk.events_of(PreopenChecked)) == 1, "nothing has changed"
    morning.told.said = FINE
    morning.desk.clock.tick_ns += 5 * MINUTE_NS
    assert await checks.look_if_due() == 1
    first, second = morning.desk.events_of(PreopenChecked)
    assert (first.number, second.number) == (1, 2)
    assert checks.status()["failing"] == []


async def test_a_process_that_starts_anew_records_the_same_check_no_second_time(morning: Morning) -> None:
    await morning.checks().look_if_due()
    await morning.checks().look_if_due()
    assert len(morning.desk.events_of(PreopenChecked)) == 1


# --- What -------------------------------------------------------------------------------------------------------------


async def test_a_paper_account_that_has_what_it_needs_is_ready(morning: Morning) -> None:
    assert await morning.standings() == {
        PreopenPoint.TOKEN: PointStanding.OK,
        PreopenPoint.FUNDS: PointStanding.OK,
        PreopenPoint.ADDRESS: PointStanding.NOT_APPLICABLE,
        PreopenPoint.INSTRUMENTS: PointStanding.NOT_APPLICABLE,
        PreopenPoint.BOOKS: PointStanding.OK,
        PreopenPoint.STOPS: PointStanding.NOT_APPLICABLE,
    }


async def test_a_broker_that_does_not_tell_is_a_failing_point_with_a_remedy(morning: Morning) -> None:
    morning.told.said = None
    points = {each.point: each for each in await morning.checks().check(ACCOUNT)}
    for point in (PreopenPoint.TOKEN, PreopenPoint.FUNDS):
        assert points[point].standing is PointStanding.FAILING
        assert "no answer in time" in points[point].detail
        assert points[point].remedy


@pytest.mark.parametrize(
    ("said", "standing"),
    [
        (but(FINE, token_ends_at_ns=CLOSES_NS), PointStanding.OK),
        (but(FINE, token_ends_at_ns=CLOSES_NS - 1), PointStanding.OK),
        (but(FINE, token_ends_at_ns=CLOSES_NS - 1, token_trouble="wrong pin"), PointStanding.FAILING),
    ],
    ids=["to the close", "renewed before it", "not renewed"],
)
async def test_the_token_has_to_last_to_the_close(
    morning: Morning, said: VenueStanding, standing: PointStanding
) -> None:
    morning.told.said = said
    assert (await morning.standings())[PreopenPoint.TOKEN] is standing


@pytest.mark.parametrize(("of", "standing"), [(-1, PointStanding.FAILING), (0, PointStanding.OK)])
async def test_the_instrument_master_has_to_be_of_today(morning: Morning, of: int, standing: PointStanding) -> None:
    morning.days.of = trading_day(DUE_NS + of * DAY_NS).isoformat()
    assert (await morning.standings())[PreopenPoint.INSTRUMENTS] is standing


@pytest.mark.parametrize(
    ("registered", "standing"),
    [(True, PointStanding.OK), (False, PointStanding.FAILING), (None, PointStanding.FAILING)],
)
async def test_a_live_account_needs_this_machines_address(registered: bool | None, standing: PointStanding) -> None:  # noqa: FBT001
    morning = Morning()
    opening = OpenAccount(
        account_id=ACCOUNT,
        owner_id=account_opened.owner_id,
        mode=AccountMode.LIVE,
        currency="INR",
        parameters=account_opened.parameters,
    )
    await morning.desk.do(opening)
    morning.told.is_registered = registered
    assert (await morning.standings())[PreopenPoint.ADDRESS] is standing


# --- The stops of what was carried ------------------------------------------------------------------------------------

resting_stop = (
    stop_intended,
    replace(order_submitting, order_id=STOP),
    replace(order_acknowledged, order_id=STOP),
)
carried = (
    account_opened,
    replace(trade_opened, protection=ProtectionMode.RESTING),
    *exiting[2:3],
    order_submitting,
    order_acknowledged,
    order_filled,
)
lapsed = ProtectionLapsed(trade_id=TRADE, order_id=STOP)
failed = ProtectionFailed(trade_id=TRADE, order_id=None, reason="the venue would not have it")


def standing_of(state: Account) -> PointStanding:
    return stops_point(state).standing


def test_a_carried_trade_wants_its_stop_or_gets_it_with_the_opening() -> None:
    assert standing_of(decider.fold((account_opened,))) is PointStanding.NOT_APPLICABLE
    assert standing_of(decider.fold(held)) is PointStanding.OK, "the engine watches it"
    assert standing_of(decider.fold(carried)) is PointStanding.FAILING
    assert standing_of(decider.fold((*carried, *resting_stop))) is PointStanding.OK
    assert standing_of(decider.fold((*carried, lapsed))) is PointStanding.OK
    assert standing_of(decider.fold((*carried, *resting_stop, failed))) is PointStanding.FAILING
    bare = replace(trade_opened, protection=ProtectionMode.RESTING, stop_loss_e4=None)
    point = stops_point(decider.fold((account_opened, bare, *carried[2:])))
    assert (point.standing, "1 of them without a stop" in point.detail) == (PointStanding.OK, True)
    named = stops_point(decider.fold(carried))
    assert TRADE in named.detail
    assert named.remedy
    assert ENTRY.startswith(TRADE)


def test_a_difference_that_holds_entries_is_a_failing_point() -> None:
    open_one = replace(difference_found, gates=False)
    assert books_point(decider.fold((account_opened, open_one))).standing is PointStanding.OK
    point = books_point(decider.fold((account_opened, replace(open_one, gates=True))))
    assert (point.standing, open_one.ours in point.detail) == (PointStanding.FAILING, True)


def test_each_point_is_a_line_and_what_fails_has_its_remedy_below() -> None:
    assert lines_of({}) == ["No account is at work: name one."]
    account, fine, failing, remedy = lines_of({ACCOUNT: list(preopen_checked.points)})
    assert (account, fine.split()[:2], failing.split()[:2]) == (ACCOUNT, ["ok", "token"], ["failing", "funds"])
    assert remedy.strip() == preopen_checked.points[1].remedy


# --- What is recorded -------------------------------------------------------------------------------------------------

record = RecordPreopenCheck(trading_day=preopen_checked.trading_day, points=preopen_checked.points)


def test_the_first_check_of_a_day_is_recorded_and_then_what_fails_otherwise() -> None:
    given(account_opened).when(record).then(preopen_checked)
    once = given(account_opened, preopen_checked)
    once.when(record).then_nothing()
    fine = tuple(replace(each, standing=PointStanding.OK) for each in record.points)
    once.when(replace(record, points=fine)).then(replace(preopen_checked, number=2, points=fine))
    tomorrow = replace(record, trading_day="2099-01-01")
    once.when(tomorrow).then(replace(preopen_checked, trading_day="2099-01-01"))
    given().when(record).then_nothing()
