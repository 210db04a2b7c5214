"""The table of an order's life: each of its arrows is produced by some commands, and by no others than it allows."""

from contextlib import suppress

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import AccountCommand
from domain.ids import VenueFillId
from domain.order import AT_VENUE, CLOSED, FINAL, IN_DOUBT, LIVE, NEXT, OrderStatus, Purpose, Side, may_follow
from domain.refusals import Refusal
from tests.support.life_cycle import FollowedOrders, Step
from tests.support.scenario import scenario
from tests.support.specimens import (
    ENTRY_LIFE_NS,
    NOW_NS,
    accepted,
    account_opened,
    begin,
    canceled_by_venue,
    doubt_order,
    end_of_day,
    engage,
    expired_at_venue,
    fill,
    not_sent,
    open_trade,
    presume_absent,
    refused,
    rejected_by_venue,
    resolve_absent,
    resolve_at_broker,
    unknown,
)

S = OrderStatus
part = replace(fill, quantity=40)
more = replace(fill, quantity=30, venue_fill_id=VenueFillId("f-8"))
rest = replace(fill, quantity=60, venue_fill_id=VenueFillId("f-9"))
lapse = replace(begin, market_time_ns=NOW_NS + ENTRY_LIFE_NS + 1)
missing = (begin, unknown, presume_absent)
absent = (begin, unknown, resolve_absent)

ARROWS: dict[Step, tuple[AccountCommand, ...]] = {
    (S.INTENDED, S.SUBMITTING): (begin,),
    (S.INTENDED, S.LAPSED): (lapse,),
    (S.INTENDED, S.BLOCKED): (engage,),
    (S.INTENDED, S.PARTLY_FILLED): (begin, not_sent, part),
    (S.INTENDED, S.FILLED): (begin, not_sent, fill),
    (S.SUBMITTING, S.INTENDED): (begin, not_sent),
    (S.SUBMITTING, S.UNKNOWN): (begin, unknown),
    (S.SUBMITTING, S.ACKNOWLEDGED): (begin, accepted),
    (S.SUBMITTING, S.REJECTED): (begin, refused),
    (S.SUBMITTING, S.PARTLY_FILLED): (begin, part),
    (S.SUBMITTING, S.FILLED): (begin, fill),
    (S.UNKNOWN, S.ACKNOWLEDGED): (begin, unknown, accepted),
    (S.UNKNOWN, S.REJECTED): (begin, unknown, rejected_by_venue),
    (S.UNKNOWN, S.PARTLY_FILLED): (begin, unknown, part),
    (S.UNKNOWN, S.FILLED): (begin, unknown, fill),
    (S.UNKNOWN, S.PRESUMED_ABSENT): missing,
    (S.UNKNOWN, S.EXPIRED): (begin, unknown, end_of_day),
    (S.PRESUMED_ABSENT, S.ACKNOWLEDGED): (*missing, accepted),
    (S.PRESUMED_ABSENT, S.REJECTED): (*missing, rejected_by_venue),
    (S.PRESUMED_ABSENT, S.PARTLY_FILLED): (*missing, part),
    (S.PRESUMED_ABSENT, S.FILLED): (*missing, fill),
    (S.PRESUMED_ABSENT, S.EXPIRED): (*missing, end_of_day),
    (S.UNKNOWN, S.ABSENT): absent,
    (S.PRESUMED_ABSENT, S.ABSENT): (*missing, resolve_absent),
    (S.ABSENT, S.ACKNOWLEDGED): (*absent, accepted),
    (S.ABSENT, S.REJECTED): (*absent, rejected_by_venue),
    (S.ABSENT, S.PARTLY_FILLED): (*absent, part),
    (S.ABSENT, S.FILLED): (*absent, fill),
    (S.ACKNOWLEDGED, S.UNKNOWN): (begin, unknown, resolve_at_broker, doubt_order),
    (S.ACKNOWLEDGED, S.PARTLY_FILLED): (begin, accepted, part),
    (S.ACKNOWLEDGED, S.FILLED): (begin, accepted, fill),
    (S.ACKNOWLEDGED, S.CANCELED): (begin, accepted, canceled_by_venue),
    (S.ACKNOWLEDGED, S.EXPIRED): (begin, accepted, expired_at_venue),
    (S.ACKNOWLEDGED, S.REJECTED): (begin, accepted, rejected_by_venue),
    (S.PARTLY_FILLED, S.PARTLY_FILLED): (begin, accepted, part, more),
    (S.PARTLY_FILLED, S.FILLED): (begin, accepted, part, rest),
    (S.PARTLY_FILLED, S.CANCELED): (begin, accepted, part, canceled_by_venue),
    (S.PARTLY_FILLED, S.EXPIRED): (begin, accepted, part, expired_at_venue),
    (S.PARTLY_FILLED, S.REJECTED): (begin, accepted, part, rejected_by_venue),
    (S.CANCELED, S.FILLED): (begin, accepted, canceled_by_venue, fill),
    (S.EXPIRED, S.FILLED): (begin, accepted, expired_at_venue, fill),
    (S.REJECTED, S.FILLED): (begin, refused, fill),
    (S.LAPSED, S.FILLED): (lapse, fill),
    (S.BLOCKED, S.FILLED): (engage, fill),
}

