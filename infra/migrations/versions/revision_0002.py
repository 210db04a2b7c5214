"""Commands by week, tracking beside the events, snapshots of aggregates."""

from infra.migrations.statements import run_files

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Bring the log to this revision."""
    run_files("sql_0002")
