"""The simulator as a bench that measures execution sees it: its stamps, its faults, and clients that trade past us."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import httpx

from adapters.dhan.access.tokens import PAPER_TOTP
from adapters.dhan.words.codec import order_document, render_document
from adapters.simulator.access.clients import pin_of
from adapters.simulator.faults.call_faults import FaultKind, FaultTarget
from adapters.simulator.paths.admin_routes import SECRET_HEADER
from domain.ids import CorrelationId, VenueFillId
from domain.instrument import InstrumentKey
from domain.order import OrderInstruction, OrderType, Product, Side
from infra.bench.http_load import Ask, Caller

_FIRST_CLIENT = 2_000_000_000
"""Ids of ten digits that no paper account has: those begin with 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerStamps:
    """When orders came to the broker, by correlation id, and when fills were, by their ids (monotonic nanoseconds).

    `arrivals` are all that came, oldest first.
    """

    arrivals: Sequence[tuple[CorrelationId, int]]
    arrived_ns: dict[CorrelationId, int]
    executed_ns: dict[str, int]

    def filled_ns(self, venue_fill_id: VenueFillId) -> int | None:
        """Return when a fill of ours was at the broker, None where it is too long ago."""
        _, number, _ = venue_fill_id.split(":")
        return self.executed_ns.get(number)


class BrokerSide:
    """What is known at the broker, and what goes wrong there."""

    def __init__(self, url: str, secret: bytes) -> None:
        self._url = url
        self._secret = secret
        self._client = httpx.AsyncClient(base_url=url, headers={SECRET_HEADER: secret.hex()}, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def stamps(self) -> BrokerStamps:
        """Return the stamps of the last orders and fills."""
        told = await self._ask("GET", "/admin/stamps")
        arrivals = [(CorrelationId(name), at_ns) for name, at_ns in told["arrived"]]
        return BrokerStamps(arrivals=arrivals, arrived_ns=dict(reversed(arrivals)), executed_ns=dict(told["executed"]))

    async def lose_next_answer(self, kind: FaultKind) -> None:
        """Lose the answer to the next buy."""
        await self._ask("POST", "/admin/faults", {"kind": kind, "target": FaultTarget.PLACE, "side": Side.BUY.value})

    async def strike_all(self, kind: FaultKind) -> None:
        """Let every order meet a fault, until `heal`."""
        await self._ask("POST", "/admin/faults/plan", {"seed": 1, "rates": {kind: 1.0}, "targets": [FaultTarget.PLACE]})

    async def heal(self) -> None:
        """Let nothing go wrong any more."""
        await self._ask("DELETE", "/admin/faults")

    async def struck(self, kind: FaultKind) -> list[CorrelationId]:
        """Return the orders that met a kind of fault, oldest first."""
        told = await self._ask("GET", "/admin/faults")
        return [CorrelationId(met["correlation_id"]) for met in told["last_met"] if met["kind"] == kind]

    async def bare_callers(self, amount: int, instrument: InstrumentKey) -> tuple[Caller, ...]:
        """Log in so many clients of the broker that buy what we buy, without us."""
        bought = OrderInstruction(
            instrument=instrument,
            side=Side.BUY,
            quantity=1,
            order_type=OrderType.MARKET,
            limit_price_e4=None,
            product=Product.INTRADAY,
        )
        callers = []
        for number in range(amount):
            client_id = str(_FIRST_CLIENT + number)
            query = {"dhanClientId": client_id, "pin": pin_of(client_id, secret=self._secret), "totp": PAPER_TOTP}
            answer = await self._client.post("/app/generateAccessToken", params=query)
            answer.raise_for_status()
            document = order_document(client_id, bought, CorrelationId(f"bare{number}"))
            headers = (("access-token", answer.json()["accessToken"]), ("client-id", client_id))
            callers.append(
                Caller(number=number, asks=(Ask("POST", "/v2/orders", render_document(document)),), headers=headers)
            )
        return tuple(callers)

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._client.request(method, path, json=body)
        answer.raise_for_status()
        return answer.json()
