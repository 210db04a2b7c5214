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
    it believes what happened. `watch`, where there is one, stands between a decision and the log (see `step`): of the
    command, the state and its version in the stream, and the events decided on, it returns the events that may be
    stored, and what they lead to.
    """

    initial: State
    decide: Callable[[Command, State], tuple[Event, ...]]
    evolve: Callable[[State, Event], State]
    watch: Callable[[Command, State, int, tuple[Event, ...]], tuple[tuple[Event, ...], State]] | None = None

    def fold(self, events: Iterable[Event], state: State | None = None) -> State:
        """Return the state that *events*, oldest first, lead to from *state* (default: the initial one)."""
        return reduce(self.evolve, events, self.initial if state is None else state)

    def step(self, command: Command, state: State, *, version: int) -> tuple[tuple[Event, ...], State]:
        """Decide on *command* in *state*, to which *version* events led. Return what is to be stored, and its outcome.

        Raises:
            domain.refusals.Refusal: the command makes no sense in *state*, or what came of it must not be stored.
        """
        events = self.decide(command, state)
        if self.watch is None:
            return events, self.fold(events, state)
        return self.watch(command, state, version, events)
