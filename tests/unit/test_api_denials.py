"""Every reason of a denial reaches who asks over HTTP, with its limit, its value and what would have passed."""

from dataclasses import dataclass

import httpx
import msgspec
import pytest

from commands.accounts import stream_of
from commands.ports import Append, NewEvent, StreamAppend
from domain.account.checks.table import CHANGES_ONLY
from domain.account.commands import OpenTrade
from domain.account.events import (
    AccountEvent,
    AccountMode,
    AccountOpened,
    OrderModified,
    OrderModifyRequested,
    RiskParametersChanged,
)
from domain.events import encode, name_of
from domain.ids import AccountId, UserId
from domain.instrument import Instrument, InstrumentKey
from domain.market import Mark, MarketSnapshot
from domain.money import format_e4
from domain.order import MODIFICATIONS_MAX, ModifyCause, OrderInstruction
from domain.risk import DenialCode
from domain.session import SessionMoment
from tests.support.api import ApiWorld
from tests.support.denials import ROWS, Row, name_of_row
from tests.support.specimens import (
    ENTRY,
    TRADE,
    entry_instruction,
    market,
    open_limit,
    order_acknowledged,
    order_intended,
    order_submitting,
    trade_opened,
)


@dataclass(slots=True)
class Snapshot:
    """The market of one snapshot. Implements the ports of marks, instruments and sessions."""

    shown: MarketSnapshot

    def market_time_ns(self) -> int:
        return self.shown.market_time_ns

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        return self.shown.mark_of(instrument)

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - one is always in force
        assert self.shown.instrument is not None
        assert self.shown.instrument.symbol == symbol
        return self.shown.instrument

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - likewise
        assert self.shown.instrument is not None
        assert self.shown.instrument.key == key
        return self.shown.instrument

    def moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:  # noqa: ARG002 - likewise
        return self.shown.session


class Trader:
    """Somebody whose account has a history and whose market stands still."""

    def __init__(self, shown: MarketSnapshot) -> None:
        snapshot = Snapshot(shown)
        self.world = ApiWorld(market=snapshot, instruments=snapshot, sessions=snapshot)
        self._headers: dict[str, str] = {}

    async def lived(self, history: tuple[AccountEvent, ...]) -> None:
        """Register, and let *history* have happened to the account, but for its opening."""
        self._headers = await self.world.log_in()
        account_id = AccountId((await self.get("/api/auth/profile"))["account_id"])
        owner_id = UserId((await self.get("/api/auth/profile"))["user_id"])

        def lived_through(event: AccountEvent) -> AccountEvent:
            if not isinstance(event, AccountOpened):
                return event
            if event.mode is AccountMode.LIVE:
                return msgspec.structs.replace(event, account_id=account_id, owner_id=owner_id)
            return RiskParametersChanged(parameters=event.parameters)

        events = [lived_through(event) for event in history]
        stream_id = stream_of(account_id)
        version = len(await self.world.store.read_stream(stream_id))
        stored = tuple(NewEvent(name=name_of(event), payload=encode(event)) for event in events)
        await self.world.store.append(
            Append(
                command_id="cmd_history",
                streams=(StreamAppend(stream_id=stream_id, expected_version=version, events=stored),),
                metadata=b"{}",
            )
        )

    async def get(self, path: str) -> dict[str, str]:
        answer = await self.world.client.get(path, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def send(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        headers = {**self._headers, "Idempotency-Key": "one-intent"}
        return await self.world.client.request(method, path, json=body, headers=headers)


def body_of(intent: OpenTrade) -> dict[str, object]:
    """Return *intent* as a client asks for it."""
    assert intent.market.instrument is not None
    prices = {
        "limit_price": intent.limit_price_e4,
        "trigger_price": intent.trigger_price_e4,
        "stop_loss": intent.stop_loss_e4,
        "target": intent.target_e4,
    }
    body: dict[str, object] = {
        "symbol": intent.market.instrument.symbol,
        "side": intent.side.value,
        "quantity": intent.quantity,
        "order_type": intent.order_type.value,
        "product": intent.product.value,
        "time_in_force": intent.time_in_force.value,
        "disclosed_quantity": intent.disclosed_quantity,
        "after_market": intent.after_market,
        "protection": intent.protection.value,
        "strategy_id": intent.strategy_id,
    }
    body |= {name: format_e4(price) for name, price in prices.items() if price is not None}
    if intent.trailing is not None:
        body["trailing"] = {
            "distance": format_e4(intent.trailing.distance_e4),
            "step": format_e4(intent.trailing.step_e4),
        }
    return body


@pytest.mark.parametrize("row", ROWS, ids=name_of_row)
async def test_a_denied_intent_is_told_why(row: Row) -> None:
    trader = Trader(row.intent.market)
    await trader.lived(row.given)
    answer = await trader.send("POST", "/api/trades", body_of(row.intent))
    problem = answer.json()
    assert answer.status_code == 403, answer.text
    assert (problem["code"], problem["limit"]) == (row.code.value, row.limit)
    assert problem["value"] == row.value
    shown = await trader.get(f"/api/trades/{problem['trade_id']}")
    assert shown["trade"]["denial"]["code"] == row.code.value  # type: ignore[index]


async def test_a_denied_change_is_told_why() -> None:
    resting = msgspec.structs.replace(
        entry_instruction, order_type=open_limit.order_type, limit_price_e4=open_limit.limit_price_e4
    )
    history: list[AccountEvent] = [
        msgspec.structs.replace(trade_opened, entry=resting),
        msgspec.structs.replace(order_intended, instruction=resting),
        order_submitting,
        order_acknowledged,
    ]
    for number in range(1, MODIFICATIONS_MAX + 1):
        wanted = msgspec.structs.replace(resting, quantity=100 - number)
        history += modified(number, wanted)
    trader = Trader(market)
    await trader.lived(tuple(history))
    answer = await trader.send("PUT", f"/api/trades/{TRADE}", {"expected_version": 1, "quantity": 50})
    assert answer.status_code == 403, answer.text
    assert answer.json()["code"] == DenialCode.MODIFICATIONS_EXHAUSTED.value


def modified(number: int, wanted: OrderInstruction) -> list[AccountEvent]:
    return [
        OrderModifyRequested(order_id=ENTRY, trade_id=TRADE, number=number, instruction=wanted, cause=ModifyCause.USER),
        OrderModified(order_id=ENTRY, trade_id=TRADE, instruction=wanted),
    ]


def test_no_reason_is_left_out() -> None:
    by_intent = {row.code for row in ROWS}
    by_change = {DenialCode.MODIFICATIONS_EXHAUSTED}
    assert by_intent | by_change == set(DenialCode)
    assert {example.code for example in CHANGES_ONLY} <= by_change
