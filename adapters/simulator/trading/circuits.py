"""The exchange's price band of the day, which the broker's risk desk holds an order's limit against."""

from adapters.simulator.books.account import BookedOrder
from domain.money import format_e4


def circuit_refusal(order: BookedOrder) -> str | None:
    """Return why an order's limit is outside the band of its day, None where it is within, or no band is known.

    A MARKET order has no limit of its own before it reaches the exchange.
    """
    lower_e4, upper_e4 = order.instrument.lower_circuit_e4, order.instrument.upper_circuit_e4
    limit_e4 = order.limit_price_e4
    if lower_e4 is None or upper_e4 is None or limit_e4 == 0 or lower_e4 <= limit_e4 <= upper_e4:
        return None
    return outside_circuits(lower_e4, upper_e4)


def outside_circuits(lower_e4: int, upper_e4: int) -> str:
    """Return what is said of a price outside of this band."""
    return f"Order Price needs to be Circuit Limits of {format_e4(lower_e4)} to {format_e4(upper_e4)}"
