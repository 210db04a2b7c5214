"""Whether trading in an instrument is over for the day, as the session table has it."""

from commands.known_instruments import known_instrument
from commands.ports import Instruments, Sessions
from domain.instrument import InstrumentKey
from domain.session import Phase


class ClosingTime:
    """Tells when nothing more can be executed. Where that is not known, it is never over."""

    def __init__(self, *, instruments: Instruments, sessions: Sessions) -> None:
        self._instruments = instruments
        self._sessions = sessions

    def is_over(self, key: InstrumentKey, market_time_ns: int) -> bool:
        """Tell whether the day's trading in an instrument is over at *market_time_ns* (UTC)."""
        instrument = known_instrument(self._instruments, key, market_time_ns=market_time_ns)
        moment = None if instrument is None else self._sessions.moment_of(instrument, market_time_ns)
        if moment is None or moment.phase is not Phase.CLOSED:
            return False
        return moment.continuous_until_ns is None or market_time_ns >= moment.continuous_until_ns
