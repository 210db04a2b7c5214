"""Refresh tokens, sealed broker credentials and sources of strategies."""

from infra.migrations.statements import run_files

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables beside the log, and the function that exchanges a refresh token for the next."""
    run_files("sql_0008")
