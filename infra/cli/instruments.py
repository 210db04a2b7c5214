"""`khata instruments`."""

import asyncio
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.instrument import InstrumentKind, Segment
from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from adapters.instrument_store.changes import Change
    from domain.instrument import Instrument, InstrumentKey
    from domain.instrument_master import InstrumentsImported
    from infra.instruments import Imported

EXIT_DIFFERS = 1
ROWS_MAX = 20
AsJson = Annotated[bool, typer.Option("--json", help="Print one line for machines.")]

instruments = typer.Typer(
    name="instruments", help="The instrument master: what can be traded, as a broker tells it.", no_args_is_help=True
)


@instruments.command("import")
def import_master(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Dhan's scrip master, compact or detailed (also .gz).", exists=True, dir_okay=False
        ),
    ],
    *,
    day: Annotated[
        datetime | None,
        typer.Option("--day", formats=["%Y-%m-%d"], help="The exchange's day that it is of. Without: today."),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="It is a part of a master: what it lacks is not gone.")
    ] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="It is all there is, although it lacks much of what is listed.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="The files of earlier versions are lost: begin the history again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a broker's master the next version of ours: from its day on it holds, and what held before is kept.

    The log records what it changed. Running processes go on with what they started with; the next start uses it.
    """
    if partial and complete:
        raise OperatorProblem("Nothing was imported.", remedy="Say --partial or --complete, not both.")
    on = None if day is None else day.date()
    imported = asyncio.run(_import(file, on, is_partial=partial, is_complete=complete, is_anew=anew))
    _tell_import(imported, as_json=as_json)


async def _import(file: Path, day: "date | None", *, is_partial: bool, is_complete: bool, is_anew: bool) -> "Imported":
    from adapters.dhan.scrip_master import ScripMasterInvalid, read_scrip_master
    from domain.market import trading_day
    from infra.instruments import import_master, open_imports, store_of
    from infra.logs import configure
    from infra.reaching import reach_database
    from infra.settings import load

    settings = load()
    configure(settings)
    on = day or trading_day(time.time_ns())
    try:
        read = await asyncio.to_thread(read_scrip_master, file, on=on)
    except ScripMasterInvalid as invalid:
        raise OperatorProblem(f"Nothing was imported: {invalid}.") from None
    async with reach_database(settings, is_migrated=True) as urls, open_imports(settings, urls) as imports:
        return await import_master(
            imports, store_of(settings), read, on=on, is_partial=is_partial, is_complete=is_complete, is_anew=is_anew
        )


def _tell_import(imported: "Imported", *, as_json: bool) -> None:
    import msgspec

    event = imported.event
    if as_json:
        _print_json({"sequence": imported.sequence, "imported": msgspec.to_builtins(event)})
        return
    write = sys.stdout.write
    if imported.sequence is None:
        write(f"It says nothing new beside version {event.version} of {event.day}.\n")
        return
    _tell_event(event)
    write("The next start of the engine uses it.\n")


@instruments.command("diff")
def diff(
    version: Annotated[int | None, typer.Argument(help="Which version. Without: the newest.", min=1)] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what an import changed: instruments that are new, others than before, renamed, delisted, expired."""
    import msgspec

    from infra.instruments import changes_in
    from infra.settings import load

    number, changes = changes_in(load(), version)
    if as_json:
        _print_json({"version": number, **msgspec.to_builtins(changes)})
        return
    write = sys.stdout.write
    for kind in changes.__struct_fields__:
        found: list[Change] = getattr(changes, kind)
        write(f"{kind}: {len(found):,}\n")
        for change in found[:ROWS_MAX]:
            fields = ", ".join(f"{name} {before} → {after}" for name, (before, after) in change.fields.items())
            write(f"  {change.symbol} ({change.key}){f': {fields}' if fields else ''}\n")
        if len(found) > ROWS_MAX:
            write("  … (--json has all)\n")


@instruments.command("imports")
def imports(*, as_json: AsJson = False) -> None:
    """List the imports that the log has, and whether the files that are used are those of the newest."""
    import msgspec

    events, problem = asyncio.run(_imports())
    if as_json:
        _print_json({"imports": msgspec.to_builtins(events), "problem": problem})
    else:
        for event in events:
            _tell_event(event)
        if not events:
            sys.stdout.write("Nothing was imported: the table that is shipped is used.\n")
        if problem:
            sys.stdout.write(f"{problem}\n")
    if problem:
        raise typer.Exit(EXIT_DIFFERS)


