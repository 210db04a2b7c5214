"""Specimens of appends: begin from one and change the field that matters."""

from itertools import count

from commands.ports import Append, Claim, NewEvent, StreamAppend

_numbers = count(1)


def new_event(payload: bytes = b'{"quantity":10}', name: str = "thing.happened.v1") -> NewEvent:
    return NewEvent(name=name, payload=payload)


def on(stream_id: str, expected_version: int = 0, events: int = 1, leaf: bytes | None = None) -> StreamAppend:
    """Return *events* events for one stream."""
    new = tuple(new_event(b'{"number":%d}' % (expected_version + number)) for number in range(1, events + 1))
    return StreamAppend(stream_id=stream_id, expected_version=expected_version, events=new, expected_leaf=leaf)


def command(
    *streams: StreamAppend, key: str | None = None, request: bytes = b"request", claim: Claim | None = None
) -> Append:
    """Return one command's append, its id fresh."""
    return Append(
        command_id=f"cmd_{next(_numbers):026d}",
        streams=streams,
        metadata=b'{"actor":"usr_1","source":"api"}',
        scope="acc_1",
        key=key,
        request_hash=request,
        claim=claim,
    )
