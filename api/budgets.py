"""What an account has left of its orders and their modifications, now."""

import msgspec
from fastapi import APIRouter, Request, Response

from api.answers import answer
from api.callers import Viewing
from api.fields import Sequence, Share, Time, optional_share_text, time_text_us
from api.freshness import Fresh
from api.openapi import answers
from api.services import services_of
from domain.account.budgets import Budget, ModificationBudget, budgets_of

router = APIRouter(prefix="/api/risk", tags=["risk"])

_NS_PER_US = 1_000


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of a limit on orders, named as among `parameters`.

    `waiting` are intended and not sent yet: an entry is denied by what is used and waits. `reserved_for_exits` of the
    limit entries leave to exits. `share` is 1 where the limit is reached, null where it is 0.
    """

    name: str
    limit: int
    used: int
    waiting: int
    reserved_for_exits: int
    left_for_entries: int
    share: Share | None

    @classmethod
    def of(cls, budget: Budget) -> "BudgetView":
        """Return what is shown of *budget*."""
        return cls(
            name=budget.name,
            limit=budget.limit,
            used=budget.used,
            waiting=budget.waiting,
            reserved_for_exits=budget.reserved,
            left_for_entries=budget.left_for_entries,
            share=_share(budget.used, budget.limit),
        )


class ModificationBudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """How many of its modifications an order has used, the one under way (`is_under_way`) among them."""

    order_id: str
    trade_id: str
    symbol: str
    purpose: str
    limit: int
    used: int
    left: int
    share: Share | None
    is_under_way: bool

    @classmethod
    def of(cls, budget: ModificationBudget) -> "ModificationBudgetView":
        """Return what is shown of *budget*."""
        order = budget.order
        return cls(
            order_id=order.order_id,
            trade_id=order.trade_id,
            symbol=budget.symbol,
            purpose=order.purpose.value,
            limit=budget.limit,
            used=budget.used,
            left=max(0, budget.limit - budget.used),
            share=_share(budget.used, budget.limit),
            is_under_way=order.wanted is not None,
        )


class BudgetsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks would count at `market_time`, by the market's clock.

    `rates` are those of the last second, minute and hour and of this day; `modifications` has every order that rests at
    the venue and is not being canceled, oldest first. The answer holds every event up to
    `sequence`, and is of now alone.
    """

    account_id: str
    market_time: Time
    rates: list[BudgetView]
    open_orders: BudgetView
    modifications: list[ModificationBudgetView]
    sequence: Sequence


@router.get("/budgets", responses=answers(BudgetsAnswer, "Budgets and their use", 401, 404, 409, 422, 503))
async def show_budgets(request: Request, caller: Viewing, _: Fresh) -> Response:
    """Show what is left of the order rates, of open orders and of each order's modifications. Of now: no `as_of`."""
    services = services_of(request)
    present = await services.accounts.present(caller.account_id)
    now_ns = services.marks.market_time_ns()
    budgets = budgets_of(present.account, market_time_ns=now_ns)
    shown = BudgetsAnswer(
        account_id=caller.account_id,
        market_time=time_text_us(now_ns // _NS_PER_US),
        rates=[BudgetView.of(each) for each in budgets.rates],
        open_orders=BudgetView.of(budgets.open_orders),
        modifications=[ModificationBudgetView.of(each) for each in budgets.modifications],
        sequence=present.sequence,
    )
    return answer(shown)


def _share(used: int, limit: int) -> str | None:
    return optional_share_text(used / limit if limit else None)
