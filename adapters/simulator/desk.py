"""What the paths share: the simulator and everything around it that one running server has."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request

from adapters.simulator.access.clients import TokenDead, Tokens
from adapters.simulator.access.limits import Family, RateLimits
from adapters.simulator.access.static_ips import StaticIps
from adapters.simulator.books.account import BookedOrder
from adapters.simulator.books.carrying import carried_over
from adapters.simulator.books.journal import Journal
from adapters.simulator.books.records import OrderExecuted, Record
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.faults.call_faults import FaultDesk
from adapters.simulator.market.quotes import QuoteBoard
from adapters.simulator.sockets.feed import Feed
from adapters.simulator.sockets.updates import Updates
from adapters.simulator.standing.instructions import Standing, standing_at
from adapters.simulator.trading.simulator import Simulator
from adapters.simulator.wires.stamps import Stamp, Stamps
from adapters.simulator.words.refusals import (
    INVALID_IP,
    INVALID_TOKEN,
    TOKEN_DEAD,
    TOO_MANY_QUOTES,
    TOO_MANY_REQUESTS,
    Refusal,
    authentication_error,
    bad_input,
    data_refusal,
    order_error,
    trading_refusal,
)
from domain.market import NS_PER_S

_NUMBERS_A_SECOND = 100
_DAY_S = 86_400
_DATA = frozenset({Family.QUOTES, Family.OPTION_CHAIN})
"""Families whose refusals have the shape of market data."""


@dataclass(slots=True)
class Desk:
    """One running simulator. `pause_listening` closes the door for some seconds, where a server listens at all.

    `restart` lets that server close everything and come back, where there is a journal to come back on. `journal` is
    held until `close`; None: the books are in memory alone.
    """

    config: SimulatorConfig
    simulator: Simulator
    feed: Feed
    quotes: QuoteBoard
    updates: Updates
    tokens: Tokens
    standing: Standing
    journal: Journal | None = None
    faults: FaultDesk = field(default_factory=FaultDesk)
    limits: RateLimits | None = None
    ips: StaticIps = field(default_factory=StaticIps)
    stamps: Stamps = field(default_factory=Stamps)
    pause_listening: Callable[[float], None] | None = None
    restart: Callable[[], None] | None = None
    stepping: asyncio.Lock = field(default_factory=asyncio.Lock)
    _arriving: set[asyncio.TimerHandle] = field(default_factory=set)

    def authenticate(
        self, request: Request, family: Family, *, subject: str = "", is_quantity_first: bool = False
    ) -> str:
        """Return whose request this is; *subject* is what counts for itself within the family's limits.

        Where the quantity is looked at first, whoever looks at it calls `check_address` then.

        Raises:
            Refusal: the token is dead, there were too many requests, or orders do not come
                from an address on the client's list.
        """
        is_data = family in _DATA
        try:
            client_id = self.tokens.client_of(
                request.headers.get("access-token", ""), now_ns=self.config.clock.wall_ns()
            )
        except TokenDead:
            raise self._token_refusal(is_data=is_data) from None
        if is_data and request.headers.get("client-id") != client_id:
            raise data_refusal(401, 810, "Client ID is invalid")
        if self.limits is not None and not self.limits.take(
            client_id, family, now_ns=self.config.clock.monotonic_ns(), subject=subject
        ):
            if is_data:
                raise data_refusal(429, 805, TOO_MANY_QUOTES)
            raise trading_refusal(429, "DH-904", "Rate_Limit", TOO_MANY_REQUESTS)
        if family is Family.ORDERS and not is_quantity_first:
            self.check_address(request, client_id)
        return client_id

    def check_address(self, request: Request, client_id: str) -> None:
        """Let a client's orders come from an address on the list alone.

        Raises:
            Refusal: this one does not.
        """
        if not self.ips.allows(client_id, address_of(request)):
            raise bad_input(INVALID_IP)

    def take_record(self, record: Record) -> None:
        """Tell whoever listens what happened to the books, and note when an order executed."""
        if isinstance(record, OrderExecuted):
            self.stamps.executed.append(Stamp(record.trade_id, self.config.clock.monotonic_ns()))
        self.updates.take(record)

    def let_arrive(self, order: BookedOrder) -> None:
        """Let an accepted order out of TRANSIT after the configured delay."""
        if self.config.transit_s <= 0:
            self.simulator.arrive(order)
        else:
            self._arrive_later(self.simulator.arrive, order)

    def let_change_arrive(self, order: BookedOrder) -> None:
        """Let the oldest modification of an order arrive after the same delay."""
        if self.config.transit_s <= 0:
            self.simulator.arrive_change(order)
        else:
            self._arrive_later(self.simulator.arrive_change, order)

    def play_second(self) -> bool:
        """Play one second of the tape to everybody and tell whether there was one."""
        was_open = self.simulator.is_open
        second = self.simulator.advance()
        if self.simulator.is_open is not was_open:
            self.feed.tell_market_status()
        if second is None:
            return False
        self.feed.publish(second.ticks)
        return True

    async def play_in_real_time(self) -> None:
        """Play the tape at its speed until it ends; catch up after a stall. At speed 0 others get a turn a second."""
        loop = asyncio.get_running_loop()
        pause_s = 1 / self.config.speed if self.config.speed > 0 else 0.0
        due = loop.time()
        while self.play_second():
            due += pause_s
            await asyncio.sleep(max(due - loop.time(), 0))

    def close(self) -> None:
        """Let go of the journal; orders in TRANSIT stay there until somebody starts on it again. Safe to repeat."""
        for timer in self._arriving:
            timer.cancel()
        self._arriving.clear()
        self.updates.close()
        if self.journal is not None:
            self.journal.close()

    def _arrive_later(self, arrival: Callable[[BookedOrder], None], order: BookedOrder) -> None:
        def arrive() -> None:
            self._arriving.discard(timer)
            arrival(order)

        timer = asyncio.get_running_loop().call_later(self.config.transit_s, arrive)
        self._arriving.add(timer)

    def _token_refusal(self, *, is_data: bool) -> Refusal:
        if is_data:
            return data_refusal(401, 808, TOKEN_DEAD)
        return order_error(INVALID_TOKEN) if self.config.dead_token_is_order_error else authentication_error()


def address_of(request: Request) -> str:
    """Return from where a request comes."""
    return request.client.host if request.client is not None else ""


def open_desk(config: SimulatorConfig) -> Desk:
    """Return a simulator with everything around it, as *config* says, on the books that its journal holds.

    Raises:
        adapters.simulator.books.journal.JournalInUse: another simulator holds the journal.
        adapters.simulator.books.journal.JournalUnreadable: a line of it is no record.
        OSError: its folder is not there, or cannot be written to.
    """
    first_number = config.first_number
    if first_number is None:
        # Within a day, a simulator that starts later begins above every number an earlier one can have reached.
        seconds_of_day = config.clock.wall_ns() // NS_PER_S % _DAY_S
        first_number = 1 if config.lock_step else 1 + seconds_of_day * _NUMBERS_A_SECOND
    with contextlib.ExitStack() as undo:
        journal = undo.enter_context(Journal(config.journal)) if config.journal is not None else None
        begun = carried_over(journal.read() if journal else (), now_ns=config.tape.start_ns, first_number=first_number)
        if journal is not None:
            journal.begin(begun.records)
        simulator = Simulator(config, begun.ledger, journal)
        undo.pop_all()
    quotes = QuoteBoard(simulator.record, config.instruments)
    segments = tuple(dict.fromkeys(key.segment for key in config.tape.instruments))
    tokens = Tokens(config.secret)
    updates = Updates(simulator, tokens, secret=config.secret, clock=config.clock)
    desk = Desk(
        config=config,
        simulator=simulator,
        feed=Feed(simulator, quotes, segments=segments, glues=config.feed_glues),
        quotes=quotes,
        updates=updates,
        tokens=tokens,
        standing=standing_at(simulator),
        journal=journal,
        limits=RateLimits(scale=config.rate_scale) if config.limits_rates else None,
    )
    simulator.on_record = desk.take_record
    return desk
