"""`khata replay`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from infra.replay.request import Mode, Wish

EXIT_BROKEN = 1


def replay(
    *,
    account: Annotated[str | None, typer.Option(help="Events of this account.")] = None,
    user: Annotated[str | None, typer.Option(help="Events of this user.")] = None,
    stream: Annotated[str | None, typer.Option(help="Events of this stream, such as account-acc_….")] = None,
    trade: Annotated[str | None, typer.Option(help="Events that name this trade.")] = None,
    order: Annotated[str | None, typer.Option(help="Events that name this order.")] = None,
    name: Annotated[list[str] | None, typer.Option(help="Stored names; * and ? are wildcards. Repeatable.")] = None,
    since: Annotated[str | None, typer.Option(help="ISO time; without an offset it is the exchange's.")] = None,
    until: Annotated[str | None, typer.Option(help="ISO time, included.")] = None,
    first: Annotated[int, typer.Option("--from-sequence", min=1, help="First sequence.")] = 1,
    last: Annotated[int | None, typer.Option("--to-sequence", min=1, help="Last sequence, included.")] = None,
    step: Annotated[
        bool, typer.Option("--step", help="Step through one aggregate: the state before and after.")
    ] = False,
    state: Annotated[str | None, typer.Option(help="Rebuild the aggregate of this stream and print its state.")] = None,
    at_sequence: Annotated[int | None, typer.Option(min=0, help="With --state: as it was at this sequence.")] = None,
    as_of: Annotated[str | None, typer.Option(help="With --state: as it was at this ISO time.")] = None,
    invariants: Annotated[
        bool,
        typer.Option("--invariants", help="Hold an account's past against what always holds; end with 1 if it broke."),
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what is recorded from now on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
) -> None:
    """Show what happened: events, each step of an aggregate, or its state at any point."""
    from infra.logs import configure
    from infra.replay.request import Wish
    from infra.settings import load, override

    settings = load()
    configure(override(settings, log_level="error"))
    wish = Wish.of(
        streams=(stream, account and f"account-{account}", user and f"user-{user}", state),
        trade_id=trade,
        order_id=order,
        names=tuple(name or ()),
        times=(since, until, as_of),
        sequences=(first, last, at_sequence),
        mode=_mode(state=bool(state), invariants=invariants, step=step, follow=follow),
    )
    try:
        holds = asyncio.run(_run(wish, as_json=as_json))
    except (KeyboardInterrupt, BrokenPipeError):
        sys.stderr.close()  # Whoever read along has left, in the usual way.
        return
    sys.exit(0 if holds else EXIT_BROKEN)


def _mode(*, state: bool, invariants: bool, step: bool, follow: bool) -> "Mode":
    if state:
        return "state"
    if invariants:
        return "invariants"
    if step:
        return "step"
    return "follow" if follow else "list"


async def _run(wish: "Wish", *, as_json: bool) -> bool:
    from rich.console import Console

    from adapters.archive.parquet import ParquetArchive
    from adapters.postgres.history import PostgresHistory
    from adapters.postgres.log_feed import PostgresFeed
    from adapters.postgres.reading import LogHole
    from adapters.security.erasures import ErasureList
    from commands.ports import StoreUnavailable
    from infra.home import Home
    from infra.places import archive_folder
    from infra.reaching import reach_database
    from infra.replay.printing import JsonPrinter, TablePrinter
    from infra.replay.run import run_replay
    from infra.settings import load

    settings = load()
    erased = ErasureList(Home(settings.home).erasures).users()
    # On one terminal, lines and a moving status would run into each other.
    progress = Console(stderr=True) if sys.stderr.isatty() and not sys.stdout.isatty() else None
    printer = JsonPrinter(sys.stdout, erased=erased, progress=progress) if as_json else TablePrinter(erased=erased)
    try:
        archive = ParquetArchive(archive_folder(settings))
        async with reach_database(settings) as urls, PostgresHistory(urls.query, archive) as history:
            return await run_replay(wish, history, PostgresFeed(urls.query, archive=archive), printer)
    except StoreUnavailable as fault:
        raise OperatorProblem(f"The log cannot be read: {fault}.", remedy="`khata doctor` says more.") from fault
    except LogHole as fault:
        raise OperatorProblem(f"The log is damaged: {fault}.", remedy="`khata verify` says more.") from fault
