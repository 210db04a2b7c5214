"""The portfolio queries as of a moment of the past: what was shown then, in every column that derives from the log.

Trades and orders end, and most of the past is theirs: a row of their tables whose own `sequence` is not after the
moment is as it was then, for nothing has changed it since. Every other row that there was, and every position and
account, is taken from stored states and a fold (`past`). Prices come from `HistoricalMarks`.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from domain.ids import AccountId, TradeId
from domain.instrument import InstrumentKey
from domain.market import trading_day
from projections.daily_results import DAILY_RESULTS
from projections.orders import OrderRow
from projections.past import (
    PAST_ORDERS,
    PAST_POSITIONS,
    PAST_RISK,
    PAST_TRADES,
    Past,
    PastAccounts,
    PastNotReadable,
)
from projections.portfolio import ValuedPosition, value_at
from projections.ports import Clock, HistoricalMark, HistoricalMarks, LogOfThePast
from projections.positions import PositionRow
from projections.queries import (
    EVERY_ORDER,
    EVERY_TRADE,
    FIRST_PAGE,
    Answer,
    DailyRows,
    LimitHistory,
    OrderFilter,
    OrderLine,
    Page,
    Paging,
    PortfolioRows,
    Queries,
    QueriesUnavailable,
    ReadModelBehind,
    TradeFilter,
    page_of,
)
from projections.read_model import Key, RowT
from projections.trades import TradeRow

NS_PER_US = 1_000


class MomentRefused(Exception):
    """No state belongs to the moment that was asked for. The caller sees 422 with `code`."""

    code = "MOMENT_REFUSED"


class BeforeTheLog(MomentRefused):
    """Nothing had happened yet."""

    code = "AS_OF_BEFORE_LOG"


class InTheFuture(MomentRefused):
    """The time has not come: another answer may be right when it has."""

    code = "AS_OF_IN_FUTURE"


class BeyondTheLog(MomentRefused):
    """The log has no such sequence yet."""

    code = "AT_SEQUENCE_BEYOND_LOG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A place in the log that stands for a time: everything up to `sequence` had happened at `time_us` (UTC)."""

    sequence: int
    time_us: int


class History:
    """Answers what was.

    *is_tape*: the market's clock is that of a tape and has nothing to do with the times at which events were recorded.
    """

    def __init__(
        self,
        *,
        queries: Queries,
        accounts: PastAccounts,
        log: LogOfThePast,
        marks: HistoricalMarks,
        clock: Clock,
        is_tape: bool = False,
    ) -> None:
        self._queries = queries
        self._accounts = accounts
        self._log = log
        self._marks = marks
        self._clock = clock
        self._is_tape = is_tape

    async def moment_at(self, time_us: int) -> Moment:
        """Return the moment of a time: the last event recorded at or before *time_us* (UTC microseconds) stands for it.

        Raises:
            BeforeTheLog, InTheFuture
        """
        sequence = await self._log.sequence_at(time_us)
        if sequence == 0:
            raise BeforeTheLog("at the time asked for the log had no event yet")
        if time_us > self._clock.wall_ns() // NS_PER_US and time_us > await self._recorded_at_us(sequence):
            raise InTheFuture("the time asked for has not come yet")
        return Moment(sequence=sequence, time_us=time_us)

    async def moment_of(self, sequence: int) -> Moment:
        """Return the moment of a sequence (1 or more).

        Raises:
            BeyondTheLog
        """
        await self.demand_recorded(sequence)
        return Moment(sequence=sequence, time_us=await self._recorded_at_us(sequence))

    async def demand_recorded(self, sequence: int) -> None:
        """Accept a sequence that the log has.

        Raises:
            BeyondTheLog
        """
        head = await self._log.head()
        if sequence > head.sequence:
            raise BeyondTheLog(f"received sequence {sequence}, the log has reached {head.sequence}")

    def at(self, moment: Moment) -> "PastQueries":
        """Return the queries as of *moment*."""
        return PastQueries(
            moment, queries=self._queries, accounts=self._accounts, marks=self._marks, is_tape=self._is_tape
        )

    async def _recorded_at_us(self, sequence: int) -> int:
        [event] = await self._log.read_all(after_sequence=sequence - 1, limit=1)
        return event.recorded_at_us


