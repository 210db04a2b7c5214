"""The mirror of the log in JetStream: its name, its limits and the form of its messages.

One stream for each epoch of the log. A message's sequence in the stream is the event's in the log, and its body is
the whole recorded event, hashes included, so that a reader can check what the transport handed it.
"""

from dataclasses import dataclass

import msgspec
from nats.aio.client import Client
from nats.js import api
from nats.js.errors import NotFoundError

from domain.envelope import RecordedEvent

MAX_AGE_S = 7 * 24 * 3600
MAX_BYTES = 2 * 1024**3
API_TIMEOUT_S = 5.0
_STREAM_NOT_FOUND = 10059

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(RecordedEvent)


def stream_name(epoch: str) -> str:
    """Return the stream that mirrors the log of *epoch* (letters, digits, hyphens)."""
    return f"khata-e{epoch}"


def subject_of(epoch: str, stream_id: str) -> str:
    """Return the subject of an event: streams of two epochs live side by side, so the epoch is part of it."""
    category = stream_id.partition("-")[0]
    plain = category if category.isascii() and category.isalnum() else "other"
    return f"khata.log.e{epoch}.{plain}"


def encode(event: RecordedEvent) -> bytes:
    """Return a message's body."""
    return _ENCODER.encode(event)


def decode(body: bytes) -> RecordedEvent:
    """Return the event in a message's body.

    Raises:
        msgspec.DecodeError: it is none of ours.
    """
    return _DECODER.decode(body)


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How much the mirror keeps; what is older is read from the log."""

    max_age_s: int = MAX_AGE_S
    max_bytes: int = MAX_BYTES


async def last_sequence(nats: Client, epoch: str) -> int | None:
    """Return the stream's last sequence, None where the server says that there is no such stream.

    A server or cluster that cannot say (no leader, no answer) raises: that is not the same as an empty stream.
    """
    try:
        info = await nats.jetstream(timeout=API_TIMEOUT_S).stream_info(stream_name(epoch))
    except NotFoundError as error:
        if error.err_code != _STREAM_NOT_FOUND:
            raise
        return None
    return info.state.last_seq


async def mirrors(nats: Client) -> dict[str, int]:
    """Return the last sequence of every mirror on the server, by its epoch."""
    prefix, jetstream = stream_name(""), nats.jetstream(timeout=API_TIMEOUT_S)
    found: list[api.StreamInfo] = []
    while page := await jetstream.streams_info(offset=len(found)):  # The server hands out a page at a time.
        found += page
    named = ((str(info.config.name), info.state.last_seq) for info in found)
    return {name.removeprefix(prefix): last for name, last in named if name.startswith(prefix)}


async def create_stream(nats: Client, epoch: str, *, first_sequence: int, limits: StreamLimits) -> None:
    """Make the stream so that its next message has *first_sequence*."""
    config = api.StreamConfig(
        name=stream_name(epoch),
        subjects=[f"khata.log.e{epoch}.>"],
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.OLD,
        storage=api.StorageType.FILE,
        max_age=limits.max_age_s,
        max_bytes=limits.max_bytes,
        first_seq=first_sequence,
        allow_atomic=True,
        allow_direct=False,
        deny_delete=True,
        duplicate_window=1,  # We send no message ids: a repeat is refused by its sequence.
    )
    await nats.jetstream(timeout=API_TIMEOUT_S).add_stream(config)
