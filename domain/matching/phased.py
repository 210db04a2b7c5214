"""Which matching an order meets in each phase of the session: it waits, joins an auction, trades, or is not taken.

`domain.session.PHASE_RULES` says which orders a phase takes, by type and validity; `domain.session_table` when it is
which. What is not taken is rejected, a modification to it as well. What is taken:

| phase | an order | prints |
|---|---|---|
| closed | waits for the first phase that takes it | are passed over |
| pre-open | joins the opening auction | are passed over: what they tell is indicative |
| continuous | meets the tape (`book`) | execute |
| closing auction, and its end | joins the closing auction | as in the pre-open |
| paused | none is taken | after an auction: its outcome; else they are passed over |
| post-close | MARKET rests as a limit at the closing price | at the closing price execute, others are passed over |

- **An auction's end.** Where the tape told others' interest (depth while orders were collected, or `on_interest`), the
  auction clears with it as soon as order entry ends. Where it did not, the first print with a volume in the pause
  behind is the outcome. With neither nobody trades.
- **What an opening auction leaves** goes into continuous trading in its order: LIMIT at its limit, MARKET as a limit at
  the opening price, or at the previous close where no price was found.
- **What continuous trading leaves** goes into the closing auction in its order, without the stops that have not
  triggered: they are withdrawn. For a stock without one it is withdrawn when the post-close begins.
- **What a closing auction leaves** is withdrawn.
- **The closing auction's base price** is the volume-weighted average price of the last fifteen minutes of continuous
  trading, else the last price, else the previous close. A limit further from it than `closing_band_bp` is rejected, and
  the price is found within.
- A cancel is obeyed in every phase. At the end of the day whoever drives the session calls `expire`; what waits for a
  session stays.

Source: NSE, equity market pre-open (unmatched orders move to the normal market at their limit, MARKET orders at the
price that was found, else at the previous close); SEBI, circular of 2026-01-16 (reference price, band of 3 %, limit
orders carried over, no stop-loss orders in the auction, post-close at the closing price).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from domain.market import NS_PER_S
from domain.matching.auction import CallAuction, Interest, equilibrium
from domain.matching.book import Matching, MatchingRules
from domain.matching.depth import Depth
from domain.matching.orders import (
    CannotModify,
    Execution,
    Happening,
    MatchingOrder,
    Rejection,
    Submission,
    Withdrawn,
    demand_sound,
    rejected,
)
from domain.order import OrderType, Side
from domain.session import PHASE_RULES, Phase

_BP = 10_000
_NS_PER_MINUTE = 60 * NS_PER_S
_REFERENCE_MINUTES = 15
_CLOSING = frozenset({Phase.CLOSING_AUCTION, Phase.CLOSING_AUCTION_END})
_AUCTIONS = _CLOSING | {Phase.PRE_OPEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionRules:
    """What of the auctions is a matter of the day.

    `market_first_in_pre_open` tells who comes first there (since 2026-09-07: market orders), `closing_band_bp` how far
    from its base price the closing auction may find its price.
    """

    market_first_in_pre_open: bool = True
    closing_band_bp: int = 300


class _RecentAverage:
    """Value and volume of prints by minute, as far back as the closing auction's reference price looks."""

    def __init__(self) -> None:
        self._minutes: dict[int, tuple[int, int]] = {}

    def add(self, price_e4: int, volume: int, time_ns: int) -> None:
        minute = time_ns // _NS_PER_MINUTE
        value, before = self._minutes.get(minute, (0, 0))
        self._minutes[minute] = (value + price_e4 * volume, before + volume)
        if len(self._minutes) > _REFERENCE_MINUTES + 1:
            del self._minutes[next(iter(self._minutes))]

    def price_e4(self, until_ns: int, *, tick_e4: int) -> int | None:
        """Return the average of the minutes before *until_ns*, rounded to the tick; None without a trade."""
        last = until_ns // _NS_PER_MINUTE
        recent = [sums for minute, sums in self._minutes.items() if last - _REFERENCE_MINUTES <= minute < last]
        value, volume = (sum(column) for column in zip(*recent, strict=True)) if recent else (0, 0)
        return (2 * value + volume * tick_e4) // (2 * volume * tick_e4) * tick_e4 if volume else None


