"""`khata migrate`."""

import asyncio
import sys


def migrate() -> None:
    """Bring the database up to date: that of KHATA_DATABASE_URL, or the embedded one."""
    asyncio.run(_migrate())
    sys.stdout.write("The database is up to date.\n")


async def _migrate() -> None:
    from infra.logs import configure
    from infra.settings import load
    from infra.supervisor import Supervisor

    settings = load()
    configure(settings)
    # A start does it all: servers, roles, migrations. Without processes it is nothing else.
    async with Supervisor(settings, processes=()):
        pass
