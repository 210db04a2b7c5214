"""`khata corporate-action`."""

import asyncio
import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from infra.operating import Operated

EXIT_NOT_DONE = 1


def corporate_action(
    action_id: Annotated[str, typer.Argument(metavar="ACTION_ID", help="The exchange's circular: applied once.")],
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Of which instrument.")],
    *,
    ratio: Annotated[
        str,
        typer.Option("--ratio", metavar="AFTER:BEFORE", help="Units after for units before: 2:1 for a bonus of 1:1."),
    ],
    effective_on: Annotated[str, typer.Option("--effective-on", metavar="DATE", help="The ex-date, as 2026-11-27.")],
    account_ids: Annotated[
        list[str] | None, typer.Option("--account", metavar="ACCOUNT_ID", help="Only this account; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Adjust quantities, stops and targets of what is open in an instrument to a split or bonus, in every account."""
    numerator, denominator = _ratio(ratio)
    try:
        date.fromisoformat(effective_on)
    except ValueError:
        raise OperatorProblem(f"{effective_on!r} is no date.", remedy="Write it as 2026-11-27.") from None
    done = asyncio.run(_apply(action_id, symbol, numerator, denominator, effective_on, account_ids or []))
    _print(done, as_json=as_json)
    if any(each.failure is not None for each in done):
        raise typer.Exit(EXIT_NOT_DONE)


def _ratio(text: str) -> tuple[int, int]:
    after, colon, before = text.partition(":")
    if not (colon and after.isdecimal() and before.isdecimal() and int(after) and int(before)):
        raise OperatorProblem(f"{text!r} is no ratio.", remedy="Write it as 2:1: two units after for one before.")
    return int(after), int(before)


async def _apply(  # noqa: PLR0917 - what the command line said
    action_id: str, symbol: str, numerator: int, denominator: int, effective_on: str, account_ids: list[str]
) -> "list[Operated]":
    from domain.ids import AccountId
    from infra.logs import configure
    from infra.operating import open_operator
    from infra.reaching import reach_database
    from infra.settings import load

    settings = load()
    configure(settings)
    async with reach_database(settings) as urls, open_operator(settings, urls) as operator:
        return await operator.apply_corporate_action(
            [AccountId(each) for each in account_ids] or await operator.every_account(),
            action_id,
            symbol,
            numerator=numerator,
            denominator=denominator,
            effective_on=effective_on,
        )


def _print(done: "list[Operated]", *, as_json: bool) -> None:
    import json

    from domain.account.events import CorporateActionApplied

    lines = []
    for each in done:
        adjusted = [
            trade.trade_id
            for event in each.events
            if isinstance(event, CorporateActionApplied)
            for trade in event.trades
        ]
        lines.append(
            {"account_id": each.account_id, "sequence": each.sequence, "failure": each.failure, "trades": adjusted}
        )
        if not as_json and (adjusted or each.failure is not None):
            said = f"not done: {each.failure}" if each.failure is not None else f"adjusted {', '.join(adjusted)}"
            sys.stdout.write(f"{each.account_id} {said}\n")
    if as_json:
        sys.stdout.write(json.dumps({"accounts": lines}) + "\n")
    elif not any(line["trades"] or line["failure"] for line in lines):
        sys.stdout.write("No account has anything open in it that was not adjusted before.\n")
