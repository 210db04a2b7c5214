"""The check of one stretch of the log: the unit that may be handed to another process."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from domain.integrity.chain import ChainCheck, event_finding
from domain.integrity.commands import check_commands, digest_of
from domain.integrity.findings import Kind, Touched
from domain.integrity.joining import Stretch
from projections.integrity.ports import LogSource


class Interval(NamedTuple):
    """Commands that an anchor covers: those whose first event lies after `after`, up to `to`."""

    after: int
    to: int


class Plan(NamedTuple):
    """What is to be checked: events from `first` to `last` (None: as many as there are).

    `anchors` maps sequences to the hashes that anchors say, `anchored` is the last anchored sequence before `first`.
    """

    first: int
    last: int | None
    anchors: dict[int, bytes]
    anchored: int
    snapshots: frozenset[int] = frozenset()
    intervals: tuple[Interval, ...] = ()


def check_stretch(source: LogSource, plan: Plan) -> Stretch:
    """Return what *plan*'s events of *source* are found to be, and the commands that begin among them."""
    chain = ChainCheck(anchors=plan.anchors, sequence=plan.first - 1, anchored=plan.anchored, snapshots=plan.snapshots)
    try:
        for page in source.rows(plan.first, plan.last):
            chain.feed(page)
        if plan.last is not None and chain.sequence != plan.last:
            raise event_finding(Kind.EVENT_MISSING, chain.sequence + 1, "no event follows here")
    except Touched as touched:
        return Stretch(first_sequence=plan.first, chain=chain, finding=touched.finding)
    chain.end()
    last = chain.sequence
    if last < plan.first:
        return Stretch(first_sequence=plan.first, chain=chain)
    rows = source.commands(plan.first, last)
    findings, doubts, firsts = check_commands(rows, chain.runs, first=plan.first, last=last)
    digests = {
        interval.to: digest_of(rows[bisect_right(firsts, interval.after) : bisect_right(firsts, interval.to)])
        for interval in plan.intervals
    }
    # The runs have served; only the first and the last may go on beyond the stretch.
    edges = {plan.first: chain.runs[plan.first]}
    edges[max(chain.runs)] = chain.runs[max(chain.runs)]
    chain.runs = edges
    return Stretch(
        first_sequence=plan.first,
        chain=chain,
        command_findings=tuple(findings),
        doubts=tuple(doubts),
        digests=digests,
    )


def plans(
    *, first: int, last: int, size: int, anchors: dict[int, bytes], snapshots: frozenset[int],
    intervals: tuple[Interval, ...],
) -> Iterator[Plan]:  # fmt: skip
    """Cut the events from *first* to *last* into stretches of about *size* that end at anchors where there are any.

    They are made as they are asked for: *last* may be what somebody made of it.
    """
    places = sorted(anchors)
    while first <= last:
        end = min(first + size - 1, last)
        place = bisect_left(places, end)
        if place < len(places) and places[place] <= last:
            end = places[place]
        before = bisect_left(places, first)
        within = places[before : bisect_right(places, end)]
        yield Plan(
            first=first,
            last=end,
            anchors={sequence: anchors[sequence] for sequence in within},
            anchored=places[before - 1] if before else 0,
            snapshots=frozenset(sequence for sequence in snapshots if first <= sequence <= end),
            intervals=tuple(wanted for wanted in intervals if first - 1 <= wanted.after and wanted.to <= end),
        )
        first = end + 1
