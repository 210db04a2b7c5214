"""Positions and holdings at the venue against what our trades add up to.

INTRADAY and MARGIN: our net is the net quantity of the positions. Delivery (CNC and MTF of an instrument together, for
the venue keeps one holding of both): our net is the day's positions plus what the holdings have above what was there
before the account was ours to keep.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from domain.account.differing import held_before_key
from domain.account.state import Account
from domain.books import VenueBooks
from domain.differences import DifferenceKind, Finding
from domain.instrument import InstrumentKey
from domain.order import DELIVERY, IN_DOUBT, OrderStatus, Product
from domain.reconciliation.knowledge import Comparison

K = DifferenceKind
Place = tuple[InstrumentKey, Product]
_IN_DOUBT = IN_DOUBT | {OrderStatus.SUBMITTING}
_RATIOS = ((2, 1), (3, 1), (4, 1), (5, 1), (10, 1), (20, 1), (3, 2), (4, 3), (5, 4), (6, 5), (11, 10))
"""New units for old of splits and bonuses as they are usual; the other way round they are consolidations."""


@dataclass(frozen=True, slots=True)
class _Delta:
    """A position in which the two sides differ. `carried` is what of ours is of earlier days."""

    place: Place
    ours: int
    theirs: int
    carried: int

    @property
    def quantity(self) -> int:
        return self.theirs - self.ours


def needs_holdings(account: Account) -> bool:
    """Tell whether the venue's holdings matter to an account: it holds for delivery, or nobody has looked yet."""
    return is_untouched(account) or any(trade.entry.product in DELIVERY for trade in account.unclosed_trades())


def is_untouched(account: Account) -> bool:
    """Tell whether an account has never had an execution."""
    has_booked = account.realised_paise or account.charges_paise
    return not has_booked and not any(
        trade.holding.net_quantity or trade.entry_quantity for trade in account.trades.values()
    )


def compare_positions(known: Comparison) -> Iterator[Finding]:
    """Yield each position in which the venue has another quantity than our trades add up to."""
    before, ours = _ours(known.before), _ours(known.now)
    theirs = _theirs(known.books, known.now)
    held: dict[InstrumentKey, int] = defaultdict(int)
    for holding in known.books.holdings or ():
        held[holding.instrument] += holding.quantity
    if is_untouched(known.now):
        # What it holds was there before: from now on its holdings count from there.
        for instrument, quantity in sorted(held.items()):
            if quantity and held_before_key(instrument) not in known.now.held_before:
                yield _held_before(known, instrument, quantity)
        for instrument in held:
            theirs.pop((instrument, Product.CNC), None)
    carried = _carried(known.now)
    deltas: dict[InstrumentKey, list[_Delta]] = defaultdict(list)
    for place in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(place, 0), theirs.get(place, 0)
        is_delivery = place[1] in DELIVERY
        if mine == other or before.get(place, 0) != mine:
            continue  # Or it moved while the books were read.
        if is_delivery and known.books.holdings is None and needs_holdings(known.now):
            continue  # A half of the equation is missing.
        deltas[place[0]].append(_Delta(place, mine, other, carried.get(place, 0)))
    for found in deltas.values():
        yield from _told(known, found)


def _ours(account: Account) -> dict[Place, int]:
    """Return what our trades hold, by instrument and product; all delivery of an instrument stands under CNC."""
    held: dict[Place, int] = defaultdict(int)
    for trade in account.trades.values():
        if trade.holding.net_quantity:
            held[_pooled(*trade.position)] += trade.holding.net_quantity
    return held


def _carried(account: Account) -> dict[Place, int]:
    held: dict[Place, int] = defaultdict(int)
    for trade in account.trades.values():
        held[_pooled(*trade.position)] += trade.carried_quantity
    return held


def _theirs(books: VenueBooks, account: Account) -> dict[Place, int]:
    held: dict[Place, int] = defaultdict(int)
    for position in books.positions or ():
        held[_pooled(position.instrument, position.product)] += position.net_quantity
    for holding in books.holdings or ():
        before = account.held_before.get(held_before_key(holding.instrument), 0)
        held[holding.instrument, Product.CNC] += holding.quantity - before
    return held


def _pooled(instrument: InstrumentKey, product: Product) -> Place:
    return instrument, Product.CNC if product in DELIVERY else product


def _told(known: Comparison, deltas: list[_Delta]) -> Iterator[Finding]:
    """Yield the differences in one instrument."""
    instrument = deltas[0].place[0]
    in_doubt = [
        order
        for order in known.now.orders.values()
        if order.instruction.instrument == instrument and order.status in _IN_DOUBT
    ]
    is_converted = len(deltas) > 1 and sum(delta.quantity for delta in deltas) == 0
    for delta in deltas:
        if known.instrument_of(instrument) is None:
            yield _position(known, K.UNLISTED_POSITION, delta)
        elif in_doubt:
            cause = f"order {in_doubt[0].order_id} is {in_doubt[0].status.value}: it was executed, or not"
            yield _position(known, K.UNKNOWN_ORDER_POSITION, delta, cause=cause)
        else:
            yield _position(known, K.POSITION_CONVERTED if is_converted else _kind_of(known, delta), delta)


def _kind_of(known: Comparison, delta: _Delta) -> DifferenceKind:
    instrument, product = delta.place
    listed = known.instrument_of(instrument)
    expires_on = None if listed is None else listed.expires_on
    if delta.theirs == 0 and expires_on is not None and expires_on < known.day:
        return K.DERIVATIVE_EXPIRED
    if product in DELIVERY and delta.carried:
        if delta.ours == delta.carried and _is_ratio(delta.ours, delta.theirs):
            return K.CORPORATE_ACTION_RATIO
        return K.HOLDING_LARGER if delta.quantity > 0 else K.HOLDING_SMALLER
    return _kind_by_size(delta)


def _kind_by_size(delta: _Delta) -> DifferenceKind:
    if delta.ours == 0:
        return K.POSITION_UNEXPECTED
    if delta.theirs == 0:
        return K.POSITION_GONE
    if delta.ours * delta.theirs < 0:
        return K.POSITION_REVERSED
    return K.POSITION_LARGER if abs(delta.theirs) > abs(delta.ours) else K.POSITION_SMALLER


def _is_ratio(ours: int, theirs: int) -> bool:
    return theirs > 0 and any(
        ours * up // down == theirs or (ours * down // up == theirs and ours > theirs) for up, down in _RATIOS
    )


def _position(known: Comparison, kind: DifferenceKind, delta: _Delta, *, cause: str = "") -> Finding:
    instrument, product = delta.place
    return Finding(
        kind=kind,
        instrument=instrument,
        product=product,
        symbol=known.symbol_of(instrument),
        ours=str(delta.ours),
        theirs=str(delta.theirs),
        quantity=delta.quantity,
        cause=cause,
    )


def _held_before(known: Comparison, instrument: InstrumentKey, quantity: int) -> Finding:
    return Finding(
        kind=K.HELD_BEFORE,
        instrument=instrument,
        product=Product.CNC,
        symbol=known.symbol_of(instrument),
        ours="0",
        theirs=str(quantity),
        quantity=quantity,
    )
