"""When each segment trades, day by day, and which orders a phase takes."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec import Meta

from api.answers import answer
from api.callers import Authenticated
from api.errors import FieldInvalid
from api.fields import Time, time_text_ns
from api.openapi import answers
from api.services import services_of
from domain.instrument import Segment
from domain.market import NS_PER_S, trading_day
from domain.session import PHASE_RULES, Phase
from domain.session_table import DayPhase, SessionDay, SessionTable, days_between

router = APIRouter(prefix="/api/sessions", tags=["market"])

DAYS_MAX = 62
"""Two months: what lies beyond is asked for with another first day."""
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FIRST_DAY, _LAST_DAY = date(1990, 1, 1), date(2100, 12, 31)
FirstDay = Annotated[
    str | None, Query(description="ISO; left out: today, by the market's clock", examples=["2026-11-27"])
]
LastDay = Annotated[str | None, Query(description="ISO; left out: the first day", examples=["2026-11-27"])]


class PhaseView(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of a day, from `starts_at` until just before `ends_at`; the same in UTC beside it."""

    phase: Phase
    starts_at: Time
    ends_at: Time
    starts_at_utc: Time
    ends_at_utc: Time
    certainty: str
    source: str

    @classmethod
    def of(cls, phase: DayPhase) -> "PhaseView":
        """Return what is shown of *phase*."""
        return cls(
            phase=phase.phase,
            starts_at=time_text_ns(phase.starts_at_ns) or "",
            ends_at=time_text_ns(phase.ends_at_ns) or "",
            starts_at_utc=_utc_text(phase.starts_at_ns),
            ends_at_utc=_utc_text(phase.ends_at_ns),
            certainty=phase.certainty.value,
            source=phase.source,
        )


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """One day of a segment.

    `kind` is regular, weekend, holiday, muhurat, special, short or extended. `certainty` tells whether it was observed
    or announced, is unverified, or unknown: then `known` is false, the phases are those of an ordinary week, and
    entries are denied (`CALENDAR_UNKNOWN`); so they are where nobody has told yet when a session begins.
    `phases_with_derivatives` are those of stocks with listed derivatives, which close in an auction.
    """

    segment: Segment
    day: str
    kind: str
    known: bool
    certainty: str
    name: str
    source: str
    phases: list[PhaseView]
    phases_with_derivatives: list[PhaseView]

    @classmethod
    def of(cls, day: SessionDay, auctioned: SessionDay) -> "SessionView":
        """Return what is shown of *day*, which stocks with derivatives have as *auctioned*."""
        return cls(
            segment=day.segment,
            day=day.day.isoformat(),
            kind=day.kind.value,
            known=day.is_known,
            certainty=day.certainty.value,
            name=day.name,
            source=day.source,
            phases=[PhaseView.of(phase) for phase in day.phases],
            phases_with_derivatives=[PhaseView.of(phase) for phase in auctioned.phases],
        )


class PhaseRuleView(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase takes. `after_market`: orders for the next session only, which have to say so."""

    phase: Phase
    order_types: list[str]
    times_in_force: list[str]
    after_market: bool


class SessionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The days asked for, by segment and day, and the rules of all phases.

    `in_force` is false while the engine plays a tape of its own making, which trades at any time. `next_first_day`
    asks, as `first_day`, for the days after these; null: these are all that were asked for.
    """

    in_force: bool
    sessions: list[SessionView]
    rules: list[PhaseRuleView]
    next_first_day: Annotated[str | None, Meta(examples=["2026-12-01"])]


RULES = [
    PhaseRuleView(
        phase=phase,
        order_types=sorted(rule.order_types),
        times_in_force=sorted(rule.times_in_force),
        after_market=rule.after_market,
    )
    for phase, rule in PHASE_RULES.items()
]


@router.get("", responses=answers(SessionsAnswer, "When segments trade", 401, 422))
async def show_sessions(
    request: Request,
    _: Authenticated,
    *,
    segment: Annotated[Segment | None, Query(description="Only this one; left out: all whose hours are known")] = None,
    first_day: FirstDay = None,
    last_day: LastDay = None,
    limit: Annotated[int, Query(ge=1, le=DAYS_MAX, description="So many days at most, of each segment")] = DAYS_MAX,
) -> Response:
    """Show when segments trade, on a day or a range of days, and which orders each phase takes."""
    services = services_of(request)
    table = services.calendar()
    if segment is not None and segment not in table.segments:
        known = ", ".join(table.segments)
        raise FieldInvalid("SEGMENT_INVALID", f"segment: received {segment}, expected one of {known}", field="segment")
    today = trading_day(services.marks.market_time_ns())
    first = today if first_day is None else _day(first_day, field="first_day", first=_FIRST_DAY)
    last = first if last_day is None else _day(last_day, field="last_day", first=first)
    until = min(last, first + timedelta(days=limit - 1))
    shown = SessionsAnswer(
        in_force=services.follows_calendar,
        sessions=[
            view
            for each in (table.segments if segment is None else (segment,))
            for day in days_between(first, until)
            if (view := _view(table, each, day)) is not None
        ],
        rules=RULES,
        next_first_day=None if until == last else (until + timedelta(days=1)).isoformat(),
    )
    return answer(shown)


def _day(text: str, *, field: str, first: date) -> date:
    """Return the day that *text* means. Raises FieldInvalid where it is none, or lies before *first*."""
    try:
        day = date.fromisoformat(text) if _ISO_DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not first <= day <= _LAST_DAY:
        expected = f"expected a day from {first} to {_LAST_DAY}, such as 2026-11-27"
        raise FieldInvalid(f"{field.upper()}_INVALID", f"{field}: received {text[:40]!r}, {expected}", field=field)
    return day


def _view(table: SessionTable, segment: Segment, day: date) -> SessionView | None:
    plain, auctioned = (table.day_of(segment, day, derivatives=has) for has in (False, True))
    return None if plain is None or auctioned is None else SessionView.of(plain, auctioned)


def _utc_text(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).isoformat(timespec="microseconds")
