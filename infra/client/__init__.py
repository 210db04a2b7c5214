"""A typed client of the API: calls are values, and whoever sends one gets the answer's type or a typed problem.

    with Khata("http://127.0.0.1:8000") as khata:
        khata.log_in("asha@example.in", password)
        placed = khata.send(open_trade(TradeRequest(symbol="RELIANCE", side=Side.BUY, quantity=10)))
        print(khata.send(show_portfolio()).positions)

`calls` has one function for each operation, `connection` what sends them (`Khata`, and `AsyncKhata` for programs on a
loop), `problems` what they raise. It stands here because it needs both the API's own types and an HTTP library, which
`api` and `adapters` never have together.
"""

from infra.client.calls import (
    Call,
    cancel_trade,
    change_trade,
    close_all,
    close_position,
    close_trade,
    engage_kill_switch,
    list_orders,
    list_orders_of_trade,
    list_positions,
    list_trades,
    login,
    move_cash,
    open_basket,
    open_trade,
    register,
    release_breach,
    release_kill_switch,
    set_parameters,
    show_budgets,
    show_drawdown,
    show_exposure,
    show_parameters,
    show_portfolio,
    show_profile,
    show_trade,
    show_value_at_risk,
)
from infra.client.connection import AsyncKhata, Khata
from infra.client.problems import (
    Denied,
    NotNow,
    NotPossible,
    NotThere,
    ProblemAnswered,
    Unauthorised,
    Unreachable,
    ValueRefused,
)

__all__ = [
    "AsyncKhata",
    "Call",
    "Denied",
    "Khata",
    "NotNow",
    "NotPossible",
    "NotThere",
    "ProblemAnswered",
    "Unauthorised",
    "Unreachable",
    "ValueRefused",
    "cancel_trade",
    "change_trade",
    "close_all",
    "close_position",
    "close_trade",
    "engage_kill_switch",
    "list_orders",
    "list_orders_of_trade",
    "list_positions",
    "list_trades",
    "login",
    "move_cash",
    "open_basket",
    "open_trade",
    "register",
    "release_breach",
    "release_kill_switch",
    "set_parameters",
    "show_budgets",
    "show_drawdown",
    "show_exposure",
    "show_parameters",
    "show_portfolio",
    "show_profile",
    "show_trade",
    "show_value_at_risk",
]
