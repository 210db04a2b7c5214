"""Stops, flips, baskets, changes, closings and switches over HTTP: what is asked, and the shape of what is answered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from commands.accounts import CommandContext
from domain.account.commands import (
    AccountCommand,
    BeginSubmission,
    RecordAccepted,
    RecordFill,
    RecordForeignFill,
    RecordUnknown,
    RecordVenueOrder,
)
from domain.account.events import (
    AccountEvent,
    BasketOpened,
    CashMoved,
    Evidence,
    OrderIntended,
    OrderModifyRequested,
    TradeChanged,
    TradeOpened,
)
from domain.events import decode
from domain.ids import AccountId, CorrelationId, OrderId, TradeId, VenueFillId, VenueOrderId
from domain.order import OrderStatus, OrderType, Product, Purpose, Side
from tests.support.api import RELIANCE, ApiWorld

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "stop_loss": "2800"}
PLAIN: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10}
POSITION = "NSE_EQ-2885-INTRADAY"
PRICE_E4 = 2_850_00_00


class Trader:
    """Somebody who is logged in, and the venue that answers their orders."""

    def __init__(self, world: ApiWorld, headers: dict[str, str], account_id: AccountId) -> None:
        self.world = world
        self.headers = headers
        self.account_id = account_id
        self._keys = 0

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = "new", expect: int | None = None
    ) -> httpx.Response:
        headers = dict(self.headers)
        if key is not None:
            self._keys += 1
            headers["Idempotency-Key"] = str(self._keys) if key == "new" else key
        answer = await self.world.client.request(method, path, json=body, headers=headers)
        assert expect is None or answer.status_code == expect, answer.text
        return answer

    async def get(self, method: str, path: str, body: Any = None, *, expect: int) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.ask(method, path, body, expect=expect)).json()
        return answer

    async def open(self, **changed: Any) -> dict[str, Any]:
        """Open a trade without a stop and let its entry fill."""
        opened = await self.get("POST", "/api/trades", PLAIN | changed, expect=201)
        for order_id in opened["order_ids"]:
            await self.fill(order_id)
        return opened

    async def guarded(self, **changed: Any) -> dict[str, Any]:
        """Open a trade whose stop rests at the venue."""
        opened = await self.open(**(ORDER | changed))
        await self.accept(f"{opened['trade_id']}.2")
        return opened

    async def do(self, command: AccountCommand) -> None:
        context = CommandContext(actor="executor", source="executor", received_at_ns=self.world.clock.wall_ns())
        await self.world.services.accounts.carry_out(self.account_id, command, context)

    async def submit(self, order_id: str) -> None:
        now_ns = self.world.clock.wall_ns()
        order, correlation_id = OrderId(order_id), CorrelationId(f"c-{order_id}")
        await self.do(
            BeginSubmission(order_id=order, correlation_id=correlation_id, sender_epoch=1, market_time_ns=now_ns)
        )

    async def accept(self, order_id: str) -> None:
        await self.submit(order_id)
        venue_order_id = VenueOrderId(f"v-{order_id}")
        await self.do(RecordAccepted(order_id=OrderId(order_id), venue_order_id=venue_order_id, sent_at_ns=1))

    async def fill(self, order_id: str, price_e4: int = PRICE_E4) -> None:
        await self.accept(order_id)
        intended = next(event for event in await self.events(OrderIntended) if event.order_id == order_id)
        await self.do(
            RecordFill(
                order_id=OrderId(order_id),
                venue_fill_id=VenueFillId(f"f-{order_id}"),
                quantity=intended.instruction.quantity,
                price_e4=price_e4,
                filled_at_ns=self.world.clock.wall_ns(),
            )
        )

    async def events(self, kind: type[Any]) -> list[Any]:
        """Return the account's events of one kind."""
        stored = await self.world.log.read_stream(f"account-{self.account_id}")
        decoded: list[AccountEvent] = [decode(event.name, event.payload) for event in stored]  # type: ignore[misc]
        return [event for event in decoded if isinstance(event, kind)]


