"""What the relay and projector roles are made of."""

from adapters.nats.relay import Relay
from adapters.postgres.log_feed import PostgresFeed
from adapters.postgres.view_store import PostgresViewStore
from infra.wiring.process import Wiring
from projections.catalogue import READ_MODELS
from projections.projector import Projector

MS_PER_S = 1000


async def make_relay(wiring: Wiring) -> Relay:
    """The mirror of the log in JetStream."""
    poll_s = wiring.settings.relay_poll_ms / MS_PER_S
    feed = PostgresFeed(wiring.runtime.database.writer, poll_s=poll_s, archive=wiring.archive)
    return Relay(await wiring.nats(), log=await wiring.store(), feed=feed)


async def make_projector(wiring: Wiring) -> Projector:
    """The writer of the read models."""
    views = PostgresViewStore(
        wiring.runtime.database.projector, owner=wiring.ids.new("projector"), archive=wiring.archive
    )
    wiring.stack.push_async_callback(views.close)
    return Projector(READ_MODELS, feed=await wiring.feed(), views=views, clock=wiring.clock)
