"""Anchoring: signing what the log is, every minute and every 10,000 events, and putting it where the database is not.

An anchor is made of the log as it is found: whoever rewrites what no anchor covers yet has that signed.
What it can refuse it does: a log that does not hold the last anchored event any more is not anchored on. That happens
after a restore, too; then the epoch is another one, and the first anchor in it says which of the older ones still hold.
"""

import asyncio
from typing import Any

import structlog

from domain.epoch import CELL
from domain.integrity.anchors import EVERY_EVENTS, EVERY_S, NO_ANCHOR, Anchor, check_anchors
from domain.integrity.commands import digest_of
from projections.integrity.ports import AnchoredLog, AnchorSigner, AnchorSink, LastAnchor, LogState, LogUnavailable
from projections.ports import Clock

log = structlog.get_logger(__name__)

POLL_S = 1.0
_NS_PER_US = 1_000
_NS_PER_S = 1_000_000_000


class LogNotAsAnchored(Exception):
    """The log lacks the last anchored event, or has another in its place. Nothing is anchored on it."""


class AnchorsNotValid(Exception):
    """The anchors cannot be continued: one of them was changed, taken out, or signed with another key."""


class Anchoring:
    """Anchors *log* in *sink*, signed by *signer*. One process does it for a log: a second one would fork the anchors.

    `every_events` and `every_s` say how often; *poll_s* is how often the head is looked at.
    """

    def __init__(
        self,
        log: AnchoredLog,
        *,
        sink: AnchorSink,
        signer: AnchorSigner,
        clock: Clock,
        every_events: int = EVERY_EVENTS,
        every_s: float = EVERY_S,
        poll_s: float = POLL_S,
    ) -> None:
        self._log = log
        self._sink = sink
        self._signer = signer
        self._clock = clock
        self._every_events = every_events
        self._every_ns = int(every_s * _NS_PER_S)
        self._poll_s = poll_s
        self._state = "starting"
        self._last: Anchor | None = None
        self._made_at_ns = 0
        self._made = 0

    def status(self) -> dict[str, Any]:
        """Return how far it is, for people and probes."""
        last = self._last
        return {
            "state": self._state,
            "anchors": 0 if last is None else last.number,
            "sequence": 0 if last is None else last.sequence,
            "made": self._made,
        }

    async def run(self) -> None:
        """Anchor until canceled."""
        try:
            while True:
                try:
                    await self.anchor_what_is_due()
                    self._state = "anchoring"
                except LogUnavailable as fault:
                    self._state = f"retrying: {fault}"
                except (LogNotAsAnchored, AnchorsNotValid, OSError) as fault:
                    state = f"{type(fault).__name__}: {fault}"
                    if state != self._state:
                        log.error("the log is not anchored", detail=state)  # noqa: TRY400 - foreseen: no trace helps
                    self._state = state
                await asyncio.sleep(self._poll_s)
        finally:
            self._state = "stopped"

    async def anchor_what_is_due(self) -> None:
        """Make the anchors that are due now.

        Raises:
            LogUnavailable, LogNotAsAnchored, AnchorsNotValid
            OSError: the sink cannot be written to.
        """
        state = await self._log.state()
        last = self._last
        if last is None or last.epoch != state.epoch:
            # A first look, or another history: read what was anchored, and find out what still holds.
            last = await self._begin(state)
        while last is not None and state.sequence >= last.sequence + self._every_events:
            last = await self._go_on(state, last.sequence + self._every_events)
        is_due = self._clock.monotonic_ns() - self._made_at_ns >= self._every_ns
        if is_due and last is not None and state.sequence > last.sequence:
            await self._go_on(state, state.sequence)

    async def anchor_now(self) -> None:
        """Anchor the log as it is at present, if it grew; raises as `anchor_what_is_due` does."""
        await self.anchor_what_is_due()
        state = await self._log.state()
        if self._last is not None and state.sequence > self._last.sequence:
            await self._go_on(state, state.sequence)

    async def _begin(self, state: LogState) -> Anchor | None:
        self._sink.claim()
        checked = check_anchors(self._sink.lines(), self._signer.verify)
        if checked.findings:
            raise AnchorsNotValid(str(checked.findings[0]))
        last = self._last = checked.last
        count = 0 if last is None else last.number
        if state.anchored is not None and state.anchored.number > count:
            raise AnchorsNotValid(f"they end at number {count}, and {state.anchored.number} were made")
        if last is None:
            return await self._make(state, min(state.sequence, self._every_events), None) if state.sequence else None
        if last.epoch == state.epoch:
            return last
        for anchor in reversed(checked.holding):
            if anchor.sequence <= state.sequence and await self._holds(anchor):
                return await self._make(state, state.sequence, anchor)
        return await self._make(state, state.sequence, None)

    async def _go_on(self, state: LogState, sequence: int) -> Anchor:
        last = self._last
        if last is not None and not await self._holds(last):
            raise LogNotAsAnchored(f"anchor {last.number} says what event {last.sequence} is, and it is another one")
        return await self._make(state, sequence, last)

    async def _make(self, state: LogState, sequence: int, continues: Anchor | None) -> Anchor:
        last = self._last
        event = await self._log.event_at(sequence)
        if event is None:
            raise LogNotAsAnchored(f"the head says that the log ends at {state.sequence}, and it lacks {sequence}")
        after = 0 if continues is None else continues.sequence
        commands = digest_of(await self._log.commands(after + 1, sequence))
        anchor = Anchor(
            number=1 if last is None else last.number + 1,
            cell=CELL,
            epoch=state.epoch,
            sequence=sequence,
            hash=event[0],
            recorded_at_us=event[1],
            made_at_us=self._clock.wall_ns() // _NS_PER_US,
            previous=NO_ANCHOR if last is None else last.digest(),
            continues=0 if continues is None else continues.number,
            commands_count=commands.rows,
            commands_hash=commands.hash,
            audit_number=state.audit_number,
            audit_hash=state.audit_hash,
        )
        await asyncio.to_thread(self._sink.append, self._signer.sign(anchor))
        self._last = anchor
        self._made += 1
        self._made_at_ns = self._clock.monotonic_ns()
        await self._log.remember(LastAnchor(anchor.number, anchor.sequence, anchor.digest()))
        return anchor

    async def _holds(self, anchor: Anchor) -> bool:
        event = await self._log.event_at(anchor.sequence)
        return event is not None and event[0] == anchor.hash


def last_anchor(sink: AnchorSink, signer: AnchorSigner) -> Anchor | None:
    """Return the last anchor, None where there is none; a start compares it with the log's head.

    Raises:
        AnchorsNotValid: the anchors were changed, or signed with another key.
        OSError: they cannot be read.
    """
    checked = check_anchors(sink.lines(), signer.verify)
    if checked.findings:
        raise AnchorsNotValid(str(checked.findings[0]))
    return checked.last
