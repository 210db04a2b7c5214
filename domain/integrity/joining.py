"""Joining checked stretches of the log, oldest first, into what holds for all of it."""

from dataclasses import dataclass, field

from domain.envelope import GENESIS_HASH
from domain.integrity.chain import ChainCheck, StreamEnd, broken, event_finding, version_wrong
from domain.integrity.commands import Digest, Outcome
from domain.integrity.findings import Finding, Kind, Touched

_FIRST_VERSIONS = (0, 1)
_BEFORE_TIME_US = -(2**63)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What the check of one stretch found.

    `finding` is what stopped it; then the rest says nothing. `doubts` are commands that may have begun or may go on
    beyond the stretch; `digests` has what anchors within it must say of the commands, by the anchor's sequence.
    """

    first_sequence: int
    chain: ChainCheck
    finding: Finding | None = None
    command_findings: tuple[Finding, ...] = ()
    doubts: tuple[Outcome, ...] = ()
    digests: dict[int, Digest] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Joined:
    """What holds from the first joined stretch to `sequence`.

    With `is_partial` the log before the first stretch is not known: links and versions are believed there.
    """

    sequence: int = 0
    hash: bytes | None = GENESIS_HASH
    recorded_at_us: int = _BEFORE_TIME_US
    anchored: int = 0
    is_partial: bool = False
    streams: dict[bytes, StreamEnd] = field(default_factory=dict)
    seen: dict[int, bytes] = field(default_factory=dict)
    digests: dict[int, Digest] = field(default_factory=dict)
    command_findings: list[Finding] = field(default_factory=list)
    _last_command: bytes | None = None
    _run_first: int = 0
    _run_at_us: int = 0
    _doubts: list[Outcome] = field(default_factory=list)

    def join(self, stretch: Stretch) -> None:
        """Take in the next stretch.

        Raises:
            Touched: it has a finding, or it does not follow what is here.
        """
        chain = stretch.chain
        if chain.hash is not None:
            self._link(stretch)
            self._join_streams(chain)
        if stretch.finding is not None:
            raise Touched(stretch.finding)
        if chain.hash is None:
            return
        self._join_commands(stretch)
        self.sequence, self.hash, self.recorded_at_us = chain.sequence, chain.hash, chain.recorded_at_us
        self.anchored = max(self.anchored, chain.anchored)
        self.seen |= chain.seen
        self.digests |= stretch.digests

    def end(self) -> None:
        """Say that no more stretches come: the last command's events end here."""
        self._close_run(self.sequence)

    def _link(self, stretch: Stretch) -> None:
        chain = stretch.chain
        if self.hash is None or (self.is_partial and self.sequence == 0):
            return
        if chain.first_previous_hash != self.hash:
            raise broken(stretch.first_sequence, anchored=self.anchored)
        if chain.first_recorded_at_us < self.recorded_at_us:
            raise event_finding(Kind.TIME_FELL, stretch.first_sequence, "recorded before the event that it follows")

    def _join_streams(self, chain: ChainCheck) -> None:
        wrong: list[tuple[int, bytes, int, int | None]] = []
        for stream, (version, sequence) in chain.starts.items():
            end = self.streams.get(stream)
            if end is None:
                if version not in _FIRST_VERSIONS and not self.is_partial:
                    wrong.append((sequence, stream, version, None))
            elif version != end[0] + 1:
                wrong.append((sequence, stream, version, end[0]))
        if wrong:
            raise version_wrong(*min(wrong))
        self.streams |= chain.streams

    def _join_commands(self, stretch: Stretch) -> None:
        """Settle the commands whose events lie on both sides of where two stretches meet."""
        chain, first = stretch.chain, stretch.first_sequence
        goes_on = chain.first_command == self._last_command
        self.command_findings += stretch.command_findings
        if not goes_on:
            self._close_run(first - 1)
            self._run_first, self._run_at_us = first, chain.runs[first][1]
        for row in stretch.doubts:
            if row.first_sequence != first:
                continue
            if goes_on:
                self.command_findings.append(row.finding("it begins within the events of another command"))
            else:
                self._doubts.append(row)
        first_run_end = chain.runs[first][0]
        if first_run_end < chain.sequence:
            self._close_run(first_run_end)
            self._run_first = max(chain.runs)
            self._run_at_us = chain.runs[self._run_first][1]
            self._doubts = [row for row in stretch.doubts if row.first_sequence == self._run_first]
        self._last_command = chain.last_command

    def _close_run(self, end: int) -> None:
        for row in self._doubts:
            if (problem := row.problem((end, self._run_at_us))) is not None:
                self.command_findings.append(row.finding(problem))
        self._doubts = []
