"""Keeping strategies: their life in the log, their source beside it under its hash.

Nothing of a source is run, or even parsed, here: a text of a hundred kilobytes can keep a parser busy for seconds, and
this process trades. What it is worth, the jail finds out when a backtest wants to run it.
"""

from dataclasses import dataclass
from hashlib import sha256

from commands.accounts import CommandContext, request_of
from commands.lane import Lane
from commands.ports import EventStore, Ids, StrategySources
from domain.ids import StrategyId, UserId
from domain.refusals import InvalidInput
from domain.strategy.decide import (
    SOURCE_BYTES_MAX,
    ArchiveStrategy,
    DraftStrategy,
    ReviseStrategy,
    Strategy,
    StrategyCommand,
    StrategyNotFound,
    decider,
)
from domain.strategy.events import Parameter, StrategyDrafted, StrategyEvent

_LINE_ENDS = str.maketrans("", "", "\t\n\r\f")


class SourceInvalid(InvalidInput):
    """No text that Python could read. The caller sees 422; nothing is stored."""

    code = "SOURCE_INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyWish:
    """What a strategy shall be, whole."""

    name: str
    description: str
    source: str
    parameters: dict[str, Parameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyOutcome:
    """What became of a command on a strategy."""

    strategy_id: StrategyId
    last_sequence: int
    repeated: bool


class Strategies:
    """Commands on strategies. Their streams are short and seldom written: each command reads its own."""

    def __init__(self, *, store: EventStore, ids: Ids, sources: StrategySources) -> None:
        self._store = store
        self._ids = ids
        self._sources = sources

    async def draft(self, user_id: UserId, wish: StrategyWish, context: CommandContext) -> StrategyOutcome:
        """Begin a strategy.

        Raises:
            SourceInvalid, domain.strategy.decide.StrategyInvalid
            commands.lane.AccountBusy, commands.ports.KeyReused, StoreUnavailable, AppendOutcomeUnknown
        """
        source_hash, source_bytes = await self._keep(user_id, wish.source)
        strategy_id = StrategyId(self._ids.new("str"))
        command = DraftStrategy(
            strategy_id=strategy_id,
            user_id=user_id,
            name=wish.name,
            source_hash=source_hash,
            source_bytes=source_bytes,
            parameters=wish.parameters,
            description=wish.description,
        )
        return await self._execute(strategy_id, command, user_id, context)

    async def change(
        self,
        user_id: UserId,
        strategy_id: StrategyId,
        wish: StrategyWish,
        *,
        expected_version: int | None,
        context: CommandContext,
    ) -> StrategyOutcome:
        """Make a strategy what *wish* says. Another source, or other parameters, are a new revision: a draft.

        Raises:
            domain.strategy.decide.StrategyNotFound, StrategyVersionMismatch, StrategyTrading, StrategyOver
            as `draft` does, besides.
        """
        source_hash, source_bytes = _measured(wish.source)
        command = ReviseStrategy(
            user_id=user_id,
            source_hash=source_hash,
            source_bytes=source_bytes,
            parameters=wish.parameters,
            name=wish.name,
            description=wish.description,
            expected_version=expected_version,
        )
        if (await self._lane(strategy_id).state()).user_id != user_id:
            raise StrategyNotFound  # Before the source is kept: who may not change the strategy leaves nothing behind.
        await self._keep(user_id, wish.source)
        return await self._execute(strategy_id, command, user_id, context)

    async def archive(
        self, user_id: UserId, strategy_id: StrategyId, *, expected_version: int | None, context: CommandContext
    ) -> StrategyOutcome:
        """Put a strategy away for good. Twice is as once. Raises as `change` does."""
        command = ArchiveStrategy(user_id=user_id, expected_version=expected_version)
        return await self._execute(strategy_id, command, user_id, context)

    async def source_of(self, user_id: UserId, source_hash: str) -> str | None:
        """Return a source of a user, None where it was destroyed. Raises StoreUnavailable."""
        return await self._sources.find(user_id, source_hash)

    async def _keep(self, user_id: UserId, source: str) -> tuple[str, int]:
        """Keep a source before the event that names it: one that no event names is nobody's strategy."""
        source_hash, source_bytes = _measured(source)
        await self._sources.keep(user_id, source_hash, source)
        return source_hash, source_bytes

    def _lane(self, strategy_id: StrategyId) -> Lane[StrategyCommand, Strategy, StrategyEvent]:
        return Lane(f"strategy-{strategy_id}", decider, self._store)

    async def _execute(
        self, strategy_id: StrategyId, command: StrategyCommand, user_id: UserId, context: CommandContext
    ) -> StrategyOutcome:
        async def command_on(_: Strategy) -> StrategyCommand:
            return command

        request = request_of(context, command_id=self._ids.new("cmd"), scope=user_id)
        decided = await self._lane(strategy_id).execute(command_on, request)
        drafted = next((event for event in decided.events if isinstance(event, StrategyDrafted)), None)
        return StrategyOutcome(
            strategy_id=strategy_id if drafted is None else drafted.strategy_id,
            last_sequence=decided.appended.last_sequence,
            repeated=decided.appended.repeated,
        )


def _measured(source: str) -> tuple[str, int]:
    """Return hash and size of a source, or refuse what Python could not even read."""
    try:
        encoded = source.encode()
    except UnicodeEncodeError:
        raise SourceInvalid("the source is no Unicode text") from None
    if len(encoded) > SOURCE_BYTES_MAX:
        raise SourceInvalid(f"received a source of {len(encoded)} bytes, expected {SOURCE_BYTES_MAX} at most")
    if not source.strip():
        raise SourceInvalid("received a source without text")
    if any(ord(character) < ord(" ") for character in source.translate(_LINE_ENDS)):
        raise SourceInvalid("the source has control characters")
    return sha256(encoded).hexdigest(), len(encoded)
