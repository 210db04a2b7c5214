"""The simulator's journal: what one life of the simulator wrote is what the next one knows."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.simulator.books.account import OrderTerms, Status
from adapters.simulator.books.journal import Journal, JournalBroken, JournalInUse, JournalUnreadable
from adapters.simulator.books.records import (
    AccountOpened,
    BooksOpened,
    CarriedHolding,
    OrderAccepted,
    OrderClosed,
    OrderExecuted,
    OrderModified,
    OrderModifying,
    OrderPriced,
    OrderQueued,
    OrderTriggered,
    OrderUnmodified,
    OrderWorking,
    Record,
)
from adapters.simulator.desk import open_desk
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from adapters.simulator.trading.simulator import OrderRequest, Simulator
from adapters.simulator.words.rows import books_of, order_row, position_row
from domain.market import NS_PER_S
from domain.order import OrderType, Side, TimeInForce
from tests.support.tape import CLIENT_ID, INSTRUMENTS, PLENTY, RELIANCE, ScriptedTape, config_of, steady

PRICE = 1_310_00_00
LAKHS_10_PAISE = 10_00_000_00
NEXT_DAY_NS = DEMO_START_NS + 24 * 3600 * NS_PER_S
SHARE = INSTRUMENTS.by_key(RELIANCE, market_time_ns=DEMO_START_NS)
BUY = OrderRequest(
    correlation_id="kh1first",
    instrument=SHARE,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    product="INTRADAY",
    time_in_force=TimeInForce.DAY,
    quantity=10,
    limit_price_e4=PRICE,
)
ORDER_ID = "112604150000007"
RECORDS: tuple[Record, ...] = (
    BooksOpened(next_order_number=7, next_trade_number=9),
    AccountOpened(
        client_id=CLIENT_ID,
        balance_paise=5,
        holdings=(CarriedHolding(instrument=SHARE, product="CNC", quantity=-2, value_e4=26_200_000),),
    ),
    OrderAccepted(
        order_id=ORDER_ID,
        client_id=CLIENT_ID,
        correlation_id="käse",
        instrument=SHARE,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        product="CNC",
        time_in_force=TimeInForce.IOC,
        quantity=3,
        limit_price_e4=0,
        time_ns=1,
        step=2,
        trigger_price_e4=6,
        disclosed_quantity=2,
        amo_time="OPEN",
        first_execution_max=1,
        reject_message="no",
    ),
    OrderQueued(order_id=ORDER_ID, time_ns=1),
    OrderWorking(order_id=ORDER_ID, limit_price_e4=0, time_ns=1, awaits_trigger=True),
    OrderTriggered(order_id=ORDER_ID, time_ns=2),
    OrderModifying(
        order_id=ORDER_ID,
        terms=OrderTerms(
            order_type=OrderType.SL,
            time_in_force=TimeInForce.DAY,
            quantity=4,
            limit_price_e4=5,
            trigger_price_e4=6,
            disclosed_quantity=2,
        ),
        time_ns=2,
    ),
    OrderModified(order_id=ORDER_ID, limit_price_e4=5, time_ns=2, awaits_trigger=True, keeps_place=True),
    OrderUnmodified(order_id=ORDER_ID, time_ns=2, description="no money"),
    OrderPriced(order_id=ORDER_ID, limit_price_e4=5),
    OrderExecuted(order_id=ORDER_ID, trade_id="200000009", quantity=1, price_e4=7, time_ns=3, step=4),
    OrderClosed(order_id=ORDER_ID, status=Status.CANCELLED, time_ns=5, description="line\nbreak"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.jsonl"


@contextlib.contextmanager
def simulator(path: Path, tape: ScriptedTape, **settings: Any) -> Iterator[Simulator]:
    """A life of the simulator; its end is as sudden as a kill, for nothing is written at the end."""
    desk = open_desk(config_of(tape, journal=path, **settings))
    try:
        yield desk.simulator
    finally:
        desk.close()


def place(venue: Simulator, **changes: Any) -> str:
    order = venue.accept(CLIENT_ID, replace(BUY, **changes))
    venue.arrive(order)
    return order.order_id


def status_of(venue: Simulator, order_id: str) -> Status:
    return venue.account_of(CLIENT_ID).orders[order_id].status


# --- The file


def test_every_record_comes_back_as_it_was(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin(RECORDS[:2])
        for record in RECORDS[2:]:
            journal.write([record])
    with Journal(path) as journal:
        assert tuple(journal.read()) == RECORDS
    assert len(path.read_bytes().splitlines()) == len(RECORDS)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_written_is_with_the_system_at_once(path: Path) -> None:
    with Journal(path) as journal:
        journal.begin(())
        journal.write(RECORDS)
        assert path.read_bytes().count(b"\n") == len(RECORDS)


@pytest.mark.parametrize("lost", [1, 2, 30])
def test_a_torn_last_line_is_ignored_and_gone_at_the_next_start(path: Path, lost: int) -> None:
    with Journal(path) as journal:
        journal.begin(RECORDS)
    path.write_bytes(path.read_bytes()[:-lost])
    with Journal(path) as journal:
        kept = journal.read()
        assert tuple(kept) == RECORDS[:-1]
        journal.begin(kept)
        journal.write(RECORDS[-1:])
        assert tuple(journal.read()) == RECORDS


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"type":"surprise"}'])
def test_a_damaged_line_before_the_last_is_not_passed_over(path: Path, damage: bytes) -> None:
    with Journal(path) as journal:
        journal.begin(RECORDS)
    lines = path.read_bytes().splitlines()
    lines[2] = damage
    path.write_bytes(b"\n".join(lines) + b"\n")
    before = path.read_bytes()
    with pytest.raises(JournalUnreadable, match="line 3 of"), simulator(path, steady(PRICE)):
        pass
    assert path.read_bytes() == before


def test_one_simulator_at_a_time_holds_a_journal(path: Path) -> None:
    with simulator(path, steady(PRICE)), pytest.raises(JournalInUse):
        Journal(path)
    with Journal(path):
        pass


def test_after_a_write_that_failed_nothing_more_is_written_or_entered(path: Path) -> None:
    told: list[bool] = []
    desk = open_desk(config_of(steady(PRICE), journal=path))
    assert desk.journal is not None
    desk.journal.on_failure = lambda: told.append(True)
    venue = desk.simulator
    venue.advance()
    resting = place(venue, limit_price_e4=PRICE - 10_000)
    written = path.read_bytes()
    with full_disk_behind(desk.journal), pytest.raises(JournalBroken):
        venue.cancel(CLIENT_ID, resting)
    assert status_of(venue, resting) is Status.PENDING
    with pytest.raises(JournalBroken):
        place(venue)
    assert path.read_bytes() == written
    assert told == [True]
    desk.close()


@contextlib.contextmanager
def full_disk_behind(journal: Journal) -> Iterator[None]:
    """Put the device that is always full where the journal's file is."""
    assert journal._file is not None
    kept, full = os.dup(journal._file), os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal._file)
    try:
        yield
    finally:
        os.dup2(kept, journal._file)
        os.close(kept)
        os.close(full)


