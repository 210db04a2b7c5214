"""`khata backup`."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.problems import OperatorProblem

_TOLD = """\
The backup in {folder} holds every event up to sequence {sequence} (epoch {epoch}), and was verified.
  Not in it, and needed for a restore: the keys folder {keys}. Keep a copy of it apart from this one.
  Not in it: the users' data keys and the list of erasures (`khata backup --user-keys DIR2`, somewhere else, kept a
  week), the archive, the anchors and the paper exchange's books. A restore leaves those of this home as they are.
"""


def backup(
    folder: Annotated[Path | None, typer.Argument(metavar="DIR", help="Where to; must not exist or be empty.")] = None,
    *,
    user_keys: Annotated[
        Path | None, typer.Option(help="Back up the users' data keys into this folder instead, apart from every DIR.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Back up the log and its read models, verified, while the engine runs or not; or the users' keys alone."""
    import msgspec

    from infra.home import Home
    from infra.logs import configure
    from infra.progress import progress_bar
    from infra.settings import load

    settings = load()
    configure(settings)
    if (folder is None) == (user_keys is None):
        raise OperatorProblem(
            "Expected a folder, or --user-keys with another: never both.",
            remedy="One backup that held the log and the keys would undo every erasure.",
        )
    if user_keys is not None:
        _back_up_keys(user_keys, as_json=as_json)
        return
    from infra.backup.taking import take_backup

    assert folder is not None, "one of the two is there"
    with progress_bar(is_quiet=as_json) as progress:
        record = asyncio.run(take_backup(settings, folder, progress))
    if as_json:
        sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
        return
    keys = Home(settings.home).keys
    sys.stdout.write(_TOLD.format(folder=folder, sequence=record.sequence_min, epoch=record.epoch, keys=keys))


def _back_up_keys(folder: Path, *, as_json: bool) -> None:
    import msgspec

    from commands.ports import StoreUnavailable
    from infra.backup.user_keys import KEEP_DAYS, backup_user_keys
    from infra.settings import load

    try:
        file, count = asyncio.run(backup_user_keys(load(), folder))
    except StoreUnavailable as fault:
        raise OperatorProblem(f"The users' keys cannot be read: {fault}.") from fault
    if as_json:
        sys.stdout.write(msgspec.json.encode({"file": str(file), "keys": count}).decode() + "\n")
    else:
        sys.stdout.write(
            f"{file} holds {count} keys, wrapped. Files there that are older than {KEEP_DAYS} days were destroyed:"
            " a copy that you keep longer keeps what was erased.\n"
        )
