"""Lists of days from files into the calendar: what is taken, what is refused with its line, and what it changes."""

import gzip
import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from adapters.session_lists import BYTES_MAX, PROBLEMS_MAX
from adapters.sessions import LOOK_AGAIN_NS, CalendarFile, CalendarUnreadable, ExchangeSessions
from domain.instrument import Segment
from domain.session import Phase
from domain.session_table import Certainty, DayKind, SessionDay
from infra.cli import app
from infra.home import Home
from infra.problems import OperatorProblem
from infra.session_calendar import bring_in, known_until, plan
from tests.support.security import ManualClock
from tests.support.specimens import NOW_NS, reliance

HEAD = "first_day,last_day,segments,kind,hours,name,status,source"
YEAR = "2027-01-01,2027-12-31,NSE_EQ,regular,,,,"
HOLIDAY = "2027-01-26,,NSE_EQ,holiday,,Republic Day,announced,NSE circular 12"
MUHURAT = "2027-10-29,,NSE_EQ,muhurat,pre_open 18:00-18:08; continuous 18:15-19:15,Diwali,,"
REPLY = Path(__file__).parents[3] / "shared" / "data" / "calendar" / "nse_holiday_master_api_reply_2025.json.gz"
needs_reply = pytest.mark.skipif(not REPLY.exists(), reason=f"there is no saved reply of the exchange at {REPLY}")


