"""Fresh ids: ULIDs, 48 bits of milliseconds and 80 random bits in Crockford's base 32.

Source: github.com/ulid/spec, its monotonic variant included.
"""

import secrets
from threading import Lock

from commands.ports import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BITS = 80
_NS_PER_MS = 1_000_000


class SystemIds:
    """Ids that sort by the time of their making, strictly within one process and to the millisecond between them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._lock = Lock()

    def new(self, prefix: str) -> str:
        """Return *prefix*, an underscore and 26 characters that were never returned before."""
        fresh = (self._clock.wall_ns() // _NS_PER_MS) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            # Within one millisecond, or when the wall clock stepped back, the next id is the last one plus one.
            later = fresh >> _RANDOM_BITS > self._last >> _RANDOM_BITS
            self._last = number = fresh if later else self._last + 1
        return f"{prefix}_{_crockford(number)}"


def made_at_ms(fresh_id: str) -> int:
    """Return when an id was made (UTC milliseconds since 1970), by the clock of who made it.

    Raises:
        ValueError: it is no id of ours.
    """
    _, _, ulid = fresh_id.rpartition("_")
    if len(ulid) != _LENGTH or not set(ulid) <= set(_ALPHABET):
        raise ValueError(f"received id {fresh_id!r}, expected a prefix, an underscore and {_LENGTH} characters")
    number = 0
    for character in ulid:
        number = number << 5 | _ALPHABET.index(character)
    return number >> _RANDOM_BITS


def _crockford(number: int) -> str:
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(5 * (_LENGTH - 1), -1, -5))
