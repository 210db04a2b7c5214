"""What people and process managers do with accounts: each method loads, decides and appends."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import structlog

from commands.intake import IntakeLimit
from commands.known_instruments import known_instrument
from commands.lane import DecisionStopped, Lane, Request
from commands.ports import (
    AppendOutcomeUnknown,
    Clock,
    EventFeed,
    EventStore,
    Ids,
    Instruments,
    Marks,
    Sessions,
    Tariffs,
)
from commands.snapshots import SnapshotCache, StateCodec
from domain.account import Account, decider, snapshot
from domain.account.commands import (
    AccountCommand,
    ApplyCorporateAction,
    CancelTrade,
    ChangeTrade,
    CloseAll,
    ClosePosition,
    CloseTrade,
    EngageKillSwitch,
    MoveCash,
    ObserveResult,
    OpenBasket,
    OpenTrade,
    RecordFill,
    RecordForeignFill,
    ReleaseBreach,
    ReleaseInvariant,
    ReleaseKillSwitch,
    RemoveMember,
    ResolveDifference,
    ResolveOrder,
    SetMember,
    SetRiskParameters,
)
from domain.account.events import (
    AccountEvent,
    BasketPolicy,
    KillMode,
    OrderResolution,
    ProtectionMode,
    Role,
    Trailing,
)
from domain.account.invariants import in_words, is_stopped
from domain.account.refusals import AccountNotFound, DecisionBreaksInvariant, demand_role
from domain.account.valuation import MarkOf, valuation_of
from domain.envelope import Metadata, RecordedEvent
from domain.ids import AccountId, BasketId, DifferenceId, OrderId, StrategyId, TradeId, UserId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown
from domain.market import NS_PER_MS, Mark, MarketSnapshot, trading_day
from domain.order import OrderType, Product, Side, TimeInForce
from domain.risk import BreachKind, Invariant, RiskParameters

log = structlog.get_logger(__name__)

LANES_MAX = 10_000
INTENTS_PER_SECOND_MAX = 100
SOURCE_OF_STORMS = "intake"

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


def metadata_of(context: CommandContext) -> bytes:
    """Return what stands beside the events of a command, as the log keeps it."""
    metadata = Metadata(
        actor=context.actor,
        source=context.source,
        correlation_id=context.correlation_id,
        causation_id=context.causation_id,
        received_at_ns=context.received_at_ns,
    )
    return msgspec.json.encode(metadata)


def request_of(context: CommandContext, *, command_id: str, scope: str) -> Request:
    """Return how a command of *context* is appended; its key, where it has one, is unique within *scope*."""
    return Request(
        command_id=command_id,
        metadata=metadata_of(context),
        scope=scope if context.idempotency_key is not None else "",
        key=context.idempotency_key,
        request_hash=context.request_hash,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeIntent:
    """What somebody wants to trade. Prices in 1/10,000 rupee, quantities in units; fields as in `OpenTrade`."""

    symbol: str
    side: Side
    quantity: int
    order_type: OrderType
    limit_price_e4: int | None
    product: Product
    time_in_force: TimeInForce
    stop_loss_e4: int | None
    target_e4: int | None
    trigger_price_e4: int | None = None
    disclosed_quantity: int = 0
    after_market: bool = False
    strategy_id: StrategyId | None = None
    trailing: Trailing | None = None
    protection: ProtectionMode = ProtectionMode.RESTING


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeChange:
    """What shall be otherwise in a trade. What is UNSET stays as it is, None takes a level away."""

    stop_loss_e4: int | msgspec.UnsetType | None = msgspec.UNSET
    target_e4: int | msgspec.UnsetType | None = msgspec.UNSET
    trailing: Trailing | msgspec.UnsetType | None = msgspec.UNSET
    quantity: int | msgspec.UnsetType = msgspec.UNSET
    order_type: OrderType | msgspec.UnsetType = msgspec.UNSET
    limit_price_e4: int | msgspec.UnsetType | None = msgspec.UNSET
    trigger_price_e4: int | msgspec.UnsetType | None = msgspec.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a command. `repeated`: it had been carried out before, and this is what became of it then."""

    events: tuple[AccountEvent, ...]
    first_sequence: int
    last_sequence: int
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """An account as the log has it, with every event up to `sequence` at least."""

    account: Account
    sequence: int


def _owner_of(account: Account) -> UserId:
    if account.owner_id is None:
        raise AccountNotFound("no such account")
    return account.owner_id


class OwnEvents(NamedTuple):
    """What this process appended to an account: sequences and versions count up from those of the first event."""

    account_id: AccountId
    events: tuple[AccountEvent, ...]
    first_sequence: int
    first_version: int


