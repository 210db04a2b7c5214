"""What lists are asked with: filters, the order, and the page."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Query, Request

from api.errors import FieldInvalid
from api.freshness import SEQUENCE_MAX
from api.shortcut import without_query
from domain.strategy.decide import NAME_LENGTH_MAX
from projections.queries import FIRST_PAGE, PAGE_MAX, Paging, Sort

Before = Annotated[int | None, Query(ge=0, le=SEQUENCE_MAX, description="The `next_before` of the page before")]
_After = Annotated[int | None, Query(ge=0, le=SEQUENCE_MAX, description="The `next_after` of the page before")]
PageLimit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
SymbolFilter = Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[ -~]+$")]
NameFilter = Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[!-~]+$")]
DAY_PATTERN = r"^\d{4}-\d{2}-\d{2}$"


class TimeSort(StrEnum):
    """In which order a list comes whose rows have no names."""

    NEWEST = Sort.NEWEST.value
    OLDEST = Sort.OLDEST.value


async def _first_page(_: Request) -> Paging:
    return FIRST_PAGE


@without_query(_first_page)
async def _paging(
    sort: Annotated[TimeSort, Query(description="What comes first", examples=["oldest"])] = TimeSort.NEWEST,
    before: Before = None,
    after: _After = None,
    limit: PageLimit = 50,
) -> Paging:
    return Paging(sort=Sort(sort.value), before=before, after=after, limit=limit)


@without_query(_first_page)
async def _paging_by_name(
    sort: Annotated[Sort, Query(description="What comes first, or by name", examples=["name"])] = Sort.NEWEST,
    before: Before = None,
    after: _After = None,
    after_name: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=NAME_LENGTH_MAX,
            pattern=r"^[^\x00-\x1f]+$",
            description="By name: the `next_after_name` of the page before, together with its `next_after`",
            examples=["Opening range"],
        ),
    ] = None,
    limit: PageLimit = 50,
) -> Paging:
    return Paging(sort=sort, before=before, after=after, after_name=after_name, limit=limit)


Paged = Annotated[Paging, Depends(_paging)]
"""A route that takes one takes `sort`, `before`, `after` and `limit`."""
PagedByName = Annotated[Paging, Depends(_paging_by_name)]
"""The same of a list whose rows have names: it takes `after_name` too."""


def parse_day(text: str) -> date:
    """Return the day that *text* (ISO) means.

    Raises:
        FieldInvalid: the calendar has none such (`DAY_INVALID`).
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise day_invalid(text) from None


def day_invalid(text: str) -> FieldInvalid:
    """Return what refuses *text* as no day that can be asked for."""
    return FieldInvalid("DAY_INVALID", f"day: received {text!r}, expected a day of the calendar", field="day")
