"""The adapter trades while the simulator's faults come by plan: each word is so, and a seed brings it all again."""

from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from adapters.simulator.faults.call_faults import IMMEDIATE, FaultKind, FaultTarget
from adapters.simulator.faults.fault_plan import FaultPlan
from commands.ports import Accepted, NotSent, OutcomeUnknown, Refused
from domain.ids import CorrelationId
from domain.order import Purpose
from tests.support import tape
from tests.support.dhan import ACCOUNT, LIMIT_BUY, SIMULATOR_KEY, broker_at, settings_for

PRICE = 1_310_00_00
LOW = replace(LIMIT_BUY, limit_price_e4=PRICE - 10_00_00, quantity=1)
ORDERS = 60
_LEFT_OUT = IMMEDIATE | {
    FaultKind.HANG_BEFORE_ACCEPTANCE,  # Only patience would end it.
    FaultKind.HANG_AFTER_ACCEPTANCE,
    FaultKind.INVALID_IP,  # Nothing would be sent any more.
    FaultKind.TRADE_BY_HAND,
    FaultKind.WRONG_POSITIONS,
}
KINDS = sorted(set(FaultKind) - _LEFT_OUT)


class Played(NamedTuple):
    words: list[str]
    met: dict[str, int]
    problems: list[str]


async def play(seed: int) -> Played:
    """Place so many orders under the plan of *seed* and hold what is said of each against the simulator's books."""
    plan = FaultPlan(
        seed=seed,
        rates=dict.fromkeys(KINDS, 0.8 / len(KINDS)),
        targets=frozenset({FaultTarget.PLACE}),
        delay_ms_max=5,
    )
    config = tape.config_of(tape.steady(PRICE, PRICE), secret=SIMULATOR_KEY, fault_plan=plan)
    async with tape.venue(config, logged_in=False) as venue:
        venue.http.headers["x-simulator-secret"] = SIMULATOR_KEY.hex()
        await venue.http.post("/admin/step")
        broker = broker_at(
            settings_for(
                f"http://127.0.0.1:{venue.port}",
                read_timeout_s=20.0,
                call_timeout_s=30.0,
                breaker_failures_max=10**6,
                rate_limit_pause_s=0.0,  # How long a pause lasts would decide what is sent after it.
            )
        )
        said: dict[CorrelationId, Any] = {}
        try:
            for number in range(ORDERS):
                correlation_id = CorrelationId(f"pln{number:022d}")
                said[correlation_id] = await broker.place(ACCOUNT, LOW, correlation_id, Purpose.ENTRY)
        finally:
            await broker.aclose()
        books = (await venue.http.get("/admin/books")).json()["clients"]
        met = (await venue.http.get("/admin/faults")).json()["met"]
    (rows,) = [client["orders"] for client in books.values()]
    held = {row["order_id"]: row["correlation_id"] for row in rows}
    problems = [problem for each, outcome in said.items() if (problem := _problem_of(each, outcome, held))]
    return Played([type(outcome).__name__ for outcome in said.values()], met, problems)


def _problem_of(correlation_id: CorrelationId, outcome: object, held: dict[str, str]) -> str:
    match outcome:
        case Accepted(venue_order_id=venue_order_id) if held.get(venue_order_id) != correlation_id:
            return f"{correlation_id} was told accepted as {venue_order_id}"
        case Refused() | NotSent() if correlation_id in held.values():
            return f"{correlation_id} was told {outcome}, and is in the book"
    return ""


@pytest.mark.parametrize("seed", [1, 2])
async def test_under_a_plan_every_word_is_so_and_the_same_seed_brings_it_all_again(seed: int) -> None:
    played = await play(seed)
    assert played.problems == []
    assert set(played.words) == {Accepted.__name__, Refused.__name__, OutcomeUnknown.__name__}
    assert sum(played.met.values()) > ORDERS // 2
    again = await play(seed)
    assert (again.words, again.met) == (played.words, played.met)
