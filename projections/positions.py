"""Read model `positions`, which answers what an account holds, at what cost, to what result: the sum of its trades."""

import msgspec

from domain.account.events import (
    CorporateActionApplied,
    ForeignFillAllocated,
    OrderFilled,
    TradeAdopted,
    TradeOpened,
)
from domain.account.holding import Holding, scaled_quantity
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId, TradeId
from domain.instrument import InstrumentKey, Segment
from domain.market import trading_day
from domain.order import Product, Side
from projections.read_model import Key, OnPoison, ReadModel, RowMissing, account_of


class PositionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The net holding of an account in an instrument and product. Amounts in paise, quantities in units.

    `net_quantity` and `cost_paise` are negative for a short. `bought_*` and `sold_*` are totals since ever; the average
    of a holding is cost by quantity. `realised_paise` is before `charges_paise`. What ends in `_day_paise` belongs to
    `day`, the exchange's day of the newest fill. `changed_at_us` is when the event with `sequence` was recorded.
    `carried_*` is what was held when that day began. `holdings` tells which trade holds how much of it (signed),
    `adjusted_quantity` what corporate actions added.
    """

    account_id: AccountId
    segment: Segment
    security_id: str
    product: Product
    symbol: str
    multiplier: int
    net_quantity: int = 0
    cost_paise: int = 0
    bought_quantity: int = 0
    bought_paise: int = 0
    sold_quantity: int = 0
    sold_paise: int = 0
    adjusted_quantity: int = 0
    holdings: dict[TradeId, int] = {}
    realised_paise: int = 0
    charges_paise: int = 0
    day: str = ""
    realised_day_paise: int = 0
    charges_day_paise: int = 0
    carried_quantity: int = 0
    carried_cost_paise: int = 0
    last_filled_at_ns: int | None = None
    changed_at_us: int
    sequence: int

    @property
    def instrument(self) -> InstrumentKey:
        """What is held."""
        return InstrumentKey(segment=self.segment, security_id=self.security_id)

    def realised_on(self, day: str) -> int:
        """Return what was realised on an exchange's day (ISO), in paise: 0 for a day after the newest fill."""
        return self.realised_day_paise if day == self.day else 0

    def charges_on(self, day: str) -> int:
        """Return what was charged on an exchange's day (ISO), in paise, likewise."""
        return self.charges_day_paise if day == self.day else 0

    def carried_into(self, day: str) -> Holding:
        """Return what was held when an exchange's day (ISO) began, which is none before the newest fill's."""
        if day == self.day:
            return Holding(net_quantity=self.carried_quantity, cost_paise=self.carried_cost_paise)
        return Holding(net_quantity=self.net_quantity, cost_paise=self.cost_paise)


Fill = OrderFilled | ForeignFillAllocated


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    match event:
        case OrderFilled() | ForeignFillAllocated() | TradeAdopted():
            return _key(recorded, event.instrument, event.product)
        case TradeOpened():
            return _key(recorded, event.entry.instrument, event.entry.product)
        case _:
            return None


def _key(recorded: RecordedEvent, instrument: InstrumentKey, product: Product) -> Key:
    return (account_of(recorded), instrument.segment, instrument.security_id, product)


def _adjusted_keys(event: CorporateActionApplied, recorded: RecordedEvent) -> tuple[Key, ...]:
    return tuple(_key(recorded, event.instrument, product) for product in Product)


def _apply(event: Event, recorded: RecordedEvent, row: PositionRow | None) -> PositionRow | None:
    match event:
        case TradeOpened() | TradeAdopted():
            return _named(event, recorded, row)
        case OrderFilled() | ForeignFillAllocated():
            if row is None:
                raise RowMissing(event)
            return _filled(event, recorded, row)
        case CorporateActionApplied():
            return None if row is None else _adjusted(event, recorded, row)
        case _:
            return row


