"""The broker's own charges of a day beside ours, and why they differ, line by line.

What we book is reckoned with the fill (`domain.charges`) and stays. What the broker charged, its statement tells on the
next day: for each execution, or for all those of an order together, in up to four decimal places. So amounts are in
1/10,000 rupee here. Orders are matched by the venue's order id: the statement need not number its executions.

Each difference is put down to causes, and what no cause accounts for is *unexplained*; together they are the difference
to the last 1/10,000 rupee. A cause is what would make the broker's amount of an order out of ours: the causes are tried
in the order of `Cause`, and the first that comes within what the broker's rounding can do is taken. The rest is put
down to rounding then.

- **How the broker rounds** is read off its rows: to the paisa where no row tells more, and its taxes to the rupee where
  no row tells less. It rounds, or cuts, each execution; we round each order once.
- **An order that executed for another quantity** in one of the books is charged for that quantity first.
- **Goods and services tax** follows from the lines that bear it: what the broker taxes is what it told.
- **A tax in whole rupees a day** may be shared out over the day's rows in any way, so it is looked at over all of them.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from domain.charges import NO_CHARGES, RATE_E9, Charge, Charges, Tariff, TariffLine
from domain.ids import VenueOrderId
from domain.instrument import InstrumentKey
from domain.money import E4_PER_PAISA, E4_PER_RUPEE, value_paise
from domain.order import Product, Side


class NoteLine(StrEnum):
    """What the broker's statement tells of, in the order in which it is shown."""

    BROKERAGE = "brokerage"
    EXCHANGE = "exchange"
    """The exchange's transaction charge, and the contribution to the investor protection fund with it."""
    SEBI = "sebi"
    STT = "stt"
    """Securities or commodities transaction tax."""
    STAMP_DUTY = "stamp_duty"
    GST = "gst"
    DP = "dp"
    """The debit of the demat account, which stands in no statement of trades."""


class Cause(StrEnum):
    """Why the broker's amount is another than ours, in the order in which causes are tried."""

    NOT_IN_OURS = "not_in_ours"
    """An order that we have no execution of."""
    NOT_IN_THEIRS = "not_in_theirs"
    """An order that the broker does not tell of."""
    OTHER_QUANTITY = "other_quantity"
    """Another quantity executed than we have."""
    TAX_ON_DIFFERENCE = "tax_on_difference"
    """The goods and services tax on what the broker charges more or less."""
    ROUNDING = "rounding"
    WHOLE_RUPEES = "whole_rupees"
    """A tax that the broker rounds to the rupee."""
    NOT_CHARGED = "not_charged"
    """We had no tariff for the order when it executed."""
    TARIFF_CORRECTED = "tariff_corrected"
    """Our tariff of that day is another by now."""
    BROKERAGE_PER_FILL = "brokerage_per_fill"
    """The most of an order's brokerage was applied to each execution."""
    BROKERAGE_WITHOUT_MOST = "brokerage_without_most"
    """The brokerage is the rate alone."""
    BROKERAGE_FLAT = "brokerage_flat"
    """The brokerage is its most, although the rate comes to less."""
    NOT_ON_NOTE = "not_on_note"
    """A charge of ours that the broker's statement does not have."""
    RATE_OF_ANOTHER_DAY = "rate_of_another_day"
    """A rate of before or after: it changed on another day than our tariff says."""
    NO_LINE = "no_line"
    """A charge that our tariff does not have."""
    UNVERIFIED_RATE = "unverified_rate"
    """No source bears our rate out."""
    UNEXPLAINED = "unexplained"


class Match(StrEnum):
    """Whether an order stands in both books."""

    BOTH = "both"
    OTHER_QUANTITY = "other_quantity"
    NOT_IN_OURS = "not_in_ours"
    NOT_IN_THEIRS = "not_in_theirs"


