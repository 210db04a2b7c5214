"""`khata archive`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from adapters.postgres.archiver import Outcome
    from infra.settings import Settings


def archive(
    keep: Annotated[
        int, typer.Option(min=0, help="How many of the newest closed partitions stay in the database.")
    ] = 1,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line for machines.")] = False,
) -> None:
    """Move closed partitions of the log to Parquet files, where they are read, replayed and verified as before."""
    from infra.settings import load

    outcome = asyncio.run(_archive(load(), keep))
    if as_json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
        return
    for partition in outcome.archived:
        sys.stdout.write(f"Archived events {partition.first} to {partition.last}.\n")
    for partition in outcome.waiting:
        sys.stdout.write(
            f"Events {partition.first} to {partition.last} wait for an anchor behind them: the running engine makes one"
            " every minute.\n"
        )
    if not outcome.archived and not outcome.waiting:
        sys.stdout.write("There is nothing to archive.\n")


async def _archive(settings: "Settings", keep: int) -> "Outcome":
    import psycopg
    from rich.console import Console
    from rich.progress import Progress

    from adapters.anchor_file import AnchorFile
    from adapters.postgres.archiver import ArchiveBusy, ArchiveRefused
    from adapters.security.anchors import AnchorKey
    from domain.integrity.anchors import check_anchors
    from infra.home import Home
    from infra.keys import load_keys
    from infra.logs import configure
    from infra.places import anchors_path, archive_folder
    from infra.reaching import reach_database
    from infra.wiring.integrity import archive_log

    configure(settings)
    console = Console(stderr=True)
    async with reach_database(settings, is_migrated=True) as database:
        checked = check_anchors(
            AnchorFile(anchors_path(settings)).lines(), AnchorKey(load_keys(Home(settings.home)).signing_pem).verify
        )
        if checked.findings:
            raise OperatorProblem(
                f"The anchors are not valid: {checked.findings[0]}.",
                remedy="`khata verify` says more. Nothing was done.",
            )
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("Archiving", total=None)
            try:
                return await asyncio.to_thread(
                    archive_log,
                    database.owner,
                    archive_folder(settings),
                    anchors=checked,
                    keep=keep,
                    progress=lambda partition, sequence: progress.update(
                        task, completed=sequence - partition.first + 1, total=partition.last - partition.first + 1
                    ),
                )
            except ArchiveRefused as refused:
                raise OperatorProblem(
                    f"The log was touched: {refused}.", remedy="`khata verify` says more. Nothing was archived."
                ) from None
            except ArchiveBusy as busy:
                raise OperatorProblem(f"Nothing was archived: {busy}.", remedy="Run it again later.") from None
            except (OSError, psycopg.OperationalError) as error:
                raise OperatorProblem(
                    f"Archiving broke off: {error}.", remedy="Nothing is lost; run it again, and it goes on from there."
                ) from error
