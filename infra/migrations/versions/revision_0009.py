"""Sources of strategies may be read by those who only read."""

from infra.migrations.statements import run_files

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Let the role of queries read them."""
    run_files("sql_0009")
