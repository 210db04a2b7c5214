"""What the checks look at."""

from collections.abc import Callable
from enum import Enum

from domain.account.commands import OpenTrade
from domain.account.events import Trailing
from domain.account.state import Account, Exposure
from domain.account.valuation import valuation_of
from domain.ids import StrategyId
from domain.instrument import Instrument
from domain.market import Mark, MarketSnapshot, Valuation
from domain.money import value_paise
from domain.order import Side
from domain.risk import Denial, DenialCode, RiskParameters
from domain.session import SessionMoment

_BUY = Side.BUY


class Kind(Enum):
    """What a rule is held against."""

    ENTRY = "entry"
    EXIT = "exit"
    CANCEL = "cancel"
    CHANGE = "change"


class Aspect(Enum):
    """How a change raises a risk."""

    SIZE = "size"
    """More may be bought or sold, or for more money."""
    PRICE = "price"
    """The entry comes closer to the market, or becomes an order of another type."""
    STOP = "stop"
    """The stop is taken away or moved further from the price."""
    TRAILING = "trailing"
    """The stop may move in smaller steps than before."""


class Intent:
    """What the checks look at: what is asked for, the account, and what was derived from them once.

    `price_e4` is what the order is valued at: its limit, else its trigger, else the last price, else (no mark) 0.
    `adding_quantity` and `adding_paise` are what it may add to what is held (a change of a half-filled order: its
    rest), `risk_quantity` is what its stop has to guard.
    """

    __slots__ = (
        "account",
        "adding_paise",
        "adding_quantity",
        "after_market",
        "disclosed_quantity",
        "exposure",
        "instrument",
        "is_buy",
        "limit_e4",
        "limits",
        "mark",
        "market",
        "now_ns",
        "order_type",
        "price_e4",
        "product",
        "quantity",
        "risk_quantity",
        "session",
        "side",
        "sign",
        "stop_e4",
        "strategy_id",
        "target_e4",
        "time_in_force",
        "totals",
        "trailing",
        "trigger_e4",
        "valuation",
        "value_paise",
    )

    def __init__(self, command: OpenTrade, account: Account, instrument: Instrument) -> None:
        market = command.market
        side, quantity = command.side, command.quantity
        self.account = account
        self.limits: RiskParameters = account.parameters
        self.totals = account.totals
        self.instrument = instrument
        self.market: MarketSnapshot = market
        self.now_ns: int = market.market_time_ns
        self.session: SessionMoment | None = market.session
        self.mark: Mark | None = market.mark_of(instrument.key)
        valuation = market.valuation
        if valuation is None:
            valuation = valuation_of(account, market.mark_of, market_time_ns=market.market_time_ns)
        self.valuation: Valuation = valuation
        self.side = side
        self.is_buy = side is _BUY
        self.sign = 1 if self.is_buy else -1
        self.product = command.product
        self.order_type = command.order_type
        self.limit_e4 = command.limit_price_e4
        self.trigger_e4 = command.trigger_price_e4
        self.time_in_force = command.time_in_force
        self.after_market = command.after_market
        self.disclosed_quantity = command.disclosed_quantity
        self.strategy_id: StrategyId | None = command.strategy_id
        self.stop_e4 = command.stop_loss_e4
        self.target_e4 = command.target_e4
        self.trailing: Trailing | None = command.trailing
        self.exposure: Exposure = account.exposure(instrument.key, command.product)
        price = command.limit_price_e4
        if price is None:
            price = command.trigger_price_e4
        if price is None:
            price = self.mark.last_price_e4 if self.mark is not None else 0
        self.price_e4 = price
        self.quantity = self.adding_quantity = self.risk_quantity = quantity
        self.value_paise = self.adding_paise = value_paise(
            price_e4=price, quantity=quantity, multiplier=instrument.multiplier
        )

    def worth_paise(self, quantity: int) -> int:
        """Return what *quantity* units are worth at the order's price."""
        return value_paise(price_e4=self.price_e4, quantity=quantity, multiplier=self.instrument.multiplier)

    def units_for(self, amount_paise: int) -> str:
        """Return how many units, in whole lots, *amount_paise* is enough for; empty where it is for none."""
        unit_e4 = self.price_e4 * self.instrument.multiplier
        units = amount_paise * 100 // unit_e4 if amount_paise > 0 and unit_e4 else 0
        return self.in_lots(units)

    def in_lots(self, units: int) -> str:
        """Return *units* cut to whole lots, as text; empty where none is left."""
        units -= units % self.instrument.lot
        return f"{units} units" if units > 0 else ""


Function = Callable[[Intent], Denial | None]
"""A check: returns the denial, or None where the intent passes."""


def denied(code: DenialCode, limit: object, value: object, passing: object = "") -> Denial:
    """Return a denial of which the parts are told as text."""
    return Denial(code=code, limit=str(limit), value=str(value), passing=str(passing))


def order_count(intent: Intent) -> int:
    """Return how many orders the intent becomes at the venue."""
    freeze = intent.instrument.freeze_quantity
    return 1 if freeze is None or intent.quantity <= freeze else -(-intent.quantity // freeze)
