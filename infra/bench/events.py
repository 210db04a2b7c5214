"""What benches write: whole lives of trades over many accounts, as they could have happened, repeatable by a seed.

Users register and their accounts open; then the accounts take turns, each living through one trade after another, or
through several at once, and now and then through a strategy. The events of a trade come in the order of its life and
with exact amounts, so every fold of ours takes them, and every read model gets rows. A payload has about 350 bytes in
the mean (`mean_payload_bytes`), because that is what such lives weigh.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import NamedTuple

from commands.accounts import stream_of
from commands.ports import Append, NewEvent, StreamAppend
from domain.account.events import (
    AccountEvent,
    AccountMode,
    AccountOpened,
    CashMoved,
    ContractNoteReceived,
    Evidence,
    ExitCause,
    KillSwitchEngaged,
    KillSwitchReleased,
    OrderAcknowledged,
    OrderCanceled,
    OrderCancelRequested,
    OrderDenied,
    OrderFilled,
    OrderIntended,
    OrderLapsed,
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderSubmitting,
    RiskParametersChanged,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.account.holding import Holding, after_fill, effect_of_fill
from domain.backtest.events import BacktestRequested
from domain.contract_note import LineDifference, NoteLine
from domain.envelope import GENESIS_HASH, RecordedEvent, chain_hash, leaf_hash
from domain.events import Event, encode, name_of
from domain.ids import AccountId, CorrelationId, OrderId, TradeId, UserId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import NS_PER_S, Mark, MarketSnapshot, trading_day
from domain.money import value_paise
from domain.order import NotSentReason, OrderInstruction, OrderType, Product, Purpose, RefusalReason, Side
from domain.risk import DenialCode, RiskParameters
from domain.strategy.events import StrategyDrafted
from domain.user.events import Sealed, UserRegistered
from infra.bench.strategy_lives import StrategyLives

ACCOUNTS = 200
INSTRUMENTS = 20
METADATA = b'{"actor":"bench","source":"bench"}'
EVENTS_A_DAY = 20_000
"""At this pace 25 million events are five years of trading days."""

BEGAN_NS = 1_606_708_800 * NS_PER_S
"""2020-11-30 09:30 in India."""
DAY_NS = 24 * 3600 * NS_PER_S
SESSION_NS = 6 * 3600 * NS_PER_S
_TICK_E4 = 500
_COMMANDS_MAX = 10**12
"""Of one call: command numbers of others begin beyond."""
_LOOSE = RiskParameters(open_trades_max=1_000, trades_per_day_max=100_000, day_loss_paise_max=10**12)
_DENIED, _LAPSED, _REJECTED, _CANCELED, _NOT_SENT, _UNKNOWN = 0.05, 0.07, 0.10, 0.15, 0.17, 0.25
"""Shares of the ways a trade may go, summed up; the rest goes well."""
_TRADES_BETWEEN_CHANGES = 40
_STRATEGIES = 0.01
"""Share of the commands that concern a strategy or a backtest."""
_OF_USERS_ONE_WITH_STRATEGIES = 20

_ASKED_FOR = TradeOpened | OrderDenied | StrategyDrafted | BacktestRequested

# Of one command, events of its stream follow each other; a life yields them command by command.
_Decided = tuple[AccountEvent, ...]


class LifeCommand(NamedTuple):
    """The events of one command, all of one stream. `key` makes it idempotent; None: it came from inside the engine."""

    command_id: str
    stream_id: str
    first_version: int
    at_ns: int
    key: str | None
    events: tuple[Event, ...]


def lives(
    *,
    seed: int,
    accounts: int = ACCOUNTS,
    instruments: int = INSTRUMENTS,
    first_account: int = 0,
    began_ns: int = BEGAN_NS,
    events_a_day: int = EVENTS_A_DAY,
    trades_at_once: int = 1,
) -> Iterator[LifeCommand]:
    """Yield commands without end, first those that register users and open accounts, oldest first.

    The same arguments yield the same commands. Accounts are numbered from *first_account*: lives whose numbers do not
    overlap share no stream, command or key, so one may follow the other in a log. *began_ns* is when the first session
    begins (UTC nanoseconds); each day has one, of six hours. *trades_at_once*: so many an account has under way.
    """
    random = Random(seed)  # noqa: S311 - it is to be repeatable
    listed = [_instrument(number) for number in range(instruments)]
    clock = _Clock(began_ns, SESSION_NS // events_a_day)
    running = [_Life(first_account + number, random, listed, clock, trades_at_once) for number in range(accounts)]
    with_strategies = running[::_OF_USERS_ONE_WITH_STRATEGIES]
    count = first_account * _COMMANDS_MAX
    for life in running:
        for stream_id, events in life.openings():
            count += 1
            yield _command(count, stream_id, 1, clock.now_ns, events)
            clock.tick(len(events))
    choose = random.choices
    while True:
        for life in choose(running, k=1_024):
            count += 1
            if random.random() < _STRATEGIES:
                stream_id, version, event = random.choice(with_strategies).strategies.go_on()
                yield _command(count, stream_id, version, clock.now_ns, (event,))
                clock.tick(1)
                continue
            first_version = life.version + 1
            events = life.go_on()
            life.version += len(events)
            yield _command(count, life.stream_id, first_version, clock.now_ns, events)
            clock.tick(len(events))


def until(events: int, commands: Iterable[LifeCommand]) -> Iterator[LifeCommand]:
    """Yield the first of *commands* until they have *events* events together, or a few more."""
    for command in commands:
        yield command
        events -= len(command.events)
        if events <= 0:
            return


def at_least(events: int, commands: Iterable[LifeCommand]) -> list[LifeCommand]:
    """Return what `until` yields."""
    return list(until(events, commands))


def days_of(events: int) -> int:
    """Return how many days *events* events take, none of them in the day after."""
    return events // EVENTS_A_DAY + 1


def ending_today(events: int) -> int:
    """Return when *events* begin that end before today: keys of the last two weeks are still honoured."""
    today_ns = time.time_ns() // DAY_NS * DAY_NS
    return today_ns - days_of(events) * DAY_NS


def account_id_of(number: int) -> AccountId:
    """Return the id of the account with that number."""
    return AccountId(f"acc_{number:026d}")


def append_of(command: LifeCommand) -> Append:
    """Return *command* as the event store takes it."""
    part = StreamAppend(
        stream_id=command.stream_id,
        expected_version=command.first_version - 1,
        events=tuple(NewEvent(name=name_of(event), payload=encode(event)) for event in command.events),
    )
    return Append(
        command_id=command.command_id,
        streams=(part,),
        metadata=METADATA,
        scope=command.stream_id,
        key=command.key,
        request_hash=b"bench",
    )


def recorded(
    commands: Iterable[LifeCommand], *, after_sequence: int = 0, after_hash: bytes = GENESIS_HASH
) -> Iterator[RecordedEvent]:
    """Yield the events of *commands* as the log would keep them: numbered, timed and chained."""
    sequence, previous = after_sequence, after_hash
    for command in commands:
        recorded_at_us = command.at_ns // 1_000
        for version, event in enumerate(command.events, command.first_version):
            sequence += 1
            name, payload = name_of(event), encode(event)
            leaf = leaf_hash(
                stream_id=command.stream_id,
                version=version,
                name=name,
                command_id=command.command_id,
                metadata=METADATA,
                payload=payload,
            )
            own = chain_hash(previous=previous, sequence=sequence, recorded_at_us=recorded_at_us, leaf=leaf)
            yield RecordedEvent(
                sequence=sequence,
                stream_id=command.stream_id,
                version=version,
                name=name,
                command_id=command.command_id,
                metadata=METADATA,
                payload=payload,
                recorded_at_us=recorded_at_us,
                previous_hash=previous,
                hash=own,
            )
            previous = own


def mean_payload_bytes(*, seed: int, commands: int = 20_000) -> float:
    """Return what a payload weighs in the mean, by a sample."""
    sizes = [len(encode(event)) for command in islice(lives(seed=seed), commands) for event in command.events]
    return sum(sizes) / len(sizes)


def _command(number: int, stream_id: str, first_version: int, at_ns: int, events: tuple[Event, ...]) -> LifeCommand:
    # What a person asked for carries a key; what the executor or the protection recorded does not.
    key = f"key-{number:020d}" if isinstance(events[0], _ASKED_FOR) else None
    return LifeCommand(f"cmd_{number:026d}", stream_id, first_version, at_ns, key, events)


class _Clock:
    """The log's time: sessions of six hours, one a day, in them an event every *step_ns*."""

    def __init__(self, began_ns: int, step_ns: int) -> None:
        self._step_ns = step_ns
        self.now_ns = began_ns
        self.day = trading_day(began_ns).isoformat()
        self._session_ends_ns = began_ns + SESSION_NS

    def tick(self, events: int) -> None:
        self.now_ns += events * self._step_ns
        if self.now_ns >= self._session_ends_ns:
            self.now_ns += DAY_NS - SESSION_NS
            self._session_ends_ns += DAY_NS
            self.day = trading_day(self.now_ns).isoformat()


