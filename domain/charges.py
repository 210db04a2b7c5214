"""What trading costs beside the price: the lines of a tariff, and what an order comes to under them.

Every amount is exact: integers alone. Each line is rounded once an order, to the nearest paisa, half a paisa up; the
goods and services tax is a share of the lines that bear it, as they were rounded. Fills of one order are charged
together: a fill is charged what the order comes to with it, less what it had come to before, so that any number of
fills costs what one would, and a brokerage of so much an order is paid once.

What is charged by the day is the debit of the demat account alone: once a scrip and day on which more of it was sold
for delivery than bought. Its amount has its tax in it already, because it stands on no contract note.

The law rounds the securities transaction tax of a day to the rupee (Securities Transaction Tax Rules, 2004, rule 4),
and brokers do the same with stamp duty; whose day has which orders is known only at its end. An order is therefore
charged to the paisa, and `as_on_contract_note` tells what a day's charges become on paper: half a rupee more or less a
tax.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

RATE_E9 = 1_000_000_000
PAISE_PER_RUPEE = 100


class Charge(StrEnum):
    """What is charged for, in the order in which it is shown."""

    BROKERAGE = "brokerage"
    EXCHANGE = "exchange"
    """The exchange's transaction charge."""
    IPFT = "ipft"
    """The contribution to the exchange's investor protection fund."""
    SEBI = "sebi"
    """The regulator's turnover fee."""
    STT = "stt"
    """Securities transaction tax."""
    CTT = "ctt"
    """Commodities transaction tax."""
    STAMP_DUTY = "stamp_duty"
    GST = "gst"
    """Goods and services tax on what bears it."""
    DP = "dp"
    """The depository participant's charge for a debit of the demat account, tax included."""


class Charges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was charged, line by line, in paise."""

    brokerage_paise: int = 0
    exchange_paise: int = 0
    ipft_paise: int = 0
    sebi_paise: int = 0
    stt_paise: int = 0
    ctt_paise: int = 0
    stamp_duty_paise: int = 0
    gst_paise: int = 0
    dp_paise: int = 0

    @property
    def total_paise(self) -> int:
        """The sum of all lines."""
        return (
            self.brokerage_paise
            + self.exchange_paise
            + self.ipft_paise
            + self.sebi_paise
            + self.stt_paise
            + self.ctt_paise
            + self.stamp_duty_paise
            + self.gst_paise
            + self.dp_paise
        )

    def of(self, charge: Charge) -> int:
        """Return the line of *charge*."""
        paise: int = getattr(self, _FIELDS[charge])
        return paise

    def __add__(self, other: "Charges") -> "Charges":
        """Return both, line by line."""
        if self is NO_CHARGES:
            return other  # Most orders fill once.
        if other is NO_CHARGES:
            return self
        return Charges(**{name: getattr(self, name) + getattr(other, name) for name in _FIELDS.values()})

    def __sub__(self, other: "Charges") -> "Charges":
        """Return what these have more than *other*, line by line."""
        return Charges(**{name: getattr(self, name) - getattr(other, name) for name in _FIELDS.values()})


_FIELDS = {charge: f"{charge.value}_paise" for charge in Charge}
NO_CHARGES = Charges()


class TariffLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a tariff, in force from the day `valid_from` on (ISO; empty: since ever).

    `rate_e9` is the part of the value in 1,000,000,000, `flat_paise` an amount an order (of a debit: a scrip and day);
    of both, the lesser is charged. `bears_gst`: the goods and services tax comes on top. What is not `is_verified` is a
    best guess, as `source` says.
    """

    charge: Charge
    rate_e9: int | None
    flat_paise: int | None
    bears_gst: bool
    valid_from: str
    is_verified: bool
    source: str

    def amount_paise(self, value_paise: int) -> int:
        """Return what is charged for *value_paise*, to the nearest paisa, half a paisa up."""
        if self.rate_e9 is None:
            return self.flat_paise or 0
        share = _nearest(value_paise * self.rate_e9, RATE_E9)
        return share if self.flat_paise is None else min(share, self.flat_paise)


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """The lines that hold for one kind of order (segment, instrument, product, side) on one day; of a charge one."""

    lines: tuple[TariffLine, ...] = ()

    def line_of(self, charge: Charge) -> TariffLine | None:
        """Return the line of *charge*, None where nothing is charged for it."""
        return next((line for line in self.lines if line.charge is charge), None)


class Accrual(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of an order has executed, in paise, and what it was charged for that; what is charged by the day aside."""

    value_paise: int = 0
    charges: Charges = NO_CHARGES

    def after(self, *, value_paise: int, charges: Charges) -> "Accrual":
        """Return this after a fill worth *value_paise* that was charged *charges*."""
        of_order = msgspec.structs.replace(charges, dp_paise=0) if charges.dp_paise else charges
        return Accrual(value_paise=self.value_paise + value_paise, charges=self.charges + of_order)


NOTHING_ACCRUED = Accrual()


def charges_of_order(tariff: Tariff, *, value_paise: int) -> Charges:
    """Return what an order of which *value_paise* executed comes to; what is charged by the day is not in it."""
    amounts: dict[str, int] = {}
    taxed = 0
    gst: TariffLine | None = None
    for line in tariff.lines:
        if line.charge is Charge.GST:
            gst = line
        elif line.charge is not Charge.DP:
            amount = line.amount_paise(value_paise)
            amounts[_FIELDS[line.charge]] = amount
            taxed += amount if line.bears_gst else 0
    if gst is not None:
        amounts[_FIELDS[Charge.GST]] = gst.amount_paise(taxed)
    return Charges(**amounts)


def charges_of_fill(tariff: Tariff, accrual: Accrual, *, value_paise: int) -> Charges:
    """Return what a fill worth *value_paise* adds to the charges of its order, which came to *accrual* before it."""
    return charges_of_order(tariff, value_paise=accrual.value_paise + value_paise) - accrual.charges


def charges_of_debit(tariff: Tariff) -> Charges:
    """Return what the first debit of a scrip on a day comes to: nothing where the tariff has no such line."""
    line = tariff.line_of(Charge.DP)
    return NO_CHARGES if line is None else Charges(dp_paise=line.amount_paise(0))


def as_on_contract_note(charges: Charges) -> Charges:
    """Return a day's *charges* as its contract note has them: the taxes on turnover in whole rupees, half a rupee up.

    Source: Securities Transaction Tax Rules, 2004, rule 4; Dhan, pricing: "Stamp Duty and STT are rounded off to the
    nearest rupee and all other charges to the nearest 2 decimals".
    """
    return msgspec.structs.replace(
        charges,
        stt_paise=_nearest(charges.stt_paise, PAISE_PER_RUPEE) * PAISE_PER_RUPEE,
        ctt_paise=_nearest(charges.ctt_paise, PAISE_PER_RUPEE) * PAISE_PER_RUPEE,
        stamp_duty_paise=_nearest(charges.stamp_duty_paise, PAISE_PER_RUPEE) * PAISE_PER_RUPEE,
    )


def sum_of(charges: Iterable[Charges]) -> Charges:
    """Return *charges* added up, line by line."""
    return sum(charges, NO_CHARGES)


def _nearest(numerator: int, denominator: int) -> int:
    """Return the quotient as the nearest whole number, a half up; neither is negative."""
    return (2 * numerator + denominator) // (2 * denominator)
