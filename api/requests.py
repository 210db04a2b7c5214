"""What clients send: every field, its kind and its range. Unknown fields are refused."""

from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

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
from commands.profiles import BrokerLogin, ProfileChange
from commands.strategies import StrategyWish
from domain.account.events import ProtectionMode, Role, Trailing
from domain.instrument import Segment
from domain.order import MODIFICATIONS_MAX, OrderType, Product, Side, TimeInForce
from domain.risk import BreachAction, RiskParameters
from domain.strategy.decide import SOURCE_BYTES_MAX
from domain.strategy.events import Parameter
from domain.user.events import RiskProfile

LIMITS_KEPT = 1_024
"""Every view of an account shows its limits, they seldom change, and most accounts have the same."""
QUANTITY_MAX = 1_000_000_000
_COUNT_MAX = 1_000_000_000
_BP_MAX = 10_000

Count = Annotated[int, Meta(ge=0, le=_COUNT_MAX)]
BasisPoints = Annotated[int, Meta(ge=0, le=_BP_MAX)]


class RegisterRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person who wants to trade. The password: 15 to 128 characters, any of them, none of the well-known ones."""

    email: Annotated[str, Meta(max_length=320, examples=["asha@example.in"])]
    name: Annotated[str, Meta(max_length=400, examples=["Asha Rao"])]
    password: Annotated[str, Meta(max_length=1024, examples=["monsoon over the western ghats"])]


class LoginRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who logs in."""

    email: Annotated[str, Meta(max_length=320, examples=["asha@example.in"])]
    password: Annotated[str, Meta(max_length=1024, examples=["monsoon over the western ghats"])]


class RefreshRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The refresh token of the newest answer."""

    refresh_token: Annotated[str, Meta(max_length=200)]


class DhanLinkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What Dhan gave you: sealed when it arrives, and never shown again. The client id stays that of the account."""

    client_id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{4,20}$(?!\n)", examples=["1000000009"])]
    access_token: Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[!-~]+$(?!\n)")]


class ProfileRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be otherwise in a profile; what is left out stays.

    `new_password` and a `dhan` that is set need the `present_password`. A new password ends every log-in. `dhan` null
    destroys the credentials; the live account stays.
    """

    name: Annotated[str, Meta(max_length=400)] | UnsetType = UNSET
    risk_profile: RiskProfile | UnsetType = UNSET
    new_password: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    present_password: Annotated[str, Meta(max_length=1024)] | None = None
    dhan: DhanLinkRequest | UnsetType | None = UNSET

    def to_change(self) -> ProfileChange:
        """Return what the engine carries out."""
        broker: BrokerLogin | UnsetType | None = UNSET
        if self.dhan is None:
            broker = None
        elif isinstance(self.dhan, DhanLinkRequest):
            broker = BrokerLogin(client_id=self.dhan.client_id, access_token=self.dhan.access_token)
        return ProfileChange(
            name=self.name, risk_profile=self.risk_profile, new_password=self.new_password, broker=broker
        )


class AccountRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another account. Only paper accounts are made so: a live one comes to be by linking Dhan."""

    mode: Literal["paper"] = "paper"


class MemberRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may do in an account: `viewer` looks, `trader` trades, `owner` decides on limits and members too."""

    role: Role


class StrategyRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strategy, whole. `code` is Python, 128 KiB at most: it is kept, and not run. Fractions are text: "0.25"."""

    name: Annotated[str, Meta(max_length=200, examples=["Opening range"])]
    description: Annotated[str, Meta(max_length=4_000)] = ""
    code: Annotated[str, Meta(max_length=SOURCE_BYTES_MAX)]
    parameters: dict[str, Parameter] = {}

    def to_wish(self) -> StrategyWish:
        """Return what the engine keeps."""
        return StrategyWish(name=self.name, description=self.description, source=self.code, parameters=self.parameters)


class StrategyChangeRequest(StrategyRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strategy, whole, in place of that of `expected_version`."""

    expected_version: Annotated[int, Meta(ge=1)]


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

    GET /api/risk/parameters shows those in force in the same form: change there what shall change and put it back.
    docs/risk.md tells what each of them does. Where null is allowed it means no limit.
    """

    order_quantity_max: Count
    order_value_max: Amount
    order_slices_max: Count
    disclosed_quantity_bp_min: BasisPoints
    open_trades_max: Count
    open_positions_max: Count
    open_orders_max: Count
    trades_per_day_max: Count
    position_quantity_max: Count | None
    position_value_max: Amount | None
    position_share_bp_max: BasisPoints | None
    gross_exposure_max: Amount
    net_exposure_max: Amount | None
    concentration_bp_max: BasisPoints | None
    capital: Amount | None
    margin_bp_cnc: BasisPoints
    margin_bp_intraday: BasisPoints
    margin_bp_margin: BasisPoints
    margin_bp_mtf: BasisPoints
    trade_risk_max: Amount | None
    day_loss_max: Amount
    day_loss_action: BreachAction
    drawdown_max: Amount
    drawdown_action: BreachAction
    price_collar_bp: Annotated[int, Meta(ge=0, le=_BP_MAX, description="Basis points of the last price")]
    spread_bp_max: BasisPoints | None
    mark_age_ms_max: Count
    stop_loss_required: bool
    stop_loss_distance_bp_max: BasisPoints | None
    trailing_step_bp_min: BasisPoints
    stop_limit_buffer_bp: BasisPoints
    trailing_modifications_max: Annotated[int, Meta(ge=0, le=MODIFICATIONS_MAX)]
    segments_allowed: tuple[Segment, ...] | None
    stop_market_allowed: bool
    intraday_entry_cutoff_minutes: Count
    duplicate_window_ms: Count
    self_cross_allowed: bool
    orders_per_second_max: Count
    orders_per_minute_max: Count
    orders_per_hour_max: Count
    orders_per_day_max: Count
    orders_reserved_for_exits: Count

    @classmethod
    def of(cls, parameters: RiskParameters) -> "RiskLimits":
        """Return what is shown of *parameters*."""
        return _limits_of(parameters)

    def to_parameters(self) -> RiskParameters:
        """Return what the engine computes with.

        Raises:
            api.errors.FieldInvalid: an amount is no decimal text.
        """
        limits: dict[str, Any] = {}
        for name in RiskParameters.__struct_fields__:
            shown = _shown_name(name)
            value = getattr(self, shown)
            is_text = value is not None and _is_amount(name)
            limits[name] = amount_paise(value, field=shown) if is_text else value
        return RiskParameters(**limits)


@lru_cache(maxsize=LIMITS_KEPT)
def _limits_of(parameters: RiskParameters) -> RiskLimits:
    shown: dict[str, Any] = {}
    for name in RiskParameters.__struct_fields__:
        value = getattr(parameters, name)
        is_text = value is not None and _is_amount(name)
        shown[_shown_name(name)] = amount_text(value) if is_text else value
    return RiskLimits(**shown)


def _is_amount(name: str) -> bool:
    return "_paise" in name


def _shown_name(name: str) -> str:
    """Return the name under which the API shows a parameter: its amounts are text, in rupees."""
    return name.replace("_paise", "")
