"""Differences from the venue's books: recorded once, held against entries, closed by rule or by people."""

import pytest
from msgspec.structs import replace

from domain.account import decider
from domain.account.commands import AccountCommand, RecordConversion, RecordDifferences, ResolveDifference
from domain.account.events import (
    AccountEvent,
    DifferenceClosed,
    DifferenceFound,
    ForeignFillAllocated,
    OrderDenied,
    OrderLapsed,
    OrderModifyRequested,
    OrderSubmitting,
    Role,
    TradeAdopted,
    TradeClosed,
    TradeOpened,
)
from domain.account.refusals import AccountNotFound, AdoptionImpossible, DifferenceNotFound, RoleInsufficient
from domain.account.state import Account
from domain.differences import DIFFERENCES_MAX, RULES, Book, DifferenceEnd, DifferenceKind, Finding
from domain.ids import DifferenceId, TradeId
from domain.order import Product
from tests.support.scenario import Given, scenario
from tests.support.specimens import (
    ACCOUNT,
    DAY_NS,
    ENTRY,
    EXTERNAL_TRADE,
    MEMBER,
    NOW_NS,
    NS_PER_S,
    OWNER,
    RELIANCE,
    STRANGER,
    account_opened,
    begin,
    begin_exit,
    difference_found,
    exiting,
    guarded,
    held,
    intended,
    market_at,
    member_set,
    open_trade,
    reliance,
)

K = DifferenceKind
EVERY_BOOK = frozenset(Book)
larger = Finding(
    kind=K.POSITION_LARGER,
    instrument=RELIANCE,
    product=Product.INTRADAY,
    symbol="RELIANCE",
    ours="100",
    theirs="110",
    quantity=10,
)
missing = Finding(kind=K.ORDER_MISSING, subject=ENTRY, ours="acknowledged", theirs="not in the order book")
foreign = Finding(kind=K.FOREIGN_ORDER, subject="112", ours="none", theirs="BUY 5, acknowledged")
resolve = ResolveDifference(
    difference_id=DifferenceId(f"{ACCOUNT}.d1"),
    user_id=OWNER,
    reason="a gift of ten shares",
    adopted_as=EXTERNAL_TRADE,
    now_ns=NOW_NS,
    instrument=reliance,
    price_e4=2_850_0000,
)


def given(*events: AccountEvent) -> Given[AccountCommand, Account, AccountEvent]:
    return scenario(decider).given(*events)


def look(
    *found: Finding, read: frozenset[Book] = EVERY_BOOK, suspected: frozenset[str] = frozenset()
) -> RecordDifferences:
    return RecordDifferences(found=found, read=read, suspected=suspected)


def test_what_is_found_is_recorded_with_its_cause_repair_and_gate() -> None:
    given(*held).when(look(larger)).then(difference_found)


def test_it_is_recorded_once_however_often_it_is_seen() -> None:
    given(*held).after(look(larger)).when(look(larger)).then_nothing()
    given(*held).when(look()).then_nothing()


def test_what_is_another_by_now_is_recorded_under_the_same_name() -> None:
    (again,) = given(*held).after(look(larger)).when(look(replace(larger, theirs="120", quantity=20))).events
    assert again == replace(difference_found, theirs="120", quantity=20)


def test_what_is_not_shown_any_more_is_over() -> None:
    given(*held).after(look(larger)).when(look()).then(
        DifferenceClosed(
            difference_id=difference_found.difference_id, how=DifferenceEnd.AGREED, user_id=None, reason=""
        )
    )


def test_it_stays_while_the_books_that_would_show_it_are_unread_or_it_is_looked_at_again() -> None:
    found = given(*held).after(look(larger))
    found.when(look(read=EVERY_BOOK - {Book.POSITIONS})).then_nothing()
    found.when(look(suspected=frozenset({larger.name}))).then_nothing()


