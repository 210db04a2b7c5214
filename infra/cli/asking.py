"""What the commands that ask the API have in common: their options, and how answers are printed."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import msgspec

Account = Annotated[
    str | None, typer.Option("--account", metavar="ACCOUNT_ID", help="Another account that you are a member of.")
]
Symbol = Annotated[str | None, typer.Option("--symbol", metavar="SYMBOL", help="Only this instrument.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="So many at most.")]
Before = Annotated[int | None, typer.Option("--before", metavar="PLACE", help="The page after another.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's answer, one line.")]


def print_json(answer: "msgspec.Struct") -> None:
    """Print *answer* as the API gave it."""
    import msgspec

    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, nothing: str, next_before: int | None = None
) -> None:
    """Print *rows*, absent values as empty cells, or *nothing*; and how to ask for the page after this one."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    if table.row_count:
        Console().print(table)
    else:
        sys.stdout.write(f"{nothing}\n")
    _print_more(next_before)


def print_blocks(
    blocks: Sequence[tuple[str, Sequence[tuple[str, str | None]]]], *, nothing: str, next_before: int | None = None
) -> None:
    """Print things that have more to say than a row holds: a headline each, and below it what is said, by its name."""
    for headline, said in blocks:
        sys.stdout.write(f"{headline}\n")
        for name, text in said:
            if text:
                sys.stdout.write(f"  {name:<8} {text}\n")
    if not blocks:
        sys.stdout.write(f"{nothing}\n")
    _print_more(next_before)


def _print_more(next_before: int | None) -> None:
    if next_before is not None:
        sys.stdout.write(f"There are more: --before {next_before}\n")


def second_of(time: str | None) -> str | None:
    """Return an API time to the second, for people."""
    return None if time is None else time[:19].replace("T", " ")
