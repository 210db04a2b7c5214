"""What `khata reconcile` prints: a diff that a person can read."""

import pytest
from msgspec.structs import replace

from commands.looks import LookReport
from domain.differences import Book, DifferenceKind, Finding
from domain.ids import AccountId
from infra.cli.reconcile import print_looks
from tests.support.specimens import ACCOUNT, NOW_NS, difference_found

SUSPECTED = Finding(kind=DifferenceKind.ORDER_MISSING, subject="trd_1.1", ours="acknowledged", theirs="not there")
DIFFERS = LookReport(
    account_id=ACCOUNT,
    looked_at_ns=NOW_NS,
    read=tuple(Book),
    is_whole=True,
    agrees=False,
    differences=(difference_found,),
    repaired=(),
    suspected=(SUSPECTED,),
)
AGREES = LookReport(
    account_id=AccountId("acc_2"),
    looked_at_ns=NOW_NS,
    read=tuple(Book),
    is_whole=True,
    agrees=True,
    differences=(),
    repaired=(),
    suspected=(),
)


def printed(capsys: pytest.CaptureFixture[str], *looks: LookReport) -> str:
    print_looks(looks)
    return " ".join(capsys.readouterr().out.split())


def test_each_difference_is_a_row_and_each_account_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    said = printed(capsys, DIFFERS, AGREES)
    assert "RELIANCE INTRADAY position_larger 100 110 10 unexplained" in said
    assert f"entries are held; {difference_found.difference_id}" in said
    assert "trd_1.1 order_missing acknowledged not there" in said
    assert "to be seen once more" in said
    assert f"{ACCOUNT} does not agree, 2026-11-20" in said
    assert "acc_2 agrees, " in said


def test_where_nothing_is_otherwise_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, AGREES).startswith("No difference is open. acc_2 agrees, ")
    assert printed(capsys).endswith("No account has anything that could be compared.")


def test_a_look_that_could_not_read_everything_agrees_with_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    torn = replace(AGREES, agrees=False, is_whole=False, read=(Book.ORDERS,))
    assert "acc_2 could not be read whole, " in printed(capsys, torn)
