"""Paths that are no part of the broker: step the tape, order faults, trade by hand, look into the books."""

import hmac
from typing import Any, TypeVar

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters.simulator.books.account import FROM_ELSEWHERE
from adapters.simulator.desk import Desk
from adapters.simulator.faults.call_faults import IMMEDIATE, Fault, FaultKind
from adapters.simulator.faults.fault_plan import FaultPlan, PlanInvalid, PlayedPlan
from adapters.simulator.faults.update_faults import UpdateFault, UpdateFaultKind
from adapters.simulator.paths.intake import read_order
from adapters.simulator.paths.striking import NOWHERE_TO_COME_BACK, Impossible, strike_at_once
from adapters.simulator.sockets.feed import DISCONNECT_REASONS
from adapters.simulator.words.answers import Handler, answer
from adapters.simulator.words.refusals import Refusal
from adapters.simulator.words.rows import books_of
from domain.instrument import InstrumentKey, Segment

SECRET_HEADER = "x-simulator-secret"  # noqa: S105 - a header's name, no secret
_SECONDS_A_STEP_MAX = 22_500

Shape = TypeVar("Shape")


class AdminRefusal(Exception):
    """A request to `/admin` that makes no sense: the caller sees the status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _StepRequest(msgspec.Struct, forbid_unknown_fields=True):
    seconds: int = 1


class _FeedRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`disconnect` ends connections with this reason, those of `client_id` alone where it is given.

    The next `refuse_handshakes` connections are answered 429; `glues` holds for connections made from now on.
    """

    disconnect: int | None = None
    client_id: str | None = None
    refuse_handshakes: int = 0
    glues: bool | None = None


class _AddressRequest(msgspec.Struct, forbid_unknown_fields=True):
    client_id: str
    address: str | None = None


