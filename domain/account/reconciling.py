"""What is recorded of differences between the venue's books and ours: each once, for as long as it stays the same."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from domain.account.commands import RecordConversion, RecordDifferences, RecordForeignFill, ResolveDifference
from domain.account.events import AccountEvent, DifferenceClosed, DifferenceFound, Role
from domain.account.evolve import evolve
from domain.account.foreign import record_foreign_fill
from domain.account.refusals import AdoptionImpossible, DifferenceNotFound, demand_role
from domain.account.state import Account
from domain.differences import DIFFERENCES_MAX, RULES, Book, DifferenceEnd, DifferenceKind, Finding
from domain.ids import DifferenceId, TradeId, VenueFillId
from domain.instrument import Instrument
from domain.money import E4_PER_PAISA
from domain.order import Product, Side


@dataclass(slots=True)
class _Recording:
    """Events, and the state that they lead to."""

    state: Account
    events: list[AccountEvent] = field(default_factory=list)

    def take(self, *events: AccountEvent) -> None:
        for event in events:
            self.events.append(event)
            self.state = evolve(self.state, event)


def record_differences(command: RecordDifferences, state: Account) -> tuple[AccountEvent, ...]:
    """Record what is new or another by now, and what is over. Nothing is recorded while nothing changes."""
    if state.account_id is None:
        return ()
    recording = _Recording(state)
    for finding in command.repaired:
        found = _found(finding, recording.state)
        recording.take(found, _closed(found.difference_id, DifferenceEnd.REPAIRED))
    shown = {finding.name: finding for finding in command.found if finding.name not in state.accepted_differences}
    for difference in state.differences.values():
        is_still_there = difference.name in shown or difference.name in command.suspected
        if not is_still_there and _could_be_seen(difference, command.read):
            recording.take(_closed(difference.difference_id, DifferenceEnd.AGREED))
    open_ = {difference.name: difference for difference in recording.state.differences.values()}
    for finding in sorted(shown.values(), key=lambda each: not RULES[each.kind].gates):
        known = open_.get(finding.name)
        if known is None and len(recording.state.differences) < DIFFERENCES_MAX:
            recording.take(_found(finding, recording.state))
        elif known is not None:
            again = _found(finding, recording.state, difference_id=known.difference_id)
            if again != known:
                recording.take(again)
    return tuple(recording.events)


def _could_be_seen(difference: DifferenceFound, read: frozenset[Book]) -> bool:
    """Tell whether a difference that is there shows in books of which *read* could be read."""
    if difference.kind is DifferenceKind.BOOK_UNREADABLE:
        return difference.subject in read
    return RULES[difference.kind].books <= read


def _found(finding: Finding, state: Account, *, difference_id: DifferenceId | None = None) -> DifferenceFound:
    rule = RULES[finding.kind]
    return DifferenceFound(
        difference_id=difference_id or DifferenceId(f"{state.account_id}.d{state.difference_count + 1}"),
        kind=finding.kind,
        subject=finding.subject,
        instrument=finding.instrument,
        product=finding.product,
        symbol=finding.symbol,
        ours=finding.ours,
        theirs=finding.theirs,
        quantity=finding.quantity,
        cause=finding.cause or rule.cause,
        repair=rule.repair,
        gates=rule.gates,
    )


def _closed(difference_id: DifferenceId, how: DifferenceEnd) -> DifferenceClosed:
    return DifferenceClosed(difference_id=difference_id, how=how, user_id=None, reason="")


def record_conversion(command: RecordConversion, state: Account) -> tuple[AccountEvent, ...]:
    """Follow a conversion: each product takes what the venue shows, at what the converted units had cost."""
    if state.account_id is None:
        return ()
    recording = _Recording(state)
    price_e4 = _average_e4(state, command.instrument, command.findings)
    if price_e4 is None:
        return ()
    for finding, adopted_as in zip(command.findings, command.adopted_as, strict=True):
        if finding.product is None or not finding.quantity:
            continue
        found = _found(finding, recording.state)
        adoption = _adoption(
            found.difference_id,
            command.instrument,
            finding.product,
            finding.quantity,
            price_e4=price_e4,
            adopted_as=adopted_as,
            now_ns=command.now_ns,
        )
        recording.take(found)
        recording.take(*record_foreign_fill(adoption, recording.state))
        recording.take(_closed(found.difference_id, DifferenceEnd.REPAIRED))
    return tuple(recording.events)


def _average_e4(state: Account, instrument: Instrument, findings: Iterable[Finding]) -> int | None:
    """Return what a unit cost of what our trades hold in the products of *findings*, None where they hold nothing."""
    products = {finding.product for finding in findings}
    held = [
        trade
        for trade in state.unclosed_trades()
        if trade.entry.instrument == instrument.key and trade.entry.product in products and trade.holding.net_quantity
    ]
    units = sum(abs(trade.holding.net_quantity) for trade in held) * instrument.multiplier
    cost_paise = sum(abs(trade.holding.cost_paise) for trade in held)
    return max(cost_paise * E4_PER_PAISA // units, 1) if units else None


def resolve_difference(command: ResolveDifference, state: Account) -> tuple[AccountEvent, ...]:
    """Take what the venue shows as it is: a position is adopted, anything else is not told of again today."""
    demand_role(state, command.user_id, Role.OWNER)
    difference = state.differences.get(command.difference_id)
    if difference is None:
        raise DifferenceNotFound("the account has no such open difference")
    recording = _Recording(state)
    if difference.quantity and difference.product is not None and command.instrument is not None:
        if command.price_e4 is None:
            raise AdoptionImpossible(f"nobody knows a price of {difference.symbol}, expected one in the request")
        adoption = _adoption(
            difference.difference_id,
            command.instrument,
            difference.product,
            difference.quantity,
            price_e4=command.price_e4,
            adopted_as=command.adopted_as,
            now_ns=command.now_ns,
        )
        recording.take(*record_foreign_fill(adoption, recording.state))
    recording.take(
        DifferenceClosed(
            difference_id=difference.difference_id,
            how=DifferenceEnd.RESOLVED,
            user_id=command.user_id,
            reason=command.reason,
        )
    )
    return tuple(recording.events)


def _adoption(
    difference_id: DifferenceId,
    instrument: Instrument,
    product: Product,
    quantity: int,
    *,
    price_e4: int,
    adopted_as: TradeId,
    now_ns: int,
) -> RecordForeignFill:
    """Return the execution that stands for a difference of *quantity* units; it goes by the difference's own name."""
    return RecordForeignFill(
        adopted_as=adopted_as,
        venue_fill_id=VenueFillId(difference_id),
        instrument=instrument,
        product=product,
        side=Side.BUY if quantity > 0 else Side.SELL,
        quantity=abs(quantity),
        price_e4=price_e4,
        filled_at_ns=now_ns,
    )
