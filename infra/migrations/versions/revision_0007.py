"""Appends that stay quick while an old snapshot is held open."""

from infra.migrations.statements import run_files

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Give the ends of the log and of its streams an era to be found by, and let everybody find them so."""
    run_files("sql_0007")
