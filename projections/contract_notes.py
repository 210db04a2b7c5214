"""Read model `contract_notes`, which answers what the broker charged on a day, beside what was booked for it."""

import msgspec

from domain.account.events import ContractNoteReceived
from domain.contract_note import LineDifference, Match, NotedOrder
from domain.envelope import RecordedEvent
from domain.events import Event
from domain.ids import AccountId
from projections.read_model import Key, ReadModel, account_of


class ContractNoteRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The newest note of a day, amounts in 1/10,000 rupee.

    `number` counts the day's notes, `first_sequence` is where the first of them lies. `unexplained_e4` adds up what no
    cause accounts for, order by order, without regard to the direction. Of the `order_count` orders, `orders` has those
    that stand in one book alone or otherwise in both, or of which something is unexplained.
    """

    account_id: AccountId
    day: str
    number: int
    ours_e4: int
    theirs_e4: int
    unexplained_e4: int
    order_count: int
    lines: tuple[LineDifference, ...]
    orders: tuple[NotedOrder, ...]
    first_sequence: int
    sequence: int
    recorded_at_us: int


def _key_of(event: Event, recorded: RecordedEvent) -> Key | None:
    return (account_of(recorded), event.trading_day) if isinstance(event, ContractNoteReceived) else None


def _apply(event: Event, recorded: RecordedEvent, row: ContractNoteRow | None) -> ContractNoteRow | None:
    if not isinstance(event, ContractNoteReceived):
        return row
    unexplained_e4 = sum(order.unexplained_e4 for order in event.orders)
    remarkable = tuple(order for order in event.orders if order.match is not Match.BOTH or order.unexplained_e4)
    if row is not None and event.part > 1:
        return msgspec.structs.replace(
            row,
            unexplained_e4=row.unexplained_e4 + unexplained_e4,
            order_count=row.order_count + len(event.orders),
            orders=row.orders + remarkable,
            sequence=recorded.sequence,
        )
    return ContractNoteRow(
        account_id=AccountId(account_of(recorded)),
        day=event.trading_day,
        number=event.number,
        ours_e4=sum(line.ours_e4 for line in event.lines),
        theirs_e4=sum(line.theirs_e4 for line in event.lines),
        unexplained_e4=unexplained_e4,
        order_count=len(event.orders),
        lines=event.lines,
        orders=remarkable,
        first_sequence=recorded.sequence if row is None else row.first_sequence,
        sequence=recorded.sequence,
        recorded_at_us=recorded.recorded_at_us,
    )


CONTRACT_NOTES = ReadModel(
    name="contract_notes",
    version=1,
    row=ContractNoteRow,
    key=("account_id", "day"),
    key_of=_key_of,
    apply=_apply,
    concerns=(ContractNoteReceived,),
    indexes=(("account_id", "first_sequence"),),
)
