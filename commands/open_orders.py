"""The orders that still need something from the executor, folded from the log."""

from itertools import islice
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from commands.accounts import OwnEvents, account_of
from domain.account.events import (
    Evidence,
    OrderAcknowledged,
    OrderBlocked,
    OrderCanceled,
    OrderCancelRequested,
    OrderExpired,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderModified,
    OrderModifyRefused,
    OrderModifyRequested,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderPresumedAbsent,
    OrderRejected,
    OrderResolution,
    OrderResolved,
    OrderSubmitting,
)
from domain.envelope import RecordedEvent
from domain.events import Event, decode_known
from domain.ids import AccountId, CorrelationId, OrderId, TradeId, VenueFillId, VenueOrderId
from domain.market import NS_PER_US, trading_day
from domain.order import CLOSED, LIVE, OrderInstruction, OrderStatus, Purpose, status_after_fill

CLOSED_IN_SNAPSHOT = 1_000
"""So many of the orders that closed last are in a snapshot: a late fill of one finds its order after a restart."""
_AT_VENUE_FOR_SURE = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})
_ACTIVITY = ("order.", "trade.")
_ON_THE_MOVE = frozenset({OrderStatus.INTENDED, OrderStatus.SUBMITTING, OrderStatus.UNKNOWN})


class OpenOrder(Struct, frozen=True, kw_only=True):
    """An order as the executor sees it. `first_sequence` is where its life began.

    `instruction` is what it is at the venue as far as is known, `wanted` what it shall become, None where it shall stay
    so; `number` counts its modifications. `evidence` is how the venue's id of it was learned, `absent_on` the day (ISO)
    on which an operator said that it is absent.
    """

    account_id: AccountId
    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    instruction: OrderInstruction
    first_sequence: int
    status: OrderStatus = OrderStatus.INTENDED
    correlation_id: CorrelationId | None = None
    venue_order_id: VenueOrderId | None = None
    cumulative_quantity: int = 0
    cancel_requested: bool = False
    wanted: OrderInstruction | None = None
    number: int = 0
    fills: frozenset[VenueFillId] = frozenset()
    evidence: Evidence | None = None
    absent_on: str | None = None

    @property
    def is_at_venue(self) -> bool:
        """Whether the venue is known to have it, by an id of its own, and something may still come of it."""
        return self.status in _AT_VENUE_FOR_SURE and self.venue_order_id is not None

    @property
    def is_said_to_be_there(self) -> bool:
        """Whether the venue has it by an operator's word alone, as far as the log tells."""
        return self.status is OrderStatus.ACKNOWLEDGED and self.evidence is Evidence.OPERATOR

    @property
    def is_moving(self) -> bool:
        """Whether something is wanted of it, or not known: all open orders but those that rest at the venue."""
        is_wanted = self.cancel_requested or self.wanted is not None
        return self.status in _ON_THE_MOVE or (is_wanted and self.status not in CLOSED)

    @property
    def is_to_be_modified(self) -> bool:
        """Whether the venue can be asked for what is wanted. One that shall be canceled is not changed any more."""
        return self.wanted is not None and self.is_at_venue and not self.cancel_requested


_STATUS_AFTER: dict[type, OrderStatus] = {
    OrderNotSent: OrderStatus.INTENDED,
    OrderPresumedAbsent: OrderStatus.PRESUMED_ABSENT,
    OrderRejected: OrderStatus.REJECTED,
    OrderLapsed: OrderStatus.LAPSED,
    OrderBlocked: OrderStatus.BLOCKED,
    OrderCanceled: OrderStatus.CANCELED,
    OrderExpired: OrderStatus.EXPIRED,
}
"""Events whose only meaning here is the status they lead to."""


