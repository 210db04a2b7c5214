"""Pages for people who develop against the API, out of the same tables that it answers from."""

from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.codes import PAGE_PATH, PROBLEMS, anchor_of

router = APIRouter(include_in_schema=False)

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Khata: errors</title>
<h1>Errors</h1>
<p>The <code>code</code> of a problem is stable, its other words are not.</p>
{entries}
</html>
"""
_ENTRY = """\
<h2 id="{anchor}"><code>{entry}</code></h2>
<p>{status}: {title}. Where: {where}.</p>
<dl><dt>Cause</dt><dd>{cause}</dd><dt>Remedy</dt><dd>{remedy}</dd></dl>
"""


@router.get(PAGE_PATH)
async def errors() -> HTMLResponse:
    """Show what every code of a problem means."""
    return HTMLResponse(_ERRORS)


def _entry(entry: str) -> str:
    told = {name: escape(str(value)) for name, value in PROBLEMS[entry]._asdict().items()}
    return _ENTRY.format(anchor=anchor_of(entry), entry=escape(entry), **told)


_ERRORS = _PAGE.format(entries="".join(map(_entry, PROBLEMS)))
