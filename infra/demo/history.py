"""What the log of a demo says happened, sorted by what the verdict asks for."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from domain.account.events import (
    OrderAcknowledged,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    TradeClosed,
    TradeOpened,
)
from domain.envelope import Metadata, RecordedEvent
from domain.events import decode
from domain.ids import OrderId
from domain.instrument import InstrumentKey
from domain.order import Purpose
from domain.user.events import UserRegistered

NS_PER_MS = 1_000_000


@dataclass(slots=True)
class History:
    """Counts and lists over a whole log. Latencies in milliseconds, times in UTC nanoseconds."""

    events: int = 0
    users: int = 0
    intents: int = 0
    orders: int = 0
    denials: Counter[str] = field(default_factory=Counter)
    closings: Counter[str] = field(default_factory=Counter)
    fills: defaultdict[OrderId, list[OrderFilled]] = field(default_factory=lambda: defaultdict(list))
    unknown: set[OrderId] = field(default_factory=set)
    found: Counter[str] = field(default_factory=Counter)
    presumed_absent: int = 0
    exits_sent_at_ns: list[int] = field(default_factory=list)
    intent_to_broker_ms: list[float] = field(default_factory=list)
    realised_paise: int = 0
    charges_paise: int = 0
    symbols: dict[InstrumentKey, str] = field(default_factory=dict)

    @property
    def partly_filled(self) -> int:
        """How many orders filled in more than one part."""
        return sum(len(fills) > 1 for fills in self.fills.values())


def read_history(log: Iterable[RecordedEvent]) -> History:  # noqa: C901, PLR0912 - one arm per event
    """Return what *log*, from its first event on, says happened."""
    history = History()
    intended: dict[OrderId, tuple[Purpose, int]] = {}
    for recorded in log:
        history.events += 1
        match decode(recorded.name, recorded.payload):
            case UserRegistered():
                history.users += 1
            case TradeOpened(symbol=symbol, entry=entry):
                history.intents += 1
                history.symbols[entry.instrument] = symbol
            case OrderDenied(code=code):
                history.intents += 1
                history.denials[code.value] += 1
            case OrderIntended() as order:
                history.orders += 1
                metadata = msgspec.json.decode(recorded.metadata, type=Metadata)
                intended[order.order_id] = (order.purpose, metadata.received_at_ns)
            case OrderFilled() as fill:
                history.fills[fill.order_id].append(fill)
                history.realised_paise += fill.realised_paise
                history.charges_paise += fill.charges.total_paise
            case OrderOutcomeUnknown(order_id=order_id):
                history.unknown.add(order_id)
            case OrderPresumedAbsent():
                history.presumed_absent += 1
            case OrderAcknowledged(order_id=order_id, evidence=evidence, sent_at_ns=sent_at_ns):
                if order_id in history.unknown:
                    history.found[evidence.value] += 1
                if sent_at_ns is not None:
                    purpose, received_at_ns = intended[order_id]
                    history.intent_to_broker_ms.append((sent_at_ns - received_at_ns) / NS_PER_MS)
                    if purpose is Purpose.EXIT:
                        history.exits_sent_at_ns.append(sent_at_ns)
            case TradeClosed(cause=cause, entry_quantity=entered) if cause is not None and entered:
                history.closings[cause.value] += 1
            case _:
                pass
    return history
