"""A crowd at a few connections waits its turn, in the order of asking, and not for ever."""

import asyncio

import pytest

from adapters.postgres import turns
from adapters.postgres.turns import NoTurn, Turns


async def test_no_more_have_a_turn_than_there_are_connections_and_the_first_to_ask_is_next() -> None:
    at_once = Turns(2)
    served: list[int] = []
    inside = most_inside = 0

    async def ask(number: int) -> None:
        nonlocal inside, most_inside
        async with at_once.taken():
            inside += 1
            most_inside = max(most_inside, inside)
            served.append(number)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(ask(number) for number in range(50)))
    assert served == list(range(50))
    assert most_inside == 2


async def test_who_gets_no_turn_in_time_is_told_and_takes_none_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_S", 0.01)
    at_once = Turns(1)
    async with at_once.taken():
        with pytest.raises(NoTurn):
            async with at_once.taken():
                raise AssertionError("there is one turn")
    async with at_once.taken():
        pass