async def join(world: ApiWorld, email: str) -> Trader:
    headers = await world.log_in(email)
    me = await world.client.get("/api/auth/profile", headers=headers)
    return Trader(world, headers, AccountId(me.json()["account_id"]))


@pytest.fixture
async def asha() -> AsyncIterator[Trader]:
    world = ApiWorld()
    async with world.client:
        yield await join(world, "asha@example.in")


# --- Opening ----------------------------------------------------------------------------------------------------------


async def test_every_field_of_an_intent_arrives_in_the_trade(asha: Trader) -> None:
    intent = {
        "symbol": "RELIANCE",
        "side": "BUY",
        "quantity": 20,
        "order_type": "SL",
        "trigger_price": "2860.00",
        "limit_price": "2862.50",
        "disclosed_quantity": 10,
        "stop_loss": "2800",
        "trailing": {"distance": "20.00", "step": "2.5"},
        "protection": "engine",
        "strategy_id": "str_orb",
    }
    await asha.get("POST", "/api/trades", intent, expect=201)
    (opened,) = await asha.events(TradeOpened)
    entry = opened.entry
    assert (entry.order_type, entry.trigger_price_e4, entry.limit_price_e4) == (OrderType.SL, 2_860_00_00, 2_862_50_00)
    assert (entry.disclosed_quantity, entry.after_market) == (10, False)
    assert (opened.trailing.distance_e4, opened.trailing.step_e4) == (20_00_00, 2_50_00)
    assert (opened.protection.value, opened.strategy_id) == ("engine", "str_orb")


async def test_a_stop_rests_at_the_venue_unless_the_engine_is_asked_to_watch_alone(asha: Trader) -> None:
    await asha.open(**ORDER)
    await asha.open(**ORDER, protection="engine")
    stops = [order for order in await asha.events(OrderIntended) if order.purpose is Purpose.STOP]
    assert [(stop.instruction.order_type, stop.instruction.trigger_price_e4) for stop in stops] == [
        (OrderType.SL, 2_800_00_00)
    ]


async def test_an_intent_the_other_way_closes_first_and_opens_the_rest(asha: Trader) -> None:
    held = await asha.open()
    answer = await asha.ask("POST", "/api/trades", PLAIN | {"side": "SELL", "quantity": 25}, key="flip", expect=201)
    body = answer.json()
    exit_order = f"{held['trade_id']}.2"
    assert body["closing"] == [{"trade_id": held["trade_id"], "order_id": exit_order, "quantity": 10}]
    assert (body["trade_id"] != held["trade_id"], body["denial"]) == (True, None)
    assert answer.headers["Location"] == f"/api/trades/{body['trade_id']}"
    entry = (await asha.events(OrderIntended))[-1]
    assert (entry.order_id, entry.instruction.side, entry.instruction.quantity) == (body["order_id"], Side.SELL, 15)
    again = await asha.ask("POST", "/api/trades", PLAIN | {"side": "SELL", "quantity": 25}, key="flip")
    assert (again.status_code, again.json(), again.headers["Idempotent-Replay"]) == (201, body, "true")


async def test_an_intent_that_only_reduces_opens_no_trade(asha: Trader) -> None:
    held = await asha.open()
    body = await asha.get("POST", "/api/trades", PLAIN | {"side": "SELL", "quantity": 4}, expect=202)
    assert (body["trade_id"], body["order_id"], body["order_ids"], body["denial"]) == (None, None, [], None)
    assert body["closing"] == [{"trade_id": held["trade_id"], "order_id": f"{held['trade_id']}.2", "quantity": 4}]


