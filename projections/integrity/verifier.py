"""Verification of the whole log: that every event is as it was written, and that nothing else says otherwise.

What is read once, long ago and far away from the lock of appends, is the log up to its present end, stretch by stretch.
What was appended meanwhile, and everything that changes with each append (the head, the ends of streams), is compared
at one moment at the end; only that has to be quick.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from domain.envelope import GENESIS_HASH
from domain.integrity.anchors import Anchor, CheckedAnchors
from domain.integrity.commands import Digest, read_outcome
from domain.integrity.findings import Finding, Kind, Touched
from domain.integrity.joining import Joined, Stretch
from projections.integrity.ports import LogSource, LogState, StreamRow
from projections.integrity.stretches import Interval, Plan, check_stretch, plans

STRETCH = 100_000
_SETTLED = 20_000
"""With fewer events to go than this, the rest is checked at one moment."""
_NO_ANCHORS = CheckedAnchors(anchors=(), holding=(), findings=())

Checker = Callable[[Iterator[Plan]], Iterator[Stretch]]
Progress = Callable[[int, int], None]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What verification found: nothing, if the log is intact.

    `events` from `first_sequence` to `last_sequence` were checked. `anchored_to` is the last sequence that an anchor
    covers: what was done to later events by somebody who chained them anew does not show, and nothing is promised.
    `audit_entries` is how many entries of the audit table were checked, None where it was not looked at.
    """

    first_sequence: int
    last_sequence: int
    events: int
    streams: int
    anchors: int
    anchored_to: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    audit_entries: int | None = None

    @property
    def is_intact(self) -> bool:
        """Tell whether nothing was found."""
        return not self.findings

    @property
    def first_finding(self) -> Finding | None:
        """The finding with the earliest place in the log; one without a place only where there is no other."""
        placed = [finding for finding in self.findings if finding.last_sequence is not None]
        if placed:
            return min(placed, key=lambda finding: finding.last_sequence or 0)
        return self.findings[0] if self.findings else None


