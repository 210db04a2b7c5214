"""`khata reconcile`."""

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands.looks import LookReport
    from domain.account.events import DifferenceFound
    from domain.differences import Finding

_HEADINGS = ("account", "what", "kind", "ours", "broker's", "difference", "cause", "repair", "")
_NS_PER_S = 1_000_000_000


def reconcile(
    account_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ACCOUNT_ID…]", help="Whose books, such as acc_…; none: see --all")
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Of every account that has something, or had it of late.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Have the running executor hold the broker's books against ours now, and show what is otherwise.

    Ends with 0 only where every book was read and all agree.
    """
    import msgspec

    from infra.broker_state import reconcile_now
    from infra.settings import load

    if every is bool(account_ids):
        raise OperatorProblem("Nothing was looked at.", remedy="Name the accounts, or say --all.")
    looks = asyncio.run(reconcile_now(load(), None if every else account_ids))
    ok = all(look.agrees for look in looks)
    if as_json:
        sys.stdout.write(msgspec.json.encode({"ok": ok, "looks": looks}).decode() + "\n")
    else:
        print_looks(looks)
    sys.exit(0 if ok else 1)


def print_looks(looks: "tuple[LookReport, ...]") -> None:
    """Print what looks saw: a row for each difference, a line for each account."""
    from infra.cli.asking import print_table

    print_table(_HEADINGS, (row for look in looks for row in _rows(look)), nothing="No difference is open.")
    for look in looks:
        at = datetime.fromtimestamp(look.looked_at_ns // _NS_PER_S, UTC).astimezone()
        said = "agrees" if look.agrees else "does not agree" if look.is_whole else "could not be read whole"
        sys.stdout.write(f"{look.account_id} {said}, {at:%Y-%m-%d %H:%M:%S}; read: {', '.join(look.read)}.\n")
    if not looks:
        sys.stdout.write("No account has anything that could be compared.\n")


def _rows(look: "LookReport") -> "Iterator[tuple[object, ...]]":
    for found in look.differences:
        said = f"entries are held; {found.difference_id}" if found.gates else found.difference_id
        yield *_told(look.account_id, found), found.cause, found.repair, said
    for repaired in look.repaired:
        yield *_told(look.account_id, repaired), repaired.cause, "", "repaired"
    for suspected in look.suspected:
        yield *_told(look.account_id, suspected), suspected.cause, "", "to be seen once more"


def _told(account_id: str, found: "DifferenceFound | Finding") -> tuple[object, ...]:
    about = " ".join(filter(None, (found.symbol, found.product, found.subject)))
    return account_id, about, found.kind.value, found.ours, found.theirs, found.quantity
