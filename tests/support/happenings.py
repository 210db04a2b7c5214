"""Made-up lives of accounts in events alone: whatever can happen, in an order in which it could, decided by nobody.

`tests.support.lives` lets the account itself decide, so it lives through what its rules bring about. Here every kind of
event comes early and often, and the folds of the read side meet them side by side.
"""

from random import Random
from typing import Any

from msgspec.structs import replace

from domain.account.events import (
    AccountEvent,
    BasketCompleted,
    BasketFailed,
    BasketLeg,
    BasketOpened,
    BasketPolicy,
    CashMoved,
    CorporateActionApplied,
    CorporateAdjustment,
    ExitCause,
    FlattenFinished,
    ForeignFillAllocated,
    IntentsSuppressed,
    InvariantReleased,
    KillMode,
    KillSwitchEngaged,
    KillSwitchReleased,
    MemberRemoved,
    MemberSet,
    OrderFilled,
    OrderIntended,
    ProtectionLapsed,
    RiskBreached,
    RiskBreachReleased,
    Role,
    TradeAdopted,
    TradeClosed,
    TradeExitTriggered,
    TradeReductionAsked,
    Trailing,
)
from domain.account.holding import Holding, after_fill, effect_of_fill
from domain.charges import Charges
from domain.ids import AccountId, BasketId, DifferenceId, OrderId, StrategyId, TradeId, UserId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.market import trading_day
from domain.money import value_paise
from domain.order import ModifyCause, OrderInstruction, OrderType, Product, Purpose, Side
from domain.risk import BreachAction, BreachKind, DenialCode, Invariant
from tests.support.specimens import (
    DAY_NS,
    INFY,
    NOW_NS,
    RELIANCE,
    account_opened,
    contract_note_received,
    difference_closed,
    difference_found,
    foreign_fill_allocated,
    infy_mark,
    invariant_breached,
    limits_changed,
    mark,
    market,
    order_acknowledged,
    order_canceled,
    order_denied,
    order_expired,
    order_filled,
    order_intended,
    order_modified,
    order_modify_refused,
    order_modify_requested,
    order_rejected,
    order_submitting,
    preopen_checked,
    protection_failed,
    stop_trailed,
    trade_adopted,
    trade_changed,
    trade_opened,
)

STRATEGIES = (None, StrategyId("str_one"), StrategyId("str_two"))
SYMBOLS = {RELIANCE: "RELIANCE", INFY: "INFY"}


class _Trade:
    """What is remembered of a trade to go on with it."""

    def __init__(self, trade_id: TradeId, told: OrderInstruction) -> None:
        self.trade_id = trade_id
        self.told = told
        self.holding = Holding()
        self.orders = 0
        self.stop: tuple[OrderId, OrderInstruction, int] | None = None
        self.is_exiting = False
        self.version = 1


