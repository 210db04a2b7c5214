"""`khata calendar`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.problems import OperatorProblem

if TYPE_CHECKING:
    from adapters.session_lists import ListFaulty
    from domain.instrument import Segment
    from domain.session_table import SessionDay, SessionTable
    from infra.session_calendar import Plan

EXIT_FAULTY = 1

market_calendar = typer.Typer(name="calendar", help="When the exchanges trade: sessions, holidays, and their sources.")


@market_calendar.command("show")
def show(
    *,
    day: Annotated[str | None, typer.Option("--day", metavar="DAY", help="Which day, as 2026-11-27; today.")] = None,
    segment: Annotated[
        str | None, typer.Option("--segment", metavar="SEGMENT", help="Only this one, such as NSE_EQ.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines.")] = False,
) -> None:
    """Show what a day is in each segment: its hours in Indian time, how that is known, and the sessions around it."""
    import json

    import msgspec

    from adapters.clock import SystemClock
    from infra.home import Home
    from infra.session_calendar import ShownDay, imported_lists, table_of
    from infra.settings import load

    home = Home(load().home)
    table = table_of(home)
    asked = _day(day, SystemClock().wall_ns())
    shown = []
    for each in [_segment(segment, table)] if segment is not None else table.segments:
        # Stocks with derivatives close in an auction; elsewhere the two are one.
        found = [table.day_of(each, asked, derivatives=has) for has in (False, True)]
        plain, auctioned = [ShownDay.of(one) for one in found if one is not None]
        before, after = _around(table, found[0])
        shown.append(
            {
                **msgspec.to_builtins(plain),
                "hours_with_derivatives": auctioned.hours,
                "previous_session": before,
                "next_session": after,
            }
        )
    lists = [
        {"imported_at": each.imported_at, "file": each.file, "sha256": each.sha256, "rows": len(each.rows)}
        for each in imported_lists(home)
    ]
    if as_json:
        sys.stdout.write(json.dumps({"days": shown, "imported": lists}) + "\n")
    else:
        _print_days(shown, lists)


def _day(text: str | None, now_ns: int) -> Any:
    from datetime import date

    from domain.market import trading_day

    if text is None:
        return trading_day(now_ns)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise OperatorProblem(f"{text!r} is no day.", remedy="Write it as 2026-11-27.") from None


def _segment(text: str, table: "SessionTable") -> "Segment":
    from domain.instrument import Segment

    if text not in table.segments:
        names = ", ".join(table.segments)
        raise OperatorProblem(f"No hours of {text!r} are known.", remedy=f"Known are {names}.")
    return Segment(text)


def _around(table: "SessionTable", day: "SessionDay | None") -> tuple[str | None, str | None]:
    """Return the days of the sessions before and after a day, None where the way to them is not known."""
    from datetime import datetime, time, timedelta

    from domain.market import EXCHANGE_ZONE, NS_PER_S
    from domain.session_table import DaysUnknown

    assert day is not None
    begins = datetime.combine(day.day, time.min, EXCHANGE_ZONE)
    from_ns, to_ns = (int(at.timestamp()) * NS_PER_S for at in (begins, begins + timedelta(days=1)))
    around: list[str | None] = []
    for look, at_ns in ((table.previous_session, from_ns), (table.next_session, to_ns - 1)):
        try:
            around.append(look(day.segment, at_ns).day.isoformat())
        except DaysUnknown:
            around.append(None)
    return around[0], around[1]


def _print_days(days: list[dict[str, Any]], lists: list[dict[str, Any]]) -> None:
    for each in days:
        name = f" ({each['name']})" if each["name"] else ""
        sys.stdout.write(f"{each['segment']} {each['day']} {each['weekday']}: {each['kind']}{name}, {_known(each)}\n")
        if each["hours"]:
            sys.stdout.write(f"  {', '.join(each['hours'])}\n")
        if each["hours_with_derivatives"] != each["hours"]:
            sys.stdout.write(f"  stocks with derivatives: {', '.join(each['hours_with_derivatives'])}\n")
        before, after = each["previous_session"] or "not known", each["next_session"] or "not known"
        sys.stdout.write(f"  session before: {before}, after: {after}\n")
        if each["source"]:
            sys.stdout.write(f"  source: {each['source']}\n")
    for each in lists:
        sys.stdout.write(f"{each['file']} was brought in at {each['imported_at']}, {each['rows']} rows.\n")


def _known(day: dict[str, Any]) -> str:
    if day["known"]:
        return str(day["certainty"])
    if day["certainty"] == "unknown":
        return "holidays not known yet: hours of an ordinary week"
    return f"{day['certainty']}, hours not known yet"


@market_calendar.command("import")
def import_list(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or JSON (also .gz).", exists=True, dir_okay=False)],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and store nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line for machines; asks nothing.")] = False,
) -> None:
    """Bring in a list of days: all of it, or nothing where a row is no day. What it changes is shown before.

    Known are the exchange's reply on holidays (JSON, as saved; lists CM, FO and CD, for the whole years of its days),
    and tables with the columns first_day, last_day, segments, kind, hours, name, status, source: kind is regular (opens
    a stretch: its weekdays trade but for what other rows name), holiday, muhurat, special, short or extended; hours are
    such as "pre_open 18:00-18:08; continuous 18:15-19:15", regular, or empty where not told; status is observed,
    announced or unverified. What was observed stands: a list that says otherwise is refused (CALENDAR_CONFLICT).
    """
    from adapters.clock import SystemClock
    from adapters.session_lists import ListFaulty
    from infra.home import Home
    from infra.session_calendar import bring_in, plan
    from infra.settings import load

    home = Home(load().home)
    try:
        planned = plan(home, file)
        is_stored = bool(planned.changes) and not dry_run
        if not as_json:
            _print_plan(planned)
            if is_stored and not yes:
                typer.confirm("Bring it in?", abort=True)
        if is_stored:
            bring_in(home, file, planned, SystemClock())
    except ListFaulty as faulty:
        _tell_faults(faulty, file.name, as_json=as_json)
        raise typer.Exit(EXIT_FAULTY) from None
    if as_json:
        _tell_plan(planned, is_stored=is_stored)
    elif is_stored:
        sys.stdout.write("It is in force. A running engine looks at it within seconds.\n")
    elif dry_run:
        sys.stdout.write("Nothing was stored.\n")


def _print_plan(planned: "Plan") -> None:
    from infra.session_calendar import ShownDay, day_text

    write, changes = sys.stdout.write, planned.changes
    for each in changes.opened:
        days = f"{each.first_day} to {each.last_day}"
        write(f"{each.segment.value}: {days} are known now, {each.trading_days} trading days.\n")
    for change in changes.days:
        before, after = ShownDay.of(change.before), ShownDay.of(change.after)
        was = " ".join((before.kind, *before.hours)) if before.known else "not known"
        write(f"{day_text(after)}; before: {was}\n")
    if changes.confirmed:
        write(f"{changes.confirmed:,} days trade as before, by another source.\n")
    for day in planned.kept:
        write(f"Kept: {day_text(ShownDay.of(day))}. The list has the day as a holiday.\n")
    if planned.read.passed_over:
        write(f"Passed over, for they are of other segments: {', '.join(planned.read.passed_over)}.\n")
    if not changes:
        write("It changes nothing.\n")


def _tell_plan(planned: "Plan", *, is_stored: bool) -> None:
    import msgspec

    from infra.session_calendar import ShownDay

    document = {
        "stored": is_stored,
        "opened": planned.changes.opened,
        "days": [
            {"before": ShownDay.of(each.before), "after": ShownDay.of(each.after)} for each in planned.changes.days
        ],
        "confirmed": planned.changes.confirmed,
        "kept": [ShownDay.of(day) for day in planned.kept],
        "passed_over": planned.read.passed_over,
    }
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def _tell_faults(faulty: "ListFaulty", name: str, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        document = {"stored": False, "faults": faulty.faults}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
        return
    for fault in faulty.faults:
        where = name if fault.line is None else f"{name}:{fault.line}"
        sys.stderr.write(f"{where}: {fault.code}: {fault.message}\n")
    sys.stderr.write("khata: nothing was stored.\n")
