"""`khata rebuild`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from projections.read_model import AnyReadModel
    from projections.rebuild import Progress

_PHASES = {
    "fill": "reading the log",
    "join": "joining the live read models",
    "compare": "comparing with the one in use",
    "switch": "pointing readers to it",
}


def rebuild(
    name: Annotated[str, typer.Argument(help="The read model, e.g. positions.")],
    *,
    back: Annotated[bool, typer.Option("--back", help="Go back to the edition in use before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Fill a read model anew beside live traffic, compare it with the one in use, and point readers to it."""
    import msgspec
    import uvloop

    from infra.logs import configure
    from infra.settings import Settings

    configure(Settings(log_level="error"))
    # The loop that the roles run on.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer = runner.run(_back(name) if back else _rebuild(name, is_quiet=as_json))
    if as_json:
        sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")
    elif back:
        sys.stdout.write(f"Readers of {name} use {answer['table']} again.\n")
    else:
        compared = answer["not_compared"] or f"{answer['compared_rows']} rows are those of the one before"
        sys.stdout.write(
            f"Readers of {name} use {answer['table']}: {answer['events']} events in {answer['seconds']:.1f} s;"
            f" {compared}.\nFor ten minutes `khata rebuild {name} --back` goes back.\n"
        )


async def _rebuild(name: str, *, is_quiet: bool) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from adapters.archive.parquet import ParquetArchive
    from adapters.clock import SystemClock
    from adapters.ids import SystemIds
    from adapters.postgres.event_store import PostgresEventStore
    from adapters.postgres.rebuilding import PostgresEditions
    from infra.places import archive_folder
    from infra.problems import OperatorProblem
    from infra.reaching import reach_running_database
    from infra.settings import load
    from projections.catalogue import READ_MODELS
    from projections.rebuild import EditionsDiffer, NotLevel, Rebuild, RebuildRunning, RebuildStopped

    model, clock = _model(name), SystemClock()
    settings = load()
    database = await reach_running_database(settings)
    archive = ParquetArchive(archive_folder(settings))
    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=is_quiet or not console.is_terminal) as bar:
        task = bar.add_task(_PHASES["fill"], total=None)

        def tell(progress: "Progress") -> None:
            bar.update(task, description=_PHASES[progress.phase], completed=progress.done, total=progress.total or None)

        async with (
            PostgresEventStore(database.writer, archive=archive) as log,
            PostgresEditions(database.projector, owner=SystemIds(clock).new("rebuild")) as editions,
        ):
            try:
                done = await Rebuild(model, READ_MODELS, log=log, editions=editions, clock=clock, tell=tell).run()
            except RebuildRunning as fault:
                raise OperatorProblem(f"{fault}.", remedy="Wait for the other rebuild to end.") from None
            except NotLevel as fault:
                raise OperatorProblem(f"{fault}.", remedy="Is a projector at work? `khata up` starts one.") from None
            except (RebuildStopped, EditionsDiffer) as fault:
                raise OperatorProblem(
                    f"{fault}.", remedy="Readers use the old one as before; nothing else was changed."
                ) from None
    return {
        "model": name,
        "table": done.edition.table_name,
        "events": done.events,
        "compared_rows": done.compared_rows,
        "not_compared": done.not_compared,
        "seconds": done.seconds,
    }


async def _back(name: str) -> dict[str, Any]:
    from adapters.clock import SystemClock
    from adapters.ids import SystemIds
    from adapters.postgres.rebuilding import PostgresEditions
    from infra.problems import OperatorProblem
    from infra.reaching import reach_running_database
    from infra.settings import load
    from projections.rebuild import NothingToGoBackTo

    database = await reach_running_database(load())
    async with PostgresEditions(database.projector, owner=SystemIds(SystemClock()).new("rebuild")) as editions:
        try:
            edition = await editions.back(_model(name))
        except NothingToGoBackTo as fault:
            raise OperatorProblem(f"{fault}.", remedy="Rebuild it: that is safe at any time.") from None
    return {"model": name, "table": edition.table_name}


def _model(name: str) -> "AnyReadModel":
    from infra.problems import OperatorProblem
    from projections.catalogue import READ_MODELS

    for model in READ_MODELS:
        if model.name == name:
            return model
    raise OperatorProblem(
        f"There is no read model {name!r}.", remedy=f"There are: {', '.join(model.name for model in READ_MODELS)}."
    )