def _named(event: TradeOpened | TradeAdopted, recorded: RecordedEvent, row: PositionRow | None) -> PositionRow:
    """Return the row with the instrument's newest name: fills carry none."""
    if row is not None:
        return msgspec.structs.replace(
            row,
            symbol=event.symbol,
            multiplier=event.multiplier,
            changed_at_us=recorded.recorded_at_us,
            sequence=recorded.sequence,
        )
    if isinstance(event, TradeOpened):
        instrument, product = event.entry.instrument, event.entry.product
        day = trading_day(event.market.market_time_ns).isoformat()
    else:
        instrument, product, day = event.instrument, event.product, event.trading_day
    return PositionRow(
        account_id=AccountId(account_of(recorded)),
        segment=instrument.segment,
        security_id=instrument.security_id,
        product=product,
        symbol=event.symbol,
        multiplier=event.multiplier,
        day=day,
        changed_at_us=recorded.recorded_at_us,
        sequence=recorded.sequence,
    )


def _filled(event: Fill, recorded: RecordedEvent, row: PositionRow) -> PositionRow:
    is_new_day = event.trading_day > row.day
    change, charged = event.side.sign * event.last_quantity, event.charges.total_paise
    row = msgspec.structs.replace(
        row,
        net_quantity=row.net_quantity + change,
        holdings=_with_holding(row.holdings, event.trade_id, row.holdings.get(event.trade_id, 0) + change),
        cost_paise=row.cost_paise + event.opened_cost_paise - event.closed_cost_paise,
        realised_paise=row.realised_paise + event.realised_paise,
        day=event.trading_day if is_new_day else row.day,
        charges_paise=row.charges_paise + charged,
        realised_day_paise=event.realised_paise + (0 if is_new_day else row.realised_day_paise),
        charges_day_paise=charged + (0 if is_new_day else row.charges_day_paise),
        carried_quantity=row.net_quantity if is_new_day else row.carried_quantity,
        carried_cost_paise=row.cost_paise if is_new_day else row.carried_cost_paise,
        last_filled_at_ns=event.filled_at_ns,
        changed_at_us=recorded.recorded_at_us,
        sequence=recorded.sequence,
    )
    if event.side is Side.BUY:
        return msgspec.structs.replace(
            row,
            bought_quantity=row.bought_quantity + event.last_quantity,
            bought_paise=row.bought_paise + event.value_paise,
        )
    return msgspec.structs.replace(
        row,
        sold_quantity=row.sold_quantity + event.last_quantity,
        sold_paise=row.sold_paise + event.value_paise,
    )


def _with_holding(holdings: dict[TradeId, int], trade_id: TradeId, quantity: int) -> dict[TradeId, int]:
    others = {name: held for name, held in holdings.items() if name != trade_id}
    return {**others, trade_id: quantity} if quantity else others


def _adjusted(event: CorporateActionApplied, recorded: RecordedEvent, row: PositionRow) -> PositionRow:
    """Return the row with what its own trades hold after the action: the event names those of every product."""
    holdings, change = row.holdings, 0
    for each in event.trades:
        if (before := row.holdings.get(each.trade_id)) is not None:
            holdings = _with_holding(holdings, each.trade_id, each.net_quantity)
            change += each.net_quantity - before
    return msgspec.structs.replace(
        row,
        net_quantity=row.net_quantity + change,
        adjusted_quantity=row.adjusted_quantity + change,
        carried_quantity=scaled_quantity(
            row.carried_quantity, numerator=event.numerator, denominator=event.denominator
        ),
        holdings=holdings,
        changed_at_us=recorded.recorded_at_us,
        sequence=recorded.sequence,
    )


POSITIONS = ReadModel(
    name="positions",
    version=3,
    row=PositionRow,
    key=("account_id", "segment", "security_id", "product"),
    key_of=_key_of,
    apply=_apply,
    concerns=(TradeOpened, TradeAdopted, OrderFilled, ForeignFillAllocated, CorporateActionApplied),
    several={CorporateActionApplied: _adjusted_keys},
    on_poison=OnPoison.HALT,
)
