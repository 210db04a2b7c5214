"""`khata erase`."""

import asyncio
import sys
from typing import Annotated

import typer

from infra.problems import OperatorProblem


def erase(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="Whose personal data to erase, such as usr_…")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Erase a user's personal data for ever: their key is destroyed, here and for every backup of the log."""
    import json

    if not yes:
        typer.confirm(f"Erase the personal data of {user_id} for ever?", abort=True)
    sequence = asyncio.run(_erase(user_id))
    if as_json:
        sys.stdout.write(json.dumps({"user_id": user_id, "sequence": sequence}) + "\n")
    else:
        sys.stdout.write(f"{user_id} is erased. Views show it from sequence {sequence} on; nobody logs in as them.\n")


async def _erase(user_id: str) -> int:
    from commands.ports import AppendOutcomeUnknown, StoreUnavailable
    from domain.ids import UserId
    from domain.user.decide import UserUnknown
    from infra.erasing import BY_OPERATOR, open_erasing
    from infra.home import Home
    from infra.keys import load_keys
    from infra.logs import configure
    from infra.reaching import reach_database
    from infra.settings import load

    settings = load()
    configure(settings)
    try:
        async with (
            reach_database(settings) as urls,
            open_erasing(settings, load_keys(Home(settings.home)), urls) as erasing,
        ):
            return await erasing.erase(UserId(user_id), BY_OPERATOR)
    except UserUnknown as refusal:
        raise OperatorProblem(f"There is no such user: {refusal.message}.") from None
    except (StoreUnavailable, AppendOutcomeUnknown) as fault:
        raise OperatorProblem(
            f"Erased in part: {fault}.", remedy="Run the same command again until it succeeds."
        ) from fault
