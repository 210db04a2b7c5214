"""Events are stored for ever: what an earlier release wrote is read, and means what it meant.

Each file here was written by the release that introduced its event and is never changed. A changed meaning is a new
name, with an upcaster and a file of its own. A field that was added, whose default is what was meant before, needs no
new name, and neither does a default that is left out: the files in `widened/` are what the present release writes of
such events.
"""

from pathlib import Path

import msgspec
import pytest

from domain.events import EVENT_TYPES, IGNORABLE, PAST_TYPES, EventUnknown, decode, decode_known, encode, name_of
from tests.support.specimens import EVERY_EVENT, WIDENED

FOLDER = Path(__file__).parent


def _stored_in(folder: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes().removesuffix(b"\n") for path in sorted(folder.glob("*.json"))}


STORED = _stored_in(FOLDER)
STORED_WIDE = _stored_in(FOLDER / "widened")


def test_every_version_of_an_event_has_a_stored_specimen() -> None:
    assert set(EVENT_TYPES) | set(PAST_TYPES) == set(STORED), (
        "write the file of a new event, keep those of the old ones"
    )


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_stored_event_is_read_and_written_again_byte_for_byte(name: str) -> None:
    stored = STORED_WIDE.get(name, STORED[name])
    event = decode(name, stored)
    assert encode(event) == stored
    assert name_of(event) == name


def test_only_what_gained_fields_is_stored_twice() -> None:
    assert {name_of(event): event for event in WIDENED} == {
        name: decode(name, stored) for name, stored in STORED_WIDE.items()
    }
    for name, stored in STORED_WIDE.items():
        assert stored != STORED[name], "it is what it was: delete it in widened/"


def test_the_stored_events_mean_what_they_meant() -> None:
    assert {name_of(event): event for event in EVERY_EVENT} == {
        name: decode(name, STORED[name]) for name in EVENT_TYPES
    }


@pytest.mark.parametrize("name", PAST_TYPES)
def test_an_event_of_an_earlier_release_is_read_as_what_it_means_today(name: str) -> None:
    event = decode(name, STORED[name])
    today = name_of(event)
    assert today != name
    assert today.rpartition(".v")[0] == name.rpartition(".v")[0]
    assert event == decode(today, STORED[today])


def test_three_events_were_moved_on() -> None:
    assert set(PAST_TYPES) == {"order.not_sent.v1", "order.rejected.v1", "order.filled.v1"}


@pytest.mark.parametrize("name", STORED)
def test_a_stored_name_ends_with_its_version(name: str) -> None:
    subject, _, version = name.removesuffix(IGNORABLE).rpartition(".v")
    assert version.isdigit()
    assert subject.count(".") == 1


def test_an_event_of_a_later_release_is_not_guessed_at() -> None:
    with pytest.raises(EventUnknown) as raised:
        decode("order.filled.v3", STORED["order.filled.v2"])
    assert raised.value.name == "order.filled.v3"


def test_an_unknown_event_is_passed_over_only_if_its_name_says_so() -> None:
    assert decode_known("trade.annotated.v1.ignorable", b"whatever") is None
    assert decode_known("tests.somewhere:Thing.Happened", b"whatever") is None
    assert decode_known("order.filled.v2", STORED["order.filled.v2"]) == decode(
        "order.filled.v2", STORED["order.filled.v2"]
    )
    for name in ("trade.annotated.v1", "order.filled.v3"):
        with pytest.raises(EventUnknown):
            decode_known(name, b"{}")


def test_an_event_is_read_only_under_its_own_name() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode("order.canceled.v1", STORED["order.expired.v1"])


def test_no_field_of_an_event_is_a_binary_float() -> None:
    for payload in STORED.values():
        assert not _has_float(msgspec.json.decode(payload))


def _has_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    if isinstance(value, list):
        return any(map(_has_float, value))
    return isinstance(value, float)
