"""Faults on order: what the simulator does wrong, how often, and to whom."""

from collections import Counter, deque
from enum import StrEnum
from typing import Any, Protocol

import msgspec


class FaultKind(StrEnum):
    """What can go wrong.

    Of one call. The connection ends without a byte of an answer, before the order exists or after (`lose_answer_…`), or
    it is torn in the middle of the answer's head or body (`tear_…`). The answer never comes (`hang_…`), comes late
    (`delay`), byte by byte (`drip`), twice (`duplicate_answer`), or shorter than its head says (`truncate_body`). 503
    before the order exists; 502 after; the broker's own 500, or a 200 that is a page, before or after. Too many
    requests (`throttle`), an address that is not registered (`invalid_ip`), another well-formed refusal (`refuse`). The
    token dies while the call is under way (`kill_token`).

    Of one order. It is accepted and then rejected by the risk desk (`reject`); its first execution is capped
    (`partial`); it is entered twice (`accept_twice`); an id that is in the book is refused (`refuse_repeated_id`) or
    taken again (`accept_repeated_id`); its client trades the same by hand (`trade_by_hand`). Of the positions: a
    quantity too many (`wrong_positions`).

    At once: the client's token dies (`revoke_token`), every feed connection is cut (`cut_feed`), nobody listens for a
    while (`refuse_connection`), the broker closes everything and comes back on its journal (`restart`).
    """

    LOSE_ANSWER_AFTER_ACCEPTANCE = "lose_answer_after_acceptance"
    LOSE_ANSWER_BEFORE_ACCEPTANCE = "lose_answer_before_acceptance"
    TEAR_HEAD = "tear_head"
    TEAR_BODY = "tear_body"
    TRUNCATE_BODY = "truncate_body"
    DRIP = "drip"
    DUPLICATE_ANSWER = "duplicate_answer"
    HANG_BEFORE_ACCEPTANCE = "hang_before_acceptance"
    HANG_AFTER_ACCEPTANCE = "hang_after_acceptance"
    DELAY = "delay"
    UNAVAILABLE = "unavailable"
    BAD_GATEWAY_AFTER_ACCEPTANCE = "bad_gateway_after_acceptance"
    INTERNAL_ERROR = "internal_error"
    INTERNAL_ERROR_AFTER_ACCEPTANCE = "internal_error_after_acceptance"
    HTML = "html"
    HTML_AFTER_ACCEPTANCE = "html_after_acceptance"
    THROTTLE = "throttle"
    INVALID_IP = "invalid_ip"
    REFUSE = "refuse"
    KILL_TOKEN = "kill_token"  # noqa: S105 - a word, no secret
    REJECT = "reject"
    PARTIAL = "partial"
    ACCEPT_TWICE = "accept_twice"
    REFUSE_REPEATED_ID = "refuse_repeated_id"
    ACCEPT_REPEATED_ID = "accept_repeated_id"
    TRADE_BY_HAND = "trade_by_hand"
    WRONG_POSITIONS = "wrong_positions"
    REVOKE_TOKEN = "revoke_token"  # noqa: S105 - likewise
    CUT_FEED = "cut_feed"
    REFUSE_CONNECTION = "refuse_connection"
    RESTART = "restart"


class FaultTarget(StrEnum):
    """Which requests a fault meets. A `control` is what concerns the positions or the trader as a whole."""

    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    READ = "read"
    CONTROL = "control"
    QUOTE = "quote"


IMMEDIATE = frozenset({FaultKind.REVOKE_TOKEN, FaultKind.CUT_FEED, FaultKind.REFUSE_CONNECTION, FaultKind.RESTART})
DELAY_MS_MAX = 90_000
POSITIONS_PATH = "/positions"
_MET_KEPT = 1_000
_PLACING = frozenset({FaultTarget.PLACE})
_WRITING = frozenset({FaultTarget.PLACE, FaultTarget.MODIFY, FaultTarget.CANCEL})
_TARGETS = {
    FaultKind.REJECT: _PLACING,
    FaultKind.PARTIAL: _PLACING,
    FaultKind.ACCEPT_TWICE: _PLACING,
    FaultKind.REFUSE_REPEATED_ID: _PLACING,
    FaultKind.ACCEPT_REPEATED_ID: _PLACING,
    FaultKind.TRADE_BY_HAND: _PLACING,
    FaultKind.INVALID_IP: _WRITING,
    FaultKind.WRONG_POSITIONS: frozenset({FaultTarget.READ}),
}
"""Where a kind goes with some targets only."""


def targets_of(kind: FaultKind) -> frozenset[FaultTarget]:
    """Return the requests that a kind of fault can meet."""
    return _TARGETS.get(kind, frozenset(FaultTarget))