class OrdersKept(Struct, frozen=True, array_like=True):
    """What `OpenOrders` come to: orders, ids that find them, how far accounts are known, when they were active."""

    orders: tuple[OpenOrder, ...] = ()
    by_venue_id: tuple[tuple[AccountId, VenueOrderId, OrderId], ...] = ()
    by_correlation: tuple[tuple[AccountId, CorrelationId, OrderId], ...] = ()
    versions: dict[AccountId, int] = {}
    active_us: dict[AccountId, int] = {}


class OpenOrders:
    """Every order whose life began after `low_water` of the last run, by account.

    Orders that are closed stay, so that a late fill finds its order, until `forget_closed`. What this process appended
    itself is taken in at once (`take_own`), so an account may be known further than the log was read (`sequence`).
    `changes` counts what became of orders, for who wants to know whether anything did.
    """

    def __init__(self) -> None:
        self.sequence = 0
        self.place: RecordedEvent | None = None
        self.changes = 0
        self._versions: dict[AccountId, int] = {}
        self._known: dict[AccountId, int] = {}
        self._active_us: dict[AccountId, int] = {}
        self._orders: dict[OrderId, OpenOrder] = {}
        # Parts of it, kept as orders change: they are asked for many times a second, and most orders are over, or rest.
        self._open: dict[OrderId, OpenOrder] = {}
        self._closed: dict[OrderId, None] = {}
        self._moving: dict[OrderId, OpenOrder] = {}
        self._presumed_absent: dict[OrderId, OpenOrder] = {}
        self._said: dict[OrderId, OpenOrder] = {}
        self._absent: dict[OrderId, OpenOrder] = {}
        self._by_venue_id: dict[tuple[AccountId, VenueOrderId], OrderId] = {}
        self._by_correlation: dict[tuple[AccountId, CorrelationId], OrderId] = {}

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in the next event of the log."""
        self.sequence, self.place = recorded.sequence, recorded
        account_id = account_of(recorded.stream_id)
        if account_id is None:
            return
        if recorded.name.startswith(_ACTIVITY):
            self._active_us[account_id] = recorded.recorded_at_us
        if recorded.version <= self._versions.get(account_id, 0):
            return  # Our own, and known since it was appended.
        self._versions[account_id] = recorded.version
        if not recorded.name.startswith("order."):
            return
        event = decode_known(recorded.name, recorded.payload)
        if event is not None:
            self._apply(account_id, event, recorded.sequence, recorded.recorded_at_us)

    def take_own(self, own: OwnEvents) -> bool:
        """Take in what this process has appended, before the log brings it back, and tell whether that was possible.

        Not where others appended to the account meanwhile: theirs come first, and by the log. An operator's word comes
        by the log as well, for its day is the log's.
        """
        if self._versions.get(own.account_id) != own.first_version - 1:
            return False
        if any(isinstance(event, OrderResolved) for event in own.events):
            return False
        for number, event in enumerate(own.events):
            self._apply(own.account_id, event, own.first_sequence + number, 0)
        self._versions[own.account_id] = own.first_version + len(own.events) - 1
        self._known[own.account_id] = own.first_sequence + len(own.events) - 1
        return True

    def known_of(self, account_id: AccountId) -> int:
        """Return the sequence up to which everything is known of an account."""
        return max(self.sequence, self._known.get(account_id, 0))

    def version_of(self, account_id: AccountId) -> int:
        """Return how far the account's stream is known to go, 0 where nothing of it was seen."""
        return self._versions.get(account_id, 0)

    def _apply(  # noqa: C901 - one arm per event
        self, account_id: AccountId, event: Event, sequence: int, recorded_at_us: int
    ) -> None:
        if isinstance(event, OrderIntended):
            intended = OpenOrder(
                account_id=account_id,
                order_id=event.order_id,
                trade_id=event.trade_id,
                purpose=event.purpose,
                instruction=event.instruction,
                first_sequence=sequence,
            )
            self._keep(intended)
            return
        order = self._orders.get(getattr(event, "order_id", OrderId("")))
        if order is None:
            return  # Its life began before the low-water mark, so it was closed then.
        match event:
            case OrderSubmitting():
                self._by_correlation[account_id, event.correlation_id] = order.order_id
                order = replace(order, status=OrderStatus.SUBMITTING, correlation_id=event.correlation_id)
            case OrderAcknowledged():
                self._by_venue_id[account_id, event.venue_order_id] = order.order_id
                status = OrderStatus.PARTLY_FILLED if order.cumulative_quantity else OrderStatus.ACKNOWLEDGED
                order = replace(order, status=status, venue_order_id=event.venue_order_id, evidence=event.evidence)
            case OrderOutcomeUnknown():
                # What an operator said of it was not borne out: its rows are not found by that id any more.
                self._by_venue_id.pop((account_id, order.venue_order_id or VenueOrderId("")), None)
                order = replace(order, status=OrderStatus.UNKNOWN, venue_order_id=None, evidence=None)
            case OrderResolved(resolution=OrderResolution.ABSENT):
                day = trading_day(recorded_at_us * NS_PER_US).isoformat()
                order = replace(order, status=OrderStatus.ABSENT, absent_on=day)
            case OrderFilled():
                order = self._filled(order, event)
            case OrderCancelRequested():
                order = replace(order, cancel_requested=True)
            case OrderModifyRequested():
                order = replace(order, wanted=event.instruction, number=event.number)
            case OrderModified():
                order = _over_if_filled(replace(order, instruction=event.instruction, wanted=None))
            case OrderModifyRefused():
                order = _over_if_filled(replace(order, wanted=None))
            case _:
                order = replace(order, status=_STATUS_AFTER.get(type(event), order.status))
        self._keep(order)

    def _keep(self, order: OpenOrder) -> None:
        self.changes += 1
        self._orders[order.order_id] = order
        if order.status not in CLOSED:
            self._closed.pop(order.order_id, None)
        else:
            self._closed.setdefault(order.order_id)
        for part, belongs in (
            (self._open, order.status not in CLOSED),
            (self._moving, order.is_moving),
            (self._presumed_absent, order.status is OrderStatus.PRESUMED_ABSENT),
            (self._said, order.is_said_to_be_there),
            (self._absent, order.absent_on is not None),
        ):
            if belongs:
                part[order.order_id] = order
            else:
                part.pop(order.order_id, None)

    @staticmethod
    def _filled(order: OpenOrder, event: OrderFilled) -> OpenOrder:
        status = status_after_fill(
            order.status,
            cumulative_quantity=event.cumulative_quantity,
            quantity=order.instruction.quantity,
            leaves_quantity=event.leaves_quantity,
        )
        return replace(
            order,
            status=status,
            cumulative_quantity=event.cumulative_quantity,
            fills=order.fills | {event.venue_fill_id},
        )

    def open(self) -> list[OpenOrder]:
        """Return the orders of which something is still expected, oldest first, presumed absent ones included."""
        return _oldest_first(self._open)

    def accounts(self) -> set[AccountId]:
        """Return the accounts that have an order open."""
        return {order.account_id for order in self._open.values()}

    def active_us(self) -> dict[AccountId, int]:
        """Return when something of an order or a trade was last recorded of each account (UTC microseconds)."""
        return self._active_us

    def forget_quiet(self, *, before_us: int) -> None:
        """Forget when accounts were active of which nothing was recorded since."""
        self._active_us = {account_id: at_us for account_id, at_us in self._active_us.items() if at_us >= before_us}

    def moving(self) -> list[OpenOrder]:
        """Return those of the open orders of which something is wanted or not known, oldest first."""
        return _oldest_first(self._moving)

    def is_at_rest(self) -> bool:
        """Tell whether nothing is moving."""
        return not self._moving

    def presumed_absent(self) -> list[OpenOrder]:
        """Return those of the open orders that were looked for in vain, oldest first."""
        return _oldest_first(self._presumed_absent)

    def said_to_be_there(self) -> list[OpenOrder]:
        """Return those of the open orders that the venue has by an operator's word alone, oldest first."""
        return _oldest_first(self._said)

    def absent(self) -> list[OpenOrder]:
        """Return the orders that an operator said to be absent today: the venue's book may still show them."""
        return _oldest_first(self._absent)

    def forget_absent(self, *, before: str) -> None:
        """Look for nothing any more that was said to be absent *before* a day (ISO): the venue's book is of one day."""
        for order in self.absent():
            if order.absent_on is not None and order.absent_on < before:
                self._keep(replace(order, absent_on=None))

    def get(self, order_id: OrderId) -> OpenOrder | None:
        """Return an order, closed or not."""
        return self._orders.get(order_id)

    def by_venue_id(self, account_id: AccountId, venue_order_id: VenueOrderId) -> OpenOrder | None:
        """Return the order that the venue knows by this id."""
        order_id = self._by_venue_id.get((account_id, venue_order_id))
        return None if order_id is None else self._orders.get(order_id)

    def by_correlation(self, account_id: AccountId, correlation_id: CorrelationId) -> OpenOrder | None:
        """Return the order that carries this id of ours."""
        order_id = self._by_correlation.get((account_id, correlation_id))
        return None if order_id is None else self._orders.get(order_id)

    def low_water(self) -> int:
        """Return the sequence after which a new executor has to read to find every open order, and those `absent`."""
        return min((order.first_sequence - 1 for order in [*self.open(), *self.absent()]), default=self.sequence)

    def forget_closed(self, *, keep: int) -> None:
        """Forget the oldest closed orders beyond *keep* of them."""
        closed = [self._orders[order_id] for order_id in self._closed if order_id not in self._absent]
        for order in closed[: max(0, len(closed) - keep)]:
            del self._orders[order.order_id], self._closed[order.order_id]
            if order.venue_order_id is not None:
                self._by_venue_id.pop((order.account_id, order.venue_order_id), None)
            if order.correlation_id is not None:
                self._by_correlation.pop((order.account_id, order.correlation_id), None)

    def kept(self) -> OrdersKept:
        """Return all that a snapshot has of it: what is open or absent, and what closed last."""
        names = {*self._open, *self._absent, *islice(reversed(self._closed), CLOSED_IN_SNAPSHOT)}
        # In the order in which they are here, and closed ones in the order in which they closed.
        names_in_order = [name for name in self._orders if name in names and name not in self._closed]
        names_in_order += [name for name in self._closed if name in names]
        return OrdersKept(
            tuple([self._orders[name] for name in names_in_order]),
            tuple([(*known, name) for known, name in self._by_venue_id.items() if name in names]),
            tuple([(*known, name) for known, name in self._by_correlation.items() if name in names]),
            self._versions.copy(),
            self._active_us.copy(),
        )

    def restore(self, kept: OrdersKept) -> None:
        """Come to what a snapshot has."""
        self._versions, self._active_us = kept.versions, kept.active_us
        for order in kept.orders:
            self._keep(order)
        self._by_venue_id = {(account_id, known): order_id for account_id, known, order_id in kept.by_venue_id}
        self._by_correlation = {(account_id, known): order_id for account_id, known, order_id in kept.by_correlation}


def _oldest_first(orders: dict[OrderId, OpenOrder]) -> list[OpenOrder]:
    if len(orders) < 2:  # noqa: PLR2004 - one or none is in order
        return [*orders.values()]
    # All but those that came back are in order already, which costs the sort next to nothing.
    return sorted(orders.values(), key=attrgetter("first_sequence"))


def _over_if_filled(order: OpenOrder) -> OpenOrder:
    """Return *order* filled, where the end of a modification leaves it no larger than what had filled already."""
    is_filled = order.status in LIVE and order.cumulative_quantity >= order.instruction.quantity
    return replace(order, status=OrderStatus.FILLED) if is_filled else order
