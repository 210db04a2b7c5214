"""Process managers keep what they know of the log, so that a restart need not read far back."""

from infra.migrations.statements import run_files

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make room for snapshots of folds."""
    run_files("sql_0010")
