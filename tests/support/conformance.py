"""What a broker's adapter has to be able to do: a venue that the cases act on, and the numbers of the cases.

A case is a sentence about `commands.ports.Broker`, in `tests/conformance`; `docs/broker-conformance.md` lists them all.
A second broker passes them by a harness of its own in `HARNESSES`: a venue of that broker's which does what
`VenueHarness` asks, and its adapter logged in there.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, TypeVar

import httpx
from msgspec.structs import replace

from adapters.clock import SystemClock
from adapters.dhan.access.tokens import LoginUnavailable, PaperLogins, PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.simulator.tapes.synthetic import DEMO_START_NS
from commands.ports import Accepted, Broker, Clock, VenueOrder
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.order import OrderInstruction, OrderStatus, OrderType, Product, Purpose, Side, TimeInForce
from infra.faults.venue_link import VenueLink
from tests.support import tape
from tests.support.dhan import ACCOUNT, OTHER_ACCOUNT, HandClock, settings_for
from tests.support.eventually import eventually

PRICE = 1_310_00_00
FALL = 10_00_00
OPENED_AT_NS = DEMO_START_NS
Case = TypeVar("Case", bound=Callable[..., Any])

BUY = OrderInstruction(
    instrument=tape.RELIANCE,
    side=Side.BUY,
    quantity=10,
    order_type=OrderType.LIMIT,
    limit_price_e4=PRICE,
    product=Product.INTRADAY,
    time_in_force=TimeInForce.DAY,
)
"""One good order, that fills at the market's price: a case changes the field that matters."""
LOW_BUY = replace(BUY, limit_price_e4=PRICE - FALL)
SELL = replace(BUY, side=Side.SELL)
MARKET_SELL = replace(SELL, order_type=OrderType.MARKET, limit_price_e4=None)
STOP = replace(SELL, order_type=OrderType.SL, trigger_price_e4=PRICE - FALL, limit_price_e4=PRICE - 2 * FALL)


def case(_number: str) -> Callable[[Case], Case]:
    """Give a case its number in the list."""

    def same(test: Case) -> Case:
        return test

    return same


def correlation(number: int = 1) -> CorrelationId:
    """Return one of our ids, as long as they are."""
    return CorrelationId(f"kh1{number:022d}")


class VenueHarness(Protocol):
    """A venue that plays a market, does wrong on request, and an adapter's broker that is logged in there.

    What the venue is asked to do concerns the next requests that fit: `place`, `modify`, `cancel` or `read`.
    """

    @property
    def broker(self) -> Broker:
        """The adapter under test."""
        ...

    @property
    def account(self) -> AccountId:
        """The account that the cases trade in."""
        ...

    @property
    def other_account(self) -> AccountId:
        """Another one at the same venue."""
        ...

    async def next_print(self) -> None:
        """Let the market print its next price; after the last one it closes."""
        ...

    async def book(self) -> Sequence[str | None]:
        """Return what the venue itself has of the account's orders: their correlation ids, None where not ours."""
        ...

    async def fail(self, request: str, how: str, *, count: int = 1) -> None:
        """Let requests go wrong in one of the ways of `WAYS_TO_FAIL`."""
        ...

    async def reject_next(self, reason: str) -> None:
        """Let the next order be accepted, and be rejected a moment later."""
        ...

    async def fill_in_part(self, quantity: int) -> None:
        """Let the next order's first execution be of *quantity*; the rest follows with the next print."""
        ...

    async def kill_token(self) -> None:
        """Let the account's token die now."""
        ...

    async def trade_by_hand(self, side: Side, quantity: int) -> None:
        """Trade at the market's price in the account by other means than ours."""
        ...

    async def stop_listening(self) -> None:
        """End every connection and refuse new ones, until `listen`."""
        ...

    async def listen(self) -> None:
        """Take connections again."""
        ...

    async def restart(self) -> None:
        """End the venue and let it come back on its books; return when it is there."""
        ...


WAYS_TO_FAIL = {
    "its answer is lost before anything is done": "lose_answer_before_acceptance",
    "its answer is lost when all is done": "lose_answer_after_acceptance",
    "a gateway is out": "unavailable",
    "a gateway fails when all is done": "bad_gateway_after_acceptance",
    "the venue breaks": "internal_error",
    "the venue breaks when all is done": "internal_error_after_acceptance",
    "its answer is torn": "tear_body",
    "its answer is cut short": "truncate_body",
    "its answer is a page": "html",
    "it is never answered": "hang_after_acceptance",
    "there were too many": "throttle",
    "the address is unknown": "invalid_ip",
    "the token dies meanwhile": "kill_token",
    "it is entered twice": "accept_twice",
    "its id may not be used again": "refuse_repeated_id",
}
"""Ways in which a request goes wrong, and what our simulator calls them."""


class OpenVenue(Protocol):
    """Opens the venue for a case."""

    def __call__(
        self,
        *prices_e4: int,
        is_open: bool = True,
        in_transit: bool = False,
        keeps_books: bool = False,
        is_patient: bool = True,
        orders_a_second: int | None = None,
        breaker_reset_s: float = 60.0,
    ) -> AbstractAsyncContextManager[VenueHarness]:
        """Open it with a market that prints *prices_e4* one after the other (without any: `PRICE` twenty times).

        The first is printed when the case begins, unless the market is to be closed (`is_open`). `in_transit`: no order
        leaves transit. `keeps_books`: it can restart. Not `is_patient`: the adapter waits for no answer longer than a
        moment. `orders_a_second` is the adapter's own budget, of which one is kept for exits and cancels; its clock
        stands still then, so that the second never ends.
        """
        ...


