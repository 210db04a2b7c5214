"""Breakers around the venue: what they hold back, what passes, and what closes them again."""

import asyncio

import pytest

from adapters.dhan.broker import DhanBroker
from commands.ports import Accepted, BrokerUnavailable, NotSent, OutcomeUnknown, Refused
from domain.order import NotSentReason, Purpose
from projections.tasks import end
from tests.support.dhan import (
    ACCEPTED,
    ACCOUNT,
    CORRELATION,
    INVALID_TOKEN,
    LIMIT_BUY,
    MARKET_SELL,
    ORDERS_PATH,
    PROFILE_PATH,
    TOKEN_PATH,
    UNHEALTHY,
    token_answer,
    venue_and_broker,
)
from tests.support.eventually import eventually
from tests.support.venue import Venue, answer, hang

NEVER_S = 3600.0
DOWN = answer(503)
IN_REACH = answer(200, ACCEPTED)


async def place_entry(broker: DhanBroker) -> object:
    return await broker.place(ACCOUNT, LIMIT_BUY, CORRELATION, Purpose.ENTRY)


async def place_exit(broker: DhanBroker) -> object:
    return await broker.place(ACCOUNT, MARKET_SELL, CORRELATION, Purpose.EXIT)


async def open_entries(venue: Venue, broker: DhanBroker) -> None:
    venue.on("POST", ORDERS_PATH, DOWN)
    for _ in range(3):
        assert isinstance(await place_entry(broker), OutcomeUnknown)


def state_of(broker: DhanBroker, call_class: str) -> str:
    return str(broker.status()["breakers"][call_class]["state"])


async def test_the_order_that_trips_the_breaker_is_unknown_and_the_next_is_not_sent() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S) as (venue, broker):
        await open_entries(venue, broker)
        placement = await place_entry(broker)
        assert isinstance(placement, NotSent)
        assert placement.breaker_open
        assert broker.is_held_back(ACCOUNT, Purpose.ENTRY)
        assert len(venue.requests("POST", ORDERS_PATH)) == 3


async def test_open_entries_hold_back_no_exit_and_no_look_up() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S) as (venue, broker):
        await open_entries(venue, broker)
        venue.on("POST", ORDERS_PATH, IN_REACH)
        venue.on("GET", ORDERS_PATH, answer(200, []))
        assert not broker.is_held_back(ACCOUNT, Purpose.EXIT)
        assert isinstance(await place_exit(broker), Accepted)
        assert await broker.orders(ACCOUNT) == []


async def test_an_entry_that_waits_too_long_keeps_others_from_following_it() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S, breaker_stall_s=0.05) as (venue, broker):
        venue.on("POST", ORDERS_PATH, hang())
        stuck = asyncio.create_task(place_entry(broker))
        await eventually(lambda: state_of(broker, "entries") == "open")
        assert isinstance(await place_entry(broker), NotSent)
        assert len(venue.requests("POST", ORDERS_PATH)) == 1
        await end(stuck)


async def test_an_entry_that_waited_too_long_is_still_told_what_became_of_it() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S, breaker_stall_s=0.05, read_timeout_s=0.5) as (venue, broker):
        venue.on("POST", ORDERS_PATH, hang())
        assert isinstance(await place_entry(broker), OutcomeUnknown)
        (opened,) = broker.status()["breakers"]["entries"]["transitions"]
        assert opened["cause"] == "no answer for 0.05 s"


async def test_an_exit_that_waits_as_long_slows_down_no_other() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S, breaker_stall_s=0.05) as (venue, broker):
        venue.on("POST", ORDERS_PATH, hang())
        stuck = [asyncio.create_task(place_exit(broker))]
        await eventually(lambda: len(venue.requests("POST", ORDERS_PATH)) == 1)
        stuck.append(asyncio.create_task(place_entry(broker)))  # Its time is over after that of the exit.
        await eventually(lambda: state_of(broker, "entries") == "open")
        assert state_of(broker, "exits") == "closed"
        await end(*stuck)


async def test_an_exit_is_tried_although_its_own_breaker_is_open_and_at_its_pace() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S, exit_pace_s=0.05) as (venue, broker):
        venue.on("POST", ORDERS_PATH, DOWN)
        for _ in range(3):
            assert isinstance(await place_exit(broker), OutcomeUnknown)
        assert state_of(broker, "exits") == "open"
        venue.on("POST", ORDERS_PATH, IN_REACH)
        assert isinstance(await place_exit(broker), Accepted)
        assert broker.is_held_back(ACCOUNT, Purpose.EXIT)  # Until the pace allows the next.
        assert isinstance(await place_exit(broker), Accepted)  # It waits for its turn.
        assert state_of(broker, "exits") == "open"


async def test_a_harmless_read_closes_the_breaker_and_never_an_order() -> None:
    async with venue_and_broker() as (venue, broker):
        await open_entries(venue, broker)
        await eventually(lambda: state_of(broker, "entries") == "closed")
        assert len(venue.requests("POST", ORDERS_PATH)) == 3
        assert len(venue.requests("GET", PROFILE_PATH)) == 1
        assert [step["to"] for step in broker.status()["breakers"]["entries"]["transitions"]] == [
            "open",
            "half_open",
            "closed",
        ]
        assert not broker.is_held_back(ACCOUNT, Purpose.ENTRY)


