"""Given events, when a command, then events: how the tests of a decider speak."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import pytest

from domain.decider import Decider
from domain.events import decode, encode, name_of
from domain.refusals import Refusal

Command = TypeVar("Command")
State = TypeVar("State")
Event = TypeVar("Event")


class Decision(Generic[Event]):
    """What a command turned into: events or a refusal, to be compared by a `then_…`."""

    def __init__(self, decide: Callable[[], tuple[Event, ...]]) -> None:
        self._decide = decide

    @property
    def events(self) -> tuple[Event, ...]:
        """The decided events, for what an equality cannot say."""
        return self._decide()

    def then(self, *expected: Event) -> None:
        """Demand exactly these events, in this order."""
        assert self._decide() == expected

    def then_kinds(self, *expected: type[Event]) -> None:
        """Demand events of these kinds, in this order."""
        assert tuple(type(event) for event in self._decide()) == expected

    def then_nothing(self) -> None:
        """Demand that nothing happens."""
        self.then()

    def then_refused(self, refusal: type[Refusal]) -> None:
        """Demand this very refusal."""
        with pytest.raises(Refusal) as raised:
            self._decide()
        assert type(raised.value) is refusal
        assert raised.value.message


def storable(events: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return *events*, and demand that each is stored and read back as it is: a whole number is no float."""
    for event in events:
        stored = encode(event)
        assert encode(decode(name_of(event), stored)) == stored
    return events


class Given(Generic[Command, State, Event]):
    """A history. `when` decides on it; `after` lengthens it by what commands turn into."""

    def __init__(self, decider: Decider[Command, State, Event], history: Sequence[Event]) -> None:
        self._decider = decider
        self.history = tuple(history)

    def when(self, command: Command) -> Decision[Event]:
        """Decide on *command*."""
        return Decision(lambda: storable(self._decider.decide(command, self._decider.fold(self.history))))

    def after(self, *commands: Command) -> "Given[Command, State, Event]":
        """Carry out *commands*, one after another, and return the longer history."""
        given = self
        for command in commands:
            given = Given(self._decider, given.history + given.when(command).events)
        return given


class Scenario(Generic[Command, State, Event]):
    """Where every scenario of a decider begins."""

    def __init__(self, decider: Decider[Command, State, Event]) -> None:
        self._decider = decider

    def given(self, *events: Event) -> Given[Command, State, Event]:
        """Begin with *events*, oldest first."""
        return Given(self._decider, events)


def scenario(decider: Decider[Command, State, Event]) -> Scenario[Command, State, Event]:
    """Return the beginning of every scenario of *decider*."""
    return Scenario(decider)
