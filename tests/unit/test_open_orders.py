"""The executor's orders: which are open, which of them move, whatever happened in whatever order."""

import random

import pytest
from msgspec.structs import replace

from commands.accounts import OwnEvents, stream_of
from commands.open_orders import OpenOrder, OpenOrders
from domain.envelope import RecordedEvent
from domain.events import Event, encode, name_of
from domain.ids import OrderId
from domain.order import CLOSED, OrderStatus
from tests.support.specimens import (
    ACCOUNT,
    order_acknowledged,
    order_cancel_requested,
    order_canceled,
    order_filled,
    order_intended,
    order_modified,
    order_modify_refused,
    order_modify_requested,
    order_outcome_unknown,
    order_presumed_absent,
    order_rejected,
    order_resolved_absent,
    order_submitting,
)

LATER = (
    order_submitting,
    order_acknowledged,
    order_filled,
    order_cancel_requested,
    order_canceled,
    order_modify_requested,
    order_modified,
    order_modify_refused,
    order_outcome_unknown,
    order_presumed_absent,
    order_rejected,
    order_resolved_absent,
)
NAMES = [OrderId(f"ord-{number}") for number in range(6)]


def recorded(event: Event, sequence: int) -> RecordedEvent:
    return RecordedEvent(
        sequence=sequence,
        recorded_at_us=1_790_000_000_000_000,
        stream_id=stream_of(ACCOUNT),
        version=sequence,
        name=name_of(event),
        command_id="cmd",
        metadata=b"{}",
        payload=encode(event),
        previous_hash=b"",
        hash=b"",
    )


def is_moving(order: OpenOrder) -> bool:
    """Say it again, as the executor's questions have it."""
    is_asked_for = order.cancel_requested or order.wanted is not None
    is_unsettled = order.status in {OrderStatus.INTENDED, OrderStatus.SUBMITTING, OrderStatus.UNKNOWN}
    return order.status not in CLOSED and (is_asked_for or is_unsettled)


@pytest.mark.parametrize("seed", range(40))
def test_parts_are_what_looking_at_every_order_finds(seed: int) -> None:
    source, orders = random.Random(seed), OpenOrders()  # noqa: S311 - no secret
    for sequence, name in enumerate(NAMES, 1):
        orders.apply(recorded(replace(order_intended, order_id=name), sequence))
    for sequence in range(len(NAMES) + 1, 90):
        event = replace(source.choice(LATER), order_id=source.choice(NAMES))
        orders.apply(recorded(event, sequence))
        every = [order for name in NAMES if (order := orders.get(name)) is not None]
        assert orders.open() == [order for order in every if order.status not in CLOSED]
        assert orders.moving() == [order for order in every if is_moving(order)]
        assert orders.absent() == [order for order in every if order.absent_on is not None]


def test_an_order_that_rests_at_the_venue_does_not_move() -> None:
    orders = OpenOrders()
    for sequence, event in enumerate((order_intended, order_submitting, order_acknowledged), 1):
        orders.apply(recorded(event, sequence))
    assert len(orders.open()) == 1
    assert orders.moving() == []
    orders.apply(recorded(order_cancel_requested, 4))
    assert orders.moving() == orders.open()


def test_what_is_forgotten_is_in_no_part() -> None:
    orders = OpenOrders()
    events = (order_intended, order_resolved_absent)
    for sequence, event in enumerate(events, 1):
        orders.apply(recorded(event, sequence))
    assert len(orders.absent()) == 1
    orders.forget_absent(before="2999-01-01")
    orders.forget_closed(keep=0)
    assert (orders.absent(), orders.open(), orders.moving()) == ([], [], [])


# --- What this process appended itself --------------------------------------------------------------------------------


def history(source: random.Random) -> list[tuple[Event, ...]]:
    """Return commands of an account, each with its events, in an order in which anything may come."""
    commands: list[tuple[Event, ...]] = [(replace(order_intended, order_id=name),) for name in NAMES]
    for _ in range(40):
        events = [replace(source.choice(LATER), order_id=source.choice(NAMES)) for _ in range(source.randint(1, 3))]
        commands.append(tuple(events))
    return commands


@pytest.mark.parametrize("seed", range(60))
def test_what_is_known_early_leads_to_what_the_log_leads_to(seed: int) -> None:
    """Some commands are this process's and known when they are durable, others' come by the log, which is late."""
    source = random.Random(seed)  # noqa: S311 - no secret
    whole, early = OpenOrders(), OpenOrders()
    log: list[RecordedEvent] = []
    brought, taken = 0, 0
    for events in history(source):
        first = len(log) + 1
        log += [recorded(event, first + number) for number, event in enumerate(events)]
        if source.random() < 0.6:
            taken += early.take_own(OwnEvents(ACCOUNT, events, first, first))
            assert early.known_of(ACCOUNT) <= len(log)
        for _ in range(source.choice((0, 0, 1, 4, len(log)))):
            if brought < len(log):
                early.apply(log[brought])
                brought += 1
    for late in log[brought:]:
        early.apply(late)
    for each in log:
        whole.apply(each)
    assert taken, "nothing was known early"
    assert early.kept() == whole.kept()
    assert (early.sequence, early.known_of(ACCOUNT)) == (len(log), len(log))


def test_nobody_elses_event_is_overtaken() -> None:
    orders = OpenOrders()
    assert not orders.take_own(OwnEvents(ACCOUNT, (order_intended,), 1, 1)), "nothing of the account was seen"
    orders.apply(recorded(order_intended, 1))
    own = OwnEvents(ACCOUNT, (order_acknowledged,), 3, 3)
    assert not orders.take_own(own), "the second event is another's"
    orders.apply(recorded(order_submitting, 2))
    assert orders.take_own(own)
    assert (orders.sequence, orders.known_of(ACCOUNT), orders.version_of(ACCOUNT)) == (2, 3, 3)
    assert [order.status for order in orders.open()] == [OrderStatus.ACKNOWLEDGED]
    before = orders.changes
    orders.apply(recorded(order_acknowledged, 3))
    assert orders.changes == before, "it is known"


def test_an_operators_word_comes_by_the_log_for_its_day_is_the_logs() -> None:
    orders = OpenOrders()
    for sequence, event in enumerate((order_intended, order_outcome_unknown), 1):
        orders.apply(recorded(event, sequence))
    assert not orders.take_own(OwnEvents(ACCOUNT, (order_resolved_absent,), 3, 3))
    orders.apply(recorded(order_resolved_absent, 3))
    (absent,) = orders.absent()
    assert absent.absent_on == "2026-09-21"
