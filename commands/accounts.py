"""What people and process managers do with accounts: each method loads, decides and appends."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import msgspec

from commands.intake import IntakeLimit
from commands.lane import Lane, Request
from commands.ports import Clock, EventFeed, EventStore, Ids, Instruments, Marks, Sessions
from commands.snapshots import SnapshotCache, StateCodec
from domain.account import Account, decider, snapshot
from domain.account.commands import (
    AccountCommand,
    ClosePosition,
    EngageKillSwitch,
    ObserveResult,
    OpenTrade,
    ReleaseKillSwitch,
    SetRiskParameters,
)
from domain.account.events import AccountEvent, ProtectionMode
from domain.account.valuation import MarkOf, valuation_of
from domain.envelope import Metadata, RecordedEvent
from domain.ids import AccountId, TradeId, UserId
from domain.instrument import Instrument, InstrumentKey
from domain.market import Mark, MarketSnapshot
from domain.order import OrderType, Product, Side, TimeInForce
from domain.risk import RiskParameters

LANES_MAX = 10_000
INTENTS_PER_SECOND_MAX = 100
SOURCE_OF_STORMS = "intake"
NS_PER_MS = 1_000_000

ACCOUNT_STATES: StateCodec[Account] = StateCodec(snapshot.SCHEMA, snapshot.encode, snapshot.decode)
"""How states of accounts lie in snapshots."""

AccountLane = Lane[AccountCommand, Account, AccountEvent]


def stream_of(account_id: AccountId) -> str:
    """Return the stream in which an account's events lie."""
    return f"account-{account_id}"