@dataclass(slots=True, kw_only=True)
class Verification:
    """One verification of *source* against *anchors*. `check` runs the plans, in this process unless told otherwise."""

    source: LogSource
    anchors: CheckedAnchors | None = None
    check: Checker | None = None
    progress: Progress = lambda _done, _total: None
    stretch: int = STRETCH
    _joined: Joined = field(default_factory=Joined)
    _findings: list[Finding] = field(default_factory=list)

    def run(self, *, first: int = 1, last: int | None = None) -> Verdict:
        """Verify the events from *first* to *last*, and with the defaults everything that belongs to the log.

        A part of the log is checked for itself: what its first event follows is believed, and heads are not looked at.
        """
        checked = self.anchors or _NO_ANCHORS
        self._findings += checked.findings
        is_whole = first == 1 and last is None
        self._joined = Joined(sequence=first - 1, hash=GENESIS_HASH if first == 1 else None, is_partial=first > 1)
        try:
            self._check_events(first, last)
            if is_whole:
                self._check_streams()
        except Touched as touched:
            self._findings.append(touched.finding)
            # What follows was not read, so nothing can be said of it.
            is_whole = False
        else:
            self._joined.end()
        self._findings += self._joined.command_findings
        if is_whole:
            self._check_digests(checked.holding)
            self._check_anchors_reached(checked)
        return self._verdict(first, checked)

    # --- Events -------------------------------------------------------------------------------------------------------

    def _check_events(self, first: int, last: int | None) -> None:
        checked = self.anchors or _NO_ANCHORS
        snapshots = self.source.snapshots()
        while True:
            state = self.source.state()
            end = state.last_sequence if last is None else min(last, state.last_sequence)
            wanted = plans(
                first=first,
                last=end,
                size=self.stretch,
                anchors=checked.hashes(),
                snapshots=snapshots,
                intervals=intervals_of(checked.holding, state),
            )
            for stretch in (self.check or self._check_here)(wanted):
                self._joined.join(stretch)
                self.progress(self._joined.sequence, end)
            first = end + 1
            if last is not None or self.source.state().last_sequence - end < _SETTLED:
                return

    def _check_here(self, wanted: Iterator[Plan]) -> Iterator[Stretch]:
        for plan in wanted:
            yield check_stretch(self.source, plan)

    # --- What changes with every append -------------------------------------------------------------------------------

    def _check_streams(self) -> None:
        doubtful = set(self._joined.streams)
        for row in self.source.streams():
            if self._stream_problem(row) is None:
                doubtful.discard(row.stream_id)
            else:
                doubtful.add(row.stream_id)
        with self.source.at_rest():
            state = self.source.state()
            tail = check_stretch(self.source, self._tail(state))
            self._joined.join(tail)
            doubtful |= tail.chain.streams.keys()
            missing = doubtful & self._joined.streams.keys()
            for row in self.source.streams(doubtful):
                missing.discard(row.stream_id)
                if (problem := self._stream_problem(row)) is not None:
                    self._findings.append(self._stream_finding(row.stream_id, problem))
            self._findings += [self._stream_finding(stream_id, "it has no row") for stream_id in sorted(missing)]
            self._check_head(state)
            for command in self.source.stray_commands(self._joined.sequence):
                self._findings.append(read_outcome(command).finding("there is no event at its first sequence"))

    def _tail(self, state: LogState) -> Plan:
        checked = self.anchors or _NO_ANCHORS
        first = self._joined.sequence + 1
        return Plan(
            first=first,
            last=None,
            anchors={place: own for place, own in checked.hashes().items() if place >= first},
            anchored=self._joined.anchored,
            snapshots=self.source.snapshots(),
            intervals=tuple(wanted for wanted in intervals_of(checked.holding, state) if wanted.after >= first - 1),
        )

    def _stream_problem(self, row: StreamRow) -> str | None:
        end = self._joined.streams.get(row.stream_id)
        if end is None:
            return "it has a row and no events"
        version, leaf, sequence = end
        if row.version != version:
            return f"its row says version {row.version}, its last event has {version}"
        if row.leaf != leaf:
            return "its row has another leaf than its last event"
        # The landmark lies just before the last event that a snapshot covers, which is often another stream's place.
        snapshot = row.snapshot_sequence + 1
        if row.snapshot_sequence and not (1 < snapshot <= sequence and self._stream_at(snapshot) == row.stream_id):
            return f"a snapshot is said to cover it up to {snapshot}, where it has no event"
        return None

    def _stream_at(self, sequence: int) -> bytes | None:
        if sequence not in self._joined.seen:
            # A snapshot that was made while the events were checked.
            alone = check_stretch(
                self.source,
                Plan(first=sequence, last=sequence, anchors={}, anchored=0, snapshots=frozenset({sequence})),
            )
            self._joined.seen |= alone.chain.seen
        return self._joined.seen.get(sequence)

    def _stream_finding(self, stream_id: bytes, detail: str) -> Finding:
        end = self._joined.streams.get(stream_id)
        sequence = None if end is None else end[2]
        return Finding(
            kind=Kind.STREAM_WRONG,
            place=f"stream {stream_id.decode(errors='replace')}",
            detail=detail,
            first_sequence=sequence,
            last_sequence=sequence,
        )

    def _check_head(self, state: LogState) -> None:
        """Compare the head with the last event. Raises Touched where events lie behind it: of them nothing is known."""
        joined = self._joined
        if joined.sequence > state.sequence:
            raise Touched(
                _about_head(
                    state.sequence + 1, f"it says that the log ends at {state.sequence}, there are events behind it"
                )
            )
        last = (self.anchors or _NO_ANCHORS).last
        if joined.sequence < state.sequence:
            detail = f"it says that the log ends at {state.sequence}, the last event is {joined.sequence}"
            self._findings.append(_about_head(joined.sequence + 1, detail))
        elif state.hash != joined.hash:
            self._findings.append(_about_head(joined.sequence, "it has another hash than the last event"))
        elif joined.sequence and state.recorded_at_us != joined.recorded_at_us:
            self._findings.append(_about_head(joined.sequence, "it has another time than the last event"))
        if last is not None and last.epoch != state.epoch:
            self._findings.append(
                Finding(
                    kind=Kind.EPOCH_NOT_ANCHORED,
                    place="head",
                    detail=f"the epoch is {state.epoch}, the last anchor was made in {last.epoch}: the log was restored"
                    " or its server promoted, and not anchored since, or somebody changed the head",
                )
            )

    # --- Anchors ------------------------------------------------------------------------------------------------------

    def _check_digests(self, holding: Iterable[Anchor]) -> None:
        by_sequence = {anchor.sequence: anchor for anchor in holding}
        intervals = {wanted.to: wanted for wanted in all_intervals(by_sequence.values())}
        for sequence, found in self._joined.digests.items():
            anchor = by_sequence[sequence]
            said = Digest(anchor.commands_count, anchor.commands_hash)
            if said != found:
                self._findings.append(
                    Finding(
                        kind=Kind.COMMANDS_CHANGED,
                        place="commands",
                        detail=f"anchor {anchor.number} covers {said.rows} outcomes, there are {found.rows}"
                        + ("" if said.rows != found.rows else " with other contents"),
                        first_sequence=intervals[sequence].after + 1,
                        last_sequence=sequence,
                    )
                )

    def _check_anchors_reached(self, checked: CheckedAnchors) -> None:
        ends = self._joined.sequence
        if checked.holding and checked.holding[-1].sequence > ends:
            self._findings.append(
                Finding(
                    kind=Kind.EVENT_MISSING,
                    place="event",
                    detail=f"the log ends at {ends}, and anchor {checked.holding[-1].number} says that it went on",
                    first_sequence=ends + 1,
                    last_sequence=ends + 1,
                )
            )
        if self.anchors is not None and (finding := _problem_with_last(checked, self.source.state())) is not None:
            self._findings.append(finding)

    def _verdict(self, first: int, checked: CheckedAnchors) -> Verdict:
        joined = self._joined
        void = len(checked.anchors) - len(checked.holding)
        return Verdict(
            first_sequence=first,
            last_sequence=joined.sequence,
            events=joined.sequence - first + 1,
            streams=len(joined.streams),
            anchors=len(checked.anchors),
            anchored_to=joined.anchored,
            findings=tuple(self._findings),
            notes=(f"{void} anchors were made void by a restore of the log",) if void else (),
        )


