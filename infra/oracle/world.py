"""Made-up lives of an account: what people ask, what the market does, what the venue does and does not say.

Every step is chosen by a `Chooser`, so the same choices make the same life: a seeded generator in the bench, Hypothesis
in the tests, which also shrinks what it finds. After every command the judge holds the account against the oracle.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from adapters.tariffs import TariffTable
from domain.account import decider
from domain.account.commands import (
    AccountCommand,
    ApplyCorporateAction,
    BeginSubmission,
    CancelTrade,
    ChangeTrade,
    CloseAll,
    ClosePosition,
    CloseTrade,
    DoubtOrder,
    EngageKillSwitch,
    ObserveResult,
    OpenAccount,
    OpenBasket,
    OpenTrade,
    PresumeAbsent,
    ProtectTrade,
    RecordAccepted,
    RecordFill,
    RecordForeignFill,
    RecordModifyRefused,
    RecordNotSent,
    RecordRefused,
    RecordUnknown,
    RecordVenueOrder,
    ReleaseBreach,
    ReleaseKillSwitch,
    RepriceStop,
    ResolveOrder,
    SetRiskParameters,
    SquareOff,
    SucceedExit,
    TrailStop,
    TriggerExit,
)
from domain.account.events import (
    AccountEvent,
    AccountMode,
    BasketPolicy,
    Evidence,
    KillMode,
    OrderDenied,
    OrderResolution,
    OrderSubmitting,
    ProtectionMode,
    Trailing,
)
from domain.account.state import Account, Order, Trade
from domain.account.succession import owed_successors
from domain.account.valuation import valuation_of
from domain.charges import Tariff
from domain.ids import AccountId, BasketId, CorrelationId, OrderId, StrategyId, TradeId, UserId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import Mark, MarketSnapshot, trading_day
from domain.order import (
    CLOSED,
    FINAL,
    IN_DOUBT,
    NotSentReason,
    OrderStatus,
    OrderType,
    Product,
    RefusalReason,
    Side,
    TimeInForce,
)
from domain.refusals import Refusal
from domain.risk import RiskParameters
from domain.session import Phase, SessionMoment
from infra.oracle.judge import Judge, demand
from infra.oracle.venue import Venue, VenueSide

OWNER = UserId("usr_oracle")
ACCOUNT = AccountId("acc_oracle")
STRATEGY = StrategyId("str_oracle")
_BEGIN_NS = 1_795_149_000 * 1_000_000_000
"""2026-11-20 10:00:00 in India."""
_DAY_NS = 24 * 3600 * 1_000_000_000
_S_NS = 1_000_000_000
_TICK_E4 = 2_0000
_PRICE_E4 = 4_000_0000
"""So dear that the larger orders reach the most that is charged as brokerage."""
_FREEZE = 20
_ROUNDS_MAX = 60
_TARIFFS = TariffTable.load()
_INSTRUMENTS = tuple(
    Instrument(
        key=InstrumentKey(Segment.NSE_EQ, str(number)),
        symbol=symbol,
        name=symbol,
        tradable=True,
        tick_e4=_TICK_E4,
        lot=1,
        freeze_quantity=_FREEZE,
    )
    for number, symbol in ((1, "ONE"), (2, "TWO"))
)
_LIMITS = RiskParameters(
    open_trades_max=6,
    trades_per_day_max=200,
    order_quantity_max=45,
    # A life is lived in little time, and what is asked in it is to meet the venue rather than a limit.
    orders_per_second_max=10_000,
    orders_per_minute_max=10_000,
    orders_per_hour_max=10_000,
    self_cross_allowed=True,
)

Choice = TypeVar("Choice")


class Chooser(Protocol):
    """Where a life's choices come from."""

    def below(self, count: int) -> int:
        """Return a whole number from 0 to *count* - 1."""
        ...


