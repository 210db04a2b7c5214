"""Numbers that look like chance and are none: the same seed, instrument and moment give the same number, everywhere."""

from zlib import crc32

from domain.instrument import InstrumentKey

_MASK = (1 << 64) - 1


def seed_of(key: InstrumentKey, *parts: int) -> int:
    """Return a seed made of an instrument and of whole numbers, such as a moment."""
    seed = crc32(str(key).encode())
    for part in parts:
        seed = mixed(seed ^ part)
    return seed


def mixed(seed: int) -> int:
    """Return 64 bits in which every bit depends on every bit of *seed*. Source: the finaliser of splitmix64."""
    value = (seed + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
