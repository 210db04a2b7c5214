"""The shape every aggregate has: where it starts, how it decides, how it changes."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Generic, TypeVar

Command = TypeVar("Command")
State = TypeVar("State")
Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class Decider(Generic[Command, State, Event]):
    """What an aggregate is.

    `decide` is pure and may refuse by raising a `domain.refusals.Refusal`; `evolve` never refuses:
    it believes what happened.
    """

    initial: State
    decide: Callable[[Command, State], tuple[Event, ...]]
    evolve: Callable[[State, Event], State]

    def fold(self, events: Iterable[Event], state: State | None = None) -> State:
        """Return the state that *events*, oldest first, lead to from *state* (default: the initial one)."""
        return reduce(self.evolve, events, self.initial if state is None else state)
