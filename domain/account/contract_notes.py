"""What is recorded of the broker's own charges."""

from domain.account.commands import RecordContractNote
from domain.account.events import ContractNoteReceived
from domain.contract_note import compare

ORDERS_A_PART = 500
"""An event is 256 KiB at most, and an order of two executions some 290 bytes of it."""


def record_contract_note(command: RecordContractNote) -> tuple[ContractNoteReceived, ...]:
    """Keep what the broker charged on a day beside what was booked, in as many parts as it takes."""
    compared = compare(command.booked, command.told, command.rates)
    begins = range(0, len(compared.orders), ORDERS_A_PART) or range(1)
    return tuple(
        ContractNoteReceived(
            trading_day=command.trading_day,
            number=command.number,
            part=part,
            part_count=len(begins),
            fingerprint=command.fingerprint,
            lines=compared.lines,
            orders=compared.orders[begin : begin + ORDERS_A_PART],
        )
        for part, begin in enumerate(begins, 1)
    )
