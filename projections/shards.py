"""How several projectors share the log: by streams, each of which belongs to one shard.

Every shard reads the whole log and passes over what is others', so that its checkpoint is a place in the log like any
other, and a reader knows what is in the read models: everything up to the lowest checkpoint of the shards.
"""

from zlib import crc32

SHARDS_MAX = 16


def shard_of(stream_id: str, shards: int) -> int:
    """Return which of *shards* (1 … 16) a stream belongs to: the same in every process and release."""
    return crc32(stream_id.encode()) % shards


def fair_share(shards: int, projectors: int) -> int:
    """Return how many of *shards* one of so many *projectors* keeps at most."""
    return -(-shards // max(1, projectors))
