"""`khata charges`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from api.charges import ChargesAnswer


def charges(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Of which instrument.")],
    side: Annotated[str, typer.Argument(metavar="BUY|SELL", help="What the order does.")],
    quantity: Annotated[int, typer.Argument(metavar="QUANTITY", min=1, help="Units.")],
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Rupees, as 2850.05.")],
    *,
    product: Annotated[str, typer.Option("--product", help="CNC, INTRADAY, MARGIN or MTF.")] = "INTRADAY",
    day: Annotated[str | None, typer.Option("--day", metavar="DATE", help="The exchange's day; today.")] = None,
    exit_price: Annotated[str | None, typer.Option("--exit-price", metavar="PRICE", help="Of a round trip.")] = None,
    exit_day: Annotated[str | None, typer.Option("--exit-day", metavar="DATE", help="The same day.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Tell what an order, or with --exit-price a round trip, would be charged: lines, rates, sources, totals."""
    import msgspec

    from adapters.clock import SystemClock
    from adapters.instruments import InstrumentMaster
    from adapters.tariffs import TariffTable
    from api.charges import ChargesAnswer, ChargesRequest
    from api.errors import FieldInvalid
    from commands.estimates import Estimates
    from domain.market import trading_day
    from domain.refusals import Refusal

    asked = {
        "symbol": symbol,
        "side": side.upper(),
        "quantity": quantity,
        "price": price,
        "product": product.upper(),
        "day": day,
        "exit_price": exit_price,
        "exit_day": exit_day,
    }
    today = trading_day(SystemClock().wall_ns()).isoformat()
    try:
        plan = msgspec.convert(asked, ChargesRequest).to_plan(today=today)
        estimates = Estimates(instruments=InstrumentMaster.load(), tariffs=TariffTable.load())
        shown = ChargesAnswer.of(estimates.of(plan))
    except (msgspec.ValidationError, FieldInvalid, Refusal) as refused:
        raise OperatorProblem(f"Nothing can be told: {refused}.", remedy="`khata charges --help` says more.") from None
    if as_json:
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
    else:
        _print(shown)


def _print(shown: "ChargesAnswer") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for order in shown.orders:
        title = f"{order.side} {shown.quantity} {shown.symbol} {shown.product} at {order.price} on {order.day}"
        table = Table("charge", "amount", "rate", "since", "source", title=f"{title}: {order.value}", box=None)
        for line in order.lines:
            rates = [line.rate_percent and f"{line.rate_percent} %", line.flat and f"Rs {line.flat}"]
            rate = " or less than ".join(filter(None, rates))
            doubt = "" if line.verified else "UNVERIFIED: "
            table.add_row(line.charge, line.amount, rate, line.valid_from or "", f"{doubt}{line.source}")
        table.add_row("total", order.total)
        console.print(table)
    console.print(f"charges {shown.charges.total}, on contract notes {shown.on_contract_notes}")
    if shown.gross_result is not None:
        console.print(f"gross result {shown.gross_result}, net result {shown.net_result}")
