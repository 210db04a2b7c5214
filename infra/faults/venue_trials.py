"""Trials of the broker adapter: one call meets one fault on the wire; its verdict is held against the venue's books.

What the adapter says of a call is *accepted*, *refused*, *not sent* or *unknown*, and the engine believes it: after
"not sent" and "refused" an intent is over or may be sent again, after "accepted" it rests under the id that was told.
So each word but the last is a promise about what the venue knows afterwards. *Unknown* promises one thing: that the
call was made once.

After the call the same adapter makes two more on the same wire, a new order and a look-up, without a fault: what was
left on the connection must not be taken for their answers.
"""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple

import httpx
from msgspec.structs import replace

from adapters.clock import SystemClock
from adapters.dhan.access.tokens import PaperLogins, PinLogin, Session
from adapters.dhan.broker import DhanBroker
from adapters.dhan.http.client import HttpClient
from adapters.dhan.settings import DhanSettings
from adapters.instruments import InstrumentMaster
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.paths.admin_routes import SECRET_HEADER
from adapters.simulator.server import serve
from adapters.simulator.tapes.synthetic import SyntheticTape
from commands.ports import Accepted, BrokerUnavailable, Modification, ModifyAccepted, NotSent, Placement, Refused
from domain.ids import AccountId, CorrelationId, VenueOrderId
from domain.instrument import Instrument
from domain.order import OrderInstruction, OrderType, Product, Purpose, Side
from infra.addresses import LOOPBACK
from infra.faults.venue_link import Phase, Strike, VenueLink, WireFault

_SECRET = bytes(range(32))
_ACCOUNT = AccountId("acc_trials")
_SYMBOL = "RELIANCE"
_BELOW_THE_MARKET_BP = 200
_PLENTY_PAISE = 10**15
_AT_ONCE = 24
_PATIENCE_S = 0.3
"""How long a call waits that will never be answered."""
_FOR_EVER_S = 30.0
"""How long a call waits that will be answered, however busy the machine is."""


class Asked(StrEnum):
    """The calls that meet a fault."""

    PLACE = "place"
    PLACE_REFUSED = "place what the venue refuses"
    MODIFY = "modify"
    CANCEL = "cancel"
    READ = "look up"

    @property
    def has_body(self) -> bool:
        """Whether the request has one."""
        return self in {Asked.PLACE, Asked.PLACE_REFUSED, Asked.MODIFY}

    @property
    def writes(self) -> bool:
        """Whether it changes anything at the venue."""
        return self is not Asked.READ


class Verdict(StrEnum):
    """What the adapter says of a call."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Case:
    """A call and what it meets."""

    asked: Asked
    strike: Strike

    def __str__(self) -> str:
        return f"{self.asked.value}: {self.strike}"


def every_case() -> list[Case]:
    """Return every fault in every phase of every call; a call without a body has no phase of it."""
    return [
        Case(asked, Strike(fault, phase))
        for asked, fault, phase in itertools.product(Asked, WireFault, Phase)
        if asked.has_body or phase is not Phase.REQUEST_BODY
    ]


def random_case(random: Random) -> Case:
    """Return a case with the fault at any place of its phase."""
    case = random.choice(every_case())
    return Case(case.asked, dataclasses.replace(case.strike, share=random.random()))


class _Said(NamedTuple):
    """What the adapter said of one call, and which order it named."""

    verdict: Verdict
    venue_order_id: VenueOrderId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a case.

    `correlation_id` is that of the order that was placed, changed, canceled or looked up; `later` and `found` are what
    was said of the calls afterwards. `asked` counts what went out for the case, and `happened` tells whether the venue
    did it. `problems` are the promises that were broken.
    """

    case: Case
    said: _Said
    asked: int
    happened: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A case that was played, before the books were looked into."""

    case: Case
    correlation_id: CorrelationId
    limit_price_e4: int
    said: _Said
    asked: int
    later_id: CorrelationId
    later: _Said
    found: VenueOrderId | None


class _OneSession:
    """The one session of all trials. Implements `adapters.dhan.access.tokens.Logins`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def log_in(self, account_id: AccountId) -> Session:  # noqa: ARG002 - the port's shape
        return self._session

    async def renew(self, account_id: AccountId, held: Session) -> Session:  # noqa: ARG002 - likewise
        return self._session