def test_a_book_that_was_unreadable_is_over_when_that_very_book_is_read() -> None:
    unreadable = Finding(kind=K.BOOK_UNREADABLE, subject=Book.POSITIONS.value, ours="", theirs="no answer")
    found = given(*held).after(look(unreadable, read=frozenset({Book.ORDERS})))
    found.when(look(unreadable, read=frozenset({Book.ORDERS}))).then_nothing()
    found.when(look(read=frozenset())).then_nothing()
    found.when(look(read=frozenset({Book.POSITIONS}))).then_kinds(DifferenceClosed)


def test_what_is_repaired_is_found_and_closed_at_once_and_opens_nothing() -> None:
    repaired = RecordDifferences(found=(), read=frozenset(), repaired=(replace(foreign, kind=K.FOREIGN_TRADE),))
    found, closed = given(*held).when(repaired).events
    assert isinstance(found, DifferenceFound)
    assert isinstance(closed, DifferenceClosed)
    assert (closed.difference_id, closed.how) == (found.difference_id, DifferenceEnd.REPAIRED)
    assert not decider.fold(given(*held).after(repaired).history).differences
    (again, _) = given(*held).after(repaired).when(repaired).events
    assert isinstance(again, DifferenceFound)
    assert again.difference_id != found.difference_id, "each has a name of its own"


def test_of_a_storm_the_ones_that_gate_are_kept_first() -> None:
    storm = [replace(foreign, subject=str(number)) for number in range(DIFFERENCES_MAX + 5)]
    events = given(*held).when(look(*storm, larger)).events
    assert len(events) == DIFFERENCES_MAX
    assert events[0] == difference_found


def test_before_the_account_is_open_nothing_is_recorded() -> None:
    given().when(look(larger)).then_nothing()


# --- The gate ---------------------------------------------------------------------------------------------------------


def test_while_it_gates_entries_are_denied_and_say_why() -> None:
    (denied,) = given(account_opened, difference_found).when(open_trade).events
    assert isinstance(denied, OrderDenied)
    assert (denied.code.value, denied.limit) == ("BOOKS_DISAGREE", "books that agree with the venue's")
    assert denied.value == "position_larger of RELIANCE INTRADAY: ours 100, the venue's 110"
    assert difference_found.difference_id in denied.passing


def test_what_is_explained_denies_nothing() -> None:
    opened = given(account_opened).after(look(foreign)).when(open_trade).events
    assert isinstance(opened[0], TradeOpened)


def test_an_entry_that_waits_goes_on_waiting_and_lapses_in_its_time() -> None:
    waiting = given(*intended, difference_found)
    waiting.when(begin).then_nothing()
    assert OrderLapsed in [type(each) for each in waiting.when(replace(begin, market_time_ns=NOW_NS + DAY_NS)).events]
    waiting.after(look()).when(begin).then_kinds(OrderSubmitting)


def test_before_the_first_look_of_a_process_entries_wait_and_exits_do_not() -> None:
    given(*intended).when(replace(begin, may_enter=False)).then_nothing()
    given(*exiting).when(replace(begin_exit, may_enter=False)).then_kinds(OrderSubmitting)


def test_an_exit_is_sent_whatever_gates() -> None:
    given(*exiting, difference_found).when(begin_exit).then_kinds(OrderSubmitting)


# --- By a person ------------------------------------------------------------------------------------------------------


def test_a_position_that_is_resolved_is_adopted_as_the_venue_shows_it() -> None:
    found = given(*held, difference_found)
    adopted, allocated, closed = found.when(resolve).events
    assert isinstance(adopted, TradeAdopted)
    assert isinstance(allocated, ForeignFillAllocated)
    assert (allocated.trade_id, allocated.last_quantity, allocated.last_price_e4) == (EXTERNAL_TRADE, 10, 2_850_0000)
    assert closed == DifferenceClosed(
        difference_id=difference_found.difference_id,
        how=DifferenceEnd.RESOLVED,
        user_id=OWNER,
        reason="a gift of ten shares",
    )
    state = decider.fold(found.after(resolve).history)
    assert sum(trade.holding.net_quantity for trade in state.trades_in(RELIANCE, Product.INTRADAY)) == 110
    assert not state.differences


