"""What the API shows of orders, limits and risk, now and of the past, of an account whose events are given."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from domain.account.events import AccountEvent, OrderSubmitting, TradeOpened
from domain.ids import AccountId
from domain.order import Product
from domain.risk import RiskParameters
from tests.support.api import ApiWorld
from tests.support.log_writing import Scribe
from tests.support.memory_bars import bars_until
from tests.support.past_answers import without_prices
from tests.support.specimens import (
    ENTRY,
    EXIT,
    EXTERNAL_TRADE,
    INFY,
    NOW_NS,
    NS_PER_MS,
    NS_PER_S,
    RELIANCE,
    STOP,
    TODAY,
    TRADE,
    VENUE_ENTRY,
    VENUE_STOP,
    WIDENED,
    adopted,
    basket_opened,
    cash_moved,
    corporate_action_applied,
    exit_filled,
    exit_intended,
    exit_triggered,
    flatten_finished,
    foreign_sale_allocated,
    guarded,
    intents_suppressed,
    invariant_breached,
    invariant_released,
    kill_switch_engaged,
    limits_changed,
    order_cancel_requested,
    order_denied,
    order_modified,
    order_modify_requested,
    preopen_checked,
    protection_lapsed,
    risk_breach_released,
    risk_breached,
    stop_intended,
    stop_trailed,
    strategys_switch_engaged,
    trade_adopted,
    trade_changed,
    trade_closed,
)

RISK_VIEWS = ("risk/portfolio", "risk/exposure", "risk/drawdown", "risk/value-at-risk", "risk/parameters")
VIEWS = (*RISK_VIEWS, "positions", "orders", f"trades/{TRADE}/orders", f"trades/{TRADE}")
[strategys_trade] = [event for event in WIDENED if isinstance(event, TradeOpened)]
[holding] = [guarded[1:]]


class Trader:
    """Somebody who is logged in, and the events of their account."""

    def __init__(self, world: ApiWorld, headers: dict[str, str], account_id: AccountId) -> None:
        self._world = world
        self._headers = headers
        self._stream = f"account-{account_id}"
        self._scribe = Scribe(world.log, {self._stream: 1})

    async def live(self, *events: AccountEvent) -> int:
        """Let *events* happen, and return the last one's sequence."""
        return await self._scribe.write(self._stream, events)

    async def send(self, path: str, body: dict[str, Any], *, key: str) -> httpx.Response:
        headers = {**self._headers, "Idempotency-Key": key}
        return await self._world.client.post(f"/api/{path}", headers=headers, json=body)

    async def ask(self, path: str, expected: int = 200, /, **query: Any) -> dict[str, Any]:
        answer = await self._world.client.get(f"/api/{path}", headers=self._headers, params=query)
        assert answer.status_code == expected, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
async def world() -> AsyncIterator[ApiWorld]:
    made = ApiWorld()
    made.clock.advance_s((NOW_NS + 60 * NS_PER_S - made.clock.wall_ns()) / NS_PER_S)
    async with made.client:
        yield made


@pytest.fixture
async def asha(world: ApiWorld) -> Trader:
    headers = await world.log_in()
    profile = (await world.client.get("/api/auth/profile", headers=headers)).json()
    return Trader(world, headers, AccountId(profile["account_id"]))


# --- Orders and trades ---


