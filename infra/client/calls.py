"""One function for each operation, named as the OpenAPI document names it: it returns the call, which is then sent.

`account_id` names the account to act on, where it is not one's own. A call that can move money gets an idempotency key
as it is made. It keeps it however often it is sent, so sending the same call again, now or from another process, can
never do it twice.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, TypeVar

import msgspec

from api.accounts import AccountAnswer, AccountMadeAnswer, AccountsAnswer, MemberAnswer
from api.alerts import AlertsAnswer
from api.audit_events import AuditEventAnswer, AuditEventsAnswer
from api.auth import LoggedOutAnswer, LoginAnswer, RegisteredAnswer
from api.backtests import BacktestAnswer, BacktestsAnswer
from api.baskets import BasketAccepted
from api.budgets import BudgetsAnswer
from api.cash import CashMovedAnswer
from api.changing import TradeCanceling, TradeChangedAnswer
from api.charges import ChargesAnswer, ChargesRequest
from api.closing import ClosingAccepted, ClosingAllAccepted, TradeClosing
from api.contract_notes import ContractNoteAnswer, ContractNotesAnswer
from api.doubts import DoubtsAnswer
from api.drawdown import DrawdownAnswer
from api.exposure import ExposureAnswer
from api.funds import FundsAnswer, HoldingsAnswer
from api.health import Health, Readiness
from api.instruments import DefinitionsAnswer, InstrumentsAnswer
from api.invariants import InvariantReleasedAnswer
from api.limits import LimitHistoryAnswer
from api.opening import TradeAccepted
from api.orders import OrdersAnswer, TradeOrdersAnswer
from api.positions import PositionsAnswer
from api.profile import ProfileAnswer, ProfileChangedAnswer
from api.reconciling import DifferenceResolvedAnswer, ReconciliationAnswer, ResolveDifferenceRequest
from api.requests import (
    AccountRequest,
    LoginRequest,
    MemberRequest,
    ProfileRequest,
    RefreshRequest,
    RegisterRequest,
    RiskLimits,
    StrategyChangeRequest,
    StrategyRequest,
    TradeRequest,
)
from api.resolving import OrderResolvedAnswer, ResolveRequest
from api.risk import LimitsAnswer
from api.sessions import SessionsAnswer
from api.strategies import StrategiesAnswer, StrategyAnswer, StrategyKept
from api.switch_requests import (
    BreachReleaseRequest,
    CashMovementRequest,
    InvariantReleaseRequest,
    KillSwitchRequest,
)
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
from domain.instrument import Segment
from domain.risk import BreachKind, Invariant

Answer = TypeVar("Answer", bound=msgspec.Struct)
Query = str | int | bool | None
"""A query parameter; None leaves it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Answer]):
    """One request that can be sent, and what its answer is decoded as.

    `key` is its Idempotency-Key, None where it takes none. `is_public`: it is asked without a token. `is_of_log`: what
    it reads comes from views of the log, and may wait for a sequence. `is_harmless`: it may be sent again although it
    has no key. `also` are the statuses besides those of success that bring `answer`.
    """

    method: str
    path: str
    answer: type[Answer]
    query: Mapping[str, Query] = field(default_factory=dict)
    body: msgspec.Struct | None = None
    key: str | None = None
    is_public: bool = False
    is_of_log: bool = True
    is_harmless: bool = False
    also: tuple[int, ...] = ()

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.method == "GET"

    @property
    def may_be_repeated(self) -> bool:
        """Whether sending it twice does nothing twice."""
        return self.is_read or self.is_harmless or self.key is not None


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


def refresh(body: RefreshRequest) -> Call[LoginAnswer]:
    """Exchange a refresh token, once, for both tokens anew. A connection does it by itself."""
    return Call(method="POST", path="/api/auth/refresh", answer=LoginAnswer, body=body, is_public=True)


def logout(body: RefreshRequest) -> Call[LoggedOutAnswer]:
    """End the log-in that a refresh token belongs to."""
    path = "/api/auth/logout"
    return Call(method="POST", path=path, answer=LoggedOutAnswer, body=body, is_public=True, is_harmless=True)


