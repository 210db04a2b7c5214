"""The broker's counter without a server: what its paths are asked for and answer, on a simulator in memory."""

import contextlib
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from adapters.instruments import InstrumentMaster
from adapters.simulator.books.account import BookedOrder
from adapters.simulator.desk import Desk, open_desk
from adapters.simulator.faults.call_faults import Fault
from adapters.simulator.paths.account_routes import account_reads
from adapters.simulator.paths.alert_paths import alert_reads, alert_writes
from adapters.simulator.paths.asked import Asked
from adapters.simulator.paths.control_paths import control_writes
from adapters.simulator.paths.intake import read_order
from adapters.simulator.paths.order_paths import order_writes
from adapters.simulator.paths.standing_reads import standing_reads
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from adapters.simulator.words.refusals import Refusal
from adapters.simulator.words.rows import order_row, position_row
from domain.instrument import Instrument
from tests.support.tape import CLIENT_ID, INSTRUMENTS, ORDER, RELIANCE, ScriptedTape, config_of

SHARE = INSTRUMENTS.by_key(RELIANCE, market_time_ns=DEMO_START_NS)
SUPER: dict[str, Any] = {
    **{name: ORDER[name] for name in ORDER if name != "validity"},
    "targetPrice": 1320.0,
    "stopLossPrice": 1300.0,
    "trailingJump": 0.0,
}
CONDITION: dict[str, Any] = {
    "comparisonType": "PRICE_WITH_VALUE",
    "exchangeSegment": "NSE_EQ",
    "securityId": "2885",
    "operator": "GREATER_THAN_EQUAL",
    "comparingValue": 1320,
    "frequency": "ONCE",
    "userNote": "breakout",
}
ALERT_ORDER: dict[str, Any] = {
    "transactionType": "BUY",
    "exchangeSegment": "NSE_EQ",
    "productType": "CNC",
    "orderType": "LIMIT",
    "securityId": "2885",
    "quantity": 10,
    "validity": "DAY",
    "price": "1325.00",
    "discQuantity": "0",
    "triggerPrice": "",
}
CONVERSION: dict[str, Any] = {
    "fromProductType": "INTRADAY",
    "exchangeSegment": "NSE_EQ",
    "positionType": "LONG",
    "securityId": "2885",
    "convertQty": 4,
    "toProductType": "CNC",
}
"""Good specimens of what can be asked for at 1,310 rupees: a test changes the field that matters."""


def master_of(**changes: Any) -> InstrumentMaster:
    """Return a master with RELIANCE alone, changed as asked."""
    changed: Instrument = msgspec.structs.replace(SHARE, **changes)
    return InstrumentMaster([(date.min, changed)])


class Counter:
    """What a client is served over the counter."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.simulator = desk.simulator
        self._writes = [*order_writes(desk), *alert_writes(desk), *control_writes(desk)]
        self._reads = {**account_reads(desk), **standing_reads(desk), **alert_reads(desk)}

    def write(self, method: str, path: str, body: Any = None, *, fault: Fault | None = None, **query: str) -> Any:
        """Ask for a change; bodies are in the name of the client, as the official library sends them."""
        for write in self._writes:
            named = _match(write.path, f"/v2{path}")
            if write.method == method and named is not None:
                whole = {"dhanClientId": CLIENT_ID, **body} if isinstance(body, dict) else body
                return write.do(Asked(client_id=CLIENT_ID, path=named, query=query, body=whole, fault=fault))
        raise AssertionError(f"there is no {method} {path}")

    def read(self, path: str) -> Any:
        """Ask for rows."""
        for pattern, read in self._reads.items():
            named = _match(pattern, f"/v2{path}")
            if named is not None:
                return read(Request({"type": "http", "path_params": named}), CLIENT_ID)
        raise AssertionError(f"there is no {path}")

    def refusal(self, method: str, path: str, body: Any = None, **query: str) -> tuple[str, str]:
        """Ask for a change that is to be refused and return the code and the message."""
        with pytest.raises(Refusal) as refused:
            self.write(method, path, body, **query)
        return refused.value.body["errorCode"], refused.value.body["errorMessage"]

    def accept(self, **changes: Any) -> BookedOrder:
        """Place a plain order and leave it in TRANSIT."""
        request = read_order(
            {**ORDER, **changes},
            client_id=CLIENT_ID,
            instruments=self.desk.config.instruments,
            market_time_ns=self.simulator.market_time_ns,
        )
        return self.simulator.accept(CLIENT_ID, request)

    def place(self, **changes: Any) -> str:
        """Place a plain order, which arrives at once, and return its id."""
        order = self.accept(**changes)
        self.simulator.arrive(order)
        return order.order_id

    def order(self, order_id: str) -> BookedOrder:
        return self.simulator.account_of(CLIENT_ID).orders[order_id]

    def orders(self) -> list[dict[str, Any]]:
        return [order_row(order) for order in self.simulator.account_of(CLIENT_ID).orders.values()]

    def positions(self) -> dict[str, dict[str, Any]]:
        """Return the positions by product."""
        holdings = self.simulator.account_of(CLIENT_ID).holdings.values()
        return {
            held.product: position_row(CLIENT_ID, held, self.simulator.last_prices_e4[held.instrument.key])
            for held in holdings
        }

    def step(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.simulator.advance()


@contextlib.contextmanager
def counter(tape: ScriptedTape, **settings: Any) -> Iterator[Counter]:
    """A life of the simulator whose market has begun; its end is as sudden as a kill."""
    desk = open_desk(config_of(tape, **settings))
    try:
        served = Counter(desk)
        served.step()
        yield served
    finally:
        desk.close()


def _match(pattern: str, path: str) -> dict[str, str] | None:
    expression = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern)
    found = re.fullmatch(expression, path)
    return None if found is None else found.groupdict()
