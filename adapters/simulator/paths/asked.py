"""What a path is asked for, as far as it knows no HTTP: the broker's routes read it, and answer what comes back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.simulator.access.limits import Family
from adapters.simulator.faults.call_faults import Fault, FaultTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request whose client is known. `fault` is one that it meets, where it strikes inside of what is asked for."""

    client_id: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Write:
    """A path that changes something. What `do` returns is answered as JSON, None as 202 without a body.

    `has_quantity`: of what it is asked for the quantity is looked at before the address that it comes from.
    """

    method: str
    path: str
    do: Callable[[Asked], Any]
    target: FaultTarget
    family: Family = Family.ORDERS
    has_quantity: bool = False
