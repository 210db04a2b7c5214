"""What the API role is made of."""

from adapters.bars.parquet import ParquetBars
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.broker_credentials import PostgresSealedRows
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.refresh_tokens import PostgresRefreshTokens
from adapters.postgres.stored_states import PostgresStates
from adapters.postgres.strategy_sources import PostgresStrategySources
from adapters.postgres.views import PostgresViews
from adapters.security.broker_credentials import CredentialsVault
from adapters.security.passwords import Argon2Hasher
from adapters.security.personal_data import SealedPersonalData
from adapters.security.tokens import Ed25519Tokens
from api.services import Services
from commands.audit import AuditBook
from commands.estimates import Estimates
from commands.log_ins import LogIns
from commands.profiles import Profiles
from commands.strategies import Strategies
from commands.users import Users
from infra.credentials_key import ensure_credentials_key, load_sealing_key
from infra.home import Home
from infra.instruments import directory_of
from infra.user_keys import open_user_keys
from infra.wiring.process import Wiring
from projections.as_of import History
from projections.historical_marks import BarMarks, EventMarks
from projections.past import PastAccounts

_PSEUDONYM_DIGITS = 16


async def make_services(wiring: Wiring) -> Services:
    """What the API needs."""
    store, nats = await wiring.store(), await wiring.nats()
    home = Home(wiring.settings.home)
    user_keys = await wiring.stack.enter_async_context(open_user_keys(wiring.settings))
    personal_data = SealedPersonalData(
        master_key=wiring.runtime.keys.master,
        lookup_key=wiring.runtime.keys.lookup,
        keys=user_keys,
        clock=wiring.clock,
    )
    hasher, passwords = Argon2Hasher(), PostgresPasswords(store.database)
    wiring.stack.callback(hasher.close)
    users = Users(store=store, ids=wiring.ids, hasher=hasher, passwords=passwords, personal_data=personal_data)
    log_ins = LogIns(
        tokens=PostgresRefreshTokens(store.database),
        clock=wiring.clock,
        ids=wiring.ids,
        derive=personal_data.lookup_hash,
    )
    ensure_credentials_key(home)
    profiles = Profiles(
        store=store,
        ids=wiring.ids,
        hasher=hasher,
        passwords=passwords,
        personal_data=personal_data,
        credentials=CredentialsVault(
            executor_key=load_sealing_key(home), rows=PostgresSealedRows(store.database), keys=user_keys
        ),
        log_ins=log_ins,
    )
    strategies = Strategies(store=store, ids=wiring.ids, sources=PostgresStrategySources(store.database))
    audit = AuditBook(
        PostgresAudit(store.database),
        wiring.clock,
        pseudonym=lambda address: personal_data.lookup_hash("client", address).hex()[:_PSEUDONYM_DIGITS],
    )
    queries = await wiring.stack.enter_async_context(PostgresViews(wiring.runtime.database.query, watch=wiring.epochs))

    bars = ParquetBars(home.daily_bars)
    then = PastAccounts(states=PostgresStates(queries), log=store)
    history = History(
        queries=queries,
        accounts=then,
        log=store,
        marks=BarMarks(EventMarks(then), bars),
        clock=wiring.clock,
        is_tape=wiring.settings.market_clock == "tape",
    )

    async def log_answers() -> bool:
        return bool((await store.head()).epoch)

    async def transport_answers() -> bool:
        return nats.is_connected

    return Services(
        clock=wiring.clock,
        ids=wiring.ids,
        users=users,
        profiles=profiles,
        log_ins=log_ins,
        strategies=strategies,
        log=store,
        accounts=await wiring.accounts(),
        estimates=Estimates(instruments=wiring.instruments, tariffs=wiring.tariffs),
        tokens=Ed25519Tokens(wiring.runtime.keys.signing_pem, clock=wiring.clock),
        queries=queries,
        history=history,
        marks=await wiring.marks(),
        bars=bars,
        instruments=directory_of(wiring.settings, wiring.instruments),
        personal_data=personal_data,
        audit=audit,
        calendar=lambda: wiring.exchange_sessions.table,
        follows_calendar=wiring.follows_exchanges,
        epoch=lambda: wiring.epochs.current,
        readiness={"log": log_answers, "transport": transport_answers},
    )
