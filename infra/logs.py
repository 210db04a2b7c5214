"""Log lines: structured, of one form for our own and the libraries', and without secrets.

Whatever is logged passes one redaction: by name (a field called `password`), and by shape (a URL with a password in it,
a signed token, a parameter `token=…` of a request line), for libraries log what they please.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, TextIO

import structlog

from infra.settings import Settings

REDACTED = "[redacted]"

_SECRET_NAMES = re.compile(
    r"(?i)password|passwd|secret|token|authorization|cookie|credential|api[_-]?key|private[_-]?key|signing|totp|(^|_)(pin|jwt|otp)($|_)"
)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}"), rf"\1{REDACTED}"),
    (re.compile(r"(?i)\b((?:access[_-]?)?token|pin|totp|password|secret)=[^&\s\"']+"), rf"\1={REDACTED}"),
)
_QUIET = ("httpx", "httpcore", "asyncio", "uvicorn.access", "alembic", "websockets")
"""Libraries that report every request: their warnings are heard, their chatter is not."""


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to *stream* (default: stderr), in the form that the settings ask for."""
    output = sys.stderr if stream is None else stream
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not output.isatty())
    # Before the exception is rendered there is no text to redact; after the line is rendered there are no names.
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=output.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return *line* without what is secret in it, by name or by shape."""
    for name, value in line.items():
        line[name] = value if name.startswith("_") else _without_secrets(name, value)
    return line


def _without_secrets(name: str, value: Any) -> Any:
    if _SECRET_NAMES.search(name) and value is not None and not isinstance(value, bool):
        return REDACTED
    match value:
        case str():
            return redact_text(value)
        case bytes():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {key: _without_secrets(str(key), item) for key, item in value.items()}
        case Sequence():
            return [_without_secrets("", item) for item in value]
        case _:
            # What is no number is rendered here, for the renderer would do it after us.
            return value if isinstance(value, int | float | None) else redact_text(repr(value))


def redact_text(text: str) -> str:
    """Return *text* without what has the shape of a secret."""
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text