BY_WAY_OF_ACKNOWLEDGED = {
    *((status, S.CANCELED) for status in (S.SUBMITTING, S.UNKNOWN, S.PRESUMED_ABSENT, S.ABSENT)),
    *((status, S.EXPIRED) for status in (S.SUBMITTING, S.ABSENT)),
}
"""Arrows that the decider splits: who is found canceled was acknowledged first, so that the venue's id is kept."""


def steps_of(commands: tuple[AccountCommand, ...]) -> set[Step]:
    """Return the steps that orders take; a command that is refused takes none."""
    given = scenario(decider).given(account_opened).after(open_trade)
    for command in commands:
        with suppress(Refusal):
            given = given.after(command)
    followed = FollowedOrders()
    followed.take(given.history)
    return followed.steps


@pytest.mark.parametrize("arrow", ARROWS, ids=" to ".join)
def test_each_arrow_of_the_table_is_produced(arrow: Step) -> None:
    assert arrow in steps_of(ARROWS[arrow])


def test_every_arrow_of_the_table_has_its_commands() -> None:
    table = {(status, following) for status, after in NEXT.items() for following in after}
    assert set(ARROWS) | BY_WAY_OF_ACKNOWLEDGED == table
    assert set(NEXT) == set(OrderStatus)


EVERYTHING = tuple({id(command): command for commands in ARROWS.values() for command in commands}.values())
"""Every command that moves an order, once."""


def reaching(status: OrderStatus) -> tuple[AccountCommand, ...]:
    """Return commands that bring an order to *status*."""
    return next((commands for (_, following), commands in ARROWS.items() if following is status), ())


@pytest.mark.parametrize("status", OrderStatus)
def test_no_command_takes_a_step_that_the_table_has_not(status: OrderStatus) -> None:
    """Whatever is reported of an order in any state, and in whatever order: a missing arrow is never gone along."""
    missing_arrows = {(status, following) for following in OrderStatus if following not in NEXT[status]}
    for command in EVERYTHING:
        try:
            taken = steps_of((*reaching(status), command))
        except Refusal:
            continue  # It takes no step at all.
        assert not taken & missing_arrows, type(command).__name__


def test_may_follow_reads_the_table() -> None:
    for status in OrderStatus:
        for following in OrderStatus:
            assert may_follow(status, following) is (following in NEXT[status])


def test_nothing_follows_a_last_word_but_a_fill() -> None:
    for status in FINAL - {S.FILLED}:
        assert NEXT[status] == {S.FILLED}
    assert not NEXT[S.FILLED]
    assert {S.ABSENT} == CLOSED - FINAL


def test_an_operator_may_speak_of_what_is_in_doubt_and_the_venue_outweighs_them() -> None:
    assert [status for status in OrderStatus if S.ABSENT in NEXT[status]] == [S.UNKNOWN, S.PRESUMED_ABSENT]
    assert {S.UNKNOWN, S.PRESUMED_ABSENT} == IN_DOUBT
    assert NEXT[S.ABSENT] == NEXT[S.PRESUMED_ABSENT] - {S.ABSENT}


def test_an_order_is_open_closed_or_presumed_absent() -> None:
    assert LIVE | CLOSED | {S.PRESUMED_ABSENT} == set(OrderStatus)
    assert not LIVE & CLOSED
    assert {S.INTENDED} == LIVE - AT_VENUE


def test_nothing_leads_from_sent_to_sent_again_but_a_proof_that_it_was_not() -> None:
    """The heart of at-most-once: only *intended* leads to *submitting*, and only *submitting* leads back."""
    assert [status for status in OrderStatus if S.SUBMITTING in NEXT[status]] == [S.INTENDED]
    assert [status for status in OrderStatus if S.INTENDED in NEXT[status]] == [S.SUBMITTING]


def test_a_side_and_its_opposite() -> None:
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert [purpose.value for purpose in Purpose] == ["entry", "exit", "stop"]
    assert [purpose.closes for purpose in Purpose] == [False, True, True]
