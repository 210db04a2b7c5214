"""The places at which a schedule lets something go wrong."""

from enum import StrEnum


class Point(StrEnum):
    """A named place. A round that does not get to every one of them proves nothing and fails."""

    # The way of an append.
    APPEND_UNHEARD = "the connection breaks before the append reaches the server"
    APPEND_HEARD = "the connection breaks when the server has the append, before it answers"
    APPEND_UNTOLD = "the append is committed and the answer is lost"
    APPEND_SILENT = "the append is committed, and nothing is heard until the deadline has passed"
    CALLER_GONE = "the caller leaves while the append is under way, and comes back with the same key"
    SAME_COMMAND_AT_ONCE = "one key arrives at two writers at the same moment"
    SAME_COMMAND_AGAIN = "a key that was answered arrives again, at another writer"

    # The database.
    WRITER_BACKEND_ENDED = "the server's process under an append is terminated"
    LOCK_HELD = "a transaction keeps the head of the log locked"
    SNAPSHOT_HELD = "a transaction keeps an old snapshot of the log open"
    LISTENER_ENDED = "the server's process that the relay listens on is terminated"
    READERS_ENDED = "the server's processes that the log is read through are terminated"

    # The relay and its transport.
    RELAY_STOPPED_BETWEEN_BATCHES = "the relay stops between two batches, and another one goes on"
    RELAY_STOPPED_IN_BATCH = "the relay stops with half a batch sent"
    RELAY_UNTOLD = "a batch is stored and its acknowledgement is lost"
    TWO_RELAYS = "two relays mirror the log at once"
    STREAM_DELETED = "the stream is deleted under relay and reader"
    STREAM_PURGED = "the stream is emptied under relay and reader"
    TAIL_TRUNCATED = "the stream comes back without its tail"
    NATS_KILLED_IN_BATCH = "nats-server is killed with half a batch received"
    NATS_WIPED = "nats-server is killed and comes back with an empty store"

    # The projector.
    PROJECTOR_KILLED_IN_BATCH = "the projector dies with half a batch sent"
    PROJECTOR_KILLED_AFTER_COMMIT = "the projector dies right after a commit"
    PROJECTOR_UNTOLD = "a batch of the projector is committed and the answer is lost"
    TWO_PROJECTORS = "a second projector waits for the claim, and the first one dies"
    ONE_CLAIM = "two projectors work under one claim"
    PROJECTOR_HANGS = "the projector hangs until its claim has gone to another one, and goes on"


WRITING = (
    Point.APPEND_UNHEARD,
    Point.APPEND_HEARD,
    Point.APPEND_UNTOLD,
    Point.APPEND_SILENT,
    Point.CALLER_GONE,
    Point.SAME_COMMAND_AT_ONCE,
    Point.SAME_COMMAND_AGAIN,
    Point.WRITER_BACKEND_ENDED,
    Point.LOCK_HELD,
    Point.SNAPSHOT_HELD,
    Point.READERS_ENDED,
)
MIRRORING = (
    Point.LISTENER_ENDED,
    Point.RELAY_STOPPED_BETWEEN_BATCHES,
    Point.RELAY_STOPPED_IN_BATCH,
    Point.RELAY_UNTOLD,
    Point.TWO_RELAYS,
    Point.STREAM_DELETED,
    Point.STREAM_PURGED,
    Point.TAIL_TRUNCATED,
    Point.NATS_KILLED_IN_BATCH,
    Point.NATS_WIPED,
)
PROJECTING = (
    Point.PROJECTOR_KILLED_IN_BATCH,
    Point.PROJECTOR_KILLED_AFTER_COMMIT,
    Point.PROJECTOR_UNTOLD,
    Point.TWO_PROJECTORS,
    Point.ONE_CLAIM,
    Point.PROJECTOR_HANGS,
)
GROUPS = (WRITING, MIRRORING, PROJECTING)
"""Points that may be chosen together: at most one of each group, for two of one group would hide each other."""
EVERY_POINT = tuple(Point)
