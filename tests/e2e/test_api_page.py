"""Every line of docs/api.md, curl and Python, typed as printed at an engine as `make up` starts it."""

import asyncio
import shutil
from typing import Any

import pytest

from tests.support.curl_lines import API_PAGE, PRINTED_API, README, snippets_of, terminal
from tests.support.running import RunningEngine

TYPED = ("bash", "curl", "python3")
RUN_ELSEWHERE = {README, *(API_PAGE.with_name(name) for name in ("dhan.md", "simulator-faults.md"))}
"""What `test_readme.py`, `test_dhan_plain.py` and `test_simulator_faults_page.py` type."""


@pytest.mark.timeout(240)  # On a busy machine an engine takes a minute to start, and a command ten seconds.
@pytest.mark.skipif(not all(map(shutil.which, TYPED)), reason=f"the page's lines need {', '.join(TYPED)}")
async def test_every_snippet_of_the_page_does_what_the_page_says(
    engine: RunningEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[Any] = []
    names: dict[str, Any] = {}
    async with terminal(engine.api_url, home=engine.home.path) as shell:
        for language, snippet in snippets_of(API_PAGE):
            if language == "bash":
                said += await shell.type(snippet)
            else:
                code = compile(snippet.replace(PRINTED_API, engine.api_url), str(API_PAGE), "exec")
                await asyncio.to_thread(exec, code, names)
    registered, placed, logged_in, lost, again, stopped, released, then, unchanged, refused, *doubted = said
    assert registered["account_id"] == stopped["account_id"] == then["account_id"]
    assert logged_in["logged_in"]
    assert {each["status"] for each in lost["orders"]} <= {"unknown"}
    in_doubt, alerts, resolved = doubted
    assert {each["status"] for each in in_doubt["orders"]} <= {"unknown"}
    assert {each["code"] for each in alerts["alerts"]} <= {"ORDER_UNKNOWN"}, "the switch was released"
    assert (resolved["status"], resolved["code"]) == (404, "ORDER_NOT_FOUND")
    assert placed == again
    engaged = [stopped["kill_switch"]["engaged"], released["engaged"], then["kill_switch"]["engaged"]]
    assert engaged == [True, False, True]
    assert unchanged == 304
    assert (refused["status"], refused["code"]) == (403, "QUANTITY_ABOVE_LIMIT")
    assert (names["then"].trades, names["now"].trades) == (2, 3)
    printed = capsys.readouterr().out
    assert "['INFY', 'RELIANCE']\n['RELIANCE']\n" in printed
    assert "QUANTITY_ABOVE_LIMIT 5000 900000" in printed
    assert names["found"][0].symbol == "RELIANCE"
    assert names["notes"] == [], "today is not over"
    assert "['INFY']\n[False, True]\nRavi Iyer\n" in printed
    first, second = names["kept"]
    assert first.refresh_token != second.refresh_token
    assert names["stopped"].engaged
    assert engine.complaints() == []


def test_no_page_shows_lines_that_no_test_types() -> None:
    shown = {
        page
        for page in [README, *README.parent.glob("docs/**/*.md")]
        if any(language in {"bash", "python", "sh", "shell", "console"} for language, _ in snippets_of(page))
    }
    assert shown == RUN_ELSEWHERE | {API_PAGE}
