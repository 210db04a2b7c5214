"""`khata docs`: the pages of the documentation that are generated from the code."""

import sys
from pathlib import Path
from typing import Annotated

import typer

PAGE = Path("docs") / "configuration.md"
EVENTS_PAGE = Path("docs") / "events.md"
RISK_PAGE = Path("docs") / "risk.md"
ERRORS_PAGE = Path("docs") / "errors.md"
RECONCILIATION_PAGE = Path("docs") / "reconciliation.md"
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
that begin with `user.`, `strategy.` or `backtest.` lie in streams `user-<id>`, `strategy-<id>` and `backtest-<id>`,
those that begin with `instruments.` in the stream `instruments`, those that begin with `venue.` in streams
`venue-<host>`, all others in streams `account-<id>`. Prices are integers of 1/10,000 rupee (`_e4`), money is in paise,
times ending in `_ns` are UTC nanoseconds. Personal fields are sealed under a key of the user.

Beside its payload the log keeps of each event: `sequence`, `stream_id`, `version`, `name`, `command_id`, `metadata`
(who asked, by which door, when it was received), `recorded_at`, `previous_hash` and `hash`.

What an earlier release wrote is read as what it means today; the last sections have those versions. A reader that
meets an event it does not know stops and asks for an upgrade, unless the name ends in `.ignorable`: then it may pass
the event over. A field that was added to an event, whose default is what was meant before, is no new version: the
examples show every field that is written today. Names of another form belong to applications of the `eventsourcing`
library, and are passed over too.

This page is generated from `domain/` and the stored specimens in `tests/contract/events` by `make docs`.

"""

_RISK_HEAD = """\
# Risk

What stands between an intent and the market. Every entry meets the checks below, in this order; the first denial wins.
It is an event (`order.denied.v1`) and an answer with the same words: a stable code, the limit in force, the value that
met it, and what would have passed. Nothing is sent.

- **Exits** meet no limit: what closes is computed from what is held, so it cannot be too large, and nothing may keep a
  trader in. What holds for them is in the last table.
- **Cancels** meet nothing but the broker's budget of requests.
- **Changes** of a trade meet the checks for the risk that they raise: more or dearer (*size*), a price closer to the
  market or another order type (*price*), a stop taken away or moved further (*stop*), smaller trailing steps
  (*trailing*). What lowers a risk is never denied.

Limits are those of the account. A limit of 0 allows nothing and one of null is none, unless the table of parameters
says otherwise. Prices are stamped by the engine, never by who asks.

What is counted:

- **Exposure** is what is held at its marks, and live entries at their prices: limit, else the last price when they were
  asked for. Unknown orders count as live ones, a change under way with the larger of its sizes.
- **Result of the day**: realised today, less what the day's fills were charged (`docs/charges.md`), and the change of
  the open result since the later of entry and previous official close. A carried trade without a previous close counts
  from its cost.
- **Drawdown**: the highest realised result so far, less the present one, realised and open; both after charges. Cash
  that moved is in neither.
- **Funds**: capital, cash moved and realised result after charges, less margin (share of cost and of live entries, by
  product).
- **Rates**: orders sent in the last second, minute, hour and on the day, and those that wait to be sent. A window
  counts a twentieth of itself too much at most, never too little. `GET /api/risk/budgets` shows what is left of them,
  of open orders, and of each resting order's 25 modifications.

A limit on losses that is reached **latches**: entries are denied to the end of the day, even if profit returns, unless
somebody releases it. The action of the limit says what happens besides: `block` nothing, `flatten` closes every trade,
`kill` does so and engages the kill switch; both wait for a second tick, or for the same a second later. A tick that is
stale, missing or outside the day's price band fires nothing. A **storm** of intents (setting
`KHATA_INTENTS_PER_SECOND_MAX`) is answered 429 `INTENT_STORM` before the log, and leaves one event that sums it up.

This page is generated from `domain/account/checks/table.py` by `make docs`.

"""

_ERRORS_HEAD = """\
# Errors

Whatever the API does not do is told by a problem document (RFC 9457, `application/problem+json`). Its `code` is stable:
clients may depend on it, and on no other text. `type` points to the entry below, which a running API also shows at
`/docs/errors`. Where `Retry-After` is sent, the same request may succeed after so many seconds.

A command that was answered by a fault (5xx) may be asked again under the same `Idempotency-Key`: it is carried out
once, and the second answer tells the outcome of the first. Codes of denials by risk (403) have a table of their own in
[risk.md](risk.md#denials).

This page is generated from `api/codes.py` by `make docs`.

"""

_RECONCILIATION_HEAD = """\
# Reconciliation

The broker's books of an account are held against ours: executions, orders, positions, holdings. An account is looked at

- before its first entry is sent after a start of the executor: entries wait for it, 5 s at most, then they lapse;
- at once when a book can be read again after an outage, and when the broker's own word of orders is back;
- every 30 s while it has or had anything today, every 5 min while all that it holds is closed;
- when somebody asks: `khata reconcile`.

For INTRADAY and MARGIN our net quantity is that of the broker's positions. For delivery (CNC and MTF of an instrument
together) it is what the holdings have above the units that were there before the account's first trade, and the day's
positions. Executions are read before orders, these before positions and those before holdings; what moved in our books
meanwhile is left to the next look, and what could be a matter of moments has to be the same at two looks, 2 s apart.

