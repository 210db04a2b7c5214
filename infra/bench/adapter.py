"""Bench `adapter`: what our guard around an order costs beside a bare POST, and feed packets read a second."""

import random
import time
from collections.abc import Callable, Iterator
from struct import pack

import httpx
import numpy as np

from adapters.clock import SystemClock
from adapters.dhan.access.own_logins import OwnLogins
from adapters.dhan.access.tokens import PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.secret import Secret
from adapters.dhan.settings import DhanSettings
from adapters.dhan.streams.packets import Packet, packets_of
from adapters.dhan.words.codec import order_document, render_document
from commands.ports import Accepted
from domain.ids import AccountId, CorrelationId
from domain.instrument import InstrumentKey, Segment
from domain.order import OrderInstruction, OrderType, Product, Purpose, Side
from infra.bench.bare_venue import bare_venue
from infra.bench.plain_packets import plain_packets_of
from infra.bench.run import Bench
from infra.bench.schedule import on_schedule

ORDERS, ORDERS_QUICK = 600, 150
ORDERS_A_SECOND = 10
WARM_UP = 20
FRAMES, PACKETS_A_FRAME = 200, 50
ROUNDS, ROUNDS_QUICK = 40, 10
_UNPACED = 1_000_000
_CLIENT_ID = "1000000001"
_ACCOUNT = AccountId("acc_bench")
_CORRELATION = CorrelationId("Ab1aaaaaaaaaaaaaaaaaaaa9Z")
_ORDER = OrderInstruction(
    instrument=InstrumentKey(Segment.NSE_EQ, "2885"),
    side=Side.BUY,
    quantity=5,
    order_type=OrderType.LIMIT,
    limit_price_e4=28_500_500,
    product=Product.INTRADAY,
)
_MS = 1_000


async def run(bench: Bench) -> None:
    """Measure."""
    task = bench.progress.add_task("orders, then packets", total=2)
    await _placing(bench)
    bench.progress.advance(task)
    _parsing(bench)
    bench.progress.advance(task)


# --- Placing ----------------------------------------------------------------------------------------------------------


async def _placing(bench: Bench) -> None:
    """Place orders and post the same bodies bare, in turns at the same server."""
    orders = ORDERS_QUICK if bench.is_quick else ORDERS
    ours_s: list[float] = []
    bare_s: list[float] = []
    with bare_venue() as url:
        settings = _settings(url)
        client, clock = HttpClient(settings, SystemClock()), SystemClock()
        broker = DhanBroker(settings, OwnLogins(settings, PinLogin(client, settings, clock), clock), client, clock)
        headers = {"access-token": "bench", "client-id": _CLIENT_ID, "Content-Type": "application/json"}
        body = render_document(order_document(_CLIENT_ID, _ORDER, _CORRELATION))

        async def place() -> bool:
            return isinstance(await broker.place(_ACCOUNT, _ORDER, _CORRELATION, Purpose.ENTRY), Accepted)

        async with httpx.AsyncClient(headers=headers, trust_env=False) as bare:

            async def post() -> bool:
                answer = await bare.post(f"{url}/v2/orders", content=body)
                return bool(answer.json()["orderStatus"] == "TRANSIT")

            async def turn(number: int) -> None:
                began = time.perf_counter()
                taken, times = (await place(), ours_s) if number % 2 else (await post(), bare_s)
                times.append(time.perf_counter() - began)
                bench.report.check("every order is taken", holds=taken)

            await on_schedule([turn], rate=2 * ORDERS_A_SECOND, total=2 * (orders + WARM_UP))
        await broker.aclose()
    for name, percentile in (("place_p50_ms", 50), ("place_p99_ms", 99)):
        ours, yardstick = (float(np.percentile(times[WARM_UP:], percentile)) * _MS for times in (ours_s, bare_s))
        bench.report.add(name, ours, unit="ms", better="lower", yardstick=yardstick)
    bench.report.note("orders", f"{orders} of each, {ORDERS_A_SECOND} a second of each in turns, over loopback")
    bench.report.note("place yardstick", "httpx posts the same body to the same bare server and reads the JSON")


def _settings(url: str) -> DhanSettings:
    # At ten orders a second a minute's budget would be used up in half of one.
    return DhanSettings(
        base_url=f"{url}/v2",
        auth_url=url,
        client_id=_CLIENT_ID,
        access_token=Secret("bench"),
        burst_limit=_UNPACED,
        requests_per_minute=_UNPACED,
        requests_per_hour=_UNPACED,
        requests_per_day=_UNPACED,
    )


# --- Parsing ----------------------------------------------------------------------------------------------------------


def _parsing(bench: Bench) -> None:
    """Read the same frames with both readers, in turns."""
    frames = list(_frames(random.Random(bench.seed)))  # noqa: S311 - a mix that can be made again, no secret
    same = all(list(packets_of(frame)) == list(plain_packets_of(frame)) for frame in frames)
    bench.report.check("both readers find the same packets", holds=same)
    rates: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(ROUNDS_QUICK if bench.is_quick else ROUNDS):
        rates["ours"].append(_rate(packets_of, frames))
        rates["plain"].append(_rate(plain_packets_of, frames))
    bench.report.add("packets", max(rates["ours"]), unit="packets/s", better="higher", yardstick=max(rates["plain"]))
    bench.report.note("packets", f"{PACKETS_A_FRAME} a frame, a third each of ticker, quote and full, in any order")
    bench.report.note("packets yardstick", "struct, the header first and then the body by its kind, to the same values")
    bench.report.note("packets time", "the best round of CPU time, on one core")


def _frames(source: random.Random) -> Iterator[bytes]:
    kinds = (
        lambda head, price, at: pack("<BHBifi", 2, 16, *head, price, at),
        lambda head, price, at: pack("<BHBifhi", 4, 50, *head, price, 5, at).ljust(50, b"\0"),
        lambda head, price, at: pack("<BHBifhi", 8, 162, *head, price, 5, at).ljust(162, b"\0"),
    )
    for second in range(FRAMES):
        packets = []
        for _ in range(PACKETS_A_FRAME):
            head = (source.choice((1, 2)), source.randrange(1, 60_000))
            packets.append(source.choice(kinds)(head, source.uniform(10, 5_000), 1_790_848_800 + second))
        yield b"".join(packets)


def _rate(read: Callable[[bytes], Iterator[Packet]], frames: list[bytes]) -> float:
    """Return packets a second of CPU time, each of them made."""
    packets = 0
    began = time.process_time()
    for frame in frames:
        for _ in read(frame):
            packets += 1
    return packets / (time.process_time() - began)
