"""Settings come from the environment alone, and a mistake in one is told before anything starts."""

from pathlib import Path

import msgspec
import pytest

from domain.differences import RULES
from domain.risk import DenialCode, RiskParameters
from infra.cli.docs import (
    EVENTS_PAGE,
    PAGE,
    RECONCILIATION_PAGE,
    RISK_PAGE,
    SPECIMENS,
    configuration_page,
    events_page,
    reconciliation_page,
    risk_page,
)
from infra.settings import SettingsInvalid, describe, load, override

ROOT = Path(__file__).parents[2]


def test_everything_has_a_default() -> None:
    settings = load({})

    assert settings.api_host == "127.0.0.1"
    assert settings.api_port == 8000
    assert settings.database_url is None


def test_variables_set_fields_and_an_empty_one_is_unset() -> None:
    settings = load({"KHATA_API_PORT": "0", "KHATA_LOCK_STEP": "true", "KHATA_HOME": "~/ledger", "KHATA_NATS_URL": ""})

    assert settings.api_port == 0
    assert settings.lock_step is True
    assert settings.home == Path.home() / "ledger"
    assert settings.nats_url is None


def test_other_peoples_variables_are_no_concern_of_ours() -> None:
    assert load({"PATH": "/bin", "KHATARINA_PORT": "1"}) == load({})


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("KHATA_API_PROT", "8001", "Did you mean KHATA_API_PORT?"),
        ("KHATA_NONSENSE", "1", "the settings are: KHATA_HOME"),
        ("KHATA_API_PORT", "99999", "KHATA_API_PORT"),
        ("KHATA_API_PORT", "many", "KHATA_API_PORT"),
        ("KHATA_LOCK_STEP", "perhaps", "KHATA_LOCK_STEP"),
        ("KHATA_MARKET_CLOCK", "sundial", "KHATA_MARKET_CLOCK"),
        ("KHATA_ORDER_LOOKUPS_MIN", "0", "KHATA_ORDER_LOOKUPS_MIN"),
    ],
)
def test_what_is_no_setting_is_refused(variable: str, value: str, told: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        load({variable: value})

    assert variable in str(refused.value)
    assert told in str(refused.value)


def test_an_override_is_checked_like_a_variable() -> None:
    assert override(load({}), lock_step=True).lock_step
    with pytest.raises(SettingsInvalid):
        override(load({}), api_port=-1)


def test_a_url_with_its_password_is_never_shown() -> None:
    settings = load({"KHATA_DATABASE_URL": "postgresql://me:hunter2@db/khata"})

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(describe(settings))


def test_the_page_about_the_settings_is_that_of_the_code() -> None:
    assert (ROOT / PAGE).read_text() == configuration_page(), "run `make docs`"


def test_the_page_about_risk_is_that_of_the_table() -> None:
    page = risk_page()
    assert (ROOT / RISK_PAGE).read_text() == page, "run `make docs`"
    for code in DenialCode:
        assert f"| `{code.value}` |" in page
    for field in msgspec.structs.fields(RiskParameters):
        assert f"| `{field.name}` |" in page


def test_the_page_about_the_events_is_that_of_the_code() -> None:
    assert (ROOT / EVENTS_PAGE).read_text() == events_page(ROOT / SPECIMENS), "run `make docs`"


def test_the_page_about_reconciliation_is_the_one_that_the_table_makes() -> None:
    page = reconciliation_page()
    assert (ROOT / RECONCILIATION_PAGE).read_text() == page, "run `make docs`"
    assert page.count("\n| `") == len(RULES)
