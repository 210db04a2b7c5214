"""Changes of a trade: which of them raise a risk, and the checks that those face."""

import msgspec

from domain.account.checks.intent import Aspect, Intent, denied
from domain.account.checks.table import CHECKS
from domain.account.commands import ChangeTrade, OpenTrade
from domain.account.events import AccountEvent, OrderModifyRequested, TradeChanged
from domain.account.state import Account, Trade
from domain.account.totals import with_order
from domain.instrument import Instrument
from domain.order import LIVE, MODIFICATIONS_MAX, OrderInstruction, OrderStatus, Purpose
from domain.risk import Denial, DenialCode


def denial_of_change(
    command: ChangeTrade,
    changed: TradeChanged,
    modifications: list[AccountEvent],
    account: Account,
    instrument: Instrument,
) -> Denial | None:
    """Return the first denial that a change of a trade meets: of what raises a risk, by the checks for that risk."""
    trade = account.trades[command.trade_id]
    exhausted = _exhausted(command, trade, account)
    if exhausted is not None:
        return exhausted
    modification = next((event for event in modifications if isinstance(event, OrderModifyRequested)), None)
    aspects = _level_aspects(changed, trade)
    intent = Intent(_as_it_stands(command, changed, trade), account, instrument)
    held = abs(trade.holding.net_quantity)
    if modification is not None:
        order = account.orders[modification.order_id]
        aspects |= _order_aspects(order.instruction, modification.instruction, intent)
        wanted = modification.instruction
        without = with_order(account.totals, trade, order, msgspec.structs.replace(order, status=OrderStatus.CANCELED))
        intent = Intent(
            msgspec.structs.replace(
                _as_it_stands(command, changed, trade),
                quantity=wanted.quantity,
                order_type=wanted.order_type,
                limit_price_e4=wanted.limit_price_e4,
                trigger_price_e4=wanted.trigger_price_e4,
            ),
            msgspec.structs.replace(account, totals=without),
            instrument,
        )
        intent.adding_quantity = wanted.quantity - order.cumulative_quantity
        intent.adding_paise = intent.worth_paise(intent.adding_quantity)
        intent.risk_quantity = held + intent.adding_quantity
    elif held:
        # Its entry is history: what is left to lose is told from the price now.
        intent.price_e4 = intent.mark.last_price_e4 if intent.mark is not None else intent.price_e4
        intent.risk_quantity = held + _entry_leaves(trade, account)
    for check in CHECKS:
        if check.on_change & aspects:
            denial = check.function(intent)
            if denial is not None:
                return denial
    return None


def _entry_leaves(trade: Trade, account: Account) -> int:
    return sum(o.leaves_quantity for o in account.orders_of(trade.trade_id) if o.purpose is Purpose.ENTRY)


def _exhausted(command: ChangeTrade, trade: Trade, account: Account) -> Denial | None:
    asked = {
        "quantity": command.quantity,
        "order_type": command.order_type,
        "limit_price_e4": command.limit_price_e4,
        "trigger_price_e4": command.trigger_price_e4,
    }
    for order in account.orders_of(trade.trade_id):
        if order.purpose is not Purpose.ENTRY or order.status not in LIVE or order.modifications < MODIFICATIONS_MAX:
            continue
        if all(value is msgspec.UNSET or value == getattr(order.instruction, name) for name, value in asked.items()):
            continue
        return denied(
            DenialCode.MODIFICATIONS_EXHAUSTED,
            MODIFICATIONS_MAX,
            order.modifications + 1,
            "the same as a new trade, once this one is canceled",
        )
    return None


def _level_aspects(changed: TradeChanged, trade: Trade) -> set[Aspect]:
    aspects = set()
    before, after = trade.stop_loss_e4, changed.stop_loss_e4
    if before is not None and (after is None or (before - after) * trade.entry.side.sign > 0):
        aspects.add(Aspect.STOP)
    step = changed.trailing
    if step is not None and (trade.trailing is None or step.step_e4 < trade.trailing.step_e4):
        aspects.add(Aspect.TRAILING)
    return aspects


def _order_aspects(told: OrderInstruction, wanted: OrderInstruction, intent: Intent) -> set[Aspect]:
    """Return how *wanted* raises the risk of an entry that the venue has as *told*."""
    aspects = set()
    last = intent.mark.last_price_e4 if intent.mark is not None else 0
    before, after = (last if o.limit_price_e4 is None else o.limit_price_e4 for o in (told, wanted))
    if wanted.quantity > told.quantity or wanted.quantity * after > told.quantity * before:
        aspects.add(Aspect.SIZE)
    if (
        wanted.order_type is not told.order_type
        or wanted.trigger_price_e4 != told.trigger_price_e4
        or (after - before) * intent.sign > 0
    ):
        aspects.add(Aspect.PRICE)
    return aspects


def _as_it_stands(command: ChangeTrade, changed: TradeChanged, trade: Trade) -> OpenTrade:
    """Return the intent that the trade would be if it were asked for now, with its levels as changed."""
    entry = trade.entry
    return OpenTrade(
        trade_id=trade.trade_id,
        user_id=command.user_id,
        side=entry.side,
        quantity=entry.quantity,
        order_type=entry.order_type,
        limit_price_e4=entry.limit_price_e4,
        product=entry.product,
        time_in_force=entry.time_in_force,
        stop_loss_e4=changed.stop_loss_e4,
        target_e4=changed.target_e4,
        entry_life_ns=0,
        market=command.market,
        trigger_price_e4=entry.trigger_price_e4,
        disclosed_quantity=entry.disclosed_quantity,
        after_market=entry.after_market,
        strategy_id=trade.strategy_id,
        trailing=changed.trailing,
    )