def test_a_position_that_is_gone_takes_its_trade_and_stop_along() -> None:
    gone = replace(difference_found, kind=K.POSITION_GONE, theirs="0", quantity=-100)
    events = given(*held, gone).when(resolve).events
    assert TradeClosed in [type(event) for event in events]
    events = given(*guarded, replace(gone, theirs="60", quantity=-40)).when(resolve).events
    assert OrderModifyRequested in [type(event) for event in events]


def test_what_is_no_position_is_taken_as_it_is_and_not_told_again_today() -> None:
    found = given(*held).after(look(missing))
    resolved = found.after(resolve)
    assert [type(event) for event in resolved.history[len(found.history) :]] == [DifferenceClosed]
    resolved.when(look(missing)).then_nothing()
    tomorrow = NOW_NS + DAY_NS
    next_day = resolved.after(
        replace(open_trade, trade_id=TradeId("trd_x"), market=market_at(2_850_0000, at_ns=tomorrow))
    )
    next_day.when(look(missing)).then_kinds(DifferenceFound)


def test_a_position_without_a_price_or_an_instrument() -> None:
    found = given(*held, difference_found)
    found.when(replace(resolve, price_e4=None)).then_refused(AdoptionImpossible)
    found.when(replace(resolve, price_e4=None, instrument=None)).then_kinds(DifferenceClosed)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"difference_id": DifferenceId("none")}, DifferenceNotFound),
        ({"user_id": STRANGER}, AccountNotFound),
        ({"user_id": MEMBER}, RoleInsufficient),
    ],
)
def test_only_an_owner_resolves_and_only_what_is_open(change: dict[str, str], refusal: type) -> None:
    trader = replace(member_set, role=Role.TRADER)
    given(*held, trader, difference_found).when(replace(resolve, **change)).then_refused(refusal)


# --- Conversions ------------------------------------------------------------------------------------------------------

CONVERSION = RecordConversion(
    instrument=reliance,
    findings=(
        replace(larger, kind=K.POSITION_CONVERTED, product=Product.CNC, ours="0", theirs="60", quantity=60),
        replace(larger, kind=K.POSITION_CONVERTED, theirs="40", quantity=-60),
    ),
    adopted_as=(EXTERNAL_TRADE, TradeId("trd_unused")),
    now_ns=NOW_NS + NS_PER_S,
)


def test_a_conversion_is_followed_at_cost() -> None:
    given_it = given(*held).after(CONVERSION)
    state = decider.fold(given_it.history)
    assert not state.differences
    by_product = {
        product: sum(trade.holding.net_quantity for trade in state.trades_in(RELIANCE, product))
        for product in (Product.CNC, Product.INTRADAY)
    }
    assert by_product == {Product.CNC: 60, Product.INTRADAY: 40}
    assert state.realised_paise == 0, "it was neither bought nor sold"
    ends = [event.how for event in given_it.history if isinstance(event, DifferenceClosed)]
    assert ends == [DifferenceEnd.REPAIRED, DifferenceEnd.REPAIRED]


def test_of_nothing_held_nothing_is_converted() -> None:
    given(account_opened).when(CONVERSION).then_nothing()
    given().when(CONVERSION).then_nothing()


def test_units_held_before_are_remembered_as_the_baseline() -> None:
    before = replace(larger, kind=K.HELD_BEFORE, product=Product.CNC, ours="0", theirs="40", quantity=40)
    command = RecordDifferences(found=(), read=EVERY_BOOK, repaired=(before,))
    state = decider.fold(given(account_opened).after(command).history)
    assert state.held_before == {"NSE_EQ:2885": 40}
    assert not state.differences
    assert not RULES[K.HELD_BEFORE].gates
