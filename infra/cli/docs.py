"""`khata docs`: the pages of the documentation that are generated from the code."""

import sys
from pathlib import Path
from typing import Annotated

import typer

PAGE = Path("docs") / "configuration.md"
EVENTS_PAGE = Path("docs") / "events.md"
SPECIMENS = Path("tests") / "contract" / "events"

_HEAD = """\
# Configuration

Every setting is an environment variable with a default: nothing has to be set. A variable that starts with `KHATA_` and
is no setting is refused, so that a typing error does not go unnoticed. `khata doctor` checks what is set.

This page is generated from `infra/settings.py` by `make docs`.

| Variable | Default | Allowed | Meaning |
|---|---|---|---|
"""

_EVENTS_HEAD = """\
# Events

What the log holds, for ever. An event's stored name ends with its version; a changed meaning is a new name. Names
that begin with `user.`, `strategy.` or `backtest.` lie in streams `user-<id>`, `strategy-<id>` and `backtest-<id>`, all
others in streams `account-<id>`. Prices are integers of 1/10,000 rupee (`_e4`), money is in paise, times ending in
`_ns` are UTC nanoseconds. Personal fields are sealed under a key of the user.

Beside its payload the log keeps of each event: `sequence`, `stream_id`, `version`, `name`, `command_id`, `metadata`
(who asked, by which door, when it was received), `recorded_at`, `previous_hash` and `hash`.

What an earlier release wrote is read as what it means today; the last sections have those versions. A reader that
meets an event it does not know stops and asks for an upgrade, unless the name ends in `.ignorable`: then it may pass
the event over. A field that was added to an event, whose default is what was meant before, is no new version: the
examples show every field that is written today. Names of another form belong to applications of the `eventsourcing`
library, and are passed over too.

This page is generated from `domain/` and the stored specimens in `tests/contract/events` by `make docs`.

"""


_PAST_HEAD = """\
# Past versions

Read for ever, written no more.
"""


def docs(
    folder: Annotated[Path, typer.Argument(help="The checkout that is written to")] = Path(),
) -> None:
    """Write the documentation pages that are generated from the code."""
    (folder / PAGE).write_text(configuration_page())
    (folder / EVENTS_PAGE).write_text(events_page(folder / SPECIMENS))
    sys.stdout.write(f"{PAGE} and {EVENTS_PAGE} are written.\n")


def configuration_page() -> str:
    """Return the page about the settings."""
    from infra.settings import describe, load

    rows = (
        f"| `{setting.variable}` | {f'`{setting.default}`' if setting.default else 'none'} | {setting.allowed} |"
        f" {setting.text} |\n"
        for setting in describe(load({}))
    )
    return _HEAD + "".join(rows)


def events_page(specimens: Path) -> str:
    """Return the page about the events, each with the stored specimen that the folder *specimens* has of it."""
    import inspect
    import json

    from domain.account.past_events import UPCASTERS
    from domain.events import EVENT_TYPES, PAST_TYPES

    def section(name: str, event_type: type, more: str = "") -> str:
        text = inspect.cleandoc(event_type.__doc__ or "") + more
        wide = specimens / "widened" / f"{name}.json"
        stored = wide if wide.exists() else specimens / f"{name}.json"
        example = json.dumps(json.loads(stored.read_bytes()), indent=2)
        return f"## `{name}`\n\n{text}\n\n```json\n{example}\n```\n"

    sections = [section(name, event_type) for name, event_type in sorted(EVENT_TYPES.items())]
    sections.append(_PAST_HEAD)
    for name, past_type in sorted(PAST_TYPES.items()):
        sections.append(section(name, past_type, f" To the next version: {inspect.getdoc(UPCASTERS[past_type])}"))
    return _EVENTS_HEAD + "\n".join(sections)
