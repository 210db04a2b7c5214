"""Read model `cash_moves`, which answers what money came into an account and went out of it, day by day."""

import msgspec

from domain.account.events import CashMoved
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from projections.read_model import Key, ReadModel, account_of


class CashMoveRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One movement, in paise: positive came in. `day` is the exchange's (ISO)."""

    sequence: int
    account_id: AccountId
    amount_paise: int
    reason: str
    day: str
    moved_at_us: int


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    return (str(recorded.sequence),) if isinstance(event, CashMoved) else None


def _apply(event: Event, recorded: RecordedEvent, row: CashMoveRow | None) -> CashMoveRow | None:
    if not isinstance(event, CashMoved):
        return row
    return CashMoveRow(
        sequence=recorded.sequence,
        account_id=AccountId(account_of(recorded)),
        amount_paise=event.amount_paise,
        reason=event.reason,
        day=event.trading_day,
        moved_at_us=recorded.recorded_at_us,
    )


CASH_MOVES = ReadModel(
    name="cash_moves",
    version=1,
    row=CashMoveRow,
    key=("sequence",),
    key_of=_key_of,
    apply=_apply,
    concerns=(CashMoved,),
    only_grows=True,
    indexes=(("account_id", "sequence"),),
)
