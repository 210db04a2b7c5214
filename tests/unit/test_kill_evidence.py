"""What is held against each other is of one moment: an order that fills meanwhile has everything read again."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from infra.kills import evidence
from infra.kills.broker import BrokerDoor
from infra.kills.crowd import Ledger, Person
from infra.kills.evidence import NeverAtRest, Witness
from infra.kills.judge import Event
from infra.supervisor import Supervisor


class GoingMarket:
    """A broker whose book of a resting order grows `moves` times, each time while people are asked what they see."""

    def __init__(self, moves: int) -> None:
        self.moves = moves
        self.filled = 0

    async def books(self) -> dict[str, Any]:
        return {"100": {"filled": self.filled}}


class WatchedWitness(Witness):
    """Reads a log and views that follow the market at once."""

    def __init__(self, market: GoingMarket) -> None:
        nobody = cast("Sequence[Person]", [cast("Person", _Somebody())])
        super().__init__(cast("Supervisor", None), cast("BrokerDoor", market), nobody, Ledger())
        self._market = market
        self.looks = 0

    async def read_on(self) -> None:
        for sequence in range(len(self._events), self._market.filled + 1):
            self._events.append(Event(sequence + 1, "account-acc_1", "account.opened.v1", {}))

    async def _orders_of(self, person: Person, head: int) -> list[Mapping[str, Any]]:  # noqa: ARG002 - as in its base
        self.looks += 1
        if self._market.moves:
            self._market.moves -= 1
            self._market.filled += 1
        return [{"head": head, "filled": self._market.filled}]

    async def _positions_of(self, person: Person, head: int) -> list[Mapping[str, Any]]:  # noqa: ARG002 - likewise
        return []


class _Somebody:
    account_id = "acc_1"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "_LOOK_S", 0.001)


async def test_everything_is_read_again_where_an_order_filled_meanwhile() -> None:
    witness = WatchedWitness(GoingMarket(moves=2))
    story = await witness._story()
    assert witness.looks == 3
    assert len(story.events) == 3
    assert story.books == {"100": {"filled": 2}}
    assert story.orders == {"acc_1": [{"head": 3, "filled": 2}]}


async def test_what_never_rests_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "AT_REST_WITHIN_S", 0.05)
    with pytest.raises(NeverAtRest):
        await WatchedWitness(GoingMarket(moves=10**9))._story()