def account_of(stream_id: str) -> AccountId | None:
    """Return whose stream this is, None where it is not an account's."""
    category, _, name = stream_id.partition("-")
    return AccountId(name) if category == "account" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """Who asks, from where, when (UTC nanoseconds), and under which idempotency key."""

    actor: str
    source: str
    received_at_ns: int
    correlation_id: str = ""
    causation_id: str = ""
    idempotency_key: str | None = None
    request_hash: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeIntent:
    """What somebody wants to trade. Prices in 1/10,000 rupee, the quantity in units."""

    symbol: str
    side: Side
    quantity: int
    order_type: OrderType
    limit_price_e4: int | None
    product: Product
    time_in_force: TimeInForce
    stop_loss_e4: int | None
    target_e4: int | None
    protection: ProtectionMode = ProtectionMode.RESTING


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a command. `repeated`: it had been carried out before, and this is what became of it then."""

    events: tuple[AccountEvent, ...]
    first_sequence: int
    last_sequence: int
    repeated: bool


class Accounts:
    """The commands on accounts. One lane an account; lanes of accounts that rest are forgotten, oldest first."""

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        ids: Ids,
        marks: Marks,
        instruments: Instruments,
        sessions: Sessions,
        entry_life_ms: int,
        intents_per_second_max: int = INTENTS_PER_SECOND_MAX,
        snapshots: SnapshotCache[Account] | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._marks = marks
        self._instruments = instruments
        self._sessions = sessions
        self._intake = IntakeLimit(clock=clock, per_second=intents_per_second_max, record=self._record_storm)
        self._snapshots = snapshots
        self._entry_life_ns = entry_life_ms * NS_PER_MS
        self._lanes: OrderedDict[AccountId, AccountLane] = OrderedDict()

    async def open_trade(
        self, account_id: AccountId, user_id: UserId, intent: TradeIntent, context: CommandContext
    ) -> Outcome:
        """Open a trade, or deny it: the events are `TradeOpened` and `OrderIntended`, or `OrderDenied`.

        Raises:
            domain.refusals.Refusal: the intent is malformed, or the account not the user's.
            commands.intake.IntentStorm: the account hands in too many.
            commands.lane.AccountBusy, commands.ports.KeyReused, StoreUnavailable, AppendOutcomeUnknown
        """
        self._intake.admit(account_id)
        trade_id = TradeId(self._ids.new("trd"))

        async def command_on(account: Account) -> AccountCommand:
            now_ns = self._marks.market_time_ns()
            instrument = self._instruments.by_symbol(intent.symbol, market_time_ns=now_ns)
            return OpenTrade(
                trade_id=trade_id,
                user_id=user_id,
                side=intent.side,
                quantity=intent.quantity,
                order_type=intent.order_type,
                limit_price_e4=intent.limit_price_e4,
                product=intent.product,
                time_in_force=intent.time_in_force,
                stop_loss_e4=intent.stop_loss_e4,
                target_e4=intent.target_e4,
                entry_life_ns=self._entry_life_ns,
                market=self._snapshot(account, instrument, now_ns),
                protection=intent.protection,
            )

        return await self._execute(account_id, command_on, context)

    async def close_position(
        self,
        account_id: AccountId,
        user_id: UserId,
        instrument: InstrumentKey,
        product: Product,
        context: CommandContext,
    ) -> Outcome:
        """Begin to close every open trade in one instrument and product. Raises as `open_trade` does."""
        command = ClosePosition(user_id=user_id, instrument=instrument, product=product)
        return await self.carry_out(account_id, command, context)

    async def set_risk_parameters(
        self, account_id: AccountId, user_id: UserId, parameters: RiskParameters, context: CommandContext
    ) -> Outcome:
        """Put new limits in force. Raises as `open_trade` does."""
        return await self.carry_out(account_id, SetRiskParameters(user_id=user_id, parameters=parameters), context)

    async def engage_kill_switch(
        self, account_id: AccountId, user_id: UserId, reason: str, context: CommandContext
    ) -> Outcome:
        """Block entries and cancel those that rest. Raises as `open_trade` does."""
        return await self.carry_out(account_id, EngageKillSwitch(user_id=user_id, reason=reason), context)

    async def release_kill_switch(self, account_id: AccountId, user_id: UserId, context: CommandContext) -> Outcome:
        """Allow entries again. Raises as `open_trade` does."""
        return await self.carry_out(account_id, ReleaseKillSwitch(user_id=user_id), context)

    async def state_of(self, account_id: AccountId) -> Account:
        """Return the account as this process knows it: for looks that lead to a command only now and then.

        Raises:
            commands.ports.StoreUnavailable
        """
        return await self._lane(account_id).state()

    @staticmethod
    def observation(account: Account, mark_of: MarkOf, *, market_time_ns: int, is_confirmed: bool) -> ObserveResult:
        """Return the command that holds the result of *account*, at the marks of *mark_of*, against its limits."""
        market = MarketSnapshot(
            market_time_ns=market_time_ns,
            marks=_marks_of(account.open_instruments(), mark_of),
            valuation=valuation_of(account, mark_of, market_time_ns=market_time_ns),
        )
        return ObserveResult(market=market, is_confirmed=is_confirmed)

    async def observe_result(
        self,
        account_id: AccountId,
        mark_of: MarkOf,
        *,
        market_time_ns: int,
        is_confirmed: bool,
        context: CommandContext,
    ) -> Outcome:
        """Hold what the account made against its limits on losses. Raises as `open_trade` does."""

        async def command_on(account: Account) -> AccountCommand:
            return self.observation(account, mark_of, market_time_ns=market_time_ns, is_confirmed=is_confirmed)

        return await self._execute(account_id, command_on, context)

    async def close(self) -> None:
        """Record what is still to be said of intents that were turned away."""
        await self._intake.close()

    async def _record_storm(self, account_id: AccountId, command: AccountCommand) -> Outcome:
        context = CommandContext(actor=SOURCE_OF_STORMS, source=SOURCE_OF_STORMS, received_at_ns=self._clock.wall_ns())
        return await self.carry_out(account_id, command, context)

    async def follow(self, feed: EventFeed, *, after_sequence: int) -> None:
        """Keep the accounts in memory up to date with what other processes append, until canceled."""
        async for batch in feed.follow(after_sequence=after_sequence):
            for recorded in batch:
                self.observe(recorded)

    def observe(self, recorded: RecordedEvent) -> None:
        """Take in an event of the log, for process managers that follow it themselves."""
        account_id = account_of(recorded.stream_id)
        lane = None if account_id is None else self._lanes.get(account_id)
        if lane is not None:
            lane.observe(recorded)

    async def carry_out(self, account_id: AccountId, command: AccountCommand, context: CommandContext) -> Outcome:
        """Decide and append *command*, which carries all it needs. Raises as `open_trade` does."""

        async def command_on(_: Account) -> AccountCommand:
            return command

        return await self._execute(account_id, command_on, context)

    async def _execute(
        self,
        account_id: AccountId,
        command_on: Callable[[Account], Awaitable[AccountCommand]],
        context: CommandContext,
    ) -> Outcome:
        metadata = Metadata(
            actor=context.actor,
            source=context.source,
            correlation_id=context.correlation_id,
            causation_id=context.causation_id,
            received_at_ns=context.received_at_ns,
        )
        request = Request(
            command_id=self._ids.new("cmd"),
            metadata=msgspec.json.encode(metadata),
            scope=account_id if context.idempotency_key is not None else "",
            key=context.idempotency_key,
            request_hash=context.request_hash,
        )
        decided = await self._lane(account_id).execute(command_on, request)
        return Outcome(
            events=decided.events,
            first_sequence=decided.appended.first_sequence,
            last_sequence=decided.appended.last_sequence,
            repeated=decided.appended.repeated,
        )

    def _lane(self, account_id: AccountId) -> AccountLane:
        lane = self._lanes.get(account_id)
        if lane is None:
            self._forget_resting_lanes()
            lane = self._lanes[account_id] = Lane(stream_of(account_id), decider, self._store, self._snapshots)
        self._lanes.move_to_end(account_id)
        return lane

    def _forget_resting_lanes(self) -> None:
        """Keep the memory bounded; a lane with a command under way stays, or its account would have two."""
        surplus = len(self._lanes) + 1 - LANES_MAX
        if surplus <= 0:
            return
        for account_id in [name for name, lane in self._lanes.items() if not lane.in_flight][:surplus]:
            del self._lanes[account_id]

    def _snapshot(self, account: Account, instrument: Instrument, market_time_ns: int) -> MarketSnapshot:
        """Return the market as a decision about *instrument* needs it: its mark, and those of all that is open."""
        keys = account.open_instruments() | {instrument.key}
        return MarketSnapshot(
            market_time_ns=market_time_ns,
            instrument=instrument,
            marks=_marks_of(keys, self._marks.mark_of),
            session=self._sessions.moment_of(instrument, market_time_ns),
            valuation=valuation_of(account, self._marks.mark_of, market_time_ns=market_time_ns),
        )


def _marks_of(instruments: Iterable[InstrumentKey], mark_of: MarkOf) -> tuple[Mark, ...]:
    return tuple(mark for key in sorted(instruments) if (mark := mark_of(key)) is not None)
