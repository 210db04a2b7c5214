"""Read model `positions`, which answers what an account holds, at what cost, to what result: the sum of its trades."""

import msgspec

from domain.account.events import OrderFilled, TradeOpened
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from domain.instrument import InstrumentKey, Segment
from domain.market import trading_day
from domain.order import Product, Side
from projections.read_model import Key, OnPoison, ReadModel, RowMissing, account_of


class PositionRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The net holding of an account in an instrument and product. Amounts in paise, quantities in units.

    `net_quantity` and `cost_paise` are negative for a short. `bought_*` and `sold_*` are totals since ever; the average
    of a holding is cost by quantity. `realised_day_paise` belongs to `day`, the exchange's day of the newest fill.
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
    realised_paise: int = 0
    day: str = ""
    realised_day_paise: int = 0
    last_filled_at_ns: int | None = None
    sequence: int

    @property
    def instrument(self) -> InstrumentKey:
        """What is held."""
        return InstrumentKey(segment=self.segment, security_id=self.security_id)

    def realised_on(self, day: str) -> int:
        """Return what was realised on an exchange's day (ISO), in paise: 0 for a day after the newest fill."""
        return self.realised_day_paise if day == self.day else 0


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    match event:
        case OrderFilled():
            instrument, product = event.instrument, event.product
        case TradeOpened():
            instrument, product = event.entry.instrument, event.entry.product
        case _:
            return None
    return (account_of(recorded), instrument.segment.value, instrument.security_id, product.value)


def _apply(event: Event, recorded: RecordedEvent, row: PositionRow | None) -> PositionRow | None:
    match event:
        case TradeOpened():
            return _named(event, recorded, row)
        case OrderFilled():
            if row is None:
                raise RowMissing(event)
            return _filled(event, recorded, row)
        case _:
            return row


def _named(event: TradeOpened, recorded: RecordedEvent, row: PositionRow | None) -> PositionRow:
    """Return the row with the instrument's newest name: fills carry none."""
    if row is not None:
        return msgspec.structs.replace(
            row, symbol=event.symbol, multiplier=event.multiplier, sequence=recorded.sequence
        )
    return PositionRow(
        account_id=AccountId(account_of(recorded)),
        segment=event.entry.instrument.segment,
        security_id=event.entry.instrument.security_id,
        product=event.entry.product,
        symbol=event.symbol,
        multiplier=event.multiplier,
        day=trading_day(event.market.market_time_ns).isoformat(),
        sequence=recorded.sequence,
    )


def _filled(event: OrderFilled, recorded: RecordedEvent, row: PositionRow) -> PositionRow:
    is_new_day = event.trading_day > row.day
    row = msgspec.structs.replace(
        row,
        net_quantity=row.net_quantity + event.side.sign * event.last_quantity,
        cost_paise=row.cost_paise + event.opened_cost_paise - event.closed_cost_paise,
        realised_paise=row.realised_paise + event.realised_paise,
        day=event.trading_day if is_new_day else row.day,
        realised_day_paise=event.realised_paise + (0 if is_new_day else row.realised_day_paise),
        last_filled_at_ns=event.filled_at_ns,
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


POSITIONS = ReadModel(
    name="positions",
    version=1,
    row=PositionRow,
    key=("account_id", "segment", "security_id", "product"),
    key_of=_key_of,
    apply=_apply,
    concerns=(TradeOpened, OrderFilled),
    on_poison=OnPoison.HALT,
)
