"""A log for benches: accounts that trade side by side over many days, chained as it must be, brought in by COPY.

The events follow each other as in life (an intent, its order, the venue's word, fills, an exit, the end) and their sums
are right, so every read model folds them. What no account would decide, such as trading without a limit, is not looked
at: nobody replays the decisions.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

import psycopg
from rich.progress import Progress

from domain.account.events import (
    AccountMode,
    AccountOpened,
    Evidence,
    ExitCause,
    OrderAcknowledged,
    OrderFilled,
    OrderIntended,
    OrderSubmitting,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.envelope import GENESIS_HASH, RecordedEvent, chain_hash, leaf_hash
from domain.events import Event, encode, name_of
from domain.ids import AccountId, CorrelationId, OrderId, TradeId, UserId, VenueOrderId
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import Mark, MarketSnapshot, trading_day
from domain.money import value_paise
from domain.order import OrderInstruction, OrderType, Product, Purpose, Side, TimeInForce
from domain.risk import RiskParameters

INSTRUMENTS = 20
TRADES_AT_ONCE = 4
_OPENING_US = 1_735_703_100_000_000
"""2025-01-01 09:15:00 in India."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_SESSION_US = 22_500_000_000
_CHUNK = 20_000
_NS_PER_US = 1_000

_COPY = """
COPY log.events (
    sequence, stream_id, version, name, command_id, metadata, payload, recorded_at, previous_hash, hash
) FROM STDIN
"""


def account_of(number: int) -> AccountId:
    """Return the name of an account, numbered from 0."""
    return AccountId(f"acc_{number:026d}")


def time_of(sequence: int, *, events: int, days: int) -> int:
    """Return when an event was recorded (UTC microseconds): *events* fill the sessions of *days* days evenly."""
    place = (sequence - 1) * days * _SESSION_US // events
    day, within_us = divmod(place, _SESSION_US)
    return _OPENING_US + day * _DAY_US + within_us


class _Trader:
    """One account's events, one after another, for ever. `at_us` is the time of the next one."""

    def __init__(self, number: int, random: Random) -> None:
        self.account_id = account_of(number)
        self.at_us = 0
        self._random = random
        self._user_id = UserId(f"usr_{number:026d}")
        self._names = count(1)
        self._number = number

    def live(self) -> Iterator[Event]:
        yield AccountOpened(
            account_id=self.account_id,
            owner_id=self._user_id,
            mode=AccountMode.PAPER,
            currency="INR",
            parameters=RiskParameters(),
        )
        trades: list[Iterator[Event]] = []
        while True:
            if len(trades) < TRADES_AT_ONCE:
                trades.append(self._trade())
            trade = self._random.choice(trades)
            event = next(trade, None)
            if event is None:
                trades.remove(trade)
            else:
                yield event

    def _trade(self) -> Iterator[Event]:
        random, number = self._random, next(self._names)
        trade_id = TradeId(f"trd_{self._number:010d}{number:016d}")
        security_id = str(1_000 + random.randrange(INSTRUMENTS))
        instrument = Instrument(
            key=InstrumentKey(Segment.NSE_EQ, security_id),
            symbol=f"STOCK{security_id}",
            name=f"Stock {security_id} Limited",
            tradable=True,
            tick_e4=500,
            lot=1,
        )
        side, quantity, price_e4 = (
            random.choice(list(Side)),
            random.randint(1, 100),
            random.randint(2_000, 60_000) * 500,
        )
        now_ns = self.at_us * _NS_PER_US
        mark = Mark(
            instrument=instrument.key, last_price_e4=price_e4, exchange_time_ns=now_ns, received_at_ns=now_ns, number=1
        )
        entry = OrderInstruction(
            instrument=instrument.key,
            product=Product.INTRADAY,
            side=side,
            quantity=quantity,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            time_in_force=TimeInForce.DAY,
        )
        yield TradeOpened(
            trade_id=trade_id,
            user_id=self._user_id,
            symbol=instrument.symbol,
            multiplier=1,
            entry=entry,
            stop_loss_e4=None,
            target_e4=None,
            market=MarketSnapshot(market_time_ns=now_ns, instrument=instrument, marks=(mark,)),
        )
        worth = value_paise(price_e4=price_e4, quantity=quantity, multiplier=1)
        yield from self._order(trade_id, 1, entry, price_e4, opened_paise=worth * side.sign)
        yield TradeExitTriggered(trade_id=trade_id, cause=ExitCause.MANUAL, mark=None)
        out_e4 = price_e4 + random.randint(-100, 100) * 500
        back = Side.SELL if side is Side.BUY else Side.BUY
        gone = OrderInstruction(
            instrument=instrument.key,
            product=Product.INTRADAY,
            side=back,
            quantity=quantity,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            time_in_force=TimeInForce.DAY,
        )
        got = value_paise(price_e4=out_e4, quantity=quantity, multiplier=1)
        realised = (got - worth) * side.sign
        yield from self._order(trade_id, 2, gone, out_e4, closed_paise=worth * side.sign, realised_paise=realised)
        yield TradeClosed(trade_id=trade_id, cause=ExitCause.MANUAL, entry_quantity=quantity, realised_paise=realised)

    def _order(
        self,
        trade_id: TradeId,
        number: int,
        instruction: OrderInstruction,
        price_e4: int,
        *,
        opened_paise: int = 0,
        closed_paise: int = 0,
        realised_paise: int = 0,
    ) -> Iterator[Event]:
        order_id = OrderId(f"{trade_id}.{number}")
        purpose = Purpose.ENTRY if number == 1 else Purpose.EXIT
        yield OrderIntended(
            order_id=order_id, trade_id=trade_id, purpose=purpose, instruction=instruction, not_after_ns=None
        )
        yield OrderSubmitting(
            order_id=order_id, trade_id=trade_id, correlation_id=CorrelationId(order_id[-25:]), sender_epoch=1
        )
        yield OrderAcknowledged(
            order_id=order_id,
            trade_id=trade_id,
            venue_order_id=VenueOrderId(f"v{order_id}"),
            evidence=Evidence.ANSWER,
            sent_at_ns=self.at_us * _NS_PER_US,
        )
        now_ns, quantity = self.at_us * _NS_PER_US, instruction.quantity
        yield OrderFilled(
            order_id=order_id,
            trade_id=trade_id,
            venue_trade_number=f"f{order_id}",
            instrument=instruction.instrument,
            product=instruction.product,
            side=instruction.side,
            purpose=purpose,
            last_quantity=quantity,
            last_price_e4=price_e4,
            value_paise=value_paise(price_e4=price_e4, quantity=quantity, multiplier=1),
            cumulative_quantity=quantity,
            leaves_quantity=0,
            opened_cost_paise=opened_paise,
            closed_quantity=quantity if number > 1 else 0,
            closed_cost_paise=closed_paise,
            realised_paise=realised_paise,
            filled_at_ns=now_ns,
            trading_day=trading_day(now_ns).isoformat(),
        )