class Happenings:
    """One account's events, growing by steps. `random` chooses among what could happen next."""

    def __init__(self, random: Random, number: int = 1) -> None:
        self.account_id = AccountId(f"acc_{number:026d}")
        self.owner_id = UserId(f"usr_{number:026d}")
        self.events: list[AccountEvent] = [replace(account_opened, account_id=self.account_id, owner_id=self.owner_id)]
        self._random = random
        self._number = number
        self._count = 0
        self._now_ns = NOW_NS
        self._trades: list[_Trade] = []
        self._external: dict[tuple[InstrumentKey, Product], _Trade] = {}

    def go_on(self, steps: int) -> "Happenings":
        """Let so many more things happen."""
        often = [self._open, self._open, self._guard, self._modify, self._exit, self._foreign]
        seldom = [self._deny, self._trail, self._change, self._reduce, self._lapse, self._switch, self._breach]
        rare = [
            self._cash,
            self._storm,
            self._split,
            self._basket,
            self._limits,
            self._member,
            self._note,
            self._invariant,
            self._preopen,
            self._difference,
            self._next_day,
        ]
        for _ in range(steps):
            kind = self._random.choice([often, often, often, seldom, seldom, rare])
            self._random.choice(kind)()
        return self

    # --- Entries ------------------------------------------------------------------------------------------------------

    @property
    def _day(self) -> str:
        return trading_day(self._now_ns).isoformat()

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _trade_id(self) -> TradeId:
        return TradeId(f"trd_{self._number:013d}{self._next():013d}")

    def _instruction(self) -> OrderInstruction:
        return OrderInstruction(
            instrument=self._random.choice([RELIANCE, INFY]),
            side=self._random.choice(list(Side)),
            quantity=self._random.randint(1, 40),
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=self._random.choice([Product.CNC, Product.INTRADAY]),
        )

    def _market(self) -> object:
        marks = tuple(replace(each, exchange_time_ns=self._now_ns) for each in (mark, infy_mark))
        return replace(market, market_time_ns=self._now_ns, marks=marks)

    def _open(self) -> _Trade:
        told = self._instruction()
        trade = _Trade(self._trade_id(), told)
        self._trades.append(trade)
        self.events.append(
            replace(
                trade_opened,
                trade_id=trade.trade_id,
                user_id=self.owner_id,
                symbol=SYMBOLS[told.instrument],
                entry=told,
                market=self._market(),
                strategy_id=self._random.choice(STRATEGIES),
            )
        )
        for part in self._slices(told):
            order_id = self._order(trade, Purpose.ENTRY, part)
            how = self._random.random()
            if how < 0.2:
                self.events.append(replace(order_rejected, order_id=order_id, trade_id=trade.trade_id))
            elif how < 0.4:
                filled = self._random.randint(1, part.quantity)
                self._fill(trade, Purpose.ENTRY, order_id, part, filled, already=0)
                self.events.append(replace(order_canceled, order_id=order_id, trade_id=trade.trade_id))
            else:
                self._fill(trade, Purpose.ENTRY, order_id, part, part.quantity, already=0)
        self._close_if_flat(trade)
        return trade

    def _slices(self, told: OrderInstruction) -> list[OrderInstruction]:
        if told.quantity < 20:
            return [told]
        return (
            [replace(told, quantity=20), replace(told, quantity=told.quantity - 20)] if told.quantity > 20 else [told]
        )

    def _order(self, trade: _Trade, purpose: Purpose, told: OrderInstruction) -> OrderId:
        """Let an order come to rest at the venue."""
        trade.orders += 1
        order_id = OrderId(f"{trade.trade_id}.{trade.orders}")
        intended: OrderIntended = replace(
            order_intended, order_id=order_id, trade_id=trade.trade_id, purpose=purpose, instruction=told
        )
        venue_order_id = VenueOrderId(f"v-{self._next()}")
        self.events += [
            intended,
            replace(order_submitting, order_id=order_id, trade_id=trade.trade_id),
            replace(order_acknowledged, order_id=order_id, trade_id=trade.trade_id, venue_order_id=venue_order_id),
        ]
        return order_id

    def _effect(self, trade: _Trade, side: Side, quantity: int) -> dict[str, Any]:
        """Let *quantity* units fill and return what the event says of it."""
        price_e4 = mark.last_price_e4 + self._random.randint(-500, 500) * 137
        worth = value_paise(price_e4=price_e4, quantity=quantity)
        effect = effect_of_fill(trade.holding, side=side, quantity=quantity, value_paise=worth)
        trade.holding = after_fill(trade.holding, effect, side=side, quantity=quantity)
        return {
            "last_quantity": quantity,
            "last_price_e4": price_e4,
            "value_paise": worth,
            "opened_cost_paise": effect.opened_cost_paise,
            "closed_quantity": effect.closed_quantity,
            "closed_cost_paise": effect.closed_cost_paise,
            "realised_paise": effect.realised_paise,
            # Not drawn: what happens next would be another thing than before there were charges.
            "charges": Charges(
                brokerage_paise=min(20_00, worth * 3 // 10_000),
                stt_paise=worth // 4_000,
                dp_paise=14_75 if worth % 3 == 0 else 0,
            ),
        }

    def _fill(
        self, trade: _Trade, purpose: Purpose, order_id: OrderId, told: OrderInstruction, quantity: int, *, already: int
    ) -> None:
        filled: OrderFilled = replace(
            order_filled,
            order_id=order_id,
            trade_id=trade.trade_id,
            venue_trade_number=f"f-{self._next()}",
            instrument=told.instrument,
            product=told.product,
            side=told.side,
            purpose=purpose,
            cumulative_quantity=already + quantity,
            leaves_quantity=max(0, told.quantity - already - quantity),
            filled_at_ns=self._now_ns,
            trading_day=self._day,
            **self._effect(trade, told.side, quantity),
        )
        self.events.append(filled)

    def _deny(self) -> None:
        codes = [DenialCode.QUANTITY_ABOVE_LIMIT, DenialCode.DAY_LOSS_LIMIT_REACHED, DenialCode.DRAWDOWN_LIMIT_REACHED]
        self.events.append(
            replace(
                order_denied,
                trade_id=self._trade_id(),
                user_id=self.owner_id,
                code=self._random.choice(codes),
                market=self._market(),
                strategy_id=self._random.choice(STRATEGIES),
            )
        )

    # --- What becomes of them -----------------------------------------------------------------------------------------

    def _held(self) -> _Trade | None:
        held = [trade for trade in self._trades if trade.holding.net_quantity and not trade.is_exiting]
        return self._random.choice(held) if held else None

    def _away(self, trade: _Trade, quantity: int) -> OrderInstruction:
        side = Side.SELL if trade.holding.net_quantity > 0 else Side.BUY
        return replace(trade.told, side=side, quantity=quantity)

    def _guard(self) -> None:
        trade = self._held()
        if trade is None or trade.stop is not None:
            return
        told = replace(
            self._away(trade, abs(trade.holding.net_quantity)),
            order_type=OrderType.SL,
            limit_price_e4=2_786_0000,
            trigger_price_e4=2_800_0000,
        )
        trade.stop = (self._order(trade, Purpose.STOP, told), told, 0)

    def _modify(self) -> None:
        trade = self._held()
        if trade is None or trade.stop is None:
            return
        order_id, told, number = trade.stop
        wanted = replace(told, quantity=abs(trade.holding.net_quantity), trigger_price_e4=2_800_0000 + number * 1_0000)
        self.events.append(
            replace(
                order_modify_requested,
                order_id=order_id,
                trade_id=trade.trade_id,
                number=number + 1,
                instruction=wanted,
                cause=self._random.choice(list(ModifyCause)),
                mark=self._random.choice([None, replace(mark, exchange_time_ns=self._now_ns)]),
            )
        )
        how = self._random.random()
        if how < 0.3:
            self.events.append(replace(order_modify_refused, order_id=order_id, trade_id=trade.trade_id))
            wanted = told
        elif how < 0.9:
            self.events.append(replace(order_modified, order_id=order_id, trade_id=trade.trade_id, instruction=wanted))
        trade.stop = (order_id, wanted, number + 1)

    def _exit(self) -> None:
        trade = self._held()
        if trade is None:
            return
        trade.is_exiting = True
        cause = self._random.choice(list(ExitCause))
        seen = self._random.choice([None, replace(mark, exchange_time_ns=self._now_ns)])
        self.events.append(TradeExitTriggered(trade_id=trade.trade_id, cause=cause, mark=seen))
        if trade.stop is not None and self._random.random() < 0.5:
            order_id, told, _ = trade.stop
            quantity = abs(trade.holding.net_quantity)
            self._fill(trade, Purpose.STOP, order_id, replace(told, quantity=quantity), quantity, already=0)
        else:
            if trade.stop is not None:
                self.events.append(replace(order_canceled, order_id=trade.stop[0], trade_id=trade.trade_id))
            told = self._away(trade, abs(trade.holding.net_quantity))
            first = self._random.randint(1, told.quantity)
            order_id = self._order(trade, Purpose.EXIT, told)
            self._fill(trade, Purpose.EXIT, order_id, told, first, already=0)
            if first < told.quantity:
                self._fill(trade, Purpose.EXIT, order_id, told, told.quantity - first, already=first)
        self._close_if_flat(trade)

    def _close_if_flat(self, trade: _Trade) -> None:
        if trade.holding.net_quantity == 0:
            self.events.append(
                TradeClosed(
                    trade_id=trade.trade_id,
                    cause=None,
                    entry_quantity=0,
                    realised_paise=trade.holding.realised_paise,
                )
            )

    def _reduce(self) -> None:
        trade = self._held()
        if trade is None or abs(trade.holding.net_quantity) < 2:
            return
        quantity = self._random.randint(1, abs(trade.holding.net_quantity) - 1)
        self.events.append(TradeReductionAsked(trade_id=trade.trade_id, quantity=quantity, cause=ExitCause.MANUAL))
        if self._random.random() < 0.7:
            told = self._away(trade, quantity)
            order_id = self._order(trade, Purpose.EXIT, told)
            self._fill(trade, Purpose.EXIT, order_id, told, quantity, already=0)

    def _trail(self) -> None:
        trade = self._held()
        if trade is not None:
            level_e4 = 2_800_0000 + self._random.randint(1, 40) * 1_0000
            moved = replace(stop_trailed, mark=replace(mark, exchange_time_ns=self._now_ns), stop_loss_e4=level_e4)
            self.events.append(replace(moved, trade_id=trade.trade_id))

    def _change(self) -> None:
        trade = self._held()
        if trade is None:
            return
        trade.version += 1
        self.events.append(
            replace(
                trade_changed,
                trade_id=trade.trade_id,
                version=trade.version,
                stop_loss_e4=self._random.choice([None, 2_790_0000]),
                trailing=self._random.choice([None, Trailing(distance_e4=40_0000, step_e4=5_0000)]),
            )
        )

    def _lapse(self) -> None:
        trade = self._held()
        if trade is None or trade.stop is None:
            return
        order_id, _, _ = trade.stop
        if self._random.random() < 0.5:
            self.events.append(replace(protection_failed, trade_id=trade.trade_id, order_id=order_id))
            return
        trade.stop = None
        self.events += [
            replace(order_expired, order_id=order_id, trade_id=trade.trade_id),
            ProtectionLapsed(trade_id=trade.trade_id, order_id=order_id),
        ]

    # --- From outside -------------------------------------------------------------------------------------------------

    def _foreign(self) -> None:
        trade = self._held()
        if trade is not None and self._random.random() < 0.6:
            told = self._away(trade, self._random.randint(1, abs(trade.holding.net_quantity)))
            self._foreign_fill(trade, told)
            return
        told = self._instruction()
        key = (told.instrument, told.product)
        trade = self._external.get(key)
        if trade is None:
            trade = self._external[key] = _Trade(self._trade_id(), told)
            adopted: TradeAdopted = replace(
                trade_adopted,
                trade_id=trade.trade_id,
                symbol=SYMBOLS[told.instrument],
                instrument=told.instrument,
                product=told.product,
                side=told.side,
                trading_day=self._day,
            )
            self.events.append(adopted)
        self._foreign_fill(trade, told)

    def _foreign_fill(self, trade: _Trade, told: OrderInstruction) -> None:
        filled: ForeignFillAllocated = replace(
            foreign_fill_allocated,
            trade_id=trade.trade_id,
            venue_trade_number=f"x-{self._next()}",
            instrument=told.instrument,
            product=told.product,
            side=told.side,
            filled_at_ns=self._now_ns,
            trading_day=self._day,
            **self._effect(trade, told.side, told.quantity),
        )
        self.events.append(filled)
        if not trade.is_exiting:
            self._close_if_flat(trade)

    def _split(self) -> None:
        instrument = self._random.choice([RELIANCE, INFY])
        numerator, denominator = self._random.choice([(2, 1), (3, 2), (1, 5)])
        held = [
            trade
            for trade in (*self._trades, *self._external.values())
            if trade.told.instrument == instrument and trade.holding.net_quantity
        ]
        adjusted = []
        for trade in held:
            left = abs(trade.holding.net_quantity) * numerator // denominator or 1
            signed = left if trade.holding.net_quantity > 0 else -left
            trade.holding = replace(trade.holding, net_quantity=signed)
            adjusted.append(
                CorporateAdjustment(
                    trade_id=trade.trade_id, net_quantity=signed, stop_loss_e4=1_400_0000, target_e4=None
                )
            )
        self.events.append(
            CorporateActionApplied(
                action_id=f"ca-{self._next()}",
                instrument=instrument,
                numerator=numerator,
                denominator=denominator,
                effective_on=self._day,
                trades=tuple(adjusted),
            )
        )

    # --- The account --------------------------------------------------------------------------------------------------

    def _switch(self) -> None:
        strategy_id = self._random.choice(STRATEGIES)
        mode = self._random.choice(list(KillMode))
        remaining = (TradeId("trd_left"),) if self._random.random() < 0.5 else ()
        choices: list[AccountEvent] = [
            KillSwitchEngaged(reason=f"reason {self._next()}", strategy_id=strategy_id, mode=mode),
            KillSwitchEngaged(reason=f"reason {self._next()}", strategy_id=strategy_id, mode=mode),
            KillSwitchReleased(strategy_id=strategy_id),
            FlattenFinished(strategy_id=strategy_id, remaining=remaining),
        ]
        self.events.append(self._random.choice(choices))

    def _breach(self) -> None:
        kind = self._random.choice(list(BreachKind))
        if self._random.random() < 0.3:
            self.events.append(RiskBreachReleased(kind=kind, user_id=self.owner_id, reason="seen"))
            return
        self.events.append(
            RiskBreached(
                kind=kind,
                action=self._random.choice(list(BreachAction)),
                limit_paise=50_000_00,
                value_paise=50_000_00 + self._next(),
                trading_day=self._day,
                marks=(replace(mark, exchange_time_ns=self._now_ns),),
            )
        )

    def _cash(self) -> None:
        amount = self._random.randint(-50, 100) * 1_000_00
        self.events.append(CashMoved(amount_paise=amount, reason="moved", trading_day=self._day))

    def _storm(self) -> None:
        count = self._random.randint(1, 5_000)
        self.events.append(IntentsSuppressed(count=count, since_ns=self._now_ns, until_ns=self._now_ns + 1))

    def _note(self) -> None:
        """Let the broker tell what it charged on this day, for the first time or again, in one part or two."""
        part_count = self._random.choice([1, 2])
        changed = replace(contract_note_received, trading_day=self._day, number=self._next(), part_count=part_count)
        self.events += [replace(changed, part=part) for part in range(1, part_count + 1)]

    def _invariant(self) -> None:
        """Let something that always holds be broken, or what is broken be released: both more than once."""
        invariant = self._random.choice([Invariant.SENT_TWICE, Invariant.RESULT_SUMS])
        if self._random.random() < 0.4:
            self.events.append(InvariantReleased(invariant=invariant, user_id=self.owner_id, reason="seen"))
            return
        version = len(self.events)
        self.events.append(
            replace(invariant_breached, invariant=invariant, subject=f"subject {self._next()}", version=version)
        )

    def _preopen(self) -> None:
        points = self._random.choice([preopen_checked.points, preopen_checked.points[:1]])
        self.events.append(replace(preopen_checked, trading_day=self._day, number=self._next(), points=points))

    def _difference(self) -> None:
        difference_id = DifferenceId(f"{self.account_id}.d{self._next()}")
        self.events.append(replace(difference_found, difference_id=difference_id))
        if self._random.random() < 0.5:
            self.events.append(replace(difference_closed, difference_id=difference_id))

    def _limits(self) -> None:
        changed = replace(limits_changed.parameters, open_trades_max=self._next())
        self.events.append(replace(limits_changed, parameters=changed))

    def _basket(self) -> None:
        basket_id = BasketId(f"bsk_{self._next()}")
        policy = self._random.choice(list(BasketPolicy))
        place = len(self.events)
        first, second = self._open(), self._open()
        legs = (BasketLeg(trade_id=first.trade_id, rank=0), BasketLeg(trade_id=second.trade_id, rank=1))
        opened = BasketOpened(basket_id=basket_id, user_id=self.owner_id, legs=legs, policy=policy)
        self.events.insert(place, opened)
        if self._random.random() < 0.5:
            self.events.append(BasketCompleted(basket_id=basket_id))
        else:
            self.events.append(BasketFailed(basket_id=basket_id, failed_trade_id=second.trade_id, policy=policy))

    def _member(self) -> None:
        """Let somebody become a member, in any role, and perhaps be one no more."""
        member_id = UserId(f"usr_{self._random.randint(1, 3):026d}M")
        self.events.append(MemberSet(member_id=member_id, role=self._random.choice(list(Role)), set_by=self.owner_id))
        if self._random.random() < 0.5:
            self.events.append(MemberRemoved(member_id=member_id, removed_by=self.owner_id))

    def _next_day(self) -> None:
        self._now_ns += DAY_NS
