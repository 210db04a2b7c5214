"""What a fill is charged: what it adds to the charges of its order, and the day's debit of the demat account.

The tariff comes with the command and what was booked stands in the event, so a tariff that is corrected later changes
nothing that was. An order that was charged in part by another tariff is charged for its whole by the present one.
"""

from domain.account.state import Account
from domain.charges import NO_CHARGES, Accrual, Charges, Tariff, charges_of_debit, charges_of_fill
from domain.ids import VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey
from domain.order import DELIVERY, Product, Side


def charges_of(
    tariff: Tariff | None,
    today: Account,
    accrual: Accrual,
    *,
    position: tuple[InstrumentKey, Product],
    side: Side,
    quantity: int,
    value_paise: int,
) -> Charges:
    """Return what a fill of *quantity* units worth *value_paise* is charged; nothing without a tariff.

    *today* is the account on the day of the fill and before it, *accrual* what the fill's order came to so far.
    """
    if tariff is None:
        return NO_CHARGES
    charges = charges_of_fill(tariff, accrual, value_paise=value_paise)
    if side is Side.SELL and _debits(today, position, quantity):
        return charges + charges_of_debit(tariff)
    return charges


def _debits(today: Account, position: tuple[InstrumentKey, Product], quantity: int) -> bool:
    """Tell whether a sale takes the first shares of the day out of the demat account.

    It does as soon as more was sold for delivery than bought on the day: what was bought on it is not there yet.
    """
    instrument, product = position
    if product not in DELIVERY or instrument in today.debited:
        return False
    change = sum(
        trade.holding.net_quantity - trade.carried_quantity
        for trade in today.trades.values()
        if trade.position == position
    )
    return change < quantity


def foreign_order(venue_fill_id: VenueFillId, venue_order_id: VenueOrderId | None) -> str:
    """Return what tells the order of a foreign fill from others of its day: the fill itself, where it names none."""
    return venue_fill_id if venue_order_id is None else venue_order_id
