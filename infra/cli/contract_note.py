"""`khata contract-note`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.asking import Account, AsJson, print_json, print_table

if TYPE_CHECKING:
    from api.contract_notes import ContractNoteAnswer


def contract_note(
    day: Annotated[
        str | None, typer.Argument(metavar="DAY", help="The exchange's day (2026-11-20); the newest that there is.")
    ] = None,
    *,
    account: Account = None,
    as_json: AsJson = False,
) -> None:
    """Show what the broker charged on a day beside what was booked, and why it differs. Wants `khata login`."""
    from infra.client import list_contract_notes, show_contract_note
    from infra.kept_log_in import ask
    from infra.settings import load

    settings = load()
    if day is None:
        newest = ask(settings, list_contract_notes(limit=1, account_id=account)).contract_notes
        if not newest:
            sys.stdout.write("The broker has told no charges yet: it does on the day after.\n")
            return
        day = newest[0].day
    shown = ask(settings, show_contract_note(day, account_id=account))
    if as_json:
        print_json(shown)
    else:
        _print(shown)


def _print(shown: "ContractNoteAnswer") -> None:
    note = shown.contract_note
    sys.stdout.write(f"{note.day}: {note.order_count} orders, note {note.number} of the day\n")
    rows = [
        (
            line.line.value,
            line.ours,
            line.brokers,
            line.difference,
            ", ".join(f"{each.cause.value} {each.difference}" for each in line.causes),
        )
        for line in shown.lines
    ]
    rows.append(("total", note.ours, note.brokers, note.difference, f"unexplained {note.unexplained}"))
    print_table(("charge", "booked", "broker's", "difference", "put down to"), rows, nothing="")
    if shown.orders:
        headings = (
            "order",
            "security",
            "side",
            "match",
            "units booked",
            "broker's",
            "booked",
            "broker's",
            "unexplained",
        )
        orders = [
            (
                each.venue_order_id,
                f"{each.segment}-{each.security_id}-{each.product}",
                each.side,
                each.match.value,
                each.our_quantity,
                each.quantity,
                each.ours,
                each.brokers,
                each.unexplained,
            )
            for each in shown.orders
        ]
        print_table(headings, orders, nothing="")
