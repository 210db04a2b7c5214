"""The venue's books against ours: what is otherwise is named, and nothing else is."""

from collections.abc import Callable
from dataclasses import replace as but

import pytest
from msgspec.structs import replace

from domain.account import Account, decider
from domain.account.events import AccountEvent
from domain.account.evolve import on_day
from domain.differences import RULES, Book, DifferenceKind
from domain.ids import OrderId, VenueFillId
from domain.order import OrderStatus, Product, Side, correlation_id_of
from domain.reconciliation import compare, is_sure_at_once
from domain.reconciliation.positions import needs_holdings
from tests.support.mirrored_books import MirroredBooks
from tests.support.specimens import (
    CODE,
    DAY_NS,
    ENTRY,
    EXIT,
    NOW_NS,
    RELIANCE,
    account_opened,
    adopted,
    exiting,
    guarded,
    held,
    infy,
    order_canceled,
    order_filled,
    order_intended,
    order_outcome_unknown,
    order_submitting,
    reliance,
    resting,
    submitting,
    trade_opened,
)

K = DifferenceKind
INFY = infy.key
INTRADAY, CNC, MARGIN = Product.INTRADAY, Product.CNC, Product.MARGIN
unknown_exit = (
    *exiting,
    replace(order_submitting, order_id=EXIT, correlation_id=correlation_id_of(EXIT, code=CODE)),
    replace(order_outcome_unknown, order_id=EXIT),
)


def account_after(*events: AccountEvent) -> Account:
    return decider.fold(events)


def delivered(carries: int = 100) -> Account:
    """Return an account that carries shares for delivery from the day before."""
    entry = replace(trade_opened.entry, product=CNC)
    yesterday = "2026-11-19"
    market = replace(trade_opened.market, market_time_ns=NOW_NS - DAY_NS)
    opened = replace(trade_opened, entry=entry, market=market)
    filled = replace(
        order_filled, product=CNC, last_quantity=carries, cumulative_quantity=carries, trading_day=yesterday
    )
    intended = replace(order_intended, instruction=replace(entry, quantity=carries))
    account = account_after(account_opened, opened, intended, order_submitting, filled)
    return on_day(account, "2026-11-20")


def mirrored(*history: AccountEvent) -> MirroredBooks:
    return MirroredBooks.of(account_after(*history))


@pytest.mark.parametrize(
    "history", [(account_opened,), submitting, resting, held, exiting, guarded, (*held, *adopted), unknown_exit]
)
def test_books_that_agree_show_nothing(history: tuple[AccountEvent, ...]) -> None:
    assert mirrored(*history).differences() == []


def test_delivered_units_are_in_the_holdings_and_count_once() -> None:
    books = MirroredBooks.of(delivered())
    assert books.differences() == []
    books.hold(RELIANCE, CNC, 7)
    assert books.differences() == [("holding_larger", "100", "107")]


def planted(history: tuple[AccountEvent, ...], plant: Callable[[MirroredBooks], object]) -> MirroredBooks:
    books = mirrored(*history)
    plant(books)
    return books


def _clear_orders(books: MirroredBooks) -> None:
    books.orders = []


def _clear_fills(books: MirroredBooks) -> None:
    books.fills = []


def _second_row(books: MirroredBooks) -> None:
    assert books.orders is not None
    books.orders.append(but(books.orders[0], venue_order_id="another"))  # type: ignore[arg-type] - an id


def _other_units(books: MirroredBooks) -> None:
    assert books.fills is not None
    books.fills[0] = but(books.fills[0], quantity=90)


def _unlisted(books: MirroredBooks) -> None:
    del books.listed[INFY]
    books.hold(INFY, INTRADAY, 5)


def _untraded(books: MirroredBooks) -> None:
    books.foreign(OrderStatus.FILLED)
    books.execute("foreign-1", 5, product=None)


def _unlisted_execution(books: MirroredBooks) -> None:
    del books.listed[INFY]
    books.foreign(OrderStatus.FILLED)
    books.execute("foreign-1", 5, instrument=INFY)


def _converted(books: MirroredBooks) -> None:
    books.hold(RELIANCE, INTRADAY, 40)
    books.hold(RELIANCE, CNC, 60)


