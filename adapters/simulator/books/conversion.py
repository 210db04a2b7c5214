"""A position that goes from one product to another, at its average price."""

from adapters.simulator.books.account import Account, Holding
from adapters.simulator.books.standing_records import PositionConverted


def convert(account: Account, converted: PositionConverted) -> None:
    """Move a quantity between the two holdings; what both together bought and sold stays as it was."""
    key = converted.instrument.key
    source = account.holdings[key, converted.from_product]
    target = account.holdings.setdefault(
        (key, converted.to_product), Holding(converted.instrument, converted.to_product)
    )
    quantity = abs(converted.quantity)
    if converted.quantity > 0:
        value_e4 = source.bought_value_e4 * quantity // source.bought_quantity
        source.bought_quantity -= quantity
        source.bought_value_e4 -= value_e4
        target.bought_quantity += quantity
        target.bought_value_e4 += value_e4
    else:
        value_e4 = source.sold_value_e4 * quantity // source.sold_quantity
        source.sold_quantity -= quantity
        source.sold_value_e4 -= value_e4
        target.sold_quantity += quantity
        target.sold_value_e4 += value_e4
    _keep_carried_within(source)


def _keep_carried_within(holding: Holding) -> None:
    """What was bought today goes first; what was carried from earlier days is no more than what is left."""
    is_long = holding.carried_quantity > 0
    left = holding.bought_quantity if is_long else holding.sold_quantity
    kept = min(abs(holding.carried_quantity), left)
    if kept < abs(holding.carried_quantity):
        holding.carried_value_e4 = holding.carried_value_e4 * kept // abs(holding.carried_quantity)
        holding.carried_quantity = kept if is_long else -kept
