"""The broker's paths of an account beyond its orders: tokens, consents, addresses, margins, holdings, ledger, eDIS."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from adapters.simulator.access.clients import TokenDead
from adapters.simulator.access.consents import ApiKeyWrong, Consents, ConsentsExhausted, ConsentUnknown
from adapters.simulator.access.limits import Family
from adapters.simulator.access.static_ips import IpFlag, IpLocked, IpNotSet
from adapters.simulator.books.account import Account, Holding
from adapters.simulator.books.margins import Leg, leverage_of, margin_e4, margin_together_e4
from adapters.simulator.desk import Desk, address_of
from adapters.simulator.paths.account_rows import (
    demat_row,
    holding_row,
    ip_row,
    ledger_rows,
    margin_row,
    margins_row,
)
from adapters.simulator.paths.asking import asking
from adapters.simulator.paths.intake import read_leg
from adapters.simulator.words.answers import answer, guarded, json_of
from adapters.simulator.words.refusals import (
    DELIVERY_NOT_HELD,
    INVALID_TOKEN,
    IP_LOCKED,
    TOO_MANY_REQUESTS,
    authentication_error,
    bad_input,
    order_error,
    trading_refusal,
)
from adapters.simulator.words.rows import token_row
from domain.market import trading_day
from domain.money import E4_PER_PAISA
from domain.order import Side

_EVERYTHING = "ALL"

Read = Callable[[Request, str], Any]


def account_reads(desk: Desk) -> dict[str, Read]:
    """Return what of an account is read with GET, by path: each gets the client's id and returns what to answer."""
    statements = _Statements(desk)
    return {
        "/v2/holdings": statements.holdings,
        "/v2/ledger": statements.ledger,
        "/v2/ip/getIP": statements.ips,
        "/v2/edis/inquire/{isin}": statements.demat,
    }


def account_routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes under which an account gets tokens, sets addresses, and asks what an order would bind."""
    entrance, affairs = _Entrance(desk), _Affairs(desk)
    return [
        Route("/v2/RenewToken", guarded(entrance.renew), methods=["GET"]),
        Route("/v2/RenewToken", guarded(entrance.renew_wrongly), methods=["POST"]),
        Route("/app/generate-consent", guarded(entrance.ask_consent), methods=["POST"]),
        Route("/login/consentApp-login", guarded(entrance.give_consent), methods=["GET"]),
        Route("/app/consumeApp-consent", guarded(entrance.consume_consent), methods=["GET", "POST"]),
        Route("/v2/ip/setIP", asking(desk, Family.READS, affairs.set_ip), methods=["POST"]),
        Route("/v2/ip/modifyIP", asking(desk, Family.READS, affairs.modify_ip), methods=["PUT"]),
        Route("/v2/margincalculator", asking(desk, Family.READS, affairs.margin), methods=["POST"]),
        Route("/v2/margincalculator/multi", asking(desk, Family.READS, affairs.margin_together), methods=["POST"]),
        Route("/v2/edis/tpin", asking(desk, Family.READS, affairs.send_tpin), methods=["GET"]),
        Route("/v2/edis/form", asking(desk, Family.READS, affairs.demat_form), methods=["POST"]),
    ]


class _Entrance:
    """How tokens come by other ways than PIN and TOTP. Tokens and consents go by the wall clock."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._consents = Consents(desk.config.secret)

    async def renew(self, request: Request) -> Response:
        """Answer a new token for a live one, which is dead from then on."""
        now_ns = self._desk.config.clock.wall_ns()
        try:
            client_id = self._desk.tokens.client_of(request.headers.get("access-token", ""), now_ns=now_ns)
        except TokenDead:
            raise order_error(INVALID_TOKEN) from None
        if request.headers.get("dhanClientId") != client_id:
            raise authentication_error()
        return self._token(client_id, now_ns)

    async def renew_wrongly(self, _: Request) -> Response:
        # The path exists, but only GET renews.
        raise bad_input()

    async def ask_consent(self, request: Request) -> Response:
        client_id = request.query_params.get("client_id", "")
        app_id, app_secret = _api_key(request)
        try:
            consent_id = self._consents.ask(
                client_id, app_id=app_id, app_secret=app_secret, now_ns=self._desk.config.clock.wall_ns()
            )
        except ApiKeyWrong:
            raise authentication_error() from None
        except ConsentsExhausted:
            raise trading_refusal(429, "DH-904", "Rate_Limit", TOO_MANY_REQUESTS) from None
        return answer({"consentAppId": consent_id, "consentAppStatus": "GENERATED", "status": "success"})

    async def give_consent(self, request: Request) -> Response:
        try:
            token_id = self._consents.give(request.query_params.get("consentAppId", ""))
        except ConsentUnknown:
            raise bad_input() from None
        return RedirectResponse(f"{self._desk.config.consent_redirect}?tokenId={token_id}", 302)

    async def consume_consent(self, request: Request) -> Response:
        app_id, app_secret = _api_key(request)
        token_id = request.query_params.get("tokenId", "")
        try:
            client_id = self._consents.consume(token_id, app_id=app_id, app_secret=app_secret)
        except ConsentUnknown:
            raise bad_input() from None
        except ApiKeyWrong:
            raise authentication_error() from None
        return self._token(client_id, self._desk.config.clock.wall_ns(), consumer="APP")

    def _token(self, client_id: str, now_ns: int, *, consumer: str = "SELF") -> Response:
        token, ends_s = self._desk.tokens.issue(client_id, now_ns=now_ns, consumer=consumer)
        self._desk.simulator.account_of(client_id)
        return answer(token_row(client_id, token, ends_s))


