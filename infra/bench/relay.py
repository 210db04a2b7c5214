"""Bench `relay`: the log's way from PostgreSQL into JetStream, by the relay that the engine runs.

The yardstick publishes the same bodies as fast as the driver goes, pipelined, into a stream like the mirror: it reads
no log, keeps no sequence and may leave a hole.
"""

import asyncio
import time

from nats.js import api
from rich.progress import TaskID

from adapters.nats.connection import NatsConnection, connect
from adapters.nats.relay import Relay
from adapters.nats.stream import encode, last_sequence, stream_name
from adapters.postgres.database import Database
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.reading import LogReads
from infra.bench.events import at_least, lives
from infra.bench.filling import LogFiller
from infra.bench.ground import running_servers
from infra.bench.run import Bench
from infra.bench.yardstick import within
from projections.tasks import end

EVENTS = 500_000
QUICK_EVENTS = 30_000
_POLL_S = 0.01
_PENDING_MAX = 4_000
_PAGE = 1_000
_SAMPLES = 200
_YARDSTICK = "khata-bench"
_YARDSTICK_S = 600


async def run(bench: Bench) -> None:
    """Measure the relay."""
    wanted = QUICK_EVENTS if bench.is_quick else EVENTS
    task = bench.progress.add_task("relay: filling a log", total=wanted)
    async with running_servers() as ground:
        with ground.fresh_database() as database:
            filler = LogFiller(database.owner, tell=lambda done: bench.progress.update(task, completed=done))
            await asyncio.to_thread(filler.fill, at_least(wanted, lives(seed=bench.seed)))
            last = filler.sequence
            nats = await connect(ground.nats_url)
            try:
                async with Database(database.query) as connections:
                    log = LogReads(connections)
                    bench.progress.update(task, description="relay: mirroring", completed=0)
                    relay = Relay(nats, log=log, feed=PostgresFeed(database.query), backfill=last)
                    ours = await _mirror(bench, relay, task, last)
                    await _check(bench, nats, log, last)
                    bench.progress.update(task, description="relay: yardstick", completed=0)
                    plainly = _publish_plainly(bench, nats, log, task, last)
                    theirs = await within(bench.report, "a yardstick", plainly, seconds=_YARDSTICK_S)
            finally:
                await nats.close()
    bench.report.add("messages", ours, unit="1/s", better="higher", yardstick=theirs)
    bench.report.note("log", f"{last:,} events, mirrored from the first to the last")
    bench.report.note(
        "sync of JetStream", "at the server's own interval, 2 min: the log is the truth, the mirror a copy"
    )
    bench.report.note("yardstick", f"the driver's publish_async of ready bodies, {_PENDING_MAX:,} pending at most")


async def _mirror(bench: Bench, relay: Relay, progress: TaskID, last: int) -> float:
    """Let *relay* mirror the whole log and return how many messages a second it published."""
    began = time.perf_counter()
    running = asyncio.create_task(relay.run())
    try:
        while relay.status()["sequence"] < last:
            await asyncio.sleep(_POLL_S)
            bench.progress.update(progress, completed=relay.status()["sequence"])
        took_s = time.perf_counter() - began
    finally:
        await end(running)
    bench.report.check("the relay never had to ask again", holds=relay.status()["faults"] == 0)
    return last / took_s


async def _check(bench: Bench, nats: NatsConnection, log: LogReads, last: int) -> None:
    epoch = (await log.head()).epoch
    bench.report.check("the stream ends where the log does", holds=await last_sequence(nats, epoch) == last)
    stream = nats.jetstream()
    info = await stream.stream_info(stream_name(epoch))
    bench.report.check("every event is there once", holds=(info.state.messages, info.state.first_seq) == (last, 1))
    step = max(1, last // _SAMPLES)
    for sequence in range(1, last + 1, step):
        [event] = await log.read_all(after_sequence=sequence - 1, limit=1)
        message = await stream.get_msg(stream_name(epoch), seq=sequence)
        bench.report.check(f"message {sequence} is event {sequence}", holds=message.data == encode(event))


async def _publish_plainly(bench: Bench, nats: NatsConnection, log: LogReads, progress: TaskID, last: int) -> float:
    """Publish every event's body to a stream of its own and return how many messages a second were acknowledged."""
    bodies: list[bytes] = []
    while len(bodies) < last:
        bodies += [encode(event) for event in await log.read_all(after_sequence=len(bodies), limit=_PAGE)]
    stream = nats.jetstream(publish_async_max_pending=_PENDING_MAX)
    await stream.add_stream(api.StreamConfig(name=_YARDSTICK, subjects=[f"{_YARDSTICK}.>"]))
    began = time.perf_counter()
    for count, body in enumerate(bodies):
        await stream.publish_async(f"{_YARDSTICK}.account", body, wait_stall=30)
        if count % _PAGE == 0:
            bench.progress.update(progress, completed=count)
    await stream.publish_async_completed()
    took_s = time.perf_counter() - began
    info = await stream.stream_info(_YARDSTICK)
    bench.report.check("the yardstick's stream has every body", holds=info.state.messages == last)
    return last / took_s
