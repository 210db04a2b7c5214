"""The judge of trials notices whatever is said of a call that the venue's books do not bear out."""

from typing import Any

import pytest

from domain.ids import CorrelationId, VenueOrderId
from infra.faults.venue_link import Phase, Strike, WireFault
from infra.faults.venue_trials import Asked, Case, Verdict, _judged, _Made, _Said

ID = CorrelationId("tri1")
LATER_ID = CorrelationId("tri2")
CHANGED_E4 = 12_990_000
STRIKE = Strike(WireFault.RESET, Phase.WAITING)
OURS = {"order_id": "11", "correlation_id": ID, "limit_price_e4": 13_000_000, "status": "PENDING"}
LATER = {**OURS, "order_id": "12", "correlation_id": LATER_ID}
ACCEPTED = _Said(Verdict.ACCEPTED, VenueOrderId("11"))
LATER_ACCEPTED = _Said(Verdict.ACCEPTED, VenueOrderId("12"))


def made(call: Asked, said: _Said, **changes: Any) -> _Made:
    fields: dict[str, Any] = {
        "case": Case(call, STRIKE),
        "correlation_id": ID,
        "limit_price_e4": CHANGED_E4,
        "said": said,
        "asked": 1,
        "later_id": LATER_ID,
        "later": LATER_ACCEPTED,
        "found": VenueOrderId("12"),
    }
    return _Made(**{**fields, **changes})


def test_what_the_books_bear_out_is_no_problem() -> None:
    for trial, book in (
        (made(Asked.PLACE, ACCEPTED), [OURS, LATER]),
        (made(Asked.PLACE, _Said(Verdict.REFUSED)), [LATER]),
        (made(Asked.PLACE, _Said(Verdict.NOT_SENT), asked=0), [LATER]),
        (made(Asked.PLACE, _Said(Verdict.UNKNOWN)), [OURS, LATER]),
        (made(Asked.PLACE, _Said(Verdict.UNKNOWN)), [LATER]),
        (made(Asked.MODIFY, ACCEPTED), [{**OURS, "limit_price_e4": CHANGED_E4}, LATER]),
        (made(Asked.CANCEL, ACCEPTED), [{**OURS, "status": "CANCELLED"}, LATER]),
        (made(Asked.READ, ACCEPTED), [OURS, LATER]),
        (made(Asked.PLACE, ACCEPTED, later=_Said(Verdict.UNKNOWN), found=None), [OURS]),
    ):
        assert _judged(trial, book).problems == ()


@pytest.mark.parametrize(
    ("trial", "book", "problem"),
    [
        (made(Asked.PLACE, ACCEPTED), [LATER], "no order of that id"),
        (made(Asked.PLACE, ACCEPTED), [{**OURS, "order_id": "13"}, LATER], "no order of that id"),
        (made(Asked.PLACE, _Said(Verdict.REFUSED)), [OURS, LATER], "told refused, and the venue did it"),
        (made(Asked.PLACE, _Said(Verdict.NOT_SENT), asked=0), [OURS, LATER], "told not sent, and the venue did it"),
        (made(Asked.PLACE, _Said(Verdict.NOT_SENT)), [LATER], "a byte may have left"),
        (made(Asked.PLACE, _Said(Verdict.UNKNOWN), asked=2), [OURS, LATER], "asked 2 times"),
        (made(Asked.MODIFY, ACCEPTED), [OURS, LATER], "did not do it"),
        (made(Asked.CANCEL, ACCEPTED), [OURS, LATER], "did not do it"),
        (made(Asked.READ, _Said(Verdict.REFUSED)), [OURS, LATER], "told refused"),
        (made(Asked.PLACE, ACCEPTED, later=ACCEPTED), [OURS, LATER], "which is another one"),
        (made(Asked.PLACE, ACCEPTED, later=_Said(Verdict.REFUSED)), [OURS, LATER], "is in the book"),
        (made(Asked.PLACE, ACCEPTED, found=VenueOrderId("11")), [OURS, LATER], "which is another order"),
    ],
)
def test_what_they_do_not_is_named(trial: _Made, book: list[dict[str, Any]], problem: str) -> None:
    assert any(problem in each for each in _judged(trial, book).problems)
