"""Nothing secret is ever in a log line, whoever wrote it."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from infra.logs import REDACTED, configure
from infra.settings import load, override


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure(override(load({}), log_format="json"), stream=stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def _last(lines: io.StringIO) -> dict[str, Any]:
    parsed = json.loads(lines.getvalue().splitlines()[-1])
    assert isinstance(parsed, dict)
    return parsed


def test_a_line_is_json_with_time_level_and_logger(lines: io.StringIO) -> None:
    structlog.get_logger("khata.relay").info("relayed", sequence=7)

    line = _last(lines)
    assert (line["event"], line["sequence"], line["level"], line["logger"]) == ("relayed", 7, "info", "khata.relay")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize("name", ["password", "access_token", "pin", "Authorization", "simulator_secret", "api_key"])
def test_a_field_with_a_secret_name_is_redacted(lines: io.StringIO, name: str) -> None:
    structlog.get_logger("khata").info("seen", **{name: "hunter2", "nested": {name: ["hunter2"]}})

    assert "hunter2" not in lines.getvalue()
    assert _last(lines)[name] == REDACTED


def test_ordinary_fields_stay(lines: io.StringIO) -> None:
    structlog.get_logger("khata").info("seen", opinion="yes", spinning=1, stream_id="account-acc_1")

    assert _last(lines)["opinion"] == "yes"
    assert _last(lines)["spinning"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "connecting to postgresql://khata_owner:hunter2@/khata?host=/tmp",
        "connecting to nats://khata:hunter2@127.0.0.1:4222",
        "GET /feed?version=2&token=hunter2&clientId=1",
        "POST /app/generateAccessToken?dhanClientId=1&pin=hunter2&totp=000000",
        "Authorization: Bearer hunter2.hunter2",
        "token eyJhunter2.eyJhunter2.hunter2",
    ],
)
def test_a_secret_is_redacted_by_its_shape_in_librarys_lines_too(lines: io.StringIO, text: str) -> None:
    logging.getLogger("some.library").warning("%s", text)

    assert "hunter2" not in lines.getvalue()
    assert REDACTED in lines.getvalue()


def test_a_secret_in_a_traceback_is_redacted(lines: io.StringIO) -> None:
    def connect() -> None:
        raise ConnectionError("no route to nats://khata:hunter2@127.0.0.1")

    try:
        connect()
    except ConnectionError:
        structlog.get_logger("khata").exception("lost")

    assert "ConnectionError" in lines.getvalue()
    assert "hunter2" not in lines.getvalue()
