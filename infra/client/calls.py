"""One function for each operation, named as the OpenAPI document names it: it returns the call, which is then sent.

A call that can move money gets an idempotency key as it is made. It keeps it however often it is sent, so sending the
same call again, now or from another process, can never do it twice.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from api.auth import LoginAnswer, RegisteredAnswer
from api.baskets import BasketAccepted
from api.budgets import BudgetsAnswer
from api.cash import CashMovedAnswer
from api.changing import TradeCanceling, TradeChangedAnswer
from api.closing import ClosingAccepted, ClosingAllAccepted, TradeClosing
from api.drawdown import DrawdownAnswer
from api.exposure import ExposureAnswer
from api.limits import LimitHistoryAnswer
from api.opening import TradeAccepted
from api.orders import OrdersAnswer, TradeOrdersAnswer
from api.positions import PositionsAnswer
from api.profile import ProfileAnswer
from api.requests import LoginRequest, RegisterRequest, RiskLimits, TradeRequest
from api.risk import LimitsAnswer
from api.switch_requests import BreachReleaseRequest, CashMovementRequest, KillSwitchRequest
from api.switches import BreachReleased, KillSwitchAnswer
from api.trade_requests import (
    BasketRequest,
    CloseAllRequest,
    PositionCloseRequest,
    TradeChangeRequest,
    TradeCloseRequest,
)
from api.trades import TradeAnswer, TradesAnswer
from api.value_at_risk import ValueAtRiskAnswer
from api.views import PortfolioAnswer
from domain.risk import BreachKind

Answer = TypeVar("Answer", bound=msgspec.Struct)
Query = str | int | bool | None
"""A query parameter; None leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Answer]):
    """One request that can be sent, and what its answer is decoded as.

    `key` is its Idempotency-Key, None where it takes none. `is_public`: it is asked without a token.
    """

    method: str
    path: str
    answer: type[Answer]
    query: Mapping[str, Query] = field(default_factory=dict)
    body: msgspec.Struct | None = None
    key: str | None = None
    is_public: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice does nothing twice."""
        return self.is_read or self.key is not None


def new_key() -> str:
    """Return an idempotency key that nobody used before."""
    return secrets.token_hex(16)


# --- Who one is -------------------------------------------------------------------------------------------------------


def register(body: RegisterRequest) -> Call[RegisteredAnswer]:
    """Register a person and open their paper account."""
    return Call(method="POST", path="/api/auth/register", answer=RegisteredAnswer, body=body, is_public=True)


def login(body: LoginRequest) -> Call[LoginAnswer]:
    """Exchange e-mail address and password for an access token."""
    return Call(method="POST", path="/api/auth/login", answer=LoginAnswer, body=body, is_public=True)


def show_profile() -> Call[ProfileAnswer]:
    """Tell who is asking."""
    return Call(method="GET", path="/api/auth/profile", answer=ProfileAnswer)


# --- Trades -----------------------------------------------------------------------------------------------------------


def open_trade(body: TradeRequest, *, key: str | None = None) -> Call[TradeAccepted]:
    """Hand in an order intent."""
    return _command("POST", "/api/trades", TradeAccepted, body, key)


def open_basket(body: BasketRequest, *, key: str | None = None) -> Call[BasketAccepted]:
    """Hand in several order intents that pass risk together or not at all."""
    return _command("POST", "/api/baskets", BasketAccepted, body, key)


def change_trade(trade_id: str, body: TradeChangeRequest, *, key: str | None = None) -> Call[TradeChangedAnswer]:
    """Move a trade's levels, or change its entry as long as that rests."""
    return _command("PUT", f"/api/trades/{trade_id}", TradeChangedAnswer, body, key)


def cancel_trade(trade_id: str, *, key: str | None = None) -> Call[TradeCanceling]:
    """Take back what of a trade's entry has not filled."""
    return _command("POST", f"/api/trades/{trade_id}/cancel", TradeCanceling, None, key)


def close_trade(trade_id: str, body: TradeCloseRequest | None = None, *, key: str | None = None) -> Call[TradeClosing]:
    """Close a trade, or a part of it."""
    return _command("POST", f"/api/trades/{trade_id}/close", TradeClosing, body, key)


def close_position(
    position_id: str, body: PositionCloseRequest | None = None, *, key: str | None = None
) -> Call[ClosingAccepted]:
    """Close every open trade in an instrument and product, or those of one strategy."""
    return _command("POST", f"/api/positions/close/{position_id}", ClosingAccepted, body, key)


