"""A tape written down by hand, and the simulator served over real HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import httpx

from adapters.clock import SystemClock
from adapters.instruments import InstrumentMaster
from adapters.simulator.access.clients import pin_of
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.server import serve
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from adapters.simulator.tapes.tape import TapeSecond, Tick
from domain.instrument import InstrumentKey, Segment
from domain.market import NS_PER_S

RELIANCE = InstrumentKey(Segment.NSE_EQ, "2885")
NIFTY = InstrumentKey(Segment.INDEX, "13")
INSTRUMENTS = InstrumentMaster.load()
SECRET = b"s" * 32
CLIENT_ID = "1012345678"
OTHER_CLIENT_ID = "1087654321"
PLENTY = 1_000_000

Print = tuple[InstrumentKey, int, int]
"""Instrument, price (1/10,000 rupee), volume."""


class ScriptedTape:
    """Seconds with the prints given. Implements `adapters.simulator.tapes.tape.Tape`."""

    def __init__(
        self,
        *seconds: Sequence[Print],
        previous_closes_e4: Mapping[InstrumentKey, int] | None = None,
        start_ns: int = DEMO_START_NS,
    ) -> None:
        self._script = seconds
        self._previous_closes_e4 = previous_closes_e4 or {}
        self._start_ns = start_ns

    @property
    def instruments(self) -> Sequence[InstrumentKey]:
        return tuple({key: None for second in self._script for key, _, _ in second})

    @property
    def start_ns(self) -> int:
        return self._start_ns

    @property
    def seconds(self) -> int:
        return len(self._script)

    @property
    def previous_closes_e4(self) -> Mapping[InstrumentKey, int]:
        return self._previous_closes_e4

    def play(self) -> Iterator[TapeSecond]:
        for number, second in enumerate(self._script):
            time_ns = self._start_ns + number * NS_PER_S
            yield TapeSecond(time_ns, [Tick(key, price, volume, time_ns) for key, price, volume in second])


def steady(*prices_e4: int, volume: int = PLENTY, start_ns: int = DEMO_START_NS) -> ScriptedTape:
    """Return a tape on which RELIANCE prints each price in its second."""
    return ScriptedTape(*([(RELIANCE, price, volume)] for price in prices_e4), start_ns=start_ns)


def config_of(tape: ScriptedTape, **changes: Any) -> SimulatorConfig:
    """Return a lock-step configuration over *tape*, changed as asked."""
    settings: dict[str, Any] = {"secret": SECRET, "instruments": INSTRUMENTS, "lock_step": True, **changes}
    return SimulatorConfig(tape=tape, **settings)


class MovedClock(SystemClock):
    """The machine's clock, which a test moves ahead or lets stand. Implements `commands.ports.Clock`."""

    def __init__(self) -> None:
        self.ahead_ns = 0
        self.stands_at_ns: int | None = None

    def wall_ns(self) -> int:
        return super().wall_ns() + self.ahead_ns

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() if self.stands_at_ns is None else self.stands_at_ns


class Venue:
    """A client of a simulator that runs on a loopback port."""

    def __init__(self, http: httpx.AsyncClient, port: int) -> None:
        self.http = http
        self.port = port
        self.token = ""

    async def log_in(self, client_id: str = CLIENT_ID) -> str:
        pin = pin_of(client_id, secret=SECRET)
        query = {"dhanClientId": client_id, "pin": pin, "totp": "000000"}
        answer = await self.http.post("/app/generateAccessToken", params=query)
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["accessToken"]
        self.http.headers["access-token"] = self.token
        self.http.headers["client-id"] = client_id
        return self.token

    async def place(self, **changes: Any) -> httpx.Response:
        return await self.http.post("/v2/orders", json={**ORDER, **changes})

    async def modify(self, order_id: str, **changes: Any) -> httpx.Response:
        body = {"dhanClientId": CLIENT_ID, "orderId": order_id, "orderType": "LIMIT", "validity": "DAY", **changes}
        return await self.http.put(f"/v2/orders/{order_id}", json=body)

    async def admin(self, method: str, path: str, **arguments: Any) -> Any:
        answer = await self.http.request(
            method, f"/admin{path}", headers={"x-simulator-secret": SECRET.hex()}, **arguments
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def step(self, seconds: int = 1) -> Any:
        return await self.admin("POST", "/step", json={"seconds": seconds})

    async def fault(self, kind: str, **details: Any) -> None:
        await self.admin("POST", "/faults", json={"kind": kind, **details})

    async def get(self, path: str) -> Any:
        answer = await self.http.get(f"/v2{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()


ORDER = {
    "dhanClientId": CLIENT_ID,
    "correlationId": "kh1abcdefghijklmnopqrstuv",
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "INTRADAY",
    "orderType": "LIMIT",
    "validity": "DAY",
    "securityId": "2885",
    "quantity": 10,
    "price": 1310.0,
}
"""One good order: a test changes the field that matters."""


@contextlib.asynccontextmanager
async def venue(config: SimulatorConfig, *, logged_in: bool = True) -> AsyncIterator[Venue]:
    """Serve a simulator for the length of a test."""
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(serve(config, host="127.0.0.1", port=0, ready=port.set_result))
    try:
        async with asyncio.timeout(5):
            base_url = f"http://127.0.0.1:{await port}"
        # Without TLS there is nothing to verify, and loading the certificates would cost each test 30 ms.
        async with httpx.AsyncClient(base_url=base_url, timeout=5, verify=False) as http:  # noqa: S501 - see above
            client = Venue(http, port.result())
            if logged_in:
                await client.log_in()
            yield client
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
