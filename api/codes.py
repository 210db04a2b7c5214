"""Every problem that the API can answer with, as one table: code to status, title, cause and remedy.

A code is stable: clients may depend on it, and it is never given another meaning. What risk denies has codes and a
table of its own (`domain.account.checks.table`), which docs/risk.md shows; here they are one entry, `DENIED`.
"""

from http import HTTPStatus
from typing import NamedTuple

from domain.risk import DenialCode

PAGE_PATH = "/docs/errors"
FIELD_INVALID = "<FIELD>_INVALID"
"""Stands for a code of each field and query parameter, such as QUANTITY_INVALID."""
DENIED = "DENIED"
"""Stands for every code of a denial by risk."""
_DENIALS = frozenset(code.value for code in DenialCode)
_UNEXPLAINED = "about:blank"  # RFC 9457: no more is known than what the status says.


class Kind(NamedTuple):
    """What a code means. `where` says which requests meet it, `remedy` what whoever reads it can do."""

    status: int
    title: str
    cause: str
    remedy: str
    where: str


_ANY = "any request"
_BODY = "requests with a body"
_KEYED = "requests that take an Idempotency-Key"
_LOGGED_IN = "requests that need a token"
_COMMANDS = "commands"
_QUERIES = "queries"
_TRADES = "requests that name a trade"
_INTENTS = "intents, baskets and changes of trades"
_THEN = "queries of the past"
_DOUBTS = "resolving an order"
_DIFFERENCES = "resolving a difference"
_STRATEGIES = "strategies"
_BACKTESTS = "backtests"
_ACCOUNTS = "accounts and their members"

