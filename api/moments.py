"""Time travel: a query as of a time or a sequence of the past."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Query, Request

from api.errors import FieldInvalid
from api.fields import time_text_us
from api.freshness import SEQUENCE_MAX
from api.services import services_of
from api.shortcut import without_query
from projections.as_of import Moment, MomentRefused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# RFC 3339 with its offset. A plus sign that was not escaped in the address arrives as a space: nothing else is meant.
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+\- ])(\d{2}:\d{2}))", re.ASCII
)
_EXPECTED = "expected a time with its offset, such as '2026-11-20T15:30:00+05:30' or '2026-11-20T10:00:00Z'"
_SHOWN_MAX = 60


def parse_time_us(text: str) -> int:
    """Return the time that *text* (RFC 3339) means, in UTC microseconds; what is finer is cut off.

    Raises:
        FieldInvalid: it is none, or says nothing of its offset (`AS_OF_INVALID`).
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise _invalid(text)
    day, time, fraction, zulu, sign, offset = match.groups()
    whole = f"{day}T{time}" + ("+00:00" if zulu else f"{'-' if sign == '-' else '+'}{offset}")
    try:
        moment = datetime.fromisoformat(whole)
        return (moment - _EPOCH) // _MICROSECOND + int((fraction or "").ljust(6, "0")[:6])
    except (ValueError, OverflowError):
        raise _invalid(text) from None


def _invalid(text: str) -> FieldInvalid:
    return FieldInvalid("AS_OF_INVALID", f"as_of: received {text[:_SHOWN_MAX]!r}, {_EXPECTED}", field="as_of")


async def _now(_: Request) -> None:
    """Return None: the present."""


@without_query(_now)
async def _moment(
    request: Request,
    as_of: Annotated[
        str | None,
        Query(
            description="Answer as of this time (RFC 3339, with its offset): what was shown after the last event"
            " recorded at or before it. Not together with `at_sequence`.",
            examples=["2026-11-20T15:30:00+05:30"],
        ),
    ] = None,
    at_sequence: Annotated[
        int | None,
        Query(
            ge=1,
            le=SEQUENCE_MAX,
            description="Answer as of this place in the log: what was shown after this event."
            " Not together with `as_of`.",
        ),
    ] = None,
) -> Moment | None:
    if as_of is not None and at_sequence is not None:
        raise FieldInvalid(
            "AS_OF_AND_AT_SEQUENCE", "received both as_of and at_sequence, expected one of them at most", field="as_of"
        )
    services = services_of(request)
    try:
        if as_of is not None:
            moment = await services.history.moment_at(parse_time_us(as_of))
        elif at_sequence is not None:
            moment = await services.history.moment_of(at_sequence)
        else:
            return None
    except MomentRefused as refused:
        field = "as_of" if at_sequence is None else "at_sequence"
        raise FieldInvalid(refused.code, str(refused), field=field) from None
    # Its rows may lie in the tables only.
    await services.queries.wait_for(moment.sequence)
    return moment


Then = Annotated[Moment | None, Depends(_moment)]
"""A route that takes one takes `as_of` and `at_sequence`; None: now. It stands after the caller, as `Fresh` does."""


def as_of_text(moment: Moment | None) -> str | None:
    """Return what an answer says of the time it stands for, None for now."""
    return None if moment is None else time_text_us(moment.time_us)
