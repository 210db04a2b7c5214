"""The venue as the command side knows it: `commands.ports.Broker` over Dhan's REST interface."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

from adapters.dhan.access.tokens import Logins, Tokens
from adapters.dhan.guard.calls import Caller, Done
from adapters.dhan.guard.gateway import Call, CallClass, Gateway
from adapters.dhan.http.client import Transport
from adapters.dhan.http.errors import VenueRefusal
from adapters.dhan.rest.account import AccountCalls
from adapters.dhan.rest.forever_orders import ForeverOrderCalls
from adapters.dhan.rest.market_data import MarketDataCalls
from adapters.dhan.rest.orders import OrderCalls, PastTrade, class_of
from adapters.dhan.rest.portfolio import PortfolioCalls
from adapters.dhan.rest.super_orders import SuperOrderCalls
from adapters.dhan.settings import DhanSettings
from adapters.dhan.tending import Tending
from adapters.dhan.words.codec import (
    AnswerMalformed,
    change_document,
    fill_of,
    in_order_of_time,
    order_document,
    order_of,
    position_of,
    rows_of,
    supported,
    venue_order_id_of,
)
from commands.ports import (
    Accepted,
    BrokerUnavailable,
    Clock,
    Modification,
    ModifyAccepted,
    PastExecution,
    Placement,
    VenueFill,
    VenueHolding,
    VenueOrder,
    VenuePosition,
)
from domain.contract_note import NotedFill
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.order import OrderInstruction, Purpose
from domain.venue import BreakerChanged

_NOT_FOUND = 404
_ORDER_ERROR = "DH-906"
_NOTHING_TO_CANCEL = "nothing to cancel"
STATEMENT_PAGES_MAX = 1_000
"""A venue that answers every page with the first one would be asked for ever."""


class DhanBroker:
    """Dhan, for every account of this process. Implements `commands.ports.Broker`.

    What the venue can do beyond that port hangs on it by subject: `account`, `portfolio`, `order_calls`,
    `super_orders`, `forever_orders`, `market_data`. All of it shares tokens, budgets and breakers.
    """

    def __init__(self, settings: DhanSettings, logins: Logins, client: Transport, clock: Clock) -> None:
        self._settings = settings
        self._gateway = Gateway(settings, logins, client, clock)
        self.caller = Caller(self._gateway, settings)
        self.account = AccountCalls(self.caller)
        self.order_calls = OrderCalls(self.caller)
        self.super_orders = SuperOrderCalls(self.caller)
        self.forever_orders = ForeverOrderCalls(self.caller)
        self.portfolio = PortfolioCalls(self.caller)
        self.market_data = MarketDataCalls(self.caller)
        self._tending = Tending(self._gateway, self.account, settings, clock)
        self._duplicates_seen = 0

    @property
    def tokens(self) -> Tokens:
        """The sessions, for the feed of the same process."""
        return self._gateway.tokens

    # --- Writing ---

    async def place(
        self, account_id: AccountId, instruction: OrderInstruction, correlation_id: CorrelationId, purpose: Purpose
    ) -> Placement:
        """Send one order, at most once, and tell what is known of it."""
        call = Call(
            call_class=class_of(purpose),
            method="POST",
            path="/orders",
            read=venue_order_id_of,
            document=partial(order_document, instruction=instruction, correlation_id=correlation_id),
        )
        match await self.caller.write(account_id, call):
            case Done(value=venue_order_id, sent_at_ns=sent_at_ns):
                return Accepted(venue_order_id=venue_order_id, sent_at_ns=sent_at_ns)
            case no_yes:
                return no_yes

    async def modify(
        self, account_id: AccountId, venue_order_id: VenueOrderId, instruction: OrderInstruction, purpose: Purpose
    ) -> Modification:
        """Ask once for an order to become *instruction*, its quantity in total. Never raises for a fault of the venue.

        It says what the order shall be, not by how much: asked again, it changes nothing more.
        """
        call = Call(
            call_class=class_of(purpose),
            method="PUT",
            path=f"/orders/{venue_order_id}",
            read=partial(_confirmed, venue_order_id),
            document=partial(change_document, venue_order_id=venue_order_id, instruction=instruction),
            changes=venue_order_id,
        )
        outcome = await self.caller.write(account_id, call)
        return ModifyAccepted(sent_at_ns=outcome.sent_at_ns) if isinstance(outcome, Done) else outcome

    def is_held_back(self, account_id: AccountId, purpose: Purpose) -> bool:
        """Tell whether an order would not be sent now because our own breaker holds it back."""
        return self._gateway.is_held_back(account_id, class_of(purpose))

    async def cancel(self, account_id: AccountId, venue_order_id: VenueOrderId) -> None:
        """Ask for an order's cancellation; safe to repeat.

        Raises:
            BrokerUnavailable: it could not be asked, or the venue would not take it now.
            OrderInTransit: likewise, because the order is on its way.
        """
        path = f"/orders/{venue_order_id}"
        call = Call(call_class=CallClass.EXITS, method="DELETE", path=path, read=_nothing)
        await self.caller.ask_or(account_id, call, on_refusal=_is_nothing_to_cancel)

    # --- Reading ---

    async def find_order(self, account_id: AccountId, correlation_id: CorrelationId) -> VenueOrder | None:
        """Return the order that carries our id, None where the venue shows none: which proves nothing.

        Raises:
            BrokerUnavailable
        """
        path = f"/orders/external/{correlation_id}"
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path=path, read=_orders)
        rows = await self.caller.ask_or(account_id, call, on_refusal=_is_not_found) or ()
        ours = [row for row in rows if row.correlation_id == correlation_id]
        if len(ours) > 1:
            self._duplicates_seen += 1
        # The venue is not known to refuse a repeated id; of several, the one that did most is the one to know about.
        return max(ours, key=lambda row: row.cumulative_quantity, default=None)

    async def orders(self, account_id: AccountId) -> Sequence[VenueOrder]:
        """Return the day's order book, those of other platforms included.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/orders", read=_orders, is_book=True)
        rows = await self.caller.ask(account_id, call)
        return list(rows)

    async def fills(self, account_id: AccountId) -> Sequence[VenueFill]:
        """Return the day's executions, oldest first.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/trades", read=_fills, is_book=True)
        fills = await self.caller.ask(account_id, call)
        return in_order_of_time(fills)

    async def positions(self, account_id: AccountId) -> Sequence[VenuePosition]:
        """Return the venue's positions in the products that we trade.

        Raises:
            BrokerUnavailable
        """
        call = Call(call_class=CallClass.LOOKUPS, method="GET", path="/positions", read=_positions)
        return await self.caller.ask(account_id, call)

    async def holdings(self, account_id: AccountId) -> Sequence[VenueHolding]:
        """Return what is held for delivery since earlier days.

        A share that is held at both exchanges goes by its id at the NSE.

        Raises:
            BrokerUnavailable
        """
        return [held.counted for held in await self.portfolio.holdings(account_id)]

    async def executed_on(self, account_id: AccountId, day: date) -> Sequence[PastExecution]:
        """Return all executions of a past day. Implements `commands.ports.TradeHistory`.

        Raises:
            BrokerUnavailable
        """
        return [
            PastExecution(
                venue_order_id=trade.venue_order_id,
                instrument=trade.instrument,
                product=trade.product,
                side=trade.side,
                quantity=trade.quantity,
                executed_at_ns=trade.executed_at_ns,
            )
            for trade in await self._statement(account_id, day)
        ]

    async def charged_fills(self, account_id: AccountId, day: date) -> Sequence[NotedFill]:
        """Return the rows of the statement of one day, those of other platforms included.

        Implements `commands.ports.Statements`.

        Raises:
            BrokerUnavailable
        """
        return [_noted_fill(trade) for trade in await self._statement(account_id, day)]

    async def _statement(self, account_id: AccountId, day: date) -> list[PastTrade]:
        """Return the trade history of a day, page by page."""
        trades: list[PastTrade] = []
        for number in range(STATEMENT_PAGES_MAX):
            page = await self.order_calls.history(account_id, day, day, page=number)
            if page.is_empty:
                return trades
            trades += page.trades
        raise BrokerUnavailable(f"received {STATEMENT_PAGES_MAX} pages of a statement, expected an empty one at last")

    # --- Looking ---

    async def tend(self) -> None:
        """Look after tokens and held-back writes until canceled."""
        await self._tending.run()

    async def tend_once(self) -> None:
        """Renew tokens that are due, and ask about the addresses of accounts whose writes are held back."""
        await self._tending.once()

    def release_writes(self, account_id: AccountId) -> bool:
        """Let an account's writes through again, by an operator's word; return whether they were held back."""
        return self._gateway.addresses.release(account_id, cause="an operator says so")

    def count_earlier(self, account_id: AccountId, sent_at_ns: Sequence[int]) -> None:
        """Count order requests of an earlier process (UTC nanoseconds). Implements `commands.ports.RequestBudget`."""
        self._gateway.count_earlier(account_id, sent_at_ns)

    def take_breaker_changes(self) -> Sequence[BreakerChanged]:
        """Return what breakers changed since the last call, oldest first. Implements `commands.ports.BreakerWatch`."""
        return self._gateway.breaker_changes.take()

    async def probe(self) -> None:
        """Make the trials of open breakers that are due, and wait for those under way."""
        await self._gateway.probe()

    def status(self) -> dict[str, Any]:
        """Return breakers, counts, latencies and budgets, for people and probes."""
        return {**self._gateway.status(), "duplicates_seen": self._duplicates_seen}

    async def aclose(self) -> None:
        """Stop what runs in the background and close all connections."""
        await self._gateway.aclose()


def _is_nothing_to_cancel(refusal: VenueRefusal) -> bool:
    # The order is done already; the order book will say how.
    return refusal.status == _NOT_FOUND or _NOTHING_TO_CANCEL in refusal.message.lower()


def _is_not_found(refusal: VenueRefusal) -> bool:
    return refusal.status == _NOT_FOUND and refusal.code == _ORDER_ERROR


def _confirmed(venue_order_id: VenueOrderId, document: Any) -> None:
    """Hold the answer to a change against the order that was to be changed: it may be a late one to another request."""
    answered = venue_order_id_of(document)
    if answered != venue_order_id:
        raise AnswerMalformed(f"received an answer about order {answered}, expected {venue_order_id}")


def _noted_fill(trade: PastTrade) -> NotedFill:
    return NotedFill(
        venue_order_id=trade.venue_order_id,
        instrument=trade.instrument,
        product=trade.product,
        side=trade.side,
        quantity=trade.quantity,
        price_e4=trade.price_e4,
        charges=trade.charges,
    )


def _nothing(_document: Any) -> None:
    return None


def _orders(document: Any) -> tuple[VenueOrder, ...]:
    return tuple(order_of(row) for row in rows_of(document))


def _fills(document: Any) -> tuple[VenueFill, ...]:
    return tuple(fill_of(row) for row in rows_of(document))


def _positions(document: Any) -> list[VenuePosition]:
    return list(supported(rows_of(document), position_of))
