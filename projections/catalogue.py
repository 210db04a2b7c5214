"""Every read model of this release."""

from projections.alerts import ALERTS
from projections.audit_trail import AUDIT_TRAIL
from projections.backtests import BACKTESTS
from projections.cash_moves import CASH_MOVES
from projections.contract_notes import CONTRACT_NOTES
from projections.daily_results import DAILY_RESULTS
from projections.limit_changes import LIMIT_CHANGES
from projections.memberships import MEMBERSHIPS
from projections.order_doubts import ORDER_DOUBTS
from projections.orders import ORDERS
from projections.positions import POSITIONS
from projections.read_model import AnyReadModel
from projections.risk import RISK
from projections.strategies import STRATEGIES
from projections.trades import TRADES
from projections.users import USERS

READ_MODELS: tuple[AnyReadModel, ...] = (
    USERS,
    MEMBERSHIPS,
    TRADES,
    ORDERS,
    POSITIONS,
    RISK,
    DAILY_RESULTS,
    CASH_MOVES,
    CONTRACT_NOTES,
    LIMIT_CHANGES,
    ALERTS,
    ORDER_DOUBTS,
    STRATEGIES,
    BACKTESTS,
    AUDIT_TRAIL,
)
