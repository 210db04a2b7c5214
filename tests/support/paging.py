"""Lists, read page by page."""

from typing import Any, Protocol

from projections.queries import Page, Paging


class Ask(Protocol):
    """A question whose answer comes in pages."""

    async def __call__(self, *, paging: Paging) -> Page[Any]: ...


async def paged(ask: Ask, paging: Paging) -> list[Any]:
    """Return the rows of every page from the one that *paging* asks for."""
    rows: list[Any] = []
    following: Paging | None = paging
    while following is not None:
        page = await ask(paging=following)
        rows += page.rows
        following = following.following(page)
    return rows
