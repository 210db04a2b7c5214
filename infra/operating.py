"""What the operator does to accounts from the command line, while the engine runs or not."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.archive.parquet import ParquetArchive
from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.postgres.account_list import PostgresAccountList
from adapters.postgres.event_store import PostgresEventStore
from adapters.sessions import shipped_table
from adapters.tariffs import TariffTable
from commands.accounts import Accounts, CommandContext, Outcome
from commands.lane import AccountBusy
from commands.ports import AppendOutcomeUnknown, Clock, StoreUnavailable
from domain.account.events import AccountEvent, KillMode
from domain.ids import AccountId, StrategyId
from domain.instrument import InstrumentKey
from domain.market import Mark
from domain.refusals import Refusal
from infra.database import DatabaseUrls
from infra.instruments import load_master
from infra.places import archive_folder
from infra.settings import Settings

ACTOR = "operator"
SOURCE = "command line"
_NOT_CARRIED_OUT = (Refusal, AccountBusy, StoreUnavailable, AppendOutcomeUnknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operated:
    """What became of one account: its events, or why the command was not carried out there (for people)."""

    account_id: AccountId
    events: tuple[AccountEvent, ...] = ()
    sequence: int | None = None
    failure: str | None = None


class WallMarket:
    """A market of which nothing is known but the time. Implements `commands.ports.Marks`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:  # noqa: ARG002 - the port's shape
        """Return None: no price is known here."""
        return None

    def market_time_ns(self) -> int:
        """Return the time by the wall."""
        return self._clock.wall_ns()


class Operator:
    """Carries a command out in one account after another. Where one refuses it, the others are not kept from it."""

    def __init__(self, accounts: Accounts, listed: PostgresAccountList, clock: Clock) -> None:
        self._accounts = accounts
        self._listed = listed
        self._clock = clock

    async def every_account(self) -> list[AccountId]:
        """Return every account there is. Raises commands.ports.StoreUnavailable."""
        return await self._listed.account_ids()

    async def kill(
        self, account_ids: Sequence[AccountId], reason: str, *, strategy_id: StrategyId | None, mode: KillMode
    ) -> list[Operated]:
        """Engage the kill switch in each account."""

        async def engage(account_id: AccountId) -> Outcome:
            return await self._accounts.engage_as_operator(
                account_id, reason, self._context(), strategy_id=strategy_id, mode=mode
            )

        return [await _operated(account_id, engage) for account_id in account_ids]

    async def release(self, account_ids: Sequence[AccountId], *, strategy_id: StrategyId | None) -> list[Operated]:
        """Release the kill switch in each account."""

        async def release(account_id: AccountId) -> Outcome:
            return await self._accounts.release_as_operator(account_id, self._context(), strategy_id=strategy_id)

        return [await _operated(account_id, release) for account_id in account_ids]

    async def apply_corporate_action(
        self,
        account_ids: Sequence[AccountId],
        action_id: str,
        symbol: str,
        *,
        numerator: int,
        denominator: int,
        effective_on: str,
    ) -> list[Operated]:
        """Adjust what each account has open in *symbol*, once under *action_id*."""

        async def adjust(account_id: AccountId) -> Outcome:
            return await self._accounts.apply_corporate_action(
                account_id,
                action_id,
                symbol,
                self._context(),
                numerator=numerator,
                denominator=denominator,
                effective_on=effective_on,
            )

        return [await _operated(account_id, adjust) for account_id in account_ids]

    def _context(self) -> CommandContext:
        return CommandContext(actor=ACTOR, source=SOURCE, received_at_ns=self._clock.wall_ns())


async def _operated(account_id: AccountId, carry_out: Callable[[AccountId], Awaitable[Outcome]]) -> Operated:
    try:
        outcome = await carry_out(account_id)
    except _NOT_CARRIED_OUT as failure:
        return Operated(account_id=account_id, failure=str(failure) or type(failure).__name__)
    return Operated(account_id=account_id, events=outcome.events, sequence=outcome.last_sequence)


@asynccontextmanager
async def open_operator(settings: Settings, database: DatabaseUrls) -> AsyncIterator[Operator]:
    """Yield what acts for the operator on the log in *database*."""
    clock = SystemClock()
    async with PostgresEventStore(database.writer, archive=ParquetArchive(archive_folder(settings))) as store:
        accounts = Accounts(
            store=store,
            clock=clock,
            ids=SystemIds(clock),
            marks=WallMarket(clock),
            instruments=load_master(settings),
            sessions=shipped_table(),  # Nothing here asks for one: what the operator does faces no session.
            tariffs=TariffTable.load(),
            entry_life_ms=settings.entry_not_after_ms,
        )
        try:
            yield Operator(accounts, PostgresAccountList(store.database), clock)
        finally:
            await accounts.close()
