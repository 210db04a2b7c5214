"""The broker's paths: log in, orders, trades, positions, money, feed."""

import re
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from adapters.simulator.access.clients import CLIENT_ID_LENGTH, TOTP_ACCEPTED, TokenDead, TokenExpired, pin_of
from adapters.simulator.access.limits import Family
from adapters.simulator.books.account import BookedOrder, Status
from adapters.simulator.desk import Desk
from adapters.simulator.faults.call_faults import Fault, FaultKind, FaultTarget
from adapters.simulator.paths.account_routes import account_reads
from adapters.simulator.paths.alert_paths import alert_reads, alert_writes
from adapters.simulator.paths.asked import Asked, Write
from adapters.simulator.paths.asking import asking
from adapters.simulator.paths.control_paths import control_writes
from adapters.simulator.paths.correlation import check_correlation_id
from adapters.simulator.paths.intake import check_quantity, read_change, read_order
from adapters.simulator.paths.order_paths import order_writes
from adapters.simulator.paths.standing_reads import standing_reads
from adapters.simulator.paths.striking import (
    strike_answer,
    strike_before,
    strike_books,
)
from adapters.simulator.sockets.feed import CLIENT_INVALID, TOKEN_EXPIRED, TOKEN_INVALID
from adapters.simulator.wires.connection import began_ns
from adapters.simulator.wires.stamps import Stamp
from adapters.simulator.words.answers import Handler, answer, guarded, json_of
from adapters.simulator.words.refusals import (
    INCORRECT_REQUEST,
    bad_input,
    order_error,
)
from adapters.simulator.words.rows import (
    execution_row,
    funds_row,
    order_row,
    position_row,
    profile_row,
    token_row,
)

_CLIENT_ID = re.compile(rf"\d{{{CLIENT_ID_LENGTH}}}")
_METHODS_WITH_BODY = frozenset({"POST", "PUT"})


