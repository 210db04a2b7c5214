"""A strategy: what can be asked, what must be remembered for it, and every decision."""

import re
from typing import assert_never

import msgspec

from domain.account.events import AccountMode
from domain.decider import Decider
from domain.ids import AccountId, BacktestId, StrategyId, UserId
from domain.refusals import Conflict, InvalidInput, NotFound
from domain.strategy.events import (
    Parameter,
    StrategyArchived,
    StrategyBacktested,
    StrategyDeployed,
    StrategyDescribed,
    StrategyDrafted,
    StrategyEvent,
    StrategyPaused,
    StrategyResumed,
    StrategyRevised,
)
from domain.strategy.life import LIVE_FROM, PAPER_FROM, RESTING, TRADING, StrategyStatus

NAME_LENGTH_MAX = 100
SOURCE_BYTES_MAX = 128 * 1024
PARAMETERS_MAX = 64
TEXT_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 2_000
_HASH = re.compile(r"[0-9a-f]{64}")

# --- Refusals ---------------------------------------------------------------------------------------------------------


class StrategyNotFound(NotFound):
    """There is no such strategy of this user. The caller sees 404; nothing is stored."""

    code = "STRATEGY_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("there is no such strategy")


class StrategyInvalid(InvalidInput):
    """A name, source or parameter that no strategy can have. The caller sees 422; nothing is stored."""

    code = "STRATEGY_INVALID"


class StrategyTrading(Conflict):
    """The strategy trades, and what trades is not changed. The caller sees 409 and may pause it; nothing is stored."""

    code = "STRATEGY_TRADING"

    def __init__(self, status: StrategyStatus) -> None:
        super().__init__(f"the strategy is {status}, expected one that does not trade: pause it first")


class StrategyUntested(Conflict):
    """A step of the life cycle was left out. The caller sees 409; nothing is stored."""

    code = "STRATEGY_UNTESTED"

    def __init__(self, *, status: StrategyStatus, expected: frozenset[StrategyStatus]) -> None:
        names = " or ".join(sorted(expected))
        super().__init__(f"the strategy is {status}, expected {names}")


class StrategyNotPausable(Conflict):
    """Only what trades can be paused, only what is paused resumed. The caller sees 409; nothing is stored."""

    code = "STRATEGY_NOT_PAUSABLE"

    def __init__(self, status: StrategyStatus, expected: str) -> None:
        super().__init__(f"the strategy is {status}, expected one that {expected}")


class StrategyOver(Conflict):
    """The strategy is archived. The caller sees 409; nothing is stored."""

    code = "STRATEGY_ARCHIVED"

    def __init__(self) -> None:
        super().__init__("the strategy is archived")


class RevisionOutdated(Conflict):
    """The result belongs to another revision of the source. The caller sees 409; nothing is stored."""

    code = "STRATEGY_REVISION_OUTDATED"

    def __init__(self, *, received: str, expected: str) -> None:
        super().__init__(f"received a result for source {received[:12]}…, expected one for {expected[:12]}…")


class StrategyVersionMismatch(Conflict):
    """Somebody changed the strategy meanwhile. The caller sees 409, reads it again and decides anew."""

    code = "STRATEGY_VERSION_MISMATCH"

    def __init__(self, *, received: int, expected: int) -> None:
        super().__init__(f"received expected_version {received}, expected {expected}")


# --- Commands ---------------------------------------------------------------------------------------------------------


class DraftStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """Begin a strategy. The source itself is kept by the caller, under its hash (SHA-256, hex)."""

    strategy_id: StrategyId
    user_id: UserId
    name: str
    source_hash: str
    source_bytes: int
    parameters: dict[str, Parameter]
    description: str = ""


class ReviseStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """Give it another source or other parameters. What is UNSET stays as it is.

    `expected_version` is that of the strategy that the caller has seen, None: whichever it is.
    """

    user_id: UserId
    source_hash: str
    source_bytes: int
    parameters: dict[str, Parameter]
    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    expected_version: int | None = None


class RecordBacktest(msgspec.Struct, frozen=True, kw_only=True):
    """Say that a backtest of the source was completed with these parameters."""

    user_id: UserId
    backtest_id: BacktestId
    source_hash: str
    parameters: dict[str, Parameter]


class DeployStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """Let it trade in an account, whose mode says whether on paper or live."""

    user_id: UserId
    account_id: AccountId
    mode: AccountMode


class PauseStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """Let it open no more trades for now."""

    user_id: UserId
    reason: str


class ResumeStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """Let it trade again."""

    user_id: UserId


class ArchiveStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """Put it away for good; `expected_version` as in `ReviseStrategy`."""

    user_id: UserId
    expected_version: int | None = None


StrategyCommand = (
    DraftStrategy | ReviseStrategy | RecordBacktest | DeployStrategy | PauseStrategy | ResumeStrategy | ArchiveStrategy
)

