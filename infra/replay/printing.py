"""How a replay is shown: tables and differences for people, JSON lines for machines."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import IO, Any

import msgspec
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from domain.account.invariants import in_words
from infra.replay.request import time_text
from projections.replay.aggregates import Rebuilt, Step
from projections.replay.invariants import Broken, HeldAgainst
from projections.replay.selection import ReadEvent
from projections.replay.trees import Change, leaves

ROWS = 200
WIDE = 150
"""Columns from which on there is room for the stream beside the content, whose ids mostly name it."""
_STYLES = {"+": "green", "-": "red", "~": "yellow"}
_ASK = "Enter: next · a: all the rest · q: end "


class Progress:
    """How far the log was read, on *console* while nothing else is shown; None: nobody looks."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._status: Status | None = None

    def at(self, sequence: int) -> None:
        """Show it."""
        if self._console is not None:
            if self._status is None:
                self._status = self._console.status("")
                self._status.start()
            self._status.update(f"read up to sequence {sequence}")

    def end(self) -> None:
        """Show nothing any more."""
        status, self._status = self._status, None
        if status is not None:
            status.stop()


class TablePrinter:
    """Prints for a person. *erased* are the users whose personal fields can never be opened again."""

    def __init__(self, console: Console | None = None, *, erased: frozenset[str] = frozenset()) -> None:
        self._console = console or Console()
        self._erased = erased
        self._kept: list[ReadEvent] = []
        self._has_header = False
        self._asks = self._console.is_terminal and self._console.is_interactive
        self._progress = Progress(self._console if self._asks else None)

    def at(self, sequence: int) -> None:
        """Show how far the log was read."""
        self._progress.at(sequence)

    def event(self, read: ReadEvent) -> None:
        """Show one event, with others of its page."""
        self._kept.append(read)
        if len(self._kept) >= ROWS:
            self._print_kept()

    def flush(self) -> None:
        """Show the events kept back: the log was read, for the moment."""
        self._progress.end()
        self._print_kept()

    def _print_kept(self) -> None:
        kept, self._kept = self._kept, []
        if not kept:
            return
        is_wide = self._console.width >= WIDE
        table = Table(box=None, show_header=not self._has_header, padding=(0, 1), expand=True)
        table.add_column("sequence", justify="right", width=9, no_wrap=True)
        table.add_column("recorded (exchange)", width=26 if is_wide else 19, no_wrap=True, overflow="crop")
        if is_wide:
            table.add_column("stream", width=40, no_wrap=True, overflow="ellipsis")
            table.add_column("v", justify="right", width=5, no_wrap=True)
        table.add_column("event", width=24, no_wrap=True, overflow="ellipsis")
        table.add_column("content", ratio=1, overflow="fold")
        for read in kept:
            recorded = read.recorded
            place = (recorded.stream_id, str(recorded.version)) if is_wide else ()
            table.add_row(
                str(recorded.sequence),
                time_text(recorded.recorded_at_us),
                *place,
                Text(recorded.name, style="dim" if read.event is None else "bold"),
                Text(self._content(read)),
            )
        self._has_header = True
        self._console.print(table)

    async def step(self, step: Step) -> bool:
        """Show one event and what it changed; on a terminal ask whether to go on."""
        recorded = step.read.recorded
        self._console.rule(
            f"{recorded.sequence} · {recorded.name} · {time_text(recorded.recorded_at_us)}", align="left"
        )
        self._console.print(Text(self._content(step.read)), highlight=False)
        self._print_changes(step.changes)
        if not self._asks:
            return True
        with suppress(EOFError):
            said = await asyncio.to_thread(self._console.input, _ASK)
            self._asks = said.strip().lower() != "a"
            return said.strip().lower() != "q"
        return False

    def state(self, rebuilt: Rebuilt) -> None:
        """Show a state leaf by leaf."""
        self._console.rule(
            f"{rebuilt.stream_id} · version {rebuilt.version} · sequence {rebuilt.sequence}", align="left"
        )
        if rebuilt.opaque:
            self._console.print(f"[yellow]{rebuilt.opaque} events are opaque to this release and not in it.[/]")
        for path, text in leaves(rebuilt.state):
            self._console.print(Text(f"{path}: {text}"), highlight=False)

    def broken(self, broken: Broken) -> None:
        """Show what an event broke, with the event's place."""
        recorded = broken.recorded
        self._console.print(
            Text(f"sequence {recorded.sequence} · {recorded.name} · version {recorded.version}", style="red"),
            Text(in_words(broken.found)),
            highlight=False,
        )

    def held_against(self, looked_at: HeldAgainst) -> None:
        """Show how much was looked at."""
        found = "nothing is broken" if not looked_at.broken else f"{looked_at.broken:,} breaches"
        self._console.print(f"{looked_at.events:,} events held against the invariants: {found}.", highlight=False)

    def _print_changes(self, found: Iterable[Change]) -> None:
        shown = False
        for change in found:
            line, shown = str(change), True
            self._console.print(Text(f"  {line}", style=_STYLES[line[0]]), highlight=False)
        if not shown:
            self._console.print("  [dim]the state stays as it was[/]")

    def _content(self, read: ReadEvent) -> str:
        if read.obstacle is not None:
            return f"({read.obstacle})"
        return "  ".join(f"{path}={text}" for path, text in leaves(read.tree(erased=self._erased)))


