"""Log-ins of a person's own account at the venue: a token made in its web page, or a pin with one-time codes."""

import base64
import binascii
import hmac
from typing import Protocol

from adapters.dhan.access.tokens import LoginRefused, LoginUnavailable, Session, session_of
from adapters.dhan.secret import Secret
from adapters.dhan.settings import DhanSettings
from commands.ports import Clock
from domain.ids import AccountId
from domain.market import NS_PER_S

_STEP_S = 30
_DIGITS = 6


class CredentialsInvalid(ValueError):
    """Settings that no log-in can be made of. The message says which are missing, and never what stands in them."""


class VenueLogin(Protocol):
    """The venue's log-in and renewal. `PinLogin` implements it."""

    async def log_in(self, client_id: str, pin: Secret, totp: Secret) -> Session:
        """Return a fresh session. Raises LoginUnavailable, LoginRefused."""
        ...

    async def renew(self, held: Session) -> Session:
        """Return a session in place of one that was made in the web page. Raises LoginUnavailable, LoginRefused."""
        ...


class OwnLogins:
    """One account's log-in. Implements `adapters.dhan.access.tokens.Logins`.

    A token that was given serves first, and is renewed by the venue's RenewToken as long as it lives. Without one, or
    once it is gone, a pin and one-time codes make the next. With neither it needs a person, who brings a new token.
    """

    def __init__(self, settings: DhanSettings, login: VenueLogin, clock: Clock) -> None:
        if settings.client_id is None:
            raise CredentialsInvalid("received no client id, expected the one of the account")
        has_pin = settings.pin is not None and settings.totp_secret is not None
        if settings.access_token is None and not has_pin:
            raise CredentialsInvalid("received neither an access token nor a pin with its TOTP secret, expected one")
        if settings.totp_secret is not None:
            totp(settings.totp_secret, at_ns=0)  # It is said now that the secret is none, not as the token ends.
        self._client_id = settings.client_id
        self._settings = settings
        self._login = login
        self._clock = clock
        self._given = settings.access_token
        self._web_made: Session | None = None

    def session_of_token(self, token: Secret) -> Session:
        """Return the session of a token that was made in the venue's web page."""
        session = session_of(
            self._client_id,
            token,
            now_ns=self._clock.wall_ns(),
            renew_before_s=self._settings.token_renew_before_s,
        )
        self._web_made = session
        return session

    async def log_in(self, account_id: AccountId) -> Session:
        """Return the given token's session the first time, and one by pin and code afterwards.

        Raises:
            LoginUnavailable, LoginRefused
        """
        if self._given is not None:
            token, self._given = self._given, None
            return self.session_of_token(token)
        pin, secret = self._settings.pin, self._settings.totp_secret
        if pin is None or secret is None:
            raise LoginRefused(f"the access token given for account {account_id} is no longer good, expected a new one")
        self._web_made = None
        return await self._login.log_in(self._client_id, pin, totp(secret, at_ns=self._clock.wall_ns()))

    async def renew(self, account_id: AccountId, held: Session) -> Session:
        """Return a session in place of *held*: by RenewToken where it was made in the web page, else by pin and code.

        Raises:
            LoginUnavailable, LoginRefused
        """
        if held != self._web_made:
            return await self.log_in(account_id)
        try:
            renewed = await self._login.renew(held)
        except (LoginRefused, LoginUnavailable):
            if self._settings.pin is None or self._settings.totp_secret is None:
                raise
            return await self.log_in(account_id)
        self._web_made = renewed
        return renewed


def totp(secret: Secret, *, at_ns: int) -> Secret:
    """Return the one-time code of a moment (UTC): SHA-1, six digits, 30 seconds. Source: RFC 6238, RFC 4226 §5.3.

    Raises:
        CredentialsInvalid: *secret* is no base32.
    """
    text = secret.reveal().replace(" ", "").upper()
    try:
        key = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raise CredentialsInvalid(
            "received a TOTP secret that is no base32, expected letters and the digits 2-7"
        ) from None
    counter = at_ns // NS_PER_S // _STEP_S
    digest = hmac.digest(key, counter.to_bytes(8, "big"), "sha1")
    place = digest[-1] & 0x0F
    number = int.from_bytes(digest[place : place + 4], "big") & 0x7FFF_FFFF
    return Secret(f"{number % 10**_DIGITS:0{_DIGITS}d}")
