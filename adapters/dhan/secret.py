"""A text that must not show up anywhere by accident."""

from typing import final


@final
class Secret:
    """Holds a token or a pin. Printing, formatting and logging show a mask; only `reveal` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text: for the wire, and for nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(****)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled: it would leave this process as plain text")