async def test_a_rest_that_is_denied_keeps_nothing_from_being_closed(asha: Trader) -> None:
    held = await asha.open()
    body = await asha.get("POST", "/api/trades", PLAIN | {"side": "SELL", "quantity": 5_011}, expect=202)
    assert [part["quantity"] for part in body["closing"]] == [10]
    assert body["trade_id"] is None
    assert (body["denial"]["code"], body["denial"]["value"]) == ("QUANTITY_ABOVE_LIMIT", "5001")
    assert body["denial"]["trade_id"] != held["trade_id"]


async def test_a_flip_makes_the_resting_stop_the_order_that_closes(asha: Trader) -> None:
    held = await asha.guarded()
    body = await asha.get("POST", "/api/trades", PLAIN | {"side": "SELL"}, expect=202)
    assert body["closing"] == [{"trade_id": held["trade_id"], "order_id": f"{held['trade_id']}.2", "quantity": 10}]


async def test_an_exit_that_waits_for_the_venues_word_is_told_without_an_order(asha: Trader) -> None:
    held = await asha.open(**ORDER)
    stop = f"{held['trade_id']}.2"
    await asha.submit(stop)
    body = await asha.get("POST", f"/api/trades/{held['trade_id']}/close", expect=202)
    assert body["closing"] == [{"trade_id": held["trade_id"], "order_id": None, "quantity": None}]
    assert body["canceling"] == [stop]


async def test_a_strategys_trades_are_its_own(asha: Trader) -> None:
    await asha.open(strategy_id="str_a")
    body = await asha.get("POST", "/api/trades", PLAIN | {"side": "SELL", "strategy_id": "str_b"}, expect=201)
    assert body["closing"] == []


# --- Baskets ----------------------------------------------------------------------------------------------------------


async def test_a_basket_sends_its_first_rank_and_names_every_leg(asha: Trader) -> None:
    legs = [ORDER | {"rank": 1}, PLAIN | {"quantity": 5}]
    basket = {"legs": legs, "policy": "unwind"}
    answer = await asha.ask("POST", "/api/baskets", basket, key="b", expect=201)
    body = answer.json()
    (opened,) = await asha.events(BasketOpened)
    assert (body["basket_id"], body["policy"]) == (opened.basket_id, "unwind")
    first, second = body["legs"]
    assert (first["rank"], first["symbol"], first["order_ids"]) == (0, "RELIANCE", [f"{first['trade_id']}.1"])
    assert (second["rank"], second["order_ids"]) == (1, [])
    await asha.fill(first["order_ids"][0])
    assert (await asha.events(OrderIntended))[-1].trade_id == second["trade_id"]
    again = await asha.ask("POST", "/api/baskets", basket, key="b")
    assert (again.status_code, again.json()) == (201, body)
    assert len(await asha.events(BasketOpened)) == 1


async def test_a_basket_of_which_a_leg_is_denied_opens_nothing(asha: Trader) -> None:
    legs = [PLAIN, PLAIN | {"quantity": 5_001}]
    problem = await asha.get("POST", "/api/baskets", {"legs": legs}, expect=403)
    assert (problem["code"], problem["limit"], problem["value"]) == ("QUANTITY_ABOVE_LIMIT", "5000", "5001")
    assert not await asha.events(TradeOpened)


# --- Changing ---------------------------------------------------------------------------------------------------------


async def test_a_change_moves_the_levels_it_names_and_leaves_the_others(asha: Trader) -> None:
    held = await asha.guarded(target="2900")
    path = f"/api/trades/{held['trade_id']}"
    body = await asha.get("PUT", path, {"expected_version": 1, "stop_loss": "2810.5"}, expect=200)
    assert (body["version"], body["stop_loss"], body["target"], body["trailing"]) == (2, "2810.50", "2900.00", None)
    assert body["modifying"] == [f"{held['trade_id']}.2"]
    trailing = {"distance": "25", "step": "2"}
    change = {"expected_version": 2, "target": None, "trailing": trailing}
    body = await asha.get("PUT", path, change, expect=200)
    assert (body["version"], body["stop_loss"], body["target"]) == (3, "2810.50", None)
    assert body["trailing"] == {"distance": "25.00", "step": "2.00"}


