"""The judge of worlds notices whatever of the log the venue's books do not bear out, and the other way round."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.simulator.books.account import Account, Status
from infra.worlds.bare_loop import live_alone
from infra.worlds.judge import Judge, Kind
from infra.worlds.living import lived
from infra.worlds.log_side import LogSide
from infra.worlds.trading import CODE
from tests.support.worlds import one_trade

Tamper = Callable[[LogSide, Account], object]


@pytest.fixture
def lived_well() -> tuple[LogSide, Account]:
    """The log and the books of a world in which nothing went wrong: an entry, and the stop that became its exit."""
    world, _ = live_alone(lived(one_trade))
    return world.log_side, next(iter(world.ground.venue.simulator.accounts.values()))


def kinds(
    log: LogSide, books: Account, *, twice: frozenset[str] = frozenset(), broken: tuple[str, ...] = ()
) -> set[Kind]:
    judge = Judge(log, books, mark=CODE, twice=twice, broken=list(broken))
    return {finding.kind for finding in judge.findings()}


def entry_of(log: LogSide) -> str:
    return next(order_id for order_id, order in log.orders.items() if order.purpose == "entry")


def enter_again(_: LogSide, books: Account) -> None:
    first = next(iter(books.orders.values()))
    books.orders["77"] = replace(first, order_id="77")


def test_what_the_books_bear_out_is_nothing(lived_well: tuple[LogSide, Account]) -> None:
    assert kinds(*lived_well) == set()


def forget_order(log: LogSide, _: Account) -> None:
    del log.orders[entry_of(log)]


def doubt(log: LogSide, _: Account) -> None:
    log.orders[entry_of(log)].status = "unknown"


def leave_open(log: LogSide, _: Account) -> None:
    log.orders[entry_of(log)].status = "acknowledged"


def presume_absent(log: LogSide, _: Account) -> None:
    entry = log.orders[entry_of(log)]
    entry.status = "presumed absent"
    entry.venue_order_ids.clear()


def say_rejected(log: LogSide, _: Account) -> None:
    log.orders[entry_of(log)].status = "rejected"


def forget_fill(log: LogSide, _: Account) -> None:
    log.fills.popitem()


def make_up_fill(log: LogSide, _: Account) -> None:
    log.fills["1", "1"] = (1, 1)


def misprice_fill(log: LogSide, _: Account) -> None:
    key, (quantity, price_e4) = next(iter(log.fills.items()))
    log.fills[key] = (quantity, price_e4 + 1)


def miscount(log: LogSide, _: Account) -> None:
    log.positions[next(iter(log.positions))] += 1


def miscalculate(log: LogSide, _: Account) -> None:
    log.value_paise[next(iter(log.value_paise))] += 1


def send_twice(log: LogSide, _: Account) -> None:
    log.orders[entry_of(log)].sends = 2


def exit_first(_: LogSide, books: Account) -> None:
    books.executions.reverse()


def cancel_at_venue(_: LogSide, books: Account) -> None:
    next(iter(books.orders.values())).status = Status.CANCELLED


def vanish(_: LogSide, books: Account) -> None:
    books.orders.popitem()


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (enter_again, Kind.DUPLICATE),
        (send_twice, Kind.DUPLICATE),
        (forget_order, Kind.LOST),
        (leave_open, Kind.LOST),
        (forget_fill, Kind.LOST),
        (doubt, Kind.UNRESOLVED),
        (presume_absent, Kind.UNRESOLVED),
        (say_rejected, Kind.FALSE_WORD),
        (cancel_at_venue, Kind.FALSE_WORD),
        (vanish, Kind.FALSE_WORD),
        (make_up_fill, Kind.FALSE_WORD),
        (misprice_fill, Kind.MONEY),
        (miscalculate, Kind.MONEY),
        (miscount, Kind.POSITION),
        (exit_first, Kind.OVERSHOOT),
    ],
)
def test_whatever_is_not_so_is_found(lived_well: tuple[LogSide, Account], tamper: Tamper, kind: Kind) -> None:
    tamper(*lived_well)
    assert kind in kinds(*lived_well)


def test_what_the_venue_entered_twice_on_purpose_is_told_apart(lived_well: tuple[LogSide, Account]) -> None:
    log, books = lived_well
    enter_again(log, books)
    name = next(iter(books.orders.values())).correlation_id
    assert kinds(log, books, twice=frozenset({name})) == {Kind.TWICE_BY_BROKER}


def test_a_process_that_ended_by_itself_is_found(lived_well: tuple[LogSide, Account]) -> None:
    assert kinds(*lived_well, broken=("it ended",)) == {Kind.BROKEN}


def test_an_engine_that_never_came_to_log_in_lost_nothing() -> None:
    world, _ = live_alone(lived(replace(one_trade, actions=())))
    assert Judge(world.log_side, None, mark=CODE, twice=frozenset(), broken=[]).findings() == []
