"""An instrument master with options on the NIFTY, and a share that was delivered."""

from datetime import date

from adapters.instruments import InstrumentMaster
from domain.instrument import Instrument, InstrumentKey, InstrumentKind, OptionType, Segment
from tests.support.tape import INSTRUMENTS

NEAR, NEXT = "2026-04-16", "2026-04-23"
STRIKES = (23_900, 24_000, 24_100, 24_200)


def option(security_id: int, strike: int, option_type: OptionType, expires_on: str) -> Instrument:
    """Return an option on the NIFTY."""
    right = "CE" if option_type is OptionType.CALL else "PE"
    day = f"{date.fromisoformat(expires_on):%d %b %Y}".upper()
    return Instrument(
        key=InstrumentKey(Segment.NSE_FNO, str(security_id)),
        symbol=f"NIFTY {day} {strike} {right}",
        name=f"NIFTY {day} {strike} {right}",
        tradable=True,
        tick_e4=500,
        lot=65,
        kind=InstrumentKind.OPTION,
        expires_on=expires_on,
        underlying="NIFTY",
        strike_e4=strike * 10_000,
        option_type=option_type,
    )


OPTIONS = tuple(
    option(40_000 + 100 * week + 10 * number + side, strike, option_type, expires_on)
    for week, expires_on in enumerate((NEAR, NEXT))
    for number, strike in enumerate(STRIKES)
    for side, option_type in enumerate((OptionType.CALL, OptionType.PUT))
)
CALL = OPTIONS[4]
"""The near call at 24,100."""
OPTION_MARKET = InstrumentMaster(
    [(date.fromisoformat(each.valid_from or "0001-01-01"), each.instrument) for each in INSTRUMENTS.whole()]
    + [(date.min, each) for each in OPTIONS]
)
