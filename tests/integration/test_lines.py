"""Lines to PostgreSQL: what is asked on one connection at once is answered each for itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest

from adapters.postgres import lines as module
from adapters.postgres.lines import Lines, Statement, text_of
from infra.database import DatabaseUrls
from tests.support.eventually import eventually
from tests.support.servers import Servers, fresh_database

ECHO = "SELECT $1::text, current_setting('khata.accounts', true)"
NOBODY: dict[str, str] = {}
Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]


@pytest.fixture(scope="module")
def urls(servers: Servers) -> Iterator[DatabaseUrls]:
    """A database for all of these tests: what some of them ask sleeps on behind them."""
    with fresh_database(servers) as made:
        yield made


@pytest.fixture
def connect(urls: DatabaseUrls) -> Connect:
    """Connect to the database as a reader."""
    return partial(psycopg.AsyncConnection.connect, urls.query, autocommit=True)


@pytest.fixture
async def one(connect: Connect) -> AsyncIterator[Lines]:
    """A single line."""
    lines = Lines(connect, size=1, wait_s=5.0)
    yield lines
    await lines.close()


def echo(text: str) -> Statement:
    return Statement(ECHO, [text_of(text)])


async def test_each_question_has_its_own_settings_and_its_own_answer(one: Lines) -> None:
    names = [f"acc_{number}" for number in range(200)]
    answers = await asyncio.gather(*(one.ask({"khata.accounts": name}, echo(name)) for name in names))
    assert answers == [(name.encode(), name.encode()) for name in names]
    assert await one.ask(NOBODY, echo("x")) == (b"x", b"")  # What the questions before were let see is over.


async def test_one_that_is_refused_does_not_take_others_along(one: Lines) -> None:
    missing = Statement("SELECT count(*) FROM views.no_such_table", [])
    asked = [echo("before"), missing, missing, Statement("SELECT 1 / $1::bigint", [b"0"]), echo("after")]
    before, *refused, after = await asyncio.gather(
        *(one.ask({"khata.accounts": "acc_1"}, each) for each in asked), return_exceptions=True
    )
    assert (before, after) == ((b"before", b"acc_1"), (b"after", b"acc_1"))
    kinds = [type(each) for each in refused]
    # The second finds the statement not prepared that the first could not prepare.
    errors = psycopg.errors
    assert kinds == [errors.UndefinedTable, errors.InvalidSqlStatementName, errors.DivisionByZero]
    with pytest.raises(errors.UndefinedTable):
        await one.ask(NOBODY, missing)
    assert await one.ask(NOBODY, Statement("SELECT 6 / $1::bigint", [b"2"])) == (b"3",)


async def test_a_statement_that_answers_anything_but_one_row_is_refused(one: Lines) -> None:
    for text in ("SELECT 1 WHERE false", "SELECT generate_series(1, 2)"):
        with pytest.raises(psycopg.DataError):
            await one.ask(NOBODY, Statement(text, []))


async def test_more_statements_than_are_kept_prepared(one: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PREPARED_MAX", 3)
    count = "SELECT $1::bigint, (SELECT count(*) FROM pg_prepared_statements)"
    asked = [Statement(count + " " * number, [text_of(number)]) for number in range(8)] * 2
    answers = await asyncio.gather(*(one.ask(NOBODY, each) for each in asked))
    assert [int(number or 0) for number, _ in answers] == list(range(8)) * 2
    assert max(int(count or 0) for _, count in answers) == 3 + 1  # And the one that says who may see.


async def test_what_is_large_goes_out_and_comes_in_piece_by_piece(one: Lines) -> None:
    texts = [str(number) * 3_000_000 for number in range(4)]
    answers = await asyncio.gather(*(one.ask(NOBODY, echo(text)) for text in texts))
    assert [text for text, _ in answers] == [text.encode() for text in texts]


async def test_whoever_waits_when_the_server_hangs_up_is_told_and_the_next_is_answered(
    one: Lines, urls: DatabaseUrls
) -> None:
    own = await one.ask(NOBODY, Statement("SELECT pg_backend_pid()", []))
    waiting = [asyncio.create_task(one.ask(NOBODY, Statement("SELECT pg_sleep(60)", []))) for _ in range(3)]
    async with await psycopg.AsyncConnection.connect(urls.admin, autocommit=True) as admin:

        async def sleeps() -> bool:
            found = await admin.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'", [int(own[0] or 0)]
            )
            return await found.fetchone() is not None

        await eventually(sleeps)
        await admin.execute("SELECT pg_terminate_backend(%s)", [int(own[0] or 0)])
    assert {type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)} <= {
        psycopg.OperationalError,
        psycopg.errors.AdminShutdown,
    }
    other = await one.ask(NOBODY, Statement("SELECT pg_backend_pid()", []))
    assert other != own


async def test_a_line_that_went_silent_is_broken_off(one: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.05)
    with pytest.raises(psycopg.OperationalError, match="no answer within"):
        await one.ask(NOBODY, Statement("SELECT pg_sleep(60)", []))
    monkeypatch.undo()
    assert await one.ask(NOBODY, echo("again")) == (b"again", None)


async def test_whoever_waits_when_the_lines_are_closed_is_told(connect: Connect) -> None:
    lines = Lines(connect, size=1, wait_s=5.0)
    await lines.ask(NOBODY, echo("opened"))
    waiting = asyncio.create_task(lines.ask(NOBODY, Statement("SELECT pg_sleep(60)", [])))
    await asyncio.sleep(0)
    await lines.close()
    with pytest.raises(psycopg.OperationalError, match="closed"):
        await waiting


async def test_another_line_is_opened_for_a_crowd_and_no_more_than_may_be(connect: Connect) -> None:
    lines = Lines(connect, size=3, wait_s=5.0)
    try:
        pids: set[bytes | None] = set()
        while len(pids) < 3:
            asked = (lines.ask(NOBODY, Statement("SELECT pg_backend_pid()", [])) for _ in range(60))
            pids.update(pid for (pid,) in await asyncio.gather(*asked))
        for _ in range(3):
            asked = (lines.ask(NOBODY, Statement("SELECT pg_backend_pid()", [])) for _ in range(60))
            assert {pid for (pid,) in await asyncio.gather(*asked)} <= pids
    finally:
        await lines.close()


async def test_a_server_that_is_away_is_waited_for(connect: Connect) -> None:
    refusals = 2

    async def connect_in_the_end() -> psycopg.AsyncConnection[Any]:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise psycopg.OperationalError("the server starts")
        return await connect()

    lines = Lines(connect_in_the_end, size=1, wait_s=60.0)
    try:
        assert await lines.ask(NOBODY, echo("x")) == (b"x", None)
    finally:
        await lines.close()


async def test_a_server_that_stays_away_is_not_waited_for_any_longer() -> None:
    async def refuse() -> psycopg.AsyncConnection[Any]:
        raise psycopg.OperationalError("the server is away")

    lines = Lines(refuse, size=2, wait_s=0.0)
    with pytest.raises(psycopg.OperationalError, match="away"):
        await lines.ask(NOBODY, echo("x"))
    await lines.close()


def test_a_zero_byte_is_no_text() -> None:
    with pytest.raises(ValueError, match="without zero bytes"):
        text_of("a\0b")
