"""Faults by plan: how often each kind comes, and a seed that decides when.

Whether a request meets a fault, and which, follows from the seed and from what the request is: whose, to which target,
and the how-many-th of these. So the same plan and the same requests lead to the same faults, however the requests of
several clients lie among one another.
"""

from collections import Counter
from hashlib import blake2b
from typing import Annotated

import msgspec

from adapters.simulator.faults.call_faults import DELAY_MS_MAX, Fault, FaultKind, FaultTarget, meets

_WHOLE = 1 << 64
_UNPLANNED = frozenset({FaultKind.REVOKE_TOKEN})  # It strikes no call; kill_token does.
Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]


class PlanInvalid(ValueError):
    """A plan that cannot be played. Who asks for it is told why."""


class FaultPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`rates` has the share of the requests that meet a kind of fault, of those that can; together at most 1.

    `targets`, where it names any, are the requests that meet faults at all. Delays and quantities are drawn up to
    `delay_ms_max` and `quantity_max`.
    """

    seed: int
    rates: dict[FaultKind, Rate]
    targets: frozenset[FaultTarget] = frozenset()
    delay_ms_max: int = 1_000
    quantity_max: int = 10

    def __post_init__(self) -> None:
        if unplanned := sorted(_UNPLANNED & self.rates.keys()):
            raise PlanInvalid(f"received a rate for {', '.join(unplanned)}, which strikes no request")
        if sum(self.rates.values()) > 1:
            raise PlanInvalid(f"received rates of {sum(self.rates.values()):.3f} in all, expected 1 at most")
        if not 0 <= self.delay_ms_max <= DELAY_MS_MAX or self.quantity_max < 1:
            raise PlanInvalid(f"received {self}, expected a delay from 0 to {DELAY_MS_MAX} ms and a quantity from 1")

    @property
    def needs_journal(self) -> bool:
        """Whether the broker is to end and come back, which it can on a journal alone."""
        return FaultKind.RESTART in self.rates


def plan_from(text: str) -> FaultPlan:
    """Return the plan that *text* describes, such as `seed=7 delay=0.02 unavailable=0.01 delay_ms_max=300`.

    Raises:
        PlanInvalid: it describes none.
    """
    words = dict.fromkeys(text.split())
    pairs = [word.partition("=") for word in words]
    named = {name: value for name, _, value in pairs}
    if len(named) != len(pairs) or not all(value for _, _, value in pairs):
        raise PlanInvalid(f"received {text!r}, expected words of the form name=value, each name once")
    kinds = {kind.value for kind in FaultKind}
    plan = {name: value for name, value in named.items() if name not in kinds}
    rates = {name: value for name, value in named.items() if name in kinds}
    targets = plan.pop("targets", "")
    document = {**plan, "rates": rates, "targets": [word for word in targets.split(",") if word]}
    try:
        return msgspec.convert(document, FaultPlan, strict=False)
    except msgspec.ValidationError as error:
        raise PlanInvalid(f"received {text!r}: {error}") from error


class PlayedPlan:
    """A plan under way. Implements `adapters.simulator.faults.call_faults.FaultSource`."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self._requests: Counter[tuple[str, FaultTarget]] = Counter()

    def next(self, target: FaultTarget, *, client_id: str, path: str) -> Fault | None:
        """Return the fault that a client's next request to *target* meets, None where there is none."""
        number = self._requests[client_id, target]
        self._requests[client_id, target] += 1
        if self.plan.targets and target not in self.plan.targets:
            return None
        drawn = self._share(client_id, target, number, "kind")
        for kind in sorted(self.plan.rates):
            drawn -= self.plan.rates[kind]
            if drawn < 0:
                return self._fault(kind, target, client_id, number) if meets(kind, target, path) else None
        return None

    def _fault(self, kind: FaultKind, target: FaultTarget, client_id: str, number: int) -> Fault:
        delay_share = self._share(client_id, target, number, "delay")
        quantity_share = self._share(client_id, target, number, "quantity")
        return Fault(
            kind=kind,
            target=target,
            delay_ms=int(delay_share * (self.plan.delay_ms_max + 1)),
            quantity=1 + int(quantity_share * self.plan.quantity_max),
        )

    def _share(self, client_id: str, target: FaultTarget, number: int, use: str) -> float:
        """Return a number from 0 up to 1 that the seed and these words decide."""
        words = f"{self.plan.seed} {client_id} {target.value} {number} {use}"
        return int.from_bytes(blake2b(words.encode(), digest_size=8).digest()) / _WHOLE
