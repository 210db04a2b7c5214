"""Logs whose partitions are small, so that a test has several of them, and archives of some."""

import psycopg

from infra.database import DatabaseUrls


def make_partitions_small(database: DatabaseUrls, width: int) -> None:
    """Let each partition hold *width* sequences, in a log that is still empty."""
    with psycopg.connect(database.owner, autocommit=True) as owner:
        partitions = owner.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log.events'::regclass"
        ).fetchall()
        for (partition,) in partitions:
            owner.execute(f"DROP TABLE {partition}".encode())
        owner.execute("UPDATE log.layout SET partition_width = %s", (width,))
        owner.execute("SELECT log.prepare_partitions()")
