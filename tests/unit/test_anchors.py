"""Anchors as lines of a file, checked with the public key alone."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from adapters.anchor_file import AnchorFile
from adapters.security.anchors import AnchorKey, AnchorPublicKey
from domain.integrity.anchors import NO_ANCHOR, Anchor, SignedAnchor, check_anchors, holding
from infra.cli import app
from projections.integrity.anchoring import AnchorsNotValid, last_anchor

first = Anchor(
    number=1,
    cell="0",
    epoch="aat1r0",
    sequence=10,
    hash=bytes(32),
    recorded_at_us=1,
    made_at_us=2,
    previous=NO_ANCHOR,
    continues=0,
    commands_count=3,
    commands_hash=bytes(32),
    audit_number=0,
    audit_hash=bytes(32),
)


def new_key() -> AnchorKey:
    return AnchorKey(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def after(anchor: Anchor, sequence: int, *, epoch: str = "aat1r0", continues: int | None = None) -> Anchor:
    return msgspec.structs.replace(
        anchor,
        number=anchor.number + 1,
        sequence=sequence,
        epoch=epoch,
        previous=anchor.digest(),
        continues=anchor.number if continues is None else continues,
    )


second = after(first, 20)
third = after(second, 30)


@pytest.fixture(scope="module")
def key() -> AnchorKey:
    return new_key()


def lines_of(key: AnchorKey, *anchors: Anchor) -> list[bytes]:
    return [key.sign(anchor).line() for anchor in anchors]


def test_the_public_key_is_enough_to_check_anchors(key: AnchorKey) -> None:
    checked = check_anchors(lines_of(key, first, second, third), AnchorPublicKey(key.public_pem()).verify)

    assert checked.findings == ()
    assert checked.anchors == checked.holding == (first, second, third)


def test_another_key_signs_nothing(key: AnchorKey) -> None:
    lines = [*lines_of(key, first), *lines_of(new_key(), second)]

    (finding,) = check_anchors(lines, key.verify).findings

    assert finding.place == "anchor line 2"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], lines[2]], 2),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
        (lambda lines: [*lines, lines[0]], 4),
        (lambda lines: [lines[0], lines[1].replace(b'"cell":"0"', b'"cell":"1"'), lines[2]], 2),
        (lambda lines: [lines[0], lines[1].replace(b'{"anchor"', b'{ "anchor"'), lines[2]], 2),
        (lambda lines: [lines[0], b"", lines[1], lines[2]], 2),
    ],
    ids=[
        "the first taken out",
        "one taken out",
        "two swapped",
        "one put in twice",
        "a field changed",
        "the same in another form",
        "an empty line put in",
    ],
)
def test_lines_that_were_touched_are_named(
    key: AnchorKey, change: Callable[[list[bytes]], list[bytes]], line: int
) -> None:
    checked = check_anchors(change(lines_of(key, first, second, third)), key.verify)

    assert checked.findings[0].place == f"anchor line {line}"


def test_within_an_epoch_anchors_go_forward(key: AnchorKey) -> None:
    back = after(second, 15)

    assert check_anchors(lines_of(key, first, second, back), key.verify).findings != ()


def test_a_restore_makes_the_anchors_void_that_it_says_do_not_hold(key: AnchorKey) -> None:
    restored = after(third, 25, epoch="aat1r1", continues=1)

    checked = check_anchors(lines_of(key, first, second, third, restored), key.verify)

    assert checked.findings == ()
    assert checked.holding == holding(checked.anchors) == (first, restored)


def test_each_field_is_signed(key: AnchorKey) -> None:
    others = {
        "number": 9, "cell": "1", "epoch": "x", "sequence": 9, "hash": b"x" * 32, "recorded_at_us": 9, "made_at_us": 9,
        "previous": b"x" * 32, "continues": 9, "commands_count": 9, "commands_hash": b"x" * 32, "audit_number": 9,
            "audit_hash": b"x" * 32,
    }  # fmt: skip
    assert set(others) == set(Anchor.__struct_fields__)
    signature = key.sign(first).signature
    for name, value in others.items():
        forged = SignedAnchor(anchor=msgspec.structs.replace(first, **{name: value}), signature=signature)
        assert check_anchors([forged.line()], key.verify).findings[0].place == "anchor line 1", name


def test_what_a_crash_left_unfinished_is_no_anchor_and_goes_with_the_next_one(key: AnchorKey, tmp_path: Path) -> None:
    sink = AnchorFile(tmp_path / "anchors" / "anchors.jsonl")
    assert sink.lines() == []
    sink.append(key.sign(first))
    with sink.path.open("ab") as file:
        file.write(key.sign(second).line()[:50])

    assert last_anchor(sink, key) == first
    sink.append(key.sign(second))
    assert last_anchor(sink, key) == second
    assert sink.path.read_bytes().count(b"\n") == 2


def test_one_process_at_a_time_adds_anchors(tmp_path: Path) -> None:
    one, other = (AnchorFile(tmp_path / "anchors.jsonl") for _ in range(2))
    one.claim()
    one.claim()
    with pytest.raises(OSError, match="another process"):
        other.claim()
    one.close()
    other.claim()
    other.close()


def test_anchors_that_were_touched_have_no_last_one(key: AnchorKey, tmp_path: Path) -> None:
    sink = AnchorFile(tmp_path / "anchors.jsonl")
    sink.append(key.sign(second))

    with pytest.raises(AnchorsNotValid, match="line 1"):
        last_anchor(sink, key)


def test_the_command_checks_anchors_without_a_database_and_without_keys(
    key: AnchorKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KHATA_HOME", str(tmp_path / "nowhere"))
    sink = AnchorFile(tmp_path / "anchors.jsonl")
    for anchor in (first, second):
        sink.append(key.sign(anchor))
    (tmp_path / "public.pem").write_bytes(key.public_pem())
    arguments = ["verify", "--anchors-only", "--public-key", str(tmp_path / "public.pem")]

    good = CliRunner().invoke(app, [*arguments, "--anchors", str(sink.path), "--json"])
    (tmp_path / "less.jsonl").write_bytes(b"".join(line + b"\n" for line in sink.lines()[1:]))
    bad = CliRunner().invoke(app, [*arguments, "--anchors", str(tmp_path / "less.jsonl"), "--json"])

    assert (good.exit_code, msgspec.json.decode(good.stdout)["sequence"]) == (0, 20)
    assert (bad.exit_code, msgspec.json.decode(bad.stdout)["intact"]) == (1, False)
    assert not (tmp_path / "nowhere").exists()
