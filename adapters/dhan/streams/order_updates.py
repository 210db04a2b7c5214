"""Order updates: a websocket for each account watched, kept open, held for dead in time, and never taken for evidence.

The venue acknowledges no log-in and tells nothing again. So a connection counts as live when it has lasted a moment or
has told something, and whoever reads is told then that anything may have been missed. That a token is dead shows as a
connection that ends at once, which may have other causes; the reads that take over meanwhile find out, and the next
connection is made with the token that came of it.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from adapters.dhan.access.tokens import Session, Tokens
from adapters.dhan.settings import DhanSettings
from adapters.dhan.streams.sockets import Dropped, Pauses, open_socket, session_of_account
from adapters.dhan.streams.update_codec import login_message, order_update_of
from adapters.dhan.words.codec import AnswerMalformed
from commands.ports import OnUpdate
from domain.ids import AccountId

log = structlog.get_logger(__name__)

_TOKEN_LOOK_S = 5.0
"""So often a connection to which nothing comes looks whether its token is still the one in use."""


class DhanOrderUpdates:
    """Updates of every account watched, as far as there is room. Implements `commands.ports.OrderUpdates`."""

    def __init__(self, settings: DhanSettings, tokens: Tokens) -> None:
        self._settings = settings
        self._tokens = tokens
        self._lines: dict[AccountId, _Line] = {}
        self._running: dict[AccountId, asyncio.Task[None]] = {}
        self._watched: frozenset[AccountId] = frozenset()
        self._unwatched_at: dict[AccountId, float] = {}
        self._is_to_arrange = asyncio.Event()
        self._connecting = asyncio.Semaphore(settings.updates_connecting_max)
        self._counts: Counter[str] = Counter()

    # --- Looking ---

    def is_live(self, account_id: AccountId) -> bool:
        """Tell whether the venue is believed to tell of an account now."""
        line = self._lines.get(account_id)
        return line is not None and line.is_live

    def status(self) -> dict[str, Any]:
        """Return the state of the connections and counts, for people and probes."""
        return {
            "watched": len(self._watched),
            "live": sum(line.is_live for line in self._lines.values()),
            "without_room": len(self._watched - self._lines.keys()),
            "connections": self._counts["connections"],
            "updates": self._counts["updates"],
            "frames_malformed": self._counts["frames_malformed"],
            "last_causes": {
                account_id: line.last_cause for account_id, line in self._lines.items() if not line.is_live
            },
        }

    # --- Running ---

    def watch(self, accounts: Collection[AccountId]) -> None:
        """Say of which accounts it shall be told from now on.

        One that is watched no longer keeps its connection for a while, in case it comes back, unless another wants it.
        """
        wanted = frozenset(accounts)
        if wanted != self._watched:
            self._watched = wanted
            self._is_to_arrange.set()

    def doubt(self, account_id: AccountId) -> None:
        """Connect anew for an account of which the venue was found not to tell."""
        line = self._lines.get(account_id)
        if line is not None:
            line.hang_up()

    async def run(self, on_update: OnUpdate) -> None:
        """Hand to *on_update* what the venue tells of the accounts watched, until canceled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._is_to_arrange.clear()
                self._arrange(group, on_update)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.updates_linger_s if self._unwatched_at else None):
                        await self._is_to_arrange.wait()

    def _arrange(self, group: asyncio.TaskGroup, on_update: OnUpdate) -> None:
        now = asyncio.get_running_loop().time()
        unwatched = self._lines.keys() - self._watched
        self._unwatched_at = {account_id: self._unwatched_at.get(account_id, now) for account_id in unwatched}
        for account_id, since in list(self._unwatched_at.items()):
            if now - since >= self._settings.updates_linger_s:
                self._end(account_id)
        for account_id in sorted(self._watched - self._lines.keys()):
            if not self._has_room():
                break  # Its books are read without being told, as always.
            line = self._lines[account_id] = _Line(
                account_id,
                settings=self._settings,
                tokens=self._tokens,
                on_update=on_update,
                connecting=self._connecting,
                counts=self._counts,
            )
            self._running[account_id] = group.create_task(line.run())

    def _has_room(self) -> bool:
        if len(self._lines) >= self._settings.updates_accounts_max and self._unwatched_at:
            self._end(min(self._unwatched_at, key=self._unwatched_at.__getitem__))
        return len(self._lines) < self._settings.updates_accounts_max

    def _end(self, account_id: AccountId) -> None:
        self._running.pop(account_id).cancel()
        del self._lines[account_id], self._unwatched_at[account_id]


