"""How often one user and one address may ask: moving windows of the package `limits`, in memory.

Every request is counted in one class (`RequestClass`), by its address before anything is read of it, and by its user
once the token has told who asks. Each process counts for itself; what has to be exact over all of them (an account's
order rates, the storm of intents) is decided on the log instead. `KHATA_API_PROCESSES` divides the rates by the number
of processes that share the requests.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_network
from math import ceil
from typing import Any

from fastapi import Request
from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import Storage
from limits.storage.base import MovingWindowSupport
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import RateLimited, answer_exception
from api.rates import USERS_OF_AN_ADDRESS, Rates, RequestClass, class_of
from commands.ports import Clock

KEYS_MAX = 10_000
_IPV6_PREFIX = 64
"""A household or a virtual machine has all addresses of such a network to itself, and may come from each of them."""
_NS_PER_S = 1_000_000_000


class MovingWindows(Storage, MovingWindowSupport):
    """A storage for `limits`: the times of events by key, by the monotonic clock.

    At most *keys_max* keys are remembered; beyond that the one that was quiet longest is forgotten, so that a flood
    from many addresses costs bounded memory. The package's own storage in memory has no such bound, looks through all
    keys in a thread of its own up to a hundred times a second, and goes by the wall clock.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, *, keys_max: int = KEYS_MAX) -> None:
        super().__init__()
        self._clock = clock
        self._keys_max = keys_max
        self._times: OrderedDict[str, deque[int]] = OrderedDict()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count *amount* events of *key*, unless that were more than *limit* within *expiry* seconds."""
        now_ns = self._clock.monotonic_ns()
        times = self._recent(key, now_ns - expiry * _NS_PER_S)
        if len(times) + amount > limit:
            return False
        times.extend([now_ns] * amount)
        self._times[key] = times
        self._times.move_to_end(key)
        if len(self._times) > self._keys_max:
            self._times.popitem(last=False)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - their shape
        """Return the time of the oldest event that counts (now where none does), in seconds, and how many count."""
        now_ns = self._clock.monotonic_ns()
        times = self._recent(key, now_ns - expiry * _NS_PER_S)
        return (times[0] if times else now_ns) / _NS_PER_S, len(times)

    def clear(self, key: str) -> None:
        """Forget what was counted of *key*."""
        self._times.pop(key, None)

    def reset(self) -> int:
        """Forget everything; return how many keys there were."""
        count = len(self._times)
        self._times.clear()
        return count

    def check(self) -> bool:
        """Return True: memory is always there."""
        return True

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this storage may raise of its own."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Raise: this storage has moving windows only, and counts nothing by fixed ones."""
        raise NotImplementedError

    def get(self, key: str) -> int:
        """Raise likewise."""
        raise NotImplementedError

    def get_expiry(self, key: str) -> float:
        """Raise likewise."""
        raise NotImplementedError

    def _recent(self, key: str, since_ns: int) -> deque[int]:
        times = self._times.get(key)
        if times is None:
            return deque()
        while times and times[0] <= since_ns:
            times.popleft()
        return times


class Quota:
    """So many events of one key within any window. *name* is what clients see in headers."""

    def __init__(self, item: RateLimitItem, clock: Clock, *, name: str = "", detail: str = "too many requests") -> None:
        self._item = item
        self._clock = clock
        self._windows = MovingWindowRateLimiter(MovingWindows(clock))
        self._name = name
        self._detail = detail
        self._policy = f'"{name}";q={item.amount};w={item.get_expiry()}'

    def take(self, key: str) -> None:
        """Count one event of *key*. Raises RateLimited, which tells when there is room again."""
        if not self._windows.hit(self._item, key):
            raise self._refusal(key)

    def count(self, key: str) -> None:
        """Count one event of *key* that has happened anyhow; what is beyond the limit changes nothing."""
        self._windows.hit(self._item, key)

    def demand(self, key: str) -> None:
        """Raise RateLimited where there is no room for another event of *key*; count none."""
        if not self._windows.test(self._item, key):
            raise self._refusal(key)

    def clear(self, key: str) -> None:
        """Forget what was counted of *key*."""
        self._windows.clear(self._item, key)

    def headers(self, key: str) -> Mapping[str, str]:
        """Return what tells a client of the quota, what is left of it, and in how many seconds there is more.

        Source: draft-ietf-httpapi-ratelimit-headers-10.
        """
        reset_s, left = self._left(key)
        return {"RateLimit-Policy": self._policy, "RateLimit": f'"{self._name}";r={left};t={reset_s}'}

    def _refusal(self, key: str) -> RateLimited:
        reset_s, _ = self._left(key)
        return RateLimited("RATE_LIMITED", self._detail, retry_after_s=max(reset_s, 1))

    def _left(self, key: str) -> tuple[int, int]:
        """Return in how many whole seconds the oldest event no longer counts, and how many there is room for."""
        window = self._windows.get_window_stats(self._item, key)
        return ceil(window.reset_time - self._clock.monotonic_ns() / _NS_PER_S), window.remaining


