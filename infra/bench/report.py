"""What a bench found: measures beside their yardsticks, what they depend on, and whether its own checks held."""

from typing import Any, Literal

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Better = Literal["higher", "lower"]
_WHOLE_FROM = 1_000


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `ratio` is ours by yardstick, None where there is none. `better` says which direction is good."""

    ours: float
    yardstick: float | None
    ratio: float | None
    better: Better
    unit: str


class Report(msgspec.Struct, kw_only=True):
    """A bench's outcome. `broken` lists checks that failed: then the figures mean nothing."""

    bench: str
    measures: dict[str, Measure] = msgspec.field(default_factory=dict)
    notes: dict[str, str] = msgspec.field(default_factory=dict)
    broken: list[str] = msgspec.field(default_factory=list)

    def add(self, name: str, ours: float, *, unit: str, better: Better, yardstick: float | None = None) -> None:
        """Hand in a figure under its stable name."""
        ratio = ours / yardstick if yardstick else None
        self.measures[name] = Measure(ours=ours, yardstick=yardstick, ratio=ratio, better=better, unit=unit)

    def note(self, name: str, value: object) -> None:
        """Say what the figures depend on."""
        self.notes[name] = str(value)

    def check(self, claim: str, *, holds: bool) -> None:
        """Record a claim that does not hold."""
        if not holds:
            self.broken.append(claim)

    def as_document(self) -> dict[str, Any]:
        """Return the report for machines; the shape of `measures` is stable."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    def as_rich(self) -> RenderableType:
        """Return the report for people."""
        table = Table("measure", box=None)
        for heading in ("ours", "yardstick", "ratio"):
            table.add_column(heading, justify="right")
        table.add_column("unit")
        table.add_column("better")
        for name, measure in self.measures.items():
            table.add_row(
                f"{self.bench}.{name}",
                _figure(measure.ours),
                _figure(measure.yardstick),
                _figure(measure.ratio),
                measure.unit,
                measure.better,
            )
        notes = [Text(f"{name}: {value}", style="dim") for name, value in self.notes.items()]
        broken = [Text(f"does not hold: {claim}", style="bold red") for claim in self.broken]
        return Group(table, *notes, *broken)


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= _WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 1 else f"{value:.2f}"
