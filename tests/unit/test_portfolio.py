"""What positions are worth at the market's last prices."""

from msgspec.structs import replace

from domain.ids import AccountId
from domain.instrument import InstrumentKey, Segment
from domain.market import Mark
from domain.order import Product
from projections.portfolio import value_portfolio
from projections.positions import PositionRow
from tests.support.specimens import ACCOUNT, INFY, RELIANCE, TODAY, infy_mark, mark

long = PositionRow(
    account_id=AccountId(ACCOUNT),
    segment=Segment.NSE_EQ,
    security_id="2885",
    product=Product.INTRADAY,
    symbol="RELIANCE",
    multiplier=1,
    net_quantity=10,
    cost_paise=28_000_00,
    realised_paise=5_00,
    day=TODAY,
    realised_day_paise=3_00,
    changed_at_us=7,
    sequence=7,
)
short = replace(long, security_id="1594", symbol="INFY", net_quantity=-4, cost_paise=-6_100_00, realised_paise=-1_00)
flat = replace(long, security_id="1333", symbol="HDFCBANK", net_quantity=0, cost_paise=0)


class KnownMarks:
    """The marks of two instruments. Implements `projections.ports.Marks`."""

    def __init__(self, *marks: Mark) -> None:
        self._marks = {each.instrument: each for each in marks}

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        return self._marks.get(instrument)


both = KnownMarks(mark, infy_mark)  # Reliance at 2,850, Infosys at 1,500.


def test_a_long_gains_what_its_value_exceeds_its_cost_by() -> None:
    portfolio = value_portfolio([long], both, day=TODAY)
    assert portfolio.open_result_paise == 28_500_00 - 28_000_00
    assert portfolio.total_paise == 505_00
    assert portfolio.gross_exposure_paise == portfolio.net_exposure_paise == 28_500_00


def test_a_short_gains_when_the_price_falls() -> None:
    portfolio = value_portfolio([short], both, day=TODAY)
    assert portfolio.open_result_paise == 6_100_00 - 6_000_00
    assert portfolio.gross_exposure_paise == 6_000_00
    assert portfolio.net_exposure_paise == -6_000_00


def test_long_and_short_add_up_gross_and_cancel_out_net() -> None:
    portfolio = value_portfolio([long, short, flat], both, day=TODAY)
    assert portfolio.gross_exposure_paise == 34_500_00
    assert portfolio.net_exposure_paise == 22_500_00
    assert portfolio.realised_paise == 5_00 - 1_00 + 5_00
    assert portfolio.realised_today_paise == 9_00
    assert portfolio.mark_missing == []


def test_a_position_without_a_mark_is_named_and_exposed_at_cost() -> None:
    portfolio = value_portfolio([long, short, flat], KnownMarks(infy_mark), day=TODAY)
    assert portfolio.mark_missing == ["RELIANCE"], "what is flat needs no mark"
    assert portfolio.gross_exposure_paise == 34_000_00
    assert portfolio.open_result_paise == 100_00
    valued = {each.row.symbol: each for each in portfolio.positions}
    assert valued["RELIANCE"].open_result_paise is None
    assert valued["INFY"].mark_price_e4 == infy_mark.last_price_e4


def test_the_multiplier_counts() -> None:
    portfolio = value_portfolio([replace(long, multiplier=50, cost_paise=0)], both, day=TODAY)
    assert portfolio.gross_exposure_paise == 50 * 28_500_00


def test_yesterdays_result_is_not_todays() -> None:
    assert value_portfolio([long], both, day="2026-11-21").realised_today_paise == 0
    assert long.instrument == RELIANCE
    assert short.instrument == INFY
