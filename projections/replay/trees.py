"""Events and states as plain trees for people, and what changed from one tree to the next.

A tree is made of dictionaries, lists, texts, numbers, booleans and None. Personal fields appear as a word and never as
what they hold; other bytes appear as their number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from domain.user.events import Sealed

SEALED = "<sealed>"
ERASED = "<erased>"
Tree = Any
Leaf = str | int | bool | None


def tree_of(value: Any, *, personal: str = SEALED) -> Tree:  # noqa: PLR0911 - one arm per kind
    """Return *value* (an event, a state or a part of one) as a tree; *personal* stands for each sealed field."""
    match value:
        case Sealed():
            return personal
        case msgspec.Struct():
            fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
            return {name: tree_of(each, personal=personal) for name, each in fields}
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case bytes():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {str(tree_of(key)): tree_of(each, personal=personal) for key, each in value.items()}
        case set() | frozenset():
            return sorted((tree_of(each, personal=personal) for each in value), key=str)
        case list() | tuple():
            return [tree_of(each, personal=personal) for each in value]
        case _:
            return str(value)


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf that is another than before. `path` joins names by slashes; None: there is no such leaf."""

    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.path}: {self.after}"
        if self.after is None:
            return f"- {self.path}: {self.before}"
        return f"~ {self.path}: {self.before} → {self.after}"


def changes(before: Tree, after: Tree) -> list[Change]:
    """Return what differs between two trees, in the order of the later one, what is gone last."""
    old, new = dict(leaves(before)), dict(leaves(after))
    found = [Change(path, old.get(path), text) for path, text in new.items() if old.get(path) != text]
    return found + [Change(path, text, None) for path, text in old.items() if path not in new]


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every leaf of *tree* as path and text. An empty dictionary or list is a leaf of its own."""
    if isinstance(tree, dict) and tree:
        for name, each in tree.items():
            yield from leaves(each, f"{path}/{name}" if path else name)
    elif isinstance(tree, list) and any(isinstance(each, dict | list) for each in tree):
        for number, each in enumerate(tree):
            yield from leaves(each, f"{path}/{number}")
    else:
        yield path, _text(tree)


def _text(leaf: Leaf | list[Leaf] | dict[str, Tree]) -> str:
    match leaf:
        case None:
            return "none"
        case bool():
            return str(leaf).lower()
        case list():
            return "[" + ", ".join(_text(each) for each in leaf) + "]"
        case _:
            return str(leaf)
