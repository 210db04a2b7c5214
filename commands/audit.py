"""The audit book: log-ins and refusals, written down beside the log, a bounded number of them a second.

A note costs its caller nothing and never fails: it waits in memory until the next flush, a fraction of a second later,
so a process that is killed loses that fraction. A flood costs bounded room: what is more than the rate allows is
counted, and the count is one entry.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from commands.ports import AuditStore, Clock, StoreUnavailable
from domain.audit import AuditEntry, AuditKind, encode

log = structlog.get_logger(__name__)

RATE_PER_S = 5.0
BURST = 500
FLUSH_S = 0.2
_NS_PER_S = 1_000_000_000


class AuditBook:
    """Writes down what it is told: *rate_per_s* entries on average, *burst* of them at once.

    *pseudonym* turns a client's address into what may be kept of it.
    """

    def __init__(
        self,
        store: AuditStore,
        clock: Clock,
        *,
        pseudonym: Callable[[str], str],
        rate_per_s: float = RATE_PER_S,
        burst: int = BURST,
        flush_s: float = FLUSH_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._pseudonym = pseudonym
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._flush_s = flush_s
        self._allowed = float(burst)
        self._counted_at_ns = clock.monotonic_ns()
        self._pending: deque[bytes] = deque()
        self._suppressed = 0

    def note(self, entry: AuditEntry, *, client: str = "") -> None:
        """Take in what *client*, an address, did or was refused, to be written at the next flush."""
        now_ns = self._clock.monotonic_ns()
        earned = (now_ns - self._counted_at_ns) / _NS_PER_S * self._rate_per_s
        self._allowed = min(self._allowed + earned, self._burst)
        self._counted_at_ns = now_ns
        if self._allowed < 1 or len(self._pending) >= self._burst:
            self._suppressed += entry.count
            return
        self._allowed -= 1
        self._pending.append(encode(replace(entry, client=self._pseudonym(client) if client else "")))

    async def flush(self) -> None:
        """Write down what waits. What the log's database does not take stays for the next time."""
        bodies = list(self._pending)
        suppressed = self._suppressed
        if suppressed:
            more = AuditEntry(kind=AuditKind.SUPPRESSED, count=suppressed, received_at_ns=self._clock.wall_ns())
            bodies.append(encode(more))
        if not bodies:
            return
        try:
            await self._store.append(bodies)
        except StoreUnavailable as fault:
            log.warning("audit entries wait", entries=len(bodies), fault=str(fault))
            return
        for _ in range(len(bodies) - bool(suppressed)):
            self._pending.popleft()
        self._suppressed -= suppressed

    async def run(self) -> None:
        """Flush again and again until canceled, and once more then."""
        try:
            while True:
                await asyncio.sleep(self._flush_s)
                await self.flush()
        finally:
            await self.flush()