async def test_taking_the_stop_away_has_it_canceled_at_the_venue(asha: Trader) -> None:
    held = await asha.guarded()
    change = {"expected_version": 1, "stop_loss": None}
    body = await asha.get("PUT", f"/api/trades/{held['trade_id']}", change, expect=200)
    assert (body["stop_loss"], body["canceling"]) == (None, [f"{held['trade_id']}.2"])


async def test_a_resting_entry_is_changed_at_the_venue(asha: Trader) -> None:
    limit = PLAIN | {"order_type": "LIMIT", "limit_price": "2845"}
    opened = await asha.get("POST", "/api/trades", limit, expect=201)
    path = f"/api/trades/{opened['trade_id']}"
    change = {"expected_version": 1, "limit_price": "2846", "quantity": 12}
    assert (await asha.get("PUT", path, change, expect=409))["code"] == "ENTRY_NOT_RESTING"
    await asha.accept(opened["order_id"])
    assert (await asha.get("PUT", path, change, expect=200))["modifying"] == [opened["order_id"]]
    (asked,) = await asha.events(OrderModifyRequested)
    assert (asked.instruction.limit_price_e4, asked.instruction.quantity) == (2_846_00_00, 12)


async def test_of_two_changes_of_one_version_one_wins_and_the_other_is_told(asha: Trader) -> None:
    held = await asha.guarded()
    path = f"/api/trades/{held['trade_id']}"
    answers = await asyncio.gather(
        *(
            asha.ask("PUT", path, {"expected_version": 1, "stop_loss": stop}, key=stop)
            for stop in ("2810", "2820", "2830", "2840")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    losers = [answer.json()["code"] for answer in answers if answer.status_code == 409]
    assert losers == ["TRADE_VERSION_MISMATCH"] * 3
    assert len(await asha.events(TradeChanged)) == 1


async def test_a_change_under_its_key_is_made_once_and_answered_alike(asha: Trader) -> None:
    held = await asha.guarded()
    path, change = f"/api/trades/{held['trade_id']}", {"expected_version": 1, "stop_loss": "2810"}
    first = await asha.ask("PUT", path, change, key="c", expect=200)
    again = await asha.ask("PUT", path, change, key="c", expect=200)
    assert (again.json(), again.headers["Idempotent-Replay"]) == (first.json(), "true")
    assert len(await asha.events(TradeChanged)) == 1


async def test_a_change_that_risk_denies_leaves_the_trade_as_it_is(asha: Trader) -> None:
    held = await asha.guarded()
    path = f"/api/trades/{held['trade_id']}"
    change = {"expected_version": 1, "trailing": {"distance": "25", "step": "0.05"}}
    problem = await asha.get("PUT", path, change, expect=403)
    assert (problem["code"], problem["trade_id"]) == ("TRAILING_STEP_TOO_SMALL", held["trade_id"])
    shown = (await asha.get("GET", f"{path}?min_sequence={problem['sequence']}", expect=200))["trade"]
    assert (shown["status"], shown["stop_loss"], shown["net_quantity"]) == ("open", "2800.00", 10)
    moved = await asha.get("PUT", path, {"expected_version": 1, "stop_loss": "2810"}, expect=200)
    assert moved["version"] == 2


async def test_canceling_takes_back_what_has_not_filled(asha: Trader) -> None:
    limit = PLAIN | {"order_type": "LIMIT", "limit_price": "2845"}
    unsent = await asha.get("POST", "/api/trades", limit, expect=201)
    body = await asha.get("POST", f"/api/trades/{unsent['trade_id']}/cancel", expect=202)
    assert (body["blocked"], body["canceling"]) == ([unsent["order_id"]], [])
    resting = await asha.get("POST", "/api/trades", limit, expect=201)
    await asha.accept(resting["order_id"])
    answer = await asha.ask("POST", f"/api/trades/{resting['trade_id']}/cancel", key=None, expect=202)
    assert (answer.json()["blocked"], answer.json()["canceling"]) == ([], [resting["order_id"]])
    twice = await asha.ask("POST", f"/api/trades/{resting['trade_id']}/cancel", key=None, expect=202)
    assert twice.json()["canceling"] == []


# --- Closing ----------------------------------------------------------------------------------------------------------


async def test_a_part_of_a_trade_is_closed_once_the_stop_has_made_room(asha: Trader) -> None:
    held = await asha.guarded()
    path = f"/api/trades/{held['trade_id']}/close"
    body = await asha.get("POST", path, {"quantity": 4}, expect=202)
    assert body["closing"] == [{"trade_id": held["trade_id"], "order_id": None, "quantity": 4}]
    (shrinking,) = await asha.events(OrderModifyRequested)
    assert (shrinking.instruction.order_type, shrinking.instruction.quantity) == (OrderType.SL, 6)
    await asha.do(
        RecordVenueOrder(
            order_id=shrinking.order_id,
            venue_order_id=VenueOrderId(f"v-{shrinking.order_id}"),
            status=OrderStatus.ACKNOWLEDGED,
            cumulative_quantity=0,
            message="",
            evidence=Evidence.ORDER_BOOK,
            quantity=6,
            order_type=OrderType.SL,
            limit_price_e4=shrinking.instruction.limit_price_e4,
            trigger_price_e4=shrinking.instruction.trigger_price_e4,
        )
    )
    exit_order = (await asha.events(OrderIntended))[-1]
    assert (exit_order.purpose, exit_order.instruction.quantity) == (Purpose.EXIT, 4)
    assert (await asha.get("POST", path, {"quantity": 7}, expect=422))["code"] == "QUANTITY_INVALID"


async def test_a_closed_trade_is_not_closed_again_but_its_key_is_answered_alike(asha: Trader) -> None:
    held = await asha.open()
    path = f"/api/trades/{held['trade_id']}/close"
    first = await asha.ask("POST", path, key="x", expect=202)
    (part,) = first.json()["closing"]
    await asha.fill(part["order_id"])
    again = await asha.ask("POST", path, key="x", expect=202)
    assert (again.json(), again.headers["Idempotent-Replay"]) == (first.json(), "true")
    assert (await asha.get("POST", path, expect=409))["code"] == "TRADE_CLOSED"
    assert (await asha.get("POST", path, {"quantity": 1}, expect=409))["code"] == "TRADE_CLOSED"


async def test_a_position_is_closed_whole_or_for_one_strategy(asha: Trader) -> None:
    mine, theirs = await asha.open(), await asha.open(strategy_id="str_a")
    path = f"/api/positions/close/{POSITION}"
    body = await asha.get("POST", path, {"strategy_id": "str_a"}, expect=202)
    assert (body["position_id"], body["trade_ids"]) == (POSITION, [theirs["trade_id"]])
    assert (await asha.get("POST", path, {"strategy_id": "str_b"}, expect=409))["code"] == "POSITION_NOT_OPEN"
    body = await asha.get("POST", path, expect=202)
    assert mine["trade_id"] in body["trade_ids"]
    assert body["order_ids"] == [f"{mine['trade_id']}.2"]


async def adopt(asha: Trader) -> TradeId:
    """Let something be bought outside."""
    trade_id = TradeId("trd_external")
    await asha.do(
        RecordForeignFill(
            adopted_as=trade_id,
            venue_fill_id=VenueFillId("foreign"),
            instrument=RELIANCE,
            product=Product.CNC,
            side=Side.BUY,
            quantity=3,
            price_e4=PRICE_E4,
            filled_at_ns=asha.world.clock.wall_ns(),
        )
    )
    return trade_id


async def test_what_came_from_outside_has_no_levels_to_move(asha: Trader) -> None:
    external = await adopt(asha)
    change = {"expected_version": 1, "stop_loss": "2800"}
    assert (await asha.get("PUT", f"/api/trades/{external}", change, expect=409))["code"] == "TRADE_EXTERNAL"


async def test_closing_all_leaves_what_came_from_outside_unless_asked(asha: Trader) -> None:
    external = await adopt(asha)
    mine, theirs = await asha.open(), await asha.open(strategy_id="str_a")
    path = "/api/positions/close-all"
    body = await asha.get("POST", path, {"scope": "strategy", "strategy_id": "str_a"}, expect=202)
    assert [part["trade_id"] for part in body["closing"]] == [theirs["trade_id"]]
    body = await asha.get("POST", path, {"scope": "account"}, expect=202)
    assert [part["trade_id"] for part in body["closing"]] == [mine["trade_id"]]
    body = await asha.get("POST", path, {"scope": "account", "includes_external": True}, expect=202)
    assert [(part["trade_id"], part["quantity"]) for part in body["closing"]] == [(external, 3)]


# --- Switches ---------------------------------------------------------------------------------------------------------


async def test_a_switch_that_flattens_closes_what_is_held_and_lists_what_it_could_not(asha: Trader) -> None:
    external = await adopt(asha)
    held = await asha.guarded()
    waiting = await asha.open(**ORDER)
    await asha.submit(f"{waiting['trade_id']}.2")
    lost = await asha.get("POST", "/api/trades", PLAIN, expect=201)
    await asha.submit(lost["order_id"])
    await asha.do(RecordUnknown(order_id=OrderId(lost["order_id"]), cause="no answer", sent_at_ns=1))
    unsent = await asha.get("POST", "/api/trades", PLAIN, expect=201)
    flatten = {"reason": "enough", "mode": "flatten"}
    answer = await asha.ask("POST", "/api/risk/kill-switch", flatten, key="k", expect=200)
    body = answer.json()
    assert (body["engaged"], body["mode"], body["scope"]) == (True, "flatten", "account")
    (switched,) = body["accounts"]
    assert switched["account_id"] == asha.account_id
    parts = {part["trade_id"]: (part["order_id"], part["quantity"]) for part in switched["closing"]}
    assert parts[held["trade_id"]] == (f"{held['trade_id']}.2", 10)
    assert parts[waiting["trade_id"]] == (None, None)
    assert switched["blocked"] == [unsent["order_id"]]
    assert lost["order_id"] in switched["canceling"]
    told = {each["trade_id"]: (each["quantity"], each["reason"]) for each in switched["not_done"]}
    assert told == {
        external: (3, "external"),
        waiting["trade_id"]: (10, "waits_for_venue"),
        lost["trade_id"]: (0, "order_unknown"),
    }
    again = await asha.ask("POST", "/api/risk/kill-switch", flatten, key="k", expect=200)
    assert (again.json(), again.headers["Idempotent-Replay"]) == (body, "true")


async def test_a_switch_that_halts_leaves_stops_and_holdings(asha: Trader) -> None:
    await asha.guarded()
    body = await asha.get("POST", "/api/risk/kill-switch", {"reason": "a look"}, expect=200)
    assert (body["mode"], body["accounts"][0]["closing"], body["accounts"][0]["not_done"]) == ("halt", [], [])
    body = await asha.get("POST", "/api/risk/kill-switch", {"reason": "enough", "mode": "flatten"}, expect=200)
    assert (body["mode"], len(body["accounts"][0]["closing"])) == ("flatten", 1)
    body = await asha.get("POST", "/api/risk/kill-switch", {"reason": "a look"}, expect=200)
    assert body["mode"] == "flatten", "a switch that flattens is not made a milder one"


async def test_everything_is_every_account_of_the_user(asha: Trader) -> None:
    body = await asha.get("POST", "/api/risk/kill-switch", {"reason": "x", "scope": "everything"}, expect=200)
    assert [each["account_id"] for each in body["accounts"]] == [asha.account_id]
    assert (await asha.get("POST", "/api/trades", PLAIN, expect=403))["code"] == "KILL_SWITCH_ENGAGED"
    body = await asha.get("DELETE", "/api/risk/kill-switch?scope=everything", expect=200)
    assert (body["engaged"], body["mode"]) == (False, None)


async def test_a_strategys_switch_is_its_own(asha: Trader) -> None:
    mine, theirs = await asha.open(), await asha.open(strategy_id="str_a")
    switch = {"reason": "it buys twice", "scope": "strategy", "strategy_id": "str_a", "mode": "flatten"}
    body = await asha.get("POST", "/api/risk/kill-switch", switch, expect=200)
    assert (body["strategy_id"], body["engaged"]) == ("str_a", True)
    assert [part["trade_id"] for part in body["accounts"][0]["closing"]] == [theirs["trade_id"]]
    assert mine["trade_id"] not in str(body)
    released = await asha.get("DELETE", "/api/risk/kill-switch", expect=200)
    assert released["engaged"] is False
    path = "/api/risk/kill-switch?scope=strategy&strategy_id=str_a"
    assert (await asha.get("DELETE", path, expect=200))["engaged"] is False


async def test_a_broken_invariant_is_released_by_name_and_with_a_reason(asha: Trader) -> None:
    path = "/api/risk/invariants/sent_twice/release"
    reason = {"reason": "the venue has it once"}
    assert (await asha.get("POST", path, reason, expect=409))["code"] == "INVARIANT_NOT_BREACHED"
    assert (await asha.get("POST", path.replace("sent_twice", "luck"), reason, expect=404))["code"] == (
        "INVARIANT_NOT_FOUND"
    )


async def test_a_latched_limit_is_released_by_name_and_with_a_reason(asha: Trader) -> None:
    path = "/api/risk/breaches/day_loss/release"
    reason = {"reason": "the loss was a wrong mark"}
    assert (await asha.get("POST", path, reason, expect=409))["code"] == "BREACH_NOT_LATCHED"
    held = await asha.open(quantity=100)
    closing = await asha.get("POST", f"/api/trades/{held['trade_id']}/close", expect=202)
    await asha.fill(closing["closing"][0]["order_id"], 2_300_00_00)  # A loss of 55,000 of 50,000 allowed.
    assert (await asha.get("POST", "/api/trades", PLAIN, expect=403))["code"] == "DAY_LOSS_LIMIT_REACHED"
    released = await asha.get("POST", path, reason, expect=200)
    assert released == {"kind": "day_loss", "sequence": await asha.world.stored()}
    assert (await asha.get("POST", path.replace("day_loss", "bad_luck"), reason, expect=404))["code"] == (
        "BREACH_NOT_FOUND"
    )


async def test_money_is_moved_once_under_its_key_in_and_out(asha: Trader) -> None:
    movement = {"amount": "-2500.50", "reason": "rent"}
    first = await asha.ask("POST", "/api/funds/movements", movement, key="m", expect=201)
    again = await asha.ask("POST", "/api/funds/movements", movement, key="m", expect=201)
    assert first.json() == {"amount": "-2500.50", "sequence": await asha.world.stored()}
    assert (again.json(), again.headers["Idempotent-Replay"]) == (first.json(), "true")
    assert [event.amount_paise for event in await asha.events(CashMoved)] == [-2_500_50]


# --- Whose it is ------------------------------------------------------------------------------------------------------


async def test_nobody_touches_the_trades_of_others(asha: Trader) -> None:
    held = await asha.guarded()
    ravi = await join(asha.world, "ravi@example.in")
    path = f"/api/trades/{held['trade_id']}"
    stored = await asha.world.stored()
    for method, where, body in (
        ("PUT", path, {"expected_version": 1, "stop_loss": None}),
        ("POST", f"{path}/cancel", None),
        ("POST", f"{path}/close", None),
    ):
        assert (await ravi.get(method, where, body, expect=404))["code"] == "TRADE_NOT_FOUND"
    assert await asha.world.stored() == stored
