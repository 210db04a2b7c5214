"""`khata restore`."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from infra.backup.restoring import Restored


def restore(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="What `khata backup` wrote.")] = None,
    *,
    accept: Annotated[
        bool, typer.Option("--accept", help="The database was put back or moved on purpose: begin a new epoch on it.")
    ] = False,
    user_keys: Annotated[
        Path | None,
        typer.Option(help="Put back users' keys that are missing, never those of erased users; before DIR."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Put the log back to a backup, in a new epoch, with every erasure applied again. The engine must be stopped."""
    import msgspec

    from infra.backup.user_keys import restore_user_keys
    from infra.logs import configure
    from infra.progress import progress_bar
    from infra.settings import load

    settings = load()
    configure(settings)
    if (folder is not None) + accept + (user_keys is not None) != 1:
        raise OperatorProblem("Expected one of: a folder, --accept, --user-keys FILE.")
    if user_keys is not None:
        count = asyncio.run(restore_user_keys(settings, user_keys))
        sys.stdout.write(f'{{"keys":{count}}}\n' if as_json else f"{count} keys were put back.\n")
        return
    from infra.backup.restoring import accept_restore, restore_backup

    with progress_bar(is_quiet=as_json) as progress:
        work = accept_restore(settings) if folder is None else restore_backup(settings, folder, progress)
        done = asyncio.run(work)
    sys.stdout.write(msgspec.json.encode(asdict(done)).decode() + "\n" if as_json else _told(done))


def _told(done: "Restored") -> str:
    lines = [f"The log ends at sequence {done.sequence}, in the new epoch {done.epoch}."]
    if done.lost_to:
        lines.append(
            f"Events {done.lost_from} to {done.lost_to} are lost. Orders among them may be at the broker:"
            " compare its books with `khata replay` before you trade."
        )
    if done.erasures:
        lines.append(f"Erasures applied again: {done.erasures}.")
    if done.kept_as:
        lines.append(f"What was there before lies in {done.kept_as}: remove it once you are sure.")
    lines.append("`khata up` starts the engine on it.")
    return "\n  ".join(lines) + "\n"