class Trials:
    """A venue of our own and everything that a trial needs of it. Made by `running_trials`."""

    def __init__(
        self, port: int, session: Session, past_the_wire: DhanBroker, instrument: Instrument, price_e4: int
    ) -> None:
        self._port = port
        self._session = session
        self._past_the_wire = past_the_wire
        self._numbers = itertools.count(1)
        self._buy = OrderInstruction(
            instrument=instrument.key,
            side=Side.BUY,
            quantity=instrument.lot,
            order_type=OrderType.LIMIT,
            limit_price_e4=price_e4,
            product=Product.INTRADAY,
        )
        self._changed_price_e4 = price_e4 - instrument.tick_e4

    async def play(self, cases: Sequence[Case]) -> list[Trial]:
        """Play *cases*, some at once, and return what came of each."""
        turn = asyncio.Semaphore(_AT_ONCE)

        async def play_in_turn(case: Case) -> _Made:
            async with turn:
                return await self._play(case)

        made = await asyncio.gather(*(play_in_turn(case) for case in cases))
        books = await self._books()
        return [_judged(each, books) for each in made]

    async def _play(self, case: Case) -> _Made:
        correlation_id, later_id = self._fresh_id(), self._fresh_id()
        standing = None
        if case.asked not in {Asked.PLACE, Asked.PLACE_REFUSED}:
            standing = await self._place_past_the_wire(correlation_id)
        patience_s = _PATIENCE_S if case.strike.is_silent else _FOR_EVER_S
        async with VenueLink(LOOPBACK, self._port) as link, _broker(link.url, self._session, patience_s) as broker:
            link.arm(case.strike)
            said = await self._ask(broker, case.asked, correlation_id, standing)
            asked = len(link.asked)
            await link.open()
            later = _said(await broker.place(_ACCOUNT, self._buy, later_id, Purpose.ENTRY))
            found = None
            with suppress(BrokerUnavailable):
                row = await broker.find_order(_ACCOUNT, later_id)
                found = None if row is None else row.venue_order_id
            await broker.aclose()
            await link.settled()  # What comes late has come when this returns.
        return _Made(
            case=case,
            correlation_id=correlation_id,
            limit_price_e4=self._changed_price_e4,
            said=said,
            asked=asked,
            later_id=later_id,
            later=later,
            found=found,
        )

    async def _ask(
        self, broker: DhanBroker, asked: Asked, correlation_id: CorrelationId, standing: VenueOrderId | None
    ) -> _Said:
        match asked:
            case Asked.PLACE:
                return _said(await broker.place(_ACCOUNT, self._buy, correlation_id, Purpose.ENTRY))
            case Asked.PLACE_REFUSED:
                nothing = replace(self._buy, quantity=0)
                return _said(await broker.place(_ACCOUNT, nothing, correlation_id, Purpose.ENTRY))
            case Asked.MODIFY:
                assert standing is not None
                changed = replace(self._buy, limit_price_e4=self._changed_price_e4)
                return _said(await broker.modify(_ACCOUNT, standing, changed, Purpose.ENTRY), standing)
            case Asked.CANCEL:
                assert standing is not None
                return await _said_of_cancel(broker, standing)
            case Asked.READ:
                return await _said_of_look_up(broker, correlation_id)

    async def _place_past_the_wire(self, correlation_id: CorrelationId) -> VenueOrderId:
        placement = await self._past_the_wire.place(_ACCOUNT, self._buy, correlation_id, Purpose.ENTRY)
        assert isinstance(placement, Accepted), placement
        return placement.venue_order_id

    async def _books(self) -> list[Mapping[str, Any]]:
        books = await _ask_admin(self._port, "GET", "/books")
        return [row for client in books["clients"].values() for row in client["orders"]]

    def _fresh_id(self) -> CorrelationId:
        return CorrelationId(f"tri{next(self._numbers):022d}")


@asynccontextmanager
async def _broker(url: str, session: Session, patience_s: float) -> AsyncIterator[DhanBroker]:
    settings, clock = _settings(url, patience_s), SystemClock()
    broker = DhanBroker(settings, _OneSession(session), HttpClient(settings, clock), clock)
    try:
        yield broker
    finally:
        await broker.aclose()


@asynccontextmanager
async def running_trials() -> AsyncIterator[Trials]:
    """Run a venue in lock-step, its market open and standing still, for as long as trials are played."""
    instruments = InstrumentMaster.load()
    config = SimulatorConfig(
        secret=_SECRET,
        tape=SyntheticTape(instruments=instruments, seed=1, seconds=60),
        instruments=instruments,
        lock_step=True,
        opening_balance_paise=_PLENTY_PAISE,
    )
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    venue = asyncio.create_task(serve(config, host=LOOPBACK, port=0, ready=port.set_result))
    try:
        url = f"http://{LOOPBACK}:{await port}"
        await _ask_admin(port.result(), "POST", "/step")
        settings, clock = _settings(url, _FOR_EVER_S), SystemClock()
        client = HttpClient(settings, clock)
        session = await PaperLogins(PinLogin(client, settings, clock), _SECRET).log_in(_ACCOUNT)
        await client.aclose()
        instrument = instruments.by_symbol(_SYMBOL, market_time_ns=clock.wall_ns())
        tape = await _ask_admin(port.result(), "GET", f"/tape?security_id={instrument.key.security_id}")
        below_e4 = int(tape["low_e4"]) * (10_000 - _BELOW_THE_MARKET_BP) // 10_000
        price_e4 = below_e4 - below_e4 % instrument.tick_e4
        async with _broker(url, session, _FOR_EVER_S) as past_the_wire:
            yield Trials(port.result(), session, past_the_wire, instrument, price_e4)
    finally:
        venue.cancel()
        with suppress(asyncio.CancelledError):
            await venue