class World:
    """One account, its venue and its judge."""

    def __init__(self, chooser: Chooser, *, limits: RiskParameters = _LIMITS) -> None:
        self._chooser = chooser
        self.state: Account = decider.initial
        self.events: list[AccountEvent] = []
        self.venue = Venue()
        self.judge = Judge(self.venue)
        self.now_ns = _BEGIN_NS
        self.commands = 0
        self._prices = [_PRICE_E4, _PRICE_E4]
        self._names = 0
        opening = OpenAccount(
            account_id=ACCOUNT, owner_id=OWNER, mode=AccountMode.PAPER, currency="INR", parameters=limits
        )
        self.do(opening)

    # --- Choosing ---

    def pick(self, options: Sequence[Choice]) -> Choice:
        """Return one of *options*."""
        return options[self._chooser.below(len(options))]

    def chance(self, percent: int) -> bool:
        """Return true so often in a hundred times."""
        return self._chooser.below(100) < percent

    def _name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}_{self._names}"

    # --- Deciding ---

    def do(self, command: AccountCommand) -> tuple[AccountEvent, ...]:
        """Carry out a command and hold what came of it against the oracle."""
        self.commands += 1
        try:
            events, self.state = decider.step(command, self.state, version=len(self.events))
        except Refusal:
            return ()
        self.events += events
        for event in events:
            self.judge.take(event)
        if events:
            self.judge.check(self.state, events)
        return events

    def step(self) -> None:
        """Let one thing happen."""
        self.pick(STEPS)(self)

    # --- What people ask ---

    def _market(self, instrument: Instrument) -> MarketSnapshot:
        marks = tuple(self._mark(each) for each in _INSTRUMENTS)
        return MarketSnapshot(
            market_time_ns=self.now_ns,
            instrument=instrument,
            marks=marks,
            session=SessionMoment(phase=Phase.CONTINUOUS, trading_day=trading_day(self.now_ns).isoformat()),
            valuation=valuation_of(
                self.state, {mark.instrument: mark for mark in marks}.get, market_time_ns=self.now_ns
            ),
        )

    def _mark(self, instrument: Instrument) -> Mark:
        return Mark(
            instrument=instrument.key,
            last_price_e4=self._prices[_INSTRUMENTS.index(instrument)],
            exchange_time_ns=self.now_ns,
            received_at_ns=self.now_ns,
            number=1,
        )

    def _intent(self) -> OpenTrade:
        instrument = self.pick(_INSTRUMENTS)
        last = self._prices[_INSTRUMENTS.index(instrument)]
        side = self.pick((Side.BUY, Side.BUY, Side.SELL))
        order_type = self.pick((OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT, OrderType.SL))
        trigger = last + side.sign * _TICK_E4 * 4 if order_type is OrderType.SL else None
        limit = None
        if order_type is OrderType.LIMIT:
            limit = last - side.sign * _TICK_E4 * self._chooser.below(4)
        elif trigger is not None:
            limit = trigger + side.sign * _TICK_E4 * 2
        has_levels = self.chance(70)
        around = limit if limit is not None else last
        trailing = Trailing(distance_e4=_TICK_E4 * 20, step_e4=_TICK_E4 * 4) if has_levels and self.chance(30) else None
        return OpenTrade(
            trade_id=TradeId(self._name("trd")),
            user_id=OWNER,
            side=side,
            quantity=1 + self._chooser.below(45),
            order_type=order_type,
            limit_price_e4=limit,
            product=self.pick((Product.INTRADAY, Product.INTRADAY, Product.CNC)),
            time_in_force=TimeInForce.DAY,
            stop_loss_e4=around - side.sign * _TICK_E4 * 20 if has_levels else None,
            target_e4=around + side.sign * _TICK_E4 * 20 if has_levels and self.chance(70) else None,
            entry_life_ns=5 * _S_NS,
            market=self._market(instrument),
            trigger_price_e4=trigger,
            strategy_id=self.pick((None, STRATEGY)),
            trailing=trailing,
            protection=self.pick((ProtectionMode.RESTING, ProtectionMode.RESTING, ProtectionMode.ENGINE)),
        )

    def open(self) -> None:
        """Somebody hands in an intent; now and then the same one comes again."""
        intent = self._intent()
        before = self._open_trades()
        events = self.do(intent)
        if any(isinstance(event, OrderDenied) for event in events):
            return
        limits = self.state.parameters
        demand(len(before) < limits.open_trades_max or not self._has_new(before), "more trades than the limit")
        if intent.trade_id in self.state.trades:
            demand(self.do(intent) == (), "the same intent was carried out twice")

    def _open_trades(self) -> set[TradeId]:
        """Return the trades that hold something by their fills, or of which an order may still execute."""
        over = CLOSED | {OrderStatus.PRESUMED_ABSENT}
        working = {order.trade_id for order in self.state.orders.values() if order.status not in over}
        return {
            trade_id
            for trade_id, trade in self.state.trades.items()
            if not trade.is_closed and (self.judge.books.held(trade_id) or trade_id in working)
        }

    def _has_new(self, before: set[TradeId]) -> bool:
        return bool(self._open_trades() - before)

    def open_basket(self) -> None:
        """Somebody hands in a basket."""
        legs = tuple(self._intent() for _ in range(2 + self._chooser.below(2)))
        ranks = tuple(min(rank, self._chooser.below(2) + rank // 2) for rank in range(len(legs)))
        self.do(
            OpenBasket(
                basket_id=BasketId(self._name("bsk")),
                user_id=OWNER,
                legs=legs,
                ranks=tuple(sorted(set(ranks)).index(rank) for rank in ranks),
                policy=self.pick(tuple(BasketPolicy)),
            )
        )

    def _trade(self) -> Trade | None:
        trades = [trade for trade in self.state.trades.values() if not trade.is_closed]
        return self.pick(trades) if trades else None

    def change(self) -> None:
        """Somebody moves a trade's levels or its entry."""
        trade = self._trade()
        if trade is None:
            return
        instrument = next(each for each in _INSTRUMENTS if each.key == trade.entry.instrument)
        last = self._prices[_INSTRUMENTS.index(instrument)]
        away = trade.entry.side.sign * _TICK_E4 * (1 + self._chooser.below(30))
        command = ChangeTrade(
            trade_id=trade.trade_id,
            user_id=OWNER,
            expected_version=trade.version - self.chance(10),
            market=self._market(instrument),
        )
        match self._chooser.below(4):
            case 0:
                command = msgspec.structs.replace(command, stop_loss_e4=last - away)
            case 1:
                command = msgspec.structs.replace(command, target_e4=last + away)
            case 2:
                command = msgspec.structs.replace(command, stop_loss_e4=None, trailing=None)
            case _:
                command = msgspec.structs.replace(command, quantity=1 + self._chooser.below(20))
        self.do(command)

    def cancel(self) -> None:
        """Somebody takes an entry back."""
        if (trade := self._trade()) is not None:
            self.do(CancelTrade(trade_id=trade.trade_id, user_id=OWNER))

    def close(self) -> None:
        """Somebody closes a trade, a part of it, a position, or everything."""
        trade = self._trade()
        if trade is None:
            return
        match self._chooser.below(5):
            case 0:
                instrument, product = trade.position
                self.do(ClosePosition(user_id=OWNER, instrument=instrument, product=product))
            case 1 if self.chance(30):
                self.do(CloseAll(user_id=OWNER, strategy_id=self.pick((None, STRATEGY))))
            case 2:
                self.do(CloseTrade(trade_id=trade.trade_id, user_id=OWNER))
            case _:
                self.do(CloseTrade(trade_id=trade.trade_id, user_id=OWNER, quantity=1 + self._chooser.below(40)))

    def switch(self) -> None:
        """Somebody engages or releases a kill switch."""
        scope = self.pick((None, STRATEGY))
        if self.chance(70):
            self.do(ReleaseKillSwitch(user_id=OWNER, strategy_id=scope))
        elif self.chance(40):
            mode = self.pick((KillMode.HALT, KillMode.HALT, KillMode.FLATTEN))
            self.do(EngageKillSwitch(user_id=OWNER, reason="made up", strategy_id=scope, mode=mode))
            self.do(ReleaseKillSwitch(user_id=OWNER, strategy_id=scope))

    def limit(self) -> None:
        """Somebody changes a limit."""
        limits = msgspec.structs.replace(
            self.state.parameters,
            open_trades_max=4 + self._chooser.below(6),
            day_loss_paise_max=self.pick((200_00, 2_000_00, 50_000_00)),
            drawdown_paise_max=self.pick((500_00, 3_000_00, 200_000_00)),
        )
        self.do(SetRiskParameters(user_id=OWNER, parameters=limits))

    def observe(self) -> None:
        """Whoever watches losses looks at them; now and then a person releases what was latched."""
        market = self._market(_INSTRUMENTS[0])
        self.do(ObserveResult(market=market, is_confirmed=self.chance(50)))
        self.judge.check_latches(self.state, market)
        for kind in sorted(self.state.breaches):
            if self.chance(50):
                self.do(ReleaseBreach(user_id=OWNER, kind=kind, reason="made up"))

    # --- What the market does ---

    def tick(self) -> None:
        """A price moves, and whoever watches proposes what follows from it."""
        which = self._chooser.below(2)
        self._prices[which] = max(_TICK_E4 * 100, self._prices[which] + _TICK_E4 * (self._chooser.below(31) - 15))
        self.now_ns += _S_NS // 10
        self._watch(_INSTRUMENTS[which])

    def _watch(self, instrument: Instrument) -> None:
        mark = self._mark(instrument)
        for trade in list(self.state.trades.values()):
            if trade.is_closed or trade.entry.instrument != instrument.key:
                continue
            trade_id = trade.trade_id
            self.do(TrailStop(trade_id=trade_id, mark=mark))
            self.do(TriggerExit(trade_id=trade_id, mark=mark))
            if self.chance(20):
                self.do(RepriceStop(trade_id=trade_id, mark=mark))
            if self.chance(20):
                self.do(ProtectTrade(trade_id=trade_id, mark=mark))

    def square_off(self) -> None:
        """An intraday trade's session comes to its end."""
        if (trade := self._trade()) is not None and self.chance(30):
            self.do(SquareOff(trade_id=trade.trade_id))

    def night(self) -> None:
        """The session ends: what rests expires, and the next day begins."""
        if not self.chance(15):
            return
        for order in self.venue.live():
            if order.executions and self.chance(30):
                continue
            order.status = OrderStatus.EXPIRED
        self.read_books()
        self.now_ns += _DAY_NS
        if self.chance(50):
            self.split()
        for instrument in _INSTRUMENTS:
            for trade in list(self.state.trades.values()):
                if trade.entry.instrument == instrument.key and not trade.is_closed:
                    self.do(ProtectTrade(trade_id=trade.trade_id, mark=self._mark(instrument)))

    def split(self) -> None:
        """A corporate action changes what is held."""
        which = self._chooser.below(2)
        action = ApplyCorporateAction(
            action_id=self._name("act"),
            instrument=_INSTRUMENTS[which],
            numerator=2,
            denominator=1,
            effective_on=trading_day(self.now_ns).isoformat(),
        )
        if any(order.is_live for order in self.venue.orders.values()):
            return  # The exchange makes them between sessions, when nothing rests.
        self.do(action)

    # --- What the venue does ---

    def send(self) -> None:
        """The sender takes up what is intended, and the venue answers, or does not."""
        for order in list(self.state.orders.values()):
            if order.status is OrderStatus.INTENDED and self.chance(70):
                self._send(order)

    def _send(self, order: Order, *, honest: bool = False) -> None:
        order_id = order.order_id
        events = self.do(
            BeginSubmission(
                order_id=order_id,
                correlation_id=CorrelationId(f"c-{order_id}"),
                sender_epoch=1,
                market_time_ns=self.now_ns,
            )
        )
        if not any(isinstance(event, OrderSubmitting) for event in events):
            return
        outcome = 0 if honest else self._chooser.below(100)
        if outcome < 70:  # noqa: PLR2004 - most often it is taken
            self.venue.take(order_id, order.trade_id, order.purpose, order.instruction)
            self.do(RecordAccepted(order_id=order_id, venue_order_id=_venue_id(order_id), sent_at_ns=self.now_ns))
        elif outcome < 80:  # noqa: PLR2004 - the answer is lost, the order is not
            self.venue.take(order_id, order.trade_id, order.purpose, order.instruction)
            self.do(RecordUnknown(order_id=order_id, cause="lost", sent_at_ns=self.now_ns))
        elif outcome < 85:  # noqa: PLR2004 - both are lost
            self.do(RecordUnknown(order_id=order_id, cause="lost", sent_at_ns=self.now_ns))
        elif outcome < 93:  # noqa: PLR2004
            self.do(RecordRefused(order_id=order_id, reason=RefusalReason.INPUT, message="no"))
        else:
            self.do(RecordNotSent(order_id=order_id, reason=NotSentReason.TRANSPORT, detail="torn"))

    def execute(self) -> None:
        """The venue executes a part or the whole of some orders."""
        for order in self.venue.live():
            if self.chance(70 if order.instruction.order_type is OrderType.MARKET else 35):
                leaves = order.leaves_quantity
                quantity = leaves if self.chance(50) else 1 + self._chooser.below(leaves)
                self.venue.fill(order, quantity, self._prices[0] + _TICK_E4 * self._chooser.below(9))

    def obey(self, *, always: bool = False) -> None:
        """The venue takes up cancels and modifications that were asked for, refuses them, or is too late."""
        for order in list(self.state.orders.values()):
            at_venue = self.venue.orders.get(order.order_id)
            if at_venue is None or order.venue_order_id is None:
                continue
            if order.cancel_requested and at_venue.is_live and (always or self.chance(50)):
                at_venue.status = OrderStatus.CANCELED
            elif order.wanted is not None and (always or self.chance(60)):
                self._modify(order, at_venue, refuses=not always and self.chance(15))

    def _modify(self, order: Order, at_venue: VenueSide, *, refuses: bool) -> None:
        wanted = order.wanted
        if wanted is None or at_venue.instruction == wanted:
            return
        if refuses or not self.venue.modify(at_venue, wanted):
            # A refusal does not tell whether an earlier request took effect: the books are read before it is recorded.
            self._read(at_venue)
            now = self.state.orders.get(order.order_id)
            if now is None or now.wanted is None or now.modifications != order.modifications:
                return
            refused = RecordModifyRefused(
                order_id=order.order_id, number=order.modifications, reason=RefusalReason.OTHER, message="no"
            )
            self.do(refused)

    def reject_late(self) -> None:
        """The venue thinks better of an order it had taken."""
        live = [order for order in self.venue.live() if not order.executions]
        if live and self.chance(30):
            self.pick(live).status = OrderStatus.REJECTED

    def read_books(self) -> None:
        """The executor reads trade book and order book and records what is news."""
        for order in list(self.venue.orders.values()):
            self._record_fills(order)
        for order in list(self.venue.orders.values()):
            self._show(order, Evidence.ORDER_BOOK)

    def _read(self, order: VenueSide) -> None:
        self._record_fills(order)
        self._show(order, Evidence.ORDER_BOOK)

    def _record_fills(self, order: VenueSide) -> None:
        for execution in order.executions[order.told :]:
            order.told += 1
            told = order.instruction
            instrument = next(each for each in _INSTRUMENTS if each.key == told.instrument)
            fill = RecordFill(
                order_id=order.order_id,
                venue_fill_id=execution.fill_id,
                quantity=execution.quantity,
                price_e4=execution.price_e4,
                filled_at_ns=self.now_ns,
                tariff=self._tariff(instrument, told.product, told.side),
            )
            self.do(fill)
            if self.chance(10):
                demand(self.do(fill) == (), "the same execution was booked twice")

    def _tariff(self, instrument: Instrument, product: Product, side: Side) -> Tariff:
        return _TARIFFS.tariff_of(instrument, product, side, day=trading_day(self.now_ns).isoformat())

    def _show(self, order: VenueSide, evidence: Evidence) -> None:
        known = self.state.orders.get(order.order_id)
        if known is None or known.status in FINAL:
            return
        self.do(
            RecordVenueOrder(
                order_id=order.order_id,
                venue_order_id=order.venue_order_id,
                status=order.shown_status,
                cumulative_quantity=order.cumulative_quantity,
                message="",
                evidence=evidence,
                quantity=order.instruction.quantity,
                order_type=order.instruction.order_type,
                limit_price_e4=order.instruction.limit_price_e4,
                trigger_price_e4=order.instruction.trigger_price_e4,
            )
        )

    def search(self, *, always: bool = False) -> None:
        """The executor looks for what is unknown, and gives up what the venue does not have."""
        for order in list(self.state.orders.values()):
            if order.status is not OrderStatus.UNKNOWN or not (always or self.chance(60)):
                continue
            at_venue = self.venue.orders.get(order.order_id)
            if at_venue is None:
                self.do(PresumeAbsent(order_id=order.order_id, lookups=3))
            elif not always and self.chance(10):
                # The venue's books lag: it is given up although it is there, which no client can tell.
                self.judge.disturbed.add(order.trade_id)
                self.do(PresumeAbsent(order_id=order.order_id, lookups=3))
            else:
                self._show(at_venue, Evidence.CORRELATION_LOOKUP)
        self.succeed()

    def succeed(self) -> None:
        """The executor has what is nowhere succeeded, by the venue's positions."""
        for trade in owed_successors(self.state):
            net = self.judge.shown_at_venue(*trade.position)
            self.do(SucceedExit(trade_id=trade.trade_id, net_quantity=net))

    def resolve(self) -> None:
        """A person says what became of orders in doubt. Now and then they are wrong."""
        for order in list(self.state.orders.values()):
            if order.status not in IN_DOUBT or not self.chance(40):
                continue
            at_venue = self.venue.orders.get(order.order_id)
            if at_venue is not None and self.chance(70):
                self._resolve(order, OrderResolution.AT_BROKER, at_venue.venue_order_id)
            elif self.chance(20):
                # A slip of the finger: the books are read before anything is asked of the venue under that id.
                slip = VenueOrderId(self._name("slip"))
                self._resolve(order, OrderResolution.AT_BROKER, slip)
                self.do(DoubtOrder(order_id=order.order_id, venue_order_id=slip, cause="not in the book"))
            else:
                if at_venue is not None:
                    self.judge.disturbed.add(order.trade_id)
                self._resolve(order, OrderResolution.ABSENT, None)

    def _resolve(self, order: Order, resolution: OrderResolution, venue_order_id: VenueOrderId | None) -> None:
        resolve = ResolveOrder(
            order_id=order.order_id,
            user_id=OWNER,
            resolution=resolution,
            venue_order_id=venue_order_id,
            reason="made up",
        )
        self.do(resolve)

    def somebody_else(self) -> None:
        """An order from outside executes: by the broker's app, or by the broker itself."""
        if not self.chance(25):
            return
        instrument = self.pick(_INSTRUMENTS)
        product, side = self.pick((Product.INTRADAY, Product.MARGIN, Product.CNC)), self.pick(tuple(Side))
        self.do(
            RecordForeignFill(
                adopted_as=TradeId(self._name("ext")),
                venue_fill_id=self.venue.foreign_fill_id(),
                instrument=instrument,
                product=product,
                side=side,
                quantity=1 + self._chooser.below(15),
                price_e4=self._prices[0],
                filled_at_ns=self.now_ns,
                tariff=self._tariff(instrument, product, side),
            )
        )

    # --- The end ---

    def settle(self) -> None:
        """Let everything that is under way come to its end, and hold the account against what it shall be then."""
        for strategy_id in (None, STRATEGY):
            self.do(ReleaseKillSwitch(user_id=OWNER, strategy_id=strategy_id))
        for _ in range(_ROUNDS_MAX):
            before = len(self.events)
            self._settle_the_venue()
            for instrument in _INSTRUMENTS:
                for trade in list(self.state.trades.values()):
                    if trade.entry.instrument == instrument.key and not trade.is_closed:
                        self._tend(trade, self._mark(instrument))
            if len(self.events) == before:
                break
        else:
            demand(holds=False, claim=f"the account came to no rest in {_ROUNDS_MAX} rounds")
        self.judge.check_end(self.state, given_up=self._given_up())

    def _settle_the_venue(self) -> None:
        for order in list(self.state.orders.values()):
            if order.status is OrderStatus.INTENDED:
                self._send(order, honest=True)
        self.obey(always=True)
        for at_venue in self.venue.live():
            if at_venue.instruction.order_type is OrderType.MARKET or at_venue.executions:
                self.venue.fill(at_venue, at_venue.leaves_quantity, self._prices[0])
        self.read_books()
        self.search(always=True)

    def _tend(self, trade: Trade, mark: Mark) -> None:
        self.do(TriggerExit(trade_id=trade.trade_id, mark=mark))
        self.do(RepriceStop(trade_id=trade.trade_id, mark=mark))
        self.do(ProtectTrade(trade_id=trade.trade_id, mark=mark))
        if trade.exit_cause is not None and self.state.trades[trade.trade_id].holding.net_quantity:
            self.do(CloseTrade(trade_id=trade.trade_id, user_id=OWNER))  # A person, where the engine has given up.

    def _given_up(self) -> set[TradeId]:
        """Return the trades of which an order stands presumed absent: its absence is no evidence."""
        return {
            order.trade_id for order in self.state.orders.values() if order.status is OrderStatus.PRESUMED_ABSENT
        } & {order.trade_id for order in self.venue.live()}


def _venue_id(order_id: OrderId) -> VenueOrderId:
    return VenueOrderId(f"v-{order_id}")


STEPS: tuple[Callable[[World], None], ...] = (
    World.open,
    World.open,
    World.open,
    World.open,
    World.send,
    World.send,
    World.send,
    World.send,
    World.execute,
    World.execute,
    World.execute,
    World.execute,
    World.obey,
    World.obey,
    World.read_books,
    World.read_books,
    World.read_books,
    World.search,
    World.resolve,
    World.tick,
    World.tick,
    World.tick,
    World.change,
    World.change,
    World.cancel,
    World.close,
    World.close,
    World.open_basket,
    World.switch,
    World.limit,
    World.observe,
    World.square_off,
    World.night,
    World.reject_late,
    World.somebody_else,
)
"""What may happen next; what stands here more often happens more often."""
