"""Whether the log that a start finds is the one that was there before, and all of it.

The database cannot tell: one that was put back to an older state is consistent in itself. What is kept outside of it
can: the highest epoch seen, JetStream's mirror, and whatever other witnesses a start asks. An engine that went on over
a log that lost its end would give its sequences to other events, and would not know of orders that are at the broker.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

import nats
import nats.errors
import psycopg
import structlog

from adapters.anchor_file import AnchorFile
from adapters.epoch_file import EpochFile
from adapters.nats.stream import mirrors
from adapters.security.anchors import AnchorKey
from domain.epoch import Epoch, EpochInvalid
from infra.home import Home
from infra.keys import Keys
from infra.places import anchors_path
from infra.problems import OperatorProblem
from infra.settings import Settings
from projections.integrity.anchoring import AnchorsNotValid, last_anchor

log = structlog.get_logger("khata.continuity")

_CONNECT_TIMEOUT_S = 5
_IS_THERE = "SELECT to_regclass('log.head') IS NOT NULL"
_HEAD = "SELECT sequence, log.current_epoch() FROM log.head"
_REMEDY = (
    "If the database was put back to an older state, or moved, on purpose: `khata restore --accept` begins a new epoch."
    " If not: find the database that has the rest, and nothing is lost."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastKnown:
    """What somebody outside the database knows of the log: that it reached `sequence` in `epoch`."""

    source: str
    epoch: str
    sequence: int


Witness = Callable[[], Awaitable[Sequence[LastKnown]]]


class HistoryChanged(OperatorProblem):
    """EPOCH_CHANGED: the log is not the one that was there, or its end is missing. Nothing was started."""

    def __init__(self, what: str) -> None:
        super().__init__(f"EPOCH_CHANGED: {what}", remedy=_REMEDY)


@dataclass(frozen=True, slots=True)
class FoundLog:
    """The end of the log as a start finds it."""

    sequence: int
    epoch: str


def find_log(conninfo: str) -> FoundLog | None:
    """Return the end of the log, None where there is no log yet. *conninfo* is of any role that may read it."""
    with closing(psycopg.connect(conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)) as connection:
        is_there = connection.execute(_IS_THERE).fetchone()
        if is_there is None or not is_there[0]:
            return None
        found = connection.execute(_HEAD).fetchone()
    assert found is not None, "the log's head is one row"
    return FoundLog(*found)


def contradiction(found: FoundLog, known: Iterable[LastKnown]) -> str | None:
    """Return what of *known* does not fit to the log that was found, None where all does."""
    present = Epoch.parse(found.epoch)
    for each in known:
        if each.epoch == found.epoch:
            if each.sequence > found.sequence:
                return f"the log ends at sequence {found.sequence}, and {each.source} has seen {each.sequence}."
        elif present.is_before(Epoch.parse(each.epoch)):
            return f"the log is of epoch {found.epoch}, and {each.source} has seen the later one {each.epoch}."
    return None


def demand_known_epoch(found: FoundLog, seen: Epoch | None) -> None:
    """Accept a log of the epoch seen last, or of any where none was seen.

    Raises:
        HistoryChanged
    """
    if seen is not None and str(seen) != found.epoch:
        raise HistoryChanged(f"the database is of epoch {found.epoch}, and the last one seen here was {seen}.")


def mirror_witness(nats_url: str) -> Witness:
    """Return the witness that asks the JetStream of *nats_url*. One that cannot say knows nothing."""

    async def ask() -> Sequence[LastKnown]:
        try:
            client = await nats.connect(
                servers=nats_url.split(","), allow_reconnect=False, connect_timeout=_CONNECT_TIMEOUT_S
            )
            try:
                found = await mirrors(client)
            finally:
                await client.close()
        except (nats.errors.Error, OSError, TimeoutError) as fault:
            log.warning("jetstream cannot be asked", detail=type(fault).__name__)
            return []
        return [
            LastKnown(source="JetStream", epoch=epoch, sequence=sequence)
            for epoch, sequence in found.items()
            if _is_epoch(epoch)
        ]

    return ask


def anchor_witness(settings: Settings, keys: Keys) -> Witness:
    """Return the witness that reads the last anchor. Anchors that cannot be believed say nothing; that is logged."""

    async def ask() -> Sequence[LastKnown]:
        path = anchors_path(settings)
        try:
            last = await asyncio.to_thread(last_anchor, AnchorFile(path), AnchorKey(keys.signing_pem))
        except (AnchorsNotValid, OSError) as fault:
            log.error("anchors cannot be believed", path=str(path), detail=str(fault))  # noqa: TRY400 - foreseen
            return []
        if last is None:
            return []
        return [LastKnown(source=f"anchor {last.number}", epoch=last.epoch, sequence=last.sequence)]

    return ask


def witnesses(settings: Settings, keys: Keys, nats_url: str) -> list[Witness]:
    """Return everybody outside the database who knows how far the log had come, the epoch file apart."""
    return [mirror_witness(nats_url), anchor_witness(settings, keys)]


def _is_epoch(text: str) -> bool:
    try:
        Epoch.parse(text)
    except EpochInvalid:
        return False
    return True


def refuse_unfinished_restore(home: Home) -> None:
    """Let a start go on, unless data were replaced and what belongs to that is not done.

    Raises:
        OperatorProblem
    """
    if home.restore_begun.exists():
        raise OperatorProblem(
            "A restore was begun and did not come to its end.",
            remedy="Run `khata restore DIR` again, or `khata restore --accept` to end what it began.",
        )


async def check_continuity(home: Home, conninfo: str, asked: Sequence[Witness]) -> bool:
    """Refuse a log that is not the one known outside the database; remember its epoch where none was known.

    Return whether there is a log at all: a database that was not migrated yet has none.

    Raises:
        HistoryChanged
    """
    found = await asyncio.to_thread(find_log, conninfo)
    if found is None:
        return False
    file = EpochFile(home.epoch_file)
    try:
        seen = file.read()
    except EpochInvalid as fault:
        raise OperatorProblem(
            f"{home.epoch_file} is damaged: {fault}.",
            remedy="Put it back from a copy; or, where the database is the right one: `khata restore --accept`.",
        ) from None
    demand_known_epoch(found, seen)
    known = [each for witness in asked for each in await witness()]
    said = contradiction(found, known)
    if said is not None:
        raise HistoryChanged(said)
    file.see(Epoch.parse(found.epoch))
    return True
