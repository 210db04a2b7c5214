"""`khata parked` and `khata rebuild`, on a database that a projector keeps."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from adapters.postgres.event_store import PostgresEventStore
from domain.ids import StrategyId
from infra.cli import app
from infra.database import DatabaseUrls
from infra.problems import OperatorProblem
from tests.support.log_writing import Scribe
from tests.support.projecting import reach, running, write_lives
from tests.support.servers import Servers
from tests.support.specimens import strategy_paused, strategy_resumed

WITHIN_S = 30.0
LOST = StrategyId("str_lost")


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, servers: Servers, database: DatabaseUrls) -> None:
    monkeypatch.setenv("KHATA_HOME", str(servers.home.path))
    monkeypatch.setenv("KHATA_DATABASE_URL", database.admin)
    monkeypatch.setenv("COLUMNS", "200")


def khata(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


@contextmanager
def engine(database: DatabaseUrls) -> Iterator[None]:
    """A projector at work in a thread of its own, on a log with a stream that strategies cannot take in."""
    ready, stop = threading.Event(), threading.Event()

    events = (strategy_paused, strategy_resumed)

    async def work() -> None:
        async with PostgresEventStore(database.writer) as store, running(database) as projector:
            await Scribe(store).write("strategy-lost", [replace(event, strategy_id=LOST) for event in events])
            last, _ = await write_lives(store, accounts=1, commands=10)
            await reach(projector, last)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        assert ready.wait(WITHIN_S)
        yield
    finally:
        stop.set()
        thread.join(WITHIN_S)


def test_what_is_parked_is_listed_and_replayed_as_far_as_it_can_be(database: DatabaseUrls) -> None:
    with engine(database):
        code, text = khata("parked", "--json")
        [parked] = json.loads(text)["parked"]
        assert code == 0
        assert (parked["model"], parked["stream_id"], parked["events"]) == ("strategies", "strategy-lost", 2)
        assert "strategy-lost" in khata("parked")[1]
        code, text = khata("parked", "--replay", "strategies", "strategy-lost", "--json")
        [replayed] = json.loads(text)["replayed"]
        assert code == 1, "the cause is still there"
        assert (replayed["taken"], replayed["sequence"]) == (0, parked["sequence"])
        with pytest.raises(OperatorProblem, match="Nothing of stream"):
            khata("parked", "--replay", "trades", "strategy-lost")


def test_a_read_model_is_rebuilt_and_gone_back_from(database: DatabaseUrls) -> None:
    with engine(database):
        code, text = khata("rebuild", "orders", "--json")
        answer = json.loads(text)
        assert code == 0
        assert (answer["table"], answer["not_compared"]) == ("orders_v2_g2", None)
        assert answer["compared_rows"] > 0
        assert "orders_v2 again" in khata("rebuild", "orders", "--back")[1]
        with pytest.raises(OperatorProblem, match="There is no read model 'nothing'"):
            khata("rebuild", "nothing")
        # Where streams are parked a rebuild would have to skip: it stops, and says where.
        with pytest.raises(OperatorProblem, match="POISON_EVENT: sequence 1"):
            khata("rebuild", "strategies")