class _Line:
    """One account's connection, made again whenever it ends."""

    def __init__(
        self,
        account_id: AccountId,
        *,
        settings: DhanSettings,
        tokens: Tokens,
        on_update: OnUpdate,
        connecting: asyncio.Semaphore,
        counts: Counter[str],
    ) -> None:
        self.is_live = False
        self.last_cause = "not connected yet"
        self._account_id = account_id
        self._settings = settings
        self._tokens = tokens
        self._on_update = on_update
        self._connecting = connecting
        self._counts = counts
        self._connection: ClientConnection | None = None

    def hang_up(self) -> None:
        """End the connection without waiting for the other side, which may be gone."""
        if self._connection is not None:
            self._connection.transport.abort()

    async def run(self) -> None:
        """Keep the connection until canceled."""
        settings = self._settings
        pauses = Pauses(
            first_s=settings.updates_backoff_s,
            longest_s=settings.updates_backoff_max_s,
            refused_s=settings.feed_refused_backoff_s,
        )
        while True:
            try:
                await self._run_once()
            except Dropped as dropped:
                self.last_cause = dropped.cause
                if self.is_live:
                    pauses.begin_anew()
                self.is_live = False
                if dropped.is_ours:
                    continue
                pause_s = pauses.after(dropped)
                log.warning(
                    "order updates dropped", account_id=self._account_id, cause=dropped.cause, again_in_s=pause_s
                )
                await asyncio.sleep(pause_s)

    async def _run_once(self) -> None:
        async with self._connecting:
            session = await session_of_account(self._tokens, self._account_id)
            connection = await open_socket(
                self._settings.updates_url, self._settings, ping_s=self._settings.updates_ping_s
            )
        self._connection = connection
        try:
            await connection.send(login_message(session))
            self._counts["connections"] += 1
            await self._settle(connection)
            while True:
                await self._listen(connection, session)
        except ConnectionClosed:
            # The cause is left behind on purpose: the library's message may hold what was sent.
            raise Dropped("connection lost") from None
        finally:
            self._connection = None
            connection.transport.abort()  # There is nothing to say goodbye for, and the other side may be gone.
            await connection.wait_closed()

    async def _settle(self, connection: ClientConnection) -> None:
        """Wait until the log-in has proven good: something came, or nothing, but no end either."""
        frame: str | bytes | None = None
        try:
            async with asyncio.timeout(self._settings.updates_settle_s):
                frame = await connection.recv()
        except TimeoutError:
            pass  # Nothing happened to the account's orders, which is how it usually is.
        self.is_live = True
        self._on_update(self._account_id, None)
        if frame is not None:
            self._take(frame)

    async def _listen(self, connection: ClientConnection, session: Session) -> None:
        try:
            async with asyncio.timeout(_TOKEN_LOOK_S):
                frame = await connection.recv()
        except TimeoutError:
            if self._tokens.held(self._account_id) not in {None, session}:
                raise Dropped("another token is in use", is_ours=True) from None
        else:
            self._take(frame)

    def _take(self, frame: str | bytes) -> None:
        try:
            update = order_update_of(frame)
        except AnswerMalformed as fault:
            self._counts["frames_malformed"] += 1
            log.warning("order update malformed", account_id=self._account_id, fault=str(fault))
            self._on_update(self._account_id, None)
            return
        if update is not None:
            self._counts["updates"] += 1
            self._on_update(self._account_id, update)
