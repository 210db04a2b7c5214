"""What erasing a user and putting the log back to an older state need of the database."""

from infra.migrations.statements import run_files

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add two functions."""
    run_files("sql_0005")
