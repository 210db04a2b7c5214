"""The HTTP application: routes, and what is around them."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from api import (
    accounts,
    alerts,
    audit_events,
    auth,
    backtests,
    baskets,
    budgets,
    cash,
    changing,
    charges,
    closing,
    contract_notes,
    doubts,
    drawdown,
    errors,
    exposure,
    funds,
    health,
    instruments,
    invariants,
    limits,
    openapi,
    opening,
    orders,
    positions,
    profile,
    reconciling,
    reference,
    requests,
    resolving,
    risk,
    sessions,
    strategies,
    switch_requests,
    switches,
    trade_requests,
    trades,
    value_at_risk,
    views,
)
from api.epochs import HEADER as EPOCH_HEADER
from api.epochs import epoch_token
from api.guard import REQUEST_ID_HEADER, Guard
from api.halves import Half, OneHalf
from api.idempotency import HEADER, REPLAY_HEADER
from api.rate_limit import AddressLimited, RateLimits
from api.services import Services
from api.shortcut import Shortcut
from api.tags import ASKED_HEADER
from api.tags import HEADER as TAG_HEADER

DESCRIPTION = """\
An event-sourced trading engine. Money is decimal text in rupees, times are ISO 8601 with offset, errors are
`application/problem+json` with a stable `code`. An answer to a command carries the `sequence` of its last event; hand
it to a query as `min_sequence` to read what you wrote. Send the answer's header `Khata-Epoch` along, and you are told
(409 `EPOCH_CHANGED`) should the log have been put back to an older state meanwhile. Queries of the portfolio take
`as_of` (a time with its offset) or `at_sequence`, and then answer what was shown at that moment. What can move money
takes an `Idempotency-Key`: the same request under the same key is carried out once.
"""

STRATEGY_BYTES_MAX = 256 * 1024
"""What a request with a strategy's code may weigh: twice the code, because JSON writes the end of a line as two."""

ROUTERS = (
    auth.router,
    profile.router,
    accounts.router,
    trades.router,
    orders.router,
    doubts.router,
    resolving.router,
    alerts.router,
    reconciling.router,
    baskets.router,
    changing.router,
    closing.router,
    positions.router,
    risk.router,
    exposure.router,
    budgets.router,
    drawdown.router,
    value_at_risk.router,
    limits.router,
    switches.router,
    invariants.router,
    cash.router,
    charges.router,
    contract_notes.router,
    instruments.router,
    sessions.router,
    funds.router,
    strategies.router,
    backtests.router,
    audit_events.router,
    health.router,
    reference.router,
)
SHOWN = (
    requests.RegisterRequest,
    requests.LoginRequest,
    requests.RefreshRequest,
    requests.ProfileRequest,
    requests.AccountRequest,
    requests.MemberRequest,
    requests.StrategyRequest,
    requests.StrategyChangeRequest,
    requests.TradeRequest,
    requests.RiskLimits,
    trade_requests.BasketRequest,
    trade_requests.TradeChangeRequest,
    trade_requests.TradeCloseRequest,
    trade_requests.PositionCloseRequest,
    trade_requests.CloseAllRequest,
    switch_requests.KillSwitchRequest,
    switch_requests.BreachReleaseRequest,
    switch_requests.InvariantReleaseRequest,
    switch_requests.CashMovementRequest,
    resolving.ResolveRequest,
    reconciling.ResolveDifferenceRequest,
    charges.ChargesRequest,
    auth.RegisteredAnswer,
    auth.LoginAnswer,
    auth.LoggedOutAnswer,
    profile.ProfileAnswer,
    profile.ProfileChangedAnswer,
    accounts.AccountsAnswer,
    accounts.AccountAnswer,
    accounts.AccountMadeAnswer,
    accounts.MemberAnswer,
    opening.TradeAccepted,
    baskets.BasketAccepted,
    changing.TradeChangedAnswer,
    changing.TradeCanceling,
    closing.TradeClosing,
    closing.ClosingAccepted,
    closing.ClosingAllAccepted,
    trades.TradesAnswer,
    trades.TradeAnswer,
    positions.PositionsAnswer,
    orders.OrdersAnswer,
    orders.TradeOrdersAnswer,
    resolving.OrderResolvedAnswer,
    doubts.DoubtsAnswer,
    alerts.AlertsAnswer,
    reconciling.ReconciliationAnswer,
    reconciling.DifferenceResolvedAnswer,
    views.PortfolioAnswer,
    exposure.ExposureAnswer,
    budgets.BudgetsAnswer,
    drawdown.DrawdownAnswer,
    value_at_risk.ValueAtRiskAnswer,
    limits.LimitHistoryAnswer,
    risk.LimitsAnswer,
    switches.KillSwitchAnswer,
    switches.BreachReleased,
    invariants.InvariantReleasedAnswer,
    cash.CashMovedAnswer,
    charges.ChargesAnswer,
    contract_notes.ContractNotesAnswer,
    contract_notes.ContractNoteAnswer,
    instruments.InstrumentsAnswer,
    instruments.DefinitionsAnswer,
    sessions.SessionsAnswer,
    funds.FundsAnswer,
    funds.HoldingsAnswer,
    strategies.StrategiesAnswer,
    strategies.StrategyAnswer,
    strategies.StrategyKept,
    backtests.BacktestsAnswer,
    backtests.BacktestAnswer,
    audit_events.AuditEventsAnswer,
    audit_events.AuditEventAnswer,
    health.Health,
    health.Readiness,
)


def create_app(services: Services, *, half: Half = Half.WHOLE, version: str = "0.1.0") -> FastAPI:
    """Return the API over *services*, or the *half* of it that this process answers.

    Either half describes the whole: to its clients it is one API, whatever stands in front of the two.
    """
    app = FastAPI(
        title="Khata",
        version=version,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # Asking for each request whether anybody traces it costs more than deciding on an intent.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        # Clients are made from these names: those of the functions, without the path.
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    app.state.auth_limits = auth.AuthLimits(services)
    app.state.rate_limits = RateLimits(services.clock, services.rates)
    for router in ROUTERS:
        app.include_router(router)
    errors.install(app)
    openapi.install(app, SHOWN)
    # The innermost: whatever else there is stands before either way.
    app.add_middleware(Shortcut, routes=[each for router in ROUTERS for each in router.routes])
    if half is not Half.WHOLE:
        app.add_middleware(OneHalf, half=half)
    app.add_middleware(AddressLimited, limits=app.state.rate_limits)
    if services.cors_origins:  # Around the limits: a page of somebody else's must be able to read a 429.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=services.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", HEADER, EPOCH_HEADER, ASKED_HEADER],
            expose_headers=[
                "Location",
                "Retry-After",
                "RateLimit",
                "RateLimit-Policy",
                "Server-Timing",
                REQUEST_ID_HEADER,
                REPLAY_HEADER,
                EPOCH_HEADER,
                TAG_HEADER,
            ],
        )
    app.add_middleware(
        Guard,
        clock=services.clock,
        ids=services.ids,
        answer_within_s=services.answer_within_s,
        roomy={"/api/strategies": STRATEGY_BYTES_MAX},
        shown=lambda: {EPOCH_HEADER: epoch_token(services.epoch())},
    )
    return app
