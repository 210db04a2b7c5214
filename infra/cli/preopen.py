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
        _print(checked)
    sys.exit(0 if ok else 1)


def _fails(point: "CheckedPoint") -> bool:
    from domain.preopen import PointStanding

    return point.standing is PointStanding.FAILING


def _print(checked: "dict[AccountId, list[CheckedPoint]]") -> None:
    if not checked:
        sys.stdout.write("No account is at work: name one.\n")
    for account_id, points in checked.items():
        sys.stdout.write(f"{account_id}\n")
        for point in points:
            sys.stdout.write(f"  {point.standing.value:<14} {point.point.value:<12} {point.detail}\n")
            if point.remedy:
                sys.stdout.write(f"  {'':<14} {'':<12} {point.remedy}\n")
