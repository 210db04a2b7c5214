"""What an account is exposed to, in sum and by what it is exposed through."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from domain.ids import StrategyId
from domain.instrument import InstrumentKey
from domain.money import value_paise
from projections.portfolio import Portfolio, ValuedPosition
from projections.trades import TradeRow

PriceOf = Callable[[InstrumentKey], int | None]
"""Tells the mark of an instrument in 1/10,000 rupee, None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What is held for a rise and for a fall, in paise, both positive."""

    long_paise: int = 0
    short_paise: int = 0

    @property
    def gross_paise(self) -> int:
        """Both together."""
        return self.long_paise + self.short_paise

    @property
    def net_paise(self) -> int:
        """The one less the other."""
        return self.long_paise - self.short_paise


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The exposure through one symbol, segment, product or strategy. `name` is None for what no strategy trades."""

    name: str | None
    exposure: Exposure
    is_external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposures:
    """An account's exposures, largest gross first.

    By symbol, segment and product they are those of positions, in which trades of one direction meet those of the
    other; by strategy they are those of trades, whose own strategy is exposed whatever others hold against it. What has
    no mark counts at cost.
    """

    total: Exposure
    by_symbol: list[Group]
    by_segment: list[Group]
    by_product: list[Group]
    by_strategy: list[Group]


def exposures_of(portfolio: Portfolio, trades: Sequence[TradeRow], price_of: PriceOf) -> Exposures:
    """Return the exposures of positions, and those of the trades that they are the sum of, at the same marks."""
    held = [(each, worth_of_position(each)) for each in portfolio.positions if each.row.net_quantity]
    strategies: defaultdict[tuple[StrategyId | None, bool], list[int]] = defaultdict(list)
    for trade in trades:
        strategies[trade.strategy_id, trade.is_external].append(worth_of_trade(trade, price_of(trade.instrument)))
    by_strategy = [
        Group(name=name, is_external=is_external, exposure=_sum(worths))
        for (name, is_external), worths in strategies.items()
    ]
    return Exposures(
        total=_sum(worth for _, worth in held),
        by_symbol=_groups((each.row.symbol, worth) for each, worth in held),
        by_segment=_groups((each.row.segment.value, worth) for each, worth in held),
        by_product=_groups((each.row.product.value, worth) for each, worth in held),
        by_strategy=_largest_first(by_strategy),
    )


def worth_of_position(position: ValuedPosition) -> int:
    """Return what a position is worth, at cost where it has no mark, in paise; negative for a short."""
    return position.row.cost_paise if position.value_paise is None else position.value_paise


def worth_of_trade(trade: TradeRow, price_e4: int | None) -> int:
    """Return what a trade holds is worth at a mark, at cost where there is none, in paise; negative for a short."""
    if price_e4 is None:
        return trade.cost_paise
    worth = value_paise(price_e4=price_e4, quantity=abs(trade.net_quantity), multiplier=trade.multiplier)
    return worth if trade.net_quantity >= 0 else -worth


def _groups(worths: Iterable[tuple[str, int]]) -> list[Group]:
    grouped: defaultdict[str, list[int]] = defaultdict(list)
    for name, worth in worths:
        grouped[name].append(worth)
    return _largest_first([Group(name=name, exposure=_sum(each)) for name, each in grouped.items()])


def _largest_first(groups: list[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (-group.exposure.gross_paise, group.name or "", group.is_external))


def _sum(worths: Iterable[int]) -> Exposure:
    long_paise = short_paise = 0
    for worth in worths:
        long_paise += max(worth, 0)
        short_paise += max(-worth, 0)
    return Exposure(long_paise=long_paise, short_paise=short_paise)