OnOwn = Callable[[OwnEvents], None]


class Accounts:
    """The commands on accounts. One lane an account; lanes of accounts that rest are forgotten, oldest first.

    `in_doubt` counts commands of which it is not known whether they led to anything.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        clock: Clock,
        ids: Ids,
        marks: Marks,
        instruments: Instruments,
        sessions: Sessions,
        tariffs: Tariffs,
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
        self._tariffs = tariffs
        self._intake = IntakeLimit(clock=clock, per_second=intents_per_second_max, record=self._record_storm)
        self._snapshots = snapshots
        self._entry_life_ns = entry_life_ms * NS_PER_MS
        self._lanes: OrderedDict[AccountId, AccountLane] = OrderedDict()
        self._appended: dict[AccountId, int] = {}
        self._on_own: OnOwn | None = None
        self.in_doubt = 0

    # --- Trades ---

    async def open_trade(
        self, account_id: AccountId, user_id: UserId, intent: TradeIntent, context: CommandContext
    ) -> Outcome:
        """Open a trade, or deny it: `TradeOpened` and its `OrderIntended`s, or `OrderDenied`.

        Before them come the events that close what the intent undoes; where it undoes no less than it asks for, they
        are all.

        Raises:
            domain.refusals.Refusal: the intent is malformed, or the account not the user's.
            commands.intake.IntentStorm: the account hands in too many.
            commands.lane.DecisionStopped: what was decided would have broken an invariant.
            commands.lane.AccountBusy, commands.ports.KeyReused, StoreUnavailable, AppendOutcomeUnknown
        """
        self._intake.admit(account_id)
        trade_id = TradeId(self._ids.new("trd"))

        async def command_on(account: Account) -> AccountCommand:
            return self._opening(account, trade_id, user_id, intent)

        return await self._execute(account_id, command_on, context)

    async def open_basket(
        self,
        account_id: AccountId,
        user_id: UserId,
        legs: Sequence[tuple[TradeIntent, int]],
        policy: BasketPolicy,
        context: CommandContext,
    ) -> Outcome:
        """Open several trades (intent and rank of each), or deny them all by the first `OrderDenied` that one meets.

        Raises as `open_trade` does.
        """
        self._intake.admit(account_id)
        basket_id = BasketId(self._ids.new("bsk"))
        trade_ids = [TradeId(self._ids.new("trd")) for _ in legs]

        async def command_on(account: Account) -> AccountCommand:
            return OpenBasket(
                basket_id=basket_id,
                user_id=user_id,
                legs=tuple(
                    self._opening(account, trade_id, user_id, intent)
                    for trade_id, (intent, _) in zip(trade_ids, legs, strict=True)
                ),
                ranks=tuple(rank for _, rank in legs),
                policy=policy,
            )

        return await self._execute(account_id, command_on, context)

    async def change_trade(
        self,
        account_id: AccountId,
        user_id: UserId,
        trade_id: TradeId,
        change: TradeChange,
        *,
        expected_version: int,
        context: CommandContext,
    ) -> Outcome:
        """Change a trade: `TradeChanged` and what follows from it, or `OrderDenied`. Raises as `open_trade` does."""

        async def command_on(account: Account) -> AccountCommand:
            return ChangeTrade(
                trade_id=trade_id,
                user_id=user_id,
                expected_version=expected_version,
                market=self._market_of(account, trade_id),
                stop_loss_e4=change.stop_loss_e4,
                target_e4=change.target_e4,
                trailing=change.trailing,
                quantity=change.quantity,
                order_type=change.order_type,
                limit_price_e4=change.limit_price_e4,
                trigger_price_e4=change.trigger_price_e4,
            )

        return await self._execute(account_id, command_on, context)

    async def cancel_trade(
        self, account_id: AccountId, user_id: UserId, trade_id: TradeId, context: CommandContext
    ) -> Outcome:
        """Take back what of a trade's entry has not filled. Raises as `open_trade` does."""
        return await self.carry_out(account_id, CancelTrade(trade_id=trade_id, user_id=user_id), context)

    async def close_trade(
        self,
        account_id: AccountId,
        user_id: UserId,
        trade_id: TradeId,
        context: CommandContext,
        *,
        quantity: int | None = None,
    ) -> Outcome:
        """Begin to close a trade, or *quantity* units of it. Raises as `open_trade` does."""
        command = CloseTrade(trade_id=trade_id, user_id=user_id, quantity=quantity)
        return await self.carry_out(account_id, command, context)

    async def close_position(
        self,
        account_id: AccountId,
        user_id: UserId,
        instrument: InstrumentKey,
        product: Product,
        context: CommandContext,
        *,
        strategy_id: StrategyId | None = None,
    ) -> Outcome:
        """Begin to close every open trade in one instrument and product, or those of one strategy.

        Raises as `open_trade` does.
        """
        command = ClosePosition(user_id=user_id, instrument=instrument, product=product, strategy_id=strategy_id)
        return await self.carry_out(account_id, command, context)

    async def close_all(
        self,
        account_id: AccountId,
        user_id: UserId,
        context: CommandContext,
        *,
        strategy_id: StrategyId | None = None,
        includes_external: bool = False,
    ) -> Outcome:
        """Begin to close every open trade of the account, or those of one strategy. Raises as `open_trade` does."""
        command = CloseAll(user_id=user_id, strategy_id=strategy_id, includes_external=includes_external)
        return await self.carry_out(account_id, command, context)

    async def resolve_order(
        self,
        account_id: AccountId,
        user_id: UserId,
        order_id: OrderId,
        resolution: OrderResolution,
        *,
        venue_order_id: VenueOrderId | None,
        reason: str,
        context: CommandContext,
    ) -> Outcome:
        """Take a person's word on an order in doubt. Raises as `open_trade` does."""
        command = ResolveOrder(
            order_id=order_id, user_id=user_id, resolution=resolution, venue_order_id=venue_order_id, reason=reason
        )
        return await self.carry_out(account_id, command, context)

    async def resolve_difference(
        self,
        account_id: AccountId,
        user_id: UserId,
        difference_id: DifferenceId,
        *,
        reason: str,
        price_e4: int | None,
        context: CommandContext,
    ) -> Outcome:
        """Take what the venue shows as it is, a position at *price_e4* (None: the last). Raises like `open_trade`."""
        adopted_as = TradeId(self._ids.new("trd"))

        async def command_on(account: Account) -> AccountCommand:
            now_ns = self._marks.market_time_ns()
            found = account.differences.get(difference_id)
            key = None if found is None else found.instrument
            mark = None if key is None else self._marks.mark_of(key)
            return ResolveDifference(
                difference_id=difference_id,
                user_id=user_id,
                reason=reason,
                adopted_as=adopted_as,
                now_ns=now_ns,
                instrument=None if key is None else known_instrument(self._instruments, key, market_time_ns=now_ns),
                price_e4=price_e4 or (None if mark is None else mark.last_price_e4),
            )

        return await self._execute(account_id, command_on, context)

    # --- What stands over them ---

    async def set_risk_parameters(
        self, account_id: AccountId, user_id: UserId, parameters: RiskParameters, context: CommandContext
    ) -> Outcome:
        """Put new limits in force. Raises as `open_trade` does."""
        return await self.carry_out(account_id, SetRiskParameters(user_id=user_id, parameters=parameters), context)

    async def engage_kill_switch(
        self,
        account_id: AccountId,
        user_id: UserId,
        reason: str,
        context: CommandContext,
        *,
        strategy_id: StrategyId | None = None,
        mode: KillMode = KillMode.HALT,
    ) -> Outcome:
        """Block entries of the account, or of one strategy, and do what *mode* says. Raises as `open_trade` does."""
        command = EngageKillSwitch(user_id=user_id, reason=reason, strategy_id=strategy_id, mode=mode)
        return await self.carry_out(account_id, command, context)

    async def release_kill_switch(
        self,
        account_id: AccountId,
        user_id: UserId,
        context: CommandContext,
        *,
        strategy_id: StrategyId | None = None,
    ) -> Outcome:
        """Allow entries again, of the account or of one strategy. Raises as `open_trade` does."""
        return await self.carry_out(account_id, ReleaseKillSwitch(user_id=user_id, strategy_id=strategy_id), context)

    async def release_breach(
        self, account_id: AccountId, user_id: UserId, kind: BreachKind, reason: str, context: CommandContext
    ) -> Outcome:
        """Allow entries again although a limit on losses was reached today. Raises as `open_trade` does."""
        return await self.carry_out(account_id, ReleaseBreach(user_id=user_id, kind=kind, reason=reason), context)

    async def release_invariant(
        self, account_id: AccountId, user_id: UserId, invariant: Invariant, reason: str, context: CommandContext
    ) -> Outcome:
        """Allow entries again although an invariant was breached. Raises as `open_trade` does."""
        command = ReleaseInvariant(user_id=user_id, invariant=invariant, reason=reason)
        return await self.carry_out(account_id, command, context)

    async def move_cash(
        self, account_id: AccountId, user_id: UserId, amount_paise: int, reason: str, context: CommandContext
    ) -> Outcome:
        """Record money that came in (positive) or went out (negative), in paise. Raises as `open_trade` does."""

        async def command_on(_: Account) -> AccountCommand:
            now_ns = self._marks.market_time_ns()
            return MoveCash(user_id=user_id, amount_paise=amount_paise, reason=reason, market_time_ns=now_ns)

        return await self._execute(account_id, command_on, context)

    # --- Members ---

    async def demand_role(self, account_id: AccountId, user_id: UserId, demanded: Role) -> None:
        """Let a member pass, as far as this process knows the account; commands are held against the log itself.

        Raises:
            domain.account.refusals.AccountNotFound: there is no such account, or the user is no member of it.
            domain.account.refusals.RoleInsufficient: they are, in a role that does not reach so far.
            commands.ports.StoreUnavailable
        """
        demand_role(await self.state_of(account_id), user_id, demanded)

    async def set_member(
        self, account_id: AccountId, user_id: UserId, member_id: UserId, role: Role, context: CommandContext
    ) -> Outcome:
        """Make a user a member, or give a member another role. Raises as `open_trade` does."""
        return await self.carry_out(account_id, SetMember(user_id=user_id, member_id=member_id, role=role), context)

    async def remove_member(
        self, account_id: AccountId, user_id: UserId, member_id: UserId, context: CommandContext
    ) -> Outcome:
        """Let somebody be a member no more. Raises as `open_trade` does."""
        return await self.carry_out(account_id, RemoveMember(user_id=user_id, member_id=member_id), context)

    # --- The operator ---

    async def engage_as_operator(
        self,
        account_id: AccountId,
        reason: str,
        context: CommandContext,
        *,
        strategy_id: StrategyId | None = None,
        mode: KillMode = KillMode.HALT,
    ) -> Outcome:
        """Engage the kill switch in the owner's stead. Raises as `open_trade` does."""

        async def command_on(account: Account) -> AccountCommand:
            owner = _owner_of(account)
            return EngageKillSwitch(user_id=owner, reason=reason, strategy_id=strategy_id, mode=mode)

        return await self._execute(account_id, command_on, context)

    async def release_as_operator(
        self, account_id: AccountId, context: CommandContext, *, strategy_id: StrategyId | None = None
    ) -> Outcome:
        """Release the kill switch in the owner's stead. Raises as `open_trade` does."""

        async def command_on(account: Account) -> AccountCommand:
            return ReleaseKillSwitch(user_id=_owner_of(account), strategy_id=strategy_id)

        return await self._execute(account_id, command_on, context)

    async def apply_corporate_action(
        self,
        account_id: AccountId,
        action_id: str,
        symbol: str,
        context: CommandContext,
        *,
        numerator: int,
        denominator: int,
        effective_on: str,
    ) -> Outcome:
        """Adjust what an account has open in *symbol*: *numerator* units for every *denominator* held.

        Applied once under its *action_id*. Raises as `open_trade` does.
        """

        async def command_on(_: Account) -> AccountCommand:
            now_ns = self._marks.market_time_ns()
            return ApplyCorporateAction(
                action_id=action_id,
                instrument=self._instruments.by_symbol(symbol, market_time_ns=now_ns),
                numerator=numerator,
                denominator=denominator,
                effective_on=effective_on,
            )

        return await self._execute(account_id, command_on, context)

    # --- Any command ---

    async def state_of(self, account_id: AccountId) -> Account:
        """Return the account as this process knows it: what it decides the next command on.

        Raises:
            commands.ports.StoreUnavailable
        """
        return await self._lane(account_id).state()

    async def present(self, account_id: AccountId) -> Present:
        """Return the account as the log has it, whatever other processes appended.

        Raises:
            domain.account.refusals.AccountNotFound
            commands.ports.StoreUnavailable
        """
        head = await self._store.head()
        account = await self._lane(account_id).confirmed_state()
        _owner_of(account)
        return Present(account=account, sequence=head.sequence)

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

    def tell_of_own(self, on_own: OnOwn) -> None:
        """Tell *on_own* from now on what this process has appended, as soon as it is durable."""
        self._on_own = on_own

    def appended_in(self, account_id: AccountId) -> int:
        """Return the newest sequence that a command of this process on an account is known to have led to, or 0."""
        return self._appended.get(account_id, 0)

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
        """Decide and append *command*, which carries all it needs; a fill, but for its tariff.

        Raises as `open_trade` does.
        """

        async def command_on(account: Account) -> AccountCommand:
            if isinstance(command, RecordFill | RecordForeignFill):
                return self._charged(account, command)
            return command

        return await self._execute(account_id, command_on, context)

    async def _execute(
        self,
        account_id: AccountId,
        command_on: Callable[[Account], Awaitable[AccountCommand]],
        context: CommandContext,
    ) -> Outcome:
        request = request_of(context, command_id=self._ids.new("cmd"), scope=account_id)
        try:
            decided = await self._lane(account_id).execute(command_on, request)
        except AppendOutcomeUnknown:
            self.in_doubt += 1
            raise
        except DecisionBreaksInvariant as refusal:
            log.error("a decision was stopped", account_id=account_id, breach=refusal.message)  # noqa: TRY400 - no fault
            raise DecisionStopped(refusal.message) from refusal
        self._appended[account_id] = max(self.appended_in(account_id), decided.appended.last_sequence)
        if self._on_own is not None and decided.events and decided.version is not None:
            first = decided.version - len(decided.events) + 1
            self._on_own(OwnEvents(account_id, decided.events, decided.appended.first_sequence, first))
        breach = is_stopped(decided.events)
        if breach is not None:
            log.error("a decision was stopped", account_id=account_id, sequence=decided.appended.last_sequence)
            raise DecisionStopped(in_words(breach))
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

    def _opening(self, account: Account, trade_id: TradeId, user_id: UserId, intent: TradeIntent) -> OpenTrade:
        """Return the command for *intent*, with the market as it is now."""
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
            trigger_price_e4=intent.trigger_price_e4,
            disclosed_quantity=intent.disclosed_quantity,
            after_market=intent.after_market,
            strategy_id=intent.strategy_id,
            trailing=intent.trailing,
            protection=intent.protection,
        )

    def _market_of(self, account: Account, trade_id: TradeId) -> MarketSnapshot:
        """Return the market as a change of a trade needs it; without an instrument where there is no such trade."""
        now_ns = self._marks.market_time_ns()
        trade = account.trades.get(trade_id)
        if trade is None:
            return MarketSnapshot(market_time_ns=now_ns)
        instrument = self._instruments.by_key(trade.entry.instrument, market_time_ns=now_ns)
        return self._snapshot(account, instrument, now_ns)

    def _charged(self, account: Account, fill: RecordFill | RecordForeignFill) -> AccountCommand:
        """Return *fill* with the tariff of its day."""
        if isinstance(fill, RecordForeignFill):
            instrument, product, side = fill.instrument, fill.product, fill.side
        else:
            order = account.orders.get(fill.order_id)
            if order is None:
                return fill
            told = order.instruction
            try:
                instrument = self._instruments.by_key(told.instrument, market_time_ns=fill.filled_at_ns)
            except InstrumentUnknown as unknown:
                # What executed has to be kept, whatever the instrument master has lost.
                log.exception("a fill is not charged", order_id=fill.order_id, reason=unknown.message)
                return fill
            product, side = told.product, told.side
        day = trading_day(fill.filled_at_ns).isoformat()
        tariff = self._tariffs.tariff_of(instrument, product, side, day=day)
        return msgspec.structs.replace(fill, tariff=tariff)

    def _snapshot(self, account: Account, instrument: Instrument, market_time_ns: int) -> MarketSnapshot:
        """Return the market as a decision about *instrument* needs it: its mark, and those of all that is open."""
        keys = account.open_instruments() | {instrument.key}
        marks = _marks_of(keys, self._marks.mark_of)
        return MarketSnapshot(
            market_time_ns=market_time_ns,
            instrument=instrument,
            marks=tuple(_with_price_band(mark, instrument) for mark in marks) if _has_price_band(instrument) else marks,
            session=self._sessions.moment_of(instrument, market_time_ns),
            valuation=valuation_of(account, self._marks.mark_of, market_time_ns=market_time_ns),
        )


def _marks_of(instruments: Iterable[InstrumentKey], mark_of: MarkOf) -> tuple[Mark, ...]:
    return tuple(mark for key in sorted(instruments) if (mark := mark_of(key)) is not None)


def _has_price_band(instrument: Instrument) -> bool:
    return instrument.lower_circuit_e4 is not None or instrument.upper_circuit_e4 is not None


def _with_price_band(mark: Mark, instrument: Instrument) -> Mark:
    """Return *mark* with the price band that the instrument master has of today, where the market tells none."""
    tells_none = mark.lower_circuit_e4 is None and mark.upper_circuit_e4 is None
    if mark.instrument != instrument.key or not tells_none:
        return mark
    return msgspec.structs.replace(
        mark, lower_circuit_e4=instrument.lower_circuit_e4, upper_circuit_e4=instrument.upper_circuit_e4
    )
