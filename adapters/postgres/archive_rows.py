"""What the database keeps of archive files."""

from collections.abc import Sequence
from typing import Any

from domain.integrity.archives import Archive

ARCHIVES = """
    -- Read archives in their order, from the one that has a sequence or ends after it.
    SELECT first_sequence, last_sequence, file, byte_count, checksum, row_count, first_previous_hash, last_hash,
        (extract(epoch FROM first_recorded_at) * 1000000)::bigint,
        (extract(epoch FROM last_recorded_at) * 1000000)::bigint
    FROM log.archives
    WHERE last_sequence >= %s
    ORDER BY first_sequence
    LIMIT %s
"""
INDEX = """
    -- Read where the streams of an archive lie in it.
    SELECT stream_id, first_version, last_version, first_sequence, last_sequence
    FROM log.archive_streams
    WHERE archive = %s
"""


def archive_of(row: Sequence[Any]) -> Archive:
    """Return the archive of a row of `ARCHIVES`."""
    (
        first_sequence, last_sequence, file, byte_count, checksum, row_count, first_previous_hash, last_hash,
        first_recorded_at_us, last_recorded_at_us,
    ) = row  # fmt: skip
    return Archive(
        first_sequence=first_sequence,
        last_sequence=last_sequence,
        file=file,
        byte_count=byte_count,
        checksum=checksum,
        row_count=row_count,
        first_previous_hash=first_previous_hash,
        last_hash=last_hash,
        first_recorded_at_us=first_recorded_at_us,
        last_recorded_at_us=last_recorded_at_us,
    )
