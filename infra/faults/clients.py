"""Those who must not notice: traders and senders who ask again, under the same key, until they have an answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from random import Random

import msgspec
from msgspec.structs import replace

from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.instruments import InstrumentMaster
from adapters.sessions import OpenSessions
from adapters.tariffs import TariffTable
from commands.accounts import Accounts, CommandContext, Outcome, TradeIntent, stream_of
from commands.lane import AccountBusy
from commands.ports import (
    Append,
    AppendOutcomeUnknown,
    Claim,
    EventStore,
    NewEvent,
    StoreUnavailable,
    StreamAppend,
)
from domain.account import decider
from domain.account.commands import (
    AccountCommand,
    BeginSubmission,
    EngageKillSwitch,
    OpenAccount,
    RecordAccepted,
    RecordFill,
    RecordRefused,
    RecordUnknown,
    RecordVenueOrder,
    ReleaseKillSwitch,
    TriggerExit,
)
from domain.account.events import AccountEvent, AccountMode, Evidence, OrderIntended, OrderSubmitting, TradeOpened
from domain.envelope import Metadata
from domain.events import Event, decode, encode, name_of
from domain.ids import AccountId, OrderId, TradeId, UserId, VenueFillId, VenueOrderId
from domain.instrument import InstrumentKey, Segment
from domain.market import Mark
from domain.order import (
    OrderStatus,
    OrderType,
    Product,
    RefusalReason,
    Side,
    TimeInForce,
    correlation_id_of,
    installation_code,
)
from domain.refusals import Refusal
from domain.risk import RiskParameters
from domain.user.events import Sealed, UserRegistered
from infra.faults.ledger import Answer, Asked, Ledger

SOURCE = "faults"
APPEND_WORDS = b'"source":"faults"'
"""In every append of ours and in no other request: it stands in the metadata."""
NOW_NS = 1_795_149_000_000_000_000
"""2026-11-20 10:00:00 in India."""
PRICE_E4 = 2_850_0000
RELIANCE = InstrumentKey(Segment.NSE_EQ, "2885")
PATIENCE_S = 60.0
_ENTRY_LIFE_MS = 60_000
_INTENTS_PER_SECOND_MAX = 1_000_000
_CODE = installation_code("faults")
_PAUSE_S = 0.02
_WIDE = RiskParameters(
    open_trades_max=1_000,
    open_orders_max=10_000,
    trades_per_day_max=10_000,
    position_quantity_max=None,
    position_value_paise_max=None,
    gross_exposure_paise_max=10**14,
    net_exposure_paise_max=None,
    day_loss_paise_max=10**12,
    # The market stands still here, so every order falls into one second.
    orders_per_second_max=100_000,
    orders_per_minute_max=100_000,
    orders_per_hour_max=100_000,
    orders_per_day_max=100_000,
)


class Unanswered(Exception):
    """A client got no answer for longer than any fault of a schedule lasts."""


class StandingMarket:
    """Implements `commands.ports.Marks`: one price of one instrument, always fresh."""

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        """Return the last mark of *instrument*."""
        return MARK if instrument == RELIANCE else None

    def market_time_ns(self) -> int:
        """Return the market clock (UTC nanoseconds)."""
        return NOW_NS


MARK = Mark(instrument=RELIANCE, last_price_e4=PRICE_E4, exchange_time_ns=NOW_NS, received_at_ns=NOW_NS, number=1)


class Desk:
    """One writing process as its clients see it: the log and the commands on accounts."""

    def __init__(self, store: EventStore) -> None:
        clock = SystemClock()
        self.store = store
        self.accounts = Accounts(
            store=store,
            clock=clock,
            ids=SystemIds(clock),
            marks=StandingMarket(),
            instruments=InstrumentMaster.load(),
            sessions=OpenSessions(),
            tariffs=TariffTable.load(),
            entry_life_ms=_ENTRY_LIFE_MS,
            intents_per_second_max=_INTENTS_PER_SECOND_MAX,
        )


class Asking:
    """How clients ask: at any of the *desks*, again and again, written down in *ledger*.

    `at_once`: keyed requests go to every desk at the same moment. `under_way` are the requests that somebody may
    cancel: their clients then ask again, as after a lost answer.
    """

    def __init__(self, desks: Sequence[Desk], ledger: Ledger, random: Random) -> None:
        self.desks = desks
        self.ledger = ledger
        self.random = random
        self.at_once = False
        self.under_way: set[asyncio.Task[Answer]] = set()
        self._runs: dict[str, Callable[[Desk], Awaitable[Answer]]] = {}

    async def ask(self, asked: Asked, run: Callable[[Desk], Awaitable[Answer]]) -> Answer:
        """Return the answer to a request that *run* makes at a desk.

        Raises:
            Unanswered
        """
        self.ledger.ask(asked)
        self._runs[asked.name] = run
        if self.at_once and asked.is_keyed:
            answers = await asyncio.gather(*(self._until_answered(asked, run, desk) for desk in self.desks))
            return answers[0]
        return await self._until_answered(asked, run, self.random.choice(self.desks))

    def repeatable(self) -> list[str]:
        """Return the keyed requests that were answered for good."""
        return [name for name in self._runs if self.ledger.is_final(name)]

    async def ask_again(self, names: Sequence[str]) -> None:
        """Make keyed requests that were answered once more, wherever."""
        for name in names:
            await self._until_answered(self.ledger.asked[name], self._runs[name], self.random.choice(self.desks))

    async def _until_answered(self, asked: Asked, run: Callable[[Desk], Awaitable[Answer]], desk: Desk) -> Answer:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + PATIENCE_S
        while True:
            task = asyncio.ensure_future(self._run(asked.name, run, desk))
            self.under_way.add(task)
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
                self.under_way.discard(task)
            try:
                answer = task.result()
            except (StoreUnavailable, AppendOutcomeUnknown, AccountBusy, asyncio.CancelledError) as fault:
                self.ledger.doubts += 1
                if loop.time() > deadline_s:
                    raise Unanswered(f"{asked.name} got no answer within {PATIENCE_S} s") from fault
                desk = self.random.choice(self.desks)
                await asyncio.sleep(_PAUSE_S)
            else:
                return answer

    async def _run(self, name: str, run: Callable[[Desk], Awaitable[Answer]], desk: Desk) -> Answer:
        try:
            answer = await run(desk)
        except Refusal as refusal:
            answer = Answer(first_sequence=0, last_sequence=0, events=(), refusal=refusal.code)
        self.ledger.answer(name, answer)
        return answer


class Account:
    """An account that clients share."""

    def __init__(self, name: str) -> None:
        digest = sha256(name.encode()).hexdigest()[:26].upper()
        self.account_id = AccountId(f"acc_{digest}")
        self.owner_id = UserId(f"usr_{digest}")
        self.is_open = asyncio.Event()


class Client:
    """One person with the sender of their orders: opens trades and brings each to an end, one thing after another."""

    def __init__(self, name: str, account: Account, asking: Asking, *, is_founder: bool) -> None:
        self.name = name
        self._account = account
        self._asking = asking
        # Its own, so that it asks the same however fast the others are.
        self._random = Random(name)  # noqa: S311 - no secret
        self._is_founder = is_founder
        self._count = 0

    async def act(self, trades: int = 1) -> None:
        """Open so many trades and see each of them through."""
        if self._is_founder and not self._account.is_open.is_set():
            await self._register()
            self._account.is_open.set()
        await self._account.is_open.wait()
        for _ in range(trades):
            await self._trade()
            if self._random.random() < 0.15:  # noqa: PLR2004 - now and then
                await self._keyed(EngageKillSwitch(user_id=self._account.owner_id, reason="tried"))
                await self._keyed(ReleaseKillSwitch(user_id=self._account.owner_id))

    # --- What it asks ---

    async def _register(self) -> None:
        account_id, owner_id = self._account.account_id, self._account.owner_id
        opening = OpenAccount(
            account_id=account_id, owner_id=owner_id, mode=AccountMode.PAPER, currency="INR", parameters=_WIDE
        )
        registered = UserRegistered(
            user_id=owner_id,
            account_id=account_id,
            email=Sealed(nonce=b"twelve bytes", ciphertext=self.name.encode()),
            name=Sealed(nonce=b"twelve more.", ciphertext=self.name.encode()),
        )
        opened = decider.decide(opening, decider.initial)
        asked = self._next(is_keyed=True)
        append = Append(
            command_id=f"cmd_{sha256(asked.name.encode()).hexdigest()[:26].upper()}",
            streams=(_new_stream(f"user-{owner_id}", (registered,)), _new_stream(stream_of(account_id), opened)),
            metadata=msgspec.json.encode(Metadata(actor=owner_id, source=SOURCE, correlation_id=asked.name)),
            scope=asked.scope,
            key=asked.name,
            request_hash=_request_hash(asked),
            claim=Claim(kind="email", key_hash=sha256(owner_id.encode()).digest(), owner=owner_id),
        )

        async def run(desk: Desk) -> Answer:
            appended = await desk.store.append(append)
            return Answer(
                first_sequence=appended.first_sequence,
                last_sequence=appended.last_sequence,
                events=_stored((registered, *opened)),
            )

        await self._asking.ask(asked, run)

    async def _trade(self) -> None:
        trade_id, order_id, quantity = await self._open()
        if order_id is None or not await self._send(order_id):
            return
        await self._fill(order_id, quantity)
        if self._random.random() < 0.4:  # noqa: PLR2004 - of some trades the log has a whole life
            stop = replace(MARK, last_price_e4=1)
            exit_order = _intended((await self._keyed(TriggerExit(trade_id=trade_id, mark=stop))).events)
            if exit_order is not None and await self._send(exit_order):
                await self._fill(exit_order, quantity)

    async def _open(self) -> tuple[TradeId, OrderId | None, int]:
        quantity = self._random.randint(2, 30)
        intent = TradeIntent(
            symbol="RELIANCE",
            side=Side.BUY,
            quantity=quantity,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=Product.INTRADAY,
            time_in_force=TimeInForce.DAY,
            stop_loss_e4=PRICE_E4 * 9 // 10,
            target_e4=PRICE_E4 * 11 // 10,
        )
        asked = self._next(is_keyed=True)

        async def run(desk: Desk) -> Answer:
            return _answer(
                await desk.accounts.open_trade(
                    self._account.account_id, self._account.owner_id, intent, self._context(asked)
                )
            )

        answer = await self._asking.ask(asked, run)
        trade_id = next((event.trade_id for event in _events(answer.events) if isinstance(event, TradeOpened)), "")
        return TradeId(trade_id), _intended(answer.events), quantity

    async def _send(self, order_id: OrderId) -> bool:
        """Send an order, or what comes to the same in the log; tell whether the venue has it."""
        begin = BeginSubmission(
            order_id=order_id,
            correlation_id=correlation_id_of(order_id, code=_CODE),
            sender_epoch=1,
            market_time_ns=NOW_NS,
        )
        begun = await self._keyed(begin)
        if not any(isinstance(event, OrderSubmitting) for event in _events(begun.events)):
            return False
        venue_order_id = VenueOrderId(f"v-{order_id}")
        chance = self._random.random()
        if chance < 0.1:  # noqa: PLR2004 - one of ten
            await self._keyed(
                RecordRefused(order_id=order_id, reason=RefusalReason.FUNDS, message="Insufficient funds")
            )
            return False
        if chance < 0.2:  # noqa: PLR2004 - another one
            await self._keyed(RecordUnknown(order_id=order_id, cause="no answer", sent_at_ns=NOW_NS))
            found = RecordVenueOrder(
                order_id=order_id,
                venue_order_id=venue_order_id,
                status=OrderStatus.ACKNOWLEDGED,
                cumulative_quantity=0,
                message="",
                evidence=Evidence.CORRELATION_LOOKUP,
            )
            await self._keyed(found)
            return True
        # Evidence carries no key: that it is known already is its idempotence.
        await self._unkeyed(RecordAccepted(order_id=order_id, venue_order_id=venue_order_id, sent_at_ns=NOW_NS))
        return True

    async def _fill(self, order_id: OrderId, quantity: int) -> None:
        first = self._random.randint(1, quantity)
        for number, part in enumerate((first, quantity - first), 1):
            if part:
                fill = RecordFill(
                    order_id=order_id,
                    venue_fill_id=VenueFillId(f"f-{order_id}-{number}"),
                    quantity=part,
                    price_e4=PRICE_E4 + self._random.randint(-100, 100) * 500,
                    filled_at_ns=NOW_NS,
                )
                await self._unkeyed(fill)

    # --- How it asks ---

    async def _keyed(self, command: AccountCommand) -> Answer:
        return await self._carry_out(command, self._next(is_keyed=True))

    async def _unkeyed(self, command: AccountCommand) -> Answer:
        return await self._carry_out(command, self._next(is_keyed=False))

    async def _carry_out(self, command: AccountCommand, asked: Asked) -> Answer:
        async def run(desk: Desk) -> Answer:
            return _answer(await desk.accounts.carry_out(self._account.account_id, command, self._context(asked)))

        return await self._asking.ask(asked, run)

    def _next(self, *, is_keyed: bool) -> Asked:
        self._count += 1
        return Asked(
            name=f"{self.name}-{self._count}", client=self.name, scope=self._account.account_id, is_keyed=is_keyed
        )

    def _context(self, asked: Asked) -> CommandContext:
        return CommandContext(
            actor=self._account.owner_id,
            source=SOURCE,
            received_at_ns=NOW_NS,
            correlation_id=asked.name,
            idempotency_key=asked.name if asked.is_keyed else None,
            request_hash=_request_hash(asked) if asked.is_keyed else b"",
        )


def _request_hash(asked: Asked) -> bytes:
    return sha256(asked.name.encode()).digest()


def _new_stream(stream_id: str, events: Sequence[Event]) -> StreamAppend:
    new = tuple(NewEvent(name=name, payload=payload) for name, payload in _stored(events))
    return StreamAppend(stream_id=stream_id, expected_version=0, events=new)


def _stored(events: Sequence[Event]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name_of(event), encode(event)) for event in events)


def _events(stored: Sequence[tuple[str, bytes]]) -> list[AccountEvent]:
    return [decode(name, payload) for name, payload in stored]  # type: ignore[misc]


def _answer(outcome: Outcome) -> Answer:
    return Answer(
        first_sequence=outcome.first_sequence,
        last_sequence=outcome.last_sequence,
        events=_stored(outcome.events),
    )


def _intended(stored: Sequence[tuple[str, bytes]]) -> OrderId | None:
    return next((event.order_id for event in _events(stored) if isinstance(event, OrderIntended)), None)
