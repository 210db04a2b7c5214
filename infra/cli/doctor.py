"""`khata doctor`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infra.check import Check


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines")] = False,
) -> None:
    """Check settings, keys and servers, and say what to do about what is wrong."""
    import msgspec

    from infra.checks import check_everything
    from infra.settings import describe, load

    settings = load()
    checks = asyncio.run(check_everything(settings))
    ok = all(check.ok for check in checks)
    if as_json:
        answer = {"ok": ok, "checks": checks, "settings": {row.variable: row.value for row in describe(settings)}}
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    else:
        print_checks(checks)
    sys.exit(0 if ok else 1)


def print_checks(checks: "Sequence[Check]") -> None:
    """Show what was looked at as a table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "Check", "Finding", "What to do", box=None)
    for check in checks:
        table.add_row("[green]ok[/]" if check.ok else "[red]!![/]", check.name, check.detail, check.remedy)
    Console().print(table)