class _Affairs:
    """What an account asks for, other than orders."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._simulator = desk.simulator

    async def set_ip(self, request: Request, client_id: str) -> Response:
        flag, address = await _wanted_ip(request, client_id)
        try:
            self._desk.ips.set(client_id, flag, address, now_ns=self._desk.config.clock.wall_ns())
        except IpLocked:
            raise bad_input(IP_LOCKED) from None
        except ValueError:
            raise bad_input() from None
        return _ip_saved()

    async def modify_ip(self, request: Request, client_id: str) -> Response:
        flag, address = await _wanted_ip(request, client_id)
        try:
            self._desk.ips.modify(client_id, flag, address, now_ns=self._desk.config.clock.wall_ns())
        except IpLocked:
            raise bad_input(IP_LOCKED) from None
        except (IpNotSet, ValueError):
            raise bad_input() from None
        return _ip_saved()

    async def margin(self, request: Request, client_id: str) -> Response:
        leg = self._leg(await json_of(request), client_id)
        leverage = self._desk.config.intraday_leverage
        bound_e4 = margin_e4(leg.product, quantity=leg.quantity, price_e4=leg.price_e4, intraday_leverage=leverage)
        available_paise = self._simulator.available_paise(self._simulator.account_of(client_id))
        return answer(
            margin_row(
                bound_e4 // E4_PER_PAISA,
                available_paise=available_paise,
                leverage=leverage_of(leg.product, intraday_leverage=leverage),
            )
        )

    async def margin_together(self, request: Request, client_id: str) -> Response:
        """Answer what several orders bind; their list goes by either of the two names that are documented."""
        body = await json_of(request)
        if not isinstance(body, dict):
            raise bad_input()
        listed = body.get("scripList", body.get("scripts"))
        if not isinstance(listed, list) or not listed:
            raise bad_input()
        legs = [self._leg(each, client_id) for each in listed]
        account = self._simulator.account_of(client_id)
        if body.get("includePosition") is True:
            legs += self._positions_of(account)
        if body.get("includeOrder", body.get("includeOrders")) is True:
            legs += self._orders_of(account)
        leverage = self._desk.config.intraday_leverage
        return answer(margins_row(legs, lambda some: margin_together_e4(some, intraday_leverage=leverage)))

    async def send_tpin(self, _: Request, __: str) -> Response:
        return Response(status_code=202)

    async def demat_form(self, request: Request, client_id: str) -> Response:
        """Answer the form of the depository. The simulator's clients need none: they have signed for all they sell."""
        body = await json_of(request)
        if not isinstance(body, dict) or not isinstance(body.get("isin"), str) or not body["isin"]:
            raise bad_input()
        held = demat_quantity(self._simulator.account_of(client_id), body["isin"])
        if body.get("bulk") is not True and not held:
            raise order_error(DELIVERY_NOT_HELD)
        return answer(
            {"dhanClientId": client_id, "edisFormHtml": "<!DOCTYPE html><html><body>Nothing to sign</body></html>"}
        )

    def _leg(self, body: Any, client_id: str) -> Leg:
        leg = read_leg(
            body,
            client_id=client_id,
            instruments=self._desk.config.instruments,
            market_time_ns=self._simulator.market_time_ns,
        )
        price_e4 = leg.price_e4 or self._simulator.last_prices_e4.get(leg.instrument, 0)
        if price_e4 == 0:
            raise bad_input()  # An order at the market, and nothing was printed that could price it.
        return replace(leg, price_e4=price_e4)

    def _positions_of(self, account: Account) -> list[Leg]:
        prices_e4 = self._simulator.last_prices_e4
        return [
            Leg(
                instrument=held.instrument.key,
                product=held.product,
                side=Side.BUY if held.net_quantity > 0 else Side.SELL,
                quantity=abs(held.net_quantity),
                price_e4=prices_e4.get(held.instrument.key) or held.average_e4,
            )
            for held in account.holdings.values()
            if held.net_quantity
        ]

    def _orders_of(self, account: Account) -> list[Leg]:
        prices_e4 = self._simulator.last_prices_e4
        return [
            Leg(
                instrument=order.instrument.key,
                product=order.product,
                side=order.side,
                quantity=order.leaves_quantity,
                price_e4=prices_e4.get(order.instrument.key) or order.limit_price_e4,
            )
            for order in account.open_orders.values()
        ]