@dataclass(frozen=True, slots=True)
class _Listed:
    instrument: Instrument
    price_e4: int


def _instrument(number: int) -> _Listed:
    key = InstrumentKey(Segment.NSE_EQ, str(2_000 + 37 * number))
    instrument = Instrument(
        key=key, symbol=f"SHARE{number:02d}", name=f"Shares of Company {number:02d}", tradable=True, tick_e4=500, lot=1
    )
    return _Listed(instrument, 1_000_000 + 1_700_000 * number)


class _Life:
    """One account's life. `version` is that of its stream's last event."""

    def __init__(self, number: int, random: Random, listed: list[_Listed], clock: _Clock, trades_at_once: int) -> None:
        self._account_id = account_id_of(number)
        self._user_id = UserId(f"usr_{number:026d}")
        self._number = number
        self._random = random
        self._listed = listed
        self._clock = clock
        self._trades = self._marks = 0
        self._at_once = trades_at_once
        self._under_way: list[Iterator[_Decided]] = []
        self.strategies = StrategyLives(number, self._account_id, self._user_id, random)
        self.stream_id = stream_of(self._account_id)
        self.version = 1

    def openings(self) -> tuple[tuple[str, tuple[Event, ...]], ...]:
        """Return what the account begins with, by stream."""
        registered = UserRegistered(
            user_id=self._user_id,
            account_id=self._account_id,
            email=Sealed(nonce=b"%012d" % self._number, ciphertext=b"sealed address of %06d" % self._number),
            name=Sealed(nonce=b"%012d" % self._number, ciphertext=b"sealed name of %06d" % self._number),
        )
        opened = AccountOpened(
            account_id=self._account_id,
            owner_id=self._user_id,
            mode=AccountMode.PAPER,
            currency="INR",
            parameters=_LOOSE,
        )
        return ((f"user-{self._user_id}", (registered,)), (self.stream_id, (opened,)))

    def go_on(self) -> _Decided:
        """Return the events of the account's next command."""
        while True:
            while len(self._under_way) < self._at_once:
                self._trades += 1
                is_change = self._trades % _TRADES_BETWEEN_CHANGES == 0
                self._under_way.append(self._change() if is_change else self._trade(self._trades))
            steps = self._under_way[0] if self._at_once == 1 else self._random.choice(self._under_way)
            events = next(steps, None)
            if events is not None:
                return events
            self._under_way.remove(steps)

    def _change(self) -> Iterator[_Decided]:
        yield (RiskParametersChanged(parameters=_LOOSE),)
        yield (KillSwitchEngaged(reason="a pause for lunch"),)
        yield (KillSwitchReleased(),)
        day = trading_day(self._clock.now_ns).isoformat()
        yield (CashMoved(amount_paise=10_000_00, reason="savings of the month", trading_day=day),)
        brokerage = LineDifference(line=NoteLine.BROKERAGE, ours_e4=20_0000, theirs_e4=20_0000, shares=())
        note = ContractNoteReceived(
            trading_day=trading_day(self._clock.now_ns - DAY_NS).isoformat(),
            number=self._trades // _TRADES_BETWEEN_CHANGES,
            fingerprint=f"{self._trades:016x}",
            lines=(brokerage,),
            orders=(),
        )
        yield (note,)

    def _mark(self, listed: _Listed) -> Mark:
        self._marks += 1
        now_ns = self._clock.now_ns
        return Mark(
            instrument=listed.instrument.key,
            last_price_e4=listed.price_e4 + _TICK_E4 * self._random.randrange(-200, 200),
            exchange_time_ns=now_ns - 3_000_000,
            received_at_ns=now_ns - 1_000_000,
            number=self._marks,
        )

    def _trade(self, number: int) -> Iterator[_Decided]:
        random = self._random
        # The instruments of an account take turns, so that each of them is traded.
        listed = self._listed[(self._number + number) % len(self._listed)]
        way = random.random()
        side = Side.BUY if random.random() < 0.5 else Side.SELL  # noqa: PLR2004 - a fair coin
        trade_id = TradeId(f"trd_{self._number:06d}{number:020d}")
        mark = self._mark(listed)
        market = MarketSnapshot(market_time_ns=self._clock.now_ns, instrument=listed.instrument, marks=(mark,))
        entry = OrderInstruction(
            instrument=listed.instrument.key,
            side=side,
            quantity=random.randrange(2, 200),
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=Product.INTRADAY,
        )
        away_e4 = side.sign * 200 * _TICK_E4
        stop_loss_e4, target_e4 = mark.last_price_e4 - away_e4, mark.last_price_e4 + away_e4
        if way < _DENIED:
            denied = OrderDenied(
                trade_id=trade_id,
                user_id=self._user_id,
                symbol=listed.instrument.symbol,
                entry=entry,
                stop_loss_e4=stop_loss_e4,
                target_e4=target_e4,
                code=DenialCode.ORDER_VALUE_ABOVE_LIMIT,
                limit="1000000.00",
                value="1250000.50",
                market=market,
            )
            yield (denied,)
            return
        opened = TradeOpened(
            trade_id=trade_id,
            user_id=self._user_id,
            symbol=listed.instrument.symbol,
            multiplier=1,
            entry=entry,
            stop_loss_e4=stop_loss_e4,
            target_e4=target_e4,
            market=market,
        )
        order_id = OrderId(f"{trade_id}.1")
        intended = OrderIntended(
            order_id=order_id,
            trade_id=trade_id,
            purpose=Purpose.ENTRY,
            instruction=entry,
            not_after_ns=self._clock.now_ns + 5 * NS_PER_S,
        )
        yield (opened, intended)
        if way < _LAPSED:
            yield (OrderLapsed(order_id=order_id, trade_id=trade_id), _closed(trade_id))
            return
        yield from self._send(order_id, trade_id, way)
        if way < _REJECTED:
            rejected = OrderRejected(
                order_id=order_id,
                trade_id=trade_id,
                venue_order_id=None,
                reason=RefusalReason.OTHER,
                message="The market does not take this order at present.",
                evidence=Evidence.ANSWER,
            )
            yield (rejected, _closed(trade_id))
            return
        yield (self._acknowledged(order_id, trade_id, is_found=_NOT_SENT <= way < _UNKNOWN),)
        if way < _CANCELED:
            yield (
                TradeExitTriggered(trade_id=trade_id, cause=ExitCause.MANUAL, mark=None),
                OrderCancelRequested(order_id=order_id, trade_id=trade_id),
            )
            yield (
                OrderCanceled(order_id=order_id, trade_id=trade_id),
                _closed(trade_id, cause=ExitCause.MANUAL),
            )
            return
        yield from self._hold(trade_id, entry, listed)

    def _hold(self, trade_id: TradeId, entry: OrderInstruction, listed: _Listed) -> Iterator[_Decided]:
        """Yield a trade's life from its first fill to its end."""
        holding = Holding()
        for events, after in self._fills(
            OrderId(f"{trade_id}.1"), trade_id, entry, purpose=Purpose.ENTRY, listed=listed, holding=holding
        ):
            holding = after
            yield events
        mark = self._mark(listed)
        cause = ExitCause.STOP_LOSS if self._random.random() < 0.5 else ExitCause.TARGET  # noqa: PLR2004 - a fair coin
        instruction = OrderInstruction(
            instrument=entry.instrument,
            side=entry.side.opposite,
            quantity=entry.quantity,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=entry.product,
        )
        exit_id = OrderId(f"{trade_id}.2")
        intended = OrderIntended(
            order_id=exit_id, trade_id=trade_id, purpose=Purpose.EXIT, instruction=instruction, not_after_ns=None
        )
        yield (TradeExitTriggered(trade_id=trade_id, cause=cause, mark=mark), intended)
        yield (self._submitting(exit_id, trade_id),)
        yield (self._acknowledged(exit_id, trade_id),)
        for events, after in self._fills(
            exit_id, trade_id, instruction, purpose=Purpose.EXIT, listed=listed, holding=holding
        ):
            if after.net_quantity:
                yield events
            else:
                closed = _closed(
                    trade_id, cause=cause, entry_quantity=entry.quantity, realised_paise=after.realised_paise
                )
                yield (*events, closed)

    def _send(self, order_id: OrderId, trade_id: TradeId, way: float) -> Iterator[_Decided]:
        yield (self._submitting(order_id, trade_id),)
        if _CANCELED <= way < _NOT_SENT:
            yield (
                OrderNotSent(
                    order_id=order_id,
                    trade_id=trade_id,
                    reason=NotSentReason.TRANSPORT,
                    detail="connection refused",
                ),
            )
            yield (self._submitting(order_id, trade_id),)
        elif _NOT_SENT <= way < _UNKNOWN:
            unknown = OrderOutcomeUnknown(
                order_id=order_id, trade_id=trade_id, cause="no answer within 2 s", sent_at_ns=self._clock.now_ns
            )
            yield (unknown,)

    def _submitting(self, order_id: OrderId, trade_id: TradeId) -> OrderSubmitting:
        name = CorrelationId(f"BEN{self._number:06d}{trade_id[-14:]}{order_id[-1]:0>2}")
        return OrderSubmitting(order_id=order_id, trade_id=trade_id, correlation_id=name, sender_epoch=1)

    def _acknowledged(self, order_id: OrderId, trade_id: TradeId, *, is_found: bool = False) -> OrderAcknowledged:
        return OrderAcknowledged(
            order_id=order_id,
            trade_id=trade_id,
            venue_order_id=self._venue_order_id(order_id),
            evidence=Evidence.CORRELATION_LOOKUP if is_found else Evidence.ANSWER,
            sent_at_ns=None if is_found else self._clock.now_ns,
        )

    def _venue_order_id(self, order_id: OrderId) -> VenueOrderId:
        return VenueOrderId(f"{self._number:05d}{_number_in(order_id)}{order_id[-1]}")

    def _fills(
        self,
        order_id: OrderId,
        trade_id: TradeId,
        told: OrderInstruction,
        *,
        purpose: Purpose,
        listed: _Listed,
        holding: Holding,
    ) -> Iterator[tuple[_Decided, Holding]]:
        """Yield the fills of an order, each with the holding after it."""
        quantity = told.quantity
        parts = [quantity] if self._random.random() < 0.6 else [quantity // 2, quantity - quantity // 2]  # noqa: PLR2004
        cumulative = 0
        for number, part in enumerate(parts, 1):
            cumulative += part
            price_e4 = listed.price_e4 + _TICK_E4 * self._random.randrange(-200, 200)
            worth = value_paise(price_e4=price_e4, quantity=part)
            effect = effect_of_fill(holding, side=told.side, quantity=part, value_paise=worth)
            holding = after_fill(holding, effect, side=told.side, quantity=part)
            filled = OrderFilled(
                order_id=order_id,
                trade_id=trade_id,
                venue_segment=told.instrument.segment.value,
                venue_trade_number=f"{self._number:05d}{_number_in(order_id)}{order_id[-1]}{number}",
                venue_order_id=self._venue_order_id(order_id),
                instrument=told.instrument,
                product=told.product,
                side=told.side,
                purpose=purpose,
                last_quantity=part,
                last_price_e4=price_e4,
                value_paise=worth,
                cumulative_quantity=cumulative,
                leaves_quantity=quantity - cumulative,
                opened_cost_paise=effect.opened_cost_paise,
                closed_quantity=effect.closed_quantity,
                closed_cost_paise=effect.closed_cost_paise,
                realised_paise=effect.realised_paise,
                filled_at_ns=self._clock.now_ns,
                trading_day=self._clock.day,
            )
            yield (filled,), holding


def _closed(
    trade_id: TradeId, *, cause: ExitCause | None = None, entry_quantity: int = 0, realised_paise: int = 0
) -> TradeClosed:
    return TradeClosed(trade_id=trade_id, cause=cause, entry_quantity=entry_quantity, realised_paise=realised_paise)


def _number_in(order_id: OrderId) -> str:
    """Return the last digits of the number of an order's trade."""
    return order_id.partition(".")[0][-7:]
