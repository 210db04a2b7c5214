"""What an order, or a whole round trip, would be charged: by the same lines and rules as fills are."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from commands.ports import Instruments, Tariffs
from domain.charges import (
    Charges,
    Tariff,
    as_on_contract_note,
    charges_of_debit,
    charges_of_order,
    sum_of,
)
from domain.instrument import Instrument
from domain.market import EXCHANGE_ZONE, NS_PER_S
from domain.money import value_paise
from domain.order import DELIVERY, Product, Side
from domain.refusals import InvalidInput
from domain.risk import PRODUCT_RULES


class EstimateInvalid(InvalidInput):
    """No such order can be. The caller sees 422; nothing is stored."""

    code = "ESTIMATE_INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An order on an exchange's `day` (ISO), and the one that closes it: at `exit_price_e4` on `exit_day`.

    Prices in 1/10,000 rupee. Without an exit price there is one order; without an exit day it exits on the same day.
    """

    symbol: str
    product: Product
    side: Side
    quantity: int
    price_e4: int
    day: str
    exit_price_e4: int | None = None
    exit_day: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEstimate:
    """One order with the lines it is charged by. Amounts in paise, the price in 1/10,000 rupee."""

    side: Side
    day: str
    price_e4: int
    value_paise: int
    tariff: Tariff
    charges: Charges


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a plan comes to: `orders` in their order. `gross_paise` is the result before charges, None of one order."""

    instrument: Instrument
    plan: Plan
    orders: tuple[OrderEstimate, ...]
    gross_paise: int | None

    @property
    def charges(self) -> Charges:
        """What all orders are charged."""
        return sum_of(order.charges for order in self.orders)

    @property
    def net_paise(self) -> int | None:
        """The result after charges, None of one order."""
        return None if self.gross_paise is None else self.gross_paise - self.charges.total_paise

    @property
    def on_contract_notes_paise(self) -> int:
        """What the charges become on paper, were these all orders of their days: taxes in whole rupees."""
        days = dict.fromkeys(order.day for order in self.orders)
        of_days = (sum_of(order.charges for order in self.orders if order.day == day) for day in days)
        return sum(as_on_contract_note(charges).total_paise for charges in of_days)


class Estimates:
    """Estimates plans by the instrument master and the tariff."""

    def __init__(self, *, instruments: Instruments, tariffs: Tariffs) -> None:
        self._instruments = instruments
        self._tariffs = tariffs

    def of(self, plan: Plan) -> Estimate:
        """Return what *plan* comes to.

        Raises:
            domain.instrument.InstrumentUnknown: no instrument has this symbol on that day.
            EstimateInvalid: no such order can be, or not in this order.
        """
        instrument = self._instruments.by_symbol(plan.symbol, market_time_ns=_noon_ns(plan.day))
        _demand_possible(plan, instrument)
        orders = tuple(self._orders(plan, instrument))
        gross = None
        if plan.exit_price_e4 is not None:
            gross = -sum(order.side.sign * order.value_paise for order in orders)
        return Estimate(instrument=instrument, plan=plan, orders=orders, gross_paise=gross)

    def _orders(self, plan: Plan, instrument: Instrument) -> Iterator[OrderEstimate]:
        yield self._order(plan, instrument, plan.side, plan.price_e4, plan.day, bought_on=None)
        if plan.exit_price_e4 is not None:
            bought_on = plan.day if plan.side is Side.BUY else None
            exit_day = plan.day if plan.exit_day is None else plan.exit_day
            yield self._order(plan, instrument, plan.side.opposite, plan.exit_price_e4, exit_day, bought_on=bought_on)

    def _order(
        self, plan: Plan, instrument: Instrument, side: Side, price_e4: int, day: str, *, bought_on: str | None
    ) -> OrderEstimate:
        tariff = self._tariffs.tariff_of(instrument, plan.product, side, day=day)
        value = value_paise(price_e4=price_e4, quantity=plan.quantity, multiplier=instrument.multiplier)
        charges = charges_of_order(tariff, value_paise=value)
        if side is Side.SELL and plan.product in DELIVERY and bought_on != day:
            charges += charges_of_debit(tariff)
        return OrderEstimate(side=side, day=day, price_e4=price_e4, value_paise=value, tariff=tariff, charges=charges)


def _demand_possible(plan: Plan, instrument: Instrument) -> None:
    rule = PRODUCT_RULES[plan.product]
    if not instrument.tradable or instrument.key.segment not in rule.segments:
        raise EstimateInvalid(f"received {plan.product.value} in {instrument.symbol}, which cannot be traded so")
    if plan.exit_price_e4 is None:
        if plan.exit_day is not None:
            raise EstimateInvalid(f"received an exit on {plan.exit_day}, expected the price of the exit with it")
        return
    if plan.side is Side.SELL and not rule.may_be_short:
        raise EstimateInvalid(f"received a round trip in {plan.product.value} that begins with a sale")
    exit_day = plan.day if plan.exit_day is None else plan.exit_day
    _noon_ns(exit_day)
    if exit_day < plan.day or (plan.product is Product.INTRADAY and exit_day != plan.day):
        raise EstimateInvalid(f"received an exit on {exit_day} from {plan.product.value} of {plan.day}")


def _noon_ns(day: str) -> int:
    """Return a time on the exchange's *day*; raises EstimateInvalid where it is none."""
    try:
        found = date.fromisoformat(day)
    except ValueError:
        raise EstimateInvalid(f"received day {day[:20]!r}, expected one like 2026-11-20") from None
    if found.isoformat() != day:
        raise EstimateInvalid(f"received day {day[:20]!r}, expected one like 2026-11-20")
    return int(datetime(found.year, found.month, found.day, 12, tzinfo=EXCHANGE_ZONE).timestamp()) * NS_PER_S