# --- The same day


def test_books_of_the_same_day_are_equal_after_a_restart_and_after_another(path: Path) -> None:
    with simulator(path, steady(PRICE, volume=16)) as venue:
        venue.advance()
        place(venue)
        place(venue, side=Side.SELL, limit_price_e4=PRICE, quantity=2)
        place(venue, time_in_force=TimeInForce.IOC, limit_price_e4=PRICE - 10_000)
        place(venue, product="CNC", quantity=100_000)
        venue.cancel(CLIENT_ID, place(venue, limit_price_e4=PRICE - 10_000))
        before = snapshot(venue)
    assert {row["orderStatus"] for row in before["rows"]} == {"PART_TRADED", "TRADED", "CANCELLED", "REJECTED"}
    with simulator(path, steady(PRICE)) as venue:
        assert snapshot(venue) == before
    compacted = path.read_bytes()
    with simulator(path, steady(PRICE)) as venue:
        assert snapshot(venue) == before
    assert path.read_bytes() == compacted


def snapshot(venue: Simulator) -> dict[str, Any]:
    account = venue.account_of(CLIENT_ID)
    return {
        "rows": [order_row(order) for order in account.orders.values()],
        "open": list(account.open_orders),
        "numbers": venue.next_order_number,
        **books_of(account),
    }


