"""What the simulator's clients set and ask for beside orders: addresses, consents, margins, ledger."""

import pytest

from adapters.simulator.access.consents import (
    CONSENTS_A_DAY_MAX,
    ApiKeyWrong,
    Consents,
    ConsentsExhausted,
    ConsentUnknown,
    api_key_of,
)
from adapters.simulator.access.static_ips import IpFlag, IpLocked, IpNotSet, StaticIps
from adapters.simulator.books.account import Account, Holding
from adapters.simulator.books.margins import Leg, margin_e4, margin_together_e4
from adapters.simulator.paths.account_rows import holding_row, ledger_rows
from domain.market import NS_PER_S, trading_day
from domain.order import Side
from tests.support.tape import CLIENT_ID, INSTRUMENTS, OTHER_CLIENT_ID, RELIANCE, SECRET

NOW_NS = 1_776_224_700 * NS_PER_S
DAY_NS = 86_400 * NS_PER_S
HOME, AWAY = "192.0.2.1", "198.51.100.7"


# --- Addresses


def test_where_no_address_is_set_orders_may_come_from_anywhere() -> None:
    assert StaticIps().allows(CLIENT_ID, AWAY)


def test_orders_come_from_either_address_of_the_list_and_no_other() -> None:
    ips = StaticIps()
    ips.set(CLIENT_ID, IpFlag.PRIMARY, HOME, now_ns=NOW_NS)
    ips.set(CLIENT_ID, IpFlag.SECONDARY, "2001:DB8::0001", now_ns=NOW_NS)
    assert ips.allows(CLIENT_ID, HOME)
    assert ips.allows(CLIENT_ID, "2001:db8::1")
    assert not ips.allows(CLIENT_ID, AWAY)
    assert ips.allows(OTHER_CLIENT_ID, AWAY)


def test_an_address_is_locked_for_a_week() -> None:
    ips = StaticIps()
    ips.set(CLIENT_ID, IpFlag.PRIMARY, HOME, now_ns=NOW_NS)
    with pytest.raises(IpLocked):
        ips.set(CLIENT_ID, IpFlag.PRIMARY, AWAY, now_ns=NOW_NS + 8 * DAY_NS)
    with pytest.raises(IpLocked):
        ips.modify(CLIENT_ID, IpFlag.PRIMARY, AWAY, now_ns=NOW_NS + 7 * DAY_NS - 1)
    assert ips.of(CLIENT_ID)[IpFlag.PRIMARY].changeable_on == trading_day(NOW_NS + 7 * DAY_NS)
    ips.modify(CLIENT_ID, IpFlag.PRIMARY, AWAY, now_ns=NOW_NS + 7 * DAY_NS)
    assert (ips.allows(CLIENT_ID, AWAY), ips.allows(CLIENT_ID, HOME)) == (True, False)
    with pytest.raises(IpLocked):
        ips.modify(CLIENT_ID, IpFlag.PRIMARY, HOME, now_ns=NOW_NS + 8 * DAY_NS)


def test_what_is_not_set_cannot_be_changed_and_what_is_no_address_cannot_be_set() -> None:
    ips = StaticIps()
    with pytest.raises(IpNotSet):
        ips.modify(CLIENT_ID, IpFlag.PRIMARY, HOME, now_ns=NOW_NS)
    with pytest.raises(ValueError, match="does not appear to be"):
        ips.set(CLIENT_ID, IpFlag.PRIMARY, "home", now_ns=NOW_NS)


def test_a_client_can_be_taken_to_be_elsewhere() -> None:
    ips = StaticIps()
    ips.set(CLIENT_ID, IpFlag.PRIMARY, HOME, now_ns=NOW_NS)
    ips.pretend(CLIENT_ID, AWAY)
    assert not ips.allows(CLIENT_ID, HOME)
    ips.pretend(CLIENT_ID, None)
    assert ips.allows(CLIENT_ID, HOME)


# --- Consents


def key_of(client_id: str = CLIENT_ID) -> dict[str, str]:
    app_id, app_secret = api_key_of(client_id, secret=SECRET)
    return {"app_id": app_id, "app_secret": app_secret}


