"""Read model `daily_results`, which answers what each day brought in each instrument, and how it changed what is held.

A row is of one day and knows nothing of the days before it, so it changes only as long as fills of its day come. Summed
up from the first day on, the rows tell what was held at the end of every day and what that had cost.
"""

import msgspec

from domain.account.events import CorporateActionApplied, ForeignFillAllocated, OrderFilled
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from domain.instrument import InstrumentKey, Segment
from domain.order import Side
from projections.read_model import Key, ReadModel, account_of


class DailyResultRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One day of an account in one instrument, all products together. Amounts in paise, quantities in units, signed.

    `realised_paise` is before `charges_paise`. `quantity_change` and `cost_change_paise` are what fills changed in what
    was held and in its cost. Where a corporate action fell on the day, `adjusted_to` is what was held after it (None:
    there was none), and `quantity_change` is what came after.
    """

    account_id: AccountId
    day: str
    segment: Segment
    security_id: str
    realised_paise: int = 0
    charges_paise: int = 0
    bought_paise: int = 0
    sold_paise: int = 0
    fill_count: int = 0
    quantity_change: int = 0
    adjusted_to: int | None = None
    cost_change_paise: int = 0
    born_sequence: int
    sequence: int

    @property
    def instrument(self) -> InstrumentKey:
        """What was traded."""
        return InstrumentKey(segment=self.segment, security_id=self.security_id)


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    match event:
        case OrderFilled() | ForeignFillAllocated():
            day, instrument = event.trading_day, event.instrument
        case CorporateActionApplied():
            day, instrument = event.effective_on, event.instrument
        case _:
            return None
    return (account_of(recorded), day, instrument.segment, instrument.security_id)


def _apply(event: Event, recorded: RecordedEvent, row: DailyResultRow | None) -> DailyResultRow | None:
    match event:
        case OrderFilled() | ForeignFillAllocated():
            return _filled(event, row or _begun(event.trading_day, event.instrument, recorded), recorded)
        case CorporateActionApplied():
            row = row or _begun(event.effective_on, event.instrument, recorded)
            held = sum(each.net_quantity for each in event.trades)
            return msgspec.structs.replace(row, adjusted_to=held, quantity_change=0, sequence=recorded.sequence)
        case _:
            return row


def _begun(day: str, instrument: InstrumentKey, recorded: RecordedEvent) -> DailyResultRow:
    return DailyResultRow(
        account_id=AccountId(account_of(recorded)),
        day=day,
        segment=instrument.segment,
        security_id=instrument.security_id,
        born_sequence=recorded.sequence,
        sequence=recorded.sequence,
    )


def _filled(event: OrderFilled | ForeignFillAllocated, row: DailyResultRow, recorded: RecordedEvent) -> DailyResultRow:
    is_bought = event.side is Side.BUY
    return msgspec.structs.replace(
        row,
        realised_paise=row.realised_paise + event.realised_paise,
        charges_paise=row.charges_paise + event.charges.total_paise,
        bought_paise=row.bought_paise + (event.value_paise if is_bought else 0),
        sold_paise=row.sold_paise + (0 if is_bought else event.value_paise),
        fill_count=row.fill_count + 1,
        quantity_change=row.quantity_change + event.side.sign * event.last_quantity,
        cost_change_paise=row.cost_change_paise + event.opened_cost_paise - event.closed_cost_paise,
        sequence=recorded.sequence,
    )


DAILY_RESULTS = ReadModel(
    name="daily_results",
    version=2,
    row=DailyResultRow,
    key=("account_id", "day", "segment", "security_id"),
    key_of=_key_of,
    apply=_apply,
    concerns=(OrderFilled, ForeignFillAllocated, CorporateActionApplied),
)