def test_a_resting_order_fills_after_the_restart_and_numbers_go_on(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        filled = place(venue)
        resting = place(venue, limit_price_e4=PRICE - 10_000)
    with simulator(path, steady(PRICE - 10_000)) as venue:
        assert status_of(venue, filled) is Status.TRADED
        assert status_of(venue, resting) is Status.PENDING
        venue.advance()
        assert status_of(venue, resting) is Status.TRADED
        assert [trade.trade_id for trade in venue.account_of(CLIENT_ID).executions] == ["200000001", "200000002"]
        assert place(venue) == "112604150000003"


def test_priority_in_the_book_survives(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        first, second = (place(venue, limit_price_e4=PRICE - 10_000) for _ in range(2))
        best = place(venue, limit_price_e4=PRICE - 9_000)
    with simulator(path, steady(PRICE - 10_000, volume=60)) as venue:
        venue.advance()
        orders = venue.account_of(CLIENT_ID).orders
        assert [orders[order_id].filled_quantity for order_id in (best, first, second)] == [10, 5, 0]


def test_a_market_order_keeps_its_protected_limit_or_goes_on_waiting_for_a_print(path: Path) -> None:
    market = {"order_type": OrderType.MARKET, "limit_price_e4": 0}
    with simulator(path, ScriptedTape([], [])) as venue:
        venue.advance()
        waiting = place(venue, **market)
    with simulator(path, steady(PRICE, volume=4)) as venue:
        assert status_of(venue, waiting) is Status.PENDING
        venue.advance()
        limit = venue.account_of(CLIENT_ID).orders[waiting].limit_price_e4
        assert limit == 1_323_10_00
    with simulator(path, steady(limit + 1_000, limit)) as venue:
        venue.advance()
        assert status_of(venue, waiting) is Status.PART_TRADED
        venue.advance()
        assert status_of(venue, waiting) is Status.TRADED


def test_an_order_in_transit_arrives_with_the_first_second(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        accepted = venue.accept(CLIENT_ID, BUY).order_id
        doomed = venue.accept(CLIENT_ID, BUY, reject_message="on request").order_id
    with simulator(path, steady(PRICE)) as venue:
        assert status_of(venue, accepted) is Status.TRANSIT
        venue.advance()
        assert status_of(venue, accepted) is Status.TRADED
        assert status_of(venue, doomed) is Status.REJECTED


def test_a_first_execution_is_capped_once_whenever_it_comes(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        order = venue.accept(CLIENT_ID, replace(BUY, limit_price_e4=PRICE - 10_000), first_execution_max=3)
        venue.arrive(order)
    for left in (3, 10):
        with simulator(path, steady(PRICE - 10_000)) as venue:
            venue.advance()
            assert venue.account_of(CLIENT_ID).orders[order.order_id].filled_quantity == left


def test_what_an_ioc_order_left_behind_in_a_broken_write_is_canceled(path: Path) -> None:
    with simulator(path, steady(PRICE, volume=4)) as venue:
        venue.advance()
        order_id = place(venue, time_in_force=TimeInForce.IOC)
    lines = path.read_bytes().splitlines(keepends=True)
    assert b"closed" in lines[-1]
    path.write_bytes(b"".join(lines[:-1]))
    with simulator(path, steady(PRICE)) as venue:
        assert status_of(venue, order_id) is Status.CANCELLED


def test_the_money_of_a_holding_is_known_before_its_first_print(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        place(venue)
        available_paise = venue.available_paise(venue.account_of(CLIENT_ID))
    with simulator(path, steady(PRICE)) as venue:
        assert venue.available_paise(venue.account_of(CLIENT_ID)) == available_paise == LAKHS_10_PAISE - 2_620_00


# --- Another day


def test_a_new_day_begins_with_the_holdings_and_the_money_of_the_old(path: Path) -> None:
    with simulator(path, steady(PRICE, PRICE + 5_00_00)) as venue:
        venue.advance()
        place(venue)
        venue.advance()
        place(venue, side=Side.SELL, quantity=4)
    with simulator(path, steady(PRICE, start_ns=NEXT_DAY_NS)) as venue:
        account = venue.account_of(CLIENT_ID)
        assert (account.orders, account.executions, account.open_orders) == ({}, [], {})
        assert account.opening_balance_paise == LAKHS_10_PAISE + 4 * 5_00
        venue.advance()
        assert place(venue, side=Side.SELL, quantity=1) == "112604160000003"
        (holding,) = account.holdings.values()
        row = position_row(CLIENT_ID, holding, PRICE)
        assert account.executions[0].trade_id == "200000003"
    shown = {
        name: row[name] for name in ("netQty", "buyAvg", "buyQty", "carryForwardBuyQty", "dayBuyQty", "daySellQty")
    }
    assert shown == {
        "netQty": 5,
        "buyAvg": 1310.0,
        "buyQty": 6,
        "carryForwardBuyQty": 6,
        "dayBuyQty": 0,
        "daySellQty": 1,
    }
    assert row["carryForwardBuyValue"] == 7860.0


def test_a_short_holding_is_carried_and_a_closed_one_is_money(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        place(venue, side=Side.SELL)
        place(venue, product="CNC")
        place(venue, product="CNC", side=Side.SELL)
    for day in (1, 2):
        start_ns = DEMO_START_NS + day * (NEXT_DAY_NS - DEMO_START_NS)
        with simulator(path, steady(PRICE, start_ns=start_ns)) as venue:
            (holding,) = venue.account_of(CLIENT_ID).holdings.values()
            row = position_row(CLIENT_ID, holding, PRICE)
            assert (row["positionType"], row["netQty"], row["sellAvg"], row["daySellQty"]) == ("SHORT", -10, 1310.0, 0)
            assert venue.account_of(CLIENT_ID).opening_balance_paise == LAKHS_10_PAISE


def test_a_day_order_of_another_day_has_expired_and_is_shown_for_one_day(path: Path) -> None:
    with simulator(path, steady(PRICE, volume=16)) as venue:
        venue.advance()
        part_filled = place(venue)
        in_transit = venue.accept(CLIENT_ID, BUY).order_id
    with simulator(path, steady(PRICE - 10_000, start_ns=NEXT_DAY_NS)) as venue:
        account = venue.account_of(CLIENT_ID)
        assert [(order.order_id, order.status) for order in account.orders.values()] == [
            (part_filled, Status.EXPIRED),
            (in_transit, Status.EXPIRED),
        ]
        assert [trade.quantity for trade in account.executions] == [4], "the filled part is told with the end"
        venue.advance()
        assert account.orders[part_filled].filled_quantity == 4
    assert path.read_bytes().count(b'"EXPIRED"') == 2
    with simulator(path, steady(PRICE, start_ns=2 * NEXT_DAY_NS - DEMO_START_NS)) as venue:
        account = venue.account_of(CLIENT_ID)
        assert account.orders == {}
        assert [holding.net_quantity for holding in account.holdings.values()] == [4]
        assert venue.next_order_number == 3
    kinds = [record["type"] for record in map(msgspec.json.decode, path.read_bytes().splitlines())]
    assert kinds == ["books", "account", "trade_kept"], "the numbers, the money and holdings, and the statement"


def test_clients_are_known_again_even_without_an_order(path: Path) -> None:
    with simulator(path, steady(PRICE), opening_balance_paise=77) as venue:
        venue.account_of(CLIENT_ID)
    with simulator(path, steady(PRICE, start_ns=NEXT_DAY_NS)) as venue:
        assert [account.opening_balance_paise for account in venue.accounts.values()] == [77]


def test_without_a_journal_nothing_is_kept(tmp_path: Path) -> None:
    desk = open_desk(config_of(steady(PRICE, volume=PLENTY)))
    desk.simulator.advance()
    place(desk.simulator)
    assert open_desk(config_of(steady(PRICE))).simulator.accounts == {}
    assert list(tmp_path.iterdir()) == []


# --- Stops, modifications, after market orders


STOP = {
    "order_type": OrderType.SL,
    "side": Side.SELL,
    "trigger_price_e4": PRICE - 10_000,
    "limit_price_e4": PRICE - 20_000,
}


def terms_of(request: OrderRequest, **changes: Any) -> OrderTerms:
    wanted = replace(request, **changes)
    return OrderTerms(
        order_type=wanted.order_type,
        time_in_force=wanted.time_in_force,
        quantity=wanted.quantity,
        limit_price_e4=wanted.limit_price_e4,
        trigger_price_e4=wanted.trigger_price_e4,
        disclosed_quantity=wanted.disclosed_quantity,
    )


def test_a_journal_of_before_there_were_stops_is_read(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        place(venue)
    assert b"trigger" not in path.read_bytes()
    assert b"amo_time" not in path.read_bytes()


def test_a_stop_rests_on_and_a_triggered_one_goes_on_as_the_limit_order_it_became(path: Path) -> None:
    with simulator(path, steady(PRICE, PRICE - 15_000, volume=0)) as venue:
        venue.advance()
        venue.advance()
        resting = place(venue, **STOP | {"trigger_price_e4": PRICE - 20_000})
        triggered = place(venue, **STOP)
    with simulator(path, steady(PRICE - 10_500)) as venue:
        venue.advance()
        assert status_of(venue, resting) is Status.PENDING
        assert status_of(venue, triggered) is Status.TRADED


def test_an_order_that_shrank_keeps_its_place_and_one_that_grew_does_not(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        shrunk, grown, last = (place(venue, limit_price_e4=PRICE - 10_000) for _ in range(3))
        for order_id, quantity in ((shrunk, 8), (grown, 11)):
            order = venue.modify(CLIENT_ID, order_id, terms_of(BUY, limit_price_e4=PRICE - 10_000, quantity=quantity))
            venue.arrive_change(order)
    with simulator(path, steady(PRICE - 10_000, volume=40)) as venue:
        venue.advance()
        orders = venue.account_of(CLIENT_ID).orders
        assert [orders[order_id].filled_quantity for order_id in (shrunk, last, grown)] == [8, 2, 0]


def test_a_triggered_stop_queues_behind_what_rested_when_it_triggered(path: Path) -> None:
    with simulator(path, steady(PRICE, PRICE - 30_000, volume=0)) as venue:
        venue.advance()
        stop = place(venue, **STOP)
        resting = place(venue, side=Side.SELL, limit_price_e4=STOP["limit_price_e4"])
        venue.advance()
    with simulator(path, steady(PRICE - 20_000, volume=60)) as venue:
        venue.advance()
        orders = venue.account_of(CLIENT_ID).orders
        assert [orders[order_id].filled_quantity for order_id in (resting, stop)] == [10, 5]


def test_what_has_triggered_stays_triggered_in_the_next_life(path: Path) -> None:
    with simulator(path, steady(PRICE, PRICE - 30_000, volume=0)) as venue:
        venue.advance()
        order_id = place(venue, **STOP)
        venue.advance()
    with simulator(path, steady(PRICE, volume=0)) as venue:
        venue.advance()
        order = venue.account_of(CLIENT_ID).orders[order_id]
        assert not order.awaits_trigger
        venue.arrive_change(venue.modify(CLIENT_ID, order_id, terms_of(BUY, **STOP | {"quantity": 12})))
        assert (order.quantity, order.awaits_trigger) == (12, False)


def test_a_modification_on_its_way_arrives_with_the_first_second(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        order_id = place(venue, limit_price_e4=PRICE - 10_000)
        venue.modify(CLIENT_ID, order_id, terms_of(BUY, quantity=3))
    with simulator(path, steady(PRICE)) as venue:
        order = venue.account_of(CLIENT_ID).orders[order_id]
        assert (order.status, order.quantity, order.modifications) == (Status.TRANSIT, 10, 1)
        venue.advance()
        assert (order.status, order.quantity, order.filled_quantity) == (Status.TRADED, 3, 3)


def test_a_stop_of_another_day_has_expired(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        venue.advance()
        order_id = place(venue, **STOP)
    with simulator(path, steady(PRICE, start_ns=NEXT_DAY_NS)) as venue:
        assert status_of(venue, order_id) is Status.EXPIRED


def test_an_after_market_order_is_carried_to_the_next_session_and_lives_its_day(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        while venue.advance():
            pass
        order_id = place(venue, amo_time="OPEN", limit_price_e4=PRICE - 10_000)
        dropped = place(venue, amo_time="OPEN_60")
        venue.cancel(CLIENT_ID, dropped)
    with simulator(path, steady(PRICE, start_ns=NEXT_DAY_NS)) as venue:
        assert list(venue.account_of(CLIENT_ID).orders) == [order_id]
        venue.advance()
        assert venue.account_of(CLIENT_ID).orders[order_id].reached_ns == NEXT_DAY_NS
    with simulator(path, steady(PRICE - 10_000, start_ns=NEXT_DAY_NS + NS_PER_S)) as venue:
        assert status_of(venue, order_id) is Status.PENDING
        venue.advance()
        assert status_of(venue, order_id) is Status.TRADED


def test_an_after_market_order_that_was_accepted_but_not_queued_is_not_lost(path: Path) -> None:
    with simulator(path, steady(PRICE)) as venue:
        order_id = venue.accept(CLIENT_ID, replace(BUY, amo_time="OPEN")).order_id
    with simulator(path, steady(PRICE, start_ns=NEXT_DAY_NS)) as venue:
        assert status_of(venue, order_id) is Status.TRANSIT
        venue.advance()
        assert status_of(venue, order_id) is Status.TRADED
