"""`khata trades`."""

from typing import Annotated

import typer

from infra.cli.asking import Account, AsJson, Before, Limit, Symbol, print_json, print_table, second_of


def trades(
    *,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="Only those in this status, such as open.")
    ] = None,
    symbol: Symbol = None,
    strategy: Annotated[
        str | None, typer.Option("--strategy", metavar="STRATEGY_ID", help="Only those of this strategy.")
    ] = None,
    account: Account = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List your trades, newest first, with what they brought. Wants `khata login`, and the engine running."""
    from infra.client import list_trades
    from infra.kept_log_in import ask
    from infra.settings import load

    call = list_trades(
        status=status, symbol=symbol, strategy_id=strategy, account_id=account, limit=limit, before=before
    )
    shown = ask(load(), call)
    if as_json:
        print_json(shown)
        return
    rows = [
        (
            each.trade_id,
            each.symbol,
            each.side,
            each.net_quantity,
            each.entry_price,
            each.exit_price,
            each.net_realised,
            each.status,
            second_of(each.opened_at),
        )
        for each in shown.trades
    ]
    headings = ("trade", "symbol", "side", "held", "entry", "exit", "net result", "status", "opened")
    print_table(headings, rows, nothing="There are no such trades.", next_before=shown.next_before)
