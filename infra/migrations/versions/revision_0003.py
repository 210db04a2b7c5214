"""How wide partitions are, what of the log lies in archives, and what the last anchor was."""

from infra.migrations.statements import run_files

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make everything."""
    run_files("sql_0003")
