"""The verdict on a demo: every planned outcome was there, and others who know agree with the engine.

The others are: a fold of the log (for the read models), the simulator's books (for the positions), what the tape
printed between an order's arrival and its fill (for the prices), and the recording's own files where one was played.
"""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from domain.money import E4_PER_RUPEE
from infra.demo.history import History
from infra.demo.lock_step import Exchange
from infra.demo.script import BY_HAND_MIN, INTENTS_MIN, NAMES, STOPS_MIN, TARGETS_MIN

DENIAL_CODES_MIN = 8


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, and what was found."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the breaker before entries, at a wall time."""

    to_state: str
    at_ns: int


def planned_outcomes(history: History, transitions: Sequence[Transition]) -> list[Check]:
    """Check that everything happened that the script set out to make happen."""

    def at_least(name: str, wanted: int, found: int) -> Check:
        return Check(f"{name}: at least {wanted}", found >= wanted, str(found))

    states = [transition.to_state for transition in transitions]
    return [
        at_least("users", len(NAMES), history.users),
        at_least("intents", INTENTS_MIN, history.intents),
        at_least("denial codes", DENIAL_CODES_MIN, len(history.denials)),
        at_least("stops hit", STOPS_MIN, history.closings["stop_loss"]),
        at_least("targets hit", TARGETS_MIN, history.closings["target"]),
        at_least("positions closed by hand", BY_HAND_MIN, history.closings["manual"]),
        at_least("orders filled in parts", 1, history.partly_filled),
        at_least("unknown orders found by correlation id", 1, history.found.total()),
        Check("the breaker opened and closed", "open" in states and states[-1] == "closed", " ".join(states)),
        at_least("exits sent while it was open", 1, _exits_while_open(history, transitions)),
    ]


def _exits_while_open(history: History, transitions: Sequence[Transition]) -> int:
    opened_at_ns = next((change.at_ns for change in transitions if change.to_state == "open"), None)
    closed_at_ns = next((change.at_ns for change in reversed(transitions) if change.to_state == "closed"), None)
    if opened_at_ns is None or closed_at_ns is None:
        return 0
    return sum(opened_at_ns <= sent_at_ns <= closed_at_ns for sent_at_ns in history.exits_sent_at_ns)


def positions_agree(ours: Mapping[str, Sequence[Mapping[str, Any]]], books: Mapping[str, Any]) -> Check:
    """Check that every client's net quantities are the simulator's. *ours* maps a client id to the API's positions."""
    differences = []
    compared = 0
    for client_id, positions in ours.items():
        engine = {_place(row): row["net_quantity"] for row in positions}
        venue = {_place(row): row["net_quantity"] for row in books.get(client_id, {}).get("positions", [])}
        for place in sorted(engine.keys() | venue.keys()):
            compared += 1
            if engine.get(place, 0) != venue.get(place, 0):
                differences.append(f"{client_id} {place}: {engine.get(place, 0)} here, {venue.get(place, 0)} there")
    found = "; ".join(differences) or f"{compared} compared"
    return Check("positions equal the simulator's books", not differences and compared > 0, found)


def _place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["segment"], row["security_id"], row["product"]


def fills_agree(history: History, books: Mapping[str, Any]) -> Check:
    """Check that the log holds exactly the executions that the simulator's books hold, by id, quantity and price."""
    ours = sorted(
        (fill.instrument.security_id, fill.side.value, fill.last_quantity, fill.last_price_e4, fill.filled_at_ns)
        for fills in history.fills.values()
        for fill in fills
    )
    venue = sorted(
        (row["security_id"], row["side"], row["quantity"], row["price_e4"], row["market_time_ns"])
        for book in books.values()
        for row in book["trades"]
    )
    return Check(
        "fills equal the simulator's books", ours == venue and bool(ours), f"{len(ours)} here, {len(venue)} there"
    )


async def prices_lie_on_the_tape(exchange: Exchange, books: Mapping[str, Any]) -> Check:
    """Check each execution's price against the prints between the order's arrival and the execution."""
    outside, checked = [], 0
    for book in books.values():
        arrived = {row["order_id"]: row["accepted_step"] for row in book["orders"]}
        for row in book["trades"]:
            low, high = await exchange.range_of(
                row["security_id"], from_step=arrived[row["order_id"]], to_step=row["step"]
            )
            checked += 1
            if not low <= row["price_e4"] <= high:
                outside.append(f"{row['symbol']} at {row['price_e4']} outside {low}..{high}")
    found = "; ".join(outside) or f"{checked} checked"
    return Check(
        "each fill lies inside the tape's range between sending and filling", not outside and checked > 0, found
    )


def prices_occur_in_files(folder: Path, books: Mapping[str, Any]) -> Check:
    """Check that each execution's price stands in the recording's file of its instrument."""
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for book in books.values():
        for row in book["trades"]:
            wanted[row["symbol"]].add(row["price_e4"])
    missing = []
    for symbol, prices in sorted(wanted.items()):
        recorded = _prices_in(folder.glob(f"{symbol}*.csv.gz"))
        missing += [f"{symbol} {price}" for price in sorted(prices - recorded)]
    found = "; ".join(missing) or f"{sum(map(len, wanted.values()))} prices of {len(wanted)} instruments"
    return Check("each fill's price occurs in the recording", not missing and bool(wanted), found)


def _prices_in(paths: Iterable[Path]) -> set[int]:
    prices: set[int] = set()
    for path in paths:
        with gzip.open(path, "rt", encoding="ascii") as file:
            for row in csv.DictReader(file):
                try:
                    prices.add(int(Decimal(row["ltp"]) * E4_PER_RUPEE))
                except InvalidOperation:
                    continue
    return prices
