"""The pre-open check: before the market opens, what could keep an account from trading today is looked at and recorded.

From a quarter to nine in India on every day on which the exchange trades, each account that has something at the broker
or traded lately is looked at: the token at the broker, the machine's address (of live accounts), the age of the
instrument master, the account's money, the books and the stops of what was carried (`domain/preopen.py`). A point that
fails is looked at again until the close. The first check of a day is recorded, and every later one in which other
points fail.

On a tape of our own making there is no opening: then nothing is looked at by itself, and whoever asks is told.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from commands import faults
from commands.accounts import Accounts, CommandContext
from commands.ports import (
    BrokerUnavailable,
    Clock,
    Marks,
    MasterDay,
    Readiness,
    TradingDays,
    VenueStanding,
)
from domain.account import Account
from domain.account.commands import RecordPreopenCheck
from domain.account.events import AccountMode
from domain.account.preopen import books_point, failing_in, stops_point
from domain.ids import AccountId
from domain.market import EXCHANGE_ZONE, NS_PER_MS, NS_PER_S, trading_day
from domain.money import format_paise
from domain.preopen import CheckedPoint, PointStanding, PreopenPoint

log = structlog.get_logger(__name__)

SOURCE = "preopen"
NEW_TOKEN = "Make a new token at web.dhan.co and link it: docs/dhan.md tells how."  # noqa: S105 - a remedy, no secret


@dataclass(frozen=True, slots=True, kw_only=True)
class PreopenSettings:
    """When it is looked: from so many minutes after midnight in India on, what fails again after `retry_ms`.

    Whether something is due is looked at every `pace_ms`.
    """

    from_minute: int = 8 * 60 + 45
    retry_ms: int = 5 * 60_000
    pace_ms: int = 20_000


class PreopenChecks:
    """Looks at each account before the market opens."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        readiness: Readiness,
        days: TradingDays,
        master: MasterDay,
        marks: Marks,
        clock: Clock,
        at_work: Callable[[], Collection[AccountId]],
        settings: PreopenSettings,
    ) -> None:
        self._accounts = accounts
        self._readiness = readiness
        self._days = days
        self._master = master
        self._marks = marks
        self._clock = clock
        self._at_work = at_work
        self._settings = settings
        self._looked: dict[AccountId, tuple[str, int, bool]] = {}
        """By account the day of its last check, when it was (monotonic), and whether it needs another look."""

    async def run(self) -> None:
        """Look whenever something is due, until canceled."""
        while True:
            await asyncio.sleep(self._settings.pace_ms * NS_PER_MS / NS_PER_S)
            await self.look_if_due()

    async def look_if_due(self) -> int:
        """Look at every account whose check is due now, and return how many that were."""
        now_ns = self._marks.market_time_ns()
        closes_at_ns = self._days.closes_at_ns(now_ns)
        if closes_at_ns is None or not self._opens_soon(now_ns) or now_ns >= closes_at_ns:
            return 0
        day = trading_day(now_ns).isoformat()
        due = [account_id for account_id in sorted(self._at_work()) if self._is_due(account_id, day)]
        for account_id in due:
            try:
                await self.check(account_id)
            except faults.OF_LOG_OR_VENUE as fault:
                self._looked[account_id] = (day, self._clock.monotonic_ns(), True)
                log.warning("pre-open check not recorded", account_id=account_id, fault=str(fault))
        return len(due)

    async def check(self, account_id: AccountId) -> tuple[CheckedPoint, ...]:
        """Look at an account now, record what is news, and return every point.

        Raises:
            domain.account.refusals.AccountNotFound
            commands.lane.AccountBusy, commands.ports.StoreUnavailable, AppendOutcomeUnknown
        """
        account = (await self._accounts.present(account_id)).account
        now_ns = self._marks.market_time_ns()
        points = (
            *await self._at_broker(account_id, now_ns),
            await self._address(account_id, account),
            self._instruments(now_ns),
            books_point(account),
            stops_point(account),
        )
        day = trading_day(now_ns).isoformat()
        context = CommandContext(actor=SOURCE, source=SOURCE, received_at_ns=self._clock.wall_ns())
        outcome = await self._accounts.carry_out(
            account_id, RecordPreopenCheck(trading_day=day, points=points), context
        )
        failing = failing_in(points)
        self._looked[account_id] = (day, self._clock.monotonic_ns(), bool(failing))
        if failing and outcome.events:
            log.warning("pre-open check fails", account_id=account_id, points=[each.value for each in failing])
        return points

    def accounts(self) -> list[AccountId]:
        """Return the accounts that are looked at by themselves."""
        return sorted(self._at_work())

    def status(self) -> dict[str, Any]:
        """Return which accounts were looked at, for people and probes."""
        return {
            "looked_at": len(self._looked),
            "failing": sorted(account_id for account_id, (_, _, is_failing) in self._looked.items() if is_failing),
        }

    def _opens_soon(self, now_ns: int) -> bool:
        at = datetime.fromtimestamp(now_ns // NS_PER_S, UTC).astimezone(EXCHANGE_ZONE)
        return at.hour * 60 + at.minute >= self._settings.from_minute

    def _is_due(self, account_id: AccountId, day: str) -> bool:
        looked = self._looked.get(account_id)
        if looked is None or looked[0] != day:
            return True
        _, at_ns, is_failing = looked
        return is_failing and self._clock.monotonic_ns() - at_ns >= self._settings.retry_ms * NS_PER_MS

    # --- The points ---

    async def _at_broker(self, account_id: AccountId, now_ns: int) -> list[CheckedPoint]:
        try:
            standing = await self._readiness.standing(account_id)
        except BrokerUnavailable as fault:
            remedy = "`khata broker status` says how it stands with the broker."
            return [
                _point(point, PointStanding.FAILING, f"the broker did not tell: {fault}", remedy)
                for point in (PreopenPoint.TOKEN, PreopenPoint.FUNDS)
            ]
        return [self._token(standing, now_ns), _funds(standing)]

    def _token(self, standing: VenueStanding, now_ns: int) -> CheckedPoint:
        ends_at_ns = standing.token_ends_at_ns
        wanted_ns = self._days.closes_at_ns(now_ns) or now_ns
        ends = _clock_text(ends_at_ns)
        if ends_at_ns >= wanted_ns:
            return _point(PreopenPoint.TOKEN, PointStanding.OK, f"good to {ends}")
        if not standing.token_trouble:
            return _point(PreopenPoint.TOKEN, PointStanding.OK, f"good to {ends}, and renewed before by itself")
        detail = f"it ends {ends}, before the close, and could not be renewed: {standing.token_trouble}"
        return _point(PreopenPoint.TOKEN, PointStanding.FAILING, detail, NEW_TOKEN)

    async def _address(self, account_id: AccountId, account: Account) -> CheckedPoint:
        if account.mode is not AccountMode.LIVE:
            detail = "a paper account: the simulator takes orders from anywhere"
            return _point(PreopenPoint.ADDRESS, PointStanding.NOT_APPLICABLE, detail)
        remedy = f"Register this machine's address at the broker; then `khata broker release {account_id}`."
        try:
            is_registered = await self._readiness.is_address_registered(account_id)
        except BrokerUnavailable as fault:
            return _point(PreopenPoint.ADDRESS, PointStanding.FAILING, f"the broker did not tell: {fault}", remedy)
        if is_registered is None:
            return _point(PreopenPoint.ADDRESS, PointStanding.FAILING, "the broker does not say that it is", remedy)
        if not is_registered:
            return _point(PreopenPoint.ADDRESS, PointStanding.FAILING, "another one is registered", remedy)
        return _point(PreopenPoint.ADDRESS, PointStanding.OK, "registered")

    def _instruments(self, now_ns: int) -> CheckedPoint:
        day, today = self._master.day(), trading_day(now_ns).isoformat()
        if day is None:
            detail = "the table that is shipped is in use: nothing was imported"
            return _point(PreopenPoint.INSTRUMENTS, PointStanding.NOT_APPLICABLE, detail)
        if day >= today:
            return _point(PreopenPoint.INSTRUMENTS, PointStanding.OK, f"of {day}")
        return _point(
            PreopenPoint.INSTRUMENTS,
            PointStanding.FAILING,
            f"of {day}, today is {today}",
            "Bring in today's: `khata instruments import`.",
        )


def _funds(standing: VenueStanding) -> CheckedPoint:
    available = format_paise(standing.available_paise)
    if standing.available_paise > 0:
        return _point(PreopenPoint.FUNDS, PointStanding.OK, f"{available} rupees for new orders")
    return _point(
        PreopenPoint.FUNDS,
        PointStanding.FAILING,
        f"{available} rupees for new orders",
        "Bring money to the broker: entries will be refused. Exits are not.",
    )


def _point(point: PreopenPoint, standing: PointStanding, detail: str, remedy: str = "") -> CheckedPoint:
    return CheckedPoint(point=point, standing=standing, detail=detail, remedy=remedy)


def _clock_text(at_ns: int) -> str:
    at = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).astimezone(EXCHANGE_ZONE)
    return at.strftime("%Y-%m-%d %H:%M")