class PhasedMatching:
    """One instrument through its day: the continuous matching, and the auctions before and behind it."""

    def __init__(
        self,
        matching: Matching,
        *,
        phase: Phase,
        previous_close_e4: int | None = None,
        auctions: AuctionRules | None = None,
    ) -> None:
        self._matching = matching
        self._phase = phase
        self._auctions = auctions or AuctionRules()
        self._previous_close_e4 = previous_close_e4
        self._recent = _RecentAverage()
        self._continuous_until_ns: int | None = None
        self._closing_price_e4: int | None = None
        self._auction: CallAuction | None = None
        self._is_closing = False
        self._base_e4: int | None = None
        self._found_e4: int | None = None
        self._others: tuple[Interest, ...] = ()
        self._waiting: dict[str, MatchingOrder] = {}
        if phase in _AUCTIONS:
            self._open_auction(phase)

    @property
    def phase(self) -> Phase:
        """Where the session is."""
        return self._phase

    @property
    def last_price_e4(self) -> int | None:
        """The price of the session's last trade, in an auction or outside, None before the first."""
        return self._matching.last_price_e4

    @property
    def base_price_e4(self) -> int | None:
        """The base price of the auction that collects orders, None where none does, or none is known."""
        return None if self._auction is None else self._base_e4

    def protection_limit_e4(self, side: Side) -> int | None:
        """Return the limit that a MARKET order on *side* gets at the last print, None before the first."""
        return self._matching.protection_limit_e4(side)

    def leaves_quantity(self, order_id: str) -> int:
        """Return what *order_id* still has to do, 0 where it is neither waiting, nor in an auction, nor in the book."""
        waiting = self._waiting.get(order_id)
        if waiting is not None:
            return waiting.quantity - waiting.filled_quantity
        in_auction = 0 if self._auction is None else self._auction.leaves_quantity(order_id)
        return in_auction or self._matching.leaves_quantity(order_id)

    def limit_of(self, order_id: str) -> int | None:
        """Return the limit that *order_id* works under in continuous trading, None where it does not."""
        return self._matching.limit_of(order_id)

    def begin_session(
        self, rules: MatchingRules, *, previous_close_e4: int | None, auctions: AuctionRules | None = None
    ) -> None:
        """Let *rules* and *auctions* (None: as before) hold for a new day, and forget what the last one traded."""
        self._matching.begin_session(rules)
        self._auctions = auctions or self._auctions
        self._previous_close_e4 = previous_close_e4
        self._recent = _RecentAverage()
        self._closing_price_e4 = self._continuous_until_ns = self._found_e4 = None

    def move_to(self, phase: Phase, *, time_ns: int) -> list[Happening]:
        """Let the session go on to *phase*, at *time_ns*, and return what came of it."""
        before, self._phase = self._phase, phase
        if phase is before or {phase, before} <= _CLOSING:
            return []
        happened: list[Happening] = []
        if before is Phase.CONTINUOUS:
            self._continuous_until_ns = time_ns
            self._matching.pause()
        if before in _AUCTIONS:
            happened += self._end_order_entry(time_ns)
        if phase is Phase.PAUSED:
            return happened
        happened += self._leave_auction(phase, time_ns)
        if phase in _AUCTIONS:
            self._open_auction(phase)
            happened += self._carry_over()
        elif phase is Phase.POST_CLOSE:
            happened += self._matching.expire()
            self._matching.forget_depth()  # It was that of continuous trading.
            self._closing_price_e4 = self.last_price_e4
        happened += self._release_waiting(time_ns)
        return happened

    def on_print(self, *, price_e4: int, volume: int, time_ns: int, depth: Depth | None = None) -> list[Happening]:
        """Take in one print, and the depth behind it, and return what came of it in this phase."""
        if self._phase is Phase.CONTINUOUS:
            self._recent.add(price_e4, volume, time_ns)
            return self._matching.on_print(price_e4=price_e4, volume=volume, time_ns=time_ns, depth=depth)
        if self._phase in _AUCTIONS:
            if depth is not None:
                self.on_interest(_interests_of(depth))
        elif self._phase is Phase.POST_CLOSE:
            if price_e4 == self._closing_price_e4:
                return self._matching.on_print(price_e4=price_e4, volume=volume, time_ns=time_ns)
        elif self._phase is Phase.PAUSED and self._auction is not None and self._found_e4 is None and volume > 0:
            return self._settle(self._auction, price_e4, volume, time_ns)
        return []

    def on_interest(self, others: Iterable[Interest]) -> None:
        """Take in what others want in the auction, in the place of what they wanted before. Elsewhere it means nothing.

        At one price they come in the order in which they are given, and before ours.
        """
        if self._phase in _AUCTIONS:
            self._others = tuple(others)

    def submit(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Take in an order that arrives at *time_ns*, as the phase has it."""
        demand_sound(order)
        rejection = self._rejection_of(order)
        if rejection is not None:
            return rejected(rejection)
        if self._phase is Phase.CLOSED:
            self._waiting[order.order_id] = order
            return _resting(order)
        if self._auction is not None:
            self._auction.join(order)
            return _resting(order)
        return self._matching.submit(self._at_close(order), time_ns=time_ns)

    def restore(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Take in an order that was at the exchange before this object was made, whatever the phase takes now."""
        if self._auction is not None and order.order_type is not OrderType.SL:
            self._auction.join(order)
            return _resting(order)
        return self._matching.restore(order, time_ns=time_ns)

    def modify(self, order: MatchingOrder, *, time_ns: int) -> Submission:
        """Make the order of this id what *order* says, as the phase has it.

        Raises:
            CannotModify: it is not here, or has executed as much already.
        """
        if not self.leaves_quantity(order.order_id):
            raise CannotModify(f"received {order}, expected an order that is waiting, in an auction or in the book")
        demand_sound(order)
        rejection = self._rejection_of(order)
        if rejection is not None:
            return rejected(rejection)
        waiting = self._waiting.get(order.order_id)
        if waiting is not None:
            if order.side is not waiting.side:
                raise CannotModify(f"received {order}, expected it on the side of {waiting}")
            self._waiting[order.order_id] = order
            return _resting(order)
        if self._auction is not None and self._auction.leaves_quantity(order.order_id):
            keeps_place = self._auction.modify(order)
            leaves = self._auction.leaves_quantity(order.order_id)
            return msgspec.structs.replace(_resting(order), resting_quantity=leaves, keeps_place=keeps_place)
        return self._matching.modify(self._at_close(order), time_ns=time_ns)

    def cancel(self, order_id: str) -> int:
        """Take *order_id* out and return what it still had to do, 0 where it was not here."""
        waiting = self._waiting.pop(order_id, None)
        if waiting is not None:
            return waiting.quantity - waiting.filled_quantity
        in_auction = 0 if self._auction is None else self._auction.leave(order_id)
        return in_auction or self._matching.cancel(order_id)

    def expire(self) -> list[Withdrawn]:
        """Empty book and auction at the end of the day and return what was in them. What waits for a session stays."""
        in_auction = [] if self._auction is None else _withdrawn(self._auction.empty())
        return [*in_auction, *self._matching.expire()]

    def _rejection_of(self, order: MatchingOrder) -> Rejection | None:
        rule = PHASE_RULES[self._phase]
        if order.order_type not in rule.order_types or order.time_in_force not in rule.times_in_force:
            return Rejection.PHASE
        if self._phase is Phase.POST_CLOSE and self._closing_price_e4 is None:
            return Rejection.PHASE
        if self._auction is None:
            return None  # The book looks for itself; what waits is looked at when its phase comes.
        lower, upper = self._band()
        limit = order.limit_price_e4
        if limit is not None and ((lower is not None and limit < lower) or (upper is not None and limit > upper)):
            return Rejection.PRICE_OUTSIDE_CIRCUITS
        return self._matching.rejection_of(order)

    def _band(self) -> tuple[int | None, int | None]:
        """Return the lowest and highest price that the auction may find."""
        lower, upper = self._matching.circuits_e4
        if not self._is_closing or self._base_e4 is None:
            return lower, upper
        width, tick = self._base_e4 * self._auctions.closing_band_bp // _BP, self._matching.tick_e4
        lowest, highest = -(-(self._base_e4 - width) // tick) * tick, (self._base_e4 + width) // tick * tick
        return max(lowest, lower or lowest), min(highest, upper or highest)

    def _at_close(self, order: MatchingOrder) -> MatchingOrder:
        """Return a MARKET order of the post-close as the limit at the closing price that it is, any other as it is."""
        if self._phase is not Phase.POST_CLOSE:
            return order
        return msgspec.structs.replace(order, order_type=OrderType.LIMIT, limit_price_e4=self._closing_price_e4)

    def _open_auction(self, phase: Phase) -> None:
        self._is_closing = phase in _CLOSING
        self._auction = CallAuction(market_first=self._is_closing or self._auctions.market_first_in_pre_open)
        self._others = ()
        self._base_e4 = self._previous_close_e4
        if self._is_closing:
            until_ns = self._continuous_until_ns
            average = None if until_ns is None else self._recent.price_e4(until_ns, tick_e4=self._matching.tick_e4)
            self._base_e4 = average or self._matching.last_price_e4 or self._previous_close_e4
        self._found_e4 = None

    def _carry_over(self) -> list[Happening]:
        """Let what continuous trading left join the auction."""
        withdrawn = []
        for order in self._matching.hand_over():
            if order.order_type is OrderType.SL or self._auction is None:
                withdrawn.append(order)
            else:
                self._auction.join(order)
        return list(_withdrawn(withdrawn))

    def _end_order_entry(self, time_ns: int) -> list[Happening]:
        auction, others, self._others = self._auction, self._others, ()
        if auction is None or not others:
            return []
        lower, upper = self._band()
        cleared = equilibrium(
            [*others, *auction.interests()], base_price_e4=self._base_e4, lower_e4=lower, upper_e4=upper
        )
        if cleared is None:
            return []
        self._matching.note_auction(price_e4=cleared.price_e4, volume=cleared.volume)
        return self._found(cleared.price_e4, auction.clear(others, cleared, time_ns=time_ns))

    def _settle(self, auction: CallAuction, price_e4: int, volume: int, time_ns: int) -> list[Happening]:
        lower, upper = self._band()
        if (lower is not None and price_e4 < lower) or (upper is not None and price_e4 > upper):
            return []
        shares = self._matching.note_auction(price_e4=price_e4, volume=volume)
        return self._found(price_e4, auction.settle(price_e4, shares, time_ns=time_ns))

    def _found(self, price_e4: int, executions: Mapping[Side, Sequence[Execution]]) -> list[Happening]:
        self._found_e4 = price_e4
        for side, done in executions.items():
            self._matching.note_taken(side, sum(execution.quantity for execution in done))
        return [execution for done in executions.values() for execution in done]

    def _leave_auction(self, phase: Phase, time_ns: int) -> list[Happening]:
        """Let what the auction left go where it belongs."""
        auction, self._auction = self._auction, None
        if auction is None:
            return []
        left = auction.empty()
        if self._is_closing or phase is not Phase.CONTINUOUS:
            return list(_withdrawn(left))
        happened: list[Happening] = []
        opening = self._found_e4 if self._found_e4 is not None else self._base_e4
        for order in left:
            priced = order
            if order.order_type is OrderType.MARKET and opening is not None:
                priced = msgspec.structs.replace(order, order_type=OrderType.LIMIT, limit_price_e4=opening)
            happened += self._matching.restore(priced, time_ns=time_ns).executions
        return happened

    def _release_waiting(self, time_ns: int) -> list[Happening]:
        """Let what waited for a session in, where the phase takes it."""
        happened: list[Happening] = []
        rule = PHASE_RULES[self._phase]
        if rule.after_market:
            return happened
        for order in list(self._waiting.values()):
            if order.order_type not in rule.order_types or order.time_in_force not in rule.times_in_force:
                continue
            del self._waiting[order.order_id]
            submission = self.submit(order, time_ns=time_ns)
            happened += submission.executions
            if submission.rejection is not None:
                happened.append(Withdrawn(order.order_id, order.quantity - order.filled_quantity))
        return happened


def _resting(order: MatchingOrder) -> Submission:
    return Submission(
        executions=(),
        limit_price_e4=order.limit_price_e4,
        resting_quantity=order.quantity - order.filled_quantity,
        canceled_quantity=0,
    )


def _withdrawn(orders: Iterable[MatchingOrder]) -> list[Withdrawn]:
    return [Withdrawn(order.order_id, order.quantity - order.filled_quantity) for order in orders]


def _interests_of(depth: Depth) -> list[Interest]:
    bids = [Interest(Side.BUY, level.price_e4, level.quantity) for level in depth.bids]
    return bids + [Interest(Side.SELL, level.price_e4, level.quantity) for level in depth.asks]
