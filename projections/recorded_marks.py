"""Which prices an account's own events recorded on the exchange's newest day that they know: a fold without a table.

Decisions carry the marks they were made on; an exit, a moved stop and a breach carry the ticks that set them off. Where
no bars are stored these are the only prices of the past that can be told, and only those of that day are: an older one
would say nothing.
"""

import msgspec

from domain.account.events import (
    OrderDenied,
    OrderModifyRequested,
    RiskBreached,
    StopTrailed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from domain.market import Mark, trading_day
from projections.read_model import Key, ReadModel, account_of


class RecordedMarksRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account's recorded marks, the newest of each instrument, all of the exchange's `day` (ISO)."""

    account_id: AccountId
    day: str = ""
    marks: tuple[Mark, ...] = ()
    sequence: int


def _marks_of(event: Event) -> tuple[Mark, ...]:
    match event:
        case TradeOpened() | OrderDenied():
            return event.market.marks
        case TradeExitTriggered() | OrderModifyRequested():
            return () if event.mark is None else (event.mark,)
        case StopTrailed():
            return (event.mark,)
        case RiskBreached():
            return event.marks
        case _:
            return ()


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    return (account_of(recorded),) if _marks_of(event) else None


def _apply(event: Event, recorded: RecordedEvent, row: RecordedMarksRow | None) -> RecordedMarksRow | None:
    fresh = _marks_of(event)
    if not fresh:
        return row
    before = RecordedMarksRow(account_id=AccountId(account_of(recorded)), sequence=0) if row is None else row
    day = max(before.day, *(_day_of(mark) for mark in fresh))
    newest = {mark.instrument: mark for mark in before.marks if day == before.day}
    for mark in fresh:
        known = newest.get(mark.instrument)
        if _day_of(mark) == day and (known is None or known.exchange_time_ns <= mark.exchange_time_ns):
            newest[mark.instrument] = mark
    marks = tuple(newest[instrument] for instrument in sorted(newest))
    return RecordedMarksRow(account_id=before.account_id, day=day, marks=marks, sequence=recorded.sequence)


def _day_of(mark: Mark) -> str:
    return trading_day(mark.exchange_time_ns).isoformat()


RECORDED_MARKS = ReadModel(
    name="recorded_marks",
    version=2,
    row=RecordedMarksRow,
    key=("account_id",),
    key_of=_key_of,
    apply=_apply,
    concerns=(TradeOpened, OrderDenied, TradeExitTriggered, StopTrailed, OrderModifyRequested, RiskBreached),
)
