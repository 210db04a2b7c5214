"""The judge of a killed engine finds nothing in a sound story, and each single lie in one that is not."""

import ast
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.kills import judge as module
from infra.kills.judge import Answer, Event, Findings, Request, Story, broker_client_of, judge, unsettled

ACCOUNT = "acc_1"
BOOK = broker_client_of(ACCOUNT)
INFY = {"segment": "NSE_EQ", "security_id": "1594"}


def event(sequence: int, name: str, **body: Any) -> Event:
    return Event(sequence, f"account-{ACCOUNT}", name, body)


def filled(sequence: int, order: str, number: int, quantity: int, *, leaves: int = 0) -> Event:
    return event(
        sequence,
        "order.filled.v2",
        order_id=order,
        venue_segment="NSE_EQ",
        venue_trade_number=f"{number}",
        venue_order_id=f"v-{order}",
        instrument=INFY,
        product="INTRADAY",
        side="BUY",
        last_quantity=quantity,
        last_price_e4=15_000_000,
        leaves_quantity=leaves,
    )


def order_row(order: str, status: str, quantity: int) -> dict[str, Any]:
    return {"order_id": f"v-{order}", "correlation_id": f"c-{order}", "status": status, "filled_quantity": quantity}


def shown(order: str, status: str, quantity: int) -> dict[str, Any]:
    return {"order_id": order, "status": status, "cumulative_quantity": quantity}


def sound() -> Story:
    """A trade that filled in two parts, one that was denied, one that lapsed, and a close of the first."""
    trade_row = {"segment": "NSE_EQ", "order_id": "v-t1.1", "price_e4": 15_000_000}
    held = {**INFY, "product": "INTRADAY", "net_quantity": 5}
    return Story(
        requests=[
            Request("k1", ACCOUNT, 100, [Answer(201, {"trade_id": "t1"}), Answer(201, {"trade_id": "t1"})]),
            Request("k2", ACCOUNT, 99, [Answer(403, {"code": "PRICE_STALE"})]),
            Request("k3", ACCOUNT, 98, [Answer(201, {"trade_id": "t3"})]),
            Request("k4", ACCOUNT, None, [Answer(202, {"closing": [{"order_id": "t1.2"}]})]),
        ],
        events=[
            event(1, "trade.opened.v1", trade_id="t1", stop_loss_e4=100),
            event(2, "order.intended.v1", order_id="t1.1", trade_id="t1", purpose="entry"),
            event(3, "order.submitting.v1", order_id="t1.1", correlation_id="c-t1.1"),
            event(4, "order.denied.v1", trade_id="t2", stop_loss_e4=99),
            event(5, "order.outcome_unknown.v1", order_id="t1.1"),
            event(6, "order.acknowledged.v1", order_id="t1.1"),
            event(7, "trade.opened.v1", trade_id="t3", stop_loss_e4=98),
            event(8, "order.intended.v1", order_id="t3.1", trade_id="t3", purpose="entry"),
            event(9, "order.lapsed.v1", order_id="t3.1"),
            filled(10, "t1.1", 1, 2, leaves=3),
            filled(11, "t1.1", 2, 3),
            event(12, "order.intended.v1", order_id="t1.2", trade_id="t1", purpose="exit"),
            event(13, "order.submitting.v1", order_id="t1.2", correlation_id="c-t1.2"),
            event(14, "order.not_sent.v2", order_id="t1.2"),
            event(15, "order.submitting.v1", order_id="t1.2", correlation_id="c-t1.2"),
            event(16, "order.acknowledged.v1", order_id="t1.2"),
        ],
        books={
            BOOK: {
                "orders": [order_row("t1.1", "TRADED", 5), order_row("t1.2", "PENDING", 0)],
                "trades": [
                    {**trade_row, "trade_id": "1", "quantity": 2},
                    {**trade_row, "trade_id": "2", "quantity": 3},
                ],
                "positions": [held],
            }
        },
        orders={ACCOUNT: [shown("t1.1", "filled", 5), shown("t3.1", "lapsed", 0), shown("t1.2", "acknowledged", 0)]},
        positions={ACCOUNT: [held]},
    )


def test_nothing_is_wrong_with_a_sound_story() -> None:
    findings = judge(sound())
    assert not findings
    assert str(findings) == "nothing is wrong"
    assert unsettled(sound().events) == []


def renamed(story: Story, place: int, name: str) -> None:
    story.events[place - 1] = replace(story.events[place - 1], name=name)


def without(story: Story, place: int) -> None:
    """Take an event out and close the gap."""
    kept = [each for each in story.events if each.sequence != place]
    story.events[:] = [replace(each, sequence=number) for number, each in enumerate(kept, 1)]


