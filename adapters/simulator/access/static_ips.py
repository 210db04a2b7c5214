"""From where a client's orders may come: a list of two addresses, each locked for a week once it is set."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from ipaddress import ip_address

from domain.market import NS_PER_S, trading_day

LOCKED_DAYS = 7
_LOCKED_NS = LOCKED_DAYS * 86_400 * NS_PER_S


class IpFlag(StrEnum):
    """Which of the two."""

    PRIMARY = "PRIMARY"
    SECONDARY = "SECONDARY"


class IpLocked(Exception):
    """The address was set less than a week ago, or there is one already where a first one was to be set."""


class IpNotSet(Exception):
    """There is no address to be changed."""


@dataclass(frozen=True, slots=True)
class StaticIp:
    """One address and when (UTC nanoseconds) it was set."""

    address: str
    set_ns: int

    @property
    def changeable_on(self) -> date:
        """The first day on which it can be another one."""
        return trading_day(self.set_ns) + timedelta(days=LOCKED_DAYS)


@dataclass(slots=True)
class StaticIps:
    """The lists of all clients. They are forgotten when the simulator ends."""

    _lists: dict[str, dict[IpFlag, StaticIp]] = field(default_factory=dict)
    _pretended: dict[str, str] = field(default_factory=dict)

    def of(self, client_id: str) -> dict[IpFlag, StaticIp]:
        """Return a client's list, empty where any address will do."""
        return self._lists.get(client_id, {})

    def set(self, client_id: str, flag: IpFlag, address: str, *, now_ns: int) -> None:
        """Set an address for the first time.

        Raises:
            IpLocked: there is one.
            ValueError: it is no address.
        """
        address = str(ip_address(address))
        if flag in self.of(client_id):
            raise IpLocked(f"received a first {flag} address of {client_id}, which has one")
        self._lists.setdefault(client_id, {})[flag] = StaticIp(address, now_ns)

    def modify(self, client_id: str, flag: IpFlag, address: str, *, now_ns: int) -> None:
        """Put another address in the place of one.

        Raises:
            IpNotSet: there is none.
            IpLocked: it was set less than a week ago.
            ValueError: it is no address.
        """
        address = str(ip_address(address))
        before = self.of(client_id).get(flag)
        if before is None:
            raise IpNotSet(f"received another {flag} address of {client_id}, which has none")
        if now_ns - before.set_ns < _LOCKED_NS:
            raise IpLocked(f"the {flag} address of {client_id} can be changed on {before.changeable_on}")
        self._lists[client_id][flag] = StaticIp(address, now_ns)

    def pretend(self, client_id: str, address: str | None) -> None:
        """Take every request of a client as one from *address*; None: from where it really comes."""
        if address is None:
            self._pretended.pop(client_id, None)
        else:
            self._pretended[client_id] = str(ip_address(address))

    def seen_as(self, client_id: str, address: str) -> str:
        """Return the address that a request from *address* counts as."""
        return self._pretended.get(client_id, address)

    def allows(self, client_id: str, address: str) -> bool:
        """Tell whether an order from *address* is taken."""
        known = {each.address for each in self.of(client_id).values()}
        return not known or self.seen_as(client_id, address) in known