class DhanAtTheSimulator:
    """Dhan's adapter at our simulator of Dhan. Implements `VenueHarness`."""

    def __init__(self, venue: tape.Venue, link: VenueLink, broker: DhanBroker) -> None:
        self._venue = venue
        self._link = link
        self._dhan = broker

    @property
    def broker(self) -> Broker:
        return self._dhan

    @property
    def account(self) -> AccountId:
        return ACCOUNT

    @property
    def other_account(self) -> AccountId:
        return OTHER_ACCOUNT

    async def next_print(self) -> None:
        await self._venue.step()

    async def book(self) -> Sequence[str | None]:
        books = (await self._venue.admin("GET", "/books"))["clients"]
        rows = books[await self._client_id()]["orders"]
        return [None if row["correlation_id"] == "NA" else row["correlation_id"] for row in rows]

    async def fail(self, request: str, how: str, *, count: int = 1) -> None:
        await self._venue.fault(WAYS_TO_FAIL[how], target=request, count=count)

    async def reject_next(self, reason: str) -> None:
        await self._venue.fault("reject", message=reason)

    async def fill_in_part(self, quantity: int) -> None:
        await self._venue.fault("partial", quantity=quantity)

    async def kill_token(self) -> None:
        await self._venue.fault("revoke_token", client_id=await self._client_id())

    async def trade_by_hand(self, side: Side, quantity: int) -> None:
        order = {**tape.ORDER, "transactionType": side.value, "quantity": quantity, "price": PRICE / 10_000}
        del order["correlationId"]
        made = {**order, "dhanClientId": await self._client_id()}
        await self._venue.admin("POST", "/orders", json=made)

    async def stop_listening(self) -> None:
        await self._link.close()

    async def listen(self) -> None:
        await self._link.open()

    async def restart(self) -> None:
        dead = (await self._dhan.tokens.session(ACCOUNT)).token.reveal()
        await self._venue.fault("restart")

        async def is_back() -> bool:
            try:
                answer = await self._venue.http.get("/v2/profile", headers={"access-token": dead})
            except httpx.TransportError:
                return False
            return answer.status_code == 401

        await eventually(is_back)
        await self.next_print()

    async def _client_id(self) -> str:
        return (await self._dhan.tokens.session(ACCOUNT)).client_id


@asynccontextmanager
async def _dhan_at_the_simulator(
    *prices_e4: int,
    is_open: bool = True,
    in_transit: bool = False,
    keeps_books: bool = False,
    is_patient: bool = True,
    orders_a_second: int | None = None,
    breaker_reset_s: float = 60.0,
) -> AsyncIterator[VenueHarness]:
    async with AsyncExitStack() as stack:
        changes: dict[str, Any] = {"transit_ms": 3_600_000} if in_transit else {}
        if keeps_books:
            changes["journal"] = Path(stack.enter_context(TemporaryDirectory())) / "books.jsonl"
        market = tape.steady(*(prices_e4 or (PRICE,) * 20))
        venue = await stack.enter_async_context(tape.venue(tape.config_of(market, **changes), logged_in=False))
        link = await stack.enter_async_context(VenueLink("127.0.0.1", venue.port))
        settings = settings_for(
            link.url,
            auth_url=f"http://127.0.0.1:{venue.port}",
            connect_timeout_s=20.0,
            read_timeout_s=20.0 if is_patient else 0.2,
            call_timeout_s=30.0,
            burst_limit=orders_a_second or 500,
            order_reserve=1,
            breaker_reset_s=breaker_reset_s,
            login_pause_s=0.0,
        )
        clock: Clock = SystemClock() if orders_a_second is None else HandClock(time.time_ns())
        client = HttpClient(settings, clock)
        broker = DhanBroker(settings, PaperLogins(PinLogin(client, settings, clock), tape.SECRET), client, clock)
        stack.push_async_callback(broker.aclose)
        await eventually(lambda: _is_logged_in(broker))
        if is_open:
            await venue.step()
        yield DhanAtTheSimulator(venue, link, broker)


async def _is_logged_in(broker: DhanBroker) -> bool:
    try:
        await broker.tokens.session(ACCOUNT)
        await broker.tokens.session(OTHER_ACCOUNT)
    except LoginUnavailable:  # It waits for no answer longer than a moment.
        return False
    return True


HARNESSES: dict[str, OpenVenue] = {"Dhan at the simulator": _dhan_at_the_simulator}


def at(instruction: OrderInstruction, price_e4: int) -> OrderInstruction:
    """Return an order at another limit."""
    return replace(instruction, limit_price_e4=price_e4)


async def accepted(venue: VenueHarness, instruction: OrderInstruction, number: int = 1) -> VenueOrderId:
    """Place an order that has to be accepted, under the id of that number, and return the venue's name of it."""
    purpose = Purpose.ENTRY if instruction.side is Side.BUY else Purpose.EXIT
    placement = await venue.broker.place(venue.account, instruction, correlation(number), purpose)
    assert isinstance(placement, Accepted), placement
    return placement.venue_order_id


async def found(venue: VenueHarness, number: int = 1) -> VenueOrder:
    """Return the order with the id of that number, which has to be there."""
    order = await venue.broker.find_order(venue.account, correlation(number))
    assert order is not None
    return order


async def status(venue: VenueHarness, number: int = 1) -> OrderStatus:
    """Return how it stands with the order with the id of that number."""
    return (await found(venue, number)).status
