"""`khata orders`."""

from typing import Annotated

import typer

from infra.cli.asking import Account, AsJson, Before, Limit, Symbol, print_json, print_table, second_of
from infra.problems import OperatorProblem

_UNKNOWN = "unknown"


def orders(
    *,
    unknown: Annotated[
        bool,
        typer.Option(
            "--unknown",
            help="Only those of which nobody knows whether the broker has them: what was asked, what is next.",
        ),
    ] = False,
    status: Annotated[
        str | None, typer.Option("--status", metavar="STATUS", help="Only those in this status, such as filled.")
    ] = None,
    symbol: Symbol = None,
    account: Account = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List your orders, newest first: entries, exits and stops. Wants `khata login`, and the engine running."""
    from infra.cli.doubts import print_doubts
    from infra.client import list_orders, list_orders_in_doubt
    from infra.kept_log_in import ask
    from infra.settings import load

    if unknown and status not in {None, _UNKNOWN}:
        raise OperatorProblem("Nothing was asked: --unknown is a status.", remedy="Leave one of the two out.")
    if unknown:
        in_doubt = ask(load(), list_orders_in_doubt(symbol=symbol, account_id=account, limit=limit, before=before))
        if as_json:
            print_json(in_doubt)
        else:
            print_doubts(in_doubt)
        return
    shown = ask(load(), list_orders(status=status, symbol=symbol, account_id=account, limit=limit, before=before))
    if as_json:
        print_json(shown)
        return
    rows = [
        (
            each.order_id,
            each.symbol,
            each.purpose,
            each.side,
            f"{each.cumulative_quantity}/{each.quantity}",
            each.average_price,
            each.status,
            second_of(each.intended_at),
            each.remark,
        )
        for each in shown.orders
    ]
    headings = ("order", "symbol", "purpose", "side", "filled", "at", "status", "intended", "remark")
    print_table(headings, rows, nothing="There are no such orders.", next_before=shown.next_before)
