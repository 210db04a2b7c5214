"""An entry's hashes are those of the log, and what it brings ready made is what PostgreSQL's arrays are made of."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.postgres.arrays import Int8Array, TextArray, int8_items, text_items
from adapters.postgres.entries import Part, new_entry
from commands.ports import NewEvent
from domain.envelope import leaf_hash

_LEAF_ELEMENT_BYTES = 36
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_bytes = st.binary(max_size=40)
_events = st.lists(st.builds(NewEvent, name=_texts, payload=_bytes), min_size=1, max_size=3)


@given(stream_id=_texts, version=st.integers(0, 2**60), events=_events, command_id=_texts, metadata=_bytes)
def test_an_entrys_leaves_are_the_hashes_of_its_events(
    stream_id: str, version: int, events: list[NewEvent], command_id: str, metadata: bytes
) -> None:
    part = Part(stream_id=stream_id, first_version=version, events=tuple(events))
    entry = new_entry(command_id=command_id, metadata=metadata, parts=(part,))
    expected = [
        leaf_hash(
            stream_id=stream_id,
            version=version + place,
            name=event.name,
            command_id=command_id,
            metadata=metadata,
            payload=event.payload,
        )
        for place, event in enumerate(events)
    ]
    elements = entry.leaf_elements
    assert len(elements) == _LEAF_ELEMENT_BYTES * len(events)
    assert [elements[end - 32 : end] for end in range(36, len(elements) + 1, 36)] == expected


@given(st.lists(_texts, max_size=5), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5))
def test_an_array_holds_what_it_was_made_of(texts: list[str], numbers: list[int]) -> None:
    assert text_items(TextArray.of(texts).data) == texts
    assert int8_items(Int8Array.of(numbers).data) == numbers
