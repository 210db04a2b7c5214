"""The simulator's books under any sequence of orders: a life cut into pieces leads to the same books as one life."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.simulator.books.account import OrderTerms
from adapters.simulator.desk import Desk, open_desk
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from adapters.simulator.trading.simulator import OrderRequest, Simulator
from adapters.simulator.words.refusals import Refusal
from adapters.simulator.words.rows import books_of
from domain.market import NS_PER_S
from domain.order import OrderType, Side, TimeInForce
from tests.support.tape import CLIENT_ID, INSTRUMENTS, RELIANCE, ScriptedTape, config_of

SHARE = INSTRUMENTS.by_key(RELIANCE, market_time_ns=DEMO_START_NS)
PRICE = 1_310_00_00


@dataclass(frozen=True)
class Second:
    """One second of the tape, what is asked in it, and whether the simulator is killed at its end."""

    steps: int
    volume: int
    orders: tuple[OrderRequest, ...]
    changes: tuple[tuple[int, OrderTerms], ...]
    cancels: tuple[int, ...]
    is_last_of_a_life: bool

    @property
    def price_e4(self) -> int:
        return PRICE + self.steps * SHARE.tick_e4


limits = st.integers(-5, 5).map(lambda steps: PRICE + steps * SHARE.tick_e4)


def type_of(limit: int | None, trigger: int) -> OrderType:
    return OrderType.MARKET if limit is None else OrderType.SL if trigger else OrderType.LIMIT


orders = st.builds(
    lambda side, limit, trigger, product, time_in_force, quantity: OrderRequest(
        correlation_id="any",
        instrument=SHARE,
        side=side,
        order_type=type_of(limit, trigger),
        product=product,
        time_in_force=time_in_force,
        quantity=quantity,
        limit_price_e4=limit or 0,
        trigger_price_e4=trigger if limit else 0,
    ),
    st.sampled_from(Side),
    st.none() | limits,
    st.just(0) | limits,
    st.sampled_from(["CNC", "INTRADAY"]),
    st.sampled_from(TimeInForce),
    st.integers(1, 20),
)
terms = st.builds(
    lambda limit, trigger, time_in_force, quantity: OrderTerms(
        order_type=type_of(limit, trigger),
        time_in_force=time_in_force,
        quantity=quantity,
        limit_price_e4=limit or 0,
        trigger_price_e4=trigger if limit else 0,
    ),
    st.none() | limits,
    st.just(0) | limits,
    st.sampled_from(TimeInForce),
    st.integers(1, 20),
)
seconds = st.lists(
    st.builds(
        Second,
        steps=st.integers(-5, 5),
        volume=st.sampled_from([0, 8, 40]),
        orders=st.lists(orders, max_size=3).map(tuple),
        changes=st.lists(st.tuples(st.integers(0, 5), terms), max_size=2).map(tuple),
        cancels=st.lists(st.integers(0, 10), max_size=1).map(tuple),
        is_last_of_a_life=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(seconds)
def test_restarts_change_nothing(script: list[Second]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert _books(script, [script]) == _books(script, _lives(script), Path(folder) / "books.jsonl")


def _lives(script: list[Second]) -> list[list[Second]]:
    lives: list[list[Second]] = [[]]
    for second in script:
        lives[-1].append(second)
        if second.is_last_of_a_life:
            lives.append([])
    return [life for life in lives if life]


def _books(script: list[Second], lives: list[list[Second]], journal: Path | None = None) -> dict[str, Any]:
    """Return the books, as the client sees them after the last second."""
    played = 0
    for life in lives:
        tape = ScriptedTape(
            *([(RELIANCE, second.price_e4, second.volume)] for second in life),
            start_ns=DEMO_START_NS + played * NS_PER_S,
        )
        desk = open_desk(config_of(tape, journal=journal, opening_balance_paise=50_000_00))
        for second in life:
            _play(desk.simulator, second)
        played += len(life)
        books = _seen(desk)
        desk.close()
    assert played == len(script)
    return books


def _play(venue: Simulator, second: Second) -> None:
    venue.advance()
    for order in second.orders:
        venue.arrive(venue.accept(CLIENT_ID, order))
    placed = list(venue.account_of(CLIENT_ID).orders)
    for which, wanted in second.changes:
        if which < len(placed):
            try:
                venue.arrive_change(venue.modify(CLIENT_ID, placed[which], wanted))
            except Refusal:
                continue  # It is done already, in both lives or in neither.
    for which in second.cancels:
        if which < len(placed):
            try:
                venue.cancel(CLIENT_ID, placed[which])
            except Refusal:
                continue  # Likewise.


def _seen(desk: Desk) -> dict[str, Any]:
    venue = desk.simulator
    account = venue.account_of(CLIENT_ID)
    books = books_of(account)
    for row in (*books["orders"], *books["trades"]):
        row.pop("accepted_step", None)  # Steps count from the start of each life.
        row.pop("step", None)
    return {**books, "available_paise": venue.available_paise(account), "numbers": venue.next_order_number}
