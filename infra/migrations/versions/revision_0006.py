"""The audit table: log-ins and refusals."""

from infra.migrations.statements import run_files

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table, its head and the function that adds to it."""
    run_files("sql_0006")
