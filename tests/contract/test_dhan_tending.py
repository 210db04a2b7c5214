"""What is looked after although nobody calls: refused addresses, tokens that end, dead ones."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.dhan.access.own_logins import OwnLogins
from adapters.dhan.access.tokens import PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.guard.address_gate import ADDRESS_REFUSED
from adapters.dhan.http.client import HttpClient
from adapters.dhan.secret import Secret
from commands.ports import Accepted, BrokerUnavailable, NotSent, Refused
from domain.order import NotSentReason, Purpose, RefusalReason
from tests.support.dhan import (
    ACCEPTED,
    ACCOUNT,
    CORRELATION,
    INVALID_TOKEN,
    LIMIT_BUY,
    MARKET_SELL,
    ORDERS_PATH,
    OTHER_ACCOUNT,
    HandClock,
    settings_for,
    token_answer,
    venue_and_broker,
)
from tests.support.venue import Venue, answer

NEVER_S = 3_600.0
INVALID_IP = {"errorType": "Input_Exception", "errorCode": "DH-905", "errorMessage": "Invalid IP"}
GET_IP = "/v2/ip/getIP"
DAY_S = 86_400


async def entry(broker: DhanBroker, account_id: Any = ACCOUNT) -> object:
    return await broker.place(account_id, LIMIT_BUY, CORRELATION, Purpose.ENTRY)


async def refuse_address(venue: Venue, broker: DhanBroker) -> None:
    venue.on("POST", ORDERS_PATH, answer(400, INVALID_IP))
    placement = await entry(broker)
    assert isinstance(placement, Refused)
    assert placement.reason is RefusalReason.IP
    venue.on("POST", ORDERS_PATH, answer(200, ACCEPTED))


async def test_after_invalid_ip_entries_are_not_sent_and_it_is_told_by_a_stable_code() -> None:
    async with venue_and_broker(address_retry_s=NEVER_S) as (venue, broker):
        await refuse_address(venue, broker)
        held_back = await entry(broker)
        assert isinstance(held_back, NotSent)
        assert held_back.reason is NotSentReason.HELD_BACK
        assert held_back.cause == "VENUE_ADDRESS_REFUSED: the venue said 'Invalid IP'"
        assert broker.is_held_back(ACCOUNT, Purpose.ENTRY)
        shown = broker.status()["writes_held_back"][ACCOUNT]
        assert (shown["code"], shown["message"]) == (ADDRESS_REFUSED, "Invalid IP")
        assert len(venue.requests("POST", ORDERS_PATH)) == 1
        assert isinstance(await entry(broker, OTHER_ACCOUNT), Accepted)  # An address is an account's own trouble.
        venue.on("GET", "/v2/orders", answer(200, []))
        assert await broker.orders(ACCOUNT) == []  # Reads come from anywhere.


async def test_an_exit_is_tried_nevertheless_and_what_it_finds_lets_entries_through() -> None:
    async with venue_and_broker(address_retry_s=0.0) as (venue, broker):
        await refuse_address(venue, broker)
        assert broker.is_held_back(ACCOUNT, Purpose.ENTRY)
        assert not broker.is_held_back(ACCOUNT, Purpose.EXIT)
        assert isinstance(await broker.place(ACCOUNT, MARKET_SELL, CORRELATION, Purpose.EXIT), Accepted)
        assert isinstance(await entry(broker), Accepted)
        assert broker.status()["writes_held_back"] == {}


async def test_exits_of_a_refused_address_are_paced() -> None:
    async with venue_and_broker(address_retry_s=NEVER_S) as (venue, broker):
        await refuse_address(venue, broker)
        assert broker.is_held_back(ACCOUNT, Purpose.EXIT)
        assert isinstance(await broker.place(ACCOUNT, MARKET_SELL, CORRELATION, Purpose.EXIT), NotSent)
        with pytest.raises(BrokerUnavailable, match=ADDRESS_REFUSED):
            await broker.cancel(ACCOUNT, ACCEPTED["orderId"])  # type: ignore[arg-type]


async def test_the_venues_page_on_addresses_lets_writes_through_again_and_nothing_less_does() -> None:
    held = {"address_retry_s": NEVER_S, "address_check_s": 0.0, "breaker_failures_max": 100}
    async with venue_and_broker(**held) as (venue, broker):
        await refuse_address(venue, broker)
        registered = {"primaryIP": "203.0.113.7", "secondaryIP": "NA"}
        not_telling = [
            answer(503),
            answer(200, [{"message": "Something went wrong", "status": "ERROR"}]),
            answer(200, registered),
            answer(200, {**registered, "detectedIP": "198.51.100.1"}),
        ]
        for page in not_telling:
            venue.on("GET", GET_IP, page)
            await broker.tend_once()
            assert broker.is_held_back(ACCOUNT, Purpose.ENTRY)
        venue.on("GET", GET_IP, answer(200, {**registered, "detectedIP": "203.0.113.7"}))
        await broker.tend_once()
        assert isinstance(await entry(broker), Accepted)


async def test_the_page_is_asked_at_its_pace_and_only_while_something_is_held_back() -> None:
    async with venue_and_broker(address_retry_s=NEVER_S, address_check_s=NEVER_S) as (venue, broker):
        await broker.tend_once()
        assert venue.requests("GET", GET_IP) == []
        await refuse_address(venue, broker)
        venue.on("GET", GET_IP, answer(200, {"primaryIP": "203.0.113.7"}))
        for _ in range(3):
            await broker.tend_once()
        assert len(venue.requests("GET", GET_IP)) == 1


async def test_an_operator_lets_writes_through_again() -> None:
    async with venue_and_broker(address_retry_s=NEVER_S) as (venue, broker):
        await refuse_address(venue, broker)
        assert broker.release_writes(ACCOUNT)
        assert not broker.release_writes(ACCOUNT)
        assert isinstance(await entry(broker), Accepted)


async def test_a_refusal_of_another_input_holds_nothing_back() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(400, {**INVALID_IP, "errorMessage": "Invalid quantity"}))
        assert isinstance(await entry(broker), Refused)
        assert isinstance(await entry(broker), Refused)


# --- Tokens ---


def jwt(expires_at_s: int) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expires_at_s}).encode()).rstrip(b"=").decode()
    return f"e30.{claims}.signature"


@asynccontextmanager
async def own_account(clock: HandClock, token: str) -> AsyncIterator[tuple[Venue, DhanBroker, OwnLogins]]:
    """Yield a venue and the broker of a person's own account there, whose token was given."""
    async with Venue() as venue:
        settings = settings_for(venue.url, client_id="1000000001", access_token=Secret(token))
        client = HttpClient(settings, clock)
        logins = OwnLogins(settings, PinLogin(client, settings, clock), clock)
        broker = DhanBroker(settings, logins, client, clock)
        try:
            yield venue, broker, logins
        finally:
            await broker.aclose()