def close_all(body: CloseAllRequest, *, key: str | None = None) -> Call[ClosingAllAccepted]:
    """Close every open trade of the account, or of one strategy."""
    return _command("POST", "/api/positions/close-all", ClosingAllAccepted, body, key)


def list_trades(**query: Query) -> Call[TradesAnswer]:
    """List trades by `status`, `symbol`, `strategy_id`, `day`, newest first or by `sort`; a page of `limit`."""
    return Call(method="GET", path="/api/trades", answer=TradesAnswer, query=query)


def show_trade(trade_id: str, **query: Query) -> Call[TradeAnswer]:
    """Show one trade with its orders."""
    return Call(method="GET", path=f"/api/trades/{trade_id}", answer=TradeAnswer, query=query)


def list_orders(**query: Query) -> Call[OrdersAnswer]:
    """List orders by `status`, `symbol`, `purpose`, `strategy_id`, ordered and paged as trades are."""
    return Call(method="GET", path="/api/orders", answer=OrdersAnswer, query=query)


def list_orders_of_trade(trade_id: str, **query: Query) -> Call[TradeOrdersAnswer]:
    """List the orders of a trade, oldest first."""
    return Call(method="GET", path=f"/api/trades/{trade_id}/orders", answer=TradeOrdersAnswer, query=query)


def list_positions(**query: Query) -> Call[PositionsAnswer]:
    """List what the account holds, and (unless `open_only`) what it held."""
    return Call(method="GET", path="/api/positions", answer=PositionsAnswer, query=query)


# --- Risk -------------------------------------------------------------------------------------------------------------


def show_portfolio(**query: Query) -> Call[PortfolioAnswer]:
    """Show what the account may do, what it did today, and what it holds."""
    return Call(method="GET", path="/api/risk/portfolio", answer=PortfolioAnswer, query=query)


def show_parameters(**query: Query) -> Call[LimitHistoryAnswer]:
    """Show the limits in force, and who changed them when."""
    return Call(method="GET", path="/api/risk/parameters", answer=LimitHistoryAnswer, query=query)


def set_parameters(body: RiskLimits, *, key: str | None = None) -> Call[LimitsAnswer]:
    """Put new limits in force, the whole set."""
    return _command("PUT", "/api/risk/parameters", LimitsAnswer, body, key)


def show_exposure(**query: Query) -> Call[ExposureAnswer]:
    """Show what the account is exposed to, in groups."""
    return Call(method="GET", path="/api/risk/exposure", answer=ExposureAnswer, query=query)


def show_budgets(**query: Query) -> Call[BudgetsAnswer]:
    """Show what is left of order rates, open orders and modifications."""
    return Call(method="GET", path="/api/risk/budgets", answer=BudgetsAnswer, query=query)


def show_drawdown(**query: Query) -> Call[DrawdownAnswer]:
    """Show the account's equity day by day, and how far it lay below its peak."""
    return Call(method="GET", path="/api/risk/drawdown", answer=DrawdownAnswer, query=query)


def show_value_at_risk(**query: Query) -> Call[ValueAtRiskAnswer]:
    """Show what a day ahead may cost."""
    return Call(method="GET", path="/api/risk/value-at-risk", answer=ValueAtRiskAnswer, query=query)


def engage_kill_switch(body: KillSwitchRequest, *, key: str | None = None) -> Call[KillSwitchAnswer]:
    """Block entries, and with mode `flatten` close what is held."""
    return _command("POST", "/api/risk/kill-switch", KillSwitchAnswer, body, key)


def release_kill_switch(*, key: str | None = None, **query: Query) -> Call[KillSwitchAnswer]:
    """Allow entries again, of a `scope` and `strategy_id`."""
    return Call(
        method="DELETE", path="/api/risk/kill-switch", answer=KillSwitchAnswer, query=query, key=key or new_key()
    )


def release_breach(kind: BreachKind, body: BreachReleaseRequest, *, key: str | None = None) -> Call[BreachReleased]:
    """Allow entries again although a limit on losses was reached today."""
    return _command("POST", f"/api/risk/breaches/{kind.value}/release", BreachReleased, body, key)


def move_cash(body: CashMovementRequest, *, key: str | None = None) -> Call[CashMovedAnswer]:
    """Record that money came in, or went out."""
    return _command("POST", "/api/funds/movements", CashMovedAnswer, body, key)


def _command(
    method: str, path: str, answer: type[Answer], body: msgspec.Struct | None, key: str | None
) -> Call[Answer]:
    return Call(method=method, path=path, answer=answer, body=body, key=key or new_key())
