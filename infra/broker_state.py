"""How it stands with the broker, as the running executor tells it: tokens, held-back writes, breakers, budgets."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nats
import nats.errors
from nats.aio.client import Client

from adapters.dhan.access.tokens import TokenState
from adapters.nats.control import RoleFailed, RoleSilent, request
from adapters.nats.looks import RECONCILE
from commands.looks import LookReport, LookReports
from domain.ids import AccountId
from domain.preopen import CheckedPoint
from domain.venue import BreakerState
from infra.check import Check
from infra.home import Home
from infra.problems import OperatorProblem
from infra.roles.executor import PREOPEN, RELEASE_WRITES, STATUS
from infra.runtime import running_engine
from infra.settings import Settings

_CONNECT_TIMEOUT_S = 5
_TIMEOUT_S = 2.0
_LOOKS_TIMEOUT_S = 60.0
"""Accounts are looked at one after another, and what is not sure twice."""
_S_PER_HOUR = 3_600
_TROUBLED = (TokenState.DEAD, TokenState.REFUSED, TokenState.ENDED, TokenState.ENDING)
"""States that somebody should know of, the worst first."""


async def broker_status(settings: Settings) -> Mapping[str, Any]:
    """Return what the running executor says of its broker.

    Raises:
        OperatorProblem: no engine runs, or its executor does not answer.
    """
    async with _executor(settings) as client:
        status = await _asked(client, STATUS, {})
    broker: Mapping[str, Any] = status["broker"]
    return broker


async def release_writes(settings: Settings, account_id: str) -> bool:
    """Let an account's writes through again; return whether they were held back.

    Raises:
        OperatorProblem: no engine runs, or its executor does not answer.
    """
    async with _executor(settings) as client:
        answer = await _asked(client, RELEASE_WRITES, {"account_id": account_id})
    return bool(answer["released"])


async def reconcile_now(settings: Settings, account_ids: Sequence[str] | None) -> tuple[LookReport, ...]:
    """Have the broker's books held against ours now, of these accounts or (None) of all that have something.

    Raises:
        OperatorProblem: no engine runs, or its executor does not answer.
    """
    wanted = {"all": True} if account_ids is None else {"account_ids": list(account_ids)}
    async with _executor(settings) as client:
        answer = await _asked(client, RECONCILE, wanted, timeout_s=_LOOKS_TIMEOUT_S)
    return msgspec.convert(answer, LookReports).looks


async def look_before_opening(settings: Settings, account_id: str | None) -> dict[AccountId, list[CheckedPoint]]:
    """Have the executor make the pre-open check of an account, None: of all that are at work, and return the points.

    Raises:
        OperatorProblem: no engine runs, or its executor does not answer.
    """
    async with _executor(settings) as client:
        answer = await _asked(client, PREOPEN, {"account_id": account_id}, timeout_s=_LOOKS_TIMEOUT_S)
    return msgspec.convert(answer["accounts"], dict[AccountId, list[CheckedPoint]])


@asynccontextmanager
async def _executor(settings: Settings) -> AsyncIterator[Client]:
    engine = running_engine(Home(settings.home))
    if engine is None:
        raise OperatorProblem(f"No engine runs on {settings.home}.", remedy="Start it by `khata up`.")
    try:
        # Not the roles' connection, which never gives up, and logs that it was closed in between a command's output.
        client = await nats.connect(engine.nats_url, allow_reconnect=False, connect_timeout=_CONNECT_TIMEOUT_S)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        message = f"NATS does not answer: {str(error) or type(error).__name__}."
        raise OperatorProblem(message, remedy="`khata doctor` says more.") from None
    try:
        yield client
    finally:
        await client.close()


async def _asked(
    client: Client, subject: str, payload: Mapping[str, Any], *, timeout_s: float = _TIMEOUT_S
) -> dict[str, Any]:
    try:
        return await request(client, subject, payload, timeout_s=timeout_s)
    except (RoleSilent, RoleFailed) as fault:
        raise OperatorProblem(f"The executor does not answer: {fault}.", remedy="Look at its log.") from None


# --- What to make of it -----------------------------------------------------------------------------------------------


def checks_of(broker: Mapping[str, Any]) -> list[Check]:
    """Return what there is to say of a broker's status, each with what to do about it."""
    return [
        _tokens(broker["tokens"]),
        _writes(broker["writes_held_back"]),
        _breakers(broker),
        _budgets(broker["budgets"]),
    ]


