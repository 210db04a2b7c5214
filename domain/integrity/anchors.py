"""Anchors: what the log was at some moment, signed, and kept where the database's superuser does not reach.

Each anchor names the one before it by its digest, so that one that is taken out shows. Sequences grow from anchor to
anchor, unless the log was put back to an older state, which begins a new epoch: then `continues` names the last anchor
that is still true of the log, and those between say what was lost. They are kept, and no longer held against the log.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

import msgspec

from domain.integrity.findings import Finding, Kind

EVERY_EVENTS = 10_000
EVERY_S = 60.0
NO_ANCHOR = bytes(32)
"""Stands where the first anchor would name the one before it."""
_DOMAIN = b"khata.anchor.1\n"
"""Begins what is signed, so that no other signature of the same key can be taken for an anchor's."""


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """The log up to `sequence`, whose event has `hash`; times in UTC microseconds.

    `number` counts from 1, `previous` is the digest of the anchor before. `commands_count` and `commands_hash` cover
    the outcomes of the commands whose first event lies after the last continued anchor, up to `sequence`. The audit
    table had `audit_number` entries by then, the last of them with `audit_hash`.
    """

    number: int
    cell: str
    epoch: str
    sequence: int
    hash: bytes
    recorded_at_us: int
    made_at_us: int
    previous: bytes
    continues: int
    commands_count: int
    commands_hash: bytes
    audit_number: int
    audit_hash: bytes

    def signed_bytes(self) -> bytes:
        """Return what the signature is made over: every field, each prefixed by its length, in their order."""
        digest_parts = [_DOMAIN]
        for value in msgspec.structs.astuple(self):
            match value:
                case bytes():
                    part = value
                case str():
                    part = value.encode()
                case _:
                    part = int(value).to_bytes(16, "big", signed=True)
            digest_parts += (len(part).to_bytes(8, "big"), part)
        return b"".join(digest_parts)

    def digest(self) -> bytes:
        """Return the digest by which the next anchor names this one."""
        return sha256(self.signed_bytes()).digest()


class SignedAnchor(msgspec.Struct, frozen=True, kw_only=True):
    """An anchor and the signature over it."""

    anchor: Anchor
    signature: bytes

    def line(self) -> bytes:
        """Return the one form in which it is written: a line of JSON, without its end."""
        return msgspec.json.encode(self)


Verify = Callable[[bytes, bytes], bool]
"""Tells whether a signature (second) over a message (first) is by the key that anchors are signed with."""


class CheckedAnchors(msgspec.Struct, frozen=True, kw_only=True):
    """Anchors that are signed and chained, oldest first, those that still hold of the log, and what is wrong."""

    anchors: tuple[Anchor, ...]
    holding: tuple[Anchor, ...]
    findings: tuple[Finding, ...]

    @property
    def last(self) -> Anchor | None:
        """The last anchor, None where there is none."""
        return self.anchors[-1] if self.anchors else None

    def hashes(self) -> dict[int, bytes]:
        """Return what they say of the log: the hash at each anchored sequence."""
        return {anchor.sequence: anchor.hash for anchor in self.holding}


def check_anchors(lines: Iterable[bytes], verify: Verify) -> CheckedAnchors:
    """Return what *lines*, oldest first and without their ends, say. A bad line is found, and the rest is used."""
    anchors: list[Anchor] = []
    findings: list[Finding] = []
    chained_from: Anchor | None = None
    for number, line in enumerate(lines, 1):
        anchor, problem = _read(line, verify)
        if anchor is None:
            findings.append(_finding(number, problem))
            chained_from = None
            continue
        problem = _problem_with_place(anchor, chained_from)
        # Behind a bad line the chain cannot be followed, but each signature stands for itself.
        if problem and (chained_from is not None or number == 1):
            findings.append(_finding(number, problem))
        anchors.append(anchor)
        chained_from = anchor
    return CheckedAnchors(anchors=tuple(anchors), holding=holding(anchors), findings=tuple(findings))


def holding(anchors: Sequence[Anchor]) -> tuple[Anchor, ...]:
    """Return those of *anchors*, oldest first, that no restore of the log made void."""
    kept: list[Anchor] = []
    for anchor in anchors:
        while kept and kept[-1].number > anchor.continues:
            kept.pop()
        # Of two at one place the older one covers the commands; both say the same of the event.
        if not kept or anchor.sequence > kept[-1].sequence:
            kept.append(anchor)
    return tuple(kept)


def _read(line: bytes, verify: Verify) -> tuple[Anchor | None, str]:
    try:
        signed = msgspec.json.decode(line, type=SignedAnchor)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None, "it is no anchor"
    if signed.line() != line:
        return None, "it is written in another form than anchors are"
    if not verify(signed.anchor.signed_bytes(), signed.signature):
        return None, "its signature is not valid"
    return signed.anchor, ""


def _problem_with_place(anchor: Anchor, before: Anchor | None) -> str:
    previous = NO_ANCHOR if before is None else before.digest()
    before_number = 0 if before is None else before.number
    if anchor.previous != previous or anchor.number != before_number + 1:
        return f"it is anchor {anchor.number} and does not follow the line before it: one was taken out or put in"
    if before is None or anchor.epoch != before.epoch:
        return ""
    if anchor.sequence < before.sequence or anchor.continues != before.number:
        return "it goes back in the log without a new epoch"
    return ""


def _finding(number: int, detail: str) -> Finding:
    return Finding(kind=Kind.ANCHOR_INVALID, place=f"anchor line {number}", detail=detail)
