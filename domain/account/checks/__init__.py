"""The checks that stand between an intent and the market.

Entries face all of them. Exits face only what could make them wrong, and cancels nothing but the broker's budget: no
limit may keep a trader in. A change faces what its kind of risk asks for: nothing that lowers a risk is checked. Each
check returns None or the denial that names the limit in force, the value that met it and what would have passed. The
first denial wins. `table.py` has all of them in their order.

No check adds anything up over trades or orders: the account keeps the sums (`totals.py`), and the valuation comes with
the command.
"""

from domain.account.checks.changes import denial_of_change
from domain.account.checks.table import denial_of

__all__ = ["denial_of", "denial_of_change"]
