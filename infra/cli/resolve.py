"""`khata resolve`."""

import sys
from typing import Annotated

import typer

from infra.cli.asking import Account, AsJson, print_json
from infra.problems import OperatorProblem


def resolve(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID", help="Which order, such as trd_….1")],
    *,
    absent: Annotated[bool, typer.Option("--absent", help="The broker does not have it.")] = False,
    at_broker: Annotated[
        str | None, typer.Option("--at-broker", metavar="ID", help="The broker has it, under this id of its own.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="How you know. Stays in the log: no personal data.")],
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of an order that nobody knows of, after a look at the broker by other means.

    `khata orders --unknown` lists those. What the broker's book shows later outweighs it.
    """
    from api.resolving import ResolveRequest
    from domain.account.events import OrderResolution
    from infra.client import resolve_order
    from infra.kept_log_in import ask
    from infra.settings import load

    if absent is (at_broker is not None):
        raise OperatorProblem("Nothing was done.", remedy="Say --absent, or --at-broker with the broker's id.")
    word = OrderResolution.ABSENT if absent else OrderResolution.AT_BROKER
    body = ResolveRequest(resolution=word, reason=reason, venue_order_id=at_broker)
    done = ask(load(), resolve_order(order_id, body, account_id=account))
    if as_json:
        print_json(done)
        return
    said = {
        OrderResolution.ABSENT: f"{done.order_id} is absent: should it turn up after all, it is canceled.",
        OrderResolution.AT_BROKER: f"{done.order_id} is at the broker as {done.venue_order_id},"
        " until its book shows otherwise.",
    }
    sys.stdout.write(f"{said[done.resolution]}\n")
    for each in done.order_ids:
        sys.stdout.write(f"{each} takes its place.\n")
