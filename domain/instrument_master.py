"""What can happen to the instrument master. What it holds lies in files; the log says which, and what was in them."""

import msgspec


class InstrumentsImported(msgspec.Struct, frozen=True, kw_only=True, tag="instruments.imported.v1"):
    """A broker's master became the next version of ours: from its `day` (ISO, the exchange's) on it holds.

    `content_hash` is the SHA-256 of all that is listed since, `history_hash` that of the file with every version's
    definitions, `source_hash` that of the broker's file, which has `layout` and so many `rows`. `unusable` counts by
    reason the rows that define nothing we can use. Of `listed` instruments `added` are new and `changed` have another
    definition, the `renamed` in them another symbol; `expired` are gone after their last day, `delisted` without one.
    """

    version: int
    day: str
    content_hash: str
    history_hash: str
    source_hash: str
    layout: str
    rows: int
    unusable: dict[str, int]
    listed: int
    added: int
    changed: int
    renamed: int
    delisted: int
    expired: int


InstrumentMasterEvent = InstrumentsImported
