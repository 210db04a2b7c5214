"""Orders as they stand in both books: what we booked of them, and what the broker's statement tells."""

from decimal import ROUND_HALF_UP, Decimal

from msgspec.structs import replace

from domain.charges import Charge, Charges, Tariff, charges_of_order
from domain.contract_note import ChargedOrder, Comparison, NotedCharges, NotedFill, Rates, compare
from domain.ids import VenueOrderId
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, Segment
from domain.money import value_paise
from domain.order import Product, Side
from tests.support.tariffs import TARIFFS

DAY = "2026-08-28"
ORDER = VenueOrderId("42260828000001")


class Dealt:
    """An order that executed in *fills* (quantity and price), and is told of in one row as it is booked."""

    def __init__(
        self,
        segment: str = "NSE_EQ",
        kind: str = "equity",
        product: Product = Product.INTRADAY,
        side: Side = Side.BUY,
        *,
        fills: tuple[tuple[int, int], ...] = ((100, 2_850_0500),),
        name: VenueOrderId = ORDER,
        day: str = DAY,
    ) -> None:
        key = InstrumentKey(Segment(segment), "2885")
        instrument = Instrument(
            key=key, symbol="ONE", name="One", tradable=True, tick_e4=500, lot=1, kind=InstrumentKind(kind)
        )
        self.fills = fills
        self.tariff = TARIFFS.tariff_of(instrument, product, side, day=day)
        self.rates = Rates(
            tariff=self.tariff,
            of_other_days=TARIFFS.lines_of_other_days(instrument, product, side, day=day),
            multiplier=1,
        )
        values = tuple(value_paise(price_e4=price_e4, quantity=quantity) for quantity, price_e4 in fills)
        self.booked = ChargedOrder(
            venue_order_id=name,
            instrument=key,
            product=product,
            side=side,
            quantity=sum(quantity for quantity, _ in fills),
            values_paise=values,
            charges=charges_of_order(self.tariff, value_paise=sum(values)),
        )
        self.told = NotedFill(
            venue_order_id=name,
            instrument=key,
            product=product,
            side=side,
            quantity=self.booked.quantity,
            price_e4=sum(values) * 100 // self.booked.quantity,
            charges=as_told(self.booked.charges),
        )

    def compared(self, booked: ChargedOrder | None = None, **charges_e4: int) -> Comparison:
        """Return what comes of it where the broker's charges are others."""
        told = replace(self.told, charges=replace(self.told.charges, **charges_e4))
        return compare([booked or self.booked], [told], {self.booked.venue_order_id: self.rates})

    def in_rows(self) -> list[NotedFill]:
        """Return the statement of a broker that tells of each execution, in four decimal places."""
        rows = []
        before = Decimal()
        for quantity, price_e4 in self.fills:
            worth = Decimal(quantity * price_e4) / 10_000
            charges = NotedCharges(**_told_of(self.tariff, worth, before))
            rows.append(replace(self.told, quantity=quantity, price_e4=price_e4, charges=charges))
            before += worth
        return rows


def as_told(charges: Charges) -> NotedCharges:
    """Return our charges as a broker tells them that reckons as we do."""
    return NotedCharges(
        brokerage_e4=charges.brokerage_paise * 100,
        exchange_e4=(charges.exchange_paise + charges.ipft_paise) * 100,
        sebi_e4=charges.sebi_paise * 100,
        stt_e4=(charges.stt_paise + charges.ctt_paise) * 100,
        stamp_duty_e4=charges.stamp_duty_paise * 100,
        gst_e4=charges.gst_paise * 100,
    )


def _told_of(tariff: Tariff, worth: Decimal, before: Decimal) -> dict[str, int]:
    """Return the charges of an execution worth so many rupees, of an order that was worth *before* already."""

    def part(charge: Charge, amount: Decimal) -> Decimal:
        line = tariff.line_of(charge)
        if line is None:
            return Decimal()
        share = amount * (line.rate_e9 or 0) / 10**9
        flat = Decimal(line.flat_paise or 0) / 100
        if line.rate_e9 is None:
            return flat if amount else Decimal()
        return share if line.flat_paise is None else min(share, flat)

    exchange = part(Charge.EXCHANGE, worth) + part(Charge.IPFT, worth)
    brokerage = part(Charge.BROKERAGE, before + worth) - part(Charge.BROKERAGE, before)
    sebi = tariff.line_of(Charge.SEBI)
    told = {
        "brokerage_e4": brokerage,
        "exchange_e4": exchange,
        "sebi_e4": part(Charge.SEBI, worth),
        "stt_e4": part(Charge.STT, worth) + part(Charge.CTT, worth),
        "stamp_duty_e4": part(Charge.STAMP_DUTY, worth),
    }
    is_taxed = sebi is not None and sebi.bears_gst
    told["gst_e4"] = part(Charge.GST, brokerage + exchange + (told["sebi_e4"] if is_taxed else 0))
    return {name: int((amount * 10_000).to_integral_value(ROUND_HALF_UP)) for name, amount in told.items()}
