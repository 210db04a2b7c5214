"""What is looked at before the market opens, and how each point stands."""

from enum import StrEnum

import msgspec


class PreopenPoint(StrEnum):
    """What could keep an account from trading today."""

    TOKEN = "token"  # noqa: S105 - a word, no secret
    """The token at the broker lasts to the close."""
    ADDRESS = "address"
    """The broker has this machine's address registered: orders of live accounts come from nowhere else."""
    INSTRUMENTS = "instruments"
    """The instrument master is of today."""
    FUNDS = "funds"
    """The broker tells the account's money, and there is some."""
    BOOKS = "books"
    """The broker's books agree with ours: no difference holds entries."""
    STOPS = "stops"
    """Every trade that was carried over night and wants a stop has one, or gets it with the opening."""


class PointStanding(StrEnum):
    """How a point stands."""

    OK = "ok"
    FAILING = "failing"
    NOT_APPLICABLE = "not_applicable"


class CheckedPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One point: what was seen, and where it fails what to do about it. Both are for people."""

    point: PreopenPoint
    standing: PointStanding
    detail: str
    remedy: str = ""
