"""Which problems an operation may answer: what the OpenAPI document and its readers are told of `api/errors.py`.

A row says of one code when an operation may answer it, judged by what the operation takes. A route whose problems are
its own names their exceptions to `api.openapi.answers`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from api.codes import status_of, title_of, type_of
from api.words import OWN, WORDS
from domain.risk import DenialCode

STATUSES = {
    400: "The request cannot be read: no JSON, or no Idempotency-Key where one is mandatory",
    401: "No access token, or an expired or forged one",
    403: "Denied by risk (an event in the log, with the limit and the value that met it), or your role is too small",
    404: "It does not exist, or not for this user",
    405: "The path does not know this method",
    409: "The present state does not allow it, nothing is stored; or Khata-Epoch is of another history",
    413: "The body is over the limit",
    422: "A value is not allowed, or the Idempotency-Key belongs to another request; nothing is stored",
    429: "Too many requests: come again after Retry-After seconds",
    500: "A bug of ours",
    503: "Come again after Retry-After seconds; under the same Idempotency-Key nothing is done twice",
}
_DENIED = 403
_KEY = "idempotency-key"
_ACCOUNT = "account_id"
_STANDING = ("/api/positions", "/api/funds", "/api/holdings")
_WRITES = frozenset({"POST", "PUT", "DELETE", "PATCH"})


class Operation(NamedTuple):
    """What an operation takes. `parameters` are the names of those of its path, query and headers, in small letters."""

    method: str
    path: str
    parameters: frozenset[str]
    has_body: bool
    is_secured: bool

    @property
    def writes(self) -> bool:
        """Whether it may append to the log."""
        return self.method in _WRITES

    @property
    def is_intent(self) -> bool:
        """Whether it hands in what opens trades."""
        return self.method == "POST" and self.path in {"/api/trades", "/api/baskets"}

    def takes(self, *names: str) -> bool:
        """Tell whether it takes one of these parameters."""
        return not self.parameters.isdisjoint(names)

    def is_at(self, method: str, *paths: str) -> bool:
        """Tell whether it is this method of one of these paths."""
        return self.method == method and self.path in paths


class Told(NamedTuple):
    """A problem as it is told: its code, what is said of it, and of which operations."""

    code: str
    detail: str
    when: Callable[[Operation], bool] = lambda _: True
    field: str | None = None

    @property
    def status(self) -> int:
        """The status with which the code is answered."""
        return status_of(self.code)


def _is_at(method: str, *paths: str) -> Callable[[Operation], bool]:
    return lambda operation: operation.is_at(method, *paths)


def _takes(*names: str) -> Callable[[Operation], bool]:
    return lambda operation: operation.takes(*names)


def _changes_levels(operation: Operation) -> bool:
    return operation.is_intent or operation.is_at("PUT", "/api/trades/{trade_id}")


def _is_of_account_then(operation: Operation) -> bool:
    return operation.path.startswith(("/api/risk/", *_STANDING)) and operation.takes("as_of")


def _is_of_account(operation: Operation) -> bool:
    return operation.takes(_ACCOUNT) or "{account_id}" in operation.path


def _needs_role(operation: Operation) -> bool:
    return operation.writes and _is_of_account(operation)


def _is_in(part: str) -> Callable[[Operation], bool]:
    return lambda operation: part in operation.path


_REFRESH = "/api/auth/refresh"
_MEMBER = "/api/accounts/{account_id}/members/{user_id}"
_PROFILE = "/api/auth/profile"
_STRATEGY = "/api/strategies/{strategy_id}"
_CHANGES_PROFILE = _is_at("PUT", _PROFILE)
_ENDS_TRADE = _is_at("POST", "/api/trades/{trade_id}/close", "/api/trades/{trade_id}/cancel")
_CHANGES_TRADE = _is_at("PUT", "/api/trades/{trade_id}")
_CLOSES_TRADE = _is_at("POST", "/api/trades/{trade_id}/close")
_DOORS = ("/api/auth/register", "/api/auth/login", "/api/auth/refresh", "/api/auth/logout")

TABLE: tuple[Told, ...] = (
    Told("BODY_NOT_JSON", "the body is no JSON, expected one JSON object", lambda o: o.has_body),
    Told("IDEMPOTENCY_KEY_MISSING", "expected a header Idempotency-Key", _takes(_KEY)),
    Told("IDEMPOTENCY_KEY_INVALID", "expected 1 to 128 printable characters", _takes(_KEY)),
    Told("TOKEN_MISSING", "expected a header 'Authorization: Bearer …'", lambda o: o.is_secured),
    Told("TOKEN_EXPIRED", "the access token is over ten minutes old", lambda o: o.is_secured),
    Told("TOKEN_INVALID", "the access token is not one of ours", lambda o: o.is_secured),
    Told(
        "CREDENTIALS_WRONG",
        "this e-mail address and password are nobody's",
        _is_at("POST", "/api/auth/login"),
    ),
    Told("ROLE_INSUFFICIENT", "received a request of a viewer, expected one of a trader", _needs_role),
    Told("PASSWORD_WRONG", "the present password is another one", _CHANGES_PROFILE),
    Told("INSTRUMENT_NOT_FOUND", "received instrument NSE_EQ:1", _is_in("{security_id}")),
    Told("TRADE_NOT_FOUND", "received trade 'trd_1', expected one of yours", lambda o: "{trade_id}" in o.path),
    Told("ORDER_NOT_FOUND", "received order 'trd_1.9', expected one of yours", _is_in("{order_id}")),
    Told("POSITION_NOT_FOUND", "received 'X-1', expected such as 'NSE_EQ-2885-INTRADAY'", _takes("position_id")),
    Told("BREACH_NOT_FOUND", "received 'loss', expected one of day_loss, drawdown", _is_in("{kind}")),
    Told("INVARIANT_NOT_FOUND", "received 'luck', expected such as sent_twice", _is_in("{invariant}")),
    Told("REFRESH_TOKEN_INVALID", "this refresh token is over, or not ours", _is_at("POST", _REFRESH)),
    Told("REFRESH_TOKEN_REUSED", "it was used before: the log-in has ended", _is_at("POST", _REFRESH)),
    Told("STRATEGY_NOT_FOUND", "received strategy 'str_1', expected one of yours", _is_in("{strategy_id}")),
    Told("BACKTEST_NOT_FOUND", "received backtest 'bkt_1', expected one of yours", _is_in("{backtest_id}")),
    Told("CONTRACT_NOTE_NOT_FOUND", "received day '2026-11-22'", _is_in("/api/contract-notes/{day}")),
    Told("AUDIT_EVENT_NOT_FOUND", "received sequence 9, expected one you may see", _is_in("/events/{sequence}")),
    Told("USER_NOT_FOUND", "received user 'usr_1'", _is_in("{user_id}")),
    Told("MEMBER_NOT_FOUND", "they are no member", _is_at("DELETE", _MEMBER)),
    Told("ACCOUNT_NOT_OPEN_YET", "at sequence 12 your account was not open yet", _is_of_account_then),
    Told("ACCOUNT_NOT_FOUND", "no such account", _is_of_account),
    Told("METHOD_NOT_ALLOWED", "PATCH /api/trades: Method Not Allowed"),
    Told("EPOCH_CHANGED", "Khata-Epoch: the log was put back or moved, read anew", _takes("khata-epoch")),
    Told("EMAIL_TAKEN", "somebody is registered under this address", _is_at("POST", "/api/auth/register")),
    Told("TRADE_VERSION_MISMATCH", "received version 1, expected 2: read the trade anew", _CHANGES_TRADE),
    Told("ENTRY_NOT_RESTING", "the entry does not rest at the venue", _CHANGES_TRADE),
    Told("TRADE_CLOSED", "the trade is closed", lambda o: _CHANGES_TRADE(o) or _ENDS_TRADE(o)),
    Told("TRADE_EXTERNAL", "the trade came from outside", _CHANGES_TRADE),
    Told("NOTHING_HELD", "the trade holds nothing", _CLOSES_TRADE),
    Told("DHAN_CLIENT_TAKEN", "another account is linked to this client id", _CHANGES_PROFILE),
    Told("DHAN_CLIENT_OTHER", "the account is linked to another client id", _CHANGES_PROFILE),
    Told("ACCOUNTS_TOO_MANY", "you have as many accounts as one may have", _is_at("POST", "/api/accounts")),
    Told("MEMBERS_TOO_MANY", "it has as many members as an account may have", _is_at("PUT", _MEMBER)),
    Told("OPENER_STAYS_OWNER", "who opened it stays its owner", _is_in(_MEMBER)),
    Told("STRATEGY_VERSION_MISMATCH", "received 1, expected 2: read it anew", _is_at("PUT", _STRATEGY)),
    Told("STRATEGY_ARCHIVED", "it is archived", lambda o: o.writes and o.path == _STRATEGY),
    Told("STRATEGY_TRADING", "it trades: stop it first", lambda o: o.writes and o.path == _STRATEGY),
    Told("POSITION_NOT_OPEN", "nothing is held there", _takes("position_id")),
    Told("DIFFERENCE_NOT_FOUND", "received difference 'x', expected one that is open", _is_in("{difference_id}")),
    Told("ADOPTION_NEEDS_PRICE", "nobody knows a price of it, expected one in the request", _is_in("{difference_id}")),
    Told("ORDER_NOT_IN_DOUBT", "the order is filled, expected one that is in doubt", _is_in("{order_id}")),
    Told("VENUE_ORDER_TAKEN", "received venue order 112111182198, which is another order", _is_in("{order_id}")),
    Told("BREACH_NOT_LATCHED", "the limit is not latched", _is_in("{kind}")),
    Told("INVARIANT_NOT_BREACHED", "no breach of sent_twice waits for a release", _is_in("{invariant}")),
    Told("BODY_TOO_LARGE", "expected a body of at most 65536 bytes"),
    Told("FIELD_MISSING", "expected a field 'quantity'", lambda o: o.has_body, "quantity"),
    Told("FIELD_UNKNOWN", "received a field 'qty' that does not exist here", lambda o: o.has_body, "qty"),
    Told(
        "IDEMPOTENCY_KEY_REUSED",
        "the same key came with another body before",
        _takes(_KEY),
    ),
    Told("QUANTITY_INVALID", "quantity: Expected `int` >= 1", lambda o: o.is_intent, "quantity"),
    Told("INSTRUMENT_UNKNOWN", "received symbol 'RELIANC'", lambda o: o.is_intent),
    Told("INSTRUMENT_AMBIGUOUS", "received symbol 'NIFTY', expected one of …", lambda o: o.is_intent),
    Told("PRICE_OFF_TICK", "received 2850.03, expected a multiple of 0.05", _changes_levels),
    Told("LIMIT_PRICE_MISMATCH", "a LIMIT order needs a limit price", _changes_levels),
    Told("TRIGGER_PRICE_MISMATCH", "an SL order needs a trigger price", _changes_levels),
    Told("QUANTITY_BELOW_FILLED", "received 4, 6 have filled", _CHANGES_TRADE),
    Told("BASKET_INVALID", "ranks have to begin at 0", _is_at("POST", "/api/baskets")),
    Told("LIMITS_INVALID", "these limits contradict each other", _is_at("PUT", "/api/risk/parameters")),
    Told("AMOUNT_INVALID", "expected a decimal such as '50000.00'", _is_at("POST", "/api/funds/movements"), "amount"),
    Told("EMAIL_INVALID", "expected an e-mail address", _is_at("POST", "/api/auth/register")),
    Told("PASSWORD_INVALID", "expected 15 to 128 characters", _is_at("POST", "/api/auth/register")),
    Told("MIN_SEQUENCE_INVALID", "min_sequence: not a whole number", _takes("min_sequence"), "min_sequence"),
    Told("MIN_SEQUENCE_BEYOND_LOG", "received sequence 9, the log has reached 8", _takes("min_sequence")),
    Told("AS_OF_INVALID", "as_of: expected a time with its offset", _takes("as_of"), "as_of"),
    Told("AS_OF_AND_AT_SEQUENCE", "received both, expected one of them at most", _takes("as_of"), "as_of"),
    Told("AS_OF_BEFORE_LOG", "the log had not begun then", _takes("as_of"), "as_of"),
    Told("AS_OF_IN_FUTURE", "that time is not over", _takes("as_of"), "as_of"),
    Told("AT_SEQUENCE_BEYOND_LOG", "the log is not that long", _takes("at_sequence"), "at_sequence"),
    Told("LIMIT_INVALID", "limit: Input should be at least 1", _takes("limit"), "limit"),
    Told("SEGMENT_INVALID", "segment: not allowed", lambda o: o.path.startswith("/api/instruments"), "segment"),
    Told("Q_INVALID", "q: at least one character", _takes("q"), "q"),
    Told("SCOPE_INVALID", "scope: not allowed", _takes("scope"), "scope"),
    Told(
        "RATE_LIMITED",
        "too many requests from this address",
        lambda o: o.path in _DOORS or _CHANGES_PROFILE(o),
    ),
    Told("LOGIN_BUSY", "too many people log in at once", lambda o: o.path in _DOORS[:2] or _CHANGES_PROFILE(o)),
    Told("INTENT_STORM", "the account hands in more intents than are taken", lambda o: o.is_intent),
    Told("INTERNAL_ERROR", "the cause is in our log under req_01JD3M8Q4V0000000000000007"),
    Told("OUTCOME_UNKNOWN", "ask again under the same Idempotency-Key", lambda o: o.writes),
    Told("STORE_UNAVAILABLE", "nothing was stored: ask again", lambda o: o.writes or o.takes("min_sequence")),
    Told("LOG_FULL", "its disk has no room, and nothing was stored: ask later", lambda o: o.writes),
    Told("ACCOUNT_BUSY", "others kept changing the account: ask again", _needs_role),
    Told("DECISION_STOPPED", "sent_twice of trd_1.1: it is acknowledged", _needs_role),
    Told("READ_MODEL_BEHIND", "wanted 4711, the views are at 4702", _takes("min_sequence"), None),
    Told("VIEWS_UNAVAILABLE", "the views cannot be read: ask again", _takes("min_sequence"), None),
    Told("INSTRUMENTS_UNREADABLE", "the imported master cannot be searched", _is_at("GET", "/api/instruments")),
    Told(
        "BARS_UNREADABLE",
        "the file of daily bars cannot be read",
        _is_at("GET", "/api/risk/drawdown", "/api/risk/value-at-risk"),
    ),
)


def problems_of(operation: Operation, status: int) -> Iterator[Told]:
    """Yield what *operation* may answer with *status*."""
    yield from (told for told in TABLE if told.status == status and told.when(operation))
    if status == _DENIED and _changes_levels(operation):
        yield from (Told(code.value, "the limit is 5000, the intent came to 6000") for code in DenialCode)


def told_of(problem: type[Exception]) -> Told:
    """Return what is told of an exception that has its code: the first sentence of its docstring."""
    first, _, _ = (problem.__doc__ or "").partition(". ")
    return Told(str(getattr(problem, "code", "REFUSED")), first.strip())


def document_of(told: Told, operation: Operation) -> dict[str, object]:
    """Return the problem as a client of *operation* would see it."""
    document: dict[str, object] = {
        "type": type_of(told.code),
        "title": title_of(told.code, told.status),
        "status": told.status,
        "code": told.code,
        "detail": told.detail,
        "instance": operation.path,
    }
    if told.code in set(DenialCode):
        document |= {name: OWN[f"Problem.{name}"].example for name in ("limit", "value", "passing")}
        document |= {name: WORDS[name].example for name in ("trade_id", "sequence")}
    return document if told.field is None else document | {"field": told.field}
