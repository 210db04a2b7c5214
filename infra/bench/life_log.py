"""A made-up log for benches: accounts that trade instruments, every order through its life, many trades at once.

The events are what the account's own rules would have decided, in their order; the log is filled by COPY, chained and
with its heads set, so that the engine goes on from it as from any other.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

import psycopg
from msgspec.structs import replace

from adapters.postgres.arrays import bytes_elements, int8_elements, text_elements
from domain.account.events import (
    AccountEvent,
    AccountMode,
    AccountOpened,
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
    OrderNotSent,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderSubmitting,
    TradeClosed,
    TradeExitTriggered,
    TradeOpened,
)
from domain.backtest.events import BacktestCompleted, BacktestFigures, BacktestRequested
from domain.envelope import GENESIS_HASH, chain_hash, leaf_hash
from domain.events import Event, encode, name_of
from domain.ids import (
    AccountId,
    BacktestId,
    CorrelationId,
    OrderId,
    StrategyId,
    TradeId,
    UserId,
    VenueOrderId,
)
from domain.instrument import Instrument, InstrumentKey, Segment
from domain.market import Mark, MarketSnapshot, trading_day
from domain.order import NotSentReason, OrderInstruction, OrderType, Product, Purpose, RefusalReason, Side
from domain.risk import DenialCode, RiskParameters
from domain.strategy.events import StrategyBacktested, StrategyDeployed, StrategyDrafted
from domain.user.events import Sealed, UserRegistered

ACCOUNTS = 200
INSTRUMENTS = 20
TRADES_AT_ONCE = 300
START_US = 1_795_149_000_000_000
_US_PER_EVENT = 400
_NS_PER_US = 1_000
_UNIX_TO_2000_US = 946_684_800_000_000
_CHUNK = 20_000
# How often what happens.
_STRATEGY, _SWITCH, _DENIED, _REJECTED, _CANCELED, _DOUBTFUL = 0.01, 0.02, 0.05, 0.08, 0.15, 0.98
_METADATA = b'{"actor":"usr_bench","source":"bench","correlation_id":"req_0000000000000000000000000"}'
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COLUMNS = (10).to_bytes(2, "big")

Pair = tuple[str, Event]


class LifeLog:
    """Events in the order of the log, from a seed: users and accounts first, then trades, for ever."""

    def __init__(self, *, seed: int = 1, accounts: int = ACCOUNTS, instruments: int = INSTRUMENTS) -> None:
        self._random = Random(seed)  # noqa: S311 - no secret
        self.accounts = [AccountId(f"acc_{number:026d}") for number in range(accounts)]
        self._instruments = [_instrument(number) for number in range(instruments)]
        self._numbers = 0

    def __iter__(self) -> Iterator[Pair]:
        yield from self._beginning()
        lives = [self._life() for _ in range(TRADES_AT_ONCE)]
        while True:
            place = self._random.randrange(TRADES_AT_ONCE)
            pair = next(lives[place], None)
            if pair is None:
                lives[place] = self._life()
            else:
                yield pair

    def _beginning(self) -> Iterator[Pair]:
        for number, account_id in enumerate(self.accounts):
            user_id = UserId(f"usr_{number:026d}")
            sealed = Sealed(nonce=bytes(12), ciphertext=bytes(40))
            yield (
                f"user-{user_id}",
                UserRegistered(user_id=user_id, account_id=account_id, email=sealed, name=sealed),
            )
            yield (
                f"account-{account_id}",
                AccountOpened(
                    account_id=account_id,
                    owner_id=user_id,
                    mode=AccountMode.PAPER,
                    currency="INR",
                    parameters=RiskParameters(),
                ),
            )

    def _life(self) -> Iterator[Pair]:
        chance = self._random.random()
        if chance < _STRATEGY:
            yield from self._strategy()
            return
        account_id = self._random.choice(self.accounts)
        events = self._switch() if chance < _SWITCH else self._trade(account_id)
        for event in events:
            yield f"account-{account_id}", event

    def _switch(self) -> Iterator[AccountEvent]:
        yield KillSwitchEngaged(reason="bench")
        yield KillSwitchReleased()

    def _strategy(self) -> Iterator[Pair]:
        number = self._next()
        user_id = UserId(f"usr_{number % len(self.accounts):026d}")
        strategy_id, backtest_id = StrategyId(f"str_{number:026d}"), BacktestId(f"btt_{number:026d}")
        stream = f"strategy-{strategy_id}"
        source = f"{number:064x}"
        yield (
            stream,
            StrategyDrafted(
                strategy_id=strategy_id,
                user_id=user_id,
                name=f"Bench {number}",
                source_hash=source,
                source_bytes=2_000,
                parameters={"minutes": 15},
            ),
        )
        yield (
            f"backtest-{backtest_id}",
            BacktestRequested(
                backtest_id=backtest_id,
                user_id=user_id,
                strategy_id=strategy_id,
                source_hash=source,
                parameters={"minutes": 15},
                data_hash=source,
                first_day="2026-01-01",
                last_day="2026-06-30",
                capital_paise=10_000_000,
                seed=number,
            ),
        )
        figures = BacktestFigures(
            trades=10,
            trades_won=6,
            result_paise=5_000,
            won_paise=9_000,
            lost_paise=-4_000,
            charges_paise=300,
            equity_paise=10_005_000,
            drawdown_paise_max=1_200,
            sharpe_e4=11_000,
            exposure_e4=900,
        )
        yield (
            f"backtest-{backtest_id}",
            BacktestCompleted(backtest_id=backtest_id, user_id=user_id, events=50, final_hash=source, figures=figures),
        )
        yield (
            stream,
            StrategyBacktested(strategy_id=strategy_id, user_id=user_id, revision=1, backtest_id=backtest_id),
        )
        account_id = self.accounts[number % len(self.accounts)]
        yield (
            stream,
            StrategyDeployed(
                strategy_id=strategy_id, user_id=user_id, revision=1, account_id=account_id, mode=AccountMode.PAPER
            ),
        )

    def _trade(self, account_id: AccountId) -> Iterator[AccountEvent]:
        number, random = self._next(), self._random
        instrument = random.choice(self._instruments)
        now_ns = (START_US + number * _US_PER_EVENT) * _NS_PER_US
        price_e4 = 1_000_0000 + random.randint(-500, 500) * 1_000
        quantity = 2 * random.randint(1, 50)
        mark = Mark(
            instrument=instrument.key,
            last_price_e4=price_e4,
            exchange_time_ns=now_ns,
            received_at_ns=now_ns,
            number=number,
        )
        entry = OrderInstruction(
            instrument=instrument.key,
            side=Side.BUY,
            quantity=quantity,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=Product.INTRADAY,
        )
        opened = TradeOpened(
            trade_id=TradeId(f"trd_{number:026d}"),
            user_id=UserId(account_id.replace("acc", "usr")),
            symbol=instrument.symbol,
            multiplier=1,
            entry=entry,
            stop_loss_e4=price_e4 - 10_0000,
            target_e4=price_e4 + 10_0000,
            market=MarketSnapshot(market_time_ns=now_ns, instrument=instrument, marks=(mark,)),
        )
        chance = random.random()
        if chance < _DENIED:
            yield _denied(opened)
            return
        yield opened
        yield from self._order(opened, Purpose.ENTRY, price_e4, now_ns=now_ns, chance=chance)
        if chance < _CANCELED:
            yield TradeClosed(trade_id=opened.trade_id, cause=None, entry_quantity=0, realised_paise=0)
            return
        exit_e4 = price_e4 + random.randint(-100, 100) * 1_000
        yield TradeExitTriggered(
            trade_id=opened.trade_id, cause=ExitCause.TARGET, mark=replace(mark, last_price_e4=exit_e4)
        )
        yield from self._order(opened, Purpose.EXIT, exit_e4, now_ns=now_ns, chance=_CANCELED, cost_e4=price_e4)
        realised = (exit_e4 - price_e4) * quantity // 100
        yield TradeClosed(
            trade_id=opened.trade_id, cause=ExitCause.TARGET, entry_quantity=quantity, realised_paise=realised
        )

    def _order(
        self, opened: TradeOpened, purpose: Purpose, price_e4: int, *, now_ns: int, chance: float, cost_e4: int = 0
    ) -> Iterator[AccountEvent]:
        is_entry = purpose is Purpose.ENTRY
        trade_id, order_id = opened.trade_id, OrderId(f"{opened.trade_id}.{1 if is_entry else 2}")
        told = opened.entry if is_entry else replace(opened.entry, side=Side.SELL)
        named: dict[str, Any] = {"order_id": order_id, "trade_id": trade_id}
        correlation_id = CorrelationId(order_id[-25:])
        yield OrderIntended(**named, purpose=purpose, instruction=told, not_after_ns=now_ns if is_entry else None)
        yield OrderSubmitting(**named, correlation_id=correlation_id, sender_epoch=1)
        if chance < _REJECTED:
            yield OrderRejected(
                **named,
                venue_order_id=None,
                reason=RefusalReason.FUNDS,
                message="Insufficient funds",
                evidence=Evidence.ANSWER,
            )
            return
        if chance > _DOUBTFUL:
            yield OrderNotSent(**named, reason=NotSentReason.TRANSPORT, detail="connection refused")
            yield OrderSubmitting(**named, correlation_id=correlation_id, sender_epoch=1)
            yield OrderOutcomeUnknown(**named, cause="no answer", sent_at_ns=now_ns)
        venue_order_id = VenueOrderId(f"v{order_id[-20:]}")
        yield OrderAcknowledged(**named, venue_order_id=venue_order_id, evidence=Evidence.ANSWER, sent_at_ns=now_ns)
        if chance < _CANCELED:
            yield OrderCancelRequested(**named)
            yield OrderCanceled(**named)
            return
        half = told.quantity // 2
        for fill in (1, 2):
            value = price_e4 * half // 100
            cost = cost_e4 * half // 100
            yield OrderFilled(
                **named,
                venue_trade_number=f"{order_id}.{fill}",
                instrument=told.instrument,
                product=told.product,
                side=told.side,
                purpose=purpose,
                last_quantity=half,
                last_price_e4=price_e4,
                value_paise=value,
                cumulative_quantity=half * fill,
                leaves_quantity=told.quantity - half * fill,
                opened_cost_paise=value if is_entry else 0,
                closed_quantity=0 if is_entry else half,
                closed_cost_paise=cost,
                realised_paise=0 if is_entry else value - cost,
                filled_at_ns=now_ns,
                trading_day=trading_day(now_ns).isoformat(),
            )

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def _instrument(number: int) -> Instrument:
    return Instrument(
        key=InstrumentKey(Segment.NSE_EQ, str(1_000 + number)),
        symbol=f"BENCH{number:02d}",
        name=f"Bench {number}",
        tradable=True,
        tick_e4=1_000,
        lot=1,
        freeze_quantity=10_000,
    )


def _denied(opened: TradeOpened) -> OrderDenied:
    return OrderDenied(
        trade_id=opened.trade_id,
        user_id=opened.user_id,
        symbol=opened.symbol,
        entry=opened.entry,
        stop_loss_e4=opened.stop_loss_e4,
        target_e4=opened.target_e4,
        code=DenialCode.QUANTITY_ABOVE_LIMIT,
        limit="1",
        value="100",
        market=opened.market,
    )


class LogFilled:
    """What a filled log is like: `events` by number, and the versions of its streams."""

    def __init__(self) -> None:
        self.events = 0
        self.payload_bytes = 0
        self.names: set[str] = set()
        self.versions: dict[str, int] = {}
        self.leaves: dict[str, bytes] = {}
        self.hash = GENESIS_HASH
        self.recorded_at_us = START_US


def fill_log(admin_url: str, pairs: Iterator[Pair], events: int) -> LogFilled:
    """Put *events* of *pairs* into the empty log of *admin_url* by COPY, and set its heads."""
    log = LogFilled()
    with psycopg.connect(admin_url, autocommit=True) as connection, connection.transaction():
        connection.execute("SELECT log.prepare_partitions()")
        with connection.cursor().copy(
            "COPY log.events (sequence, stream_id, version, name, command_id, metadata, payload, recorded_at,"
            " previous_hash, hash) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.write(_COPY_HEADER)
            while log.events < events:
                copy.write(_chunk(log, pairs, min(_CHUNK, events - log.events)))
            copy.write(b"\xff\xff")
        connection.execute(
            "UPDATE log.head SET sequence = %s, hash = %s, recorded_at = to_timestamp(%s::numeric / 1000000)",
            [log.events, log.hash, log.recorded_at_us],
        )
        connection.execute(
            "INSERT INTO log.streams (stream_id, version, leaf)"
            " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[])",
            [list(log.versions), list(log.versions.values()), list(log.leaves.values())],
        )
        connection.execute("SELECT log.prepare_partitions()")
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("ANALYZE log.events, log.streams")
    return log


def _chunk(log: LogFilled, pairs: Iterator[Pair], size: int) -> bytes:
    lines = []
    for _ in range(size):
        stream_id, event = next(pairs)
        log.events += 1
        log.recorded_at_us += _US_PER_EVENT
        version = log.versions[stream_id] = log.versions.get(stream_id, 0) + 1
        name, payload, command_id = name_of(event), encode(event), f"cmd_{log.events:026d}"
        log.names.add(name)
        log.payload_bytes += len(payload)
        leaf = log.leaves[stream_id] = leaf_hash(
            stream_id=stream_id,
            version=version,
            name=name,
            command_id=command_id,
            metadata=_METADATA,
            payload=payload,
        )
        previous = log.hash
        log.hash = chain_hash(previous=previous, sequence=log.events, recorded_at_us=log.recorded_at_us, leaf=leaf)
        number, place, at = int8_elements([log.events, version, log.recorded_at_us - _UNIX_TO_2000_US])
        stream, called, command = text_elements([stream_id, name, command_id])
        said, body, before, own = bytes_elements([_METADATA, payload, previous, log.hash])
        lines.append(b"".join((_COLUMNS, number, stream, place, called, command, said, body, at, before, own)))
    return b"".join(lines)
