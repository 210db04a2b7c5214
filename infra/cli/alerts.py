"""`khata alerts`."""

from typing import Annotated

import typer

from infra.cli.asking import Account, AsJson, Before, Limit, print_blocks, print_json, second_of


def alerts(
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    account: Account = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List what somebody should look at, newest first, and what helps. Wants `khata login`, and the engine running."""
    from infra.client import list_alerts
    from infra.kept_log_in import ask
    from infra.settings import load

    state = None if every else "open"
    shown = ask(load(), list_alerts(state=state, account_id=account, limit=limit, before=before))
    if as_json:
        print_json(shown)
        return
    blocks = [
        (
            f"{each.severity.value}  {second_of(each.since)}  {each.text}",
            (("said", each.detail), ("do", each.what_to_do), ("ended", second_of(each.until))),
        )
        for each in shown.alerts
    ]
    print_blocks(blocks, nothing="There is nothing to look at.", next_before=shown.next_before)