class RateLimits:
    """The quotas of an API: of addresses and of users."""

    def __init__(self, clock: Clock, rates: Rates) -> None:
        per_second = {
            RequestClass.COMMAND: rates.commands_per_second,
            RequestClass.QUERY: rates.queries_per_second,
            RequestClass.SEARCH: rates.searches_per_second,
        }
        of_addresses: dict[RequestClass, RateLimitItem] = {
            RequestClass.SIGN_IN: RateLimitItemPerMinute(rates.sign_ins_per_minute),
            RequestClass.HEALTH: RateLimitItemPerSecond(rates.health_per_second),
        } | {kind: RateLimitItemPerSecond(rate * USERS_OF_AN_ADDRESS) for kind, rate in per_second.items()}
        self._of_addresses = {
            kind: Quota(item, clock, name=f"{kind.value}-of-address", detail=f"too many {kind.value} from this address")
            for kind, item in of_addresses.items()
        }
        self._of_users = {
            kind: Quota(RateLimitItemPerSecond(rate), clock, name=kind.value, detail=f"too many {kind.value}")
            for kind, rate in per_second.items()
        }

    def of_address(self, kind: RequestClass) -> Quota:
        """Return what one address may ask of a kind."""
        return self._of_addresses[kind]

    def of_user(self, kind: RequestClass) -> Quota | None:
        """Return what one user may ask of a kind, None where only addresses are counted."""
        return self._of_users.get(kind)


def address_of(request: Request) -> str:
    """Return what stands for a client's address: the address, of IPv6 the network."""
    return network_of(request.client.host) if request.client else "unknown"


@lru_cache(maxsize=KEYS_MAX)
def network_of(host: str) -> str:
    """Return the address *host*, or the /64 network of an IPv6 address."""
    if ":" not in host:
        return host
    try:
        address = IPv6Address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped
    return str(ip_network((address, _IPV6_PREFIX), strict=False)) if mapped is None else str(mapped)


class AddressLimited:
    """The layer that counts each request by its address, before anything of it is read."""

    def __init__(self, app: ASGIApp, *, limits: RateLimits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 429."""
        if scope["type"] == "http":
            request = Request(scope)
            quota = self._limits.of_address(class_of(scope["method"], scope["path"]))
            try:
                _take(request, quota, address_of(request))
            except RateLimited as refused:
                await (await answer_exception(request, refused))(scope, receive, send)
                return
        await self._app(scope, receive, send)


def count_user(request: Request, user_id: str) -> None:
    """Count a request by its user. Raises RateLimited."""
    limits: RateLimits = request.app.state.rate_limits
    quota = limits.of_user(class_of(request.method, request.scope["path"]))
    if quota is not None:
        _take(request, quota, user_id)


def _take(request: Request, quota: Quota, key: str) -> None:
    request.state.rate_limit = (quota, key)
    quota.take(key)


def rate_headers(state: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the headers of the quota that a request was counted in last; none where it was in none."""
    counted: tuple[Quota, str] | None = state.get("rate_limit")
    return {} if counted is None else counted[0].headers(counted[1])