async def test_orders_come_newest_first_in_pages_with_their_trades_symbol(asha: Trader) -> None:
    await asha.live(*holding)
    page = await asha.ask("orders", limit=1)
    assert [(each["order_id"], each["symbol"], each["purpose"]) for each in page["orders"]] == [
        (STOP, "RELIANCE", "stop")
    ]
    assert page["orders"][0]["trigger_price"] == "2800.00"
    oldest = await asha.ask("orders", limit=1, sort="oldest")
    newer = await asha.ask("orders", limit=1, sort="oldest", after=oldest["next_after"])
    assert [each["order_id"] for each in oldest["orders"] + newer["orders"]] == [ENTRY, STOP]
    assert newer["next_after"] is None
    page = await asha.ask("orders", limit=1, before=page["next_before"])
    assert [(each["order_id"], each["average_price"]) for each in page["orders"]] == [(ENTRY, "2850.00")]
    assert page["next_before"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "filled"}, [ENTRY]),
        ({"purpose": "stop"}, [STOP]),
        ({"symbol": "RELIANCE"}, [STOP, ENTRY]),
        ({"symbol": "INFY"}, []),
        ({"trade_id": TRADE}, [STOP, ENTRY]),
        ({"strategy_id": "str_other"}, []),
        ({"strategy_id": strategys_trade.strategy_id}, []),
        ({"status": "acknowledged", "purpose": "entry"}, []),
    ],
)
async def test_orders_are_filtered(asha: Trader, query: dict[str, Any], expected: Sequence[str]) -> None:
    await asha.live(*holding)
    assert [each["order_id"] for each in (await asha.ask("orders", **query))["orders"]] == expected


async def test_a_strategys_orders_and_trades_are_found_by_it(asha: Trader) -> None:
    await asha.live(strategys_trade, *holding[1:])
    query = {"strategy_id": strategys_trade.strategy_id}
    assert len((await asha.ask("orders", **query))["orders"]) == 2
    [trade] = (await asha.ask("trades", **query))["trades"]
    assert (trade["strategy_id"], trade["protection"]) == (strategys_trade.strategy_id, "resting")
    assert trade["trailing"] == {"distance": "40.00", "step": "5.00"}
    assert (await asha.ask("trades", strategy_id="str_other"))["trades"] == []


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("orders", {"status": "half"}),
        ("orders", {"purpose": "fun"}),
        ("orders", {"limit": 0}),
        ("orders", {"symbol": ""}),
        ("orders", {"before": -1}),
        ("orders", {"after": -1}),
        ("orders", {"sort": "name"}),
        ("trades", {"day": "today"}),
        ("trades", {"day": "2026-02-30"}),
        ("trades", {"strategy_id": "a b"}),
        ("risk/parameters", {"limit": 1_000}),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(asha: Trader, path: str, query: dict[str, Any]) -> None:
    assert (await asha.ask(path, 422, **query))["status"] == 422