def _tokens(tokens: Mapping[str, Mapping[str, Any]]) -> Check:
    name = "broker tokens"
    if not tokens:
        return Check(name=name, ok=True, detail="none in use")
    for state in _TROUBLED:
        troubled = [account_id for account_id, token in tokens.items() if token["state"] == state]
        if troubled:
            account_id = min(troubled, key=lambda each: tokens[each]["seconds_left"])
            token = tokens[account_id]
            left = f", {token['seconds_left'] / _S_PER_HOUR:.1f} h left" if state is TokenState.ENDING else ""
            cause = f": {token['cause']}" if token["cause"] else ""
            more = f" ({len(troubled)} accounts)" if len(troubled) > 1 else ""
            # One that ends soon is renewed by itself, unless that failed.
            is_well = state is TokenState.ENDING and not token["cause"]
            return Check(
                name=name,
                ok=is_well,
                detail=f"{account_id} is {state.value}{left}{cause}{more}",
                remedy="" if is_well else "Make a new token at web.dhan.co and link it: docs/dhan.md tells how.",
            )
    soonest = min(token["seconds_left"] for token in tokens.values())
    return Check(name=name, ok=True, detail=f"live, the first ends in {soonest / _S_PER_HOUR:.1f} h")


def _writes(held_back: Mapping[str, Mapping[str, Any]]) -> Check:
    name = "broker writes"
    if not held_back:
        return Check(name=name, ok=True, detail="none are held back")
    account_id, latch = next(iter(held_back.items()))
    more = f" ({len(held_back)} accounts)" if len(held_back) > 1 else ""
    return Check(
        name=name,
        ok=False,
        detail=f"{latch['code']}: those of {account_id} are held back, the broker said {latch['message']!r}{more}",
        remedy=f"Register this machine's address at the broker; then `khata broker release {account_id}`.",
    )


def _breakers(broker: Mapping[str, Any]) -> Check:
    name = "broker breakers"
    open_ = [call for call, breaker in broker["breakers"].items() if breaker["state"] != BreakerState.CLOSED]
    if not open_:
        return Check(name=name, ok=True, detail=f"closed before {broker['host']}")
    cause = broker["breakers"][open_[0]]["transitions"][-1]["cause"]
    return Check(
        name=name,
        ok=False,
        detail=f"not closed before {broker['host']}: {', '.join(open_)} ({cause})",
        remedy="The broker does not answer as it should. They close by themselves once it does.",
    )


def _budgets(budgets: Mapping[str, Mapping[str, Any]]) -> Check:
    name = "broker budgets"
    windows = [
        (gauge["used"] / gauge["limit"], account_id, span, gauge)
        for account_id, classes in budgets.items()
        for span, gauge in classes.get("orders", {}).items()
    ]
    if not windows:
        return Check(name=name, ok=True, detail="nothing was sent")
    share, account_id, span, gauge = max(windows, key=lambda window: window[0])
    is_short = gauge["used"] >= gauge["limit"] - gauge["reserve"] and span != "1s"
    detail = f"orders of {account_id}: {gauge['used']} of {gauge['limit']} in {span} ({share:.0%})"
    remedy = f"Entries wait {gauge['free_in_s']:.0f} s; what is left is for exits and cancels." if is_short else ""
    return Check(name=name, ok=not is_short, detail=detail, remedy=remedy)
