"""The executor role: sends orders and finds out what became of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from adapters.nats.control import serve as answer_on
from adapters.nats.doubt_reports import SUBJECT as DOUBTS
from adapters.nats.doubt_reports import account_of
from adapters.nats.looks import LAST_LOOK, RECONCILE
from commands.doubt_reports import DoubtReport
from commands.executor import Executor
from commands.looks import LookReport, LookReports
from commands.venue_log import VenueLog
from domain.ids import AccountId
from infra.wiring.collector import spare_the_collector
from infra.wiring.process import Wiring
from infra.wiring.trading import (
    make_broker,
    make_contract_notes,
    make_executor,
    make_lease,
    make_preopen_checks,
    make_venue_log,
)
from projections.tasks import end, finish

DRAIN_S = 10.0
STATUS = "khata.status.executor"
RELEASE_WRITES = "khata.release_writes.executor"
PREOPEN = "khata.preopen.executor"


async def _drain(executor: Executor, venue_log: VenueLog, tasks: Sequence[asyncio.Task[None]]) -> None:
    await end(*tasks)  # No new send from here on; those under way are awaited.
    await executor.drain(within_s=DRAIN_S)
    await venue_log.record()


async def _looked(executor: Executor, account_id: AccountId) -> LookReport:
    return LookReport.of(account_id, await executor.reconciliation.reconcile(account_id))


class LeaseLost(Exception):
    """The lease of the sender ran out. The process ends and is started again."""


async def run_executor(wiring: Wiring, ready: Callable[[], None]) -> None:
    """Execute until canceled; then await the sends under way."""
    spare_the_collector()
    broker, lease = await make_broker(wiring), await make_lease(wiring)
    executor = await make_executor(wiring, broker, lease)
    venue_log = await make_venue_log(wiring, broker)
    notes = await make_contract_notes(wiring, broker)
    preopen = await make_preopen_checks(wiring, broker, executor, notes)
    nats = await wiring.nats()

    async def settle(_: dict[str, Any]) -> dict[str, Any]:
        return dict(await executor.settle())

    async def status(_: dict[str, Any]) -> dict[str, Any]:
        return {
            **executor.status(),
            "broker": broker.status(),
            "contract_notes": notes.status(),
            "preopen": preopen.status(),
        }

    async def release_writes(asked: dict[str, Any]) -> dict[str, Any]:
        return {"released": broker.release_writes(AccountId(asked["account_id"]))}

    async def doubts(asked: dict[str, Any]) -> DoubtReport:
        return executor.doubts_of(account_of(asked))

    async def reconcile(asked: dict[str, Any]) -> LookReports:
        concerned = executor.reconciliation.concerned()
        wanted = sorted(concerned) if asked.get("all") else [AccountId(name) for name in asked["account_ids"]]
        return LookReports(looks=tuple([await _looked(executor, account_id) for account_id in wanted]))

    async def last_look(asked: dict[str, Any]) -> LookReports:
        account_id = account_of(asked)
        look = executor.reconciliation.last_look(account_id)
        return LookReports(looks=() if look is None else (LookReport.of(account_id, look),))

    async def look_before_opening(asked: dict[str, Any]) -> dict[str, Any]:
        account_ids = [AccountId(asked["account_id"])] if asked["account_id"] else preopen.accounts()
        points = {account_id: await preopen.check(account_id) for account_id in account_ids}
        return {"accounts": msgspec.to_builtins(points)}

    async with (
        answer_on(nats, RECONCILE, reconcile),
        answer_on(nats, LAST_LOOK, last_look),
        answer_on(nats, "khata.settle.executor", settle),
        answer_on(nats, STATUS, status),
        answer_on(nats, RELEASE_WRITES, release_writes),
        answer_on(nats, PREOPEN, look_before_opening),
        answer_on(nats, DOUBTS, doubts),
    ):
        lost = asyncio.create_task(lease.lost())
        working = [executor.run(), broker.tend(), venue_log.run(), notes.run(), preopen.run()]
        tasks = [lost, *(asyncio.create_task(each) for each in working)]
        try:
            ready()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task is not lost and task.done():
                    await task
            raise LeaseLost("another sender may be at work: this one starts again and waits for its turn")
        finally:
            await finish(_drain(executor, venue_log, tasks))