def admin_routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes under `/admin`."""
    admin = _Admin(desk)
    return [
        Route("/admin/session", admin.guarded(admin.session), methods=["GET"]),
        Route("/admin/step", admin.guarded(admin.step), methods=["POST"]),
        Route("/admin/faults", admin.guarded(admin.order_fault), methods=["POST"]),
        Route("/admin/faults", admin.guarded(admin.faults), methods=["GET"]),
        Route("/admin/faults/plan", admin.guarded(admin.plan_faults), methods=["POST"]),
        Route("/admin/orders", admin.guarded(admin.place_by_hand), methods=["POST"]),
        Route("/admin/faults", admin.guarded(admin.clear_faults), methods=["DELETE"]),
        Route("/admin/feed", admin.guarded(admin.disturb_feed), methods=["POST"]),
        Route("/admin/address", admin.guarded(admin.pretend_address), methods=["POST"]),
        Route("/admin/update-faults", admin.guarded(admin.order_update_fault), methods=["POST"]),
        Route("/admin/books", admin.guarded(admin.books), methods=["GET"]),
        Route("/admin/tape", admin.guarded(admin.tape), methods=["GET"]),
        Route("/admin/stamps", admin.guarded(admin.stamps), methods=["GET"]),
    ]


class _Admin:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._simulator = desk.simulator

    def guarded(self, handler: Handler) -> Handler:
        """Let in whoever knows the secret, and answer refusals."""

        async def guarded(request: Request) -> Response:
            given = request.headers.get(SECRET_HEADER, "")
            if not hmac.compare_digest(given.encode(), self._desk.config.secret.hex().encode()):
                return answer({"error": f"expected the simulator's secret in the header {SECRET_HEADER}"}, 403)
            try:
                return await handler(request)
            except AdminRefusal as refusal:
                return answer({"error": refusal.reason}, refusal.status)

        return guarded

    async def session(self, _: Request) -> Response:
        tape = self._desk.config.tape
        names = [{"segment": key.segment.value, "security_id": key.security_id} for key in tape.instruments]
        return answer(
            {
                **self._progress(),
                "lock_step": self._desk.config.lock_step,
                "is_open": self._simulator.is_open,
                "start_ns": tape.start_ns,
                "seconds": tape.seconds,
                "instruments": names,
                "feeds": self._desk.feed.packets,
                "listeners": self._desk.updates.listeners,
                "faults_waiting": self._desk.faults.waiting,
            }
        )

    async def step(self, request: Request) -> Response:
        if not self._desk.config.lock_step:
            raise AdminRefusal(409, "this simulator plays by itself, in real time")
        body = await request.body()
        seconds = _decoded(body or b"{}", _StepRequest).seconds
        if not 1 <= seconds <= _SECONDS_A_STEP_MAX:
            raise AdminRefusal(422, f"received {seconds} seconds, expected 1 to {_SECONDS_A_STEP_MAX}")
        async with self._desk.stepping:
            for _ in range(seconds):
                if not self._desk.play_second():
                    break
            await self._desk.feed.drained()
            await self._desk.updates.drained()
        return answer(self._progress())

    async def order_fault(self, request: Request) -> Response:
        fault = _decoded(await request.body(), Fault)
        told = answer({"waiting": self._desk.faults.waiting})
        try:
            if fault.kind is FaultKind.RESTART and self._desk.restart is not None:
                # Who asks for it is told before they are cut off like everybody else.
                told.background = BackgroundTask(strike_at_once, self._desk, fault)
            elif fault.kind in IMMEDIATE:
                strike_at_once(self._desk, fault)
            else:
                self._desk.faults.order(fault)
                told = answer({"waiting": self._desk.faults.waiting})
        except Impossible as error:
            raise AdminRefusal(409, str(error)) from None
        except ValueError as error:
            raise AdminRefusal(422, str(error)) from None
        return told

    async def plan_faults(self, request: Request) -> Response:
        """Let faults come by a plan from now on; the requests are counted anew."""
        try:
            plan = _decoded(await request.body(), FaultPlan)
        except PlanInvalid as error:
            raise AdminRefusal(422, str(error)) from None
        if plan.needs_journal and self._desk.restart is None:
            raise AdminRefusal(409, NOWHERE_TO_COME_BACK)
        self._desk.faults.source = PlayedPlan(plan)
        return answer({"seed": plan.seed})

    async def faults(self, _: Request) -> Response:
        """Tell which faults are still to come, and which came."""
        faults = self._desk.faults
        plan = faults.source.plan if isinstance(faults.source, PlayedPlan) else None
        return answer(
            {
                "waiting": faults.waiting,
                "plan": plan,
                "met": {kind.value: faults.account.counts[kind] for kind in sorted(faults.account.counts)},
                "last_met": list(faults.account.last),
            }
        )

    async def order_update_fault(self, request: Request) -> Response:
        fault = _decoded(await request.body(), UpdateFault)
        if fault.kind is UpdateFaultKind.RESET:
            self._desk.updates.reset(fault.client_id)
        elif fault.kind is UpdateFaultKind.DEAFEN:
            self._desk.updates.deafen(fault.client_id)
        else:
            try:
                self._desk.updates.faults.order(fault)
            except ValueError as error:
                raise AdminRefusal(422, str(error)) from None
        return answer({"waiting": self._desk.updates.faults.waiting})

    async def clear_faults(self, _: Request) -> Response:
        self._desk.faults.clear()
        self._desk.updates.faults.clear()
        return answer({"waiting": 0})

    async def place_by_hand(self, request: Request) -> Response:
        """Place an order as its client would with the broker's own web page: it carries no id of anybody's."""
        body = _decoded(await request.body(), dict[str, Any])
        client_id = str(body.get("dhanClientId", ""))
        try:
            wanted = read_order(
                {**body, "correlationId": FROM_ELSEWHERE},
                client_id=client_id,
                instruments=self._desk.config.instruments,
                market_time_ns=self._simulator.market_time_ns,
            )
            order = self._simulator.accept(client_id, wanted)
        except Refusal as refusal:
            return answer(refusal.body, refusal.status)
        self._desk.let_arrive(order)
        return answer({"orderId": order.order_id})

    async def disturb_feed(self, request: Request) -> Response:
        wanted, feed = _decoded(await request.body(), _FeedRequest), self._desk.feed
        if wanted.refuse_handshakes < 0 or wanted.disconnect not in {None, *DISCONNECT_REASONS}:
            raise AdminRefusal(422, f"received {wanted}, expected a count from 0 and a reason of {DISCONNECT_REASONS}")
        feed.handshakes_to_refuse += wanted.refuse_handshakes
        if wanted.glues is not None:
            feed.glues = wanted.glues
        if wanted.disconnect is not None:
            feed.disconnect(wanted.disconnect, client_id=wanted.client_id)
        return answer({"handshakes_to_refuse": feed.handshakes_to_refuse, "glues": feed.glues})

    async def pretend_address(self, request: Request) -> Response:
        """Take a client's requests as ones from another address, or again from where they come."""
        wanted = _decoded(await request.body(), _AddressRequest)
        try:
            self._desk.ips.pretend(wanted.client_id, wanted.address)
        except ValueError as error:
            raise AdminRefusal(422, str(error)) from None
        return answer({"client_id": wanted.client_id, "address": wanted.address})

    async def books(self, _: Request) -> Response:
        accounts = self._simulator.accounts.values()
        clients = {
            account.client_id: {
                **books_of(account),
                "available_paise": self._simulator.available_paise(account),
            }
            for account in accounts
        }
        return answer({**self._progress(), "clients": clients})

    async def tape(self, request: Request) -> Response:
        query = request.query_params
        try:
            key = InstrumentKey(Segment(query.get("segment", "NSE_EQ")), query["security_id"])
            first = int(query.get("from_step", "1"))
            last = int(query.get("to_step", str(self._simulator.step)))
        except (KeyError, ValueError):
            raise AdminRefusal(422, "expected security_id and whole numbers for from_step and to_step") from None
        found = self._simulator.prints(key, first_step=first, last_step=last)
        return answer(
            {
                "low_e4": found.low_e4 if found else None,
                "high_e4": found.high_e4 if found else None,
                "steps_with_prints": found.steps if found else 0,
            }
        )

    async def stamps(self, _: Request) -> Response:
        """Tell when the last orders came and the last executions were, by the machine's monotonic clock."""
        stamps = self._desk.stamps
        return answer({"arrived": list(stamps.arrived), "executed": list(stamps.executed)})

    def _progress(self) -> dict[str, Any]:
        return {
            "step": self._simulator.step,
            "market_time_ns": self._simulator.market_time_ns,
            "packets": self._desk.feed.packets_sent,
            "fills": self._simulator.executions,
            "done": self._simulator.done,
        }


def _decoded(body: bytes, shape: type[Shape]) -> Shape:
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.DecodeError as error:
        raise AdminRefusal(422, str(error)) from None