Whatever is otherwise is an event (`account.difference_found.v1`), once for as long as it stays the same, and its end is
one (`account.difference_closed.v1`): `repaired` by rule, `agreed` when a later look does not show it any more, or
`resolved` by an owner of the account with a reason. While a difference that *gates* is open, entries of the account are
denied with `BOOKS_DISAGREE`, and those that wait to be sent go on waiting. **Exits, stops, cancels and modifications
always pass.** Whoever resolves a position takes it as the broker shows it: it goes into the account's external trade.
What is resolved otherwise is not told again on that day. `GET /api/reconciliation` shows what is open.

This page is generated from `domain/differences.py` by `make docs`.

| Kind | What is seen | Cause | Repair | Gates | Who closes it | Found by |
|---|---|---|---|---|---|---|
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
    (folder / RISK_PAGE).write_text(risk_page())
    (folder / ERRORS_PAGE).write_text(errors_page())
    (folder / RECONCILIATION_PAGE).write_text(reconciliation_page())
    (folder / EVENTS_PAGE).write_text(events_page(folder / SPECIMENS))
    pages = (PAGE, RISK_PAGE, ERRORS_PAGE, RECONCILIATION_PAGE, EVENTS_PAGE)
    sys.stdout.write(f"{', '.join(map(str, pages))} are written.\n")


def configuration_page() -> str:
    """Return the page about the settings."""
    from infra.settings import describe, load

    rows = (
        f"| `{setting.variable}` | {f'`{setting.default}`' if setting.default else 'none'} | {setting.allowed} |"
        f" {setting.text} |\n"
        for setting in describe(load({}))
    )
    return _HEAD + "".join(rows)


def risk_page() -> str:
    """Return the page about the checks and their limits."""
    from domain.account.checks.table import CHANGES_ONLY, CHECKS, ELSEWHERE

    lines = [_RISK_HEAD, "# Checks\n\n", "| | It is demanded that … | Parameters | Changes |\n|---|---|---|---|\n"]
    for number, check in enumerate(CHECKS, 1):
        names = ", ".join(f"`{name}`" for name, _ in check.parameters)
        aspects = ", ".join(sorted(aspect.value for aspect in check.on_change))
        lines.append(f"| {number} | {check.meaning} | {names} | {aspects} |\n")
    lines.append(
        "\n# Denials\n\n| Code | Asked for | Limit | Value | What would have passed |\n|---|---|---|---|---|\n"
    )
    for example in (*(each for check in CHECKS for each in check.examples), *CHANGES_ONLY):
        code, *rest = example
        lines.append(f"| `{code.value}` | " + " | ".join(rest) + " |\n")
    lines.append("\n# Parameters\n\n| Parameter | Default | Unit | What else is to be known |\n|---|---|---|---|\n")
    lines += _parameter_rows()
    lines.append("\n# Rules that end in no denial\n\n| Rule | Holds for | Outcome |\n|---|---|---|\n")
    for each in ELSEWHERE:
        kinds = ", ".join(sorted(kind.value for kind in each.applies_to))
        lines.append(f"| {each.rule} | {kinds} | {each.outcome} |\n")
    return "".join(lines)


def errors_page() -> str:
    """Return the page about the problems that the API answers with."""
    from api.codes import PROBLEMS

    sections = [
        f"## `{entry}`\n\n{kind.status}: {kind.title}. Where: {kind.where}.\n\n- Cause: {kind.cause}\n"
        f"- Remedy: {kind.remedy}\n"
        for entry, kind in PROBLEMS.items()
    ]
    return _ERRORS_HEAD + "\n".join(sections)


def reconciliation_page() -> str:
    """Return the page about differences between the broker's books and ours."""
    from domain.differences import RULES

    rows = (
        f"| `{kind.value}` | {rule.seen} | {rule.cause} | {rule.repair} | {'yes' if rule.gates else 'no'} |"
        f" {rule.closed_by} | {rule.found_by} |\n"
        for kind, rule in RULES.items()
    )
    return _RECONCILIATION_HEAD + "".join(rows)


def _parameter_rows() -> list[str]:
    import ast
    import inspect

    import msgspec

    from domain.account.checks.table import CHECKS
    from domain.risk import RiskParameters

    units = {name: unit for check in CHECKS for name, unit in check.parameters}
    # What a field says of itself stands below it in the source.
    (definition,) = ast.parse(inspect.getsource(RiskParameters)).body
    notes: dict[str, str] = {}
    name = ""
    for statement in definition.body:  # type: ignore[attr-defined]
        match statement:
            case ast.AnnAssign(target=ast.Name(id=field)):
                name = field
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                notes[name] = " ".join(text.split())
    return [
        f"| `{field.name}` | {_in_units(field.default, field.name)} | {units.get(field.name, 'modifications')} |"
        f" {notes.get(field.name, '')} |\n"
        for field in msgspec.structs.fields(RiskParameters)
    ]


def _in_units(value: object, name: str) -> str:
    """Return a default as people read it: amounts in rupees."""
    from domain.money import format_paise

    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format_paise(value) if isinstance(value, int) and "_paise" in name else str(value)


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
