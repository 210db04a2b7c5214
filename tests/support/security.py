"""Fakes of what lies beside the log, and a clock that the test moves."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.security.broker_credentials import SealedCredentials
from commands.ports import HasherBusy, Rotation, RotationOutcome, StoreUnavailable
from domain.audit import AuditEntry, decode
from domain.ids import AccountId, UserId


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


@dataclass
class _Family:
    """A log-in in memory."""

    user_id: UserId
    ends_at_us: int
    tokens: dict[bytes, tuple[int, int | None]]
    """When each token's time is over, and when it was spent."""


class MemoryRefreshTokens:
    """Refresh tokens in memory. Implements `commands.ports.RefreshTokens`."""

    def __init__(self) -> None:
        self.families: dict[str, _Family] = {}

    async def begin(
        self,
        family_id: str,
        user_id: UserId,
        token_hash: bytes,
        *,
        now_us: int,
        ends_at_us: int,
        family_ends_at_us: int,
    ) -> None:
        self.families = {name: family for name, family in self.families.items() if family.ends_at_us > now_us}
        self.families[family_id] = _Family(user_id, family_ends_at_us, {token_hash: (ends_at_us, None)})

    async def rotate(
        self, token_hash: bytes, successor_hash: bytes, *, now_us: int, ends_at_us: int, grace_us: int
    ) -> Rotation:
        family_id = self._family_of(token_hash)
        if family_id is None:
            return Rotation(outcome=RotationOutcome.UNKNOWN)
        family = self.families[family_id]
        token_ends_at_us, spent_at_us = family.tokens[token_hash]
        if min(token_ends_at_us, family.ends_at_us) <= now_us:
            return Rotation(outcome=RotationOutcome.UNKNOWN)
        if spent_at_us is None:
            family.tokens[token_hash] = (token_ends_at_us, now_us)
            family.tokens[successor_hash] = (min(ends_at_us, family.ends_at_us), None)
        successor_ends_at_us, successor_spent_at_us = family.tokens[successor_hash]
        is_lost_answer = spent_at_us is None or now_us - spent_at_us <= grace_us
        if successor_spent_at_us is not None or not is_lost_answer:
            del self.families[family_id]
            return Rotation(outcome=RotationOutcome.REUSED, user_id=family.user_id)
        return Rotation(outcome=RotationOutcome.ROTATED, user_id=family.user_id, ends_at_us=successor_ends_at_us)

    async def end_family(self, token_hash: bytes) -> None:
        family_id = self._family_of(token_hash)
        if family_id is not None:
            del self.families[family_id]

    async def end_all(self, user_id: UserId) -> None:
        self.families = {name: family for name, family in self.families.items() if family.user_id != user_id}

    def _family_of(self, token_hash: bytes) -> str | None:
        return next((name for name, family in self.families.items() if token_hash in family.tokens), None)


class MemorySealedRows:
    """Sealed credentials in memory. Implements `adapters.security.broker_credentials.SealedRows`."""

    def __init__(self) -> None:
        self.rows: dict[AccountId, SealedCredentials] = {}

    async def keep(self, account_id: AccountId, sealed: SealedCredentials) -> str | None:
        before = self.rows.get(account_id)
        self.rows[account_id] = sealed
        return None if before is None else before.key_name

    async def find(self, account_id: AccountId) -> SealedCredentials | None:
        return self.rows.get(account_id)

    async def accounts_of(self, user_id: UserId) -> list[AccountId]:
        return [account_id for account_id, sealed in self.rows.items() if sealed.user_id == user_id]

    async def drop(self, account_id: AccountId, key_name: str) -> None:
        if account_id in self.rows and self.rows[account_id].key_name == key_name:
            del self.rows[account_id]


class MemoryStrategySources:
    """Sources in memory. Implements `commands.ports.StrategySources`."""

    def __init__(self) -> None:
        self.sources: dict[tuple[UserId, str], str] = {}

    async def keep(self, user_id: UserId, source_hash: str, source: str) -> None:
        self.sources[user_id, source_hash] = source

    async def find(self, user_id: UserId, source_hash: str) -> str | None:
        return self.sources.get((user_id, source_hash))

    async def drop_all(self, user_id: UserId) -> None:
        self.sources = {name: source for name, source in self.sources.items() if name[0] != user_id}


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