def show_profile() -> Call[ProfileAnswer]:
    """Tell who is asking."""
    return Call(method="GET", path="/api/auth/profile", answer=ProfileAnswer)


def change_profile(body: ProfileRequest) -> Call[ProfileChangedAnswer]:
    """Change name, risk profile or password, and link Dhan."""
    return Call(method="PUT", path="/api/auth/profile", answer=ProfileChangedAnswer, body=body)


# --- Accounts ---------------------------------------------------------------------------------------------------------


def list_accounts() -> Call[AccountsAnswer]:
    """List the accounts that one is a member of, the default one first."""
    return Call(method="GET", path="/api/accounts", answer=AccountsAnswer)


def open_account(body: AccountRequest | None = None, *, key: str | None = None) -> Call[AccountMadeAnswer]:
    """Open another paper account."""
    return _command("POST", "/api/accounts", AccountMadeAnswer, body, key)


def show_account(account_id: str) -> Call[AccountAnswer]:
    """Show an account and who its members are."""
    return Call(method="GET", path=f"/api/accounts/{account_id}", answer=AccountAnswer)


def set_member(account_id: str, user_id: str, body: MemberRequest, *, key: str | None = None) -> Call[MemberAnswer]:
    """Make a user a member of an account, or give a member another role."""
    return _command("PUT", f"/api/accounts/{account_id}/members/{user_id}", MemberAnswer, body, key)


def remove_member(account_id: str, user_id: str, *, key: str | None = None) -> Call[MemberAnswer]:
    """Let somebody be a member of an account no more."""
    return _command("DELETE", f"/api/accounts/{account_id}/members/{user_id}", MemberAnswer, None, key)


# --- Trades -----------------------------------------------------------------------------------------------------------


def open_trade(body: TradeRequest, *, account_id: str | None = None, key: str | None = None) -> Call[TradeAccepted]:
    """Hand in an order intent."""
    return _command("POST", "/api/trades", TradeAccepted, body, key, account_id=account_id)


def open_basket(body: BasketRequest, *, account_id: str | None = None, key: str | None = None) -> Call[BasketAccepted]:
    """Hand in several order intents that pass risk together or not at all."""
    return _command("POST", "/api/baskets", BasketAccepted, body, key, account_id=account_id)


