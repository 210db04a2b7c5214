"""What an order or a round trip would be charged."""

from decimal import Decimal
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from api.answers import answer
from api.bodies import read_body
from api.callers import Authenticated
from api.fields import Amount, Price, SignedAmount, amount_text, optional_amount_text, price_e4, required_price_e4
from api.openapi import answers, request_body
from api.requests import QUANTITY_MAX
from api.services import services_of
from api.views import ChargesView
from commands.estimates import Estimate, OrderEstimate, Plan
from domain.charges import RATE_E9, Charges, TariffLine
from domain.market import trading_day
from domain.money import format_e4
from domain.order import Product, Side

router = APIRouter(prefix="/api/charges", tags=["charges"])

_PERCENT = 100
Day = Annotated[str, Meta(max_length=10, description="The exchange's day, ISO", examples=["2026-11-20"])]


class ChargesRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order, or with `exit_price` a round trip.

    `day` is today where it is left out, and `exit_day` the same day.
    """

    symbol: Annotated[str, Meta(min_length=1, max_length=64, examples=["RELIANCE"])]
    side: Side
    quantity: Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="Units", examples=[10])]
    price: Price
    product: Product = Product.INTRADAY
    day: Day | None = None
    exit_price: Price | None = None
    exit_day: Day | None = None

    def to_plan(self, *, today: str) -> Plan:
        """Return what the engine computes with. Raises api.errors.FieldInvalid: a price is no decimal text."""
        return Plan(
            symbol=self.symbol,
            product=self.product,
            side=self.side,
            quantity=self.quantity,
            price_e4=required_price_e4(self.price, field="price"),
            day=today if self.day is None else self.day,
            exit_price_e4=price_e4(self.exit_price, field="exit_price"),
            exit_day=self.exit_day,
        )


class ChargeLineView(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `amount` by `rate_percent` of the value, or `flat`, or the lesser where there are both.

    It is in force since `valid_from` (null: for all days before the next one). What is not `verified` is a best guess;
    `source` says why.
    """

    charge: str
    amount: Amount
    rate_percent: str | None
    flat: Amount | None
    taxed: bool
    valid_from: str | None
    verified: bool
    source: str

    @classmethod
    def of(cls, line: TariffLine, charges: Charges) -> "ChargeLineView":
        """Return what is shown of *line* in *charges*."""
        return cls(
            charge=line.charge.value,
            amount=amount_text(charges.of(line.charge)),
            rate_percent=None if line.rate_e9 is None else _percent_text(line.rate_e9),
            flat=optional_amount_text(line.flat_paise),
            taxed=line.bears_gst,
            valid_from=line.valid_from or None,
            verified=line.is_verified,
            source=line.source,
        )


def _percent_text(rate_e9: int) -> str:
    return f"{(Decimal(rate_e9) * _PERCENT / RATE_E9).normalize():f}"


class OrderChargesView(msgspec.Struct, frozen=True, kw_only=True):
    """One order with the lines of the tariff that hold for it; `taxed` ones bear the goods and services tax."""

    side: str
    day: str
    price: Price
    value: Amount
    lines: list[ChargeLineView]
    total: Amount

    @classmethod
    def of(cls, order: OrderEstimate) -> "OrderChargesView":
        """Return what is shown of *order*."""
        return cls(
            side=order.side.value,
            day=order.day,
            price=format_e4(order.price_e4),
            value=amount_text(order.value_paise),
            lines=[ChargeLineView.of(line, order.charges) for line in order.tariff.lines],
            total=amount_text(order.charges.total_paise),
        )


class ChargesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the orders are charged, line by line and together, each order to the paisa.

    Results are null for one order. `on_contract_notes` is what the charges become on paper if these are all orders of
    their days: the taxes on turnover in whole rupees. docs/charges.md has the rules and the sources.
    """

    symbol: str
    product: str
    quantity: int
    orders: list[OrderChargesView]
    charges: ChargesView
    on_contract_notes: Amount
    gross_result: SignedAmount | None
    net_result: SignedAmount | None

    @classmethod
    def of(cls, estimate: Estimate) -> "ChargesAnswer":
        """Return what is shown of *estimate*."""
        return cls(
            symbol=estimate.instrument.symbol,
            product=estimate.plan.product.value,
            quantity=estimate.plan.quantity,
            orders=[OrderChargesView.of(order) for order in estimate.orders],
            charges=ChargesView.of(estimate.charges),
            on_contract_notes=amount_text(estimate.on_contract_notes_paise),
            gross_result=optional_amount_text(estimate.gross_paise),
            net_result=optional_amount_text(estimate.net_paise),
        )


@router.post(
    "/estimate",
    openapi_extra=request_body(ChargesRequest),
    responses=answers(ChargesAnswer, "The charges, with their rates and sources", 400, 401, 422, 503),
)
async def estimate_charges(request: Request, _: Authenticated) -> Response:
    """Tell what an order, or a round trip, would be charged. Nothing is stored."""
    body = await read_body(request, ChargesRequest)
    services = services_of(request)
    today = trading_day(services.marks.market_time_ns()).isoformat()
    return answer(ChargesAnswer.of(services.estimates.of(body.to_plan(today=today))))
