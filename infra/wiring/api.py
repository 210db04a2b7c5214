"""What the API role is made of."""

from collections.abc import Sequence
from ipaddress import ip_network

from adapters.bars.parquet import ParquetBars
from adapters.nats.doubt_reports import NatsDoubtReports
from adapters.nats.looks import NatsLooks
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.broker_credentials import PostgresSealedRows
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.log_reader import PostgresLogReader
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.refresh_tokens import PostgresRefreshTokens
from adapters.postgres.stored_states import PostgresStates
from adapters.postgres.strategy_sources import PostgresStrategySources
from adapters.postgres.views import PostgresViews
from adapters.security.broker_credentials import CredentialsVault
from adapters.security.passwords import Argon2Hasher
from adapters.security.personal_data import SealedPersonalData
from adapters.security.tokens import Ed25519Tokens
from api.halves import Half
from api.rates import Rates
from api.services import Services
from commands.audit import AuditBook
from commands.estimates import Estimates
from commands.log_ins import LogIns
from commands.profiles import Profiles
from commands.strategies import Strategies
from commands.users import Users
from infra.credentials_key import ensure_credentials_key, load_sealing_key
from infra.edge import Edge
from infra.home import Home
from infra.instruments import directory_of
from infra.problems import OperatorProblem
from infra.settings import Settings
from infra.user_keys import open_user_keys
from infra.wiring.process import Wiring
from projections.as_of import History
from projections.historical_marks import BarMarks, EventMarks
from projections.past import PastAccounts

_PSEUDONYM_DIGITS = 16
_MS_PER_S = 1000


class NoAudit:
    """Keeps nothing: who only reads leaves no entry. Implements `commands.ports.AuditStore` for the query half."""

    async def append(self, bodies: Sequence[bytes]) -> None:
        """Drop *bodies*: commands that were handed to the wrong half."""


async def make_services(wiring: Wiring, half: Half) -> tuple[Services, PostgresEventStore | PostgresLogReader]:
    """Return what *half* of the API needs, and the log that it reads.

    The query half reaches the log by a role that may not append; the command half does not connect to read models.
    """
    nats = await wiring.nats()
    is_reading = half is Half.QUERIES
    log = await wiring.log_reader() if is_reading else await wiring.store()
    home = Home(wiring.settings.home)
    user_keys = await wiring.stack.enter_async_context(open_user_keys(wiring.settings))
    personal_data = SealedPersonalData(
        master_key=wiring.runtime.keys.master,
        lookup_key=wiring.runtime.keys.lookup,
        keys=user_keys,
        clock=wiring.clock,
    )
    hasher, passwords = Argon2Hasher(), PostgresPasswords(log.database)
    wiring.stack.callback(hasher.close)
    users = Users(store=log, ids=wiring.ids, hasher=hasher, passwords=passwords, personal_data=personal_data)
    log_ins = LogIns(
        tokens=PostgresRefreshTokens(log.database),
        clock=wiring.clock,
        ids=wiring.ids,
        derive=personal_data.lookup_hash,
    )
    ensure_credentials_key(home)
    profiles = Profiles(
        store=log,
        ids=wiring.ids,
        hasher=hasher,
        passwords=passwords,
        personal_data=personal_data,
        credentials=CredentialsVault(
            executor_key=load_sealing_key(home), rows=PostgresSealedRows(log.database), keys=user_keys
        ),
        log_ins=log_ins,
    )
    strategies = Strategies(store=log, ids=wiring.ids, sources=PostgresStrategySources(log.database))
    audit = AuditBook(
        NoAudit() if is_reading else PostgresAudit(log.database),
        wiring.clock,
        pseudonym=lambda address: personal_data.lookup_hash("client", address).hex()[:_PSEUDONYM_DIGITS],
    )
    queries = PostgresViews(wiring.runtime.database.query, watch=wiring.epochs)
    if half is not Half.COMMANDS:
        await wiring.stack.enter_async_context(queries)
    bars = ParquetBars(home.daily_bars)
    then = PastAccounts(states=PostgresStates(queries), log=log)
    history = History(
        queries=queries,
        accounts=then,
        log=log,
        marks=BarMarks(EventMarks(then), bars),
        clock=wiring.clock,
        is_tape=wiring.settings.market_clock == "tape",
    )

    async def log_answers() -> bool:
        return bool((await log.head()).epoch)

    async def transport_answers() -> bool:
        return nats.is_connected

    services = Services(
        clock=wiring.clock,
        ids=wiring.ids,
        users=users,
        profiles=profiles,
        log_ins=log_ins,
        strategies=strategies,
        log=log,
        accounts=await (wiring.accounts_to_read() if is_reading else wiring.accounts()),
        estimates=Estimates(instruments=wiring.instruments, tariffs=wiring.tariffs),
        tokens=Ed25519Tokens(wiring.runtime.keys.signing_pem, clock=wiring.clock),
        queries=queries,
        history=history,
        marks=await wiring.marks(),
        bars=bars,
        instruments=directory_of(wiring.settings, wiring.instruments),
        personal_data=personal_data,
        audit=audit,
        doubt_reports=NatsDoubtReports(nats),
        calendar=lambda: wiring.exchange_sessions.table,
        follows_calendar=wiring.follows_exchanges,
        epoch=lambda: wiring.epochs.current,
        readiness={"log": log_answers, "transport": transport_answers},
        rates=rates_of(wiring.settings),
        last_look=NatsLooks(nats).last,
        answer_within_s=wiring.settings.api_answer_within_ms / _MS_PER_S,
        cors_origins=cors_origins_of(wiring.settings),
    )
    return services, log


def rates_of(settings: Settings) -> Rates:
    """Return the rates that one API process allows."""
    whole = Rates(
        sign_ins_per_minute=settings.rate_sign_ins_per_minute,
        commands_per_second=settings.rate_commands_per_second,
        queries_per_second=settings.rate_queries_per_second,
        searches_per_second=settings.rate_searches_per_second,
        health_per_second=settings.rate_health_per_second,
    )
    return whole.shared_by(settings.api_processes)


def edge_of(settings: Settings) -> Edge:
    """Return what clients may cost.

    Raises:
        OperatorProblem: a trusted proxy is no address and no network.
    """
    proxies = _listed(settings.api_trusted_proxies)
    for proxy in proxies:
        try:
            ip_network(proxy)
        except ValueError as error:
            raise OperatorProblem(
                f"KHATA_API_TRUSTED_PROXIES: {error}.",
                remedy="Name addresses or networks, such as 10.0.0.7 or 10.0.0.0/24.",
            ) from None
    return Edge(
        connections_max=settings.api_connections_max,
        request_within_s=settings.api_request_within_ms / _MS_PER_S,
        keep_alive_s=settings.api_keep_alive_ms / _MS_PER_S,
        trusted_proxies=proxies,
    )


def cors_origins_of(settings: Settings) -> tuple[str, ...]:
    """Return the origins of other people's pages that may call the API from a browser."""
    return _listed(settings.api_cors_origins)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
