"""Questions to read models: made into statements once for all that are of one shape."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Select, Table

from adapters.postgres.questions import Asked, Question, Questions
from domain.ids import AccountId, StrategyId, UserId
from domain.order import OrderStatus
from projections.orders import ORDERS
from projections.queries import (
    OrderFilter,
    OrderLine,
    Paging,
    Sort,
    select_order_page,
    select_strategies,
)
from projections.read_model import AnyReadModel
from projections.strategies import STRATEGIES
from projections.trades import TRADES

ONE = AccountId("acc_one")
FIRST = OrderFilter(status=OrderStatus.FILLED, symbol="INFY")


class Desk:
    """Asks for pages of orders and counts the statements made for them."""

    def __init__(self) -> None:
        self.made = 0
        self._questions = Questions()

    def ask(
        self,
        wanted: OrderFilter,
        paging: Paging,
        accounts: Sequence[AccountId] = (ONE,),
        generation: int = 1,
    ) -> Asked:
        about = (accounts, wanted, paging, None)
        question = Question(ORDERS, self._make, about, beside=(TRADES,), shape=OrderLine)

        def in_use(model: AnyReadModel) -> AnyReadModel:
            return model.in_generation(generation)

        return self._questions.compiled([question], in_use)

    def _make(self, *asked: Any) -> Select[Any]:
        self.made += 1
        return select_order_page(*asked)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_other_values_of_one_shape_are_other_parameters_of_one_statement(desk: Desk) -> None:
    first = desk.ask(FIRST, Paging(before=70, limit=10))
    second = desk.ask(OrderFilter(status=OrderStatus.CANCELED, symbol="TCS"), Paging(before=9, limit=20), ["acc_two"])
    assert first.statement.text == second.statement.text
    assert desk.made == 1
    assert first.statement.parameters[:5] == [b"acc_one", b"filled", b"INFY", b"70", b"10"]
    assert second.statement.parameters[:5] == [b"acc_two", b"canceled", b"TCS", b"9", b"20"]
    assert first.statement.parameters[5:] == second.statement.parameters[5:]


@pytest.mark.parametrize(
    "other",
    [
        {"wanted": OrderFilter(symbol="INFY")},
        {"wanted": OrderFilter(strategy_id=StrategyId("INFY"), status=OrderStatus.FILLED)},
        {"paging": Paging()},
        {"paging": Paging(after=70)},
        {"paging": Paging(before=70, sort=Sort.OLDEST)},
        {"accounts": (ONE, ONE)},
        {"accounts": ()},
        {"generation": 2},
    ],
    ids=str,
)
def test_another_shape_is_another_statement(desk: Desk, other: dict[str, Any]) -> None:
    first = desk.ask(FIRST, Paging(before=70))
    second = desk.ask(**{"wanted": FIRST, "paging": Paging(before=70)} | other)
    assert first.statement.text != second.statement.text
    assert desk.made == 2


def test_no_value_stands_in_a_statement(desk: Desk) -> None:
    asked = desk.ask(OrderFilter(symbol="x' OR 'x"), Paging(limit=17))
    assert "OR 'x" not in asked.statement.text
    assert "17" not in asked.statement.text
    assert b"x' OR 'x" in asked.statement.parameters


def test_names_of_a_page_are_parameters_too() -> None:
    paging = Paging(sort=Sort.NAME, after_name="Opening range", after=3)
    question = Question(STRATEGIES, select_strategies, (UserId("usr_one"), paging, None))
    asked = Questions().compiled([question], lambda model: model)
    assert asked.statement.parameters[:3] == [b"usr_one", b"Opening range", b"3"]


def test_an_edition_that_is_not_there_is_no_answer(desk: Desk) -> None:
    asked = desk.ask(FIRST, Paging())
    assert asked.decoded((b"41", b"2", b"[]")) == (41, [[]])
    assert asked.decoded((b"41", b"2", None)) == (41, [[]])
    assert asked.decoded((b"41", b"1", b"[]")) is None
    assert asked.decoded((None, b"0", None)) is None


def test_what_is_forgotten_is_made_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.postgres.questions.KNOWN_MAX", 1)
    first = desk.ask(FIRST, Paging())
    desk.ask(FIRST, Paging(before=1))
    assert desk.ask(FIRST, Paging()).statement == first.statement
    assert desk.made == 3


def test_a_table_is_asked_for_by_its_edition() -> None:
    seen: list[str] = []

    def statement(user_id: UserId, table: Table) -> Select[Any]:
        seen.append(table.name)
        return select_strategies(user_id, Paging(), None, table)

    questions = Questions()
    question = Question(STRATEGIES, statement, (UserId("usr_one"),))
    for generation in (1, 2, 1):
        questions.compiled([question], lambda model, used=generation: model.in_generation(used))
    assert seen == [STRATEGIES.table_name, f"{STRATEGIES.table_name}_g2"]