async def test_a_trial_that_fails_is_made_again_until_one_succeeds() -> None:
    async with venue_and_broker(breaker_reset_s=0.02, probe_timeout_s=0.15) as (venue, broker):
        venue.on("GET", PROFILE_PATH, answer(502), hang(), answer(200, {"dhanClientId": "1000000001"}))
        await open_entries(venue, broker)
        await eventually(lambda: state_of(broker, "entries") == "closed")
        assert len(venue.requests("GET", PROFILE_PATH)) >= 3


async def test_an_entry_that_comes_when_the_trial_is_due_waits_for_it() -> None:
    async with venue_and_broker(breaker_reset_s=0.03) as (venue, broker):
        await open_entries(venue, broker)
        venue.on("POST", ORDERS_PATH, IN_REACH)
        await eventually(lambda: state_of(broker, "entries") != "open")
        placements = await asyncio.gather(*(place_entry(broker) for _ in range(10)))
        assert all(isinstance(placement, Accepted) for placement in placements)
        assert len(venue.requests("GET", PROFILE_PATH)) == 1


async def test_a_refusal_of_the_trial_is_a_sign_of_life() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("GET", PROFILE_PATH, answer(400, INVALID_TOKEN))
        await open_entries(venue, broker)
        await eventually(lambda: state_of(broker, "entries") == "closed")


async def test_refusals_open_no_breaker() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S) as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(400, {"errorCode": "DH-905", "errorMessage": "Invalid quantity"}))
        for _ in range(10):
            assert isinstance(await place_entry(broker), Refused)
        assert state_of(broker, "entries") == "closed"


async def test_a_bare_429_opens_no_breaker_and_pauses() -> None:
    async with venue_and_broker(rate_limit_pause_s=NEVER_S) as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(429))
        assert isinstance(await place_entry(broker), OutcomeUnknown)
        held_back = await place_entry(broker)
        assert isinstance(held_back, NotSent)
        assert held_back.reason is NotSentReason.HELD_BACK
        assert state_of(broker, "entries") == "closed"


async def test_refused_connections_open_the_breaker() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S) as (venue, broker):
        venue.on("POST", ORDERS_PATH, IN_REACH)
        await place_entry(broker)
        await venue.stop()
        placements = [await place_entry(broker) for _ in range(4)]
        assert [placement == NotSent(cause="ConnectError") for placement in placements] == [True, True, True, False]
        assert state_of(broker, "entries") == "open"


async def test_look_ups_are_held_back_once_their_breaker_is_open() -> None:
    async with venue_and_broker(breaker_reset_s=NEVER_S, read_attempts=3) as (venue, broker):
        venue.on("GET", ORDERS_PATH, answer(500, UNHEALTHY))
        with pytest.raises(BrokerUnavailable):
            await broker.orders(ACCOUNT)
        with pytest.raises(BrokerUnavailable, match="breaker"):
            await broker.orders(ACCOUNT)
        assert len(venue.requests("GET", ORDERS_PATH)) == 3


async def test_a_log_in_that_is_down_holds_orders_back_and_mends_itself() -> None:
    async with venue_and_broker(login_pause_s=0.0, breaker_reset_s=0.05) as (venue, broker):
        venue.on("POST", ORDERS_PATH, IN_REACH)
        venue.on("POST", TOKEN_PATH, DOWN)
        for _ in range(3):
            assert isinstance(await place_entry(broker), NotSent)
        assert state_of(broker, "login") == "open"
        assert broker.is_held_back(ACCOUNT, Purpose.EXIT)
        venue.on("POST", TOKEN_PATH, answer(200, token_answer("token-1")))
        await eventually(lambda: not broker.is_held_back(ACCOUNT, Purpose.EXIT))
        assert isinstance(await place_entry(broker), Accepted)
        assert state_of(broker, "login") == "closed"


async def test_the_status_counts_and_times_calls() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", ORDERS_PATH, IN_REACH, answer(400, {"errorCode": "DH-905", "errorMessage": "no"}), DOWN)
        for _ in range(3):
            await place_entry(broker)
        calls = broker.status()["calls"]["entries"]
        assert calls["outcomes"] == {"answered": 1, "refused_input": 1, "unknown": 1}
        assert 0 < calls["latency_ms"]["p50"] <= calls["latency_ms"]["p99"]
        assert broker.status()["logins"] == 1


async def test_every_change_of_a_breaker_is_there_to_be_recorded_without_the_venues_words() -> None:
    async with venue_and_broker() as (venue, broker):
        venue.on("POST", ORDERS_PATH, answer(500, UNHEALTHY))
        for _ in range(3):
            await place_entry(broker)
        await eventually(lambda: state_of(broker, "entries") == "closed")
        changes = broker.take_breaker_changes()
        assert broker.take_breaker_changes() == []
    assert [(change.host, change.call_class, change.to_state.value) for change in changes] == [
        ("127.0.0.1", "entries", "open"),
        ("127.0.0.1", "entries", "half_open"),
        ("127.0.0.1", "entries", "closed"),
    ]
    assert [change.cause for change in changes] == ["HTTP 500", "reset time-out", "trial succeeded"]