class Desk:
    """Somebody at a command line, with a home folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.home = Home(folder / "home")

    def file(self, *lines: str, name: str = "days.csv") -> Path:
        path = self._folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def reply(self, name: str = "reply.json", **lists: list[dict[str, Any]]) -> Path:
        return self.file(json.dumps(lists), name=name)

    def run(self, *words: object, typed: str | None = None) -> Result:
        arguments = ["calendar", *map(str, words)]
        return CliRunner().invoke(app, arguments, input=typed, env={"KHATA_HOME": str(self.home.path)})

    def imported(self, *words: object) -> dict[str, Any]:
        ran = self.run("import", *words, "--json")
        assert ran.exit_code == 0, ran.output
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer

    def faults(self, *words: object) -> list[tuple[int | None, str]]:
        ran = self.run("import", *words, "--json")
        assert ran.exit_code == 1, ran.output
        answer = json.loads(ran.stdout)
        assert answer["stored"] is False
        assert not self.home.calendar_file.exists()
        return [(each["line"], each["code"]) for each in answer["faults"]]

    def day(self, text: str, segment: Segment = Segment.NSE_EQ) -> SessionDay:
        found = CalendarFile(self.home.calendar_file).table().day_of(segment, date.fromisoformat(text))
        assert found is not None
        return found

    def shown(self, *words: str) -> dict[str, Any]:
        ran = self.run("show", *words, "--json")
        assert ran.exit_code == 0, ran.output
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def holiday(day: date, name: str = "A holiday") -> dict[str, Any]:
    return {
        "tradingDate": f"{day:%d-%b-%Y}",
        "weekDay": f"{day:%A}",
        "description": name,
        "morning_session": None,
        "evening_session": None,
        "Sr_no": 1,
    }


# --- What is taken ---


def test_a_list_opens_a_year_and_names_its_days(desk: Desk) -> None:
    answer = desk.imported(desk.file(HEAD, YEAR, HOLIDAY, MUHURAT))
    assert answer["stored"] is True
    assert answer["opened"][0] == {
        "segment": "NSE_EQ",
        "first_day": "2027-01-01",
        "last_day": "2027-12-31",
        "trading_days": 260,
    }
    assert desk.day("2027-01-26").kind is DayKind.HOLIDAY
    assert desk.day("2027-01-26").source == "NSE circular 12"
    assert desk.day("2027-01-27").is_known
    evening = desk.day("2027-10-29")
    assert [phase.phase for phase in evening.phases] == [Phase.PRE_OPEN, Phase.CONTINUOUS]
    assert evening.source == "days.csv"
    assert not desk.day("2028-01-03").is_known
    assert not desk.day("2027-01-27", Segment.NSE_CURRENCY).is_known


def test_who_follows_the_segment_of_a_list_follows_it_too(desk: Desk) -> None:
    answer = desk.imported(desk.file(HEAD, YEAR, HOLIDAY))
    assert {each["segment"] for each in answer["opened"]} == {"NSE_EQ", "NSE_FNO", "BSE_EQ", "BSE_FNO"}
    followed = desk.day("2027-01-26", Segment.BSE_FNO)
    assert (followed.kind, followed.certainty) == (DayKind.HOLIDAY, Certainty.UNVERIFIED)


def test_the_hours_of_a_session_that_was_announced_without_them_come_later(desk: Desk) -> None:
    assert not desk.day("2026-11-08").is_known
    answer = desk.imported(desk.file(HEAD, "2026-11-08,,NSE_EQ,muhurat,continuous 18:00-19:00,Diwali,,NSE circular 9"))
    (change, *_) = answer["days"]
    assert (change["before"]["known"], change["after"]["hours"]) == (False, ["continuous 18:00-19:00"])
    assert desk.day("2026-11-08").is_known


def test_a_holiday_that_was_taken_back_is_a_weekday_again(desk: Desk) -> None:
    rows = [
        row.replace("2027", "2026")
        for row in (YEAR, "2027-12-25,,NSE_EQ,holiday,,Christmas,,", "2027-12-24,,NSE_EQ,holiday,,Declared,,")
    ]
    answer = desk.imported(desk.file(HEAD, rows[0], rows[2]))
    changed = {each["after"]["day"]: (each["before"]["kind"], each["after"]["kind"]) for each in answer["days"]}
    assert changed["2026-12-25"] == ("holiday", "regular")
    assert changed["2026-12-24"] == ("regular", "holiday")
    # What the list does not tell stays: sessions out of the ordinary, and all that was observed.
    assert desk.day("2026-11-08").kind is DayKind.MUHURAT
    assert desk.day("2026-02-01").kind is DayKind.SPECIAL
    assert desk.day("2026-01-15").kind is DayKind.HOLIDAY
    desk.imported(desk.file(HEAD, *rows, name="again.csv"))
    assert desk.day("2026-12-25").kind is DayKind.HOLIDAY


def test_the_newest_list_goes_before_those_brought_in_earlier(desk: Desk) -> None:
    desk.imported(desk.file(HEAD, YEAR, HOLIDAY))
    desk.imported(desk.file(HEAD, "2027-01-26,,NSE_EQ,short,continuous 17:00-18:00,Told anew,,", name="later.csv"))
    assert desk.day("2027-01-26").kind is DayKind.SHORT
    assert desk.day("2027-01-27").kind is DayKind.REGULAR


def test_the_same_list_again_changes_nothing_and_is_not_kept_twice(desk: Desk) -> None:
    path = desk.file(HEAD, YEAR, HOLIDAY)
    desk.imported(path)
    kept = desk.home.calendar_file.read_bytes()
    again = desk.imported(path)
    assert (again["stored"], again["opened"], again["days"], again["confirmed"]) == (False, [], [], 0)
    assert desk.home.calendar_file.read_bytes() == kept


def test_who_brought_in_what_and_when_is_kept(desk: Desk) -> None:
    path = desk.file(HEAD, YEAR, HOLIDAY)
    desk.imported(path)
    (told,) = desk.shown()["imported"]
    assert (told["file"], told["rows"]) == ("days.csv", 2)
    assert len(told["sha256"]) == 64
    assert told["imported_at"].endswith("+00:00")
    assert desk.home.calendar_file.stat().st_mode & 0o777 == 0o600


def test_a_file_may_be_compressed_and_begin_with_a_byte_order_mark(desk: Desk) -> None:
    path = desk.file(name="days.csv.gz")
    path.write_bytes(gzip.compress(f"\ufeff{HEAD}\n{YEAR}\n{HOLIDAY}".encode()))
    assert desk.imported(path)["stored"] is True


# --- The exchange's reply ---


def test_a_reply_has_a_list_of_holidays_for_each_segment(desk: Desk) -> None:
    republic_day, bank_day = date(2027, 1, 26), date(2027, 4, 1)
    answer = desk.imported(
        desk.reply(
            CM=[holiday(republic_day, "Republic Day")],
            CD=[holiday(republic_day, "Republic Day"), holiday(bank_day, "Annual Bank Closing")],
            IRD=[holiday(bank_day)],
        )
    )
    assert answer["passed_over"] == ["IRD"]
    assert desk.day("2027-04-01").kind is DayKind.REGULAR
    assert desk.day("2027-04-01", Segment.NSE_CURRENCY).kind is DayKind.HOLIDAY
    assert desk.day("2027-01-26", Segment.NSE_FNO).kind is DayKind.HOLIDAY
    assert desk.day("2027-12-31").is_known


def test_a_list_of_its_own_takes_no_session_from_who_follows(desk: Desk) -> None:
    # The list of derivatives tells no session on a Sunday: it has that of the shares all the same.
    desk.imported(desk.reply(FO=[holiday(date(2026, 1, 26))]))
    assert desk.day("2026-02-01", Segment.NSE_FNO).kind is DayKind.SPECIAL
    assert desk.day("2026-01-15", Segment.NSE_FNO).kind is DayKind.HOLIDAY
    assert desk.day("2026-01-27", Segment.NSE_FNO).certainty is Certainty.ANNOUNCED


def test_diwali_is_a_holiday_in_the_reply_and_keeps_its_evening(desk: Desk) -> None:
    answer = desk.imported(desk.reply(CM=[holiday(date(2026, 11, 8)), holiday(date(2024, 11, 1))]))
    assert [each["day"] for each in answer["kept"]] == ["2026-11-08", "2024-11-01"]
    assert desk.day("2026-11-08").kind is DayKind.MUHURAT
    assert desk.day("2024-11-01").kind is DayKind.MUHURAT


@needs_reply
def test_the_reply_of_2025_agrees_with_what_took_place(desk: Desk) -> None:
    answer = desk.imported(REPLY)
    assert answer["days"] == []
    assert answer["opened"] == []
    assert answer["confirmed"] > 0
    assert {each["day"] for each in answer["kept"]} == {"2025-10-21"}


# --- What is refused ---


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",,NSE_EQ,holiday,,x,,", "ROW_INCOMPLETE"),
        ("2027-01-26,,,holiday,,x,,", "ROW_INCOMPLETE"),
        ("2027-01-26,,NSE_EQ,,,x,,", "ROW_INCOMPLETE"),
        ("2027-01-26", "ROW_INCOMPLETE"),
        ("26/01/2027,,NSE_EQ,holiday,,x,,", "DATE_INVALID"),
        ("2027-02-30,,NSE_EQ,holiday,,x,,", "DATE_INVALID"),
        ("1927-01-26,,NSE_EQ,holiday,,x,,", "DATE_INVALID"),
        ("2027-01-26,2027-01-25,NSE_EQ,holiday,,x,,", "DATE_INVALID"),
        ("2027-01-26,2028-01-26,NSE_EQ,holiday,,x,,", "DATE_INVALID"),
        ("2027-01-01,2099-01-01,NSE_EQ,regular,,,,", "DATE_INVALID"),
        ("2027-01-26,,NSE,holiday,,x,,", "SEGMENT_INVALID"),
        ("2027-01-26,,INDEX,holiday,,x,,", "SEGMENT_INVALID"),
        ("2027-01-26,,NSE_EQ,weekend,,x,,", "KIND_INVALID"),
        ("2027-01-26,,NSE_EQ,Holiday,,x,,", "KIND_INVALID"),
        ("2027-01-26,,NSE_EQ,holiday,continuous 09:15-15:30,x,,", "HOURS_INVALID"),
        ("2027-01-26,,NSE_EQ,short,09:15-15:30,x,,", "HOURS_INVALID"),
        ("2027-01-26,,NSE_EQ,short,continuous 15:30-09:15,x,,", "HOURS_INVALID"),
        ("2027-01-26,,NSE_EQ,short,continuous 09:15-24:30,x,,", "HOURS_INVALID"),
        ("2027-01-26,,NSE_EQ,short,continuous 09:15-11:00; continuous 10:00-12:00,x,,", "HOURS_INVALID"),
        ("2027-01-26,,NSE_EQ,short,closed 09:15-11:00,x,,", "HOURS_INVALID"),
        ("2027-01-26,,NSE_EQ,muhurat,pre_open 18:00-18:08,x,,", "HOURS_INVALID"),
        ("2027-01-26,,NSE_EQ,holiday,,x,sure,", "STATUS_INVALID"),
        ("2027-01-26,,NSE_EQ,holiday,,x,unknown,", "STATUS_INVALID"),
        (f"2027-01-26,,NSE_EQ,holiday,,{'x' * 301},,", "TEXT_INVALID"),
        ("2027-01-26,,NSE_EQ,holiday,,x\x07,,", "TEXT_INVALID"),
        ("2027-01-26,,NSE_EQ,holiday,,An election, of Mumbai,", "STATUS_INVALID"),
        ("2027-01-26,,NSE_EQ,holiday,,x,,a source, with a comma", "LAYOUT_UNKNOWN"),
        (HOLIDAY, "DAY_TWICE"),
    ],
)
def test_a_row_that_is_no_day_is_told_with_its_line_and_nothing_is_stored(row: str, code: str, desk: Desk) -> None:
    assert desk.faults(desk.file(HEAD, YEAR, HOLIDAY, row)) == [(4, code)]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (("day,name", "2027-01-26,x"), "LAYOUT_UNKNOWN"),
        ((f"{HEAD},extra", f"{HOLIDAY},x"), "LAYOUT_UNKNOWN"),
        (("",), "LAYOUT_UNKNOWN"),
        ((HEAD,), "LIST_EMPTY"),
        (("{",), "FILE_UNREADABLE"),
        (('{"other": []}',), "LAYOUT_UNKNOWN"),
        (('{"CM": {}}',), "LAYOUT_UNKNOWN"),
        (('{"CM": []}',), "LIST_EMPTY"),
        (("x" * (BYTES_MAX + 1),), "FILE_UNREADABLE"),
    ],
)
def test_a_file_of_another_kind_is_refused(lines: tuple[str, ...], code: str, desk: Desk) -> None:
    assert [found for _, found in desk.faults(desk.file(*lines))] == [code]


def test_what_unpacks_to_too_much_or_not_at_all_is_refused(desk: Desk) -> None:
    path = desk.file(name="days.csv.gz")
    for content in (gzip.compress(bytes(BYTES_MAX + 1)), gzip.compress(b"x")[:-3], b"\x1f\x8bnothing", b"\xff\xfe"):
        path.write_bytes(content)
        assert desk.faults(path) == [(None, "FILE_UNREADABLE")]


def _with(row: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {**row, **changed}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (_with(holiday(date(2027, 1, 27)), tradingDate="2027-01-27"), "DATE_INVALID"),
        (_with(holiday(date(2027, 1, 27)), weekDay="Friday"), "DATE_INVALID"),
        (_with(holiday(date(2027, 1, 27)), description=""), "TEXT_INVALID"),
        (_with(holiday(date(2027, 1, 27)), evening_session="Open"), "HOURS_INVALID"),
        (holiday(date(2027, 1, 26)), "DAY_TWICE"),
        ("a day", "DATE_INVALID"),
    ],
)
def test_a_row_of_the_reply_that_is_no_holiday_is_told(row: Any, code: str, desk: Desk) -> None:
    assert desk.faults(desk.reply(CM=[holiday(date(2027, 1, 26)), row])) == [(2, code)]


@pytest.mark.parametrize(
    "row",
    [
        "2026-08-03,,NSE_EQ,holiday,,A day that traded,,",
        "2026-01-26,,NSE_EQ,special,regular,A day that did not,,",
        "2024-11-01,,NSE_EQ,muhurat,continuous 18:15-19:15,Another hour,,",
        "2024-11-01,,NSE_EQ,holiday,,No evening,observed,",
        "2026-08-15,,NSE_EQ,special,regular,A Saturday without a session,,",
    ],
)
def test_what_was_observed_is_not_told_otherwise(row: str, desk: Desk) -> None:
    assert desk.faults(desk.file(HEAD, HOLIDAY, row)) == [(3, "CALENDAR_CONFLICT")]


def test_what_was_observed_may_be_told_again(desk: Desk) -> None:
    rows = (
        "2024-11-01,,NSE_EQ,muhurat,continuous 18:00-19:00,Diwali,observed,own ticks",
        "2026-08-15,,NSE_EQ,holiday,,Independence Day (a Saturday),,",
        "2026-01-26,,NSE_EQ,holiday,,Republic Day,,",
    )
    answer = desk.imported(desk.file(HEAD, *rows))
    assert answer["days"] == []
    assert desk.day("2024-11-01").source == "own ticks"


def test_of_many_faults_the_first_are_told(desk: Desk) -> None:
    rows = [f"2027-01-{number:02},,NSE,holiday,,x,," for number in range(1, 31)]
    assert len(desk.faults(desk.file(HEAD, *rows))) == PROBLEMS_MAX


# --- Shown before, and asked ---


def test_a_dry_run_shows_the_changes_and_stores_nothing(desk: Desk) -> None:
    ran = desk.run("import", desk.file(HEAD, YEAR, HOLIDAY), "--dry-run")
    assert ran.exit_code == 0
    assert "NSE_EQ: 2027-01-01 to 2027-12-31 are known now, 260 trading days." in ran.stdout
    assert "NSE_EQ 2027-01-26 Tue holiday (Republic Day); before: not known" in ran.stdout
    assert "Nothing was stored." in ran.stdout
    assert not desk.home.calendar_file.exists()


@pytest.mark.parametrize(("typed", "is_stored"), [("n\n", False), ("y\n", True), ("", False)])
def test_what_changes_is_shown_before_it_is_asked_whether_it_is_meant(
    typed: str,
    is_stored: bool,  # noqa: FBT001
    desk: Desk,
) -> None:
    ran = desk.run("import", desk.file(HEAD, YEAR, HOLIDAY), typed=typed)
    assert ran.stdout.index("Republic Day") < ran.stdout.index("Bring it in?")
    assert (ran.exit_code == 0) is is_stored
    assert desk.home.calendar_file.exists() is is_stored


def test_what_was_not_shown_is_not_stored(desk: Desk) -> None:
    path = desk.file(HEAD, YEAR, HOLIDAY)
    shown = plan(desk.home, path)
    desk.file(HEAD, YEAR)
    with pytest.raises(OperatorProblem, match="changed while it was looked at"):
        bring_in(desk.home, path, shown, ManualClock())
    assert not desk.home.calendar_file.exists()


def test_a_crash_while_writing_leaves_what_was_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.imported(desk.file(HEAD, YEAR, HOLIDAY))
    before = desk.home.calendar_file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    path = desk.file(HEAD, MUHURAT, name="more.csv")
    with pytest.raises(OperatorProblem, match="No space left"):
        bring_in(desk.home, path, plan(desk.home, path), ManualClock())
    assert desk.home.calendar_file.read_bytes() == before
    assert sorted(each.name for each in desk.home.calendar_file.parent.iterdir()) == [
        ".imported.json.lock",
        "imported.json",
    ]


# --- Shown ---


def test_a_day_is_shown_with_the_sessions_around_it(desk: Desk) -> None:
    (told,) = desk.shown("--day", "2024-11-01", "--segment", "NSE_EQ")["days"]
    assert (told["kind"], told["hours"], told["certainty"]) == ("muhurat", ["continuous 18:00-19:00"], "observed")
    assert (told["previous_session"], told["next_session"]) == ("2024-10-31", "2024-11-04")
    said = desk.run("show", "--day", "2027-01-04").stdout
    assert "NSE_EQ 2027-01-04 Mon: regular, holidays not known yet: hours of an ordinary week" in said
    assert "stocks with derivatives: pre_open 09:00-09:08, continuous 09:15-15:15" in said


@pytest.mark.parametrize("words", [("--day", "27/11"), ("--segment", "NSE"), ("--segment", "INDEX")])
def test_what_cannot_be_shown_is_said(words: tuple[str, ...], desk: Desk) -> None:
    assert isinstance(desk.run("show", *words).exception, OperatorProblem)


def test_how_far_the_days_are_known_is_told(desk: Desk) -> None:
    def known(segment: Segment) -> date | None:
        return known_until(CalendarFile(desk.home.calendar_file).table(), segment, date(2026, 11, 20))

    assert (known(Segment.NSE_EQ), known(Segment.NSE_CURRENCY)) == (date(2026, 12, 31), None)
    desk.imported(desk.file(HEAD, YEAR))
    assert (known(Segment.NSE_EQ), known(Segment.BSE_EQ)) == (date(2027, 12, 31), date(2027, 12, 31))


# --- While the engine runs ---


def following(desk: Desk, clock: ManualClock) -> tuple[ExchangeSessions, Callable[[], bool]]:
    """Return sessions that follow the calendar, and what tells whether they know the fourth of January 2027."""
    sessions = ExchangeSessions(CalendarFile(desk.home.calendar_file), clock)
    monday_ns = NOW_NS + timedelta(days=45) // timedelta(microseconds=1) * 1_000

    def is_known() -> bool:
        moment = sessions.moment_of(reliance, monday_ns)
        assert moment is not None
        assert moment.trading_day == "2027-01-04"
        return moment.day_known

    return sessions, is_known


def test_a_running_engine_looks_for_new_lists_every_few_seconds(desk: Desk) -> None:
    clock = ManualClock()
    sessions, is_known = following(desk, clock)
    assert not is_known()
    desk.imported(desk.file(HEAD, YEAR))
    assert not is_known()
    clock.tick_ns += LOOK_AGAIN_NS
    assert is_known()
    assert sessions.table.day_of(Segment.NSE_EQ, date(2027, 1, 4)) == desk.day("2027-01-04")


def test_a_file_that_is_damaged_meanwhile_changes_nothing_and_stops_the_next_start(desk: Desk) -> None:
    clock = ManualClock()
    desk.imported(desk.file(HEAD, YEAR))
    _, is_known = following(desk, clock)
    whole = desk.home.calendar_file.read_bytes()
    for damaged in (whole[:-9], b"{}", whole.replace(b'"layout":1', b'"layout":2')):
        desk.home.calendar_file.write_bytes(damaged)
        clock.tick_ns += LOOK_AGAIN_NS
        assert is_known()
        with pytest.raises(CalendarUnreadable):
            following(desk, clock)
        ran = desk.run("show")
        assert isinstance(ran.exception, OperatorProblem)


def test_stocks_with_derivatives_keep_the_hours_of_a_session_out_of_the_ordinary(desk: Desk) -> None:
    desk.imported(desk.file(HEAD, YEAR, MUHURAT))
    table = CalendarFile(desk.home.calendar_file).table()
    day = date(2027, 10, 29)
    plain, auctioned = (table.day_of(Segment.NSE_EQ, day, derivatives=has) for has in (False, True))
    assert plain == auctioned
    instrument = replace(reliance, has_derivatives=True)
    assert plain is not None
    moment = table.moment_of(instrument, plain.continuous[0].starts_at_ns)
    assert moment is not None
    assert (moment.phase, moment.continuous_until_ns) == (Phase.CONTINUOUS, plain.continuous[0].ends_at_ns)
