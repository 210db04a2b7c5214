"""What lists are asked with: filters, and the page."""

from typing import Annotated

from fastapi import Query

from api.freshness import SEQUENCE_MAX
from projections.queries import PAGE_MAX

Before = Annotated[int | None, Query(ge=0, le=SEQUENCE_MAX, description="The `next_before` of the page before")]
PageLimit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
SymbolFilter = Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[ -~]+$")]
NameFilter = Annotated[str | None, Query(min_length=1, max_length=64, pattern="^[!-~]+$")]