def test_a_consent_leads_to_its_client_and_each_step_is_good_once() -> None:
    consents = Consents(SECRET)
    consent_id = consents.ask(CLIENT_ID, **key_of(), now_ns=NOW_NS)
    token_id = consents.give(consent_id)
    assert consents.consume(token_id, **key_of()) == CLIENT_ID
    with pytest.raises(ConsentUnknown):
        consents.give(consent_id)
    with pytest.raises(ConsentUnknown):
        consents.consume(token_id, **key_of())


def test_the_key_of_another_opens_nothing_and_spoils_nothing() -> None:
    consents = Consents(SECRET)
    with pytest.raises(ApiKeyWrong):
        consents.ask(CLIENT_ID, **key_of(OTHER_CLIENT_ID), now_ns=NOW_NS)
    token_id = consents.give(consents.ask(CLIENT_ID, **key_of(), now_ns=NOW_NS))
    with pytest.raises(ApiKeyWrong):
        consents.consume(token_id, **key_of(OTHER_CLIENT_ID))
    assert consents.consume(token_id, **key_of()) == CLIENT_ID


def test_consents_are_counted_by_client_and_day() -> None:
    consents = Consents(SECRET)
    issued = {consents.ask(CLIENT_ID, **key_of(), now_ns=NOW_NS) for _ in range(CONSENTS_A_DAY_MAX)}
    assert len(issued) == CONSENTS_A_DAY_MAX
    with pytest.raises(ConsentsExhausted):
        consents.ask(CLIENT_ID, **key_of(), now_ns=NOW_NS)
    consents.ask(OTHER_CLIENT_ID, **key_of(OTHER_CLIENT_ID), now_ns=NOW_NS)
    consents.ask(CLIENT_ID, **key_of(), now_ns=NOW_NS + DAY_NS)


def test_whoever_sees_the_consents_in_a_traceback_does_not_see_the_secret() -> None:
    assert repr(SECRET) not in repr(Consents(SECRET))


# --- Margins, holdings, ledger


def leg(side: Side, quantity: int, *, product: str = "INTRADAY", price_e4: int = 100) -> Leg:
    return Leg(instrument=RELIANCE, product=product, side=side, quantity=quantity, price_e4=price_e4)


def test_an_intraday_order_binds_a_part_of_its_value_and_delivery_all_of_it() -> None:
    assert margin_e4("INTRADAY", quantity=10, price_e4=100, intraday_leverage=5) == 200
    assert margin_e4("CNC", quantity=10, price_e4=100, intraday_leverage=5) == 1_000


def test_orders_on_two_sides_bind_what_the_larger_side_does() -> None:
    legs = [leg(Side.BUY, 10), leg(Side.SELL, 30), leg(Side.BUY, 5), leg(Side.BUY, 7, product="CNC", price_e4=90)]
    assert margin_together_e4(legs, intraday_leverage=5) == 30 * 100 // 5 + 7 * 90


def held(*, carried: int, sold: int = 0) -> Holding:
    holding = Holding(INSTRUMENTS.by_key(RELIANCE, market_time_ns=NOW_NS), "CNC")
    holding.carry(carried, carried * 13_000_000)
    holding.sold_quantity, holding.sold_value_e4 = sold, sold * 13_100_000
    return holding


def test_a_holding_is_what_was_carried_and_what_is_left_of_it_to_sell() -> None:
    row = holding_row(held(carried=10, sold=4), 13_200_000)
    assert (row["totalQty"], row["availableQty"], row["avgCostPrice"], row["lastTradedPrice"]) == (
        10,
        6,
        1300.0,
        1320.0,
    )


def test_the_ledger_has_the_closing_balance_first_and_what_the_day_earned_before_the_opening_one() -> None:
    account = Account(CLIENT_ID, 100_000_00, holdings={(RELIANCE, "CNC"): held(carried=10, sold=4)})
    today = trading_day(NOW_NS)
    rows = ledger_rows(account, today=today, is_today_within=True)
    assert [(row["narration"], row["credit"], row["runbal"]) for row in rows] == [
        ("CLOSING BALANCE", "0.00", "100040.00"),
        ("TRADES", "40.00", "100040.00"),
        ("OPENING BALANCE", "0.00", "100000.00"),
    ]
    assert rows[1]["voucherdate"] == "Apr 15, 2026"
    assert [row["runbal"] for row in ledger_rows(account, today=today, is_today_within=False)] == ["100000.00"] * 2