async def test_a_token_is_renewed_ahead_of_its_end_although_nobody_calls() -> None:
    clock = HandClock()
    ends_s = clock.wall_ns() // 10**9 + DAY_S
    async with own_account(clock, jwt(ends_s)) as (venue, broker, _):
        venue.on("GET", "/v2/orders", answer(200, []))
        venue.on("GET", "/v2/RenewToken", answer(200, token_answer(jwt(ends_s + DAY_S))))
        await broker.orders(ACCOUNT)
        shown = broker.status()["tokens"][ACCOUNT]
        assert (shown["state"], shown["seconds_left"], shown["renews_in_s"]) == ("live", DAY_S, DAY_S - 900)
        clock.advance(DAY_S - 901)
        await broker.tend_once()
        assert broker.status()["tokens"][ACCOUNT]["state"] == "ending"
        assert venue.requests("GET", "/v2/RenewToken") == []
        clock.advance(1)
        await broker.tend_once()
        [request] = venue.requests("GET", "/v2/RenewToken")
        assert request.headers["access-token"] == jwt(ends_s)
        assert request.headers["dhanclientid"] == "1000000001"
        assert broker.status()["tokens"][ACCOUNT]["state"] == "live"


async def test_a_token_that_cannot_be_renewed_serves_to_its_end_and_is_told_all_the_while() -> None:
    clock = HandClock()
    ends_s = clock.wall_ns() // 10**9 + DAY_S
    async with own_account(clock, jwt(ends_s)) as (venue, broker, _):
        venue.on("GET", "/v2/orders", answer(200, []))
        venue.on("GET", "/v2/RenewToken", answer(400, INVALID_TOKEN))
        await broker.orders(ACCOUNT)
        clock.advance(DAY_S - 60)
        await broker.tend_once()
        shown = broker.status()["tokens"][ACCOUNT]
        assert (shown["state"], shown["seconds_left"]) == ("ending", 60)
        assert "renewal of client 1000000001 refused: DH-906" in shown["cause"]
        assert await broker.orders(ACCOUNT) == []
        clock.advance(61)
        await broker.tend_once()
        assert broker.status()["tokens"][ACCOUNT]["state"] == "ended"
        with pytest.raises(BrokerUnavailable, match="no token"):
            await broker.orders(ACCOUNT)


async def test_a_dead_token_is_told_until_a_person_brings_another() -> None:
    async with own_account(HandClock(), "old") as (venue, broker, logins):
        venue.on("GET", "/v2/orders", answer(400, INVALID_TOKEN), answer(200, []))
        with pytest.raises(BrokerUnavailable):
            await broker.orders(ACCOUNT)
        shown = broker.status()["tokens"][ACCOUNT]
        assert (shown["state"], shown["seconds_left"]) == ("refused", 0)
        broker.tokens.put(ACCOUNT, logins.session_of_token(Secret("new")))
        assert await broker.orders(ACCOUNT) == []
        assert venue.requests("GET", "/v2/orders")[-1].headers["access-token"] == "new"
        assert broker.status()["tokens"][ACCOUNT]["state"] == "live"
        assert "old" not in repr(broker.status())