# --- State ------------------------------------------------------------------------------------------------------------


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """What a strategy's later decisions need. `resumes_as` is where a paused one goes back to.

    `version` counts what its owner changed: name, description, source, parameters.
    """

    strategy_id: StrategyId | None = None
    user_id: UserId | None = None
    name: str = ""
    description: str = ""
    version: int = 0
    status: StrategyStatus = StrategyStatus.DRAFT
    revision: int = 0
    source_hash: str = ""
    parameters: dict[str, Parameter] = {}
    resumes_as: StrategyStatus | None = None
    account_id: AccountId | None = None


def evolve(state: Strategy, event: StrategyEvent) -> Strategy:  # noqa: PLR0911 - one arm per event
    """Return the state after *event*."""
    change = msgspec.structs.replace
    match event:
        case StrategyDrafted():
            return Strategy(
                strategy_id=event.strategy_id,
                user_id=event.user_id,
                name=event.name,
                version=1,
                revision=1,
                source_hash=event.source_hash,
                parameters=event.parameters,
            )
        case StrategyDescribed():
            return change(state, name=event.name, description=event.description, version=state.version + 1)
        case StrategyRevised():
            return change(
                state,
                version=state.version + 1,
                status=StrategyStatus.DRAFT,
                revision=event.revision,
                source_hash=event.source_hash,
                parameters=event.parameters,
                resumes_as=None,
                account_id=None,
            )
        case StrategyBacktested():
            is_first = state.status is StrategyStatus.DRAFT
            return change(state, status=StrategyStatus.BACKTESTED) if is_first else state
        case StrategyDeployed():
            status = StrategyStatus.LIVE if event.mode is AccountMode.LIVE else StrategyStatus.PAPER
            return change(state, status=status, account_id=event.account_id)
        case StrategyPaused():
            return change(state, status=StrategyStatus.PAUSED, resumes_as=state.status)
        case StrategyResumed():
            return change(state, status=state.resumes_as or StrategyStatus.PAUSED, resumes_as=None)
        case StrategyArchived():
            return change(state, status=StrategyStatus.ARCHIVED, resumes_as=None)
        case _:
            assert_never(event)


# --- Decisions --------------------------------------------------------------------------------------------------------


def decide(command: StrategyCommand, state: Strategy) -> tuple[StrategyEvent, ...]:  # noqa: PLR0911 - one arm each
    """Return what happens when *command* meets *state*; nothing where it changes nothing.

    Raises:
        domain.refusals.Refusal: the command makes no sense in *state*.
    """
    if isinstance(command, DraftStrategy):
        return _draft(command, state)
    if state.strategy_id is None or state.user_id != command.user_id:
        raise StrategyNotFound
    if isinstance(command, ArchiveStrategy):
        return _archive(state.strategy_id, command, state)
    if state.status is StrategyStatus.ARCHIVED:
        raise StrategyOver
    match command:
        case ReviseStrategy():
            return _revise(state.strategy_id, command, state)
        case RecordBacktest():
            return _record_backtest(state.strategy_id, command, state)
        case DeployStrategy():
            return _deploy(state.strategy_id, command, state)
        case PauseStrategy():
            return _pause(state.strategy_id, command, state)
        case ResumeStrategy():
            return _resume(state.strategy_id, command, state)
        case _:
            assert_never(command)


def _draft(command: DraftStrategy, state: Strategy) -> tuple[StrategyEvent, ...]:
    if state.strategy_id is not None:
        return ()  # Asked again: the first draft stands.
    _check_texts(command.name, command.description)
    _check_source(command.source_hash, command.source_bytes, command.parameters)
    drafted = StrategyDrafted(
        strategy_id=command.strategy_id,
        user_id=command.user_id,
        name=command.name,
        source_hash=command.source_hash,
        source_bytes=command.source_bytes,
        parameters=command.parameters,
    )
    if not command.description:
        return (drafted,)
    return drafted, StrategyDescribed(
        strategy_id=command.strategy_id,
        user_id=command.user_id,
        name=command.name,
        description=command.description,
    )


def _revise(strategy_id: StrategyId, command: ReviseStrategy, state: Strategy) -> tuple[StrategyEvent, ...]:
    _demand_version(command.expected_version, state)
    described = _described(strategy_id, command, state)
    if (command.source_hash, command.parameters) == (state.source_hash, state.parameters):
        return described  # The source is that already, and what was proven of it still holds.
    if state.status not in RESTING:
        raise StrategyTrading(state.status)
    _check_source(command.source_hash, command.source_bytes, command.parameters)
    return (
        *described,
        StrategyRevised(
            strategy_id=strategy_id,
            user_id=command.user_id,
            revision=state.revision + 1,
            source_hash=command.source_hash,
            source_bytes=command.source_bytes,
            parameters=command.parameters,
        ),
    )


