"""The API over fakes of the ports, asked over HTTP without a socket."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters.clock import SystemClock
from adapters.ids import SystemIds
from adapters.instruments import InstrumentMaster
from adapters.memory.event_store import MemoryEventStore
from adapters.security.broker_credentials import CredentialsVault
from adapters.security.personal_data import SealedPersonalData
from adapters.security.tokens import Ed25519Tokens
from adapters.sessions import OpenSessions, shipped_table
from api.app import create_app
from api.rates import Rates
from api.services import Services
from commands.accounts import Accounts
from commands.audit import AuditBook
from commands.estimates import Estimates
from commands.log_ins import LogIns
from commands.ports import EventStore, Instruments, Sessions
from commands.profiles import Profiles
from commands.strategies import Strategies
from commands.users import Users
from domain.instrument import Instrument, InstrumentKey, InstrumentUnknown, Segment
from domain.market import Mark
from infra.instruments import directory_of
from infra.settings import Settings
from projections.as_of import History
from projections.historical_marks import BarMarks, EventMarks
from projections.past import PastAccounts
from projections.ports import LogOfThePast
from tests.support.doubt_reports import SetDoubtReports
from tests.support.memory_bars import MemoryBars
from tests.support.memory_queries import MemoryQueries
from tests.support.memory_states import MemoryStates
from tests.support.security import (
    ManualClock,
    MemoryAudit,
    MemoryPasswords,
    MemoryRefreshTokens,
    MemorySealedRows,
    MemoryStrategySources,
    MemoryUserKeys,
    PlainHasher,
)
from tests.support.tariffs import TARIFFS

RELIANCE = Instrument(
    key=InstrumentKey(Segment.NSE_EQ, "2885"),
    symbol="RELIANCE",
    name="Reliance Industries",
    tradable=True,
    tick_e4=500,
    lot=1,
)
NIFTY = Instrument(
    key=InstrumentKey(Segment.INDEX, "13"), symbol="NIFTY", name="Nifty 50", tradable=False, tick_e4=500, lot=1
)
PASSWORD = "monsoon over the ghats"
CALENDAR = shipped_table()
SIGNING_KEY = Ed25519PrivateKey.generate()
AMPLE = Rates(sign_ins_per_minute=10**6, commands_per_second=10**6, queries_per_second=10**6, health_per_second=10**6)
"""Rates for a clock that stands still: by it, all requests of a test are made at one moment."""


class FixedInstruments:
    """A small instrument master. Implements `commands.ports.Instruments`."""

    def __init__(self, instruments: Iterable[Instrument] = (RELIANCE, NIFTY)) -> None:
        self._by_symbol = {instrument.symbol: instrument for instrument in instruments}

    def by_symbol(self, symbol: str, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - all are always in force
        if symbol not in self._by_symbol:
            raise InstrumentUnknown(f"received symbol {symbol!r}, expected a known one")
        return self._by_symbol[symbol]

    def by_key(self, key: InstrumentKey, *, market_time_ns: int) -> Instrument:  # noqa: ARG002 - likewise
        return next(instrument for instrument in self._by_symbol.values() if instrument.key == key)


class QuietMarket:
    """Every instrument at one price, just traded. Implements `commands.ports.Marks`."""

    def __init__(self, clock: ManualClock, last_price_e4: int = 2_850_00_00) -> None:
        self._clock = clock
        self.last_price_e4 = last_price_e4

    def market_time_ns(self) -> int:
        return self._clock.wall_ns()

    def mark_of(self, instrument: InstrumentKey) -> Mark | None:
        now_ns = self._clock.wall_ns()
        return Mark(
            instrument=instrument,
            last_price_e4=self.last_price_e4,
            exchange_time_ns=now_ns,
            received_at_ns=now_ns,
            number=1,
        )


def signing_pem(key: Ed25519PrivateKey = SIGNING_KEY) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class WholeLog(EventStore, LogOfThePast, Protocol):
    """The log as commands and queries need it."""


class ApiWorld:
    """An API over a log of its own in memory, or over *log*.

    Tokens are checked by the machine's clock, so theirs is that one.
    """

    def __init__(
        self,
        *,
        log: WholeLog | None = None,
        market: Any = None,
        instruments: Instruments | None = None,
        sessions: Sessions | None = None,
        **options: Any,
    ) -> None:
        self.clock = ManualClock()
        listed = FixedInstruments() if instruments is None else instruments
        self.store = MemoryEventStore()
        self.log: WholeLog = self.store if log is None else log
        self.queries = MemoryQueries(self.log)
        self.states = MemoryStates()
        then = PastAccounts(states=self.states, log=self.log)
        self.hasher = PlainHasher()
        self.market = QuietMarket(self.clock) if market is None else market
        self.tokens = Ed25519Tokens(signing_pem(), clock=SystemClock())
        self.ids = SystemIds(self.clock)
        self.user_keys = MemoryUserKeys()
        self.personal_data = SealedPersonalData(
            master_key=bytes(32), lookup_key=bytes(32), keys=self.user_keys, clock=self.clock
        )
        self.passwords = MemoryPasswords()
        self.executor_key = X25519PrivateKey.generate()
        self.sealed_rows = MemorySealedRows()
        self.sources = MemoryStrategySources()
        self.refresh_tokens = MemoryRefreshTokens()
        log_ins = LogIns(
            tokens=self.refresh_tokens, clock=self.clock, ids=self.ids, derive=self.personal_data.lookup_hash
        )
        self.audit_store = MemoryAudit()
        self.bars = MemoryBars()
        self.doubt_reports = SetDoubtReports()
        self.services = Services(
            clock=self.clock,
            ids=self.ids,
            users=Users(
                store=self.log,
                ids=self.ids,
                hasher=self.hasher,
                passwords=self.passwords,
                personal_data=self.personal_data,
            ),
            estimates=Estimates(instruments=listed, tariffs=TARIFFS),
            profiles=Profiles(
                store=self.log,
                ids=self.ids,
                hasher=self.hasher,
                passwords=self.passwords,
                personal_data=self.personal_data,
                credentials=CredentialsVault(
                    executor_key=self.executor_key.public_key(), rows=self.sealed_rows, keys=self.user_keys
                ),
                log_ins=log_ins,
            ),
            log_ins=log_ins,
            strategies=Strategies(store=self.log, ids=self.ids, sources=self.sources),
            log=self.log,
            accounts=Accounts(
                store=self.log,
                clock=self.clock,
                ids=self.ids,
                marks=self.market,
                instruments=listed,
                sessions=OpenSessions() if sessions is None else sessions,
                tariffs=TARIFFS,
                entry_life_ms=5_000,
            ),
            tokens=self.tokens,
            queries=self.queries,
            # Times of the market come from the manual clock, those of the log do not: as on a tape.
            history=History(
                queries=self.queries,
                accounts=then,
                log=self.log,
                marks=BarMarks(EventMarks(then), self.bars),
                clock=self.clock,
                is_tape=True,
            ),
            marks=self.market,
            bars=self.bars,
            instruments=directory_of(Settings(home=Path("/nowhere")), InstrumentMaster.load()),
            personal_data=self.personal_data,
            audit=AuditBook(self.audit_store, self.clock, pseudonym=lambda address: f"client-{len(address)}"),
            doubt_reports=self.doubt_reports,
            calendar=lambda: CALENDAR,
            follows_calendar=sessions is not None,
            **{"rates": AMPLE, **options},
        )
        self.app = create_app(self.services)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://khata.test")

    async def log_in(self, email: str = "asha@example.in") -> dict[str, str]:
        """Register somebody and return the header that proves who asks."""
        person = {"email": email, "name": "Asha Rao", "password": PASSWORD}
        assert (await self.client.post("/api/auth/register", json=person)).status_code == 201
        answer = await self.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def stored(self) -> int:
        """Return how many events the log holds."""
        return (await self.log.head()).sequence
