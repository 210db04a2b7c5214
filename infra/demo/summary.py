"""The summary at the end of a demo: what happened, how fast, and whether it was as it should be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from domain.money import format_e4, format_paise
from infra.demo.history import History
from infra.demo.verdict import Check


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a step of an order's way took: milliseconds, over *count* of them."""

    name: str
    p50_ms: float
    p99_ms: float
    count: int


def latency_of(name: str, samples_ms: Sequence[float]) -> Latency:
    """Return the median and the 99th percentile of *samples_ms*; zeros for no samples."""
    if not samples_ms:
        return Latency(name, 0.0, 0.0, 0)
    p50, p99 = np.percentile(np.asarray(samples_ms), [50, 99])
    return Latency(name, round(float(p50), 3), round(float(p99), 3), len(samples_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A demo's outcome. `elapsed_s` is the wall time of the session, `started_s` that of starting the engine."""

    tape: str
    tape_seconds: int
    history: History
    latencies: tuple[Latency, ...]
    checks: tuple[Check, ...]
    started_s: float
    elapsed_s: float

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def as_document(self) -> dict[str, Any]:
        """Return the summary for machines."""
        history = self.history
        fills = [fill for fills in history.fills.values() for fill in fills]
        return {
            "passed": self.passed,
            "tape": self.tape,
            "tape_seconds": self.tape_seconds,
            "started_s": round(self.started_s, 2),
            "elapsed_s": round(self.elapsed_s, 2),
            "events": history.events,
            "users": history.users,
            "intents": history.intents,
            "orders": history.orders,
            "denials": dict(sorted(history.denials.items())),
            "fills": len(fills),
            "fill_prices": _prices_by_symbol(history),
            "trades_closed": dict(sorted(history.closings.items())),
            "orders_unknown": len(history.unknown),
            "orders_found": dict(sorted(history.found.items())),
            "orders_presumed_absent": history.presumed_absent,
            "realised": format_paise(history.realised_paise),
            "charges": format_paise(history.charges_paise),
            "latency_ms": {
                latency.name: {"p50": latency.p50_ms, "p99": latency.p99_ms, "count": latency.count}
                for latency in self.latencies
            },
            "checks": {check.name: {"passed": check.passed, "found": check.found} for check in self.checks},
        }

    def as_rich(self) -> RenderableType:
        """Return the summary for people."""
        document = self.as_document()
        counts = Table("what", "how many", title="The session", title_justify="left")
        for name in ("tape", "tape_seconds", "events", "users", "intents", "orders", "fills", "realised", "charges"):
            counts.add_row(name.replace("_", " "), str(document[name]))
        for name in ("denials", "trades_closed", "orders_found"):
            for code, count in document[name].items():
                counts.add_row(f"{name.replace('_', ' ')}: {code}", str(count))
        latencies = Table("latency", "p50 ms", "p99 ms", "samples", title="How fast", title_justify="left")
        for latency in self.latencies:
            latencies.add_row(latency.name, f"{latency.p50_ms:.2f}", f"{latency.p99_ms:.2f}", str(latency.count))
        checks = Table("", "check", "found", title="As it should be", title_justify="left")
        for check in self.checks:
            mark = Text("yes", "green") if check.passed else Text("NO", "bold red")
            checks.add_row(mark, check.name, check.found)
        ending = f"engine started in {self.started_s:.1f} s, session played in {self.elapsed_s:.1f} s"
        return Group(counts, latencies, checks, Text(ending))


def _prices_by_symbol(history: History) -> dict[str, list[str]]:
    prices: dict[str, set[int]] = {}
    for fills in history.fills.values():
        for fill in fills:
            prices.setdefault(history.symbols[fill.instrument], set()).add(fill.last_price_e4)
    return {symbol: [format_e4(price) for price in sorted(found)] for symbol, found in sorted(prices.items())}