def _described(strategy_id: StrategyId, command: ReviseStrategy, state: Strategy) -> tuple[StrategyEvent, ...]:
    name = state.name if command.name is msgspec.UNSET else command.name
    description = state.description if command.description is msgspec.UNSET else command.description
    if (name, description) == (state.name, state.description):
        return ()
    _check_texts(name, description)
    return (StrategyDescribed(strategy_id=strategy_id, user_id=command.user_id, name=name, description=description),)


def _record_backtest(strategy_id: StrategyId, command: RecordBacktest, state: Strategy) -> tuple[StrategyEvent, ...]:
    if (command.source_hash, command.parameters) != (state.source_hash, state.parameters):
        raise RevisionOutdated(received=command.source_hash, expected=state.source_hash)
    return (
        StrategyBacktested(
            strategy_id=strategy_id,
            user_id=command.user_id,
            revision=state.revision,
            backtest_id=command.backtest_id,
        ),
    )


def _deploy(strategy_id: StrategyId, command: DeployStrategy, state: Strategy) -> tuple[StrategyEvent, ...]:
    is_live = command.mode is AccountMode.LIVE
    wanted = StrategyStatus.LIVE if is_live else StrategyStatus.PAPER
    if state.status is wanted and state.account_id == command.account_id:
        return ()  # It trades there already.
    expected = LIVE_FROM if is_live else PAPER_FROM
    if state.status not in expected:
        raise StrategyUntested(status=state.status, expected=expected)
    return (
        StrategyDeployed(
            strategy_id=strategy_id,
            user_id=command.user_id,
            revision=state.revision,
            account_id=command.account_id,
            mode=command.mode,
        ),
    )


def _pause(strategy_id: StrategyId, command: PauseStrategy, state: Strategy) -> tuple[StrategyEvent, ...]:
    if state.status is StrategyStatus.PAUSED:
        return ()  # Asked again.
    if state.status not in TRADING:
        raise StrategyNotPausable(state.status, "trades")
    if len(command.reason) > TEXT_LENGTH_MAX:
        raise StrategyInvalid(f"expected a reason of {TEXT_LENGTH_MAX} characters at most")
    return (StrategyPaused(strategy_id=strategy_id, user_id=command.user_id, reason=command.reason),)


def _resume(strategy_id: StrategyId, command: ResumeStrategy, state: Strategy) -> tuple[StrategyEvent, ...]:
    if state.status in TRADING:
        return ()  # It never stopped, or was resumed.
    if state.status is not StrategyStatus.PAUSED:
        raise StrategyNotPausable(state.status, "is paused")
    return (StrategyResumed(strategy_id=strategy_id, user_id=command.user_id),)


def _archive(strategy_id: StrategyId, command: ArchiveStrategy, state: Strategy) -> tuple[StrategyEvent, ...]:
    if state.status is StrategyStatus.ARCHIVED:
        return ()  # Asked again.
    _demand_version(command.expected_version, state)
    if state.status not in RESTING:
        raise StrategyTrading(state.status)
    return (StrategyArchived(strategy_id=strategy_id, user_id=command.user_id),)


def _demand_version(expected: int | None, state: Strategy) -> None:
    if expected is not None and expected != state.version:
        raise StrategyVersionMismatch(received=expected, expected=state.version)


def _check_texts(name: str, description: str) -> None:
    if not name.strip() or len(name) > NAME_LENGTH_MAX or not name.isprintable():
        raise StrategyInvalid(f"expected a name of 1 to {NAME_LENGTH_MAX} printable characters")
    if len(description) > DESCRIPTION_LENGTH_MAX:
        raise StrategyInvalid(f"expected a description of {DESCRIPTION_LENGTH_MAX} characters at most")


def _check_source(source_hash: str, source_bytes: int, parameters: dict[str, Parameter]) -> None:
    if _HASH.fullmatch(source_hash) is None:
        raise StrategyInvalid("expected the source's SHA-256 as 64 hexadecimal digits in lower case")
    if not 0 < source_bytes <= SOURCE_BYTES_MAX:
        raise StrategyInvalid(f"received a source of {source_bytes} bytes, expected 1 to {SOURCE_BYTES_MAX}")
    if len(parameters) > PARAMETERS_MAX:
        raise StrategyInvalid(f"received {len(parameters)} parameters, expected {PARAMETERS_MAX} at most")
    for name, value in parameters.items():
        if not name.isidentifier() or len(name) > NAME_LENGTH_MAX:
            raise StrategyInvalid(f"received a parameter {name[:NAME_LENGTH_MAX]!r}, expected a Python name")
        if isinstance(value, str) and len(value) > TEXT_LENGTH_MAX:
            raise StrategyInvalid(f"the text of parameter {name} is longer than {TEXT_LENGTH_MAX} characters")


decider: Decider[StrategyCommand, Strategy, StrategyEvent] = Decider(initial=Strategy(), decide=decide, evolve=evolve)
