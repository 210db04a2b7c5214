"""Read models in shards and generations, and what they could not take in."""

from infra.migrations.statements import run_files

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Give the projectors' shared tables their present form."""
    run_files("sql_0004")
