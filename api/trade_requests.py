"""What clients send about trades that are there, and about several at once."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.fields import Price, StrategyName, price_e4
from api.requests import QUANTITY_MAX, TradeRequest, TrailingRequest
from commands.accounts import TradeChange, TradeIntent
from domain.account.baskets import LEGS_MAX
from domain.account.events import BasketPolicy
from domain.order import OrderType

Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX, description="Units", examples=[10])]


class LegRequest(TradeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order intent that is one leg of a basket. Legs of one `rank` are sent together, 0 first."""

    rank: Annotated[
        int, Meta(ge=0, lt=LEGS_MAX, description="Its turn: the next rank follows when this one filled")
    ] = 0


class BasketRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several intents that pass risk together or not at all. `policy` says what becomes of the others if one fails."""

    legs: Annotated[list[LegRequest], Meta(min_length=2, max_length=LEGS_MAX)]
    policy: BasketPolicy = BasketPolicy.STOP

    def to_legs(self) -> list[tuple[TradeIntent, int]]:
        """Return each leg's intent and rank. Raises api.errors.FieldInvalid: a price is no decimal text."""
        return [(leg.to_intent(), leg.rank) for leg in self.legs]


class TradeChangeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of a trade that is at `expected_version`, which every change raises by one.

    A field that is absent stays as it is; null takes a level away. What belongs to the entry order can be changed as
    long as it rests at the venue.
    """

    expected_version: Annotated[int, Meta(ge=1, description="The version that you have seen", examples=[1])]
    stop_loss: Price | UnsetType | None = UNSET
    target: Price | UnsetType | None = UNSET
    trailing: TrailingRequest | UnsetType | None = UNSET
    quantity: Quantity | UnsetType = UNSET
    order_type: OrderType | UnsetType = UNSET
    limit_price: Price | UnsetType | None = UNSET
    trigger_price: Price | UnsetType | None = UNSET

    def to_change(self) -> TradeChange:
        """Return what the engine computes with. Raises api.errors.FieldInvalid: a price is no decimal text."""
        trailing = self.trailing
        return TradeChange(
            stop_loss_e4=_price(self.stop_loss, field="stop_loss"),
            target_e4=_price(self.target, field="target"),
            trailing=trailing.to_trailing() if isinstance(trailing, TrailingRequest) else trailing,
            quantity=self.quantity,
            order_type=self.order_type,
            limit_price_e4=_price(self.limit_price, field="limit_price"),
            trigger_price_e4=_price(self.trigger_price, field="trigger_price"),
        )


def _price(text: str | UnsetType | None, *, field: str) -> int | UnsetType | None:
    return text if isinstance(text, UnsetType) else price_e4(text, field=field)


class TradeCloseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of a trade shall be closed; null: all of it, and what of its entry has not filled is taken back."""

    quantity: Quantity | None = None


class PositionCloseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose trades in the position shall be closed: those of a strategy, or (null) all."""

    strategy_id: StrategyName | None = None


class CloseScope(StrEnum):
    """What closing all closes."""

    ACCOUNT = "account"
    STRATEGY = "strategy"


class CloseAllRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose trades shall be closed: name it. What came from outside (`external`) stays unless asked for."""

    scope: CloseScope
    strategy_id: StrategyName | None = None
    includes_external: bool = False
