"""From settings to what the API allows."""

from pathlib import Path

import pytest

from infra.addresses import choose_addresses
from infra.problems import OperatorProblem
from infra.settings import SettingsInvalid, load
from infra.supervisor import PROCESSES, processes_of
from infra.wiring.api import cors_origins_of, edge_of, rates_of


def test_by_default_nobody_is_believed_and_no_page_of_others_is_let_in() -> None:
    settings = load({})
    assert edge_of(settings).trusted_proxies == ()
    assert cors_origins_of(settings) == ()


def test_proxies_and_origins_are_listed() -> None:
    settings = load(
        {
            "KHATA_API_TRUSTED_PROXIES": "10.0.0.7,fd00::/8",
            "KHATA_API_CORS_ORIGINS": "https://desk.example.in,http://localhost:5173",
        }
    )
    assert edge_of(settings).trusted_proxies == ("10.0.0.7", "fd00::/8")
    assert cors_origins_of(settings) == ("https://desk.example.in", "http://localhost:5173")


@pytest.mark.parametrize("origins", ["*", "desk.example.in", "https://a.in/path", "https://a.in,*", "https://*.a.in"])
def test_an_origin_that_is_not_exact_is_refused(origins: str) -> None:
    with pytest.raises(SettingsInvalid, match="KHATA_API_CORS_ORIGINS"):
        load({"KHATA_API_CORS_ORIGINS": origins})


@pytest.mark.parametrize("proxies", ["10.0.0.300", "10.0.0.7/8", "::g"])
def test_a_proxy_that_is_no_address_is_refused(proxies: str) -> None:
    with pytest.raises(OperatorProblem, match="KHATA_API_TRUSTED_PROXIES"):
        edge_of(load({"KHATA_API_TRUSTED_PROXIES": proxies}))


def test_nobody_is_believed_for_being_anybody() -> None:
    with pytest.raises(SettingsInvalid, match="KHATA_API_TRUSTED_PROXIES"):
        load({"KHATA_API_TRUSTED_PROXIES": "*"})


def test_processes_that_share_the_requests_share_the_rates() -> None:
    whole = rates_of(load({"KHATA_RATE_QUERIES_PER_SECOND": "90"}))
    half = rates_of(load({"KHATA_RATE_QUERIES_PER_SECOND": "90", "KHATA_API_PROCESSES": "2"}))
    assert (whole.queries_per_second, half.queries_per_second) == (90, 45)
    assert (whole.failed_sign_ins_max, half.failed_sign_ins_max) == (10, 5)


def test_the_halves_have_an_address_each_where_they_run_apart(tmp_path: Path) -> None:
    free = {"KHATA_HOME": str(tmp_path), "KHATA_API_PORT": "0", "KHATA_QUERY_API_PORT": "0"}
    together, apart = load(free), load(free | {"KHATA_API_APART": "true"})
    assert choose_addresses(together).query_api == ""
    assert len({*choose_addresses(apart)}) == 3
    assert processes_of(together) == PROCESSES
    assert processes_of(apart)[:2] == (("command-api",), ("query-api",))
    assert processes_of(apart)[2:] == PROCESSES[1:]
