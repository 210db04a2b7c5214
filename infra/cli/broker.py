"""`khata broker`."""

import asyncio
import json
import sys
from typing import Annotated

import typer

from infra.cli.doctor import print_checks

AsJson = Annotated[bool, typer.Option("--json", help="Print one line for machines.")]

broker = typer.Typer(
    name="broker", help="The way to the broker: tokens, budgets, breakers, held-back orders.", no_args_is_help=True
)


@broker.command("status")
def status(*, as_json: AsJson = False) -> None:
    """Show how it stands with the broker, as the running executor tells it."""
    from infra.broker_state import broker_status, checks_of
    from infra.settings import load

    told = asyncio.run(broker_status(load()))
    checks = checks_of(told)
    ok = all(check.ok for check in checks)
    if as_json:
        sys.stdout.write(json.dumps({"ok": ok, "broker": told}) + "\n")
    else:
        print_checks(checks)
    sys.exit(0 if ok else 1)


@broker.command("release")
def release(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT_ID", help="Whose orders, such as acc_…")],
    *,
    as_json: AsJson = False,
) -> None:
    """Let an account's orders through again that are held back since the broker refused this machine's address."""
    from infra.broker_state import release_writes
    from infra.settings import load

    released = asyncio.run(release_writes(load(), account_id))
    if as_json:
        sys.stdout.write(json.dumps({"account_id": account_id, "released": released}) + "\n")
        return
    said = "go through again" if released else "were not held back"
    sys.stdout.write(f"Orders of {account_id} {said}.\n")
