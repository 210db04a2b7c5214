"""What an account must remember to decide."""

from collections.abc import Iterator

import msgspec

from domain.account.events import (
    AccountMode,
    BasketLeg,
    BasketPolicy,
    DifferenceFound,
    ExitCause,
    KillMode,
    ProtectionMode,
    Role,
    Trailing,
)
from domain.account.holding import Holding
from domain.account.rates import OrderRates
from domain.charges import NOTHING_ACCRUED, Accrual
from domain.ids import (
    AccountId,
    BasketId,
    DifferenceId,
    OrderId,
    StrategyId,
    TradeId,
    UserId,
    VenueFillId,
    VenueOrderId,
)
from domain.instrument import InstrumentKey
from domain.order import LIVE, OrderInstruction, OrderStatus, OrderType, Product, Purpose, Side
from domain.preopen import PreopenPoint
from domain.risk import BreachKind, Invariant, RiskParameters

WHOLE_ACCOUNT = StrategyId("")
"""Under this name the account's own kill switch lies among those of its strategies."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a trade that still matters.

    `instruction` is what the venue has been shown to have, `wanted` what a modification under way asks for. `accrual`
    is what its fills were worth and charged: the next one is charged by it. `successor_of` is the order, presumed
    absent, whose place it takes.
    """

    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    instruction: OrderInstruction
    not_after_ns: int | None
    successor_of: OrderId | None = None
    status: OrderStatus = OrderStatus.INTENDED
    venue_order_id: VenueOrderId | None = None
    cumulative_quantity: int = 0
    fills: frozenset[VenueFillId] = frozenset()
    accrual: Accrual = NOTHING_ACCRUED
    cancel_requested: bool = False
    wanted: OrderInstruction | None = None
    modifications: int = 0
    refused_modifications: int = 0
    gap_steps: int = 0

    @property
    def leaves_quantity(self) -> int:
        """Units that may still fill, whether or not a modification under way takes effect."""
        if self.status not in LIVE:
            return 0
        quantity = self.instruction.quantity
        if self.wanted is not None:
            quantity = max(quantity, self.wanted.quantity)
        return max(0, quantity - self.cumulative_quantity)

    @property
    def is_working_exit(self) -> bool:
        """Whether it closes at the market, or is about to: an exit, or a stop that is triggered or made marketable."""
        if self.purpose is not Purpose.STOP:
            return self.purpose is Purpose.EXIT
        told = self.instruction if self.wanted is None else self.wanted
        return told.order_type is not OrderType.SL or self.cumulative_quantity > 0

    @property
    def is_at_market(self) -> bool:
        """Whether it takes what the market gives, or is about to: what somebody in a hurry asks for."""
        told = self.instruction if self.wanted is None else self.wanted
        return told.order_type is OrderType.MARKET

    @property
    def is_modifiable(self) -> bool:
        """Whether a modification may be asked for now: the venue has it and nothing is under way."""
        at_venue = self.status in {OrderStatus.ACKNOWLEDGED, OrderStatus.PARTLY_FILLED}
        return at_venue and self.venue_order_id is not None and self.wanted is None and not self.cancel_requested


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One round trip: from its entry to the last fill that closes it.

    `carried_quantity` is what it held (signed) when the account's day began, `carried_cost_paise` what that had cost.
    `reduction` is how many units more than its live exits cover shall be closed. `reference_price_e4` is what its entry
    is valued at where it names no price, `opened_at_ns` the market's time when it was asked for (0: from outside).
    """

    trade_id: TradeId
    symbol: str
    multiplier: int
    entry: OrderInstruction
    stop_loss_e4: int | None
    target_e4: int | None
    opened_on: str
    strategy_id: StrategyId | None = None
    trailing: Trailing | None = None
    protection: ProtectionMode = ProtectionMode.ENGINE
    basket_id: BasketId | None = None
    is_external: bool = False
    tick_e4: int = 1
    freeze_quantity: int | None = None
    version: int = 1
    holding: Holding = Holding()
    carried_quantity: int = 0
    carried_cost_paise: int = 0
    reference_price_e4: int = 0
    opened_at_ns: int = 0
    entry_quantity: int = 0
    live_orders: int = 0
    order_count: int = 0
    exit_count: int = 0
    stop_count: int = 0
    stops_forgiven: int = 0
    """So many of its stops were placed before somebody last changed it: what came of them counts no more."""
    reduction: int = 0
    exit_cause: ExitCause | None = None
    is_lapsed: bool = False
    has_failed_protection: bool = False
    is_closed: bool = False

    @property
    def position(self) -> tuple[InstrumentKey, Product]:
        """The instrument and product in which it holds."""
        return self.entry.instrument, self.entry.product

    @property
    def is_open(self) -> bool:
        """Whether it holds something, one of its orders may still fill, or its turn in a basket comes yet."""
        if self.is_closed:
            return False
        return self.holding.net_quantity != 0 or self.live_orders > 0 or self.order_count == 0

    @property
    def exit_side(self) -> Side:
        """The side of an order that closes what it holds now."""
        return Side.SELL if self.holding.net_quantity > 0 else Side.BUY


class Basket(msgspec.Struct, frozen=True, kw_only=True):
    """Trades that are sent rank by rank. `failed` came to nothing or to a part, under a policy that goes on."""

    basket_id: BasketId
    legs: tuple[BasketLeg, ...]
    policy: BasketPolicy
    failed: frozenset[TradeId] = frozenset()


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What lies in one instrument and product: held, and what live entries may add to it.

    `long_quantity` and `short_quantity` are what its trades hold each way (both positive), `cost_paise` is what they
    cost without regard to direction. Entries count with what of them has not filled, at their prices. `limits` has the
    price of each limit order that rests, positive where it buys and negative where it sells (1/10,000 rupee).
    """

    open_trades: int = 0
    long_quantity: int = 0
    short_quantity: int = 0
    cost_paise: int = 0
    buying_quantity: int = 0
    selling_quantity: int = 0
    buying_paise: int = 0
    selling_paise: int = 0
    limits: dict[OrderId, int] = {}


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over trades and orders, so that no decision has to add them up. `totals.py` keeps them.

    `exposures` has those that are not empty, by `exposure_key`. `committed_paise` is what holdings cost and live
    entries may cost, by product.
    """

    open_trades: int = 0
    live_orders: int = 0
    intended_orders: int = 0
    resting_limits: int = 0
    buying_paise: int = 0
    selling_paise: int = 0
    committed_paise: dict[Product, int] = {}
    exposures: dict[str, Exposure] = {}


class PreopenSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The newest record of a pre-open check: its day, its number on it, and the points that failed."""

    trading_day: str = ""
    number: int = 0
    failing: tuple[PreopenPoint, ...] = ()


