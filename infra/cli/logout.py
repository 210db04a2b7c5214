"""`khata logout`."""

import sys
from typing import Annotated

import typer


def logout(*, as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False) -> None:
    """End the log-in of `khata login`, here and at the engine."""
    import msgspec

    from infra.kept_log_in import log_out
    from infra.settings import load

    log_out(load())
    if as_json:
        sys.stdout.write(msgspec.json.encode({"logged_in": False}).decode() + "\n")
    else:
        sys.stdout.write("Logged out.\n")
