"""The budgets of all accounts, one for each kind of limit that the venue has, and what is left of each.

The venue counts by account and by class of call. Two limits are finer: an option chain may be asked for once in three
seconds for each underlying and expiry, and an order may be changed 25 times. Source: Dhan, introduction, rate limits.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from adapters.dhan.guard.budget import Budget, Limit, Slot
from adapters.dhan.settings import DhanSettings
from domain.ids import AccountId, VenueOrderId

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
_RESERVE_PARTS = 10
"""Of the longer windows so large a part is kept for exits and cancels: a tenth."""
_CHAIN_SPAN_S = 3
_SHOWN_PARTS = 2
"""Orders are shown once half of their changes are used."""
_FORGET_FROM = 1_000
_SHOWN_MAX = 100
"""So many budgets are shown, the fullest: an engine may have thousands of accounts, and an answer has to stay small."""
_ORDERS_KEPT_MAX = 10_000


class RateClass(StrEnum):
    """What the venue counts apart."""

    ORDERS = "orders"
    READS = "reads"
    DATA = "data"
    QUOTES = "quotes"
    OPTION_CHAIN = "option_chain"


class Budgets:
    """Budgets by account, class and, where the venue counts finer, key. They come to be as they are used."""

    def __init__(self, settings: DhanSettings, *, monotonic_ns: Callable[[], int]) -> None:
        self._settings = settings
        self._monotonic_ns = monotonic_ns
        self._limits = limits_by_class(settings)
        self._budgets: dict[tuple[AccountId, RateClass, str], Budget] = {}
        self._forget_at = _FORGET_FROM
        self._changes: OrderedDict[tuple[AccountId, VenueOrderId], int] = OrderedDict()

    def of(self, account_id: AccountId, rate: RateClass, key: str = "") -> Budget:
        """Return the budget that a call of this class counts in."""
        name = (account_id, rate, key)
        if name not in self._budgets:
            if len(self._budgets) >= self._forget_at:
                self._forget_idle()
            self._budgets[name] = Budget(self._limits[rate], monotonic_ns=self._monotonic_ns)
        return self._budgets[name]

    async def take(self, account_id: AccountId, rate: RateClass, key: str = "", *, urgent: bool) -> Slot | None:
        """Return a place for one request, None where there is none soon. Orders wait less long than questions."""
        is_market_data = rate in {RateClass.DATA, RateClass.QUOTES, RateClass.OPTION_CHAIN}
        within_s = self._settings.data_wait_s if is_market_data else self._settings.budget_wait_s
        return await self.of(account_id, rate, key).take(within_s=within_s, urgent=urgent)

    # --- Changes of an order ---

    def changes_left(self, account_id: AccountId, venue_order_id: VenueOrderId) -> int:
        """Return how often an order may still be changed, as far as we have asked for it."""
        return max(0, self._settings.modifications_per_order - self._changes.get((account_id, venue_order_id), 0))

    def count_change(self, account_id: AccountId, venue_order_id: VenueOrderId) -> None:
        """Count a change that was sent."""
        name = (account_id, venue_order_id)
        self._changes[name] = self._changes.pop(name, 0) + 1
        while len(self._changes) > _ORDERS_KEPT_MAX:
            self._changes.popitem(last=False)  # The one that was changed longest ago: most likely of another day.

    # --- Looking ---

    def status(self) -> dict[str, Any]:
        """Return what accounts used of their budgets, the fullest of them, for people and probes."""
        shown: dict[str, Any] = {}
        fullest = sorted(self._budgets.items(), key=lambda item: item[1].fullness, reverse=True)
        for (account_id, rate, key), budget in fullest[:_SHOWN_MAX]:
            gauges = shown.setdefault(account_id, {})
            if key:
                gauges.setdefault(rate.value, {})[key] = budget.status()
            else:
                gauges[rate.value] = budget.status()
        most = [
            item for item in self._changes.items() if item[1] * _SHOWN_PARTS >= self._settings.modifications_per_order
        ]
        for (account_id, venue_order_id), changes in most[-_SHOWN_MAX:]:
            told = {"used": changes, "limit": self._settings.modifications_per_order}
            shown.setdefault(account_id, {}).setdefault("modifications", {})[venue_order_id] = told
        return shown

    def _forget_idle(self) -> None:
        self._budgets = {name: budget for name, budget in self._budgets.items() if not budget.is_idle}
        self._forget_at = max(_FORGET_FROM, 2 * len(self._budgets))


def limits_by_class(settings: DhanSettings) -> dict[RateClass, tuple[Limit, ...]]:
    """Return the windows of each class."""
    return {
        RateClass.ORDERS: (
            _order_limit(settings.burst_limit, 1, settings),
            _order_limit(settings.requests_per_minute, _MINUTE_S, settings),
            _order_limit(settings.requests_per_hour, _HOUR_S, settings),
            _order_limit(settings.requests_per_day, _DAY_S, settings),
        ),
        RateClass.READS: (Limit(count=settings.reads_per_second, span_s=1),),
        RateClass.DATA: (
            Limit(count=settings.data_per_second, span_s=1),
            Limit(count=settings.data_per_day, span_s=_DAY_S),
        ),
        RateClass.QUOTES: (Limit(count=settings.quotes_per_second, span_s=1),),
        RateClass.OPTION_CHAIN: (Limit(count=1, span_s=_CHAIN_SPAN_S),),
    }


def _order_limit(count: int, span_s: int, settings: DhanSettings) -> Limit:
    part = 0 if span_s == 1 else count // _RESERVE_PARTS
    return Limit(count=count, span_s=span_s, reserve=max(settings.order_reserve, part))
