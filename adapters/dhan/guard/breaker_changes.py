"""Changes of breakers on their way into the log: noted as they happen, taken by whoever records them."""

from collections import deque
from collections.abc import Sequence

from adapters.breaker import Transition, TransitionListener
from commands.ports import Clock
from domain.venue import BreakerChanged

_KEPT_MAX = 1_000


class BreakerChanges:
    """Notes transitions; noting one never waits and never fails. Where nobody takes them the oldest are given up."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changes: deque[BreakerChanged] = deque(maxlen=_KEPT_MAX)

    def listener(self, host: str, call_class: str) -> TransitionListener:
        """Return what notes the transitions of the breaker before one class of calls to *host*."""

        def note(transition: Transition) -> None:
            change = BreakerChanged(
                host=host,
                call_class=call_class,
                from_state=transition.from_state,
                to_state=transition.to_state,
                cause=transition.cause,
                changed_at_ns=self._clock.wall_ns(),
            )
            self._changes.append(change)

        return note

    def take(self) -> Sequence[BreakerChanged]:
        """Return what changed since the last call, oldest first."""
        taken = list(self._changes)
        self._changes.clear()
        return taken