class NotedCharges(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the broker says that it charged, in 1/10,000 rupee."""

    brokerage_e4: int = 0
    exchange_e4: int = 0
    sebi_e4: int = 0
    stt_e4: int = 0
    stamp_duty_e4: int = 0
    gst_e4: int = 0

    @property
    def total_e4(self) -> int:
        """The sum of all lines."""
        return sum(self.of(line) for line in NoteLine)

    def of(self, line: NoteLine) -> int:
        """Return the amount of *line*."""
        amount_e4: int = 0 if line is NoteLine.DP else getattr(self, f"{line.value}_e4")
        return amount_e4

    def __add__(self, other: "NotedCharges") -> "NotedCharges":
        """Return both, line by line."""
        return NotedCharges(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class NotedFill(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the broker's statement: an execution, or all those of an order, then at their average price."""

    venue_order_id: VenueOrderId
    instrument: InstrumentKey
    product: Product
    side: Side
    quantity: int
    price_e4: int
    charges: NotedCharges


class ChargedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What we have of an order on one day: its executions' values, in paise, and what was booked for them."""

    venue_order_id: VenueOrderId
    instrument: InstrumentKey
    product: Product
    side: Side
    quantity: int
    values_paise: tuple[int, ...]
    charges: Charges

    @property
    def value_paise(self) -> int:
        """What all of it was worth."""
        return sum(self.values_paise)


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What an order is charged by: the tariff of its day, and the lines of other days."""

    tariff: Tariff
    of_other_days: tuple[TariffLine, ...]
    multiplier: int


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a difference, in 1/10,000 rupee: positive where the broker charges more."""

    cause: Cause
    amount_e4: int


class LineDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the day in both books, in 1/10,000 rupee, and what the difference is made of."""

    line: NoteLine
    ours_e4: int
    theirs_e4: int
    shares: tuple[Share, ...]

    @property
    def difference_e4(self) -> int:
        """What the broker charges more than we booked."""
        return self.theirs_e4 - self.ours_e4

    @property
    def unexplained_e4(self) -> int:
        """What of the difference no cause accounts for."""
        return sum(share.amount_e4 for share in self.shares if share.cause is Cause.UNEXPLAINED)


class NotedOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order in both books: `quantity` and `charges` are the broker's, `our_quantity` and `our_charges_paise` ours.

    `unexplained_e4` is what of its lines' differences no cause accounts for, added up without regard to the direction.
    """

    venue_order_id: VenueOrderId
    instrument: InstrumentKey
    product: Product
    side: Side
    match: Match = Match.BOTH
    quantity: int = 0
    our_quantity: int = 0
    our_charges_paise: int = 0
    charges: NotedCharges = NotedCharges()
    unexplained_e4: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A day's charges in both books: by line in the order of `NoteLine`, and by order, sorted by the venue's id."""

    lines: tuple[LineDifference, ...]
    orders: tuple[NotedOrder, ...]


_OURS: Mapping[NoteLine, tuple[Charge, ...]] = {
    NoteLine.BROKERAGE: (Charge.BROKERAGE,),
    NoteLine.EXCHANGE: (Charge.EXCHANGE, Charge.IPFT),
    NoteLine.SEBI: (Charge.SEBI,),
    NoteLine.STT: (Charge.STT, Charge.CTT),
    NoteLine.STAMP_DUTY: (Charge.STAMP_DUTY,),
    NoteLine.GST: (Charge.GST,),
    NoteLine.DP: (Charge.DP,),
}
"""What of ours each line of the statement holds."""
_TAXES = (NoteLine.STT, NoteLine.STAMP_DUTY)
"""Taxes that are rounded to the rupee where a contract note does it."""
_ON_VALUE = tuple(line for line in NoteLine if line not in {NoteLine.GST, NoteLine.DP})
_ROUNDED = (Cause.ROUNDING, Cause.WHOLE_RUPEES, Cause.UNEXPLAINED)
_HALF_A_RUPEE_E4 = E4_PER_RUPEE // 2

_Parts = defaultdict[NoteLine, Counter[Cause]]


class _Told(NamedTuple):
    """The statement's rows of one order."""

    rows: tuple[NotedFill, ...]
    charges: NotedCharges

    @property
    def quantity(self) -> int:
        return sum(row.quantity for row in self.rows)

    def value_paise(self, multiplier: int) -> int:
        return sum(
            value_paise(price_e4=row.price_e4, quantity=row.quantity, multiplier=multiplier) for row in self.rows
        )


def compare(
    booked: Iterable[ChargedOrder], told: Iterable[NotedFill], rates: Mapping[VenueOrderId, Rates]
) -> Comparison:
    """Return a day's charges in both books, and why they differ.

    *rates* holds what orders in both of them are charged by, as far as that is known.
    """
    ours = {order.venue_order_id: order for order in booked}
    theirs = _by_order(told)
    steps_e4 = _steps_of([row.charges for each in theirs.values() for row in each.rows])
    parts = {
        name: _parts_of(ours.get(name), theirs.get(name), rates.get(name), steps_e4)
        for name in sorted(ours.keys() | theirs.keys())
    }
    for line in _TAXES:
        _round_over_the_day(line, sum(each.charges.of(line) for each in theirs.values()), parts.values())
    return Comparison(
        lines=tuple(_line_of(line, ours.values(), theirs.values(), parts.values()) for line in NoteLine),
        orders=tuple(_order_of(ours.get(name), theirs.get(name), of_order) for name, of_order in parts.items()),
    )


def _round_over_the_day(line: NoteLine, told_e4: int, orders: Collection[_Parts]) -> None:
    """Put down to rounding what a tax in whole rupees a day leaves unexplained by order, if the broker had one.

    Whatever its rows are, it is half a rupee at most over the day, and no order has more of that.
    """
    if told_e4 == 0 or told_e4 % E4_PER_RUPEE or not any(each[line][Cause.UNEXPLAINED] for each in orders):
        return
    rounded = [sum(each[line][cause] for cause in _ROUNDED) for each in orders]
    if max(map(abs, (sum(rounded), *rounded))) <= _HALF_A_RUPEE_E4:
        for each, amount_e4 in zip(orders, rounded, strict=True):
            for cause in _ROUNDED:
                each[line][cause] = 0
            each[line][Cause.WHOLE_RUPEES] = amount_e4


def _by_order(told: Iterable[NotedFill]) -> dict[VenueOrderId, _Told]:
    rows: defaultdict[VenueOrderId, list[NotedFill]] = defaultdict(list)
    for row in told:
        rows[row.venue_order_id].append(row)
    return {
        name: _Told(rows=tuple(of_order), charges=sum((row.charges for row in of_order), NotedCharges()))
        for name, of_order in rows.items()
    }


def _steps_of(told: Sequence[NotedCharges]) -> dict[NoteLine, int]:
    """Return to what the broker rounds each line, as its rows show it; for what is charged nowhere, the finest."""
    amounts = {line: [charges.of(line) for charges in told] for line in (*_ON_VALUE, NoteLine.GST)}
    shown = {line: _step_of(line, charged) for line, charged in amounts.items() if any(charged)}
    finest = min(shown.values(), default=E4_PER_PAISA)
    return {line: shown.get(line, finest) for line in amounts}


def _step_of(line: NoteLine, amounts_e4: Iterable[int]) -> int:
    if line in _TAXES and all(amount % E4_PER_RUPEE == 0 for amount in amounts_e4):
        return E4_PER_RUPEE
    return E4_PER_PAISA if all(amount % E4_PER_PAISA == 0 for amount in amounts_e4) else 1


def _line_of(
    line: NoteLine, ours: Iterable[ChargedOrder], theirs: Iterable[_Told], orders: Iterable[_Parts]
) -> LineDifference:
    amounts: Counter[Cause] = Counter()
    for parts in orders:
        amounts.update(parts[line])
    return LineDifference(
        line=line,
        ours_e4=sum(_booked_e4(order, line) for order in ours),
        theirs_e4=sum(each.charges.of(line) for each in theirs),
        shares=tuple(Share(cause=cause, amount_e4=amounts[cause]) for cause in Cause if amounts[cause]),
    )


def _order_of(ours: ChargedOrder | None, theirs: _Told | None, parts: _Parts) -> NotedOrder:
    known = ours or (theirs.rows[0] if theirs is not None else None)
    assert known is not None, "an order stands in one of the books at least"
    return NotedOrder(
        venue_order_id=known.venue_order_id,
        instrument=known.instrument,
        product=known.product,
        side=known.side,
        match=_match_of(ours, theirs),
        quantity=0 if theirs is None else theirs.quantity,
        our_quantity=0 if ours is None else ours.quantity,
        our_charges_paise=0 if ours is None else ours.charges.total_paise,
        charges=NotedCharges() if theirs is None else theirs.charges,
        unexplained_e4=sum(abs(shares[Cause.UNEXPLAINED]) for shares in parts.values()),
    )


def _match_of(ours: ChargedOrder | None, theirs: _Told | None) -> Match:
    if ours is None:
        return Match.NOT_IN_OURS
    if theirs is None:
        return Match.NOT_IN_THEIRS
    return Match.BOTH if ours.quantity == theirs.quantity else Match.OTHER_QUANTITY


def _booked_e4(order: ChargedOrder, line: NoteLine) -> int:
    return sum(order.charges.of(charge) for charge in _OURS[line]) * E4_PER_PAISA


def _parts_of(
    ours: ChargedOrder | None, theirs: _Told | None, rates: Rates | None, steps_e4: Mapping[NoteLine, int]
) -> _Parts:
    """Return what the differences of one order are made of."""
    parts: _Parts = defaultdict(Counter)
    if ours is None:
        for line in NoteLine:
            parts[line][Cause.NOT_IN_OURS] += 0 if theirs is None else theirs.charges.of(line)
        return parts
    parts[NoteLine.DP][Cause.NOT_ON_NOTE] -= _booked_e4(ours, NoteLine.DP)
    if theirs is None:
        for line in steps_e4:
            parts[line][Cause.NOT_IN_THEIRS] -= _booked_e4(ours, line)
        return parts
    order = _Order(ours, theirs, rates, steps_e4)
    for line in _ON_VALUE:
        parts[line] = order.on_value(line)
    parts[NoteLine.GST] = order.on_lines()
    return parts


class _Order:
    """An order that stands in both books."""

    def __init__(
        self, ours: ChargedOrder, theirs: _Told, rates: Rates | None, steps_e4: Mapping[NoteLine, int]
    ) -> None:
        self._ours = ours
        self._theirs = theirs
        self._rates = rates
        self._steps_e4 = steps_e4
        self._in_force = {line.charge: line for line in rates.tariff.lines} if rates is not None else {}
        is_same = ours.quantity == theirs.quantity or rates is None
        # A row of several executions has their average price, so our own value is the exact one.
        self._value_paise = ours.value_paise if is_same or rates is None else theirs.value_paise(rates.multiplier)
        self._fill_count = max(len(ours.values_paise), len(theirs.rows))

    def on_value(self, line: NoteLine) -> Counter[Cause]:
        """Return what the difference of a line that is charged on the value is made of."""
        told_e4, booked_e4 = self._theirs.charges.of(line), _booked_e4(self._ours, line)
        grown_e4 = self._modelled(line, self._value_paise) - self._modelled(line, self._ours.value_paise)
        parts = Counter({Cause.OTHER_QUANTITY: grown_e4})
        parts.update(self._explained(line, told_e4, booked_e4 + grown_e4, self._causes(line)))
        return parts

    def on_lines(self) -> Counter[Cause]:
        """Return what the difference of the goods and services tax is made of."""
        told_e4, booked_e4 = self._theirs.charges.gst_e4, _booked_e4(self._ours, NoteLine.GST)
        if abs(told_e4 - booked_e4) <= self._tolerance(NoteLine.GST):
            return _counted((Cause.ROUNDING, told_e4 - booked_e4))  # A tax on roundings is one itself.
        gst = self._in_force.get(Charge.GST)
        follows_e4 = 0 if gst is None else _share(self._taxed_more_e4(), gst)
        parts = Counter({Cause.TAX_ON_DIFFERENCE: follows_e4})
        parts.update(self._explained(NoteLine.GST, told_e4, booked_e4 + follows_e4, self._causes_of_gst(gst)))
        return parts

    def _explained(
        self, line: NoteLine, told_e4: int, expected_e4: int, causes: Iterable[tuple[Cause, int]]
    ) -> Counter[Cause]:
        """Return what makes *told_e4* out of *expected_e4*: the first of *causes* that comes near, and the rest."""
        rest = Cause.WHOLE_RUPEES if self._steps_e4[line] == E4_PER_RUPEE else Cause.ROUNDING
        for cause, amount_e4 in ((Cause.ROUNDING, expected_e4), *causes):
            if abs(told_e4 - amount_e4) <= self._tolerance(line):
                return _counted((cause, amount_e4 - expected_e4), (rest, told_e4 - amount_e4))
        return _counted((self._excuse(line), told_e4 - expected_e4))

    def _tolerance(self, line: NoteLine) -> int:
        """Return by how much the broker's rounding and ours may part a line."""
        step_e4 = self._steps_e4[line]
        if step_e4 == E4_PER_RUPEE:
            return len(self._theirs.rows) * _HALF_A_RUPEE_E4 + E4_PER_PAISA
        # The tax on lines that were rounded themselves is off by as much once more.
        times = 2 if line is NoteLine.GST else 1
        return self._fill_count * step_e4 * times + E4_PER_PAISA * times

    def _excuse(self, line: NoteLine) -> Cause:
        """Return what is to be said where no cause comes near enough."""
        in_force = [self._in_force[charge] for charge in _OURS[line] if charge in self._in_force]
        if self._rates is not None and not in_force:
            return Cause.NO_LINE
        if any(not each.is_verified for each in in_force):
            return Cause.UNVERIFIED_RATE
        return Cause.UNEXPLAINED

    # --- What would be charged ---

    def _modelled(self, line: NoteLine, worth_paise: int, instead: TariffLine | None = None) -> int:
        """Return what the tariff of the day comes to for so much value, with *instead* for the line of its charge."""
        amount = 0
        for charge in _OURS[line]:
            in_force = self._in_force.get(charge)
            if instead is not None and instead.charge is charge:
                in_force = instead
            amount += 0 if in_force is None else in_force.amount_paise(worth_paise)
        return amount * E4_PER_PAISA

    def _causes(self, line: NoteLine) -> Iterator[tuple[Cause, int]]:
        if self._rates is None:
            return
        worth = self._value_paise
        was_charged = self._ours.charges != NO_CHARGES
        yield Cause.TARIFF_CORRECTED if was_charged else Cause.NOT_CHARGED, self._modelled(line, worth)
        if line is NoteLine.BROKERAGE and Charge.BROKERAGE in self._in_force:
            yield from self._brokerages(self._in_force[Charge.BROKERAGE])
        main, *riders = _OURS[line]
        if riders and main in self._in_force:
            yield Cause.NOT_ON_NOTE, self._in_force[main].amount_paise(worth) * E4_PER_PAISA
        for other in self._rates.of_other_days:
            if other.charge in _OURS[line]:
                yield Cause.RATE_OF_ANOTHER_DAY, self._modelled(line, worth, other)

    def _brokerages(self, line: TariffLine) -> Iterator[tuple[Cause, int]]:
        values = self._ours.values_paise  # The broker may tell of an order's executions in one row.
        yield Cause.BROKERAGE_PER_FILL, sum(line.amount_paise(each) for each in values) * E4_PER_PAISA
        if line.rate_e9 is not None and line.flat_paise is not None:
            rate_alone = msgspec.structs.replace(line, flat_paise=None)
            yield Cause.BROKERAGE_WITHOUT_MOST, rate_alone.amount_paise(self._value_paise) * E4_PER_PAISA
            yield Cause.BROKERAGE_FLAT, line.flat_paise * E4_PER_PAISA

    def _causes_of_gst(self, gst: TariffLine | None) -> Iterator[tuple[Cause, int]]:
        if self._rates is None or gst is None:
            return
        taxed_e4 = sum(self._theirs.charges.of(line) for line in _ON_VALUE if self._is_taxed(line))
        yield Cause.TARIFF_CORRECTED if self._ours.charges != NO_CHARGES else Cause.NOT_CHARGED, _share(taxed_e4, gst)
        for other in self._rates.of_other_days:
            if other.charge is Charge.GST:
                yield Cause.RATE_OF_ANOTHER_DAY, _share(taxed_e4, other)

    def _taxed_more_e4(self) -> int:
        """Return by how much what the broker taxes is more than what we taxed."""
        return sum(
            self._theirs.charges.of(line) - _booked_e4(self._ours, line) for line in _ON_VALUE if self._is_taxed(line)
        )

    def _is_taxed(self, line: NoteLine) -> bool:
        main = self._in_force.get(_OURS[line][0])
        return main is not None and main.bears_gst


def _counted(*shares: tuple[Cause, int]) -> Counter[Cause]:
    counted: Counter[Cause] = Counter()
    for cause, amount_e4 in shares:
        counted[cause] += amount_e4
    return counted


def _share(amount_e4: int, line: TariffLine) -> int:
    """Return what *line* takes of an amount of either sign, to the nearest 1/10,000 rupee."""
    return (2 * amount_e4 * (line.rate_e9 or 0) + RATE_E9) // (2 * RATE_E9)
