"""Who of a running engine may be killed, and how they are found."""

import os
import signal
from enum import StrEnum

import psycopg

from infra.supervisor import Supervisor

_BUSY_BACKEND = """
    -- Find a server process that works for who appends, a busy one before one that waits.
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND usename = 'khata_writer'
    ORDER BY state = 'active' DESC, query_start DESC
    LIMIT 1
"""


class Victim(StrEnum):
    """Who may be killed. A role takes those along that share its process."""

    COMMAND_API = "command-api"
    EXECUTOR = "executor"
    PROJECTOR = "projector"
    RELAY = "relay"
    POSTGRES = "postgres"
    BACKEND = "backend"
    """A server process of PostgreSQL, which makes it end all of them and recover."""
    NATS = "nats"


_SERVERS = {Victim.POSTGRES, Victim.NATS}


def kill(engine: Supervisor, victim: Victim) -> None:
    """Kill *victim* by SIGKILL and return at once; who ended and was not started again yet has nothing to lose."""
    if victim is Victim.BACKEND:
        _kill_backend(engine)
    elif victim in _SERVERS:
        engine.server(victim.value).send(signal.SIGKILL)
    else:
        # The halves of the API may be one.
        role = victim.value if engine.runs(victim.value) else "api"
        engine.process_of(role).send(signal.SIGKILL)


def _kill_backend(engine: Supervisor) -> None:
    with psycopg.connect(engine.database_urls.admin, autocommit=True) as admin:
        row = admin.execute(_BUSY_BACKEND).fetchone()
    if row is not None:
        os.kill(row[0], signal.SIGKILL)
