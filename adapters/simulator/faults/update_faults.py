"""Faults of order updates on order: what is told wrongly, late, twice or never, and to whom."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import msgspec


class UpdateFaultKind(StrEnum):
    """What can go wrong with what is told.

    An update never goes out (`lose`), goes out twice, after `delay_ms`, or after the account's next one (`reorder`;
    where none comes, never). A fill is told, and again after the account's next update (`repeat_fill`); a partial fill
    is not told by itself, but with the next one, in sum (`sum_fills`). At once: every connection that hears of the
    client is reset without a goodbye, or is left open while nothing is sent, read or answered any more (`deafen`).
    """

    LOSE = "lose"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    REORDER = "reorder"
    REPEAT_FILL = "repeat_fill"
    SUM_FILLS = "sum_fills"
    RESET = "reset"
    DEAFEN = "deafen"


class UpdateFault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault as it is asked for: the next *count* updates that match the filters meet it.

    `delay_ms` goes with delay. What happens at once knows no count, and of the filters the client's id alone.
    """

    kind: UpdateFaultKind
    count: int = 1
    client_id: str | None = None
    security_id: str | None = None
    delay_ms: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """One update that is about to be told. `is_partial`: a fill that does not complete its order."""

    client_id: str
    security_id: str
    frame: bytes
    is_fill: bool
    is_partial: bool


class UpdateFaultDesk:
    """The faults still to come, first asked for, first met."""

    def __init__(self) -> None:
        self._waiting: list[UpdateFault] = []
        self._held: defaultdict[str, list[Update]] = defaultdict(list)

    def order(self, fault: UpdateFault) -> None:
        """Take in a fault.

        Raises:
            ValueError: its numbers make no sense.
        """
        if fault.count < 1 or fault.delay_ms < 0:
            raise ValueError(f"received {fault}, expected a count of at least 1 and a delay from 0")
        self._waiting.append(fault)

    def clear(self) -> None:
        """Forget what has not been met, and what was held back."""
        self._waiting.clear()
        self._held.clear()

    @property
    def waiting(self) -> int:
        """How many updates are still to meet a fault."""
        return sum(fault.count for fault in self._waiting)

    def tell(
        self, update: Update, send: Callable[[Update], None], send_later: Callable[[float, Callable[[], None]], None]
    ) -> None:
        """Have *update* told as it is to be: by *send*, now and however often, or by *send_later*, after seconds."""
        before = self._held.pop(update.client_id, ())
        fault = self._take(update)
        match None if fault is None else fault.kind:
            case None:
                send(update)
            case UpdateFaultKind.DUPLICATE:
                send(update)
                send(update)
            case UpdateFaultKind.DELAY:
                assert fault is not None, "it has a kind"
                send_later(fault.delay_ms / 1_000, partial(send, update))
            case UpdateFaultKind.REORDER:
                self._held[update.client_id].append(update)
            case UpdateFaultKind.REPEAT_FILL:
                send(update)
                self._held[update.client_id].append(update)
            case _:
                pass  # Never told.
        for held in before:
            send(held)

    def _take(self, update: Update) -> UpdateFault | None:
        for fault in self._waiting:
            if _matches(fault, update):
                fault.count -= 1
                if fault.count == 0:
                    self._waiting.remove(fault)
                return fault
        return None


def _matches(fault: UpdateFault, update: Update) -> bool:
    if fault.client_id not in {None, update.client_id} or fault.security_id not in {None, update.security_id}:
        return False
    match fault.kind:
        case UpdateFaultKind.REPEAT_FILL:
            return update.is_fill
        case UpdateFaultKind.SUM_FILLS:
            return update.is_partial
        case _:
            return True