class BrokenInvariant(msgspec.Struct, frozen=True, kw_only=True):
    """An invariant that was breached and not released yet: of what, and the stream's version of what broke it."""

    invariant: Invariant
    subject: str
    version: int


NOTHING = Exposure()


def exposure_key(instrument: InstrumentKey, product: Product) -> str:
    """Return under which name the exposure in an instrument and product is kept."""
    return instrument.segment + ":" + instrument.security_id + ":" + product


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account as its events left it. Trades that were closed on an earlier day are forgotten.

    `realised_paise` and `charges_paise` are since ever, `peak_net_paise` is the highest that their difference was:
    drawdown is told from it. `breaches` are the limits on losses that are latched, `acted_breaches` those of them of
    which the consequences were drawn, `broken` the invariants of which nobody has released the breach. `debited` are
    the instruments of which the day's debit of the demat account was charged, `foreign_accruals` what the day's orders
    of others came to, by `foreign_order`. `owner_id` opened the account and is its owner for good; `members` holds
    everybody, them too. `differences` are those from the venue's books that are open, `accepted_differences` names
    those that somebody took today as they are; `held_before` has the units by instrument that the venue's holdings
    count from.
    """

    account_id: AccountId | None = None
    owner_id: UserId | None = None
    mode: AccountMode = AccountMode.PAPER
    members: dict[UserId, Role] = {}
    parameters: RiskParameters = RiskParameters()
    kill_switches: dict[StrategyId, KillMode] = {}
    flattening: frozenset[StrategyId] = frozenset()
    breaches: frozenset[BreachKind] = frozenset()
    acted_breaches: frozenset[BreachKind] = frozenset()
    broken: tuple[BrokenInvariant, ...] = ()
    preopen: PreopenSeen = PreopenSeen()
    day: str = ""
    trades_today: int = 0
    realised_today_paise: int = 0
    realised_paise: int = 0
    charges_today_paise: int = 0
    charges_paise: int = 0
    peak_net_paise: int = 0
    cash_moved_paise: int = 0
    trades: dict[TradeId, Trade] = {}
    orders: dict[OrderId, Order] = {}
    baskets: dict[BasketId, Basket] = {}
    foreign_fills: frozenset[VenueFillId] = frozenset()
    foreign_accruals: dict[str, Accrual] = {}
    debited: frozenset[InstrumentKey] = frozenset()
    corporate_actions: frozenset[str] = frozenset()
    totals: Totals = Totals()
    rates: OrderRates = OrderRates()
    differences: dict[DifferenceId, DifferenceFound] = {}
    difference_count: int = 0
    accepted_differences: frozenset[str] = frozenset()
    held_before: dict[str, int] = {}

    @property
    def gating_difference(self) -> DifferenceFound | None:
        """The oldest difference from the venue's books for which entries are held, None where there is none."""
        if not self.differences:
            return None
        return next((difference for difference in self.differences.values() if difference.gates), None)

    @property
    def net_paise(self) -> int:
        """What was ever realised, less all charges."""
        return self.realised_paise - self.charges_paise

    @property
    def kill_switch_engaged(self) -> bool:
        """Whether entries of the whole account are blocked."""
        return WHOLE_ACCOUNT in self.kill_switches

    def is_killed(self, strategy_id: StrategyId | None) -> bool:
        """Tell whether entries of a strategy (None: of a person) are blocked."""
        return bool(self.kill_switches) and (
            WHOLE_ACCOUNT in self.kill_switches or (strategy_id is not None and strategy_id in self.kill_switches)
        )

    def orders_of(self, trade_id: TradeId) -> Iterator[Order]:
        """Yield the orders of a trade, oldest first."""
        return (order for order in self.orders.values() if order.trade_id == trade_id)

    def unclosed_trades(self) -> Iterator[Trade]:
        """Yield the trades that are not closed: those that are open, and those of which an order is presumed absent."""
        return (trade for trade in self.trades.values() if not trade.is_closed)

    def open_trades(self) -> Iterator[Trade]:
        """Yield the trades that hold something or may come to."""
        return (trade for trade in self.trades.values() if trade.is_open)

    def exposure(self, instrument: InstrumentKey, product: Product) -> Exposure:
        """Return what lies in one instrument and product."""
        return self.totals.exposures.get(exposure_key(instrument, product), NOTHING)

    def closing_leaves(self, trade_id: TradeId) -> int:
        """Return how many units the trade's exits and stops may still fill, unknown ones counted as live."""
        return sum(o.leaves_quantity for o in self.orders_of(trade_id) if o.purpose.closes)

    def open_instruments(self) -> frozenset[InstrumentKey]:
        """Return the instruments in which a trade is open."""
        return frozenset(trade.entry.instrument for trade in self.open_trades())

    def trades_in(self, instrument: InstrumentKey, product: Product) -> list[Trade]:
        """Return the trades in one instrument and product that are not closed, oldest first."""
        wanted = (instrument, product)
        return [trade for trade in self.unclosed_trades() if trade.position == wanted]

    def held_against(
        self, instrument: InstrumentKey, product: Product, side: Side, *, strategy_id: StrategyId | None
    ) -> list[Trade]:
        """Return the trades of a strategy that an order on *side* would undo, and that are not being closed already."""
        exposure = self.exposure(instrument, product)
        if not (exposure.short_quantity if side is Side.BUY else exposure.long_quantity):
            return []
        return [
            trade
            for trade in self.trades_in(instrument, product)
            if trade.strategy_id == strategy_id
            and trade.exit_cause is None
            and not trade.is_external
            and trade.holding.net_quantity * side.sign < 0
        ]
