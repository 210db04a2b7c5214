"""What the relay and projector roles are made of."""

from adapters.nats.relay import Relay
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.rebuilding import PostgresEditions
from adapters.postgres.stored_states import PostgresStatesStore
from adapters.postgres.view_store import PostgresViewStore
from adapters.postgres.waiting_log import WaitingLog
from infra.wiring.collector import spare_the_collector
from infra.wiring.process import Wiring
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.rebuild import fill_missing
from projections.state_keeper import StateKeeper

MS_PER_S = 1000


async def make_relay(wiring: Wiring) -> Relay:
    """The mirror of the log in JetStream."""
    poll_s = wiring.settings.relay_poll_ms / MS_PER_S
    feed = PostgresFeed(wiring.runtime.database.writer, poll_s=poll_s, watch=wiring.epochs, archive=wiring.archive)
    return Relay(await wiring.nats(), log=await wiring.store(), feed=feed)


async def fill_read_models(wiring: Wiring) -> None:
    """Fill the read models that are new in this release, beside those that are in use."""
    owner = wiring.ids.new("filler")
    async with PostgresEditions(wiring.runtime.database.projector, owner=owner) as editions:
        await fill_missing(READ_MODELS, log_reader=await wiring.store(), editions=editions, clock=wiring.clock)


async def make_projector(wiring: Wiring) -> Projector:
    """The writer of the read models."""
    spare_the_collector()
    views = PostgresViewStore(
        wiring.runtime.database.projector,
        owner=wiring.ids.new("projector"),
        watch=wiring.epochs,
        archive=wiring.archive,
    )
    wiring.stack.push_async_callback(views.close)
    return Projector(
        READ_MODELS, feed=await wiring.feed(), views=views, clock=wiring.clock, shards=wiring.settings.projection_shards
    )


async def make_state_keeper(wiring: Wiring) -> StateKeeper:
    """The keeper of stored states, which time travel starts from."""
    states = PostgresStatesStore(wiring.runtime.database.projector, watch=wiring.epochs)
    wiring.stack.push_async_callback(states.close)
    return StateKeeper(log=WaitingLog(await wiring.store()), states=states, clock=wiring.clock)
