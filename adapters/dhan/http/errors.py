"""What an answer of the venue means: one table.

Codes alone do not tell (DH-905 and DH-906 each cover unrelated causes), so a rule may look at status, code and message.
The first rule that matches decides. A *refusal* is the venue's well-formed no: nothing was done. Whatever is neither a
well-formed yes nor a well-formed no is *ambiguous*: of a write, nothing is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NamedTuple

from adapters.dhan.words.codec import AnswerMalformed, parse_document
from domain.order import RefusalReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fine:
    """A well-formed yes: the document of a 2xx answer (None: no body)."""

    document: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRefusal:
    """A well-formed no, with the venue's own code."""

    reason: RefusalReason
    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """Neither yes nor no. `is_throttled`: the venue asks for fewer requests and is not broken.

    `refusal` is set where the venue answers that all is well, with an error in place of what was asked for. Who asked
    something may take it for a no; who changed something may not.
    """

    cause: str
    is_throttled: bool = False
    refusal: VenueRefusal | None = None


Verdict = Fine | VenueRefusal | Ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A row of the table. Unset conditions match everything; `message` is a part of the message, lower case."""

    reason: RefusalReason | None
    status: int | None = None
    codes: frozenset[str] = frozenset()
    message: str = ""

    def matches(self, status: int, code: str, message: str) -> bool:
        """Tell whether an error of this status, code and message (lower case) falls under the rule."""
        return (
            (self.status is None or self.status == status)
            and (not self.codes or code in self.codes)
            and self.message in message
        )


_R = RefusalReason
_AMBIGUOUS = None
_NO_HOLDINGS = "DH-1111"
_FAILED_WORDS = frozenset({"failed", "ERROR"})

RULES: tuple[_Rule, ...] = (
    # The venue could not reach its own backend, or broke while it worked: the order may live.
    _Rule(reason=_AMBIGUOUS, codes=frozenset({"DH-908", "DH-909", "800"})),
    # No access to trading or data, an account with trouble: another token would not help.
    _Rule(reason=_R.OTHER, codes=frozenset({"DH-902", "DH-903", "806"})),
    # A dead token comes as 401 with several codes, and as 400 DH-906 "Invalid Token".
    _Rule(reason=_R.TOKEN, codes=frozenset({"DH-901", "807", "808", "809", "810"})),
    _Rule(reason=_R.TOKEN, message="invalid token"),
    _Rule(reason=_R.TOKEN, status=401),
    # An address that is not registered comes as 400 DH-905 "Invalid IP"; DH-911 stands in no official page.
    _Rule(reason=_R.IP, message="invalid ip"),
    _Rule(reason=_R.IP, codes=frozenset({"DH-911"})),
    _Rule(reason=_R.RATE_LIMIT, codes=frozenset({"DH-904", "805"})),
    _Rule(reason=_R.FUNDS, message="insufficient fund"),
    _Rule(reason=_R.FUNDS, message="fund limit insufficient"),
    _Rule(reason=_R.FUNDS, message="insufficient balance"),
    _Rule(reason=_R.FUNDS, message="insufficient margin"),
    _Rule(reason=_R.MARKET_CLOSED, message="market is closed"),
    _Rule(reason=_R.MARKET_CLOSED, message="markets are offline or blocked"),
    _Rule(reason=_R.INPUT, message="trigger price should be"),
    _Rule(reason=_R.INPUT, message="incorrect request"),
    _Rule(reason=_R.INPUT, codes=frozenset({"DH-905", "DH-907", "804", "811", "812", "813", "814"})),
    _Rule(reason=_R.OTHER),
)


def classify(status: int, body: bytes) -> Verdict:
    """Return what an answer of *status* with *body* means."""
    is_yes = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    is_throttled = status == HTTPStatus.TOO_MANY_REQUESTS
    if is_yes and not body.strip():
        return Fine(document=None)
    try:
        document = parse_document(body)
    except AnswerMalformed:
        return Ambiguous(cause=f"HTTP {status} with a body that is no JSON", is_throttled=is_throttled)
    return _verdict(status, document, is_yes=is_yes, is_throttled=is_throttled)


def _verdict(status: int, document: Any, *, is_yes: bool, is_throttled: bool) -> Verdict:
    error = _error_of(document)
    if error is not None and error.code == _NO_HOLDINGS:
        return Fine(document=[])  # An empty portfolio comes as HTTP 500.
    if is_yes and error is None:
        return Fine(document=document)
    if is_yes and error is not None:
        reason = _reason_of(status, error)
        said = None if reason is None else VenueRefusal(reason=reason, status=status, **error._asdict())
        return Ambiguous(cause=f"HTTP {status} {error}", refusal=said)
    # A well-formed no is a 4xx with a code. An error inside a 200, or a 5xx with one, leaves open what was done.
    if error is None or not error.code or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Ambiguous(cause=f"HTTP {status} {error}" if error else f"HTTP {status}", is_throttled=is_throttled)
    reason = _reason_of(status, error)
    if reason is None:
        return Ambiguous(cause=f"HTTP {status} {error}")
    return VenueRefusal(reason=reason, status=status, code=error.code, message=error.message)


class _VenueError(NamedTuple):
    """An error document. The code is empty where it has none."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.code or 'without a code'}: {self.message}"


def _reason_of(status: int, error: _VenueError) -> RefusalReason | None:
    message = error.message.lower()
    return next(rule.reason for rule in RULES if rule.matches(status, error.code, message))


def _error_of(document: Any) -> _VenueError | None:
    """Return the error that *document* is, in any of the venue's shapes; None where it is none."""
    if isinstance(document, list):
        # Inside a 200 an error may come as the first row: {"message": …, "status": "ERROR"}.
        document = document[0] if document else None
    if not isinstance(document, Mapping):
        return None
    if document.get("errorCode") is not None or document.get("errorMessage") is not None:
        return _VenueError(str(document.get("errorCode") or ""), str(document.get("errorMessage") or ""))
    if document.get("status") in _FAILED_WORDS:
        data = document.get("data")
        return _first_of(data) if isinstance(data, Mapping) and data else _VenueError("", str(document.get("message")))
    is_bare = len(document) == 1 and next(iter(document)).isdigit()
    return _first_of(document) if is_bare else None  # The bare form is {"805": "Too many requests…"}.


def _first_of(codes: Mapping[str, Any]) -> _VenueError:
    code, message = next(iter(codes.items()))
    return _VenueError(code, str(message))
