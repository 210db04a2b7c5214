"""Erasing a person: what sealed their data is destroyed, and the log says that it was.

The order matters. The list outside the database comes first: whatever stops after it, the erasure is applied again, by
asking again or by a restore. The key comes next, for without it nothing that the log, its archive and its backups hold
of the person can be opened. The event comes last; from it every version of a view learns of the erasure, and a rebuild
as well. Each step may be repeated.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from commands.ports import (
    Append,
    BrokerCredentials,
    Claims,
    Clock,
    Erasures,
    EventStore,
    Ids,
    NewEvent,
    ParkedViews,
    Passwords,
    PersonalData,
    RefreshTokens,
    StrategySources,
    StreamAppend,
    VersionConflict,
)
from domain.envelope import Metadata, RecordedEvent
from domain.events import EventUnknown, decode, encode, name_of
from domain.ids import UserId
from domain.user.decide import EraseUser, UserUnknown
from domain.user.decide import decider as user_decider
from domain.user.events import UserEvent

_ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasing:
    """Erases users. The parts are ports; `views` are those that no projector keeps up to date."""

    store: EventStore
    ids: Ids
    clock: Clock
    passwords: Passwords
    log_ins: RefreshTokens
    credentials: BrokerCredentials
    sources: StrategySources
    personal_data: PersonalData
    claims: Claims
    views: ParkedViews
    erasures: Erasures

    async def erase(self, user_id: UserId, metadata: Metadata) -> int:
        """Erase a user and return the sequence from which on every view shows it. Safe to repeat.

        Raises:
            UserUnknown: nobody has this id; nothing was changed.
            StoreUnavailable, AppendOutcomeUnknown: erased in part; ask again.
        """
        if not await self.store.read_stream(_stream_of(user_id)):
            raise UserUnknown(f"received user {user_id}, expected one who is registered")
        await self.erasures.record(user_id, erased_at_ns=self.clock.wall_ns())
        return await self.apply(user_id, metadata)

    async def apply(self, user_id: UserId, metadata: Metadata) -> int:
        """Erase a user who is on the list, also where the log does not know them (any more); otherwise as `erase`.

        Return 0 where the log does not know them.
        """
        await self.personal_data.destroy_key(user_id)
        await self.credentials.drop_all(user_id)
        await self.passwords.drop(user_id)
        await self.log_ins.end_all(user_id)
        await self.sources.drop_all(user_id)
        await self.claims.release(user_id)
        sequence = await self._record(user_id, metadata)
        await self.views.erase(user_id)
        return sequence

    async def _record(self, user_id: UserId, metadata: Metadata) -> int:
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            stream = await self.store.read_stream(_stream_of(user_id))
            state = user_decider.fold(_known(stream))
            events = user_decider.decide(EraseUser(user_id=user_id), state)
            if not events:
                return stream[-1].sequence if stream else 0
            part = StreamAppend(
                stream_id=_stream_of(user_id),
                expected_version=stream[-1].version,
                events=tuple(NewEvent(name=name_of(event), payload=encode(event)) for event in events),
            )
            append = Append(command_id=self.ids.new("cmd"), streams=(part,), metadata=msgspec.json.encode(metadata))
            try:
                return (await self.store.append(append)).last_sequence
            except VersionConflict:
                if attempt == _ATTEMPTS_MAX:
                    raise
        raise AssertionError("the last attempt returns or raises")


def _known(stream: Iterable[RecordedEvent]) -> Iterator[UserEvent]:
    """Yield what this release knows of a user: what a later one wrote is no reason not to erase them."""
    for recorded in stream:
        with suppress(EventUnknown):
            event = decode(recorded.name, recorded.payload)
            if isinstance(event, UserEvent):
                yield event


def _stream_of(user_id: UserId) -> str:
    return f"user-{user_id}"
