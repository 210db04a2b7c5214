"""Publishing events so that the stream's sequence is the log's: every batch names the sequence that it follows.

By request and answer with a deadline, never by the driver's `publish_async`, whose futures stay open for ever when the
server refuses or goes away. Whatever goes wrong, the relay finds out from the stream's last sequence what was stored.
"""

import secrets
from collections.abc import Iterator, Sequence

import msgspec

from adapters.nats.connection import NatsConnection
from adapters.nats.stream import encode, subject_of
from domain.envelope import RecordedEvent

MESSAGES_MAX = 1_000
"""Messages of one atomic batch: as many as the server takes, for it works less for each in a large one."""
BYTES_MAX = 1024 * 1024
SINGLES_MAX = 64
"""An atomic batch takes the server about 2.7 ms whatever its size, a plain message 0.03 ms: up to here plain ones are
quicker."""
DEADLINE_S = 5.0
_WRONG_LAST_SEQUENCE = 10071
_EXPECTED = "Nats-Expected-Last-Sequence"
_HEADERS = b"NATS/1.0\r\nNats-Batch-Id: %b\r\nNats-Batch-Sequence: %d\r\n\r\n"
_HEADERS_ALONE = b"NATS/1.0\r\nNats-Expected-Last-Sequence: %d\r\n\r\n"


class OutOfStep(Exception):
    """The stream does not end where we thought: it was truncated or wiped, or another relay is at work."""


class PublishRefused(Exception):
    """The server refused a batch for another reason than its place."""


class _ApiError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PublishAnswer(msgspec.Struct):
    seq: int = 0
    error: _ApiError | None = None


Batch = list[tuple[RecordedEvent, bytes]]
"""Events with their bodies."""

_ANSWER = msgspec.json.Decoder(_PublishAnswer)


class LogPublisher:
    """Publishes events of one *epoch*; an answer is waited for *deadline_s* seconds."""

    def __init__(
        self,
        nats: NatsConnection,
        epoch: str,
        *,
        messages_max: int = MESSAGES_MAX,
        bytes_max: int = BYTES_MAX,
        singles_max: int = SINGLES_MAX,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._nats = nats
        self._epoch = epoch
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._singles_max = singles_max
        self._deadline_s = deadline_s
        self._subjects: dict[str, bytes] = {}

    def batches(self, events: Sequence[RecordedEvent]) -> Iterator[Batch]:
        """Yield *events* in batches that are sent at once."""
        batch: Batch = []
        size = 0
        for event in events:
            body = encode(event)
            if batch and (len(batch) == self._messages_max or size + len(body) > self._bytes_max):
                yield batch
                batch, size = [], 0
            batch.append((event, body))
            size += len(body)
        if batch:
            yield batch

    async def publish(self, batch: Batch) -> None:
        """Publish a batch, whose first event follows the stream's last message. Where it fails, a part may be stored.

        Raises:
            OutOfStep: the stream does not end right before the first event.
            PublishRefused, TimeoutError, nats.errors.Error: what was stored is for the stream to tell.
        """
        follows = batch[0][0].sequence - 1
        if len(batch) <= self._singles_max:
            answer = await self._publish_one_by_one(batch)
        else:
            answer = await self._publish_atomically(batch, follows)
        if answer.error is not None:
            if answer.error.err_code == _WRONG_LAST_SEQUENCE:
                raise OutOfStep(answer.error.description)
            raise PublishRefused(f"{answer.error.err_code} {answer.error.description}")
        if answer.seq != batch[-1][0].sequence:
            raise OutOfStep(f"sequence {batch[-1][0].sequence} was stored as {answer.seq}")

    async def _publish_one_by_one(self, batch: Batch) -> _PublishAnswer:
        """Send all, and wait for the last one's answer: it is stored at its place only if all before it are."""
        if len(batch) > 1:
            await self._nats.publish_many(
                [(self._subject(event), _HEADERS_ALONE % (event.sequence - 1), body) for event, body in batch[:-1]]
            )
        return await self._request(batch[-1], {_EXPECTED: str(batch[-1][0].sequence - 1)})

    async def _publish_atomically(self, batch: Batch, follows: int) -> _PublishAnswer:
        name = secrets.token_hex(8)
        messages = []
        for number, (event, body) in enumerate(batch[:-1], 1):
            messages.append((self._subject(event), _HEADERS % (name.encode(), number), body))
        subject, headers, body = messages[0]
        messages[0] = (subject, headers[:-2] + f"{_EXPECTED}: {follows}\r\n\r\n".encode(), body)
        await self._nats.publish_many(messages)
        commit = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(len(batch)), "Nats-Batch-Commit": "1"}
        return await self._request(batch[-1], commit)

    def _subject(self, event: RecordedEvent) -> bytes:
        category = event.stream_id.partition("-")[0]
        subject = self._subjects.get(category)
        if subject is None:
            subject = self._subjects[category] = subject_of(self._epoch, event.stream_id).encode()
        return subject

    async def _request(self, message: tuple[RecordedEvent, bytes], headers: dict[str, str]) -> _PublishAnswer:
        event, body = message
        subject = subject_of(self._epoch, event.stream_id)
        answer = await self._nats.request(subject, body, timeout=self._deadline_s, headers=headers)
        return _ANSWER.decode(answer.data)
