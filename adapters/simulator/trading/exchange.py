"""The exchange's side of the simulator: every instrument's matching, through the phases of the day where they hold.

Without a session table the market trades whenever the tape plays, at any price, as a tape of our own making has it.
With one it keeps the exchange's day: phases and auctions, and the circuit limits and freeze quantities of each day's
definitions.
"""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from adapters.simulator.config import SimulatorConfig
from adapters.simulator.trading.circuits import outside_circuits
from adapters.simulator.words.refusals import MARKET_CLOSED
from domain.instrument import Instrument, InstrumentKey
from domain.matching import (
    AuctionRules,
    Happening,
    Matching,
    MatchingRules,
    PhasedMatching,
    Rejection,
    Withdrawn,
)
from domain.session import Phase, SessionMoment

Book = Matching | PhasedMatching

_MARKET_FIRST_FROM = date(2026, 9, 7).isoformat()
"""Since this day market orders come first in the pre-open. Source: SEBI, circular of 2026-01-16."""


class Moved(NamedTuple):
    """What came of a new phase in one instrument: what happened, and what the end of the day took out of the book."""

    instrument: InstrumentKey
    happened: list[Happening]
    expired: list[Withdrawn]


class Exchange:
    """The matching of every instrument that somebody asked for. `books` holds them by instrument."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._instruments = config.instruments
        self._previous_closes_e4 = config.tape.previous_closes_e4
        self._phased: dict[InstrumentKey, tuple[PhasedMatching, Instrument]] = {}
        self._days: dict[InstrumentKey, str] = {}
        self.books: dict[InstrumentKey, Book] = {}

    def book_of(self, instrument: Instrument, *, market_time_ns: int) -> Book:
        """Return the matching of *instrument*, made at the first question."""
        book = self.books.get(instrument.key)
        if book is None:
            book = self.books[instrument.key] = self._make(instrument, market_time_ns)
        return book

    def move_to(self, market_time_ns: int) -> Iterator[Moved]:
        """Let the day go on to *market_time_ns*, and yield what came of it in each instrument that has a new phase."""
        for key, (book, instrument) in self._phased.items():
            moment = self._moment_of(instrument, market_time_ns)
            if moment is None:
                continue
            if moment.trading_day != self._days[key]:
                self._days[key] = moment.trading_day
                definition = self._instruments.by_key(key, market_time_ns=market_time_ns)
                book.begin_session(
                    self._rules_of(definition),
                    previous_close_e4=book.last_price_e4 or self._previous_closes_e4.get(key),
                    auctions=_auctions_of(moment),
                )
            if moment.phase is not book.phase:
                happened = book.move_to(moment.phase, time_ns=market_time_ns)
                yield Moved(key, happened, book.expire() if moment.phase is Phase.CLOSED else [])

    def refusal_of(self, rejection: Rejection, instrument: Instrument, *, market_time_ns: int) -> str:
        """Return in the broker's words why the exchange does not take an order."""
        today = self._instruments.by_key(instrument.key, market_time_ns=market_time_ns)
        if rejection is Rejection.PRICE_OUTSIDE_CIRCUITS:
            lower, upper = today.lower_circuit_e4, today.upper_circuit_e4
            if lower is not None and upper is not None:
                return outside_circuits(lower, upper)
            return "Order Price is out of the price band of the session."
        if rejection is Rejection.QUANTITY_ABOVE_FREEZE:
            return f"Order quantity is above the freeze quantity of {today.freeze_quantity}."
        return MARKET_CLOSED

    def _make(self, instrument: Instrument, market_time_ns: int) -> Book:
        moment = self._moment_of(instrument, market_time_ns)
        book = Matching(
            tick_e4=instrument.tick_e4,
            lot=instrument.lot,
            participation_bp=self._config.participation_bp,
            protection_bp=self._config.protection_bp,
            rules=MatchingRules(participation=self._config.market.participation, slippage=self._config.market.slippage)
            if moment is None
            else self._rules_of(instrument),
        )
        if moment is None:
            return book
        phased = PhasedMatching(
            book,
            phase=moment.phase,
            previous_close_e4=self._previous_closes_e4.get(instrument.key),
            auctions=_auctions_of(moment),
        )
        self._phased[instrument.key] = phased, instrument
        self._days[instrument.key] = moment.trading_day
        return phased

    def _moment_of(self, instrument: Instrument, market_time_ns: int) -> SessionMoment | None:
        sessions = self._config.market.sessions
        return None if sessions is None else sessions.moment_of(instrument, market_time_ns)

    def _rules_of(self, today: Instrument) -> MatchingRules:
        return MatchingRules(
            participation=self._config.market.participation,
            slippage=self._config.market.slippage,
            lower_circuit_e4=today.lower_circuit_e4,
            upper_circuit_e4=today.upper_circuit_e4,
            freeze_quantity=today.freeze_quantity,
        )


def _auctions_of(moment: SessionMoment) -> AuctionRules:
    return AuctionRules(market_first_in_pre_open=moment.trading_day >= _MARKET_FIRST_FROM)
