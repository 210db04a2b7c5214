"""Dhan in four calls, for people: place an order, see positions, ask how an order stands, cancel it.

    async with PlainDhan(base_url=SANDBOX_BASE_URL, client_id="1000000001", access_token=token) as dhan:
        placed = await dhan.place_order("NSE_EQ:2885", "BUY", 10, limit_price="1310.05")
        if placed.outcome is Outcome.ACCEPTED:
            print(await dhan.order_status(placed.order_id))
        print(await dhan.positions())

Nothing is ever sent twice. Where no answer came the outcome is `unknown`: the order may live, so look for its `tag` in
the venue's book before anything else is done. What our own budget or breaker holds back is `not_sent`, at once.
"""

import secrets
from collections.abc import Sequence
from enum import StrEnum
from types import TracebackType
from typing import Self

import msgspec

from adapters.clock import SystemClock
from adapters.dhan.access.own_logins import OwnLogins
from adapters.dhan.access.tokens import PinLogin
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.secret import Secret
from adapters.dhan.settings import LIVE_BASE_URL, DhanSettings
from commands.ports import Accepted, NotSent, OutcomeUnknown, Refused, VenueOrder, VenuePosition
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.money import parse_price_e4
from domain.order import OrderInstruction, OrderType, Product, Purpose, Side, TimeInForce
from domain.refusals import InvalidInput

_TAG_BYTES = 12
_TAG_LENGTH_MAX = 25
"""The venue's documents say 30; its sandbox refuses more than 25."""
_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (True, True): OrderType.SL,
    (False, True): OrderType.SL_M,
}
"""Order types by whether there is a limit and a trigger."""


class OrderInvalid(InvalidInput):
    """An order that the venue would not understand. Nothing was sent."""

    code = "ORDER_INVALID"


class Outcome(StrEnum):
    """What is known of an order that was handed in."""

    ACCEPTED = "accepted"
    """The venue took it. Whether it rests or was rejected since, `order_status` tells."""
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    """A byte may have left, and no answer came. Do not send it again: look for its tag."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of handing an order in. `tag` is the id of ours that the venue keeps with it."""

    outcome: Outcome
    tag: str
    order_id: str | None = None
    message: str = ""


class PlainDhan:
    """One account at Dhan. Use it as a context, on one event loop.

    `requests_per_minute` and `burst_limit` (the most in one second) are the budget of orders and cancels; the venue
    itself allows 250 and 10. A part of both is kept for exits and cancels.
    """

    def __init__(
        self,
        *,
        client_id: str,
        access_token: str,
        base_url: str = LIVE_BASE_URL,
        requests_per_minute: int = 250,
        burst_limit: int = 9,
    ) -> None:
        clock = SystemClock()
        settings = DhanSettings(
            base_url=base_url,
            client_id=client_id,
            access_token=Secret(access_token),
            requests_per_minute=requests_per_minute,
            burst_limit=burst_limit,
        )
        self._account_id = AccountId(client_id)
        self._client = HttpClient(settings, clock)
        logins = OwnLogins(settings, PinLogin(self._client, settings, clock), clock)
        self.broker = DhanBroker(settings, logins, self._client, clock)
        """All else that the venue can do, for `account_id`."""

    @property
    def account_id(self) -> AccountId:
        """The name under which `broker` knows the account."""
        return self._account_id

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.broker.aclose()

    async def place_order(
        self,
        instrument: str,
        side: str,
        quantity: int,
        *,
        limit_price: str | None = None,
        trigger_price: str | None = None,
        product: str = "INTRADAY",
        validity: str = "DAY",
        is_exit: bool = False,
        tag: str | None = None,
    ) -> Placed:
        """Send one order, at most once, and tell what is known of it.

        *instrument* is segment and security id (`NSE_EQ:2885`), prices are rupees as text. Without a limit it is a
        market order, with a trigger a stop. An exit may use the part of the budget that is kept for exits. *tag* is up
        to 25 letters and digits; without it one is made.

        Raises:
            OrderInvalid: a word that the venue does not know, or a quantity below one. Nothing was sent.
            domain.money.PriceInvalid
        """
        own = tag or secrets.token_hex(_TAG_BYTES)
        instruction = _instruction(
            instrument, side, quantity, limit_price, trigger_price, product=product, validity=validity, tag=own
        )
        purpose = Purpose.EXIT if is_exit else Purpose.ENTRY
        match await self.broker.place(self._account_id, instruction, CorrelationId(own), purpose):
            case Accepted(venue_order_id=order_id):
                return Placed(outcome=Outcome.ACCEPTED, tag=own, order_id=order_id)
            case Refused(message=message):
                return Placed(outcome=Outcome.REFUSED, tag=own, message=message)
            case NotSent(cause=cause):
                return Placed(outcome=Outcome.NOT_SENT, tag=own, message=cause)
            case OutcomeUnknown(cause=cause):
                return Placed(outcome=Outcome.UNKNOWN, tag=own, message=cause)

    async def positions(self) -> Sequence[VenuePosition]:
        """Return what is held, net, by instrument and product.

        Raises:
            commands.ports.BrokerUnavailable
        """
        return await self.broker.positions(self._account_id)

    async def order_status(self, order_id: str | None = None, *, tag: str | None = None) -> VenueOrder | None:
        """Return how an order stands, by the venue's id or our tag. None: the venue shows none, which proves nothing.

        Raises:
            commands.ports.BrokerUnavailable
            ValueError: neither or both were given.
        """
        if order_id is not None and tag is None:
            return await self.broker.order_calls.order(self._account_id, VenueOrderId(order_id))
        if tag is not None and order_id is None:
            return await self.broker.find_order(self._account_id, CorrelationId(tag))
        raise ValueError("expected either an order id or a tag")

    async def cancel_order(self, order_id: str) -> None:
        """Ask for an order's cancellation; safe to repeat. What came of it, `order_status` tells.

        Raises:
            commands.ports.BrokerUnavailable
        """
        await self.broker.cancel(self._account_id, VenueOrderId(order_id))


def _instruction(
    instrument: str,
    side: str,
    quantity: int,
    limit_price: str | None,
    trigger_price: str | None,
    *,
    product: str,
    validity: str,
    tag: str,
) -> OrderInstruction:
    if quantity < 1:
        raise OrderInvalid(f"received quantity {quantity}, expected one at least")
    if not (tag.isascii() and tag.isalnum() and len(tag) <= _TAG_LENGTH_MAX):
        raise OrderInvalid(f"received tag {tag!r}, expected up to {_TAG_LENGTH_MAX} letters and digits")
    segment, _, security_id = instrument.partition(":")
    if not security_id:
        raise OrderInvalid(f"received instrument {instrument!r}, expected one such as NSE_EQ:2885")
    try:
        return OrderInstruction(
            instrument=InstrumentKey(Segment(segment), security_id),
            side=Side(side),
            quantity=quantity,
            order_type=_TYPES[limit_price is not None, trigger_price is not None],
            limit_price_e4=None if limit_price is None else parse_price_e4(limit_price),
            product=Product(product),
            time_in_force=TimeInForce(validity),
            trigger_price_e4=None if trigger_price is None else parse_price_e4(trigger_price),
        )
    except ValueError as error:
        raise OrderInvalid(str(error)) from None