class PastQueries:
    """The portfolio's questions of `projections.queries.Queries`, as of `moment`. Every answer has its sequence.

    Every method raises QueriesUnavailable where the views cannot be read, and ReadModelBehind where they have not come
    as far as the moment.
    """

    def __init__(
        self, moment: Moment, *, queries: Queries, accounts: PastAccounts, marks: HistoricalMarks, is_tape: bool
    ) -> None:
        self.moment = moment
        self._queries = queries
        self._accounts = accounts
        self._marks = marks
        self._is_tape = is_tape

    async def trades(
        self,
        accounts: Sequence[AccountId],
        wanted: TradeFilter = EVERY_TRADE,
        paging: Paging = FIRST_PAGE,
    ) -> Page[TradeRow]:
        """Return a page of trades of *accounts*, at most 200 of them, filtered by what they were then."""
        sequence, paging = self.moment.sequence, paging.bounded()
        found: list[TradeRow] = []
        next_one: Paging | None = paging.within(sequence)
        # A row that has changed since comes whatever its status is now, so a page may turn out to hold too few.
        while next_one is not None and len(found) <= paging.limit:
            page = await self._queries.trades(accounts, wanted, next_one, changed_after=sequence)
            self._demand(page.sequence)
            rows = await self._as_then(PAST_TRADES, page.rows)
            found += [row for row in rows if wanted.status in {None, row.status}]
            next_one = next_one.following(page)
        return page_of(found, paging, sequence, place=lambda row: row.opened_sequence)

    async def trade(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[TradeRow | None]:
        """Return one trade, None where there was none of that name among those of *accounts*."""
        now = await self._queries.trade(accounts, trade_id)
        self._demand(now.sequence)
        rows = await self._as_then(PAST_TRADES, [] if now.value is None else [now.value])
        return Answer(value=rows[0] if rows else None, sequence=self.moment.sequence)

    async def orders_of(self, accounts: Sequence[AccountId], trade_id: TradeId) -> Answer[list[OrderRow]]:
        """Return the orders that a trade had, oldest first."""
        now = await self._queries.orders_of(accounts, trade_id)
        self._demand(now.sequence)
        return Answer(value=await self._as_then(PAST_ORDERS, now.value), sequence=self.moment.sequence)

    async def orders(
        self,
        accounts: Sequence[AccountId],
        wanted: OrderFilter = EVERY_ORDER,
        paging: Paging = FIRST_PAGE,
    ) -> Page[OrderLine]:
        """Return a page of orders of *accounts*, at most 200 of them, filtered by what they were then."""
        sequence, paging = self.moment.sequence, paging.bounded()
        found: list[OrderLine] = []
        next_one: Paging | None = paging.within(sequence)
        while next_one is not None and len(found) <= paging.limit:  # As with trades.
            page = await self._queries.orders(accounts, wanted, next_one, changed_after=sequence)
            self._demand(page.sequence)
            now = {line.order_id: line for line in page.rows}
            rows = await self._as_then(PAST_ORDERS, page.rows)
            found += [_line(row, now[row.order_id]) for row in rows if wanted.status in {None, row.status}]
            next_one = next_one.following(page)
        return page_of(found, paging, sequence, place=lambda row: row.intended_sequence)

    async def portfolio(self, account_id: AccountId) -> Answer[PortfolioRows | None]:
        """Return what an account had: its risk row, the positions it had traded in and the trades that held something.

        None where there was no account.
        """
        risks = await self._folded(PAST_RISK, account_id)
        if not risks:
            return Answer(value=None, sequence=self.moment.sequence)
        folded = await self._folded(PAST_POSITIONS, account_id)
        positions = sorted((row for row in folded if row.last_filled_at_ns is not None), key=_place)
        trades = await self._held_trades(account_id)
        rows = PortfolioRows(risk=risks[0], positions=positions, trades=trades)
        return Answer(value=rows, sequence=self.moment.sequence)

    async def days(self, account_id: AccountId) -> Answer[DailyRows]:
        """Return what each day of an account's life had brought, and the money that had come and gone."""
        now = await self._queries.days(account_id)
        self._demand(now.sequence)
        sequence = self.moment.sequence
        rows = {DAILY_RESULTS.key_of_row(row): row for row in now.value.results if row.sequence <= sequence}
        if births := {
            DAILY_RESULTS.key_of_row(row): row.born_sequence
            for row in now.value.results
            if row.born_sequence <= sequence < row.sequence
        }:
            try:
                rows |= await self._accounts.then(account_id, sequence).unstored_rows(DAILY_RESULTS, births)
            except PastNotReadable as error:
                raise _unavailable(self.moment, error) from error
        cash = [row for row in now.value.cash if row.sequence <= sequence]
        return Answer(value=DailyRows(results=[rows[key] for key in sorted(rows)], cash=cash), sequence=sequence)

    async def limit_changes(self, account_id: AccountId, *, before: int | None = None, limit: int = 50) -> LimitHistory:
        """Return at most *limit* (1 … 200) sets of limits that an account had had by then, newest first."""
        sequence = self.moment.sequence
        start = sequence + 1 if before is None else min(before, sequence + 1)
        found = await self._queries.limit_changes(account_id, before=start, limit=limit)
        self._demand(found.sequence)
        return LimitHistory(changes=found.changes, next_before=found.next_before, sequence=sequence)

    def day(self, *known: str) -> str:
        """Return the exchange's day (ISO) then: that of the market's clock, or the newest of *known* days."""
        # On a tape only events tell the market's day.
        clock = [] if self._is_tape else [trading_day(self.moment.time_us * NS_PER_US).isoformat()]
        return max([*clock, *known], default="")

    async def valued(self, account_id: AccountId, rows: Sequence[PositionRow], *, day: str) -> list[ValuedPosition]:
        """Return *rows* with the marks that can be told for the exchange's *day*."""
        needed = {row.instrument for row in rows if row.net_quantity or row.carried_into(day).net_quantity}
        marks = await self.marks(needed, account_id, day=day)
        valued = []
        for row in rows:
            known = marks.get(row.instrument)
            valued.append(
                value_at(
                    row,
                    None if known is None else known.mark,
                    source=None if known is None else known.source,
                    day=day,
                )
            )
        return valued

    async def marks(
        self, instruments: Collection[InstrumentKey], account_id: AccountId, *, day: str
    ) -> Mapping[InstrumentKey, HistoricalMark]:
        """Return the marks of *instruments* that can be told for the exchange's *day*."""
        if not instruments:
            return {}
        return await self._marks.marks_at(
            instruments,
            account_id=account_id,
            sequence=self.moment.sequence,
            day=day,
            market_time_ns=None if self._is_tape else self.moment.time_us * NS_PER_US,
        )

    # --- Rows ---------------------------------------------------------------------------------------------------------

    def _demand(self, reached: int) -> None:
        if reached < self.moment.sequence:
            raise ReadModelBehind(wanted=self.moment.sequence, sequence=reached)

    async def _folded(self, past: Past[RowT], account_id: AccountId) -> list[RowT]:
        """Return an account's rows of a read model whose rows are never over."""
        try:
            rows = await self._accounts.then(account_id, self.moment.sequence).rows(past)
        except PastNotReadable as error:
            raise _unavailable(self.moment, error) from error
        return list(rows.values())

    async def _held_trades(self, account_id: AccountId) -> list[TradeRow]:
        then = self._accounts.then(account_id, self.moment.sequence)
        try:
            rows, lost = await then.open_rows(PAST_TRADES)
        except PastNotReadable as error:
            raise _unavailable(self.moment, error) from error
        held = [row for row in rows.values() if row.net_quantity]
        for (trade_id,) in lost:
            found = (await self.trade([account_id], TradeId(trade_id))).value
            if found is not None and found.net_quantity:
                held.append(found)
        return sorted(held, key=lambda row: row.opened_sequence)

    async def _as_then(self, past: Past[RowT], now: Sequence[RowT]) -> list[RowT]:
        """Return what rows of a table were at the moment, in their order; a row that came later is left out."""
        sequence = self.moment.sequence
        changed: defaultdict[AccountId, dict[Key, int]] = defaultdict(dict)
        for row in now:
            if row.sequence > sequence and (born := past.born_at(row)) <= sequence:  # type: ignore[attr-defined]
                changed[row.account_id][past.model.key_of_row(row)] = born  # type: ignore[attr-defined]
        then: dict[Key, RowT] = {}
        for account_id, wanted in changed.items():
            try:
                then |= await self._accounts.then(account_id, sequence).rows(past, wanted)
            except PastNotReadable as error:
                raise _unavailable(self.moment, error) from error
        rows = []
        for row in now:
            kept = row if row.sequence <= sequence else then.get(past.model.key_of_row(row))  # type: ignore[attr-defined]
            if kept is not None:
                rows.append(kept)
        return rows


def _unavailable(moment: Moment, error: PastNotReadable) -> QueriesUnavailable:
    return QueriesUnavailable(f"the state at sequence {moment.sequence} cannot be folded: {error}")


def _line(row: OrderRow, now: OrderLine) -> OrderLine:
    """Return an order as it was with what its trade says of it, which never changes."""
    then = {name: getattr(row, name) for name in OrderRow.__struct_fields__}
    return OrderLine(**then, symbol=now.symbol, multiplier=now.multiplier, strategy_id=now.strategy_id)


def _place(row: PositionRow) -> tuple[str, ...]:
    return (row.symbol, row.product.value, row.account_id, row.segment.value, row.security_id)
