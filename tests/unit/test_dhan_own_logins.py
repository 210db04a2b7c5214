"""Log-ins of a person's own account: the given token first, renewed while it lives, then pin and code."""

import base64

import msgspec
import pytest

from adapters.dhan.access.own_logins import CredentialsInvalid, OwnLogins, totp
from adapters.dhan.access.tokens import LoginRefused, LoginUnavailable, Session
from adapters.dhan.secret import Secret
from adapters.dhan.settings import DhanSettings
from tests.support.dhan import ACCOUNT, HandClock

S = 1_000_000_000
DAY_S = 86_400
RFC_SECRET = Secret(base64.b32encode(b"12345678901234567890").decode())
GIVEN = DhanSettings(client_id="1000000001", access_token=Secret("given"))
WITH_PIN = msgspec.structs.replace(GIVEN, pin=Secret("111111"), totp_secret=RFC_SECRET)


class FakeVenue:
    """The venue's log-in. Implements what `OwnLogins` uses of `PinLogin`."""

    def __init__(self, clock: HandClock, *, renewal: Exception | None = None) -> None:
        self._clock = clock
        self._renewal = renewal
        self.codes: list[str] = []
        self.renewed: list[str] = []

    async def log_in(self, client_id: str, pin: Secret, totp: Secret) -> Session:
        assert pin.reveal() == "111111"
        self.codes.append(totp.reveal())
        return self._session(client_id, f"by-pin-{len(self.codes)}")

    async def renew(self, held: Session) -> Session:
        self.renewed.append(held.token.reveal())
        if self._renewal is not None:
            raise self._renewal
        return self._session(held.client_id, f"renewed-{len(self.renewed)}")

    def _session(self, client_id: str, token: str) -> Session:
        ends_ns = self._clock.wall_ns() + DAY_S * S
        return Session(client_id=client_id, token=Secret(token), expires_at_ns=ends_ns, renew_at_ns=ends_ns)


def logins_of(settings: DhanSettings, *, renewal: Exception | None = None) -> tuple[OwnLogins, FakeVenue]:
    clock = HandClock(59 * S)
    venue = FakeVenue(clock, renewal=renewal)
    return OwnLogins(settings, venue, clock), venue


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ],
)
def test_a_one_time_code_is_the_one_of_the_standard(second: int, code: str) -> None:
    # RFC 6238, appendix B, the last six digits of its eight.
    assert totp(RFC_SECRET, at_ns=second * S).reveal() == code


def test_a_secret_is_read_as_people_copy_it() -> None:
    spaced = Secret("gezd gnbv gy3t qojq gezd gnbv gy3t qojq")
    assert totp(spaced, at_ns=59 * S) == totp(RFC_SECRET, at_ns=59 * S)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (DhanSettings(access_token=Secret("hidden")), "no client id"),
        (DhanSettings(client_id="1"), "neither an access token nor a pin"),
        (DhanSettings(client_id="1", pin=Secret("hidden")), "neither an access token nor a pin"),
        (DhanSettings(client_id="1", pin=Secret("1"), totp_secret=Secret("hidden!")), "no base32"),
    ],
)
def test_what_no_log_in_can_be_made_of_is_refused_without_showing_it(settings: DhanSettings, said: str) -> None:
    with pytest.raises(CredentialsInvalid, match=said) as refused:
        logins_of(settings)
    assert "hidden" not in str(refused.value)


async def test_the_given_token_serves_first_and_then_needs_a_person() -> None:
    logins, venue = logins_of(GIVEN)
    assert (await logins.log_in(ACCOUNT)).token == Secret("given")
    with pytest.raises(LoginRefused, match="expected a new one"):
        await logins.log_in(ACCOUNT)
    assert venue.codes == []


async def test_a_token_of_the_web_page_is_renewed_and_what_came_of_it_again() -> None:
    logins, venue = logins_of(GIVEN)
    first = await logins.log_in(ACCOUNT)
    second = await logins.renew(ACCOUNT, first)
    third = await logins.renew(ACCOUNT, second)
    assert venue.renewed == ["given", "renewed-1"]
    assert third.token == Secret("renewed-2")


async def test_a_token_by_pin_is_followed_by_another_and_never_renewed() -> None:
    logins, venue = logins_of(msgspec.structs.replace(WITH_PIN, access_token=None))
    first = await logins.log_in(ACCOUNT)
    await logins.renew(ACCOUNT, first)
    assert (venue.codes, venue.renewed) == (["287082", "287082"], [])


@pytest.mark.parametrize("fault", [LoginRefused("no"), LoginUnavailable("answer lost: the old token may be dead")])
async def test_where_renewal_fails_pin_and_code_make_the_next(fault: Exception) -> None:
    logins, venue = logins_of(WITH_PIN, renewal=fault)
    session = await logins.renew(ACCOUNT, await logins.log_in(ACCOUNT))
    assert (session.token, venue.codes) == (Secret("by-pin-1"), ["287082"])


async def test_where_renewal_fails_without_a_pin_it_is_told() -> None:
    logins, _ = logins_of(GIVEN, renewal=LoginRefused("no"))
    first = await logins.log_in(ACCOUNT)
    with pytest.raises(LoginRefused):
        await logins.renew(ACCOUNT, first)


async def test_a_token_that_a_person_brings_is_renewed_like_the_first() -> None:
    logins, venue = logins_of(GIVEN)
    await logins.log_in(ACCOUNT)
    brought = logins.session_of_token(Secret("brought"))
    await logins.renew(ACCOUNT, brought)
    assert venue.renewed == ["brought"]