def meets(kind: FaultKind, target: FaultTarget, path: str) -> bool:
    """Tell whether a kind of fault can meet a request to *target*, on *path* where it is a read."""
    return target in targets_of(kind) and (kind is not FaultKind.WRONG_POSITIONS or path == POSITIONS_PATH)


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A fault as it is asked for: the next *count* requests to *target* that match the filters meet it.

    `delay_ms` goes with delay, drip and refuse_connection (how long), `quantity` with partial, trade_by_hand and
    wrong_positions, `message` with reject and refuse, `status` and `code` with refuse. `side` is BUY or SELL. The
    filters by security, side and correlation id are held against the order that is placed, modified or canceled; no
    read meets them. `path` is the path of a read without its `/v2`, such as /positions.
    """

    kind: FaultKind
    count: int = 1
    target: FaultTarget = FaultTarget.PLACE
    client_id: str | None = None
    security_id: str | None = None
    side: str | None = None
    correlation_id: str | None = None
    path: str | None = None
    delay_ms: int = 1_000
    quantity: int = 1
    message: str = "Rejected by the risk desk on request"
    status: int = 400
    code: str = "DH-906"


class FaultMet(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that a request met: the *number*-th of all."""

    number: int
    kind: FaultKind
    target: FaultTarget
    client_id: str
    correlation_id: str | None = None


class FaultAccount:
    """What was met so far: how often each kind, and the last of them, oldest first."""

    def __init__(self) -> None:
        self.counts: Counter[FaultKind] = Counter()
        self.last: deque[FaultMet] = deque(maxlen=_MET_KEPT)

    def note(self, kind: FaultKind, target: FaultTarget, client_id: str, correlation_id: str | None) -> None:
        """Enter one."""
        self.counts[kind] += 1
        self.last.append(
            FaultMet(
                number=self.counts.total(),
                kind=kind,
                target=target,
                client_id=client_id,
                correlation_id=correlation_id,
            )
        )


class FaultSource(Protocol):
    """What decides for each request whether it meets a fault."""

    def next(self, target: FaultTarget, *, client_id: str, path: str) -> Fault | None:
        """Return the fault that this request meets, None where there is none."""
        ...


class FaultDesk:
    """The faults still to come: those asked for, first asked for, first met; then those of `source`, where one is set.

    `account` tells what was met.
    """

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self.source: FaultSource | None = None
        self.account = FaultAccount()

    def order(self, fault: Fault) -> None:
        """Take in a fault.

        Raises:
            ValueError: its numbers make no sense.
        """
        if fault.count < 1 or not 0 <= fault.delay_ms <= DELAY_MS_MAX or fault.quantity < 1:
            raise ValueError(
                f"received {fault}, expected count and quantity of at least 1 and a delay from 0 to {DELAY_MS_MAX} ms"
            )
        if fault.target not in targets_of(fault.kind):
            expected = " or ".join(sorted(targets_of(fault.kind)))
            raise ValueError(f"received {fault.kind} for {fault.target}, expected the target {expected}")
        self._waiting.append(fault)

    def clear(self) -> None:
        """Let no more faults come."""
        self._waiting.clear()
        self.source = None

    @property
    def waiting(self) -> int:
        """How many requests are still to meet a fault that was asked for."""
        return sum(fault.count for fault in self._waiting)

    def take(self, target: FaultTarget, *, client_id: str, body: Any = None, path: str = "") -> Fault | None:
        """Return the fault that this request meets, counted down, None where there is none.

        *path* is that of a read, without the `/v2` before it.
        """
        fields = body if isinstance(body, dict) else {}
        fault = self._take_waiting(target, client_id, fields, path)
        if fault is None and self.source is not None:
            fault = self.source.next(target, client_id=client_id, path=path)
        if fault is not None:
            self.account.note(fault.kind, target, client_id, fields.get("correlationId"))
        return fault

    def _take_waiting(self, target: FaultTarget, client_id: str, fields: dict[str, Any], path: str) -> Fault | None:
        for fault in self._waiting:
            if fault.target is target and _matches(fault, client_id, fields, path):
                fault.count -= 1
                if fault.count == 0:
                    self._waiting.remove(fault)
                return fault
        return None


def _matches(fault: Fault, client_id: str, body: dict[str, Any], path: str) -> bool:
    if not meets(fault.kind, fault.target, path):
        return False
    wanted = (
        (fault.client_id, client_id),
        (fault.security_id, str(body.get("securityId"))),
        (fault.side, body.get("transactionType")),
        (fault.correlation_id, body.get("correlationId")),
        (fault.path, path),
    )
    return all(asked is None or asked == received for asked, received in wanted)
