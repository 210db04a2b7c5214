"""Running a revision's SQL, which lies in files beside it to be read as SQL."""

from importlib.resources import files

import psycopg
from alembic import op

_VERSIONS = files("infra.migrations") / "versions"


def run_files(folder: str) -> None:
    """Run the `.sql` files of *folder* in the order of their names, within the migration's transaction."""
    connection = op.get_bind().connection.driver_connection
    if not isinstance(connection, psycopg.Connection):
        message = f"expected a psycopg connection, received {type(connection).__name__}"
        raise TypeError(message)
    for file in sorted((_VERSIONS / folder).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".sql"):
            connection.execute(file.read_text(encoding="utf-8").encode())
