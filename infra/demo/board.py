"""What a person sees while a demo runs: a live board on a terminal, plain lines elsewhere."""

from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from domain.market import EXCHANGE_ZONE, NS_PER_S
from infra.demo.lock_step import LockStep
from infra.demo.summary import Latency
from infra.demo.traders import Trader

LINES_SHOWN = 8
TRADES_SHOWN = 10
POSITIONS_SHOWN = 8
REFRESH_PER_SECOND = 4
_COLORS = {"closed": "dim", "denied": "yellow", "open": "green", "exiting": "magenta"}


class Board:
    """Trades, positions, results and latencies of all traders, as the API tells them."""

    def __init__(self, console: Console, *, is_live: bool, is_quiet: bool) -> None:
        self._console = console
        self._is_live = is_live
        self._is_quiet = is_quiet
        self._lines: deque[str] = deque(maxlen=LINES_SHOWN)
        self._live: Live | None = None
        self._clock: LockStep | None = None

    def follow(self, lock_step: LockStep) -> None:
        """Show the market's time of *lock_step* before each line."""
        self._clock = lock_step

    def tell(self, line: str) -> None:
        """Say what happens."""
        if self._is_quiet:
            return
        stamped = f"{self._market_time()} {line}"
        self._lines.append(stamped)
        if not self._is_live:
            self._console.print(stamped, highlight=False, markup=False)

    def shown(self) -> AbstractContextManager[object]:
        """Show the board while the block runs, where there is a terminal."""
        if not self._is_live:
            return nullcontext()
        self._live = Live(
            Text("starting"), console=self._console, refresh_per_second=REFRESH_PER_SECOND, transient=True
        )
        return self._live

    async def refresh(self, traders: Sequence[Trader], latencies: Sequence[Latency]) -> None:
        """Ask the API for every trader's trades, positions and results, and show them with *latencies*."""
        if self._live is None:
            return
        trades = [(trader.name, row) for trader in traders for row in await trader.recent_trades(TRADES_SHOWN)]
        positions = [(trader.name, row) for trader in traders for row in await trader.positions()]
        portfolios = [(trader.name, await trader.portfolio()) for trader in traders]
        self._live.update(self._drawn(trades, positions, portfolios, latencies))

    def _market_time(self) -> str:
        if self._clock is None or not self._clock.now.market_time_ns:
            return "        "
        return f"{datetime.fromtimestamp(self._clock.now.market_time_ns // NS_PER_S, EXCHANGE_ZONE):%H:%M:%S}"

    def _drawn(
        self,
        trades: Sequence[tuple[str, dict[str, Any]]],
        positions: Sequence[tuple[str, dict[str, Any]]],
        portfolios: Sequence[tuple[str, dict[str, Any]]],
        latencies: Sequence[Latency],
    ) -> RenderableType:
        newest = sorted(trades, key=lambda pair: str(pair[1]["opened_at"]), reverse=True)[:TRADES_SHOWN]
        held = [pair for pair in positions if pair[1]["net_quantity"]][:POSITIONS_SHOWN]
        speeds = " · ".join(f"{found.name} p50 {found.p50_ms:.1f} p99 {found.p99_ms:.1f} ms" for found in latencies)
        step = self._clock.now.step if self._clock else 0
        title = f"Khata · market {self._market_time()} · second {step}"
        return Group(
            Panel(_trades_table(newest), title=title, title_align="left"),
            Panel(_positions_table(held), title="positions", title_align="left"),
            Panel(_results_table(portfolios), title="results", title_align="left"),
            Panel(Text(speeds or "no samples yet"), title="latencies", title_align="left"),
            Panel(Text("\n".join(self._lines)), title="what happens", title_align="left"),
        )


def _status_of(row: dict[str, Any]) -> str:
    """Return the trade's status, or that of its entry as long as that says more."""
    says_more = row["status"] == "intended" and row["entry_status"]
    return str(row["entry_status"] if says_more else row["status"])


def _trades_table(trades: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    columns = ("trader", "symbol", "side", "quantity", "status", "entry", "exit", "cause", "realised", "net")
    table = Table(*columns, box=None)
    for name, row in trades:
        table.add_row(
            name,
            row["symbol"],
            row["side"],
            str(row["quantity"]),
            Text(_status_of(row), _COLORS.get(row["status"], "")),
            row["entry_price"] or "",
            row["exit_price"] or "",
            row["exit_cause"] or (row["denial"]["code"] if row["denial"] else ""),
            row["realised"],
            row["net_realised"],
        )
    return table


def _positions_table(positions: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    table = Table("trader", "symbol", "quantity", "average", "last", "open result", box=None)
    for name, row in positions:
        table.add_row(
            name,
            row["symbol"],
            str(row["net_quantity"]),
            row["average_price"] or "",
            row["mark"] or "",
            row["open_result"] or "",
        )
    return table


def _results_table(portfolios: Sequence[tuple[str, dict[str, Any]]]) -> Table:
    columns = ("trader", "realised today", "charges today", "open result", "gross exposure", "trades today")
    table = Table(*columns, box=None)
    for name, row in portfolios:
        table.add_row(
            name,
            row["realised_today"],
            row["charges_today"],
            row["open_result"] or "",
            row["gross_exposure"] or "",
            str(row["trades_today"]),
        )
    return table
