"""What the API role is made of."""

from adapters.bars.parquet import ParquetBars
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.passwords import PostgresPasswords
from adapters.postgres.stored_states import PostgresStates
from adapters.postgres.views import PostgresViews
from adapters.security.passwords import Argon2Hasher
from adapters.security.personal_data import SealedPersonalData
from adapters.security.tokens import Ed25519Tokens
from api.services import Services
from commands.audit import AuditBook
from commands.estimates import Estimates
from commands.users import Users
from infra.home import Home
from infra.user_keys import open_user_keys
from infra.wiring.process import Wiring
from projections.as_of import History
from projections.historical_marks import BarMarks, EventMarks
from projections.past import PastAccounts

_PSEUDONYM_DIGITS = 16


async def make_services(wiring: Wiring) -> Services:
    """What the API needs."""
    store, nats = await wiring.store(), await wiring.nats()
    personal_data = SealedPersonalData(
        master_key=wiring.runtime.keys.master,
        lookup_key=wiring.runtime.keys.lookup,
        keys=await wiring.stack.enter_async_context(open_user_keys(wiring.settings)),
        clock=wiring.clock,
    )
    hasher = Argon2Hasher()
    wiring.stack.callback(hasher.close)
    users = Users(
        store=store,
        ids=wiring.ids,
        hasher=hasher,
        passwords=PostgresPasswords(store.database),
        personal_data=personal_data,
    )
    audit = AuditBook(
        PostgresAudit(store.database),
        wiring.clock,
        pseudonym=lambda address: personal_data.lookup_hash("client", address).hex()[:_PSEUDONYM_DIGITS],
    )
    queries = await wiring.stack.enter_async_context(PostgresViews(wiring.runtime.database.query, watch=wiring.epochs))

    bars = ParquetBars(Home(wiring.settings.home).daily_bars)
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
        accounts=await wiring.accounts(),
        estimates=Estimates(instruments=wiring.instruments, tariffs=wiring.tariffs),
        tokens=Ed25519Tokens(wiring.runtime.keys.signing_pem, clock=wiring.clock),
        queries=queries,
        history=history,
        marks=await wiring.marks(),
        bars=bars,
        personal_data=personal_data,
        audit=audit,
        epoch=lambda: wiring.epochs.current,
        readiness={"log": log_answers, "transport": transport_answers},
    )