async def test_a_trades_orders_are_shown_alone_and_only_to_their_owner(world: ApiWorld, asha: Trader) -> None:
    await asha.live(*holding, order_modify_requested)
    shown = await asha.ask(f"trades/{TRADE}/orders")
    assert [each["order_id"] for each in shown["orders"]] == [ENTRY, STOP]
    assert shown["orders"] == (await asha.ask(f"trades/{TRADE}"))["orders"]
    stop = shown["orders"][1]
    assert (stop["modifications"], stop["modify_cause"], stop["trigger_price"]) == (1, "level", "2800.00")
    assert stop["wanted"]["trigger_price"] == "2830.00"
    headers = await world.log_in("ravi@example.in")
    answer = await world.client.get(f"/api/trades/{TRADE}/orders", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (404, "TRADE_NOT_FOUND")
    assert (await world.client.get("/api/orders", headers=headers)).json()["orders"] == []


async def test_a_trade_shows_its_levels_its_stop_and_what_became_of_it(asha: Trader) -> None:
    await asha.live(*holding, trade_changed, stop_trailed, foreign_sale_allocated)
    trade = (await asha.ask(f"trades/{TRADE}"))["trade"]
    assert (trade["version"], trade["trail_count"], trade["stop_loss"], trade["best_price"]) == (
        2,
        1,
        "2830.00",
        "2870.00",
    )
    assert (trade["stop_order_id"], trade["guarded_quantity"], trade["net_quantity"]) == (STOP, 100, 60)


async def test_a_position_shows_whose_it_is_and_where_its_stop_trails(asha: Trader) -> None:
    await asha.live(*holding, trade_changed)
    for path in ("positions", "risk/portfolio"):
        [position] = (await asha.ask(path))["positions"]
        assert (position["trailing_stop"], position["best_price"]) == ("2810.00", None)
    last = await asha.live(stop_trailed)
    [position] = (await asha.ask("positions"))["positions"]
    assert (position["trailing_stop"], position["best_price"]) == ("2830.00", "2870.00")
    profile = await asha.ask("auth/profile")
    assert (position["user_id"], position["account_id"]) == (profile["user_id"], profile["account_id"])
    [then] = (await asha.ask("positions", at_sequence=last - 1))["positions"]
    assert (then["trailing_stop"], then["best_price"]) == ("2810.00", None)


async def test_a_trade_and_its_orders_are_named_as_the_venue_names_them(asha: Trader) -> None:
    await asha.live(*holding)
    shown = await asha.ask(f"trades/{TRADE}")
    assert [each["venue_order_id"] for each in shown["orders"]] == [VENUE_ENTRY, VENUE_STOP]
    assert shown["trade"]["entry_venue_order_id"] == VENUE_ENTRY


async def test_a_denial_says_what_would_have_passed(asha: Trader) -> None:
    await asha.live(replace(order_denied, passing="a quantity of 99"))
    [trade] = (await asha.ask("trades"))["trades"]
    assert trade["denial"] == {
        "code": "QUANTITY_ABOVE_LIMIT",
        "limit": "99",
        "value": "100",
        "passing": "a quantity of 99",
    }


# --- The portfolio ---


async def test_the_portfolio_shows_worth_cash_and_margin(asha: Trader) -> None:
    rich = replace(limits_changed.parameters, capital_paise=10_00_000_00)
    await asha.live(replace(limits_changed, parameters=rich), *holding, cash_moved, foreign_sale_allocated)
    shown = await asha.ask("risk/portfolio")
    assert (shown["capital"], shown["cash_moved"], shown["realised"]) == ("1000000.00", "-10000.00", "400.00")
    assert (shown["cash"], shown["value"]) == ("990400.00", "990400.00")
    assert shown["margin_used"] == "34200.00", "a fifth of 171,000"
    assert (shown["gross_exposure"], shown["open_result"], shown["day_result"]) == ("171000.00", "0.00", "400.00")
    uses = {each["name"]: each for each in shown["limits"]}
    assert uses["gross_exposure_max"] == {
        "name": "gross_exposure_max",
        "unit": "rupees",
        "limit": "5000000.00",
        "used": "171000.00",
        "share": "0.0342",
    }
    assert uses["position_share_bp_max"]["used"] == "1710"
    assert (uses["trades_per_day_max"]["used"], uses["drawdown_max"]["used"]) == ("1", "0.00")


async def test_switches_are_listed_by_scope_and_mode_beside_the_accounts_own(asha: Trader) -> None:
    await asha.live(strategys_switch_engaged)
    shown = await asha.ask("risk/portfolio")
    assert shown["kill_switch"]["engaged"] is False
    [switch] = shown["kill_switches"]
    assert (switch["scope"], switch["mode"], switch["flattening"], switch["remaining"]) == (
        "strategy",
        "flatten",
        True,
        None,
    )
    await asha.live(flatten_finished, kill_switch_engaged)
    shown = await asha.ask("risk/portfolio")
    assert (shown["kill_switch"]["engaged"], shown["kill_switch"]["reason"]) == (True, kill_switch_engaged.reason)
    assert [
        (each["scope"], each["mode"], each["flattening"], each["remaining"]) for each in shown["kill_switches"]
    ] == [
        ("account", "halt", False, None),
        ("strategy", "flatten", False, [TRADE]),
    ]


async def test_breaches_suppressed_intents_and_baskets_are_shown(asha: Trader) -> None:
    await asha.live(*holding, risk_breached, intents_suppressed, basket_opened)
    shown = await asha.ask("risk/portfolio")
    assert (shown["day_loss_latched"], shown["latched"], shown["breaches"]) == (True, ["day_loss"], {"day_loss": 1})
    [breach] = shown["breaches_today"]
    assert (breach["action"], breach["limit"], breach["value"], breach["released_at"]) == (
        "flatten",
        "50000.00",
        "50125.50",
        None,
    )
    assert (shown["suppressed_today"], shown["suppressed"]) == (4_182, 4_182)
    assert [(each["basket_id"], each["policy"]) for each in shown["baskets"]] == [(basket_opened.basket_id, "unwind")]
    await asha.live(risk_breach_released)
    shown = await asha.ask("risk/portfolio")
    assert (shown["day_loss_latched"], shown["breaches_today"][0]["release_reason"]) == (
        False,
        risk_breach_released.reason,
    )


async def test_what_is_broken_is_shown_and_an_owner_releases_it(asha: Trader) -> None:
    await asha.live(*holding, invariant_breached)
    [shown] = (await asha.ask("risk/portfolio"))["broken"]
    assert (shown["invariant"], shown["expected"], shown["seen"], shown["order_ids"]) == (
        "exits_above_holding",
        invariant_breached.expected,
        invariant_breached.seen,
        list(invariant_breached.order_ids),
    )
    await asha.live(invariant_released)
    assert (await asha.ask("risk/portfolio"))["broken"] == []


async def test_the_newest_pre_open_check_is_shown(asha: Trader) -> None:
    await asha.live(*holding)
    assert (await asha.ask("risk/portfolio"))["preopen"] is None
    fine = replace(preopen_checked, number=2, points=preopen_checked.points[:1])
    await asha.live(preopen_checked, fine)
    shown = (await asha.ask("risk/portfolio"))["preopen"]
    assert (shown["day"], [(each["point"], each["standing"]) for each in shown["points"]]) == (
        preopen_checked.trading_day,
        [("token", "ok")],
    )


async def test_what_no_stop_guards_is_listed_with_why(asha: Trader) -> None:
    await asha.live(*holding, *adopted)
    [external] = (await asha.ask("risk/portfolio"))["unprotected"]
    assert (external["trade_id"], external["why"], external["quantity"]) == (EXTERNAL_TRADE, "external", 50)
    resting = replace(strategys_trade, entry=holding[0].entry)
    await asha.live(resting, *holding[1:-3], replace(protection_lapsed))
    listed = {each["trade_id"]: each["why"] for each in (await asha.ask("risk/portfolio"))["unprotected"]}
    assert listed[TRADE] == "lapsed"
    await asha.live(stop_intended)
    listed = {each["trade_id"]: each["why"] for each in (await asha.ask("risk/portfolio"))["unprotected"]}
    assert listed[TRADE] == "not_resting"


# --- Budgets ---


def sent_ms_ago(ms: int, submitting: OrderSubmitting) -> OrderSubmitting:
    return replace(submitting, market_time_ns=NOW_NS + 60 * NS_PER_S - ms * NS_PER_MS)


async def test_the_budgets_show_what_was_sent_what_waits_and_what_exits_keep(asha: Trader) -> None:
    [*before, entry_sent, acknowledged, filled, stop, stop_sent, stop_rests] = holding
    assert isinstance(entry_sent, OrderSubmitting)
    assert isinstance(stop_sent, OrderSubmitting)
    sequence = await asha.live(
        *before,
        sent_ms_ago(30_000, entry_sent),
        *(acknowledged, filled, stop),
        sent_ms_ago(500, stop_sent),
        *(stop_rests, exit_triggered, exit_intended),
    )
    shown = await asha.ask("risk/budgets")
    assert shown["sequence"] == sequence
    # Two of them are kept for exits, and the exit that waits counts as if it were sent.
    assert [(each["name"], each["used"], each["left_for_entries"], each["share"]) for each in shown["rates"]] == [
        ("orders_per_second_max", 1, 6, "0.1000"),
        ("orders_per_minute_max", 2, 245, "0.0080"),
        ("orders_per_hour_max", 2, 995, "0.0020"),
        ("orders_per_day_max", 2, 6_995, "0.0003"),
    ]
    assert {(each["waiting"], each["reserved_for_exits"]) for each in shown["rates"]} == {(1, 2)}
    opened = shown["open_orders"]
    assert (opened["name"], opened["used"], opened["limit"], opened["share"]) == ("open_orders_max", 2, 100, "0.0200")


async def test_the_budgets_say_what_the_checks_would(world: ApiWorld, asha: Trader) -> None:
    """As many entries pass as were left, and the next one is denied."""
    await asha.live(replace(limits_changed, parameters=RiskParameters(orders_per_minute_max=4)))
    body = {"symbol": "RELIANCE", "side": "BUY", "quantity": 1, "order_type": "MARKET", "product": "INTRADAY"}
    left = []
    for number in range(3):
        left.append((await asha.ask("risk/budgets"))["rates"][1]["left_for_entries"])
        answer = await asha.send("trades", body, key=f"entry-{number}")
        assert answer.status_code == (403 if left[-1] == 0 else 201), answer.text
    assert left == [2, 1, 0]
    assert answer.json()["code"] == "ORDERS_PER_MINUTE_ABOVE_LIMIT"
    world.clock.advance_s(24 * 3_600)
    [*_, day] = (await asha.ask("risk/budgets"))["rates"]
    assert (day["used"], day["waiting"]) == (0, 2)


async def test_the_budgets_show_the_modifications_of_each_order_that_rests(asha: Trader) -> None:
    await asha.live(*holding, replace(order_modify_requested, number=7))
    [stop] = (await asha.ask("risk/budgets"))["modifications"]
    assert stop == {
        "order_id": STOP,
        "trade_id": TRADE,
        "symbol": "RELIANCE",
        "purpose": "stop",
        "limit": 25,
        "used": 7,
        "left": 18,
        "share": "0.2800",
        "is_under_way": True,
    }
    await asha.live(order_modified)
    [stop] = (await asha.ask("risk/budgets"))["modifications"]
    assert (stop["used"], stop["is_under_way"]) == (7, False)
    await asha.live(replace(order_cancel_requested, order_id=STOP))
    assert (await asha.ask("risk/budgets"))["modifications"] == []


async def test_the_budgets_of_a_new_account_are_whole(asha: Trader) -> None:
    shown = await asha.ask("risk/budgets")
    assert [each["used"] for each in shown["rates"]] == [0, 0, 0, 0]
    assert (shown["open_orders"]["used"], shown["modifications"]) == (0, [])


async def test_the_budgets_are_shown_to_nobody_else(world: ApiWorld) -> None:
    assert (await world.client.get("/api/risk/budgets")).status_code == 401


# --- Exposure ---


async def test_exposure_is_shown_in_groups(asha: Trader) -> None:
    await asha.live(strategys_trade, *holding[1:], *adopted)
    shown = await asha.ask("risk/exposure")
    assert shown["total"] == {"long": "427500.00", "short": "0.00", "gross": "427500.00", "net": "427500.00"}
    assert [(each["name"], each["exposure"]["gross"]) for each in shown["by_symbol"]] == [
        ("RELIANCE", "285000.00"),
        ("INFY", "142500.00"),
    ]
    assert {each["name"]: each["exposure"]["net"] for each in shown["by_product"]} == {
        "INTRADAY": "285000.00",
        "CNC": "142500.00",
    }
    assert [each["name"] for each in shown["by_segment"]] == ["NSE_EQ"]
    assert [(each["name"], each["is_external"]) for each in shown["by_strategy"]] == [
        (strategys_trade.strategy_id, False),
        (None, True),
    ]
    assert {each["name"]: each["exposure"]["gross"] for each in shown["by_direction"]} == {
        "long": "427500.00",
        "short": "0.00",
    }


# --- Drawdown and value at risk ---


async def test_the_drawdown_shows_the_curve_and_its_depth(asha: Trader) -> None:
    loss = replace(exit_filled, trading_day=TODAY)
    await asha.live(*holding[:-3], exit_triggered, exit_intended, loss, trade_closed, cash_moved)
    shown = await asha.ask("risk/drawdown")
    assert [(point["day"], point["realised"], point["equity"]) for point in shown["curve"]] == [
        (TODAY, "-5000.00", "-15000.00")
    ]
    assert shown["current"] == shown["deepest"]
    assert (shown["current"]["amount"], shown["current"]["peak_day"]) == ("5000.00", None)
    assert shown["is_complete"] is True


async def test_days_over_which_something_was_held_are_valued_at_stored_closes(world: ApiWorld, asha: Trader) -> None:
    bought = replace(adopted[1], trading_day="2026-11-17", filled_at_ns=NOW_NS - 3 * 86_400 * NS_PER_S)
    await asha.live(replace(trade_adopted, trading_day="2026-11-17"), bought)
    shown = await asha.ask("risk/drawdown")
    assert [(point["day"], point["equity"], point["mark_missing"]) for point in shown["curve"][:-1]] == [
        ("2026-11-17", None, ["INFY"])
    ]
    assert shown["is_complete"] is False
    world.bars.stored[INFY] = bars_until("2026-11-19", [1_500_0000, 1_460_0000, 1_480_0000])
    shown = await asha.ask("risk/drawdown")
    assert [(point["day"], point["open_result"], point["drawdown"]) for point in shown["curve"][:-1]] == [
        ("2026-11-17", "0.00", "0.00"),
        ("2026-11-18", "-2000.00", "2000.00"),
        ("2026-11-19", "-1000.00", "1000.00"),
    ]


async def test_value_at_risk_is_told_from_bars_or_why_it_is_not(world: ApiWorld, asha: Trader) -> None:
    await asha.live(*holding)
    shown = await asha.ask("risk/value-at-risk")
    assert [(each["value_at_risk"], each["reason"]) for each in shown["levels"]] == [(None, "bars_missing")] * 2
    assert shown["bars_missing"] == ["RELIANCE"]
    closes = [2_000_0000 if number % 2 else 1_900_0000 for number in range(130)]
    world.bars.stored[RELIANCE] = bars_until("2026-11-19", closes)
    shown = await asha.ask("risk/value-at-risk")
    assert (shown["scenarios"], shown["horizon_days"], shown["last_day"]) == (129, 1, "2026-11-19")
    assert [(each["confidence"], each["value_at_risk"]) for each in shown["levels"]] == [
        ("0.9500", "14250.00"),
        ("0.9900", "14250.00"),
    ]


async def test_todays_bar_tells_nothing_of_the_risk_of_today(world: ApiWorld, asha: Trader) -> None:
    await asha.live(*holding)
    world.bars.stored[RELIANCE] = bars_until(TODAY, [2_000_0000] * 130)
    assert (await asha.ask("risk/value-at-risk"))["last_day"] == "2026-11-19"


# --- Limits ---


async def test_limits_are_shown_with_who_changed_them_when(asha: Trader) -> None:
    opened = await asha.ask("risk/parameters")
    assert [each["source"] for each in opened["history"]] == ["api"]
    assert opened["history"][0]["changed_by"] is not None
    last = await asha.live(limits_changed)
    shown = await asha.ask("risk/parameters")
    assert (shown["parameters"]["open_trades_max"], shown["history"][0]["sequence"]) == (1, last)
    assert shown["history"][1] == opened["history"][0]
    first = await asha.ask("risk/parameters", limit=1)
    assert (len(first["history"]), first["parameters"]) == (1, shown["parameters"])
    second = await asha.ask("risk/parameters", limit=1, before=first["next_before"])
    assert (second["history"], second["parameters"]) == (opened["history"], shown["parameters"])
    then = await asha.ask("risk/parameters", at_sequence=last - 1)
    assert (then["parameters"], len(then["history"])) == (opened["parameters"], 1)


# --- The past ---


async def test_what_was_shown_is_shown_again_by_every_view(asha: Trader) -> None:
    steps: tuple[tuple[AccountEvent, ...], ...] = (
        holding,
        (trade_changed, stop_trailed, order_modify_requested),
        adopted,
        (foreign_sale_allocated, cash_moved),
        (risk_breached, strategys_switch_engaged, intents_suppressed),
        (replace(corporate_action_applied, trades=(replace(corporate_action_applied.trades[0], net_quantity=120),)),),
        (limits_changed, kill_switch_engaged, flatten_finished),
    )
    shown = []
    for events in steps:
        sequence = await asha.live(*events)
        shown += [(sequence, path, await asha.ask(path)) for path in VIEWS]
    for sequence, path, then in shown:
        again = await asha.ask(path, at_sequence=sequence)
        assert again["as_of"] is not None
        if path == "risk/exposure":
            continue  # Nothing in it but prices.
        assert _without(again) == _without(then), path


def _without(answer: dict[str, Any]) -> Any:
    left_out = {"limits", "value", "curve", "current", "deepest", "levels", "is_complete", "mark_missing"}
    plain = {name: value for name, value in answer.items() if name not in left_out}
    return without_prices(plain)


async def test_views_of_the_past_are_told_at_the_closes_of_then(world: ApiWorld, asha: Trader) -> None:
    carried = replace(adopted[1], trading_day="2026-11-17", filled_at_ns=NOW_NS - 3 * 86_400 * NS_PER_S)
    sequence = await asha.live(replace(trade_adopted, trading_day="2026-11-17"), carried, cash_moved)
    missing = await asha.ask("risk/portfolio", at_sequence=sequence)
    assert (missing["value"], missing["day_result"], missing["mark_missing"]) == (None, None, ["INFY"])
    assert {each["name"]: each["used"] for each in missing["limits"]}["gross_exposure_max"] is None
    world.bars.stored[INFY] = bars_until("2026-11-19", [1_450_0000, 1_460_0000, 1_480_0000])
    shown = await asha.ask("risk/portfolio", at_sequence=sequence)
    [position] = shown["positions"]
    assert (position["mark"], position["mark_source"], position["mark_time"][:16]) == (
        "1480.00",
        "bar",
        "2026-11-19T15:30",
    )
    assert (shown["open_result"], shown["day_result"], shown["value"]) == ("-1000.00", "0.00", "-11000.00")
    exposure = await asha.ask("risk/exposure", at_sequence=sequence)
    assert exposure["total"]["gross"] == "74000.00"


@pytest.mark.parametrize("path", RISK_VIEWS)
async def test_before_the_account_was_there_no_view_shows_it(world: ApiWorld, asha: Trader, path: str) -> None:
    head = await world.stored()
    ravi = await world.log_in("ravi@example.in")
    answer = await world.client.get(f"/api/{path}", headers=ravi, params={"at_sequence": head})
    assert (answer.status_code, answer.json()["code"]) == (404, "ACCOUNT_NOT_OPEN_YET")
    assert (await asha.ask(path))["sequence"] > 0


@pytest.mark.parametrize("path", VIEWS)
async def test_every_view_waits_for_what_its_caller_wrote_and_needs_a_log_in(
    world: ApiWorld, asha: Trader, path: str
) -> None:
    sequence = await asha.live(*holding)
    assert (await asha.ask(path, min_sequence=sequence))["sequence"] == sequence
    assert (await asha.ask(path, 422, min_sequence=sequence + 1))["code"] == "MIN_SEQUENCE_BEYOND_LOG"
    world.queries.stopped_at = sequence - 1
    assert (await asha.ask(path, 503, min_sequence=sequence))["code"] == "READ_MODEL_BEHIND"
    assert (await world.client.get(f"/api/{path}")).status_code == 401


async def test_a_product_of_its_own_is_a_position_of_its_own(asha: Trader) -> None:
    other = replace(adopted[0], product=Product.MTF)
    await asha.live(*adopted, other, replace(adopted[1], product=Product.MTF, trade_id=other.trade_id))
    assert len((await asha.ask("risk/portfolio"))["positions"]) == 2
    assert EXIT != ENTRY
