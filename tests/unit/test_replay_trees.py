from domain.user.events import Sealed
from projections.replay.trees import ERASED, Change, changes, leaves, tree_of
from tests.support.specimens import order_filled, order_intended, user_registered


def test_sealed_fields_appear_as_a_word_and_never_as_bytes() -> None:
    tree = tree_of(user_registered)
    assert tree["email"] == tree["name"] == "<sealed>"
    assert tree_of(user_registered, personal=ERASED)["name"] == "<erased>"
    assert str(user_registered.email.ciphertext) not in str(tree)


def test_bytes_appear_as_their_number() -> None:
    assert tree_of((b"secret", frozenset({"b", "a"}))) == ["<6 bytes>", ["a", "b"]]
    assert tree_of({1: Sealed(b"n", b"c")}) == {"1": "<sealed>"}


def test_an_event_becomes_names_and_plain_values() -> None:
    tree = tree_of(order_intended)
    assert tree["order_id"] == order_intended.order_id
    assert tree["instruction"]["side"] == order_intended.instruction.side.value


def test_every_leaf_has_its_path() -> None:
    tree = {"a": {"b": 1, "c": {}}, "d": [{"e": True}], "f": ["x", None], "g": []}
    assert list(leaves(tree)) == [("a/b", "1"), ("a/c", "{}"), ("d/0/e", "true"), ("f", "[x, none]"), ("g", "[]")]


def test_differences_name_what_came_what_went_and_what_changed() -> None:
    before = {"kept": 1, "orders": {"o.1": {"status": "intended"}}, "gone": "x"}
    after = {"kept": 1, "orders": {"o.1": {"status": "filled"}, "o.2": {"status": "intended"}}}
    found = changes(before, after)
    assert found == [
        Change("orders/o.1/status", "intended", "filled"),
        Change("orders/o.2/status", None, "intended"),
        Change("gone", "x", None),
    ]
    assert [str(change)[0] for change in found] == ["~", "+", "-"]
    assert changes(tree_of(order_filled), tree_of(order_filled)) == []
