"""How an application of the `eventsourcing` library keeps its events' values: as JSON that comes back as what it was.

The library's own transcoder hands values to `json`, which takes a tuple for a list and every subclass of `str`, `int`,
`list` and `dict` for its base, whatever is registered for it. This one asks for a registered transcoding first. What it
writes has the library's form, so each reads what the other wrote.
"""

import json
from typing import Any

from eventsourcing.persistence import JSONTranscoder, Transcoding, TranscodingNotRegisteredError

_TYPE = "_type_"
_DATA = "_data_"
_SCALARS = (str, int, float, bool, type(None))


class TupleAsList(Transcoding):
    """A tuple, as the list of its values."""

    type = tuple
    name = "tuple_as_list"

    def encode(self, obj: tuple[Any, ...]) -> list[Any]:
        """Return the values."""
        return list(obj)

    def decode(self, data: list[Any]) -> tuple[Any, ...]:
        """Return the tuple."""
        return tuple(data)


class PairsOfDict(Transcoding):
    """A dictionary that JSON cannot tell from something else: it has other keys than strings, or looks like a type."""

    type = dict
    name = "dict_as_pairs"

    def encode(self, obj: dict[Any, Any]) -> list[list[Any]]:
        """Return keys and values."""
        return [[key, value] for key, value in obj.items()]

    def decode(self, data: list[list[Any]]) -> dict[Any, Any]:
        """Return the dictionary."""
        return dict(data)


class ExactTranscoder(JSONTranscoder):
    """A `JSONTranscoder` under which a registered type, and a tuple, come back as themselves."""

    def __init__(self) -> None:
        super().__init__()
        self._exact: dict[type, Transcoding] = {}
        self._pairs = PairsOfDict()
        self.names[self._pairs.name] = self._pairs
        self.register(TupleAsList())

    def register(self, transcoding: Transcoding) -> None:
        """Let values of exactly the transcoding's type be kept by it."""
        super().register(transcoding)
        self._exact[transcoding.type] = transcoding

    def encode(self, obj: Any) -> bytes:
        """Return *obj* as JSON.

        Raises:
            eventsourcing.persistence.TranscodingNotRegisteredError: JSON has no such value, nor is one registered.
        """
        return json.dumps(self._plain(obj), separators=(",", ":"), ensure_ascii=False).encode()

    def _plain(self, obj: Any) -> Any:
        exact = type(obj)
        if exact in _SCALARS:
            return obj
        transcoding = self._exact.get(exact)
        if transcoding is not None:
            return self._marked(transcoding, obj)
        if isinstance(obj, dict):
            if not all(type(key) is str for key in obj) or obj.keys() == {_TYPE, _DATA}:
                return self._marked(self._pairs, obj)
            return {key: self._plain(value) for key, value in obj.items()}
        if isinstance(obj, list | tuple):
            return [self._plain(value) for value in obj]
        if isinstance(obj, str | int | float):
            return obj
        raise TranscodingNotRegisteredError(
            f"Object of type {exact} is not serializable."
            " Please define and register a custom transcoding for this type."
        )

    def _marked(self, transcoding: Transcoding, obj: Any) -> dict[str, Any]:
        return {_TYPE: transcoding.name, _DATA: self._plain(transcoding.encode(obj))}
