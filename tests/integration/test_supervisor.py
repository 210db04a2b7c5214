"""The supervisor: one per home, restarts what crashes, drains in order, and dies without leaving anybody behind."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.nats.connection import connect
from adapters.nats.control import serve
from adapters.nats.looks import LAST_LOOK, RECONCILE, NatsLooks
from commands.looks import LookReport, LookReports
from domain.differences import Book
from domain.ids import AccountId
from infra.broker_state import reconcile_now
from infra.checks import check_everything
from infra.embedded.process import processes_in
from infra.home import Home
from infra.lock import AlreadyRunning
from infra.problems import OperatorProblem
from infra.runtime import read_runtime_file, running_engine
from infra.settings import override
from infra.supervisor import Supervisor
from tests.support.engine import engine_settings, no_migrations, stand_in
from tests.support.eventually import eventually
from tests.support.servers import Servers, make_test_home, remove_test_home
from tests.support.specimens import difference_found

ROOT = Path(__file__).parents[2]
PROCESSES = (("api",), ("executor", "market"), ("relay", "projector"), ("simulator",))


@pytest.fixture
def home() -> Iterator[Home]:
    made = make_test_home()
    yield made
    remove_test_home(made)


def _on(servers: Servers, home: Home, *, processes: tuple[tuple[str, ...], ...] = PROCESSES) -> Supervisor:
    """Return a supervisor on servers that run already, as a user's own do; its home's keys are those servers'."""
    home.prepare()
    home.keys.symlink_to(servers.home.keys)
    settings = override(engine_settings(home.path), database_url=servers.database.admin, nats_url=servers.nats_url)
    return Supervisor(settings, processes=processes, command=stand_in, migrate=no_migrations, logs_to_files=True)


async def test_everything_is_ready_and_written_down_while_it_runs(servers: Servers, home: Home) -> None:
    async with _on(servers, home) as engine:
        written = read_runtime_file(home.runtime_file)
        assert written is not None
        assert stat.S_IMODE(home.runtime_file.stat().st_mode) == 0o600
        assert set(written.processes) == {"supervisor", "api", "executor-market", "relay-projector", "simulator"}
        assert written.api_url == engine.api_url
        assert running_engine(home) == written
    assert running_engine(home) is None


async def test_a_process_that_crashes_is_started_again(servers: Servers, home: Home) -> None:
    async with _on(servers, home) as engine:
        first = engine.process_of("projector").pid
        os.kill(first, signal.SIGKILL)
        again = await eventually(lambda: (pid := engine.process_of("projector").pid) != first and pid)

        written = read_runtime_file(home.runtime_file)
        assert written is not None
        assert written.processes["relay-projector"] == again
        assert psutil.pid_exists(again)


async def test_processes_stop_in_order_each_having_drained(servers: Servers, home: Home) -> None:
    async with _on(servers, home):
        pass

    assert (home.run / "drained").read_text().split() == ["api", "executor-market", "relay-projector", "simulator"]


async def test_the_halves_of_the_api_run_apart_where_the_settings_say_so(servers: Servers, home: Home) -> None:
    home.prepare()
    home.keys.symlink_to(servers.home.keys)
    settings = override(
        engine_settings(home.path),
        database_url=servers.database.admin,
        nats_url=servers.nats_url,
        api_apart=True,
        query_api_port=0,
    )
    async with Supervisor(settings, command=stand_in, migrate=no_migrations, logs_to_files=True) as engine:
        written = read_runtime_file(home.runtime_file)
        assert written is not None
        assert {"command-api", "query-api"} <= written.processes.keys()
        assert "api" not in written.processes
        assert engine.query_api_url == written.query_api_url != written.api_url
    drained = (home.run / "drained").read_text().split()
    assert drained == ["command-api", "query-api", "executor-market", "relay-projector", "simulator"]


async def test_a_second_engine_on_the_same_home_is_refused_and_harms_nothing(servers: Servers, home: Home) -> None:
    async with _on(servers, home, processes=()) as engine:
        with pytest.raises(AlreadyRunning, match=str(os.getpid())):
            await Supervisor(engine.settings).start()
        assert running_engine(home) is not None


