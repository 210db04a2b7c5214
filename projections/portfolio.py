"""What positions are worth at the market's prices."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.account.holding import Holding, open_result_paise
from domain.market import Mark, trading_day
from domain.money import value_paise
from projections.ports import Marks, MarkSource
from projections.positions import PositionRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuedPosition:
    """A position with the mark it was valued at. Amounts in paise; all of the mark's fields None where there is none.

    `value_paise` is what the holding is worth, negative for a short. `mark_source` says whose price it is.
    `previous_close_e4` is the official close of the session before.
    """

    row: PositionRow
    mark_price_e4: int | None
    mark_time_ns: int | None
    mark_source: MarkSource | None
    previous_close_e4: int | None
    value_paise: int | None
    open_result_paise: int | None

    def day_result_paise(self, day: str) -> int:
        """Return what the exchange's *day* (ISO) brought: realised less charges, and the change of the open result.

        It began at the previous official close for what was carried, at the entry for the rest; what was carried
        counts from its cost where no close is known, and the open result is left out where no mark is.
        """
        carried = self.row.carried_into(day)
        result = self.row.realised_on(day) - self.row.charges_on(day) + (self.open_result_paise or 0)
        if not carried.net_quantity or self.previous_close_e4 is None:
            return result
        then = value_paise(
            price_e4=self.previous_close_e4, quantity=abs(carried.net_quantity), multiplier=self.row.multiplier
        )
        return result - open_result_paise(carried, mark_value_paise=then)


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """An account's positions in sum, in paise.

    `open_result_paise` covers the positions that have a mark; those that have none are named in `mark_missing` by
    symbol and count in the exposures at cost. `realised_paise` is before charges, `net_paise` after them; `total_paise`
    is that and the open result, `day_result_paise` what the day brought of it.
    """

    positions: list[ValuedPosition]
    realised_paise: int
    realised_today_paise: int
    charges_paise: int
    charges_today_paise: int
    open_result_paise: int
    day_result_paise: int
    total_paise: int
    gross_exposure_paise: int
    net_exposure_paise: int
    mark_missing: list[str]

    @property
    def net_paise(self) -> int:
        """What was ever realised, less all charges."""
        return self.realised_paise - self.charges_paise


def value_portfolio(rows: Sequence[PositionRow], marks: Marks, *, day: str) -> Portfolio:
    """Return the value of *rows* on the exchange's *day* (ISO), at the marks known now."""
    return sum_portfolio([value_position(row, marks, day=day) for row in rows], day=day)


def sum_portfolio(positions: list[ValuedPosition], *, day: str) -> Portfolio:
    """Return *positions* in sum on the exchange's *day* (ISO)."""
    rows = [position.row for position in positions]
    exposures = [p.row.cost_paise if p.value_paise is None else p.value_paise for p in positions]
    realised = sum(row.realised_paise for row in rows)
    charges = sum(row.charges_paise for row in rows)
    open_result = sum(position.open_result_paise or 0 for position in positions)
    return Portfolio(
        positions=positions,
        realised_paise=realised,
        realised_today_paise=sum(row.realised_on(day) for row in rows),
        charges_paise=charges,
        charges_today_paise=sum(row.charges_on(day) for row in rows),
        open_result_paise=open_result,
        day_result_paise=sum(position.day_result_paise(day) for position in positions),
        total_paise=realised - charges + open_result,
        gross_exposure_paise=sum(abs(exposure) for exposure in exposures),
        net_exposure_paise=sum(exposures),
        mark_missing=sorted({p.row.symbol for p in positions if p.row.net_quantity and p.mark_price_e4 is None}),
    )


def value_position(row: PositionRow, marks: Marks, *, day: str) -> ValuedPosition:
    """Return *row* with its value at the last mark of its instrument, on the exchange's *day* (ISO)."""
    return value_at(row, marks.mark_of(row.instrument), source=MarkSource.MARKET, day=day)


def value_at(row: PositionRow, mark: Mark | None, *, source: MarkSource | None, day: str) -> ValuedPosition:
    """Return *row* with its value at *mark*, which comes from *source*; None: there is no price to tell."""
    if mark is None:
        return ValuedPosition(
            row=row,
            mark_price_e4=None,
            mark_time_ns=None,
            mark_source=None,
            previous_close_e4=None,
            value_paise=None,
            open_result_paise=None,
        )
    worth = value_paise(price_e4=mark.last_price_e4, quantity=abs(row.net_quantity), multiplier=row.multiplier)
    holding = Holding(net_quantity=row.net_quantity, cost_paise=row.cost_paise)
    return ValuedPosition(
        row=row,
        mark_price_e4=mark.last_price_e4,
        mark_time_ns=mark.exchange_time_ns,
        mark_source=source,
        previous_close_e4=_previous_close_e4(mark, day),
        value_paise=worth if row.net_quantity >= 0 else -worth,
        open_result_paise=open_result_paise(holding, mark_value_paise=worth),
    )


def _previous_close_e4(mark: Mark, day: str) -> int | None:
    """Return the official close of the session before *day*.

    A mark of an earlier day tells the close before its own session, which is one too early; its last price is the
    nearest to the close that there is.
    """
    is_earlier = trading_day(mark.exchange_time_ns).isoformat() < day
    return mark.last_price_e4 if is_earlier else mark.previous_close_e4
