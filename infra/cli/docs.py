"""`khata docs`: the pages of the documentation that are generated from the code."""

import sys
from pathlib import Path
from typing import Annotated

import typer

PAGE = Path("docs") / "configuration.md"

_HEAD = """\
# Configuration

Every setting is an environment variable with a default: nothing has to be set. A variable that starts with `KHATA_` and
is no setting is refused, so that a typing error does not go unnoticed. `khata doctor` checks what is set.

This page is generated from `infra/settings.py` by `make docs`.

| Variable | Default | Allowed | Meaning |
|---|---|---|---|
"""


def docs(
    folder: Annotated[Path, typer.Argument(help="The checkout that is written to")] = Path(),
) -> None:
    """Write the documentation pages that are generated from the code."""
    (folder / PAGE).write_text(configuration_page())
    sys.stdout.write(f"{PAGE} is written.\n")


def configuration_page() -> str:
    """Return the page about the settings."""
    from infra.settings import describe, load

    rows = (
        f"| `{setting.variable}` | {f'`{setting.default}`' if setting.default else 'none'} | {setting.allowed} |"
        f" {setting.text} |\n"
        for setting in describe(load({}))
    )
    return _HEAD + "".join(rows)