class _Statements:
    """What is read of an account."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._simulator = desk.simulator

    def holdings(self, _: Request, client_id: str) -> Any:
        prices_e4 = self._simulator.last_prices_e4
        rows = [
            holding_row(held, prices_e4.get(held.instrument.key) or held.average_e4)
            for held in _delivered(self._simulator.account_of(client_id))
        ]
        if not rows:
            raise trading_refusal(500, "DH-1111", "HOLDING_ERROR", "No holdings available")
        return rows

    def ledger(self, request: Request, client_id: str) -> Any:
        query = request.query_params
        try:
            first, last = date.fromisoformat(query["from-date"]), date.fromisoformat(query["to-date"])
        except (KeyError, ValueError):
            raise bad_input() from None
        today = trading_day(self._simulator.market_time_ns)
        return ledger_rows(self._simulator.account_of(client_id), today=today, is_today_within=first <= today <= last)

    def ips(self, request: Request, client_id: str) -> Any:
        known = self._desk.ips.of(client_id)
        if not known:
            # Where no address is set, the broker reports an error inside of a success.
            return [{"message": "Something went wrong", "status": "ERROR"}]
        address = address_of(request)
        return ip_row(
            known,
            detected=self._desk.ips.seen_as(client_id, address),
            is_match=self._desk.ips.allows(client_id, address),
        )

    def demat(self, request: Request, client_id: str) -> Any:
        isin = request.path_params["isin"]
        quantity = demat_quantity(self._simulator.account_of(client_id), isin)
        return demat_row(client_id, isin, quantity)


def demat_quantity(account: Account, isin: str) -> int:
    """Return how many units of earlier days an account holds of what goes by *isin*, or of everything for `ALL`."""
    return sum(held.carried_quantity for held in _delivered(account) if isin in {_EVERYTHING, held.instrument.isin})


def _delivered(account: Account) -> list[Holding]:
    """Return what was delivered: bought on earlier days and carried since."""
    return [held for held in account.holdings.values() if held.is_delivered]


def _api_key(request: Request) -> tuple[str, str]:
    return request.headers.get("app_id", ""), request.headers.get("app_secret", "")


async def _wanted_ip(request: Request, client_id: str) -> tuple[IpFlag, str]:
    body = await json_of(request)
    if not isinstance(body, dict) or not isinstance(body.get("ip"), str):
        raise bad_input()
    if str(body.get("dhanClientId", "")) != client_id:
        raise authentication_error()
    try:
        return IpFlag(str(body.get("ipFlag"))), body["ip"]
    except ValueError:
        raise bad_input() from None


def _ip_saved() -> Response:
    return answer({"message": "IP saved successfully", "status": "SUCCESS"})
