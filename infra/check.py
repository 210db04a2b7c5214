"""One thing that `khata doctor` looked at."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was found. `remedy` is empty where nothing is wrong."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
