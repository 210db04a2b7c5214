"""Who the members of an account are, and what each role lets them do."""

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import (
    AccountCommand,
    CloseAll,
    MoveCash,
    ReleaseBreach,
    RemoveMember,
    SetMember,
)
from domain.account.events import MemberRemoved, MemberSet, Role
from domain.account.members import MEMBERS_MAX
from domain.account.refusals import (
    AccountNotFound,
    MemberNotFound,
    MembersTooMany,
    OpenerStays,
    RoleInsufficient,
)
from domain.ids import UserId
from domain.risk import BreachKind
from tests.support.scenario import scenario as scenario_of
from tests.support.specimens import (
    MEMBER,
    NOW_NS,
    OWNER,
    STRANGER,
    account_opened,
    close,
    engage,
    member_removed,
    member_set,
    open_trade,
    release,
    set_limits,
)

scenario = scenario_of(decider)
set_member = SetMember(user_id=OWNER, member_id=MEMBER, role=Role.TRADER)
remove_member = RemoveMember(user_id=OWNER, member_id=MEMBER)
TRADING: tuple[AccountCommand, ...] = (open_trade, close, CloseAll(user_id=OWNER), engage)
OWNING: tuple[AccountCommand, ...] = (
    release,
    set_limits,
    set_member,
    ReleaseBreach(user_id=OWNER, kind=BreachKind.DAY_LOSS, reason="a false tick"),
    MoveCash(user_id=OWNER, amount_paise=1, reason="found", market_time_ns=NOW_NS),
)


def as_role(role: Role) -> tuple[object, ...]:
    return account_opened, replace(member_set, role=role)


def test_an_owner_makes_a_member_and_gives_another_role() -> None:
    scenario.given(account_opened).when(set_member).then(member_set)
    viewer = replace(set_member, role=Role.VIEWER)
    scenario.given(account_opened, member_set).when(viewer).then(replace(member_set, role=Role.VIEWER))


def test_the_same_role_again_changes_nothing() -> None:
    scenario.given(account_opened, member_set).when(set_member).then_nothing()
    opener = SetMember(user_id=OWNER, member_id=OWNER, role=Role.OWNER)
    scenario.given(account_opened).when(opener).then_nothing()


def test_an_owner_lets_a_member_go_and_a_member_leaves() -> None:
    scenario.given(account_opened, member_set).when(remove_member).then(member_removed)
    leaving = replace(remove_member, user_id=MEMBER)
    scenario.given(*as_role(Role.VIEWER)).when(leaving).then(replace(member_removed, removed_by=MEMBER))


def test_who_opened_the_account_stays_its_owner() -> None:
    for command in (
        SetMember(user_id=OWNER, member_id=OWNER, role=Role.VIEWER),
        RemoveMember(user_id=OWNER, member_id=OWNER),
    ):
        scenario.given(account_opened).when(command).then_refused(OpenerStays)


def test_who_is_no_member_cannot_be_let_go() -> None:
    scenario.given(account_opened, member_set, member_removed).when(remove_member).then_refused(MemberNotFound)


def test_members_have_an_end_and_a_change_of_role_does_not_meet_it() -> None:
    many = [
        MemberSet(member_id=UserId(f"usr_{number}"), role=Role.VIEWER, set_by=OWNER)
        for number in range(MEMBERS_MAX - 1)
    ]
    scenario.given(account_opened, *many).when(set_member).then_refused(MembersTooMany)
    change = SetMember(user_id=OWNER, member_id=many[0].member_id, role=Role.TRADER)
    scenario.given(account_opened, *many).when(change).then_kinds(MemberSet)


@pytest.mark.parametrize("command", [*TRADING, *OWNING, remove_member], ids=lambda command: type(command).__name__)
def test_a_viewer_moves_nothing_and_a_stranger_sees_no_account(command: AccountCommand) -> None:
    asked = replace(command, user_id=MEMBER)
    if command is not remove_member:  # Everybody may leave.
        scenario.given(*as_role(Role.VIEWER)).when(asked).then_refused(RoleInsufficient)
    scenario.given(*as_role(Role.OWNER)).when(replace(command, user_id=STRANGER)).then_refused(AccountNotFound)
    scenario.given(*as_role(Role.OWNER), member_removed).when(asked).then_refused(AccountNotFound)


@pytest.mark.parametrize("command", OWNING, ids=lambda command: type(command).__name__)
def test_a_trader_does_not_do_what_an_owner_does(command: AccountCommand) -> None:
    scenario.given(*as_role(Role.TRADER)).when(replace(command, user_id=MEMBER)).then_refused(RoleInsufficient)


def test_a_trader_trades_and_stops_trading() -> None:
    for command in (open_trade, engage):
        decided = scenario.given(*as_role(Role.TRADER)).when(replace(command, user_id=MEMBER))
        assert decided.events


def test_who_comes_back_is_a_member_as_they_come() -> None:
    scenario.given(account_opened, member_set, member_removed).when(set_member).then(member_set)
    assert decider.fold([account_opened, member_set, MemberRemoved(member_id=MEMBER, removed_by=OWNER)]).members == {
        OWNER: Role.OWNER
    }
