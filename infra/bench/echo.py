"""The yardstick of the bench `api`: FastAPI on our server that reads the same body and sends it back."""

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import uvloop
from fastapi import FastAPI, Request, Response

from api.answers import answer
from api.bodies import read_body
from api.requests import TradeRequest
from infra.addresses import LOOPBACK, free_port
from infra.edge import Edge
from infra.roles.serving import serve

PATH = "/echo"
_READY_S = 30.0
_JOIN_S = 10.0


@contextmanager
def echoing() -> Iterator[tuple[str, int]]:
    """Run the echo in a process of its own, as the API runs in one, until the block ends.

    Yields:
        Its base URL and process id.
    """
    url = f"http://{LOOPBACK}:{free_port()}"
    spawn = multiprocessing.get_context("spawn")
    listening, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_echo, args=(url, told), daemon=True)
    process.start()
    try:
        if not listening.poll(_READY_S):
            raise RuntimeError(f"the echo did not start: exit code {process.exitcode}")
        assert process.pid is not None, "it said that it is ready"
        yield url, process.pid
    finally:
        process.terminate()
        process.join(_JOIN_S)


def create_echo() -> FastAPI:
    """Return an application that does nothing but read an order intent and send it back."""
    app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})

    @app.post(PATH, status_code=201)
    async def echo(request: Request) -> Response:
        return answer(await read_body(request, TradeRequest), status=201)

    return app


def _echo(url: str, told: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(create_echo(), url=url, edge=Edge(), ready=lambda: told.send_bytes(b"ready")))
