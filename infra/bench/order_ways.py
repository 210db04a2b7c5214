"""The ways of orders through the engine and the broker, put together from what each of them noted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from api.opening import TradeAccepted
from domain.account.events import (
    OrderAcknowledged,
    OrderFilled,
    OrderIntended,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
)
from domain.events import decode_known
from domain.ids import CorrelationId, OrderId, TradeId, VenueFillId
from domain.market import NS_PER_MS
from domain.order import Purpose, correlation_id_of
from infra.bench.broker_side import BrokerStamps
from infra.bench.http_load import Answered

_ENDS_OF_DOUBT = (OrderAcknowledged, OrderFilled, OrderRejected, OrderPresumedAbsent)


@dataclass(slots=True)
class _Told:
    """What the log told of one order: sequences, None where it told no such thing. `fills` name fills at the broker."""

    trade_id: TradeId
    purpose: Purpose
    fills: list[tuple[VenueFillId, int]] = field(default_factory=list)
    unknown_at: int | None = None
    known_at: int | None = None


class OrderWays:
    """Orders of one load, by what the log told after it began (sequence, name and payload of each event)."""

    def __init__(self, events: Iterable[tuple[int, str, bytes]], *, installation_code: str) -> None:
        self._code = installation_code
        self._orders: dict[OrderId, _Told] = {}
        for sequence, name, payload in events:
            event = decode_known(name, payload)
            if isinstance(event, OrderIntended):
                self._orders[event.order_id] = _Told(event.trade_id, event.purpose)
                continue
            order = self._orders.get(getattr(event, "order_id", OrderId("")))
            if order is None:
                continue
            if isinstance(event, OrderOutcomeUnknown):
                order.unknown_at = sequence
            elif isinstance(event, _ENDS_OF_DOUBT) and order.unknown_at is not None and order.known_at is None:
                order.known_at = sequence
            if isinstance(event, OrderFilled):
                order.fills.append((event.venue_fill_id, sequence))

    def to_broker_ms(self, answered: Sequence[Answered], stamps: BrokerStamps, *, never_ms: float) -> list[float]:
        """Return for each accepted intent how long after it was due its order came to the broker.

        An order that never came counts as *never_ms*.
        """
        waits_ms = []
        for due_ns, _, body in answered:
            accepted = msgspec.json.decode(body, type=TradeAccepted)
            for order_id in accepted.order_ids:
                arrived_ns = stamps.arrived_ns.get(self._correlation(OrderId(order_id)))
                waits_ms.append(never_ms if arrived_ns is None else (arrived_ns - due_ns) / NS_PER_MS)
        return waits_ms

    def fill_to_view_ms(self, stamps: BrokerStamps, visible_ns: dict[int, int]) -> list[float]:
        """Return for each fill how long after it was at the broker every read model showed it."""
        waits_ms = []
        for order in self._orders.values():
            for fill, sequence in order.fills:
                if (filled_ns := stamps.filled_ns(fill)) is not None:
                    waits_ms.append((visible_ns[sequence] - filled_ns) / NS_PER_MS)
        return waits_ms

    def fill_to_stop_ms(self, stamps: BrokerStamps, *, never_ms: float) -> list[float]:
        """Return for each trade how long after the first fill of its entry its stop came to the broker."""
        filled_ns: dict[TradeId, int] = {}
        for order in self._orders.values():
            times = [stamps.filled_ns(fill) for fill, _ in order.fills]
            if order.purpose is Purpose.ENTRY and times and times[0] is not None:
                filled_ns[order.trade_id] = times[0]
        waits_ms = []
        for order_id, order in self._orders.items():
            if order.purpose is Purpose.STOP and order.trade_id in filled_ns:
                arrived_ns = stamps.arrived_ns.get(self._correlation(order_id))
                since_ns = filled_ns[order.trade_id]
                waits_ms.append(never_ms if arrived_ns is None else (arrived_ns - since_ns) / NS_PER_MS)
        return waits_ms

    def doubts_ms(
        self, lost: Iterable[CorrelationId], stamps: BrokerStamps, visible_ns: dict[int, int]
    ) -> list[tuple[float, float | None]]:
        """Return for each order whose answer was lost how long until it was shown as unknown, and as known again.

        Both count from the moment at which its request came; None: it is in doubt still.
        """
        orders = {self._correlation(order_id): order for order_id, order in self._orders.items()}
        doubts = []
        for correlation_id in lost:
            order = orders.get(correlation_id)
            if order is None or order.unknown_at is None:
                continue
            lost_ns = stamps.arrived_ns[correlation_id]
            shown_ms = (visible_ns[order.unknown_at] - lost_ns) / NS_PER_MS
            known_ms = None if order.known_at is None else (visible_ns[order.known_at] - lost_ns) / NS_PER_MS
            doubts.append((shown_ms, known_ms))
        return doubts

    def _correlation(self, order_id: OrderId) -> CorrelationId:
        return correlation_id_of(order_id, code=self._code)


def percentile(waits: Sequence[float], percent: float) -> float:
    """Return what *percent* per cent of *waits* stayed within."""
    return float(np.percentile(np.asarray(waits), percent))