PLANTED: list[tuple[tuple[AccountEvent, ...], Callable[[MirroredBooks], object], list[tuple[str, str, str]]]] = [
    (resting, _clear_orders, [("order_missing", "acknowledged", "not in the order book")]),
    (
        (*resting, order_canceled),
        lambda books: books.change_order(status=OrderStatus.ACKNOWLEDGED),
        [("order_revived", "canceled", "acknowledged")],
    ),
    (
        (*held, exiting[-1]),
        lambda books: books.add(replace(books.account.orders[EXIT], status=OrderStatus.ACKNOWLEDGED)),
        [("unsent_order_found", "intended", "acknowledged")],
    ),
    (
        resting,
        lambda books: books.change_order(side=Side.SELL, product=CNC),
        [("order_other_than_sent", "BUY INTRADAY", "SELL CNC")],
    ),
    (resting, _second_row, [("duplicate_order", "1 order", "2 orders")]),
    (
        resting,
        lambda books: books.foreign(
            OrderStatus.ACKNOWLEDGED, correlation_id=correlation_id_of(OrderId("trd_gone.1"), code=CODE)
        ),
        [("unremembered_order", "not in the log", "BUY 5, acknowledged")],
    ),
    (
        resting,
        lambda books: books.foreign(OrderStatus.ACKNOWLEDGED),
        [("foreign_order", "none", "BUY 5, acknowledged")],
    ),
    (
        held,
        lambda books: books.execute("of-nobody", 5),
        [("unattributed_execution", "no order", "BUY 5 at 2850.00")],
    ),
    (held, _untraded, [("untraded_execution", "not traded here", "BUY 5 at 2850.00")]),
    (held, _unlisted_execution, [("unlisted_execution", "not in the instrument master", "BUY 5 at 2850.00")]),
    (
        resting,
        lambda books: books.execute(str(books.account.orders[ENTRY].venue_order_id), 0),
        [("execution_refused", "0 executed", "0 executed")],
    ),
    (
        held,
        _clear_fills,
        [
            ("order_beyond_executions", "0 executed", "100 executed"),
            ("execution_withdrawn", "100 executed", "0 executed"),
        ],
    ),
    (
        held,
        _other_units,
        [
            ("order_beyond_executions", "90 executed", "100 executed"),
            ("execution_changed", "100 executed", "90 executed"),
        ],
    ),
    (
        held,
        lambda books: books.change_order(cumulative_quantity=60),
        [("order_behind_executions", "100 executed", "60 executed")],
    ),
    (held, lambda books: books.hold(RELIANCE, INTRADAY, 110), [("position_larger", "100", "110")]),
    (held, lambda books: books.hold(RELIANCE, INTRADAY, 90), [("position_smaller", "100", "90")]),
    (held, lambda books: books.hold(RELIANCE, INTRADAY, -100), [("position_reversed", "100", "-100")]),
    (held, lambda books: books.hold(RELIANCE, INTRADAY, 0), [("position_gone", "100", "0")]),
    (held, lambda books: books.hold(INFY, MARGIN, 5), [("position_unexpected", "0", "5")]),
    (held, _unlisted, [("unlisted_position", "0", "5")]),
    (held, _converted, [("position_converted", "0", "60"), ("position_converted", "100", "40")]),
    (unknown_exit, lambda books: books.hold(RELIANCE, INTRADAY, 0), [("unknown_order_position", "100", "0")]),
]


@pytest.mark.parametrize(("history", "plant", "found"), PLANTED, ids=[row[2][-1][0] for row in PLANTED])
def test_what_is_planted_is_named(
    history: tuple[AccountEvent, ...],
    plant: Callable[[MirroredBooks], object],
    found: list[tuple[str, str, str]],
) -> None:
    assert planted(history, plant).differences() == found


@pytest.mark.parametrize(
    ("units", "kind"),
    [(123, "holding_larger"), (77, "holding_smaller"), (0, "holding_smaller"), (200, "corporate_action_ratio"),
     (50, "corporate_action_ratio"), (150, "corporate_action_ratio")],
)  # fmt: skip
def test_what_is_carried_for_delivery_is_held_against_the_holdings(units: int, kind: str) -> None:
    books = MirroredBooks.of(delivered())
    books.deliver(RELIANCE, units)
    assert books.differences() == [(kind, "100", str(units))]


