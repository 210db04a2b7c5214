"""What is charged for an order: dated lines from a table, each with its source.

The table `adapters/data/charges.csv` has one row for each line: what is charged for; the segments, kinds of instrument,
products and sides that it holds for; the first day (of the exchange) on which it holds, empty for all days before the
next row; a part of the value in percent, or an amount in rupees an order, or both (the lesser is charged); whether the
goods and services tax comes on top; whether the source bears it out; and the source. Of the rows that hold for an
order, the newest of each charge is in force.
"""

import csv
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import product as combinations
from typing import NamedTuple

from domain.charges import PAISE_PER_RUPEE, RATE_E9, Charge, Tariff, TariffLine
from domain.instrument import Instrument, InstrumentKind, Segment
from domain.order import Product, Side

_ALL = "all"
_PERCENT = 100
_TRUTH = {"yes": True, "no": False}


class _Order(NamedTuple):
    """A kind of order that a line may hold for."""

    segment: Segment
    kind: InstrumentKind
    product: Product
    side: Side


class TariffTable:
    """Every line that we know. Implements `commands.ports.Tariffs`."""

    def __init__(self, lines: Iterable[tuple[_Order, TariffLine]]) -> None:
        self._lines: defaultdict[_Order, defaultdict[Charge, list[TariffLine]]] = defaultdict(lambda: defaultdict(list))
        for order, line in sorted(lines, key=lambda pair: pair[1].valid_from):
            known = self._lines[order][line.charge]
            if known and known[-1].valid_from == line.valid_from:
                raise ValueError(f"{line.charge} of {order} has two lines from {line.valid_from or 'the beginning'} on")
            known.append(line)
        self._tariffs: dict[tuple[_Order, str], Tariff] = {}

    @classmethod
    def load(cls, table: Traversable | None = None) -> "TariffTable":
        """Return what *table* (a path or resource; default: the table shipped with Khata) says."""
        source = table if table is not None else files("adapters") / "data" / "charges.csv"
        rows = csv.DictReader(source.read_text(encoding="utf-8").splitlines())
        return cls(pair for row in rows for pair in _lines_of(row))

    def tariff_of(self, instrument: Instrument, product: Product, side: Side, *, day: str) -> Tariff:
        """Return the lines in force on the exchange's *day* (ISO), in the order in which they are shown.

        What no line holds for is charged nothing. Days are few and asked for with every fill, so they are kept.
        """
        order = _Order(instrument.key.segment, instrument.kind, product, side)
        known = self._tariffs.get((order, day))
        if known is None:
            by_charge: Mapping[Charge, list[TariffLine]] = self._lines.get(order, {})
            in_force = (_in_force(by_charge[charge], day) for charge in Charge if charge in by_charge)
            known = self._tariffs[order, day] = Tariff(lines=tuple(line for line in in_force if line is not None))
        return known

    def lines_of_other_days(
        self, instrument: Instrument, product: Product, side: Side, *, day: str
    ) -> tuple[TariffLine, ...]:
        """Return the lines for such orders that were in force before *day* or are after it, by charge, oldest first."""
        by_charge: Mapping[Charge, list[TariffLine]] = self._lines.get(
            _Order(instrument.key.segment, instrument.kind, product, side), {}
        )
        in_force = {charge: _in_force(lines, day) for charge, lines in by_charge.items()}
        return tuple(line for charge in Charge for line in by_charge.get(charge, ()) if line is not in_force[charge])


def _in_force(lines: list[TariffLine], day: str) -> TariffLine | None:
    place = bisect_right(lines, day, key=lambda line: line.valid_from)
    return lines[place - 1] if place else None


def _lines_of(row: dict[str, str]) -> Iterable[tuple[_Order, TariffLine]]:
    line = TariffLine(
        charge=Charge(row["charge"]),
        rate_e9=_whole(Decimal(row["rate_percent"]) * RATE_E9 / _PERCENT) if row["rate_percent"] else None,
        flat_paise=_whole(Decimal(row["flat_rupees"]) * PAISE_PER_RUPEE) if row["flat_rupees"] else None,
        bears_gst=_TRUTH[row["gst"]],
        valid_from=row["valid_from"],
        is_verified=_TRUTH[row["verified"]],
        source=row["source"],
    )
    orders = combinations(
        map(Segment, row["segments"].split()),
        InstrumentKind if row["kinds"] == _ALL else map(InstrumentKind, row["kinds"].split()),
        Product if row["products"] == _ALL else map(Product, row["products"].split()),
        Side if row["sides"] == _ALL else map(Side, row["sides"].split()),
    )
    return ((_Order(*order), line) for order in orders)


def _whole(number: Decimal) -> int:
    """Return *number*, which the table may only hold as precisely as we reckon."""
    whole = int(number)
    if whole != number:
        raise ValueError(f"received {number}, expected a whole number of the smallest part that we reckon in")
    return whole
