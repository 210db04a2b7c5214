"""Pages for people who develop against the API: what it can be asked, and what its problems mean.

They load nothing from anybody else: the files of Swagger UI come along in a package, and no script stands in a page.
"""

from html import escape
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

from api.codes import PAGE_PATH, PROBLEMS, anchor_of

router = APIRouter(include_in_schema=False)

DOCS_PATH = "/docs"
_STATIC = Path(str(files("fastapi_offline"))) / "static"
_FILES = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon.png": "image/png",
}
_KEPT = {"Cache-Control": "public, max-age=3600"}
_DOCS = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Khata: API</title>
<link rel="icon" href="{DOCS_PATH}/favicon.png">
<link rel="stylesheet" href="{DOCS_PATH}/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="{DOCS_PATH}/swagger-ui-bundle.js"></script>
<script src="{DOCS_PATH}/start.js"></script>
</html>
"""
_START = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
});
"""

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


@router.get(DOCS_PATH)
async def docs() -> HTMLResponse:
    """Show what the API can be asked, and try it."""
    return HTMLResponse(_DOCS)


@router.get(f"{DOCS_PATH}/start.js")
async def start() -> Response:
    """Start what shows it."""
    return Response(_START, headers=_KEPT, media_type="text/javascript")


@router.get(f"{DOCS_PATH}/{{name}}")
async def file(name: str) -> FileResponse:
    """Serve one of the files that show it."""
    if name not in _FILES:
        raise HTTPException(404)
    return FileResponse(_STATIC / name, headers=_KEPT, media_type=_FILES[name])


def _entry(entry: str) -> str:
    told = {name: escape(str(value)) for name, value in PROBLEMS[entry]._asdict().items()}
    return _ENTRY.format(anchor=anchor_of(entry), entry=escape(entry), **told)


_ERRORS = _PAGE.format(entries="".join(map(_entry, PROBLEMS)))
