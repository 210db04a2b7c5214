"""What the traders of the demo do, scene by scene.

Prices come from the tape, so the script asks for the last one and places stops and targets around it: near ones that
will be hit, far ones that will not. It goes on until enough of both were hit, so it holds for any tape that moves.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import cycle

from domain.instrument import Instrument
from domain.money import E4_PER_PAISA, format_e4
from domain.risk import RiskParameters
from infra.demo.lock_step import Exchange, LockStep
from infra.demo.traders import DemoBroken, Reply, Trader

NAMES = ("Asha", "Bala", "Chitra", "Dev", "Esha")
INTENTS_MIN = 60
STOPS_MIN = 5
TARGETS_MIN = 5
BY_HAND_MIN = 3
OUTAGE_ORDERS = 3
WARM_UP_S = 15
WAVE_S = 90
WAVES_MAX = 40
LEAP_S = 600
NEAR_BP = 5
FAR_BP = 400
BP = 10_000


@dataclass(slots=True, kw_only=True)
class Stage:
    """All that a scene needs.

    `price_of` gives an instrument's last price, `client_of` a trader's id at the venue, `breaker_state` that of the
    breaker before entries; `tell` says what happens.
    """

    traders: list[Trader]
    instruments: list[Instrument]
    index: Instrument
    exchange: Exchange
    lock_step: LockStep
    price_of: Callable[[Instrument], int]
    client_of: Callable[[Trader], str]
    breaker_state: Callable[[], Awaitable[str]]
    wait_for_breaker: Callable[[str], Awaitable[None]]
    tell: Callable[[str], None]
    denials: list[Reply] = field(default_factory=list)

    def trader(self, name: str) -> Trader:
        """Return the trader of that name."""
        return next(trader for trader in self.traders if trader.name == name)

    @property
    def cheapest(self) -> Instrument:
        """The instrument of which the most units fit into one order's value."""
        return min(self.instruments, key=self.price_of)

    @property
    def dearest(self) -> Instrument:
        """The instrument of which the fewest units fit into one order's value."""
        return max(self.instruments, key=self.price_of)

    def price(self, instrument: Instrument, *, away_bp: int = 0) -> str:
        """Return the last price, or one so many basis points above it (at least two ticks), as text."""
        last = self.price_of(instrument)
        if away_bp == 0:
            return format_e4(last)
        ticks = max(2, last * abs(away_bp) // BP // instrument.tick_e4)
        return format_e4(last + (ticks if away_bp > 0 else -ticks) * instrument.tick_e4)

    async def intend(self, trader: Trader, instrument: Instrument, side: str, quantity: int, **terms: str) -> Reply:
        """Hand in an intent and let its effects settle."""
        reply = await trader.intend(instrument.symbol, side, quantity, **terms)
        await self.lock_step.settle()
        if reply.denial_code is not None:
            self.denials.append(reply)
            self.tell(f"{trader.name}: {side} {quantity} {instrument.symbol} denied, {reply.denial_code}")
        else:
            self.tell(f"{trader.name}: {side} {quantity} {instrument.symbol}, {_terms_text(terms)}")
        return reply

    async def close(self, trader: Trader, position_id: str) -> None:
        """Close a position by hand and let that settle."""
        await trader.close(position_id)
        await self.lock_step.settle()
        self.tell(f"{trader.name}: closes {position_id} by hand")


def _terms_text(terms: dict[str, str]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in terms.items()) or "at the market"


def position_id(instrument: Instrument) -> str:
    """Return the name of the intraday position in *instrument*."""
    return f"{instrument.key.segment.value}-{instrument.key.security_id}-INTRADAY"


async def play(stage: Stage) -> None:
    """Play the whole session.

    Raises:
        DemoBroken: the engine did what no trader could go on from.
    """
    await stage.lock_step.advance(WARM_UP_S)
    for scene in (denials, partial_fill, lost_answer, outage, waves, by_hand, day_loss, finale):
        stage.tell(f"-- {(scene.__doc__ or '').splitlines()[0].rstrip('.')}")
        await scene(stage)


async def denials(stage: Stage) -> None:
    """Intents that risk stands against."""
    asha, bala, chitra, dev = (stage.trader(name) for name in NAMES[:4])
    stock, dear = stage.instruments[0], stage.dearest
    limits = RiskParameters()
    too_many = limits.order_value_paise_max * E4_PER_PAISA // stage.price_of(dear) + 1
    await stage.intend(asha, stage.index, "BUY", 1)
    await stage.intend(asha, stock, "BUY", limits.order_quantity_max + 1)
    await stage.intend(asha, dear, "BUY", too_many)
    await stage.intend(asha, stock, "BUY", 1, order_type="LIMIT", limit_price=stage.price(stock, away_bp=2_000))
    await stage.intend(bala, stock, "BUY", 1, stop_loss=stage.price(stock, away_bp=100))
    await stage.intend(bala, stock, "SELL", 1, target=stage.price(stock, away_bp=100))
    await stage.intend(bala, stock, "SELL", 1, product="CNC")
    before = await chitra.set_limits(stop_loss_required=True)
    await stage.intend(chitra, stock, "BUY", 1)
    await chitra.set_limits(**before)
    await chitra.engage_kill_switch()
    await stage.intend(chitra, stock, "BUY", 1)
    await chitra.release_kill_switch()
    before = await dev.set_limits(trades_per_day_max=0)
    await stage.intend(dev, stock, "BUY", 1)
    await dev.set_limits(**before | {"open_trades_max": 0})
    await stage.intend(dev, stock, "BUY", 1)
    await dev.set_limits(**before | {"gross_exposure_max": "1.00"})
    await stage.intend(dev, stock, "BUY", 1)
    await dev.set_limits(**before)


async def partial_fill(stage: Stage) -> None:
    """An order larger than what trades in a second fills in parts, and one far from the market rests."""
    bala, chitra = stage.trader("Bala"), stage.trader("Chitra")
    stock, limits = stage.cheapest, RiskParameters()
    most = limits.order_value_paise_max * E4_PER_PAISA * 9 // 10 // stage.price_of(stock)
    await stage.intend(bala, stock, "BUY", min(most, limits.order_quantity_max))
    other = stage.dearest
    terms = {"order_type": "LIMIT", "limit_price": stage.price(other, away_bp=-300)}
    await stage.intend(chitra, other, "BUY", 5, **terms)
    await stage.lock_step.advance(WAVE_S)
    await stage.close(chitra, position_id(other))
    await stage.close(bala, position_id(stock))
    await stage.lock_step.advance(WAVE_S)


async def lost_answer(stage: Stage) -> None:
    """The venue takes an order, and its answer is lost."""
    esha, stock = stage.trader("Esha"), stage.instruments[1]
    await stage.exchange.fault("lose_answer_after_acceptance", client_id=stage.client_of(esha))
    await stage.intend(esha, stock, "BUY", 10, stop_loss=stage.price(stock, away_bp=-FAR_BP))


async def outage(stage: Stage) -> None:
    """The venue fails, the breaker before entries opens, an exit passes, and the breaker closes."""
    dev, held, stock = stage.trader("Dev"), stage.instruments[2], stage.instruments[3]
    await stage.intend(dev, held, "BUY", 10)
    await stage.exchange.fault("unavailable", count=OUTAGE_ORDERS, client_id=stage.client_of(dev))
    for _ in range(OUTAGE_ORDERS):
        await stage.intend(dev, stock, "BUY", 10)
    if await stage.breaker_state() != "open":
        raise DemoBroken(f"after {OUTAGE_ORDERS} failures the breaker is {await stage.breaker_state()}")
    waiting = await stage.intend(dev, stock, "SELL", 10)
    await stage.close(dev, position_id(held))
    if (await _trade(dev, position_id(held)))["status"] != "closed":
        raise DemoBroken("the exit did not pass while the breaker before entries was open")
    await stage.wait_for_breaker("closed")
    await stage.lock_step.settle()
    stage.tell(f"{dev.name}: the breaker is closed, {waiting.trade_id} goes out")


async def _trade(trader: Trader, of_position: str) -> dict[str, object]:
    return next(trade for trade in await trader.trades() if trade["position_id"] == of_position)


async def waves(stage: Stage) -> None:
    """Wave after wave of trades, each with a stop and a target, one of them near."""
    pairs = cycle((instrument, side) for side in ("BUY", "SELL") for instrument in stage.instruments)
    for wave in range(WAVES_MAX):
        hits = await _hits(stage)
        intents = sum(trader.intents for trader in stage.traders)
        if hits["stop_loss"] >= STOPS_MIN and hits["target"] >= TARGETS_MIN and intents >= INTENTS_MIN:
            return
        for number, trader in enumerate(stage.traders):
            instrument, side = next(pairs)
            below, above = (-NEAR_BP, FAR_BP) if (wave + number) % 2 == 0 else (-FAR_BP, NEAR_BP)
            low, high = stage.price(instrument, away_bp=below), stage.price(instrument, away_bp=above)
            terms = {"stop_loss": low, "target": high} if side == "BUY" else {"stop_loss": high, "target": low}
            # Buying and selling are two strategies, or each would close what the other holds.
            terms["strategy_id"] = f"str_demo_{side.lower()}"
            await stage.intend(trader, instrument, side, 10 + 5 * number, **terms)
        await stage.lock_step.advance(WAVE_S)
    hits = await _hits(stage)
    raise DemoBroken(f"after {WAVES_MAX} waves: {hits} hit")


async def _hits(stage: Stage) -> dict[str, int]:
    causes = [trade["exit_cause"] for trader in stage.traders for trade in await trader.trades()]
    return {cause: causes.count(cause) for cause in ("stop_loss", "target", "manual")}


async def by_hand(stage: Stage) -> None:
    """Positions closed by hand."""
    for trader, instrument in zip(stage.traders[:BY_HAND_MIN], reversed(stage.instruments), strict=False):
        await stage.intend(trader, instrument, "BUY", 20, stop_loss=stage.price(instrument, away_bp=-FAR_BP))
        await stage.lock_step.advance(5)
        await stage.close(trader, position_id(instrument))


async def day_loss(stage: Stage) -> None:
    """A trader who lost enough is stopped for the day."""
    results = {trader.name: Decimal((await trader.portfolio())["day_result"]) for trader in stage.traders}
    loser = stage.trader(min(results, key=lambda name: results[name]))
    before = await loser.set_limits(day_loss_max="0.01")
    await stage.intend(loser, stage.instruments[0], "BUY", 1)
    await loser.set_limits(**before)


async def finale(stage: Stage) -> None:
    """Everybody goes home flat, and the session runs to its end."""
    for trader in stage.traders:
        for position in await trader.positions():
            if position["net_quantity"] != 0:
                await stage.close(trader, position["position_id"])
    for _ in range(WAVE_S):
        if await _is_flat(stage):
            break
        await stage.lock_step.advance()
    while not stage.lock_step.now.done:
        await stage.lock_step.leap(LEAP_S)


async def _is_flat(stage: Stage) -> bool:
    held = [position["net_quantity"] for trader in stage.traders for position in await trader.positions()]
    return not any(held)