def _judged(made: _Made, books: Iterable[Mapping[str, Any]]) -> Trial:
    rows = {row["order_id"]: row for row in books if row["correlation_id"] in {made.correlation_id, made.later_id}}
    ours = [row for row in rows.values() if row["correlation_id"] == made.correlation_id]
    happened = _happened(made, ours)
    problems = [*_broken_promises(made, ours, happened=happened)]
    later = rows.get(made.later.venue_order_id or "")
    if made.later.verdict is Verdict.ACCEPTED and (later is None or later["correlation_id"] != made.later_id):
        problems.append(f"the next order was told accepted as {made.later.venue_order_id}, which is another one")
    is_there = any(row["correlation_id"] == made.later_id for row in rows.values())
    if made.later.verdict in {Verdict.REFUSED, Verdict.NOT_SENT} and is_there:
        problems.append(f"the next order was told {made.later.verdict.value}, and is in the book")
    if made.found is not None and rows.get(made.found, {}).get("correlation_id") != made.later_id:
        problems.append(f"the next look-up found {made.found}, which is another order")
    return Trial(case=made.case, said=made.said, asked=made.asked, happened=happened, problems=tuple(problems))


def _happened(made: _Made, ours: Sequence[Mapping[str, Any]]) -> bool:
    match made.case.asked:
        case Asked.PLACE | Asked.PLACE_REFUSED:
            return bool(ours)
        case Asked.MODIFY:
            return bool(ours[0]["limit_price_e4"] == made.limit_price_e4)
        case Asked.CANCEL:
            return bool(ours[0]["status"] == "CANCELLED")
        case Asked.READ:
            return True  # The order is there to be found.


def _broken_promises(made: _Made, ours: Sequence[Mapping[str, Any]], *, happened: bool) -> Iterable[str]:
    said = made.said
    if made.asked > 1:
        yield f"it was asked {made.asked} times"
    match said.verdict:
        case Verdict.ACCEPTED:
            if said.venue_order_id not in {row["order_id"] for row in ours}:
                yield f"told accepted as {said.venue_order_id}, which is no order of that id"
            if not happened:
                yield "told accepted, and the venue did not do it"
        case Verdict.REFUSED | Verdict.NOT_SENT:
            if happened:
                yield f"told {said.verdict.value}, and the venue did it"
            if said.verdict is Verdict.NOT_SENT and made.asked:
                yield "told not sent, and a byte may have left"
        case Verdict.UNKNOWN:
            pass


def _said(outcome: Placement | Modification, standing: VenueOrderId | None = None) -> _Said:
    match outcome:
        case Accepted(venue_order_id=venue_order_id):
            return _Said(Verdict.ACCEPTED, venue_order_id)
        case ModifyAccepted():
            return _Said(Verdict.ACCEPTED, standing)
        case Refused():
            return _Said(Verdict.REFUSED)
        case NotSent():
            return _Said(Verdict.NOT_SENT)
        case _:
            return _Said(Verdict.UNKNOWN)


async def _said_of_cancel(broker: DhanBroker, standing: VenueOrderId) -> _Said:
    try:
        await broker.cancel(_ACCOUNT, standing)
    except BrokerUnavailable:
        return _Said(Verdict.UNKNOWN)
    return _Said(Verdict.ACCEPTED, standing)


async def _said_of_look_up(broker: DhanBroker, correlation_id: CorrelationId) -> _Said:
    try:
        row = await broker.find_order(_ACCOUNT, correlation_id)
    except BrokerUnavailable:
        return _Said(Verdict.UNKNOWN)
    return _Said(Verdict.REFUSED) if row is None else _Said(Verdict.ACCEPTED, row.venue_order_id)


async def _ask_admin(port: int, method: str, path: str) -> Any:
    headers = {SECRET_HEADER: _SECRET.hex()}
    async with httpx.AsyncClient(timeout=_FOR_EVER_S, verify=False, trust_env=False) as http:  # noqa: S501 - no TLS
        answer = await http.request(method, f"http://{LOOPBACK}:{port}/admin{path}", headers=headers)
    answer.raise_for_status()
    return answer.json()


def _settings(url: str, patience_s: float) -> DhanSettings:
    return DhanSettings(
        base_url=f"{url}/v2",
        auth_url=url,
        burst_limit=10**6,
        requests_per_minute=10**6,
        requests_per_hour=10**6,
        requests_per_day=10**6,
        reads_per_second=10**6,
        connect_timeout_s=_FOR_EVER_S,
        read_timeout_s=patience_s,
        call_timeout_s=_FOR_EVER_S,
        keepalive_s=_FOR_EVER_S,
        breaker_failures_max=10**6,
        read_attempts=1,
    )
