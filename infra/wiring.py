"""Which implementation stands behind which port. Nothing else chooses: read this to know what runs.

A process makes only the parts that its roles ask for, each once, and closes them in reverse order.
"""

from contextlib import AsyncExitStack
from functools import cached_property
from pathlib import Path

from nats.aio.client import Client as NatsClient

from adapters.clock import SystemClock
from adapters.dhan.broker import DhanBroker
from adapters.dhan.client import HttpClient
from adapters.dhan.feed import DhanFeed
from adapters.dhan.settings import DhanSettings
from adapters.dhan.tokens import PaperLogins, PinLogin
from adapters.ids import SystemIds
from adapters.instruments import InstrumentMaster
from adapters.nats.connection import connect
from adapters.nats.log_feed import JetStreamFeed
from adapters.nats.marks import MarksPublisher, NatsMarks
from adapters.nats.relay import Relay
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.leases import PostgresLease
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.user_keys import PostgresUserKeys
from adapters.postgres.views import PostgresViews
from adapters.postgres.watermarks import PostgresWatermarks
from adapters.security.passwords import Argon2Hasher
from adapters.security.personal_data import SealedPersonalData
from adapters.security.tokens import Ed25519Tokens
from adapters.simulator.config import SimulatorConfig
from adapters.simulator.recorded import read_recording
from adapters.simulator.synthetic import SyntheticTape
from adapters.simulator.tape import Tape
from commands.accounts import Accounts
from commands.executor import Executor, ExecutorSettings
from commands.protection import Protection
from commands.sender import Sender
from commands.users import Users
from domain.ids import AccountId
from domain.order import installation_code
from infra.runtime import Runtime

FEED_ACCOUNT = AccountId("acc_market_feed")
"""The market feed logs in at the broker as a client of its own, which never trades."""
SENDER_LEASE = "sender"
SYNTHETIC = "synthetic"


class Wiring:
    """The parts of one process."""

    def __init__(self, runtime: Runtime, stack: AsyncExitStack) -> None:
        self.runtime = runtime
        self._stack = stack
        self.clock = SystemClock()
        self.ids = SystemIds(self.clock)
        self._nats: NatsClient | None = None
        self._store: PostgresEventStore | None = None
        self._marks: NatsMarks | None = None
