"""Where the venue is and how hard it may be asked: one struct."""

import msgspec

from adapters.dhan.secret import Secret

LIVE_BASE_URL = "https://api.dhan.co/v2"
LIVE_AUTH_URL = "https://auth.dhan.co"
LIVE_FEED_URL = "wss://api-feed.dhan.co"
LIVE_FILES_URL = "https://images.dhan.co/api-data"
SANDBOX_BASE_URL = "https://sandbox.dhan.co/v2"
LIVE_UPDATES_URL = "wss://api-order-update.dhan.co"


class DhanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the Dhan adapter. Times in seconds.

    `base_url` ends with `/v2`; `auth_url` is the host that hands out tokens. `client_id` and `access_token` are for one
    account whose token was made by hand; where each account logs in by itself they stay unset.

    `requests_per_minute` and `burst_limit` (the most in any one second) are the budget of order writes of one account,
    `order_reserve` of each, and a tenth of what a minute, an hour and a day allow, are kept for exits and cancels. The
    venue allows 10 a second and counts by its own clock, so the default leaves room for the difference, as does that of
    reads. Market data have budgets of their own, and may wait for a place longer (`data_wait_s`) than an order may.

    `pin` and `totp_secret` (base32, as the venue shows it once) let an account log in by itself. A token is renewed
    `token_renew_before_s` before its end, and `token_warn_before_s` before it somebody is told where it still stands.

    Writes that the venue refused because of the address they came from are held back; `address_check_s` is how often
    the venue is asked whether the address is good again, `address_retry_s` how often an exit is tried nevertheless.
    """

    base_url: str = LIVE_BASE_URL
    auth_url: str = LIVE_AUTH_URL
    feed_url: str = LIVE_FEED_URL
    files_url: str = LIVE_FILES_URL
    updates_url: str = LIVE_UPDATES_URL
    client_id: str | None = None
    access_token: Secret | None = None
    pin: Secret | None = None
    totp_secret: Secret | None = None

    burst_limit: int = 9
    requests_per_minute: int = 250
    requests_per_hour: int = 1_000
    requests_per_day: int = 7_000
    order_reserve: int = 2
    reads_per_second: int = 18
    quotes_per_second: int = 1
    data_per_second: int = 5
    data_per_day: int = 100_000
    modifications_per_order: int = 25
    budget_wait_s: float = 1.0
    data_wait_s: float = 4.0
    rate_limit_pause_s: float = 1.0

    connect_timeout_s: float = 2.0
    read_timeout_s: float = 5.0
    call_timeout_s: float = 8.0
    probe_timeout_s: float = 2.0
    keepalive_s: float = 3.0
    """Shorter than any server we know closes an idle connection, so that an order rarely meets a closing one."""

    breaker_failures_max: int = 3
    breaker_reset_s: float = 5.0
    breaker_stall_s: float | None = 1.8
    """So long an entry may wait for its answer before no others are sent; None: as long as it takes. Two seconds are
    promised, and a busy machine is late."""
    exit_pace_s: float = 0.5

    read_attempts: int = 3
    read_backoff_s: float = 0.1
    read_backoff_max_s: float = 1.0

    token_renew_before_s: float = 900.0
    token_warn_before_s: float = 3_600.0
    login_pause_s: float = 2.0
    address_check_s: float = 30.0
    address_retry_s: float = 5.0
    tend_s: float = 15.0
    file_timeout_s: float = 120.0

    feed_stale_after_s: float | None = 90.0
    feed_backoff_s: float = 1.0
    feed_backoff_max_s: float = 300.0
    feed_refused_backoff_s: float = 60.0

    updates_accounts_max: int = 500
    updates_connecting_max: int = 8
    updates_settle_s: float = 0.5
    """A connection is believed in when it has lasted so long: what becomes of a bad token is a reset after 10 ms."""
    updates_ping_s: float = 10.0
    """An account may have nothing to tell for hours, so a connection is held for dead when a ping is not answered."""
    updates_linger_s: float = 60.0
    updates_backoff_s: float = 1.0
    updates_backoff_max_s: float = 60.0