class JsonPrinter:
    """Prints one document a line to *out*, and how far the log was read to another console where there is one."""

    def __init__(self, out: IO[str], *, erased: frozenset[str] = frozenset(), progress: Console | None = None) -> None:
        self._out = out
        self._erased = erased
        self._progress = Progress(progress)

    def at(self, sequence: int) -> None:
        """Show how far the log was read."""
        self._progress.at(sequence)

    def event(self, read: ReadEvent) -> None:
        """Write an event."""
        self._write(self._document(read))

    def flush(self) -> None:
        """Have it read."""
        self._progress.end()
        self._out.flush()

    async def step(self, step: Step) -> bool:
        """Write an event with the state before and after it."""
        changed = [_change(each) for each in step.changes]
        self._write({**self._document(step.read), "before": step.before, "after": step.after, "changes": changed})
        return True

    def state(self, rebuilt: Rebuilt) -> None:
        """Write a state."""
        self._write(
            {
                "stream_id": rebuilt.stream_id,
                "version": rebuilt.version,
                "sequence": rebuilt.sequence,
                "recorded_at": time_text(rebuilt.recorded_at_us) if rebuilt.version else None,
                "opaque": rebuilt.opaque,
                "state": rebuilt.state,
            }
        )

    def broken(self, broken: Broken) -> None:
        """Write what an event broke."""
        recorded, found = broken.recorded, broken.found
        self._write(
            {
                "sequence": recorded.sequence,
                "recorded_at": time_text(recorded.recorded_at_us),
                "stream_id": recorded.stream_id,
                "version": recorded.version,
                "name": recorded.name,
                "invariant": found.invariant.value,
                "subject": found.subject,
                "expected": found.expected,
                "seen": found.seen,
                "trade_ids": found.trade_ids,
                "order_ids": found.order_ids,
            }
        )

    def held_against(self, looked_at: HeldAgainst) -> None:
        """Write how much was looked at."""
        self._write({"events": looked_at.events, "broken": looked_at.broken})

    def _document(self, read: ReadEvent) -> dict[str, Any]:
        recorded = read.recorded
        return {
            "sequence": recorded.sequence,
            "recorded_at": time_text(recorded.recorded_at_us),
            "stream_id": recorded.stream_id,
            "version": recorded.version,
            "name": recorded.name,
            "command_id": recorded.command_id,
            "metadata": _metadata(recorded.metadata),
            "hash": recorded.hash.hex(),
            "event": None if read.event is None else read.tree(erased=self._erased),
            "obstacle": read.obstacle,
        }

    def _write(self, document: dict[str, Any]) -> None:
        self._out.write(msgspec.json.encode(document).decode() + "\n")


def _change(change: Change) -> dict[str, str | None]:
    return {"path": change.path, "before": change.before, "after": change.after}


def _metadata(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None  # Written by an application that is not ours.