def change_trade(
    trade_id: str, body: TradeChangeRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[TradeChangedAnswer]:
    """Move a trade's levels, or change its entry as long as that rests."""
    return _command("PUT", f"/api/trades/{trade_id}", TradeChangedAnswer, body, key, account_id=account_id)


def cancel_trade(trade_id: str, *, account_id: str | None = None, key: str | None = None) -> Call[TradeCanceling]:
    """Take back what of a trade's entry has not filled."""
    return _command("POST", f"/api/trades/{trade_id}/cancel", TradeCanceling, None, key, account_id=account_id)


def close_trade(
    trade_id: str, body: TradeCloseRequest | None = None, *, account_id: str | None = None, key: str | None = None
) -> Call[TradeClosing]:
    """Close a trade, or a part of it."""
    return _command("POST", f"/api/trades/{trade_id}/close", TradeClosing, body, key, account_id=account_id)


def close_position(
    position_id: str, body: PositionCloseRequest | None = None, *, account_id: str | None = None, key: str | None = None
) -> Call[ClosingAccepted]:
    """Close every open trade in an instrument and product, or those of one strategy."""
    return _command("POST", f"/api/positions/close/{position_id}", ClosingAccepted, body, key, account_id=account_id)


def close_all(
    body: CloseAllRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[ClosingAllAccepted]:
    """Close every open trade of the account, or of one strategy."""
    return _command("POST", "/api/positions/close-all", ClosingAllAccepted, body, key, account_id=account_id)


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


def list_orders_in_doubt(**query: Query) -> Call[DoubtsAnswer]:
    """List the orders that are unknown or presumed absent, with what is known of each and what comes next."""
    return Call(method="GET", path="/api/orders/in-doubt", answer=DoubtsAnswer, query=query)


def list_alerts(**query: Query) -> Call[AlertsAnswer]:
    """List what somebody should look at; `state` is `open` or `ended`, without it all."""
    return Call(method="GET", path="/api/alerts", answer=AlertsAnswer, query=query)


def resolve_order(
    order_id: str, body: ResolveRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[OrderResolvedAnswer]:
    """Have the last word on an order that is unknown or presumed absent."""
    return _command("POST", f"/api/orders/{order_id}/resolve", OrderResolvedAnswer, body, key, account_id=account_id)


def show_reconciliation(**query: Query) -> Call[ReconciliationAnswer]:
    """Show where the broker's books differ from ours."""
    return Call(method="GET", path="/api/reconciliation", answer=ReconciliationAnswer, query=query)


def resolve_difference(
    difference_id: str, body: ResolveDifferenceRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[DifferenceResolvedAnswer]:
    """Take what the broker shows as it is."""
    path = f"/api/reconciliation/{difference_id}/resolve"
    return _command("POST", path, DifferenceResolvedAnswer, body, key, account_id=account_id)


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


def set_parameters(body: RiskLimits, *, account_id: str | None = None, key: str | None = None) -> Call[LimitsAnswer]:
    """Put new limits in force, the whole set."""
    return _command("PUT", "/api/risk/parameters", LimitsAnswer, body, key, account_id=account_id)


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


def engage_kill_switch(
    body: KillSwitchRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[KillSwitchAnswer]:
    """Block entries, and with mode `flatten` close what is held."""
    return _command("POST", "/api/risk/kill-switch", KillSwitchAnswer, body, key, account_id=account_id)


def release_kill_switch(*, key: str | None = None, **query: Query) -> Call[KillSwitchAnswer]:
    """Allow entries again, of a `scope` and `strategy_id`."""
    return Call(
        method="DELETE", path="/api/risk/kill-switch", answer=KillSwitchAnswer, query=query, key=key or new_key()
    )


def release_breach(
    kind: BreachKind, body: BreachReleaseRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[BreachReleased]:
    """Allow entries again although a limit on losses was reached today."""
    return _command(
        "POST", f"/api/risk/breaches/{kind.value}/release", BreachReleased, body, key, account_id=account_id
    )


def release_invariant(
    invariant: Invariant, body: InvariantReleaseRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[InvariantReleasedAnswer]:
    """Allow entries again although something that always holds did not."""
    path = f"/api/risk/invariants/{invariant.value}/release"
    return _command("POST", path, InvariantReleasedAnswer, body, key, account_id=account_id)


def move_cash(
    body: CashMovementRequest, *, account_id: str | None = None, key: str | None = None
) -> Call[CashMovedAnswer]:
    """Record that money came in, or went out."""
    return _command("POST", "/api/funds/movements", CashMovedAnswer, body, key, account_id=account_id)


# --- Money and the market ---------------------------------------------------------------------------------------------


def show_funds(**query: Query) -> Call[FundsAnswer]:
    """Show the money of an account: what there is, what is bound, what is free."""
    return Call(method="GET", path="/api/funds", answer=FundsAnswer, query=query)


def list_holdings(**query: Query) -> Call[HoldingsAnswer]:
    """List the shares that an account holds for longer than a day."""
    return Call(method="GET", path="/api/holdings", answer=HoldingsAnswer, query=query)


def estimate_charges(body: ChargesRequest) -> Call[ChargesAnswer]:
    """Tell what an order, or a round trip, would be charged."""
    return Call(method="POST", path="/api/charges/estimate", answer=ChargesAnswer, body=body, is_harmless=True)


def list_contract_notes(**query: Query) -> Call[ContractNotesAnswer]:
    """List the days of which the broker told its charges, ordered and paged as trades are."""
    return Call(method="GET", path="/api/contract-notes", answer=ContractNotesAnswer, query=query)


def show_contract_note(day: str, **query: Query) -> Call[ContractNoteAnswer]:
    """Show what the broker charged on a day, beside what was booked, and why it differs."""
    return Call(method="GET", path=f"/api/contract-notes/{day}", answer=ContractNoteAnswer, query=query)


def search_instruments(q: str, **query: Query) -> Call[InstrumentsAnswer]:
    """Find instruments by words of symbol, name or ISIN, of a `segment` and `kind`; `limit` at most."""
    path = "/api/instruments"
    return Call(method="GET", path=path, answer=InstrumentsAnswer, query={"q": q, **query}, is_of_log=False)


def instrument_definitions(segment: Segment, security_id: str) -> Call[DefinitionsAnswer]:
    """Tell what an instrument was and is defined as, oldest first."""
    path = f"/api/instruments/{segment.value}/{security_id}"
    return Call(method="GET", path=path, answer=DefinitionsAnswer, is_of_log=False)


def show_sessions(**query: Query) -> Call[SessionsAnswer]:
    """Show when a `segment`, or each, trades from `first_day` to `last_day`; `limit` days at most."""
    return Call(method="GET", path="/api/sessions", answer=SessionsAnswer, query=query, is_of_log=False)


# --- Strategies -------------------------------------------------------------------------------------------------------


def list_strategies(**query: Query) -> Call[StrategiesAnswer]:
    """List one's strategies by `status`; paged as trades are."""
    return Call(method="GET", path="/api/strategies", answer=StrategiesAnswer, query=query)


def draft_strategy(body: StrategyRequest, *, key: str | None = None) -> Call[StrategyKept]:
    """Keep a new strategy."""
    return _command("POST", "/api/strategies", StrategyKept, body, key)


def show_strategy(strategy_id: str, **query: Query) -> Call[StrategyAnswer]:
    """Show a strategy with its code, or with that of a `source_hash` that it had."""
    return Call(method="GET", path=f"/api/strategies/{strategy_id}", answer=StrategyAnswer, query=query)


def change_strategy(strategy_id: str, body: StrategyChangeRequest, *, key: str | None = None) -> Call[StrategyKept]:
    """Put a strategy in place of that of `expected_version`."""
    return _command("PUT", f"/api/strategies/{strategy_id}", StrategyKept, body, key)


def archive_strategy(
    strategy_id: str, *, expected_version: int | None = None, key: str | None = None
) -> Call[StrategyKept]:
    """Put a strategy away for good."""
    return Call(
        method="DELETE",
        path=f"/api/strategies/{strategy_id}",
        answer=StrategyKept,
        query={"expected_version": expected_version},
        key=key or new_key(),
    )


def list_backtests(**query: Query) -> Call[BacktestsAnswer]:
    """List one's backtests, or those of a `strategy_id`; paged as trades are."""
    return Call(method="GET", path="/api/backtests", answer=BacktestsAnswer, query=query)


def show_backtest(backtest_id: str) -> Call[BacktestAnswer]:
    """Show a backtest."""
    return Call(method="GET", path=f"/api/backtests/{backtest_id}", answer=BacktestAnswer)


# --- What happened, and whether the engine is there -------------------------------------------------------------------


def list_events(**query: Query) -> Call[AuditEventsAnswer]:
    """List what happened to one and in one's accounts, newest first, by `type`, `stream`, `day` and more."""
    return Call(method="GET", path="/api/audit/events", answer=AuditEventsAnswer, query=query)


def show_event(sequence: int) -> Call[AuditEventAnswer]:
    """Show one event whole, with its hashes."""
    return Call(method="GET", path=f"/api/audit/events/{sequence}", answer=AuditEventAnswer)


def healthz() -> Call[Health]:
    """Ask whether the process lives."""
    return Call(method="GET", path="/healthz", answer=Health, is_public=True, is_of_log=False)


def readyz() -> Call[Readiness]:
    """Ask whether everything that the API depends on answers; one that is not `ready` is an answer, no problem."""
    also = (HTTPStatus.SERVICE_UNAVAILABLE,)
    return Call(method="GET", path="/readyz", answer=Readiness, is_public=True, is_of_log=False, also=also)


def _command(
    method: str,
    path: str,
    answer: type[Answer],
    body: msgspec.Struct | None,
    key: str | None,
    *,
    account_id: str | None = None,
) -> Call[Answer]:
    query = {} if account_id is None else {"account_id": account_id}
    return Call(method=method, path=path, answer=answer, query=query, body=body, key=key or new_key())
