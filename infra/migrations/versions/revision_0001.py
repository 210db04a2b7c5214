"""The log, keys beside it, and room for the read models."""

from infra.migrations.statements import run_files

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make everything."""
    run_files("sql_0001")