async def _imports() -> "tuple[list[InstrumentsImported], str]":
    from infra.instruments import difference_of, open_imports
    from infra.logs import configure
    from infra.reaching import reach_database
    from infra.settings import load

    settings = load()
    configure(settings)
    async with reach_database(settings) as urls, open_imports(settings, urls) as recorded:
        events = await recorded.every()
    return events, difference_of(settings, events[-1] if events else None)


@instruments.command("search")
def search(
    words: Annotated[list[str], typer.Argument(metavar="WORD…", help="Words of symbol, name or ISIN, in any order.")],
    *,
    segment: Annotated[Segment | None, typer.Option("--segment", help="Only of this segment.")] = None,
    kind: Annotated[InstrumentKind | None, typer.Option("--kind", help="Only of this kind.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="So many at most.")] = ROWS_MAX,
    as_json: AsJson = False,
) -> None:
    """Find instruments by words: by their beginnings, in any order, typing errors forgiven."""
    import msgspec

    from infra.instruments import directory_of, load_master
    from infra.settings import load
    from projections.ports import InstrumentsUnreadable

    settings = load()
    directory = directory_of(settings, load_master(settings))
    try:
        found = asyncio.run(
            directory.search(" ".join(words), market_time_ns=time.time_ns(), segment=segment, kind=kind, limit=limit)
        )
    except InstrumentsUnreadable as unreadable:
        raise OperatorProblem(f"The instrument master cannot be searched: {unreadable}.") from None
    if as_json:
        _print_json({"instruments": msgspec.to_builtins(found), "master_version": directory.version})
        return
    _print_table(found)


@instruments.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="SYMBOL", help="A symbol, or segment and id such as NSE_EQ:2885.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what an instrument was and is defined as; delisted and renamed ones keep their history."""
    import msgspec

    from domain.refusals import InvalidInput
    from infra.instruments import load_master
    from infra.settings import load

    master = load_master(load())
    key = _key_of(name) or master.find_key(name)
    if key is None:
        try:
            key = master.by_symbol(name, market_time_ns=time.time_ns()).key
        except InvalidInput as refusal:
            raise OperatorProblem(
                f"There is no such instrument: {refusal.message}.", remedy="`khata instruments search` finds symbols."
            ) from None
    dated = master.definitions(key)
    if not dated:
        raise OperatorProblem(f"There is no instrument {key}.", remedy="`khata instruments search` finds symbols.")
    if as_json:
        _print_json({"definitions": msgspec.to_builtins(dated), "master_version": master.version})
        return
    for each in dated:
        since, until = each.valid_from or "the beginning", each.valid_until or "now"
        fields = msgspec.to_builtins(each.instrument)
        del fields["key"]
        sys.stdout.write(f"{each.instrument.key} from {since} until {until}:\n")
        for field, value in fields.items():
            sys.stdout.write(f"  {field}: {value}\n")


def _key_of(name: str) -> "InstrumentKey | None":
    from domain.instrument import InstrumentKey

    before, _, security_id = name.partition(":")
    if before not in set(Segment) or not (security_id.isascii() and security_id.isalnum()):
        return None
    return InstrumentKey(Segment(before), security_id)


def _tell_event(event: "InstrumentsImported") -> None:
    write = sys.stdout.write
    write(f"Version {event.version} of {event.day} ({event.layout}), content {event.content_hash[:12]}:\n")
    write(f"  {event.listed:,} instruments are listed; {event.added:,} new, {event.changed:,} changed")
    write(f" ({event.renamed:,} of them renamed), {event.delisted:,} delisted, {event.expired:,} expired.\n")
    if event.unusable:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in event.unusable.items())
        write(
            f"  {sum(event.unusable.values()):,} of {event.rows:,} rows define nothing that can be used: {reasons}.\n"
        )


def _print_table(found: "Sequence[Instrument]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("symbol", "key", "kind", "name", "last day", "tradable", box=None)
    for each in found:
        row = (each.symbol, str(each.key), each.kind.value, each.name, each.expires_on or "")
        table.add_row(*row, "yes" if each.tradable else "no")
    Console().print(table)


def _print_json(document: "dict[str, Any]") -> None:
    import msgspec

    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
