"""Kinds of requests, and how many of each a client may make."""

from dataclasses import dataclass
from enum import Enum

USERS_OF_AN_ADDRESS = 4
"""So many users at their full rate may share an address: an office, a family, a machine with several programs."""
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_HEALTH = frozenset({"/healthz", "/readyz", "/metrics"})
_DOCUMENTED = ("/docs", "/openapi.json")
_SIGN_IN = "/api/auth/"
_SEARCHED = "/api/instruments"


class RequestClass(Enum):
    """What kind of request it is: each kind has a rate of its own, and its name in the headers."""

    SIGN_IN = "sign-in"
    COMMAND = "commands"
    QUERY = "queries"
    SEARCH = "searches"
    HEALTH = "health"


def is_reading(method: str) -> bool:
    """Return whether requests of *method* change nothing."""
    return method in _READING


def is_about_the_process(path: str) -> bool:
    """Return whether *path* is about the process and its API, not about what the engine holds."""
    return path in _HEALTH or path.startswith(_DOCUMENTED)


def class_of(method: str, path: str) -> RequestClass:
    """Return the class of a request, whether there is such a route or not."""
    if path in _HEALTH:
        return RequestClass.HEALTH
    if not is_reading(method):
        return RequestClass.SIGN_IN if path.startswith(_SIGN_IN) else RequestClass.COMMAND
    return RequestClass.SEARCH if path.startswith(_SEARCHED) else RequestClass.QUERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How many requests of a class one user may make; an address `USERS_OF_AN_ADDRESS` times as many.

    Nobody is known yet who signs in, and nobody who asks for health: those two are of an address alone.
    `failed_sign_ins_max` is how often an address may fail to be one person within half an hour.
    Source: PCI DSS 8.3.4, here for one e-mail address and one client, so that nobody can lock another person out.
    """

    sign_ins_per_minute: int = 60
    failed_sign_ins_max: int = 10
    commands_per_second: int = 200
    queries_per_second: int = 200
    searches_per_second: int = 20
    health_per_second: int = 50

    def shared_by(self, processes: int) -> "Rates":
        """Return the rates that each of so many processes allows, so that together they allow these."""
        return Rates(
            sign_ins_per_minute=_share(self.sign_ins_per_minute, processes),
            failed_sign_ins_max=_share(self.failed_sign_ins_max, processes),
            commands_per_second=_share(self.commands_per_second, processes),
            queries_per_second=_share(self.queries_per_second, processes),
            searches_per_second=_share(self.searches_per_second, processes),
            health_per_second=_share(self.health_per_second, processes),
        )


def _share(rate: int, processes: int) -> int:
    return max(rate // processes, 1)
