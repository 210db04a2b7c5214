"""The life of a strategy, as a table.

    draft ─► backtested ─► paper ─► live
      ▲                      │        │
      │                      └──┬─────┘
      └── revised ── paused ◄───┴──► resumed, to where it was
                        └─► archived (from a draft and a backtested one too)

One that trades is neither revised nor archived: pause it first. A revision begins as a draft again, whatever its
forerunner had come to, so that no line of source trades that was not tested.
"""

from enum import StrEnum


class StrategyStatus(StrEnum):
    """Where a strategy is in its life."""

    DRAFT = "draft"
    BACKTESTED = "backtested"
    PAPER = "paper"
    LIVE = "live"
    PAUSED = "paused"
    ARCHIVED = "archived"


TRADING = frozenset({StrategyStatus.PAPER, StrategyStatus.LIVE})
RESTING = frozenset({StrategyStatus.DRAFT, StrategyStatus.BACKTESTED, StrategyStatus.PAUSED})
"""In these it may be revised and archived."""
PAPER_FROM = frozenset({StrategyStatus.BACKTESTED})
LIVE_FROM = frozenset({StrategyStatus.PAPER})