def broker_routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes of everything the broker offers."""
    broker = _Broker(desk)
    reads: dict[str, Callable[[Request, str], Any]] = {
        "/v2/profile": broker.profile,
        "/v2/orders": broker.orders,
        "/v2/orders/external/{correlation_id}": broker.order_by_correlation_id,
        "/v2/orders/{order_id}": broker.order,
        "/v2/trades": broker.executions,
        "/v2/trades/": broker.executions,
        "/v2/trades/{order_id}": broker.executions_of_order,
        "/v2/positions": broker.positions,
        "/v2/fundlimit": broker.funds,
        **account_reads(desk),
        **standing_reads(desk),
        **alert_reads(desk),
    }
    writes = [*order_writes(desk), *alert_writes(desk), *control_writes(desk)]
    return [
        Route("/app/generateAccessToken", guarded(broker.log_in), methods=["POST"]),
        Route("/v2/orders", guarded(broker.place), methods=["POST"]),
        Route("/v2/orders/{order_id}", guarded(broker.modify), methods=["PUT"]),
        Route("/v2/orders/{order_id}", guarded(broker.cancel), methods=["DELETE"]),
        *(Route(path, broker.reading(read), methods=["GET"]) for path, read in reads.items()),
        *(Route(write.path, guarded(broker.writing(write)), methods=[write.method]) for write in writes),
        WebSocketRoute("/feed", broker.feed),
        WebSocketRoute("/order-updates", desk.updates.serve),
        WebSocketRoute("/", broker.feed),
    ]


class _Broker:
    """The handlers. Each read gets the client's id and returns what to answer as JSON."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._simulator = desk.simulator

    # --- Log in

    async def log_in(self, request: Request) -> Response:
        query = request.query_params
        client_id, pin, totp = (query.get(name, "") for name in ("dhanClientId", "pin", "totp"))
        if not _CLIENT_ID.fullmatch(client_id) or not pin or not totp:
            raise bad_input()
        if pin != pin_of(client_id, secret=self._desk.config.secret):
            raise order_error("Invalid Pin")
        if totp != TOTP_ACCEPTED:
            raise order_error("Invalid TOTP")
        token, ends_s = self._desk.tokens.issue(client_id, now_ns=self._desk.config.clock.wall_ns())
        self._simulator.account_of(client_id)
        return answer(token_row(client_id, token, ends_s))

    # --- Orders

    async def place(self, request: Request) -> Response:
        client_id = self._desk.authenticate(request, Family.ORDERS, is_quantity_first=True)
        body = await json_of(request)
        check_quantity(body)
        self._desk.stamps.arrived.append(Stamp(str(body.get("correlationId", "")), began_ns(request)))
        self._desk.check_address(request, client_id)
        fault = self._desk.faults.take(FaultTarget.PLACE, client_id=client_id, body=body)
        early = await strike_before(self._desk, fault, request, client_id=client_id)
        if early is not None:
            return early
        order = self._accept(client_id, body, fault)
        row = {"orderId": order.order_id, "orderStatus": Status.TRANSIT.value}
        self._desk.let_arrive(order)
        strike_books(self._desk, fault, order)
        return await strike_answer(self._desk, fault, request, answer(row), client_id=client_id)

    async def modify(self, request: Request) -> Response:
        client_id = self._desk.authenticate(request, Family.ORDERS)
        body = await json_of(request)
        fault = self._desk.faults.take(FaultTarget.MODIFY, client_id=client_id, body=self._named(client_id, request))
        early = await strike_before(self._desk, fault, request, client_id=client_id)
        if early is not None:
            return early
        order = self._simulator.account_of(client_id).orders.get(request.path_params["order_id"])
        if order is None:
            raise bad_input()
        self._simulator.modify(client_id, order.order_id, read_change(body, client_id=client_id, order=order))
        row = {"orderId": order.order_id, "orderStatus": Status.TRANSIT.value}
        self._desk.let_change_arrive(order)
        return await strike_answer(self._desk, fault, request, answer(row), client_id=client_id)

    async def cancel(self, request: Request) -> Response:
        client_id = self._desk.authenticate(request, Family.ORDERS)
        fault = self._desk.faults.take(FaultTarget.CANCEL, client_id=client_id, body=self._named(client_id, request))
        early = await strike_before(self._desk, fault, request, client_id=client_id)
        if early is not None:
            return early
        order = self._simulator.cancel(client_id, request.path_params["order_id"])
        row = {"orderId": order.order_id, "orderStatus": order.status.value}
        return await strike_answer(self._desk, fault, request, answer(row), client_id=client_id)

    def reading(self, read: Callable[[Request, str], Any]) -> Handler:
        """Return the whole handler around one of the reads."""

        async def asked(request: Request, client_id: str) -> Response:
            return answer(read(request, client_id))

        return asking(self._desk, Family.READS, asked)

    def orders(self, _: Request, client_id: str) -> Any:
        return [order_row(order) for order in self._simulator.account_of(client_id).orders.values()]

    def order(self, request: Request, client_id: str) -> Any:
        order = self._simulator.account_of(client_id).orders.get(request.path_params["order_id"])
        return [order_row(order)] if order is not None else []

    def order_by_correlation_id(self, request: Request, client_id: str) -> Any:
        order = self._simulator.account_of(client_id).by_correlation_id(request.path_params["correlation_id"])
        if order is None or order.status is Status.TRANSIT:
            raise order_error(INCORRECT_REQUEST, status=404)
        return order_row(order)

    # --- Trades, positions, money

    def executions(self, _: Request, client_id: str) -> Any:
        return [execution_row(execution) for execution in self._simulator.account_of(client_id).executions]

    def executions_of_order(self, request: Request, client_id: str) -> Any:
        order_id = request.path_params["order_id"]
        executions = self._simulator.account_of(client_id).executions
        return [execution_row(execution) for execution in executions if execution.order.order_id == order_id]

    def positions(self, _: Request, client_id: str) -> Any:
        prices = self._simulator.last_prices_e4
        holdings = self._simulator.account_of(client_id).holdings.values()
        shown = [held for held in holdings if not held.is_delivered or held.of_the_day.is_traded]
        return [position_row(client_id, held, prices.get(held.instrument.key, 0)) for held in shown]

    def funds(self, _: Request, client_id: str) -> Any:
        account = self._simulator.account_of(client_id)
        return funds_row(account, self._simulator.available_paise(account))

    def profile(self, request: Request, client_id: str) -> Any:
        return profile_row(client_id, self._desk.tokens.ends_s(request.headers["access-token"]))

    # --- Market data

    async def feed(self, websocket: WebSocket) -> None:
        query = websocket.query_params
        client_id, refusal = None, CLIENT_INVALID
        try:
            client_id = self._desk.tokens.client_of(query.get("token", ""), now_ns=self._desk.config.clock.wall_ns())
        except TokenExpired:
            refusal = TOKEN_EXPIRED
        except TokenDead:
            refusal = TOKEN_INVALID
        is_theirs = client_id == query.get("clientId")
        await self._desk.feed.serve(websocket, client_id if is_theirs else None, refusal=refusal)

    # --- What changes something else

    def writing(self, write: Write) -> Handler:
        """Return the handler around one of the writes that know no HTTP."""

        async def handler(request: Request) -> Response:
            client_id = self._desk.authenticate(request, write.family, is_quantity_first=write.has_quantity)
            body = await json_of(request) if write.method in _METHODS_WITH_BODY and await request.body() else None
            if write.has_quantity:
                check_quantity(body)
                self._desk.check_address(request, client_id)
            named = body if write.target is FaultTarget.PLACE else self._named(client_id, request)
            fault = self._desk.faults.take(write.target, client_id=client_id, body=named)
            early = await strike_before(self._desk, fault, request, client_id=client_id)
            if early is not None:
                return early
            asked = Asked(
                client_id=client_id, path=request.path_params, query=request.query_params, body=body, fault=fault
            )
            done = write.do(asked)
            true_answer = Response(status_code=202) if done is None else answer(done)
            return await strike_answer(self._desk, fault, request, true_answer, client_id=client_id)

        return handler

    # --- Parts

    def _named(self, client_id: str, request: Request) -> dict[str, str]:
        """Return what a fault may be told by of the order that the path names, in the words of a new order."""
        order = self._simulator.account_of(client_id).orders.get(request.path_params.get("order_id", ""))
        if order is None:
            return {}
        return {
            "securityId": order.instrument.key.security_id,
            "transactionType": order.side.value,
            "correlationId": order.correlation_id,
        }

    def _accept(self, client_id: str, body: Any, fault: Fault | None) -> BookedOrder:
        request = read_order(
            body,
            client_id=client_id,
            instruments=self._desk.config.instruments,
            market_time_ns=self._simulator.market_time_ns,
        )
        check_correlation_id(self._desk, Asked(client_id=client_id, path={}, query={}, body=body, fault=fault))
        return self._simulator.accept(
            client_id,
            request,
            first_execution_max=fault.quantity if fault and fault.kind is FaultKind.PARTIAL else None,
            reject_message=fault.message if fault and fault.kind is FaultKind.REJECT else None,
        )
