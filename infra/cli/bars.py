"""`khata bars`."""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from adapters.bars.reading import BarsRead
    from domain.instrument import InstrumentKey
    from infra.bars import Imported

EXIT_FAULTY = 1
NAMES_MAX = 10

bars = typer.Typer(name="bars", help="Stored daily bars: what values the past and tells value at risk.")


@bars.callback()
def _group() -> None:
    """Keep `import` a word of its own, although it is the only one so far."""


@bars.command("import")
def import_bars(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="CSV (also .gz) or Parquet.", exists=True, dir_okay=False)
    ],
    *,
    adjusted: Annotated[
        bool, typer.Option("--adjusted", help="Prices are adjusted for splits and bonuses, not as they were traded.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Forget what was stored of these instruments.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Store daily bars from files: all of them, or none if a row is no bar. Importing the same again changes nothing.

    Known are columns symbol (or security_id and segment), date, open, high, low, close, volume and perhaps
    adjusted_close; the exchange's end-of-day files; and daily candles of Dhan with timestamp_utc, which are always
    adjusted. Import both kinds one after another, in any order: days that have both keep what was traded and the
    adjusted close.
    """
    from adapters.bars.reading import FilesFaulty

    try:
        read, imported = _import(files, is_adjusted=adjusted, is_replaced=replace)
    except FilesFaulty as faulty:
        _tell_faults(faulty, as_json=as_json)
        raise typer.Exit(EXIT_FAULTY) from None
    _tell(read, imported, as_json=as_json)


def _import(
    files: list[Path], *, is_adjusted: bool, is_replaced: bool
) -> "tuple[BarsRead, dict[InstrumentKey, Imported]]":
    from rich.console import Console
    from rich.progress import Progress

    from adapters.bars.parquet import ParquetBars
    from adapters.bars.reading import BarFiles
    from infra.bars import store_bars
    from infra.home import Home
    from infra.instruments import load_master
    from infra.settings import load

    settings = load()
    reading = BarFiles(load_master(settings).find_key, is_adjusted=is_adjusted)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for path in files:
            task = progress.add_task(f"Reading {path.name}", total=None)
            reading.add(path, progress=partial(_show_rows, progress, task))
            progress.remove_task(task)
        read = reading.finish()
        if not read.bars:
            raise OperatorProblem(
                "None of the files has a bar of an instrument that is known.",
                remedy="Symbols are those of the instrument master; others go by security_id and segment.",
            )
        task = progress.add_task("Storing", total=len(read.bars))
        imported = asyncio.run(
            store_bars(
                ParquetBars(Home(settings.home).daily_bars),
                read,
                is_replaced=is_replaced,
                progress=lambda: progress.advance(task),
            )
        )
    return read, imported


def _show_rows(progress: "Progress", task: "TaskID", rows: int) -> None:
    progress.update(task, completed=rows)


def _tell_faults(faulty: Exception, *, as_json: bool) -> None:
    import msgspec

    from adapters.bars.reading import FilesFaulty

    assert isinstance(faulty, FilesFaulty)
    if as_json:
        document = {"stored": False, "faults": faulty.faults}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    for fault in faulty.faults:
        where = fault.file if fault.line is None else f"{fault.file}:{fault.line}"
        sys.stderr.write(f"{where}: {fault.code}: {fault.message}\n")
    sys.stderr.write("khata: nothing was stored.\n")


def _tell(read: "BarsRead", imported: "dict[InstrumentKey, Imported]", *, as_json: bool) -> None:
    import msgspec

    if as_json:
        document = {
            "stored": True,
            "rows": read.rows,
            "repeated": read.repeated,
            "widened": read.widened,
            "other_series": read.other_series,
            "unknown_symbols": sorted(read.unknown),
            "instruments": {str(key): each for key, each in imported.items()},
        }
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    write = sys.stdout.write
    for key, each in imported.items():
        change = f"{each.new} new, {each.changed} changed" if each.new or each.changed else "nothing new"
        write(f"{key}: {each.bars:,} bars from {each.first_day} to {each.last_day} ({change}).\n")
        for jump in each.jumps:
            write(f"  Its adjusted close moved by {jump.percent} % on {jump.day}: is a split or bonus missing?\n")
    if read.widened:
        write(f"{read.widened:,} rows had an open or close a little outside high and low, which now contain it.\n")
    if read.other_series:
        write(f"{read.other_series:,} rows are of other series than EQ and BE, and were passed over.\n")
    if read.unknown:
        names = ", ".join(sorted(read.unknown)[:NAMES_MAX])
        write(f"{len(read.unknown):,} symbols are not in the instrument master, and were passed over: {names}")
        write(" …\n" if len(read.unknown) > NAMES_MAX else ".\n")