def made_up_events(*, events: int, accounts: int, days: int, seed: int) -> Iterator[RecordedEvent]:
    """Yield a log of so many *events*, in which *accounts* take turns at random."""
    random = Random(seed)  # noqa: S311 - no secret
    traders = [_Trader(number, random) for number in range(accounts)]
    lives = [trader.live() for trader in traders]
    versions: defaultdict[int, int] = defaultdict(int)
    previous = GENESIS_HASH
    for sequence in range(1, events + 1):
        # Everybody comes before anybody trades.
        number = sequence - 1 if sequence <= accounts else random.randrange(accounts)
        at_us = traders[number].at_us = time_of(sequence, events=events, days=days)
        event = next(lives[number])
        versions[number] += 1
        content = {
            "stream_id": f"account-{traders[number].account_id}",
            "version": versions[number],
            "name": name_of(event),
            "command_id": f"cmd_{sequence:026d}",
            "metadata": b"{}",
            "payload": encode(event),
        }
        leaf = leaf_hash(**content)  # type: ignore[arg-type]
        own = chain_hash(previous=previous, sequence=sequence, recorded_at_us=at_us, leaf=leaf)
        yield RecordedEvent(
            sequence=sequence,
            recorded_at_us=at_us,
            previous_hash=previous,
            hash=own,
            **content,  # type: ignore[arg-type]
        )
        previous = own


def load(admin: str, log: Iterator[RecordedEvent], *, events: int, progress: Progress) -> None:
    """Put a log of *events* events into an empty database, whose administrator *admin* names."""
    task = progress.add_task("writing the log", total=events)
    ends: dict[str, RecordedEvent] = {}
    last: RecordedEvent | None = None
    with psycopg.connect(admin, autocommit=True) as connection:
        done = 0
        while done < events:
            with connection.transaction(), connection.cursor().copy(_COPY) as copy:
                for recorded in _next(log, min(_CHUNK, events - done)):
                    copy.write_row(_row(recorded))
                    ends[recorded.stream_id] = last = recorded
                    done += 1
            progress.update(task, completed=done)
        with connection.transaction():
            for recorded in ends.values():
                connection.execute(
                    "INSERT INTO log.streams (stream_id, version, leaf) VALUES (%s, %s, %s)",
                    [recorded.stream_id, recorded.version, _leaf(recorded)],
                )
            if last is not None:
                connection.execute(
                    "UPDATE log.head SET sequence = %s, hash = %s, recorded_at = %s",
                    [last.sequence, last.hash, _time(last)],
                )
        connection.execute("VACUUM (ANALYZE) log.events, log.streams")
    progress.remove_task(task)


def _next(log: Iterator[RecordedEvent], wanted: int) -> Iterator[RecordedEvent]:
    for _ in range(wanted):
        yield next(log)


def _leaf(recorded: RecordedEvent) -> bytes:
    return leaf_hash(
        stream_id=recorded.stream_id,
        version=recorded.version,
        name=recorded.name,
        command_id=recorded.command_id,
        metadata=recorded.metadata,
        payload=recorded.payload,
    )


def _time(recorded: RecordedEvent) -> datetime:
    # Not `fromtimestamp`: it goes through a float, which is too coarse for the last digit.
    return _EPOCH + timedelta(microseconds=recorded.recorded_at_us)


def _row(recorded: RecordedEvent) -> tuple[object, ...]:
    return (
        recorded.sequence,
        recorded.stream_id,
        recorded.version,
        recorded.name,
        recorded.command_id,
        recorded.metadata,
        recorded.payload,
        _time(recorded),
        recorded.previous_hash,
        recorded.hash,
    )
