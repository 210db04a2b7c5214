"""Snapshots in memory, and those that a test makes up."""

from commands.ports import Snapshot, StoreUnavailable


class MemorySnapshots:
    """Implements `commands.ports.Snapshots`. While `is_away`, nothing can be asked of it."""

    def __init__(self) -> None:
        self.kept: dict[str, Snapshot] = {}
        self.is_away = False

    async def find(self, stream_id: str) -> Snapshot | None:
        self._demand_presence()
        return self.kept.get(stream_id)

    async def keep(self, snapshot: Snapshot) -> None:
        self._demand_presence()
        known = self.kept.get(snapshot.stream_id)
        if known is None or known.version < snapshot.version or known.schema != snapshot.schema:
            self.kept[snapshot.stream_id] = snapshot

    def _demand_presence(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the snapshots are away")
