"""Faults on order: what the simulator does wrong, how often, and to whom."""

from enum import StrEnum
from typing import Any

import msgspec


class FaultKind(StrEnum):
    """What can go wrong.

    The connection ends without a byte of an answer, before the order exists or after (`lose_answer_…`); 503 before;
    502 after; the answer comes late; the order is accepted and then rejected by the risk desk (`reject`); its first
    execution is capped (`partial`); its correlation id is refused where it was used before, or taken again, whatever
    the simulator was told to do (`refuse_duplicate`, `accept_duplicate`); a well-formed refusal (`refuse`). At once:
    the client's token dies (`revoke_token`), every feed connection is cut (`cut_feed`), nobody listens for a while
    (`refuse_connection`).
    """

    LOSE_ANSWER_AFTER_ACCEPTANCE = "lose_answer_after_acceptance"
    LOSE_ANSWER_BEFORE_ACCEPTANCE = "lose_answer_before_acceptance"
    UNAVAILABLE = "unavailable"
    BAD_GATEWAY_AFTER_ACCEPTANCE = "bad_gateway_after_acceptance"
    DELAY = "delay"
    REJECT = "reject"
    PARTIAL = "partial"
    REFUSE_DUPLICATE = "refuse_duplicate"
    ACCEPT_DUPLICATE = "accept_duplicate"
    REFUSE = "refuse"
    REVOKE_TOKEN = "revoke_token"  # noqa: S105 - a word, no secret
    CUT_FEED = "cut_feed"
    REFUSE_CONNECTION = "refuse_connection"


class FaultTarget(StrEnum):
    """Which requests a fault meets. A `control` is what concerns the positions or the trader as a whole."""

    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    READ = "read"
    CONTROL = "control"


IMMEDIATE = frozenset({FaultKind.REVOKE_TOKEN, FaultKind.CUT_FEED, FaultKind.REFUSE_CONNECTION})
ORDERS_ONLY = frozenset({FaultKind.REJECT, FaultKind.PARTIAL, FaultKind.REFUSE_DUPLICATE, FaultKind.ACCEPT_DUPLICATE})


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault as it is asked for: the next *count* requests to *target* that match the filters meet it.

    `delay_ms` goes with delay and refuse_connection (how long), `quantity` with partial, `message` with reject and
    refuse, `status` and `code` with refuse. `side` is BUY or SELL. The filters by security, side and correlation id are
    held against the order that is placed, modified or canceled; no read meets them.
    """

    kind: FaultKind
    count: int = 1
    target: FaultTarget = FaultTarget.PLACE
    client_id: str | None = None
    security_id: str | None = None
    side: str | None = None
    correlation_id: str | None = None
    delay_ms: int = 1_000
    quantity: int = 1
    message: str = "Rejected by the risk desk on request"
    status: int = 400
    code: str = "DH-906"


class FaultDesk:
    """The faults still to come, first asked for, first met."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Take in a fault.

        Raises:
            ValueError: its numbers make no sense.
        """
        if fault.count < 1 or fault.delay_ms < 0 or fault.quantity < 1:
            raise ValueError(f"received {fault}, expected count and quantity of at least 1 and a delay from 0")
        if fault.kind in ORDERS_ONLY and fault.target is not FaultTarget.PLACE:
            raise ValueError(f"received {fault.kind} for {fault.target}, expected the target 'place'")
        self._waiting.append(fault)

    def clear(self) -> None:
        """Forget what has not been met."""
        self._waiting.clear()

    @property
    def waiting(self) -> int:
        """How many requests are still to meet a fault."""
        return sum(fault.count for fault in self._waiting)

    def take(self, target: FaultTarget, *, client_id: str, body: Any = None) -> Fault | None:
        """Return the fault that this request meets, counted down, None where there is none."""
        for fault in self._waiting:
            if fault.target is target and _matches(fault, client_id, body if isinstance(body, dict) else {}):
                fault.count -= 1
                if fault.count == 0:
                    self._waiting.remove(fault)
                return fault
        return None


def _matches(fault: Fault, client_id: str, body: dict[str, Any]) -> bool:
    wanted = (
        (fault.client_id, client_id),
        (fault.security_id, str(body.get("securityId"))),
        (fault.side, body.get("transactionType")),
        (fault.correlation_id, body.get("correlationId")),
    )
    return all(asked is None or asked == received for asked, received in wanted)
