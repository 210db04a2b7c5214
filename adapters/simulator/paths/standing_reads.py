"""What can be read of super and forever orders, of a trader's controls and of trades of earlier days."""

from collections.abc import Callable
from datetime import date
from typing import Any

from starlette.requests import Request

from adapters.simulator.desk import Desk
from adapters.simulator.paths.standing_rows import (
    forever_order_rows,
    kill_switch_row,
    profit_exit_row,
    super_order_row,
)
from adapters.simulator.paths.trade_history import TradeHistory
from adapters.simulator.words.refusals import bad_input


def standing_reads(desk: Desk) -> dict[str, Callable[[Request, str], Any]]:
    """Return what is read, by path; each is told the request and its client."""
    reads = _Reads(desk)
    return {
        "/v2/super/orders": reads.super_orders,
        "/v2/forever/orders": reads.forever_orders,
        "/v2/killswitch": reads.kill_switch,
        "/v2/pnlExit": reads.profit_exit,
        "/v2/trades/{first}/{last}/{page}": reads.trade_history,
    }


class _Reads:
    def __init__(self, desk: Desk) -> None:
        self._simulator = desk.simulator
        self._standing = desk.standing
        self._history = TradeHistory()

    def super_orders(self, _: Request, client_id: str) -> Any:
        prices = self._simulator.last_prices_e4
        found = self._standing.super_orders.of(client_id)
        return [super_order_row(order, prices.get(order.entry.instrument.key, 0)) for order in found]

    def forever_orders(self, _: Request, client_id: str) -> Any:
        found = self._standing.forever_orders.of(client_id)
        return [row for order in found for row in forever_order_rows(order)]

    def kill_switch(self, _: Request, client_id: str) -> Any:
        return kill_switch_row(client_id, is_active=self._standing.controls.is_killed(client_id))

    def profit_exit(self, _: Request, client_id: str) -> Any:
        return profit_exit_row(self._standing.controls.profit_exit_of(client_id))

    def trade_history(self, request: Request, client_id: str) -> Any:
        path = request.path_params
        try:
            first, last = date.fromisoformat(path["first"]), date.fromisoformat(path["last"])
            page = int(path["page"])
        except ValueError:
            raise bad_input() from None
        if first > last or page < 0:
            raise bad_input()
        return self._history.page(self._simulator.traded_by(client_id), first=first, last=last, page=page)
