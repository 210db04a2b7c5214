"""Fakes of what lies beside the log, and a clock that the test moves."""

from collections.abc import Sequence

from commands.ports import HasherBusy, StoreUnavailable
from domain.audit import AuditEntry, decode
from domain.ids import UserId


class ManualClock:
    """Stands still until it is told to move. Implements `commands.ports.Clock`."""

    def __init__(self, wall_ns: int = 1_790_000_000_000_000_000) -> None:
        self.now_ns = wall_ns
        self.tick_ns = 0

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        return self.tick_ns

    def advance_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1_000_000_000)
        self.tick_ns += int(seconds * 1_000_000_000)


class MemoryAudit:
    """Audit entries in memory. Implements `commands.ports.AuditStore`; `is_away` makes it unavailable."""

    def __init__(self) -> None:
        self.entries: list[AuditEntry] = []
        self.is_away = False

    async def append(self, bodies: Sequence[bytes]) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        self.entries += map(decode, bodies)


class MemoryUserKeys:
    """Wrapped keys in memory. Implements `adapters.security.personal_data.UserKeys`."""

    def __init__(self) -> None:
        self.wrapped: dict[tuple[UserId, str], bytes] = {}

    async def put(self, user_id: UserId, purpose: str, wrapped: bytes) -> None:
        self.wrapped[user_id, purpose] = wrapped

    async def get(self, user_id: UserId, purpose: str) -> bytes | None:
        return self.wrapped.get((user_id, purpose))

    async def delete(self, user_id: UserId, purpose: str) -> None:
        self.wrapped.pop((user_id, purpose), None)


class MemoryPasswords:
    """Password hashes in memory. Implements `commands.ports.Passwords`."""

    def __init__(self) -> None:
        self.hashes: dict[UserId, str] = {}

    async def keep(self, user_id: UserId, password_hash: str) -> None:
        self.hashes[user_id] = password_hash

    async def find(self, user_id: UserId) -> str | None:
        return self.hashes.get(user_id)

    async def drop(self, user_id: UserId) -> None:
        self.hashes.pop(user_id, None)


class PlainHasher:
    """Keeps a password as it is, at once. Implements `commands.ports.PasswordHasher` for tests of everything else."""

    def __init__(self) -> None:
        self.is_busy = False

    async def hash(self, password: str) -> str:
        self._demand_room()
        return f"plain:{password}"

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self._demand_room()
        return password_hash == f"plain:{password}"

    def _demand_room(self) -> None:
        if self.is_busy:
            raise HasherBusy
