"""A venue in memory with little books of its own, whose next answers the test writes down beforehand."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from commands.ports import (
    Accepted,
    BrokerUnavailable,
    Modification,
    ModifyAccepted,
    NotSent,
    OrderInTransit,
    OutcomeUnknown,
    Placement,
    Refused,
    VenueFill,
    VenueHolding,
    VenueOrder,
    VenuePosition,
)
from domain.ids import AccountId, CorrelationId, VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose, RefusalReason

SENT_AT_NS = 1_795_149_000_500_000_000
FILLED_AT_NS = 1_795_149_001_000_000_000
_OPEN = frozenset({OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED})


class Answer(Enum):
    """What becomes of the next order that is placed, or of the next modification."""

    ACCEPT = auto()
    REFUSE = auto()
    NOT_SENT = auto()
    LOST_BUT_THERE = auto()
    """No answer comes, and the venue has the order."""
    LOST_AND_ABSENT = auto()
    """No answer comes, and the venue never saw the order; it may still turn up (`turn_up`)."""
    ACCEPT_LATER = auto()
    """The answer comes when the test sets `may_answer`."""
    HANG_BUT_THERE = auto()
    """The venue has the order, and the call never returns: the process will be killed."""
    HANG_AND_ABSENT = auto()
    TRAVEL = auto()
    """A modification is taken and on its way: the row is in transit until the test lets it `arrive`."""
    IGNORE = auto()
    """A modification is taken and nothing comes of it."""
    THROTTLE = auto()
    """A refusal that is about the moment."""


@dataclass(slots=True)
class Row:
    """An order in the venue's book."""

    account_id: AccountId
    venue_order_id: VenueOrderId
    correlation_id: CorrelationId
    instruction: OrderInstruction
    status: OrderStatus = OrderStatus.ACKNOWLEDGED
    filled: int = 0
    message: str = ""
    travels: OrderInstruction | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A request of which a byte left, and may have reached the venue."""

    account_id: AccountId
    correlation_id: CorrelationId
    instruction: OrderInstruction
    purpose: Purpose


@dataclass
class FakeBroker:
    """Implements `commands.ports.Broker`. `placed` keeps every order that may have been sent, oldest first.

    With `fill_price_e4` an order fills at once, whole, as it arrives or is modified; a stop rests. `away` names the
    methods that do not answer.
    """

    fill_price_e4: int | None = None
    placed: list[Placed] = field(default_factory=list)
    modified: list[tuple[VenueOrderId, OrderInstruction, Purpose]] = field(default_factory=list)
    canceled: list[VenueOrderId] = field(default_factory=list)
    held_back: set[Purpose] = field(default_factory=set)
    away: set[str] = field(default_factory=set)
    answers: deque[Answer] = field(default_factory=deque)
    modify_answers: deque[Answer] = field(default_factory=deque)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[str] = field(default_factory=list)
    """Every request to change something, oldest first."""
    reads: int = 0
    ignores_cancels: bool = False
    in_transit_asks: int = 0
    """So many cancels from now on are refused because the order is in transit."""
    rows: dict[VenueOrderId, Row] = field(default_factory=dict)
    executions: list[tuple[AccountId, VenueFill]] = field(default_factory=list)
    held: list[tuple[AccountId, VenueHolding]] = field(default_factory=list)
    """What is held since earlier days, beside all that was traded here."""
    residue: dict[tuple[InstrumentKey, Product], int] = field(default_factory=dict)
    """What its positions show beside all that was traded here."""

    # --- What the test does at the venue ---

    def row(self, number: int) -> Row:
        """Return the venue's *number*-th order."""
        return list(self.rows.values())[number]

    def fill(self, row: Row, quantity: int, price_e4: int) -> None:
        """Execute *quantity* units of an order, whatever its state: an exchange may be late."""
        row.filled += quantity
        if row.status in _OPEN | {OrderStatus.SUBMITTING}:
            row.status = OrderStatus.PARTLY_FILLED
        if row.filled >= row.instruction.quantity:
            row.status = OrderStatus.FILLED
        execution = VenueFill(
            venue_fill_id=VenueFillId(f"fill-{len(self.executions) + 1}"),
            venue_order_id=row.venue_order_id,
            quantity=quantity,
            price_e4=price_e4,
            filled_at_ns=FILLED_AT_NS,
            instrument=row.instruction.instrument,
            product=row.instruction.product,
            side=row.instruction.side,
        )
        self.executions.append((row.account_id, execution))

    def end(self, row: Row, status: OrderStatus, message: str = "") -> None:
        """Say the last word about an order."""
        row.status, row.message = status, message

    def turn_up(self, number: int) -> Row:
        """Let an order arrive of which the venue knew nothing when it was sent."""
        return self._book(self.placed[number])

    def by_hand(
        self, account_id: AccountId, instruction: OrderInstruction, correlation_id: str | None, price_e4: int
    ) -> Row:
        """Let somebody trade past us: an order that fills at once."""
        venue_order_id = VenueOrderId(f"by-hand-{len(self.rows) + 1}")
        carried = None if correlation_id is None else CorrelationId(correlation_id)
        row = self.rows[venue_order_id] = Row(account_id, venue_order_id, carried, instruction)
        self.fill(row, instruction.quantity, price_e4)
        return row

    def arrive(self, row: Row) -> None:
        """Let a modification that travels arrive."""
        assert row.travels is not None
        row.instruction, row.travels = row.travels, None

    @property
    def net_quantity(self) -> int:
        """What the venue holds for everybody."""
        return sum(row.instruction.side.sign * row.filled for row in self.rows.values())

    # --- What the engine asks ---

    async def place(
        self, account_id: AccountId, instruction: OrderInstruction, correlation_id: CorrelationId, purpose: Purpose
    ) -> Placement:
        self.requests.append(f"place {purpose.value}")
        await asyncio.sleep(0)
        answer = self.answers.popleft() if self.answers else Answer.ACCEPT
        if answer is Answer.NOT_SENT:
            return NotSent(cause="connection refused")
        placed = Placed(account_id, correlation_id, instruction, purpose)
        self.placed.append(placed)
        if answer is Answer.REFUSE:
            return Refused(reason=RefusalReason.FUNDS, message="Insufficient funds", sent_at_ns=SENT_AT_NS)
        if answer in {Answer.LOST_AND_ABSENT, Answer.HANG_AND_ABSENT}:
            venue_order_id = None
        else:
            row = self._book(placed)
            venue_order_id = row.venue_order_id
            self._fill_at_once(row)
        if answer in {Answer.HANG_BUT_THERE, Answer.HANG_AND_ABSENT}:
            self.hanging.set()
            await asyncio.Event().wait()
        if answer is Answer.ACCEPT_LATER:
            self.hanging.set()
            await self.may_answer.wait()
        await asyncio.sleep(0)
        if answer in {Answer.ACCEPT, Answer.ACCEPT_LATER} and venue_order_id is not None:
            return Accepted(venue_order_id=venue_order_id, sent_at_ns=SENT_AT_NS)
        return OutcomeUnknown(cause="no answer within 5 s", sent_at_ns=SENT_AT_NS)

    def is_held_back(self, account_id: AccountId, purpose: Purpose) -> bool:  # noqa: ARG002 - the port's shape
        return purpose in self.held_back

    async def modify(
        self, account_id: AccountId, venue_order_id: VenueOrderId, instruction: OrderInstruction, purpose: Purpose
    ) -> Modification:
        self.requests.append(f"modify {purpose.value}")
        await asyncio.sleep(0)
        row = self.rows[venue_order_id]
        assert row.account_id == account_id
        answer = self.modify_answers.popleft() if self.modify_answers else Answer.ACCEPT
        if answer is Answer.NOT_SENT:
            return NotSent(cause="connection refused")
        self.modified.append((venue_order_id, instruction, purpose))
        if answer is Answer.THROTTLE:
            return Refused(reason=RefusalReason.RATE_LIMIT, message="DH-904: too many", sent_at_ns=SENT_AT_NS)
        if answer is Answer.REFUSE or row.status not in _OPEN or instruction.quantity <= row.filled:
            return Refused(reason=RefusalReason.OTHER, message="DH-906: Incorrect request", sent_at_ns=SENT_AT_NS)
        if answer is Answer.TRAVEL:
            row.travels = instruction
        elif answer in {Answer.ACCEPT, Answer.LOST_BUT_THERE}:
            row.instruction = instruction
            self._fill_at_once(row)
        await asyncio.sleep(0)
        if answer in {Answer.LOST_BUT_THERE, Answer.LOST_AND_ABSENT}:
            return OutcomeUnknown(cause="no answer within 5 s", sent_at_ns=SENT_AT_NS)
        return ModifyAccepted(sent_at_ns=SENT_AT_NS)

    async def cancel(self, account_id: AccountId, venue_order_id: VenueOrderId) -> None:  # noqa: ARG002
        self.requests.append("cancel")
        await self._answer("cancel")
        if self.in_transit_asks:
            self.in_transit_asks -= 1
            raise OrderInTransit("DH-906: Order is in Transit state")
        self.canceled.append(venue_order_id)
        row = self.rows[venue_order_id]
        if not self.ignores_cancels and row.status in _OPEN:
            row.status = OrderStatus.CANCELED

    async def find_order(self, account_id: AccountId, correlation_id: CorrelationId) -> VenueOrder | None:
        await self._answer("find_order")
        found = [row for row in self._rows_of(account_id) if row.correlation_id == correlation_id]
        return found[0] if found else None

    async def orders(self, account_id: AccountId) -> Sequence[VenueOrder]:
        await self._answer("orders")
        return self._rows_of(account_id)

    async def fills(self, account_id: AccountId) -> Sequence[VenueFill]:
        await self._answer("fills")
        return [execution for owner, execution in self.executions if owner == account_id]

    async def positions(self, account_id: AccountId) -> Sequence[VenuePosition]:
        await self._answer("positions")
        totals: dict[tuple[InstrumentKey, Product], list[int]] = {}
        for row in self.rows.values():
            if row.account_id == account_id:
                bought_sold = totals.setdefault((row.instruction.instrument, row.instruction.product), [0, 0])
                bought_sold[row.instruction.side.sign < 0] += row.filled
        for place, units in self.residue.items():
            totals.setdefault(place, [0, 0])[units < 0] += abs(units)
        return [
            VenuePosition(
                instrument=instrument,
                product=product,
                net_quantity=bought - sold,
                bought_quantity=bought,
                sold_quantity=sold,
            )
            for (instrument, product), (bought, sold) in totals.items()
        ]

    async def holdings(self, account_id: AccountId) -> Sequence[VenueHolding]:
        await self._answer("holdings")
        return [holding for owner, holding in self.held if owner == account_id]

    # --- Inside ---

    async def _answer(self, method: str) -> None:
        self.reads += 1
        await asyncio.sleep(0)
        if method in self.away:
            raise BrokerUnavailable(f"{method}: no answer")

    def _fill_at_once(self, row: Row) -> None:
        leaves = row.instruction.quantity - row.filled
        if self.fill_price_e4 is not None and row.instruction.order_type is not OrderType.SL and leaves:
            self.fill(row, leaves, self.fill_price_e4)

    def _book(self, placed: Placed) -> Row:
        venue_order_id = VenueOrderId(f"venue-{len(self.rows) + 1}")
        row = Row(placed.account_id, venue_order_id, placed.correlation_id, placed.instruction)
        self.rows[venue_order_id] = row
        return row

    def _rows_of(self, account_id: AccountId) -> list[VenueOrder]:
        return [
            VenueOrder(
                venue_order_id=row.venue_order_id,
                correlation_id=row.correlation_id,
                status=OrderStatus.SUBMITTING if row.travels is not None else row.status,
                quantity=row.instruction.quantity,
                cumulative_quantity=row.filled,
                message=row.message,
                instrument=row.instruction.instrument,
                product=row.instruction.product,
                side=row.instruction.side,
                order_type=row.instruction.order_type,
                limit_price_e4=row.instruction.limit_price_e4,
                trigger_price_e4=row.instruction.trigger_price_e4,
            )
            for row in self.rows.values()
            if row.account_id == account_id
        ]
