"""From a time to a place in the log."""

from infra.migrations.statements import run_files

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make everything."""
    run_files("sql_0005")