def _about_head(sequence: int, detail: str) -> Finding:
    return Finding(kind=Kind.HEAD_WRONG, place="head", detail=detail, first_sequence=sequence, last_sequence=sequence)


def all_intervals(holding: Iterable[Anchor]) -> list[Interval]:
    """Return what each of *holding*, oldest first, covers of the commands; nothing where the anchor before is gone."""
    intervals = []
    number, sequence = 0, 0
    for anchor in holding:
        if anchor.continues == number:
            intervals.append(Interval(sequence, anchor.sequence))
        number, sequence = anchor.number, anchor.sequence
    return intervals


def intervals_of(holding: tuple[Anchor, ...], state: LogState) -> tuple[Interval, ...]:
    """Return the intervals of which every outcome is still kept: those before may be forgotten in part."""
    times = {anchor.sequence: anchor.recorded_at_us for anchor in holding}
    times[0] = state.first_recorded_at_us or 0
    return tuple(wanted for wanted in all_intervals(holding) if times[wanted.after] >= state.commands_since_us)


def _problem_with_last(checked: CheckedAnchors, state: LogState) -> Finding | None:
    """Return what shows that anchors are gone, or that what the database remembers of them was changed."""
    remembered, last = state.anchored, checked.last
    count = 0 if last is None else last.number
    if remembered is None:
        # The first anchor may have been written, and the process killed before it was remembered.
        if count > 1:
            return Finding(kind=Kind.ANCHOR_MISSING, place="log.anchored", detail="the last anchor is not remembered")
        return None
    if remembered.number > count:
        return Finding(
            kind=Kind.ANCHOR_MISSING,
            place=f"anchor line {count + 1}",
            detail=f"the anchors end at number {count}, and there were {remembered.number}",
        )
    named = [anchor for anchor in checked.anchors if anchor.number == remembered.number]
    matches = named and (named[0].digest(), named[0].sequence) == (remembered.digest, remembered.sequence)
    if remembered.number < count - 1 or not matches:
        return Finding(
            kind=Kind.ANCHOR_MISSING, place="log.anchored", detail="another anchor is remembered than was made last"
        )
    return None
