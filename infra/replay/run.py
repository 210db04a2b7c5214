"""Carrying out what `khata replay` was asked for."""

from typing import Protocol

from infra.problems import OperatorProblem
from infra.replay.request import Wish
from projections.ports import EventFeed
from projections.replay.aggregates import NoAggregate, Rebuilt, Step, rebuild, steps
from projections.replay.invariants import Broken, HeldAgainst, broken_in
from projections.replay.selection import HistoryReader, ReadEvent, select, stream_of


class Printer(Protocol):
    """Where it goes."""

    def at(self, sequence: int) -> None:
        """Show how far the log was read."""
        ...

    def event(self, read: ReadEvent) -> None:
        """Show one event."""
        ...

    def flush(self) -> None:
        """Show what was kept back: nothing comes for the moment."""
        ...

    async def step(self, step: Step) -> bool:
        """Show one step; False where whoever looks has seen enough."""
        ...

    def state(self, rebuilt: Rebuilt) -> None:
        """Show a state."""
        ...

    def broken(self, broken: Broken) -> None:
        """Show what an event broke that always holds."""
        ...

    def held_against(self, looked_at: HeldAgainst) -> None:
        """Show how much was held against the invariants, at the end."""
        ...


async def run_replay(wish: Wish, log: HistoryReader, feed: EventFeed, printer: Printer) -> bool:
    """Show what *wish* asks for; with the mode `follow` until canceled. Tell whether nothing was found broken.

    Raises:
        OperatorProblem: there is no such stream, trade or order, or no state of ours is folded from it.
    """
    try:
        match wish.mode:
            case "state":
                await _state(wish, log, printer)
            case "step":
                await _steps(wish, log, printer)
            case "invariants":
                return await _invariants(wish, log, printer)
            case "list" | "follow":
                await _events(wish, log, feed, printer)
    except NoAggregate as problem:
        raise OperatorProblem(f"There is no state to show: {problem}.") from None
    return True


async def _events(wish: Wish, log: HistoryReader, feed: EventFeed, printer: Printer) -> None:
    head = await log.head()
    async for read in select(log, wish.selection, on_page=printer.at):
        if wish.mode == "follow" and read.recorded.sequence > head.sequence:
            break  # The feed brings it, and what comes after it.
        printer.event(read)
    printer.flush()
    if wish.mode == "follow":
        async for batch in feed.follow(after_sequence=max(head.sequence, wish.selection.first_sequence - 1)):
            for recorded in batch:
                if wish.selection.is_past(recorded):
                    return
                if (taken := wish.selection.takes(recorded)) is not None:
                    printer.event(taken)
            printer.flush()


async def _steps(wish: Wish, log: HistoryReader, printer: Printer) -> None:
    stream_id = await stream_of(log, wish.selection)
    if stream_id is None:
        raise OperatorProblem("No event names this trade or order.")
    shown = False
    async for step in steps(log, stream_id, wish.selection):
        shown = True
        if not await printer.step(step):
            return
    if not shown:
        raise OperatorProblem(f"No event of {stream_id} is wanted, or there is no such stream.")


async def _state(wish: Wish, log: HistoryReader, printer: Printer) -> None:
    stream_id = wish.selection.stream_id or ""
    rebuilt = await rebuild(log, stream_id, at_sequence=wish.at_sequence, as_of_us=wish.as_of_us)
    if rebuilt.version == 0 and not await log.stream_page(stream_id, after_version=-1, limit=1):
        raise OperatorProblem(f"There is no stream {stream_id!r}.")
    printer.state(rebuilt)


async def _invariants(wish: Wish, log: HistoryReader, printer: Printer) -> bool:
    stream_id = wish.selection.stream_id or ""
    so_far = HeldAgainst()
    async for broken in broken_in(log, stream_id, so_far):
        printer.broken(broken)
    if not so_far.events:
        raise OperatorProblem(f"There is no stream {stream_id!r}.")
    printer.held_against(so_far)
    return so_far.broken == 0
