"""What an account must remember to decide."""

from collections.abc import Iterator

import msgspec

from domain.account.events import BasketLeg, BasketPolicy, ExitCause, KillMode, ProtectionMode, Trailing
from domain.account.holding import Holding
from domain.ids import AccountId, BasketId, OrderId, StrategyId, TradeId, UserId, VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.order import LIVE, OrderInstruction, OrderStatus, OrderType, Product, Purpose, Side
from domain.risk import BreachKind, RiskParameters

WHOLE_ACCOUNT = StrategyId("")
"""Under this name the account's own kill switch lies among those of its strategies."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a trade that still matters.

    `instruction` is what the venue has been shown to have, `wanted` what a modification under way asks for.
    """

    order_id: OrderId
    trade_id: TradeId
    purpose: Purpose
    instruction: OrderInstruction
    not_after_ns: int | None
    status: OrderStatus = OrderStatus.INTENDED
    venue_order_id: VenueOrderId | None = None
    cumulative_quantity: int = 0
    fills: frozenset[VenueFillId] = frozenset()
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

    `carried_quantity` is what it held (signed) when the account's day began, `day_cash_paise` what its fills of the day
    brought in less what they cost. `reduction` is how many units more than its live exits cover shall be closed.
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
    best_price_e4: int | None = None
    holding: Holding = Holding()
    carried_quantity: int = 0
    day_cash_paise: int = 0
    entry_quantity: int = 0
    order_count: int = 0
    exit_count: int = 0
    stop_count: int = 0
    stops_forgiven: int = 0
    """So many of its stops were placed before somebody last changed it: what came of them counts no more."""
    reduction: int = 0
    exit_cause: ExitCause | None = None
    is_lapsed: bool = False
    has_failed_protection: bool = False
    foreign_fills: frozenset[VenueFillId] = frozenset()
    is_closed: bool = False

    @property
    def position(self) -> tuple[InstrumentKey, Product]:
        """The instrument and product in which it holds."""
        return self.entry.instrument, self.entry.product

    @property
    def exit_side(self) -> Side:
        """The side of an order that closes what it holds now."""
        return Side.SELL if self.holding.net_quantity > 0 else Side.BUY


class Basket(msgspec.Struct, frozen=True, kw_only=True):
    """Trades that are sent rank by rank. `has_failed` under a policy that sends nothing more."""

    basket_id: BasketId
    legs: tuple[BasketLeg, ...]
    policy: BasketPolicy
    failed: frozenset[TradeId] = frozenset()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The account as its events left it. Trades that were closed on an earlier day are forgotten.

    `realised_paise` is since ever, `peak_realised_paise` its highest value: drawdown is told from it.
    """

    account_id: AccountId | None = None
    owner_id: UserId | None = None
    parameters: RiskParameters = RiskParameters()
    kill_switches: dict[StrategyId, KillMode] = {}
    flattening: frozenset[StrategyId] = frozenset()
    breaches: frozenset[BreachKind] = frozenset()
    day: str = ""
    trades_today: int = 0
    realised_today_paise: int = 0
    realised_paise: int = 0
    peak_realised_paise: int = 0
    cash_moved_paise: int = 0
    trades: dict[TradeId, Trade] = {}
    orders: dict[OrderId, Order] = {}
    baskets: dict[BasketId, Basket] = {}
    foreign_fills: frozenset[VenueFillId] = frozenset()
    corporate_actions: frozenset[str] = frozenset()

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
        return (trade for trade in self.trades.values() if self.is_open(trade))

    def is_open(self, trade: Trade) -> bool:
        """Tell whether a trade holds something, one of its orders may still fill, or its turn in a basket comes yet."""
        if trade.is_closed:
            return False
        if trade.holding.net_quantity != 0 or trade.order_count == 0:
            return True
        return any(order.status in LIVE for order in self.orders_of(trade.trade_id))

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
