"""`khata parked`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from projections.parking import ParkedStream, Replayed

EXIT_STILL_PARKED = 1


def parked(
    *,
    replay: Annotated[
        tuple[str, str] | None,
        typer.Option("--replay", metavar="MODEL STREAM", help="Take in what waits of a stream in a read model."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """List the streams that read models could not take in, or replay one after its cause is gone."""
    from infra.logs import configure
    from infra.settings import Settings

    configure(Settings(log_level="error"))
    if replay is not None:
        _print_replay(asyncio.run(_replay(*replay)), as_json=as_json)
    else:
        _print_streams(asyncio.run(_streams()), as_json=as_json)


async def _streams() -> "list[ParkedStream]":
    from adapters.postgres.parking import PostgresParking
    from infra.reaching import reach_running_database
    from infra.settings import load
    from projections.catalogue import READ_MODELS

    async with PostgresParking((await reach_running_database(load())).projector) as parking:
        return await parking.streams(READ_MODELS)


async def _replay(name: str, stream_id: str) -> "list[Replayed]":
    from adapters.archive.parquet import ParquetArchive
    from adapters.postgres.event_store import PostgresEventStore
    from adapters.postgres.parking import PostgresParking
    from infra.places import archive_folder
    from infra.problems import OperatorProblem
    from infra.reaching import reach_running_database
    from infra.settings import load
    from projections.catalogue import READ_MODELS
    from projections.parking import replay_stream

    settings = load()
    database = await reach_running_database(settings)
    store = PostgresEventStore(database.writer, archive=ParquetArchive(archive_folder(settings)))
    async with PostgresParking(database.projector) as parking, store as log:
        waiting = [each for each in await parking.streams(READ_MODELS) if each.stream_id == stream_id]
        chosen = [each.model for each in waiting if each.model.name == name]
        if not chosen:
            raise OperatorProblem(
                f"Nothing of stream {stream_id} is parked in {name}.", remedy="`khata parked` lists what is."
            )
        return [await replay_stream(model, stream_id, parking=parking, log=log) for model in chosen]


def _print_streams(streams: "list[ParkedStream]", *, as_json: bool) -> None:
    import msgspec

    if as_json:
        lines: list[dict[str, Any]] = [
            {
                "model": each.model.name,
                "table": each.model.table_name,
                "stream_id": each.stream_id,
                "sequence": each.sequence,
                "event": each.event_name,
                "events": each.events,
                "error": each.error,
            }
            for each in streams
        ]
        sys.stdout.write(msgspec.json.encode({"parked": lines}).decode() + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    if not streams:
        sys.stdout.write("Nothing is parked.\n")
        return
    table = Table("read model", "stream", "from sequence", "event", "waiting", "why", box=None)
    for each in streams:
        row = (each.model.table_name, each.stream_id, str(each.sequence), each.event_name, str(each.events), each.error)
        table.add_row(*row)
    Console().print(table)


def _print_replay(replayed: "list[Replayed]", *, as_json: bool) -> None:
    import msgspec

    if as_json:
        lines = [
            {
                "table": each.model.table_name,
                "taken": each.taken,
                "sequence": each.obstacle[0] if each.obstacle else None,
                "error": each.obstacle[1] if each.obstacle else None,
            }
            for each in replayed
        ]
        sys.stdout.write(msgspec.json.encode({"replayed": lines}).decode() + "\n")
    else:
        for each in replayed:
            end = f"; stopped at sequence {each.obstacle[0]}: {each.obstacle[1]}" if each.obstacle else ""
            sys.stdout.write(f"{each.model.table_name}: {each.taken} events taken in{end}\n")
    if any(each.obstacle for each in replayed):
        sys.exit(EXIT_STILL_PARKED)
