"""`khata preopen`."""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from domain.ids import AccountId
    from domain.preopen import CheckedPoint


def preopen(
    account_id: Annotated[
        str | None, typer.Argument(metavar="[ACCOUNT_ID]", help="Of this account; default: of all at work.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Look now at what could keep an account from trading today; end with 0 only if nothing does."""
    from infra.broker_state import look_before_opening
    from infra.settings import load

    checked = asyncio.run(look_before_opening(load(), account_id))
    ok = all(not _fails(point) for points in checked.values() for point in points)
    if as_json:
        import msgspec

        sys.stdout.write(json.dumps({"ok": ok, "accounts": msgspec.to_builtins(checked)}) + "\n")
    else:
        sys.stdout.write("\n".join(lines_of(checked)) + "\n")
    sys.exit(0 if ok else 1)


def _fails(point: "CheckedPoint") -> bool:
    from domain.preopen import PointStanding

    return point.standing is PointStanding.FAILING


def lines_of(checked: "dict[AccountId, list[CheckedPoint]]") -> list[str]:
    """Return what is printed of *checked*: a line a point, and one more for what to do about it."""
    if not checked:
        return ["No account is at work: name one."]
    lines: list[str] = []
    for account_id, points in checked.items():
        lines.append(account_id)
        for point in points:
            lines.append(f"  {point.standing.value:<14} {point.point.value:<12} {point.detail}")
            if point.remedy:
                lines.append(f"  {'':<27} {point.remedy}")
    return lines
