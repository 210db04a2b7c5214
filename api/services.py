"""Everything the API needs of the rest of the engine, handed over in one piece by the wiring."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fastapi import Request

from api.rates import Rates
from commands.accounts import Accounts
from commands.audit import AuditBook
from commands.doubt_reports import DoubtReports
from commands.estimates import Estimates
from commands.log_ins import LogIns
from commands.looks import LookReport
from commands.ports import AccessTokens, Clock, Ids, Marks
from commands.profiles import Profiles
from commands.strategies import Strategies
from commands.users import Users
from domain.ids import AccountId
from domain.session_table import SessionTable
from projections.as_of import History, Moment, PastQueries
from projections.ports import Bars, InstrumentDirectory, LogReader, PersonalDataReader
from projections.queries import Queries

LastLook = Callable[[AccountId], Awaitable[LookReport | None]]


async def nobody_looks(_: AccountId) -> LookReport | None:
    """Tell of no look: where no executor can be asked."""
    return None


ReadinessCheck = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What routes call.

    `readiness` holds one check a dependency, by the name shown to the operator. `rates` bound what one user and one
    address may ask, `answer_within_s` how long they wait for an answer. `cors_origins` are the exact origins of other
    people's pages that may call us from a browser: by default none. `calendar` returns the session table as it is by
    now, and `follows_calendar` tells whether trading keeps to it. `epoch` returns which history the sequences of our
    answers belong to, empty where it is not known yet. `last_look` asks the executor what it saw of an account's books
    at the broker last, and returns None where it does not answer.
    """

    clock: Clock
    ids: Ids
    users: Users
    profiles: Profiles
    log_ins: LogIns
    strategies: Strategies
    accounts: Accounts
    estimates: Estimates
    tokens: AccessTokens
    queries: Queries
    history: History
    log: LogReader
    marks: Marks
    bars: Bars
    instruments: InstrumentDirectory
    personal_data: PersonalDataReader
    audit: AuditBook
    doubt_reports: DoubtReports
    calendar: Callable[[], SessionTable]
    follows_calendar: bool
    readiness: Mapping[str, ReadinessCheck] = field(default_factory=dict)
    epoch: Callable[[], str] = str
    rates: Rates = field(default_factory=Rates)
    answer_within_s: float = 30.0
    last_look: LastLook = nobody_looks
    cors_origins: tuple[str, ...] = ()

    def past(self, moment: Moment | None) -> PastQueries | None:
        """Return the queries as of *moment*, None where that is now."""
        return None if moment is None else self.history.at(moment)


def services_of(request: Request) -> Services:
    """Return the services of the application that serves *request*."""
    services: Services = request.app.state.services
    return services