def test_units_of_before_the_first_trade_are_the_baseline() -> None:
    books = mirrored(account_opened)
    books.deliver(INFY, 40)
    assert books.differences() == [("held_before", "0", "40")]
    baseline = {"NSE_EQ:1594": 40}
    books.account = replace(books.account, held_before=baseline)
    assert books.differences() == []
    traded = MirroredBooks.of(replace(delivered(), held_before=baseline))
    traded.deliver(INFY, 40)
    assert traded.differences() == []
    traded.deliver(INFY, 41)
    assert traded.differences() == [("position_unexpected", "0", "1")]


def test_a_derivative_that_is_gone_after_its_last_day_has_expired() -> None:
    books = mirrored(*held)
    books.hold(RELIANCE, INTRADAY, 0)
    books.listed[RELIANCE] = replace(reliance, expires_on="2026-11-19")
    assert books.differences() == [("derivative_expired", "100", "0")]
    books.listed[RELIANCE] = replace(reliance, expires_on=books.day)
    assert books.differences() == [("position_gone", "100", "0")]


def test_what_moved_while_the_books_were_read_is_left_to_the_next_look() -> None:
    books = mirrored(*held)
    books.before = account_after(*resting)
    books.hold(RELIANCE, INTRADAY, 0)
    _clear_fills(books)
    assert books.differences() == []


def test_an_order_that_was_taken_after_the_book_was_read_is_not_missing() -> None:
    books = mirrored(*resting)
    books.before = account_after(*submitting)
    _clear_orders(books)
    assert books.differences() == []


def test_one_that_is_over_and_remembered_or_of_an_earlier_day_concerns_nobody() -> None:
    gone = correlation_id_of(OrderId("trd_gone.1"), code=CODE)
    books = mirrored(*held)
    books.foreign(OrderStatus.FILLED, correlation_id=gone)
    books.execute("foreign-1", 5, instrument=INFY, filled_at_ns=NOW_NS - DAY_NS)
    assert books.differences() == []
    books.execute("foreign-1", 5, instrument=INFY, fill_id="f-today")
    assert [kind for kind, _, _ in books.differences()] == ["unremembered_order"]
    books.remembered.add(books.orders[-1].venue_order_id)  # type: ignore[index] - there is one
    assert books.differences() == []


@pytest.mark.parametrize("place", ["recorded", "in the account"])
def test_an_execution_of_others_that_is_recorded_is_none_any_more(place: str) -> None:
    books = mirrored(*held)
    _untraded(books)
    if place == "recorded":
        books.recorded.add(VenueFillId("f-planted"))
    else:
        books.account = replace(books.account, foreign_fills=frozenset({VenueFillId("f-planted")}))
    assert books.differences() == []


@pytest.mark.parametrize("unread", ["orders", "fills", "positions"])
def test_of_a_book_that_was_not_read_nothing_is_told(unread: str) -> None:
    books = mirrored(*held)
    books.hold(RELIANCE, INTRADAY, 0)
    setattr(books, unread, None)
    assert books.differences() == []
    assert [(each.kind, each.subject) for each in compare(books.comparison(Book.HOLDINGS, Book.ORDERS))] == [
        (K.BOOK_UNREADABLE, "holdings"),
        (K.BOOK_UNREADABLE, "orders"),
    ]


def test_delivery_is_not_compared_while_the_holdings_are_not_read() -> None:
    books = MirroredBooks.of(delivered())
    books.holdings = None
    assert books.differences() == []
    assert needs_holdings(books.account)
    assert needs_holdings(account_after(account_opened)), "nobody has looked yet"
    assert not needs_holdings(account_after(*held))


def test_each_kind_is_found_by_some_test_and_said_in_full() -> None:
    assert set(RULES) == set(K)
    for kind, rule in RULES.items():
        assert all((rule.seen, rule.cause, rule.repair, rule.closed_by, rule.found_by)), kind
    assert sum(rule.gates for rule in RULES.values()) == 20
    compared = {K(row[2][-1][0]) for row in PLANTED}
    assert {kind for kind in K if is_sure_at_once(kind)} <= compared | {K.HELD_BEFORE, K.BOOK_UNREADABLE}
    assert len(compared) >= 20