async def test_a_process_that_never_gets_ready_stops_the_start_with_its_name(servers: Servers, home: Home) -> None:
    engine = _on(servers, home, processes=(("api",), ("broken",)))

    with pytest.raises(OperatorProblem, match="The process broken ended 3 times"):
        await engine.start()
    assert engine.process_of("api").exit_code() is not None


async def test_a_taken_port_is_told_before_anything_starts(servers: Servers, home: Home) -> None:
    port = int(servers.nats_url.rpartition(":")[2])
    settings = override(engine_settings(home.path), api_port=port)

    with pytest.raises(OperatorProblem, match="Set KHATA_API_PORT"):
        await Supervisor(settings).start()
    assert not (home.postgres / "data").exists()


async def test_the_executor_of_a_running_engine_is_asked_to_look(servers: Servers, home: Home) -> None:
    asked: list[dict[str, Any]] = []
    seen = LookReport(
        account_id=AccountId("acc_1"),
        looked_at_ns=1,
        read=(Book.ORDERS,),
        is_whole=False,
        agrees=False,
        differences=(difference_found,),
        repaired=(),
        suspected=(),
    )

    async def look(wanted: dict[str, Any]) -> LookReports:
        asked.append(wanted)
        return LookReports(looks=(seen,))

    async with _on(servers, home, processes=()) as engine:
        nats = await connect(servers.nats_url)
        assert await NatsLooks(nats).last(AccountId("acc_1")) is None, "nobody answers"
        async with serve(nats, RECONCILE, look), serve(nats, LAST_LOOK, look):
            assert await reconcile_now(engine.settings, ["acc_1"]) == (seen,)
            assert await reconcile_now(engine.settings, None) == (seen,)
            assert await NatsLooks(nats).last(AccountId("acc_1")) == seen
        await nats.close()
    assert asked == [{"account_ids": ["acc_1"]}, {"all": True}, {"account_id": "acc_1"}]


async def test_the_doctor_finds_a_running_engine_well(servers: Servers, home: Home) -> None:
    async with _on(servers, home) as engine:
        checks = await check_everything(engine.settings)

    assert [check.detail for check in checks if not check.ok] == []
    assert {"keys", "engine", "postgresql", "postgresql fsync", "postgresql oldest snapshot", "nats", "epoch"} <= {
        check.name for check in checks
    }


def test_the_doctor_names_a_remedy_for_a_server_that_is_away(home: Home) -> None:
    environment = {**os.environ, "KHATA_HOME": str(home.path), "KHATA_NATS_URL": "nats://me:hunter2@127.0.0.1:1"}
    ran = subprocess.run(
        (sys.executable, "-m", "infra.cli", "doctor", "--json"),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(ran.stdout)

    assert ran.returncode == 1
    assert [check["name"] for check in answer["checks"] if check["remedy"]] == ["nats"]
    assert "hunter2" not in ran.stdout + ran.stderr


def _spawn(home: Home) -> "subprocess.Popen[str]":
    program = (sys.executable, "-m", "tests.support.engine", str(home.path))
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if process.stdout.readline() != "up\n":
        process.kill()
        pytest.fail(str(process.communicate()))
    return process


def _end(process: "subprocess.Popen[str]", number: signal.Signals) -> int:
    process.send_signal(number)
    process.communicate()
    return process.returncode


async def test_a_kill_leaves_nobody_and_harms_nothing_and_sigterm_drains(home: Home) -> None:
    killed = _spawn(home)
    children = psutil.Process(killed.pid).children(recursive=True)
    assert len(children) > 3
    _end(killed, signal.SIGKILL)
    if sys.platform == "linux":
        await eventually(lambda: not any(child.is_running() for child in children))
    assert home.runtime_file.exists(), "nobody was left to remove it"
    assert running_engine(home) is None

    (home.run / "drained").unlink(missing_ok=True)
    assert _end(_spawn(home), signal.SIGTERM) == 0
    assert (home.run / "drained").read_text() == "api\n"
    assert not home.runtime_file.exists()
    assert processes_in((home.postgres / "data").resolve(), named="postgres") == []