def add(story: Story, *more: Event) -> None:
    story.events.extend(more)


def book(story: Story) -> dict[str, Any]:
    return story.books[BOOK]


LOST: dict[str, Callable[[Story], None]] = {
    "an event is missing": lambda story: story.events.pop(3),
    "an accepted intent is not in the log": lambda story: (
        story.requests[2].answers.append(Answer(201, {"trade_id": "t9"})) or story.requests[2].answers.pop(0)
    ),
    "an intent became a trade and its owner was refused": lambda story: story.requests[0].answers.__setitem__(
        slice(None), [Answer(409, {})]
    ),
    "nobody was answered": lambda story: story.requests[1].answers.clear(),
    "a trade has no entry": lambda story: (without(story, 9), without(story, 8)),
    "a close named an order that is not there": lambda story: story.requests[3].answers.__setitem__(
        0, Answer(202, {"closing": [{"order_id": "t1.9"}]})
    ),
    "an order stays in doubt": lambda story: renamed(story, 16, "order.outcome_unknown.v1"),
    "an acknowledged order is not at the broker": lambda story: book(story)["orders"].pop(1),
    "an order that is presumed absent is at the broker": lambda story: renamed(story, 16, "order.presumed_absent.v1"),
    "an order that the broker canceled is waited for": lambda story: book(story)["orders"][1].update(
        status="CANCELLED"
    ),
    "an execution is not in the log": lambda story: book(story)["trades"].append(
        {"segment": "NSE_EQ", "order_id": "v-t1.1", "price_e4": 1, "trade_id": "3", "quantity": 1}
    ),
}
DUPLICATES: dict[str, Callable[[Story], None]] = {
    "an intent was carried out twice": lambda story: add(
        story,
        event(17, "trade.opened.v1", trade_id="t4", stop_loss_e4=100),
        event(18, "order.intended.v1", order_id="t4.1", trade_id="t4", purpose="entry"),
        event(19, "order.lapsed.v1", order_id="t4.1"),
    ),
    "one key had two answers": lambda story: story.requests[0].answers.append(Answer(201, {"trade_id": "t7"})),
    "an order is at the broker twice": lambda story: book(story)["orders"].append(order_row("t1.2", "PENDING", 0)),
    "an order is sent although it may be there": lambda story: add(
        story, event(17, "order.submitting.v1", order_id="t1.2", correlation_id="c-t1.2")
    ),
    "an execution counts twice": lambda story: add(story, filled(17, "t1.1", 2, 3)),
}
DIFFERENCES: dict[str, Callable[[Story], None]] = {
    "the broker has an order that was never sent": lambda story: book(story)["orders"].append(
        order_row("t5.1", "PENDING", 0)
    ),
    "an execution comes from nowhere": lambda story: add(story, filled(17, "t1.1", 9, 3)),
    "a fill of ours was taken for a stranger's": lambda story: add(
        story,
        event(
            17,
            "trade.foreign_fill.v1",
            instrument=INFY,
            product="INTRADAY",
            side="BUY",
            last_quantity=0,
        ),
    ),
    "nobody asked for a trade": lambda story: story.requests.pop(2),
    "the broker holds something else": lambda story: book(story)["positions"].__setitem__(
        0, {**INFY, "product": "INTRADAY", "net_quantity": 6}
    ),
    "something else is shown as held": lambda story: story.positions[ACCOUNT].clear(),
    "an order is not shown": lambda story: story.orders[ACCOUNT].pop(1),
    "an order is shown in another state": lambda story: story.orders[ACCOUNT][2].update(status="filled"),
}


def found_in(change: Callable[[Story], None]) -> Findings:
    story = deepcopy(sound())
    change(story)
    return judge(story)


@pytest.mark.parametrize("lie", LOST)
def test_what_is_lost_is_found(lie: str) -> None:
    assert found_in(LOST[lie]).lost


@pytest.mark.parametrize("lie", DUPLICATES)
def test_what_came_twice_is_found(lie: str) -> None:
    assert found_in(DUPLICATES[lie]).duplicates


@pytest.mark.parametrize("lie", DIFFERENCES)
def test_what_does_not_agree_is_found(lie: str) -> None:
    assert found_in(DIFFERENCES[lie]).differences


def test_an_order_whose_fate_is_to_come_is_told() -> None:
    story = sound()
    assert unsettled(story.events[:5]) == ["t1.1"]
    assert unsettled(story.events[:14]) == ["t1.2"]


def test_the_judge_shares_no_code_with_the_engine() -> None:
    imported = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        match node:
            case ast.Import(names=names):
                imported |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(name)):
                imported.add(name.partition(".")[0])
    assert imported <= sys.stdlib_module_names
