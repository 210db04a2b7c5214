"""What clients send: every field, its kind and its range. Unknown fields are refused."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.fields import (
    Amount,
    Price,
    StrategyName,
    amount_paise,
    amount_text,
    price_e4,
    required_price_e4,
    strategy_of,
)
from commands.accounts import TradeIntent
from domain.account.events import ProtectionMode, Trailing
from domain.order import OrderType, Product, Side, TimeInForce
from domain.risk import RiskParameters

QUANTITY_MAX = 1_000_000_000
_COUNT_MAX = 1_000_000_000
_COLLAR_BP_MAX = 10_000

Count = Annotated[int, Meta(ge=0, le=_COUNT_MAX)]


class RegisterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who wants to trade. The password: 15 to 128 characters, any of them, none of the well-known ones."""

    email: Annotated[str, Meta(max_length=320, examples=["asha@example.in"])]
    name: Annotated[str, Meta(max_length=400, examples=["Asha Rao"])]
    password: Annotated[str, Meta(max_length=1024, examples=["monsoon over the western ghats"])]


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who logs in."""

    email: Annotated[str, Meta(max_length=320, examples=["asha@example.in"])]
    password: Annotated[str, Meta(max_length=1024, examples=["monsoon over the western ghats"])]


class TrailingRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A stop that follows the best price at `distance`, in steps of `step` at least."""

    distance: Price
    step: Price

    def to_trailing(self) -> Trailing:
        """Return what the engine computes with. Raises api.errors.FieldInvalid: a price is no decimal text."""
        return Trailing(
            distance_e4=required_price_e4(self.distance, field="trailing.distance"),
            step_e4=required_price_e4(self.step, field="trailing.step"),
        )


class TradeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order intent.

    `limit_price` is mandatory for LIMIT and SL and forbidden for the others, `trigger_price` for SL and SL-M. An
    `after_market` order waits for the next session. `protection` says who holds the stop loss: an order that rests at
    the venue (the default), or the engine alone. `strategy_id` names the strategy whose trade it is, null: yours.
    """

    symbol: Annotated[str, Meta(min_length=1, max_length=64, examples=["RELIANCE"])]
    side: Side
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="Units", examples=[10])]
    order_type: OrderType = OrderType.MARKET
    limit_price: Price | None = None
    trigger_price: Price | None = None
    disclosed_quantity: Annotated[int, Meta(ge=0, le=QUANTITY_MAX, description="Units in the book, 0: all")] = 0
    after_market: bool = False
    product: Product = Product.INTRADAY
    time_in_force: TimeInForce = TimeInForce.DAY
    stop_loss: Price | None = None
    target: Price | None = None
    trailing: TrailingRequest | None = None
    protection: ProtectionMode = ProtectionMode.RESTING
    strategy_id: StrategyName | None = None

    def to_intent(self) -> TradeIntent:
        """Return what the engine computes with.

        Raises:
            api.errors.FieldInvalid: a price is no decimal text.
        """
        return TradeIntent(
            symbol=self.symbol,
            side=self.side,
            quantity=self.quantity,
            order_type=self.order_type,
            limit_price_e4=price_e4(self.limit_price, field="limit_price"),
            product=self.product,
            time_in_force=self.time_in_force,
            stop_loss_e4=price_e4(self.stop_loss, field="stop_loss"),
            target_e4=price_e4(self.target, field="target"),
            trigger_price_e4=price_e4(self.trigger_price, field="trigger_price"),
            disclosed_quantity=self.disclosed_quantity,
            after_market=self.after_market,
            strategy_id=strategy_of(self.strategy_id),
            trailing=None if self.trailing is None else self.trailing.to_trailing(),
            protection=self.protection,
        )


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's limits, whole: every field is mandatory, so that none falls back to a default unseen.

    GET /api/risk/portfolio shows those in force in the same form: change there what shall change and put it back.
    """

    order_quantity_max: Count
    order_value_max: Amount
    open_trades_max: Count
    trades_per_day_max: Count
    gross_exposure_max: Amount
    day_loss_max: Amount
    price_collar_bp: Annotated[int, Meta(ge=0, le=_COLLAR_BP_MAX, description="Basis points of the last price")]
    mark_age_ms_max: Count
    stop_loss_required: bool

    @classmethod
    def of(cls, parameters: RiskParameters) -> "RiskLimits":
        """Return what is shown of *parameters*."""
        return cls(
            order_quantity_max=parameters.order_quantity_max,
            order_value_max=amount_text(parameters.order_value_paise_max),
            open_trades_max=parameters.open_trades_max,
            trades_per_day_max=parameters.trades_per_day_max,
            gross_exposure_max=amount_text(parameters.gross_exposure_paise_max),
            day_loss_max=amount_text(parameters.day_loss_paise_max),
            price_collar_bp=parameters.price_collar_bp,
            mark_age_ms_max=parameters.mark_age_ms_max,
            stop_loss_required=parameters.stop_loss_required,
        )

    def to_parameters(self) -> RiskParameters:
        """Return what the engine computes with.

        Raises:
            api.errors.FieldInvalid: an amount is no decimal text.
        """
        return RiskParameters(
            order_quantity_max=self.order_quantity_max,
            order_value_paise_max=amount_paise(self.order_value_max, field="order_value_max"),
            open_trades_max=self.open_trades_max,
            trades_per_day_max=self.trades_per_day_max,
            gross_exposure_paise_max=amount_paise(self.gross_exposure_max, field="gross_exposure_max"),
            day_loss_paise_max=amount_paise(self.day_loss_max, field="day_loss_max"),
            price_collar_bp=self.price_collar_bp,
            mark_age_ms_max=self.mark_age_ms_max,
            stop_loss_required=self.stop_loss_required,
        )
