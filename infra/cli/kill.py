"""`khata kill`."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from infra.operating import Operated

EXIT_NOT_DONE = 1


def kill(
    account_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ACCOUNT_ID...", help="Which accounts, such as acc_…")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every account there is.")] = False,
    strategy: Annotated[str | None, typer.Option("--strategy", help="Only this strategy's entries and trades.")] = None,
    flatten: Annotated[bool, typer.Option("--flatten", help="Close what is held as well, trade by trade.")] = False,
    release: Annotated[bool, typer.Option("--release", help="Allow entries again.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Stays in the log: no personal data.")] = "operator",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Block entries and cancel those that rest; with --flatten close what is held. What came from outside stays.

    It is in the log when this returns; a running engine acts on it at once, another one when it starts.
    """
    if bool(account_ids) is every:
        raise OperatorProblem("Nothing was done.", remedy="Name the accounts, or say --all.")
    if release and flatten:
        raise OperatorProblem("Nothing was done: a release closes nothing.", remedy="Leave one of the two out.")
    if flatten and not yes:
        typer.confirm("Close what is held at the market?", abort=True)
    done = asyncio.run(_kill(account_ids or [], strategy, reason, is_release=release, is_flatten=flatten))
    _print(done, is_release=release, as_json=as_json)
    if any(each.failure is not None for each in done):
        raise typer.Exit(EXIT_NOT_DONE)


async def _kill(
    account_ids: list[str], strategy: str | None, reason: str, *, is_release: bool, is_flatten: bool
) -> "list[Operated]":
    from domain.account.events import KillMode
    from domain.ids import AccountId, StrategyId
    from infra.logs import configure
    from infra.operating import open_operator
    from infra.reaching import reach_database
    from infra.settings import load

    settings = load()
    configure(settings)
    strategy_id = None if strategy is None else StrategyId(strategy)
    async with reach_database(settings) as urls, open_operator(settings, urls) as operator:
        named = [AccountId(each) for each in account_ids] or await operator.every_account()
        if is_release:
            return await operator.release(named, strategy_id=strategy_id)
        mode = KillMode.FLATTEN if is_flatten else KillMode.HALT
        return await operator.kill(named, reason, strategy_id=strategy_id, mode=mode)


def _print(done: "list[Operated]", *, is_release: bool, as_json: bool) -> None:
    import json

    from domain.account.events import OrderBlocked, OrderCancelRequested, TradeExitTriggered

    lines = []
    for each in done:
        counts = {
            "closing": sum(isinstance(event, TradeExitTriggered) for event in each.events),
            "canceling": sum(isinstance(event, OrderCancelRequested) for event in each.events),
            "blocked": sum(isinstance(event, OrderBlocked) for event in each.events),
        }
        lines.append({"account_id": each.account_id, "sequence": each.sequence, "failure": each.failure, **counts})
        if not as_json:
            word = "released" if is_release else "blocked"
            told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            said = f"not done: {each.failure}" if each.failure is not None else f"{word}{': ' if told else ''}{told}"
            sys.stdout.write(f"{each.account_id} {said}\n")
    if as_json:
        sys.stdout.write(json.dumps({"accounts": lines}) + "\n")
