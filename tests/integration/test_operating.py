"""The operator's hand on accounts: every account of a real log, and one that fails keeps none of the others from it."""

from pathlib import Path
from typing import Any

from adapters.postgres.event_store import PostgresEventStore
from commands.accounts import CommandContext
from domain.account.commands import BeginSubmission, RecordAccepted, RecordFill
from domain.account.events import CorporateActionApplied, KillMode, KillSwitchEngaged, TradeExitTriggered
from domain.ids import AccountId, CorrelationId, OrderId, VenueFillId, VenueOrderId
from infra.database import DatabaseUrls
from infra.operating import open_operator
from infra.settings import Settings
from tests.support.api import ApiWorld

ORDER: dict[str, Any] = {"symbol": "RELIANCE", "side": "BUY", "quantity": 10, "stop_loss": "2800.00"}
NOBODYS = AccountId("acc_00000000000000000000000000")


async def bought(world: ApiWorld, email: str) -> AccountId:
    """Register somebody, and let them hold ten shares."""
    headers = await world.log_in(email)
    account_id = AccountId((await world.client.get("/api/auth/profile", headers=headers)).json()["account_id"])
    opened = await world.client.post("/api/trades", json=ORDER, headers=headers | {"Idempotency-Key": "one"})
    order, now_ns = OrderId(opened.json()["order_id"]), world.clock.wall_ns()
    for command in (
        BeginSubmission(order_id=order, correlation_id=CorrelationId(order), sender_epoch=1, market_time_ns=now_ns),
        RecordAccepted(order_id=order, venue_order_id=VenueOrderId("v"), sent_at_ns=now_ns),
        RecordFill(
            order_id=order, venue_fill_id=VenueFillId("f"), quantity=10, price_e4=2_850_00_00, filled_at_ns=now_ns
        ),
    ):
        context = CommandContext(actor="executor", source="executor", received_at_ns=now_ns)
        await world.services.accounts.carry_out(account_id, command, context)
    return account_id


async def test_everything_is_stopped_and_closed_by_one_command(database: DatabaseUrls, tmp_path: Path) -> None:
    async with PostgresEventStore(database.writer) as log:
        world = ApiWorld(log=log)
        accounts = sorted([await bought(world, "asha@example.in"), await bought(world, "ravi@example.in")])
        async with open_operator(Settings(home=tmp_path), database) as operator:
            assert await operator.every_account() == accounts
            named = [*accounts, NOBODYS]
            done = await operator.kill(named, "the exchange is down", strategy_id=None, mode=KillMode.FLATTEN)
            for each in done[:2]:
                engaged = [event for event in each.events if isinstance(event, KillSwitchEngaged)]
                assert [(event.reason, event.mode) for event in engaged] == [("the exchange is down", KillMode.FLATTEN)]
                assert sum(isinstance(event, TradeExitTriggered) for event in each.events) == 1
            assert (done[2].account_id, done[2].events, done[2].failure) == (NOBODYS, (), "no such account")
            released = await operator.release(accounts, strategy_id=None)
            assert [len(each.events) for each in released] == [1, 1]
        await world.client.aclose()


async def test_a_split_adjusts_what_is_open_everywhere_once(database: DatabaseUrls, tmp_path: Path) -> None:
    async with PostgresEventStore(database.writer) as log:
        world = ApiWorld(log=log)
        accounts = sorted([await bought(world, "asha@example.in"), await bought(world, "ravi@example.in")])
        async with open_operator(Settings(home=tmp_path), database) as operator:
            for expected in (1, 0):
                done = await operator.apply_corporate_action(
                    accounts, "NSE/CML/1", "RELIANCE", numerator=2, denominator=1, effective_on="2026-11-27"
                )
                applied = [[e for e in each.events if isinstance(e, CorporateActionApplied)] for each in done]
                assert [len(events) for events in applied] == [expected, expected]
                for (event,) in applied if expected else ():
                    assert [(trade.net_quantity, trade.stop_loss_e4) for trade in event.trades] == [(20, 1_400_00_00)]
        await world.client.aclose()
