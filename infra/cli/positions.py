"""`khata positions`."""

from typing import Annotated

import typer

from infra.cli.asking import Account, AsJson, print_json, print_table


def positions(
    *,
    every: Annotated[bool, typer.Option("--all", help="What is flat by now as well.")] = False,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """List what you hold, at the last price. Wants `khata login`, and the engine running."""
    from infra.client import list_positions
    from infra.kept_log_in import ask
    from infra.settings import load

    shown = ask(load(), list_positions(open_only=not every, account_id=account))
    if as_json:
        print_json(shown)
        return
    rows = [
        (
            each.symbol,
            each.product,
            each.net_quantity,
            each.average_price,
            each.mark,
            each.open_result,
            each.net_realised,
        )
        for each in shown.positions
    ]
    headings = ("symbol", "product", "held", "at", "last price", "open result", "net realised")
    print_table(headings, rows, nothing="Nothing is held.")