PROBLEMS: dict[str, Kind] = {
    # --- What comes in is no request of ours.
    "REQUEST_MALFORMED": Kind(
        400,
        "The request cannot be read",
        "What was sent is no HTTP/1.1, or says two things at once, such as two lengths.",
        "Send it by an HTTP library.",
        _ANY,
    ),
    "BODY_NOT_JSON": Kind(
        400, "The request cannot be read", "The body is no JSON.", "Send one JSON object, encoded as UTF-8.", _BODY
    ),
    "IDEMPOTENCY_KEY_MISSING": Kind(
        400,
        "The request cannot be read",
        "What can move money is carried out once under its key, and there is none.",
        "Send a header Idempotency-Key with a value that is new for every new request, and keep it for repeats.",
        _KEYED,
    ),
    "IDEMPOTENCY_KEY_INVALID": Kind(
        400,
        "The request cannot be read",
        "The key has no or too many characters, or others than printable ASCII.",
        "Send 1 to 128 printable ASCII characters without spaces, a UUID say.",
        _KEYED,
    ),
    "NOT_FOUND": Kind(404, "Not Found", "There is no such path.", "Look for it in /docs.", _ANY),
    "METHOD_NOT_ALLOWED": Kind(
        405,
        "Method Not Allowed",
        "The path does not know this method.",
        "The header Allow lists those that it knows.",
        _ANY,
    ),
    "REQUEST_TOO_SLOW": Kind(
        408,
        "The request came too slowly",
        "It was not there whole within KHATA_API_REQUEST_WITHIN_MS. Nothing was done.",
        "Send it again, without pauses.",
        _ANY,
    ),
    "BODY_TOO_LARGE": Kind(
        413,
        "The request is too large",
        "The body is over 64 KiB; that of a strategy may be larger.",
        "Send less at once.",
        _BODY,
    ),
    "REQUEST_LINE_TOO_LONG": Kind(
        414, "The request is too large", "The path with its query is over 8 KiB.", "Shorten the query.", _ANY
    ),
    "NOT_SERVED_HERE": Kind(
        421,
        "Another process answers this",
        "Commands and queries run apart, and this process answers the other half. Nothing was done.",
        "Ask the other half: commands are whatever changes something, queries are GET.",
        "requests to `command-api` or `query-api`",
    ),
    "HEADERS_TOO_LARGE": Kind(
        431,
        "The request is too large",
        "There are more than 64 headers, or they weigh over 16 KiB.",
        "Send fewer and shorter headers.",
        _ANY,
    ),
    # --- Who is asking.
    "TOKEN_MISSING": Kind(
        401,
        "Log in first",
        "There is no access token.",
        "Log in, and send the header `Authorization: Bearer <access token>`.",
        _LOGGED_IN,
    ),
    "TOKEN_INVALID": Kind(
        401, "Log in first", "The access token is none of ours, or names nobody.", "Log in again.", _LOGGED_IN
    ),
    "TOKEN_EXPIRED": Kind(
        401, "Log in again", "The access token is over ten minutes old.", "Log in again.", _LOGGED_IN
    ),
    "REFRESH_TOKEN_INVALID": Kind(
        401, "Log in again", "The refresh token is over, or none of ours.", "Log in again.", "refreshing a log-in"
    ),
    "REFRESH_TOKEN_REUSED": Kind(
        401,
        "Log in again",
        "The refresh token was used before, so somebody else may have it. The log-in that it came from has ended.",
        "Log in again, and find out who else had the token.",
        "refreshing a log-in",
    ),
    "PASSWORD_WRONG": Kind(
        403,
        "Not allowed",
        "The present password, which proves that it is still you, is another one. Nothing was changed.",
        "Send the present password. Ten failures within half an hour shut this address out for this client.",
        "changes of the profile",
    ),
    "CREDENTIALS_WRONG": Kind(
        401,
        "Not logged in",
        "E-mail address and password are nobody's: which of the two is wrong, nobody is told.",
        "Check both. Ten failures within half an hour shut this address out for this client.",
        "log-ins",
    ),
    "EMAIL_INVALID": Kind(
        422,
        "A value is not allowed",
        "This is no e-mail address.",
        "Send one such as asha@example.in.",
        "registrations",
    ),
    "NAME_INVALID": Kind(
        422,
        "A value is not allowed",
        "The name is empty, too long or cannot be shown.",
        "Send another.",
        "registrations",
    ),
    "PASSWORD_INVALID": Kind(
        422,
        "A value is not allowed",
        "The password is too short, too long or too easily guessed.",
        "Choose 15 characters or more that are on no list of common ones.",
        "registrations",
    ),
    "EMAIL_TAKEN": Kind(
        409, "Not possible now", "Somebody is registered under this address.", "Log in instead.", "registrations"
    ),
    "ROLE_INSUFFICIENT": Kind(
        403,
        "Not allowed",
        "You are a member of this account, and your role does not reach so far.",
        "Ask an owner of the account.",
        _ACCOUNTS,
    ),
    "MEMBERS_TOO_MANY": Kind(
        409, "Not possible now", "The account has as many members as it may have.", "Remove one first.", _ACCOUNTS
    ),
    "ACCOUNTS_TOO_MANY": Kind(
        409, "Not possible now", "You have as many accounts as you may have.", "Use one of those.", _ACCOUNTS
    ),
    "OPENER_STAYS_OWNER": Kind(
        409, "Not possible now", "Who opened the account is its owner for good.", "Add other owners.", _ACCOUNTS
    ),
    "MEMBER_NOT_FOUND": Kind(404, "Not found", "The account has no such member.", "Check the user's id.", _ACCOUNTS),
    "USER_NOT_FOUND": Kind(404, "Not found", "Nobody has this id.", "Check the user's id.", _ACCOUNTS),
    "DHAN_CLIENT_TAKEN": Kind(
        409,
        "Not possible now",
        "The client id of the broker belongs to another account here.",
        "Log in as whoever linked it.",
        "linking a broker",
    ),
    "DHAN_CLIENT_OTHER": Kind(
        409,
        "Not possible now",
        "The live account has another client id of the broker, for good.",
        "Send the one that it has.",
        "linking a broker",
    ),
    # --- A value is not allowed: the same request can never succeed.
    "FIELD_MISSING": Kind(
        422, "A value is not allowed", "A field of the body is missing; `field` names it.", "Send it.", _BODY
    ),
    "FIELD_UNKNOWN": Kind(
        422,
        "A value is not allowed",
        "The body has a field that does not exist; `field` names it.",
        "Leave it out, or correct its spelling: a limit that is misspelt would not hold.",
        _BODY,
    ),
    "BODY_INVALID": Kind(
        422, "A value is not allowed", "The body is JSON, but no object.", "Send one JSON object.", _BODY
    ),
    FIELD_INVALID: Kind(
        422,
        "A value is not allowed",
        "A field or query parameter is of the wrong kind or out of range: the code begins with its name, such as"
        " QUANTITY_INVALID, and `field` has it.",
        "`detail` says what is expected.",
        _ANY,
    ),
    "INVALID_INPUT": Kind(
        422, "A value is not allowed", "An intent or a leg names no instrument.", "Send `symbol`.", _INTENTS
    ),
    "INSTRUMENT_UNKNOWN": Kind(
        422, "A value is not allowed", "No instrument has this symbol.", "Check the spelling.", _INTENTS
    ),
    "INSTRUMENT_AMBIGUOUS": Kind(
        422,
        "A value is not allowed",
        "Several instruments go by this name.",
        "Send one of the symbols that `detail` lists.",
        _INTENTS,
    ),
    "QUANTITY_INVALID": Kind(
        422,
        "A value is not allowed",
        "The quantity is no positive number of lots.",
        "Send a multiple of the instrument's lot.",
        _INTENTS,
    ),
    "QUANTITY_BELOW_FILLED": Kind(
        422,
        "A value is not allowed",
        "So much of the order has filled already.",
        "Close a part of the trade instead.",
        "changes of trades",
    ),
    "PRICE_INVALID": Kind(
        422,
        "A value is not allowed",
        "A price is no positive decimal number with four places at most.",
        'Send it as text, such as "2850.05".',
        _INTENTS,
    ),
    "PRICE_OFF_TICK": Kind(
        422, "A value is not allowed", "A price lies between two ticks.", "Round it to the instrument's tick.", _INTENTS
    ),
    "LIMIT_PRICE_MISMATCH": Kind(
        422,
        "A value is not allowed",
        "The order type needs a limit price and has none, or has one that it does not take.",
        "LIMIT and SL take `limit_price`, MARKET and SL-M do not.",
        _INTENTS,
    ),
    "TRIGGER_PRICE_MISMATCH": Kind(
        422,
        "A value is not allowed",
        "The order type needs a trigger price and has none, or has one that it does not take.",
        "SL and SL-M take `trigger_price`, MARKET and LIMIT do not.",
        _INTENTS,
    ),
    "BASKET_INVALID": Kind(
        422,
        "A value is not allowed",
        "The basket has fewer than two legs, too many, or ranks that leave one out.",
        "Number the ranks from 0 without a gap.",
        "baskets",
    ),
    "AMOUNT_INVALID": Kind(
        422,
        "A value is not allowed",
        "An amount is no decimal number with two places at most, or moves no money.",
        'Send it as text, such as "50000.00".',
        "limits and movements of cash",
    ),
    "LIMITS_INVALID": Kind(
        422, "A value is not allowed", "A limit is below zero.", "Send null for no limit.", "limits"
    ),
    "AS_OF_AND_AT_SEQUENCE": Kind(
        422, "A value is not allowed", "Two moments were asked for at once.", "Send one of them.", _THEN
    ),
    "AS_OF_BEFORE_LOG": Kind(
        422, "A value is not allowed", "Nothing had happened yet at that time.", "Ask for a later one.", _THEN
    ),
    "AS_OF_IN_FUTURE": Kind(
        422,
        "A value is not allowed",
        "The time has not come: another answer may be right when it has.",
        "Ask without `as_of` for the present.",
        _THEN,
    ),
    "MIN_SEQUENCE_BEYOND_LOG": Kind(
        422, "A value is not allowed", "The log has no such sequence yet.", "Hand in one from an answer.", _QUERIES
    ),
    "AT_SEQUENCE_BEYOND_LOG": Kind(
        422, "A value is not allowed", "The log has no such sequence yet.", "Hand in one from an answer.", _THEN
    ),
    "IDEMPOTENCY_KEY_REUSED": Kind(
        422,
        "The key belongs to another request",
        "The same key came before with another body. Nothing was done.",
        "Take a new key for a new request, and the same body for a repeat.",
        _KEYED,
    ),
    "STRATEGY_INVALID": Kind(
        422,
        "A value is not allowed",
        "A name, source or parameter that no strategy can have.",
        "`detail` says what is expected.",
        _STRATEGIES,
    ),
    "SOURCE_INVALID": Kind(
        422,
        "A value is not allowed",
        "The source of the strategy is no text that Python could read.",
        "`detail` names the line.",
        _STRATEGIES,
    ),
    "BACKTEST_INVALID": Kind(
        422,
        "A value is not allowed",
        "No backtest can be run like this.",
        "`detail` says what is expected.",
        _BACKTESTS,
    ),
    # --- Denied.
    DENIED: Kind(
        403,
        "Denied by risk",
        "A check stood against the intent. It is an event in the log; `limit` is what is in force, `value` what met it,"
        " `passing` what would have passed.",
        "The code is one of the table of denials in docs/risk.md, which says what each asks for.",
        _INTENTS,
    ),
    # --- It does not exist, or not for this user.
    "ACCOUNT_NOT_FOUND": Kind(
        404, "Not found", "There is no such account, or it is not this user's.", "Check its id.", _COMMANDS
    ),
    "ACCOUNT_NOT_OPEN_YET": Kind(
        404, "Not found", "There was no such account at the moment asked for.", "Ask for a later one.", _THEN
    ),
    "INSTRUMENT_NOT_FOUND": Kind(
        404,
        "Not found",
        "The instrument master has nothing under this segment and security id.",
        "`GET /api/instruments?q=` searches it.",
        "instruments",
    ),
    "TRADE_NOT_FOUND": Kind(
        404,
        "Not found",
        "There is no such trade, it is not this user's, or it was closed on an earlier day.",
        "`GET /api/trades` lists them.",
        _TRADES,
    ),
    "ORDER_NOT_FOUND": Kind(
        404,
        "Not found",
        "There is no such order, it is not this user's, or its trade was closed on an earlier day.",
        "`GET /api/orders` lists them.",
        _DOUBTS,
    ),
    "CONTRACT_NOTE_NOT_FOUND": Kind(
        404,
        "Not found",
        "Nothing was traded on this day, or the broker has not told its charges yet: it does on the next day.",
        "`GET /api/contract-notes` lists the days that there are.",
        "contract notes",
    ),
    "POSITION_NOT_FOUND": Kind(
        404,
        "Not found",
        "No position can have this name.",
        "Names are those of `GET /api/positions`: NSE_EQ-2885-INTRADAY.",
        "closing a position",
    ),
    "INVARIANT_NOT_FOUND": Kind(
        404,
        "Not found",
        "There is no such invariant.",
        "Its names are in the answer.",
        "releasing a breach of an invariant",
    ),
    "BREACH_NOT_FOUND": Kind(
        404, "Not found", "There is no such limit.", "Names are those of the parameters.", "releasing a breach"
    ),
    "AUDIT_EVENT_NOT_FOUND": Kind(
        404,
        "Not found",
        "There is no such event, or none that concerns you.",
        "`GET /api/audit/events` lists them.",
        "audit",
    ),
    "STRATEGY_NOT_FOUND": Kind(404, "Not found", "This user has no such strategy.", "Check its id.", _STRATEGIES),
    "BACKTEST_NOT_FOUND": Kind(404, "Not found", "There is no such backtest.", "Check its id.", _BACKTESTS),
    # --- The present state does not allow it; nothing was done.
    "ACCOUNT_EXISTS": Kind(
        409, "Not possible now", "The account was opened before.", "Nothing is to be done.", "registrations"
    ),
    "POSITION_NOT_OPEN": Kind(
        409,
        "Not possible now",
        "Nothing is held in this instrument and product.",
        "`GET /api/positions` tells what is.",
        "closing a position",
    ),
    "TRADE_CLOSED": Kind(409, "Not possible now", "The trade is over.", "Open another one.", _TRADES),
    "TRADE_EXTERNAL": Kind(
        409,
        "Not possible now",
        "The trade came from outside: it has no levels, and nobody would watch them.",
        "Close it, here or where it came from.",
        "changes of trades",
    ),
    "TRADE_VERSION_MISMATCH": Kind(
        409,
        "Not possible now",
        "Somebody changed the trade meanwhile.",
        "Read it again and decide anew.",
        "changes of trades",
    ),
    "ENTRY_NOT_RESTING": Kind(
        409,
        "Not possible now",
        "No entry order of the trade can be changed or canceled now.",
        "It may have filled: read the trade.",
        "changes and cancels of trades",
    ),
    "NOTHING_HELD": Kind(
        409, "Not possible now", "The trade holds nothing that could be closed.", "Cancel its entry.", "closing a trade"
    ),
    "ORDER_NOT_IN_DOUBT": Kind(
        409,
        "Not possible now",
        "What became of the order is known by now: there is nothing to resolve.",
        "Read the order: its status says what became of it.",
        _DOUBTS,
    ),
    "DIFFERENCE_NOT_FOUND": Kind(
        404,
        "Not found",
        "There is no such difference, it is not this user's, or it is over by now.",
        "`GET /api/reconciliation` lists those that are open.",
        _DIFFERENCES,
    ),
    "ADOPTION_NEEDS_PRICE": Kind(
        409,
        "Not possible now",
        "A position is taken as the broker shows it at its last price, and nobody knows one.",
        "Name a `price`: of an expired derivative the one at which it was settled.",
        _DIFFERENCES,
    ),
    "VENUE_ORDER_TAKEN": Kind(
        409,
        "Not possible now",
        "Another order of the account has this id at the broker.",
        "Look at the broker again: both ids are in its order book.",
        _DOUBTS,
    ),
    "BREACH_NOT_LATCHED": Kind(
        409, "Not possible now", "No such limit is latched.", "Nothing is to be released.", "releasing a breach"
    ),
    "INVARIANT_NOT_BREACHED": Kind(
        409,
        "Not possible now",
        "No breach of that invariant waits for a release.",
        "Nothing is to be released.",
        "releasing a breach of an invariant",
    ),
    "STRATEGY_TRADING": Kind(
        409, "Not possible now", "What trades is not changed.", "Pause the strategy first.", _STRATEGIES
    ),
    "STRATEGY_UNTESTED": Kind(
        409,
        "Not possible now",
        "A step of the life cycle was left out.",
        "Backtest before paper, and paper before live.",
        _STRATEGIES,
    ),
    "STRATEGY_NOT_PAUSABLE": Kind(
        409,
        "Not possible now",
        "Only what trades can be paused, only what is paused resumed.",
        "Read the strategy's state.",
        _STRATEGIES,
    ),
    "STRATEGY_ARCHIVED": Kind(409, "Not possible now", "The strategy is archived.", "Make another one.", _STRATEGIES),
    "STRATEGY_REVISION_OUTDATED": Kind(
        409,
        "Not possible now",
        "The result belongs to another revision of the source.",
        "Run the backtest again.",
        _STRATEGIES,
    ),
    "STRATEGY_VERSION_MISMATCH": Kind(
        409,
        "Not possible now",
        "Somebody changed the strategy meanwhile.",
        "Read it again and decide anew.",
        _STRATEGIES,
    ),
    "BACKTEST_OVER": Kind(409, "Not possible now", "The backtest has ended otherwise.", "Read its result.", _BACKTESTS),
    "EPOCH_CHANGED": Kind(
        409,
        "The log has another history",
        "The log was put back to an older state, or moved: what was read from it may never have happened.",
        "Read everything anew, without `Khata-Epoch`.",
        _QUERIES,
    ),
    # --- Too much at once.
    "RATE_LIMITED": Kind(
        429,
        "Too many requests",
        "This user or address asks more than its rate, or failed to log in too often. `RateLimit-Policy` has the rate."
        " Nothing was done.",
        "Wait for `Retry-After` seconds. The same Idempotency-Key may be used again.",
        _ANY,
    ),
    "LOGIN_BUSY": Kind(
        429,
        "Too many requests",
        "Too many people log in at once.",
        "Wait for `Retry-After` seconds.",
        "log-ins and registrations",
    ),
    "INTENT_STORM": Kind(
        429,
        "Too many intents",
        "The account hands in more than KHATA_INTENTS_PER_SECOND_MAX. One event sums the storm up.",
        "Wait for `Retry-After` seconds, and look for a loop in what hands them in.",
        "intents",
    ),
    # --- It is not the request's fault: ask again.
    "INTERNAL_ERROR": Kind(
        500,
        "Something is wrong on our side",
        "A bug. The cause is in the log under the answer's `X-Request-Id`.",
        "Report it with that id. A command may or may not have been carried out: ask again under its Idempotency-Key.",
        _ANY,
    ),
    "TOO_MANY_CONNECTIONS": Kind(
        503,
        "Too many connections",
        "More clients are connected than KHATA_API_CONNECTIONS_MAX. Nothing was done.",
        "Wait for `Retry-After` seconds, and keep connections for several requests.",
        _ANY,
    ),
    "ACCOUNT_BUSY": Kind(
        503,
        "The account is busy",
        "Others kept changing the account. Nothing was done.",
        "Ask again, under the same Idempotency-Key.",
        _COMMANDS,
    ),
    "DECISION_STOPPED": Kind(
        503,
        "Stopped by the watch",
        "A bug: what the engine decided would have broken something that always holds. Nothing of it was done, and "
        "entries of the account are denied.",
        "Look at `broken` of `GET /api/risk/portfolio` and report it. Close by hand at the broker what cannot wait.",
        _COMMANDS,
    ),
    "STORE_UNAVAILABLE": Kind(
        503,
        "The log is away",
        "PostgreSQL cannot be reached. Nothing was stored.",
        "Ask again, under the same Idempotency-Key; `khata doctor` says what is wrong.",
        _ANY,
    ),
    "LOG_FULL": Kind(
        503,
        "The log is full",
        "Its disk has no room. Nothing was stored.",
        "Make room; it goes on by itself.",
        _COMMANDS,
    ),
    "OUTCOME_UNKNOWN": Kind(
        503,
        "The outcome is not known",
        "The connection to the log was lost under the append: it may have been stored.",
        "Ask again under the same Idempotency-Key, which tells the outcome and cannot do it twice.",
        _COMMANDS,
    ),
    "READ_MODEL_BEHIND": Kind(
        503,
        "The views are behind",
        "They have not come as far as `min_sequence` or the moment within two seconds.",
        "Ask again; `khata doctor` tells how far they are.",
        _QUERIES,
    ),
    "VIEWS_UNAVAILABLE": Kind(
        503, "The views are away", "The read models cannot be read.", "Ask again; `khata doctor` says why.", _QUERIES
    ),
    "BARS_UNREADABLE": Kind(
        503,
        "Stored bars cannot be read",
        "A file of daily bars is damaged.",
        "Import them again with `khata bars import --replace`.",
        "value at risk, and queries of the past",
    ),
    "INSTRUMENTS_UNREADABLE": Kind(
        503,
        "The instrument master cannot be searched",
        "A file of the imported master is damaged.",
        "`khata doctor` says which; import the master again.",
        "instruments",
    ),
    "DEADLINE_EXCEEDED": Kind(
        504,
        "It takes too long",
        "There was no answer within KHATA_API_ANSWER_WITHIN_MS. A command goes on: it may have been carried out, or"
        " will be.",
        "Ask again under the same Idempotency-Key, which tells the outcome and cannot do it twice.",
        _ANY,
    ),
}


def entry_of(code: str) -> str | None:
    """Return the key of the table under which *code* is explained, None where it is nowhere."""
    if code in PROBLEMS:
        return code
    if code in _DENIALS:
        return DENIED
    return FIELD_INVALID if code.endswith("_INVALID") else None


def status_of(code: str) -> int:
    """Return the status with which *code* is answered. Raises KeyError: it stands in no table."""
    return PROBLEMS[entry_of(code) or code].status


def title_of(code: str, status: int) -> str:
    """Return the title of every problem with *code*."""
    entry = entry_of(code)
    return HTTPStatus(status).phrase if entry is None else PROBLEMS[entry].title


def type_of(code: str) -> str:
    """Return where *code* is explained: a reference relative to the API itself."""
    entry = entry_of(code)
    return _UNEXPLAINED if entry is None else f"{PAGE_PATH}#{anchor_of(entry)}"


def anchor_of(entry: str) -> str:
    """Return the name of an entry's place on a page, which is also the one that Markdown gives to its heading."""
    return "".join(letter for letter in entry.lower() if letter.isalpha() or letter == "_")
