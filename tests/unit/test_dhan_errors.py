"""What each answer of the venue means."""

import json

import pytest

from adapters.dhan.http.errors import Ambiguous, Fine, VenueRefusal, classify
from domain.order import RefusalReason


def error(code: str, message: str) -> bytes:
    return json.dumps({"errorType": "Any", "errorCode": code, "errorMessage": message}).encode()


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, error("DH-901", "Client ID or token invalid"), RefusalReason.TOKEN),
        (400, error("DH-906", "Invalid Token"), RefusalReason.TOKEN),
        (401, b'{"data":{"808":"Authentication Failed"},"status":"failed"}', RefusalReason.TOKEN),
        (401, error("DH-902", "no access to the Data APIs"), RefusalReason.OTHER),
        (400, error("DH-903", "segment not active"), RefusalReason.OTHER),
        (429, error("DH-904", "Too many requests"), RefusalReason.RATE_LIMIT),
        (429, b'{"data":{"805":"Too many requests"},"status":"failed"}', RefusalReason.RATE_LIMIT),
        (429, b'{"805":"Too many requests"}', RefusalReason.RATE_LIMIT),
        (400, error("DH-905", "quantity is required"), RefusalReason.INPUT),
        (400, error("DH-905", "Invalid IP"), RefusalReason.IP),
        (400, error("DH-906", "Market is Closed! You cannot modify/cancel an order now."), RefusalReason.MARKET_CLOSED),
        (400, error("DH-906", "Markets are Offline or Blocked"), RefusalReason.MARKET_CLOSED),
        (400, error("DH-906", "Fund Limit Insufficient By 2872.08"), RefusalReason.FUNDS),
        (400, error("DH-906", "Order is in Transit state"), RefusalReason.OTHER),
        (404, error("DH-906", "Incorrect request for order and cannot be processed"), RefusalReason.INPUT),
        (400, b'{"data":{"813":"Invalid SecurityId"},"status":"failed"}', RefusalReason.INPUT),
    ],
)
def test_a_well_formed_no_has_its_reason(status: int, body: bytes, reason: RefusalReason) -> None:
    verdict = classify(status, body)
    assert isinstance(verdict, VenueRefusal)
    assert verdict.reason is reason


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, error("DH-908", "Internal")),
        (500, error("DH-905", "Invalid IP")),
        (400, error("DH-909", "Dhan could not reach its backend")),
        (502, b"<html>"),
        (503, b""),
        (200, b"<html>"),
        (200, error("DH-905", "bad")),
        (200, b'[{"message":"Something went wrong","status":"ERROR"}]'),
        (400, b'{"message":"Something went wrong","status":"ERROR"}'),
        (400, b'{"errorMessage":"no code"}'),
        (404, b'{"timestamp":1,"status":404,"error":"Not Found","path":"/v2/x"}'),
        (401, b"Unauthorized"),
        (302, b"{}"),
    ],
)
def test_what_is_neither_yes_nor_no_is_ambiguous(status: int, body: bytes) -> None:
    verdict = classify(status, body)
    assert isinstance(verdict, Ambiguous)
    assert not verdict.is_throttled


def test_a_bare_429_is_ambiguous_and_throttled() -> None:
    assert classify(429, b"") == Ambiguous(cause="HTTP 429 with a body that is no JSON", is_throttled=True)
    verdict = classify(429, b"{}")
    assert isinstance(verdict, Ambiguous)
    assert verdict.is_throttled


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_yes_carries_its_document(status: int) -> None:
    assert classify(status, b'{"orderId":"1"}') == Fine(document={"orderId": "1"})
    assert classify(status, b"[]") == Fine(document=[])
    assert classify(status, b"") == Fine(document=None)


def test_an_order_row_is_no_error() -> None:
    row = b'[{"orderId":"1","orderStatus":"REJECTED","omsErrorCode":"0"}]'
    assert isinstance(classify(200, row), Fine)


def test_no_holdings_is_an_empty_list() -> None:
    assert classify(500, error("DH-1111", "No holdings available")) == Fine(document=[])
