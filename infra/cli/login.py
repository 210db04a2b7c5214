"""`khata login`."""

import sys
from typing import Annotated

import typer


def login(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="As whom.")],
    *,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Log in to the engine that runs, for `khata orders`, `trades` and `positions`; `khata logout` ends it."""
    import msgspec

    from infra.kept_log_in import log_in
    from infra.settings import load

    settings = load()
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else _asked()
    answer = log_in(settings, email, password)
    if as_json:
        told = {"logged_in": True, "refresh_expires_in": answer.refresh_expires_in}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        sys.stdout.write(
            f"Logged in. Come back within {answer.refresh_expires_in // 86_400} days, and you still are.\n"
        )


def _asked() -> str:
    password: str = typer.prompt("Password", hide_input=True, err=True)
    return password
