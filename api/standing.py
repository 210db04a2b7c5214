"""How an account stands, now or at a moment of the past: what every view of its risk begins with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import Request

from api.moments import as_of_text
from api.services import Services, services_of
from domain.ids import AccountId, TradeId
from domain.instrument import InstrumentKey
from domain.market import trading_day
from domain.refusals import NotFound
from projections.as_of import Moment, PastQueries
from projections.exposure import Exposures, exposures_of
from projections.portfolio import Portfolio, sum_portfolio, value_portfolio
from projections.queries import PortfolioRows, ReadModelBehind
from projections.risk import RiskRow
from projections.trades import TradeRow


class AccountNotOpenYet(NotFound):
    """There was no such account at the moment asked for. The caller sees 404."""

    code = "ACCOUNT_NOT_OPEN_YET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An account on the exchange's day `risk.day`: its row, what it holds at the last prices, and through which trades.

    `prices_e4` are the marks by instrument. `as_of` is the time of the past it stands for, None: now.
    """

    risk: RiskRow
    portfolio: Portfolio
    trades: Sequence[TradeRow]
    prices_e4: Mapping[InstrumentKey, int]
    sequence: int
    as_of: str | None

    @property
    def is_known(self) -> bool:
        """Whether what needs prices is told.

        Of now a part is better than nothing, and it is told which; of the past nobody could mend it by waiting.
        """
        return self.as_of is None or not self.portfolio.mark_missing

    @property
    def trades_by_id(self) -> Mapping[TradeId, TradeRow]:
        """The trades that hold something, by their ids."""
        return {each.trade_id: each for each in self.trades}

    @property
    def exposures(self) -> Exposures:
        """What the account is exposed to."""
        return exposures_of(self.portfolio, self.trades, self.prices_e4.get)


async def standing_of(request: Request, account_id: AccountId, moment: Moment | None) -> Standing:
    """Return how an account stands at *moment*, None: now.

    Raises:
        AccountNotOpenYet, projections.queries.ReadModelBehind
    """
    services = services_of(request)
    past = services.past(moment)
    return await _now(services, account_id) if past is None else await _then(past, account_id)


async def _now(services: Services, account_id: AccountId) -> Standing:
    found = await services.queries.portfolio(account_id)
    if found.value is None:
        # The log knows the account, or its owner were no caller: the view does not yet.
        raise ReadModelBehind(wanted=found.sequence + 1, sequence=found.sequence)
    # The market's day; that of the newest event where no price has told the time yet.
    day = max(trading_day(services.marks.market_time_ns()).isoformat(), found.value.risk.day)
    portfolio = value_portfolio(found.value.positions, services.marks, day=day)
    return _standing(found.value, portfolio, day=day, sequence=found.sequence, as_of=None)


async def _then(past: PastQueries, account_id: AccountId) -> Standing:
    found = await past.portfolio(account_id)
    if found.value is None:
        raise AccountNotOpenYet(f"at sequence {found.sequence} your account was not open yet")
    day = past.day(found.value.risk.day)
    portfolio = sum_portfolio(await past.valued(account_id, found.value.positions, day=day), day=day)
    return _standing(found.value, portfolio, day=day, sequence=found.sequence, as_of=as_of_text(past.moment))


def _standing(rows: PortfolioRows, portfolio: Portfolio, *, day: str, sequence: int, as_of: str | None) -> Standing:
    return Standing(
        risk=rows.risk.on_day(day),
        portfolio=portfolio,
        trades=rows.trades,
        prices_e4={
            each.row.instrument: each.mark_price_e4 for each in portfolio.positions if each.mark_price_e4 is not None
        },
        sequence=sequence,
        as_of=as_of,
    )
