"""Stored states in memory."""

from collections.abc import Iterable, Sequence

from domain.ids import AccountId
from projections.ports import StoredState
from projections.read_model import AnyReadModel, Key, Row


class MemoryStates:
    """Implements `projections.ports.StatesStore` over nothing but what is put into it.

    `head` is how far the tables are; `tables` holds what `rows_now` finds.
    """

    def __init__(self) -> None:
        self.states: dict[tuple[AnyReadModel, AccountId], dict[int, StoredState]] = {}
        self.tables: dict[AnyReadModel, dict[Key, Row]] = {}
        self.head = 0
        self.kept_progress = 0

    async def prepare(self) -> None:
        return

    async def claim(self) -> bool:
        return True

    async def reached(self, models: Sequence[AnyReadModel]) -> int:  # noqa: ARG002 - they move together
        return self.head

    async def progress(self, models: Sequence[AnyReadModel]) -> int:  # noqa: ARG002 - there is one set
        return self.kept_progress

    async def newest(
        self, account_id: AccountId, models: Sequence[AnyReadModel], *, sequence: int
    ) -> dict[AnyReadModel, StoredState]:
        found = {}
        for model in models:
            states = self.states.get((model, account_id), {})
            if before := [at for at in states if at <= sequence]:
                found[model] = states[max(before)]
        return found

    async def versions(self, accounts: Sequence[AccountId], models: Sequence[AnyReadModel]) -> dict[AccountId, int]:
        versions = {}
        for account_id in accounts:
            newest = await self.newest(account_id, models, sequence=2**62)
            versions[account_id] = min((newest[m].version if m in newest else 0 for m in models), default=0)
        return versions

    async def rows_now(self, model: AnyReadModel, keys: Iterable[Key]) -> dict[Key, Row]:
        rows = self.tables.get(model, {})
        return {key: rows[key] for key in keys if key in rows}

    async def save(self, states: Sequence[tuple[AnyReadModel, StoredState]]) -> None:
        for model, state in states:
            self.states.setdefault((model, state.account_id), {})[state.sequence] = state

    async def move_to(self, models: Sequence[AnyReadModel], sequence: int) -> None:  # noqa: ARG002 - likewise
        self.kept_progress = sequence
