"""What `khata doctor` looks at: settings, keys, PostgreSQL and NATS, each with what to do about it."""

import nats
import nats.errors
import psycopg
from psycopg import sql
from psycopg.abc import Query
from psycopg.rows import scalar_row

from adapters.clock import SystemClock
from domain.market import trading_day
from infra.broker_state import broker_status, checks_of
from infra.check import Check
from infra.checks_kept import check_what_is_kept
from infra.home import Home
from infra.keys import key_problems
from infra.problems import OperatorProblem
from infra.runtime import RuntimeFile, running_engine
from infra.session_calendar import known_until, table_of
from infra.settings import Settings

_CONNECT_TIMEOUT_S = 5
_OLDEST_XMIN_AGE_MAX_S = 5.0
"""No transaction outlives this: an old snapshot keeps dead versions of the log's head row alive and slows appends."""


async def check_everything(settings: Settings) -> list[Check]:
    """Return what there is to say about the installation that *settings* name, the running engine included."""
    home = Home(settings.home)
    engine = running_engine(home)
    checks = [
        Check(name="settings", ok=True, detail=f"home {settings.home}"),
        *_keys(home),
        _calendar(home),
        _engine(engine),
    ]
    database_url = engine.database.admin if engine else settings.database_url
    nats_url = engine.nats_url if engine else settings.nats_url
    if database_url:
        checks += await _database(database_url)
    checks += await check_what_is_kept(engine.settings if engine else settings, database_url)
    if nats_url:
        checks.append(await _nats(nats_url))
    if engine is not None:
        checks += await _broker(settings)
    return checks


def _keys(home: Home) -> list[Check]:
    if not home.keys.exists():
        return [Check(name="keys", ok=True, detail="none yet: the first start makes them")]
    problems = [
        Check(name="keys", ok=False, detail=problem.message, remedy=problem.remedy) for problem in key_problems(home)
    ]
    return problems or [Check(name="keys", ok=True, detail=f"complete, closed to others, in {home.keys}")]


def _calendar(home: Home) -> Check:
    try:
        table = table_of(home)
    except OperatorProblem as problem:
        return Check(name="calendar", ok=False, detail=problem.message, remedy=problem.remedy)
    today = trading_day(SystemClock().wall_ns())
    known = {segment: known_until(table, segment, today) for segment in table.segments}
    told = ", ".join(f"{segment.value} to {last or 'no day'}" for segment, last in known.items())
    return Check(name="calendar", ok=True, detail=f"known are {told}: `khata calendar import` brings in more")


def _engine(engine: RuntimeFile | None) -> Check:
    if engine is None:
        return Check(name="engine", ok=True, detail="not running: `khata up` starts it")
    processes = ", ".join(f"{name} {pid}" for name, pid in engine.processes.items())
    return Check(name="engine", ok=True, detail=f"running at {engine.api_url} ({processes})")


async def _database(url: str) -> list[Check]:
    try:
        connection = await psycopg.AsyncConnection.connect(
            url, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S, row_factory=scalar_row
        )
    except psycopg.OperationalError as error:
        return [
            Check(
                name="postgresql",
                ok=False,
                detail=str(error).strip().splitlines()[0],
                remedy="Is the server running, and are KHATA_DATABASE_URL and its password right?",
            )
        ]
    async with connection:
        version = await _scalar(connection, "SHOW server_version")
        checks = [Check(name="postgresql", ok=True, detail=f"version {version}")]
        for option, why in (
            ("fsync", "a crash would lose what was answered"),
            ("full_page_writes", "a crash may tear pages"),
        ):
            value = await _scalar(connection, sql.SQL("SHOW {}").format(sql.Identifier(option)))
            on = value == "on"
            remedy = "" if on else f"Set {option} = on in the server's configuration: {why}."
            checks.append(Check(name=f"postgresql {option}", ok=on, detail=str(value), remedy=remedy))
        return [*checks, await _oldest_xmin(connection)]


async def _oldest_xmin(connection: psycopg.AsyncConnection[object]) -> Check:
    age = await _scalar(
        connection,
        """
        SELECT extract(epoch FROM max(clock_timestamp() - xact_start))
        FROM pg_stat_activity
        WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        """,
    )
    seconds = float(str(age)) if age is not None else 0.0
    ok = seconds <= _OLDEST_XMIN_AGE_MAX_S
    return Check(
        name="postgresql oldest snapshot",
        ok=ok,
        detail=f"{seconds:.1f} s",
        remedy=""
        if ok
        else "End the transaction that holds it (pg_stat_activity, pg_terminate_backend): appends slow down.",
    )


async def _scalar(connection: psycopg.AsyncConnection[object], statement: Query) -> object:
    return await (await connection.execute(statement)).fetchone()


async def _broker(settings: Settings) -> list[Check]:
    try:
        return checks_of(await broker_status(settings))
    except OperatorProblem as problem:
        # One that starts, or waits for its turn as the sender, does not answer yet; one that died is started again.
        return [Check(name="broker", ok=True, detail=f"not told: {problem.message}")]


async def _nats(url: str) -> Check:
    causes: list[Exception] = []

    async def keep(error: Exception) -> None:
        causes.append(error)

    remedy = "Is the server running with JetStream, and are KHATA_NATS_URL and its password right?"
    try:
        client = await nats.connect(
            url,
            allow_reconnect=False,
            connect_timeout=_CONNECT_TIMEOUT_S,
            max_reconnect_attempts=1,  # 0 would mean for ever
            reconnect_time_wait=0,
            error_cb=keep,
        )
    except (nats.errors.Error, OSError, TimeoutError) as error:
        # The first failure has the reason; the last says only that no server is left to try.
        return Check(name="nats", ok=False, detail=_reason([*causes, error][0]), remedy=remedy)
    try:
        account = await client.jetstream().account_info()
    except (nats.errors.Error, TimeoutError) as error:
        return Check(name="nats", ok=False, detail=f"JetStream: {_reason(error)}", remedy=remedy)
    finally:
        await client.close()
    return Check(name="nats", ok=True, detail=f"JetStream with {account.streams} streams, {account.storage} bytes")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
