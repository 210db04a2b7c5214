"""What clients send about kill switches, breaches and cash."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from api.errors import FieldInvalid
from api.fields import SignedAmount, StrategyName, strategy_of
from domain.account.events import KillMode
from domain.ids import StrategyId

Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="Stays in the log for ever: no personal data",
        examples=["the strategy buys the same share twice"],
    ),
]


class SwitchScope(StrEnum):
    """What a kill switch blocks."""

    ACCOUNT = "account"
    STRATEGY = "strategy"
    EVERYTHING = "everything"
    """Every account of the user."""


class KillSwitchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why what shall stop, and whether what is held is closed as well (`flatten`).

    `strategy_id` is mandatory with the scope `strategy`, and forbidden with the others.
    """

    reason: Reason
    scope: SwitchScope = SwitchScope.ACCOUNT
    strategy_id: StrategyName | None = None
    mode: KillMode = KillMode.HALT


class BreachReleaseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why entries shall be allowed again although a limit on losses was reached."""

    reason: Reason


class InvariantReleaseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why entries shall be allowed again although an invariant was breached: what somebody found who looked."""

    reason: Reason


class CashMovementRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money that came in, or (negative) went out."""

    amount: SignedAmount
    reason: Reason


def strategy_in_scope(name: str | None, *, is_scoped: bool) -> StrategyId | None:
    """Return the strategy that *name* means in a request whose scope is one strategy, or (not *is_scoped*) is not.

    Raises:
        FieldInvalid: a strategy's scope names none, or another scope names one.
    """
    if is_scoped and name is None:
        raise FieldInvalid("FIELD_MISSING", "expected a field 'strategy_id' with this scope", field="strategy_id")
    if not is_scoped and name is not None:
        raise FieldInvalid(
            "STRATEGY_ID_INVALID",
            f"received strategy_id {name!r}, expected none unless the scope is 'strategy'",
            field="strategy_id",
        )
    return strategy_of(name)
