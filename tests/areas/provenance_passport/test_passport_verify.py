"""The signed passport: what is refused, what is said of a difference, proofs in isolation, hand-overs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.provenance.passport import proving, statement
from bartizan.areas.provenance.passport.croissant import croissant
from bartizan.areas.provenance.passport.difference import differences
from bartizan.areas.provenance.passport.recording import record
from bartizan.areas.provenance.passport.verifying import Verified, verify
from bartizan.areas.provenance.signing.keys import PrivateKey
from bartizan.model.errors import EvidenceError, InputError, Refused

AT = "2026-11-01T00:00:00Z"
KEY = PrivateKey.generate("ed25519")
OTHER = PrivateKey.generate("p256")


def table(first: int = 0, rows: int = 5000) -> pa.Table:
    ids = range(first, first + rows)
    return pa.table({"id": list(ids), "name": [f"person {i}" for i in ids], "income": [float(i % 97) for i in ids]})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "loans"
    (folder / "2026").mkdir(parents=True)
    pq.write_table(table(), folder / "2026" / "a.parquet")
    pq.write_table(table(5000, 300), folder / "2026" / "b.parquet")
    (folder / "notes.txt").write_text("first line\nsecond line\n")
    (folder / "photo.png").write_bytes(b"\x89PNG not really")
    signed(folder)
    return folder


def signed(path: Path, key: PrivateKey = KEY, parents: tuple[statement.Parent, ...] = ()) -> Path:
    place = statement.passport_path(path)
    made, details = record(path, at=AT, own=(place, statement.details_path(place)), parents=parents)
    statement.write(place, made, details, key)
    return place


def checked(path: Path, *, content: bool = False) -> Verified:
    return verify(path, statement.passport_path(path), KEY.public, content=content)


def _bit(folder: Path) -> None:
    path = folder / "2026" / "a.parquet"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)


def _swap(folder: Path) -> None:
    a, b = folder / "2026" / "a.parquet", folder / "2026" / "b.parquet"
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)


def _rewrite(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    return lambda folder: pq.write_table(change(table()), folder / "2026" / "a.parquet")


ATTACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "rename": (lambda f: (f / "notes.txt").rename(f / "read-me.txt"), "now called 'read-me.txt'"),
    "swap": (_swap, "changed places"),
    "addition": (lambda f: (f / "extra.txt").write_text("x"), "'extra.txt' is new"),
    "deletion": (lambda f: (f / "photo.png").unlink(), "'photo.png' is gone"),
    "reorder": (_rewrite(lambda t: t.take([1, 0, *range(2, len(t))])), "other values"),
    "type": (_rewrite(lambda t: t.set_column(0, "id", t["id"].cast(pa.int32()))), "column 'id' was int64 and is int32"),
    "column": (_rewrite(lambda t: t.rename_columns(["id", "name", "salary"])), "column 'income' is now called 'salary'"),
    "value": (_rewrite(lambda t: t.set_column(2, "income", [[9.0, *t["income"].to_pylist()[1:]]])), "in rows 0 to 4095"),
    "append": (_rewrite(lambda t: table(0, 5005)), "5000 rows, now 5005 (+5); the first 4096 are as they were"),
    "image": (lambda f: (f / "photo.png").write_bytes(b"\x89PNG other"), "another content"),
    "link": (lambda f: (f / "link").symlink_to("/etc/hostname"), "symbolic link"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_was_changed_is_refused_and_named(data: Path, attack: str) -> None:
    assert checked(data).ok
    do, said = ATTACKS[attack]
    do(data)
    found = checked(data)
    assert not found.ok
    assert any(said in problem for problem in found.problems), found.problems
    if attack != "rename":
        assert not checked(data, content=True).ok


def test_every_bit_of_a_small_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,x\n")
    signed(path)
    raw = path.read_bytes()
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert not checked(path).ok
    path.write_bytes(raw)
    assert checked(path).ok


def test_a_flipped_bit_in_parquet_is_refused(data: Path) -> None:
    _bit(data)
    assert not checked(data).ok


def test_other_encodings_pass_where_the_rows_count(data: Path) -> None:
    pq.write_table(table(), data / "2026" / "a.parquet", compression="gzip", row_group_size=100)
    assert checked(data).problems == ("'2026/a.parquet' was written anew; every row is as it was",)
    assert checked(data, content=True).ok


@pytest.mark.parametrize("part", ["passport", "details"])
def test_an_altered_passport_is_refused(data: Path, part: str) -> None:
    place = statement.passport_path(data)
    file = place if part == "passport" else statement.details_path(place)
    raw = file.read_bytes()
    for at in range(0, len(raw) - 1, max(1, len(raw) // 60)):
        changed = bytearray(raw)
        changed[at] ^= 1
        file.write_bytes(changed)
        with pytest.raises((EvidenceError, InputError)):
            checked(data)


def test_another_key_is_refused(data: Path) -> None:
    with pytest.raises(EvidenceError, match="another key"):
        verify(data, statement.passport_path(data), OTHER.public)
    signed(data, OTHER)
    with pytest.raises(EvidenceError, match="another key"):
        checked(data)


def test_row_proofs_verify_in_isolation(data: Path, tmp_path: Path) -> None:
    held = statement.read(statement.passport_path(data), KEY.public)
    for number in (0, 4095, 4096, 4999, 5000, 5299, 5300, 5301, 5302):
        proof = proving.encode(proving.prove_row(data, held, number))
        proved = proving.check(proving.decode(proof), KEY.public)
        if number < 5300:
            assert proved.values["id"] == number
    assert proved.values == {"sha256": __import__("hashlib").sha256((data / "photo.png").read_bytes()).hexdigest()}
    with pytest.raises(InputError, match="no row 5303"):
        proving.prove_row(data, held, 5303)
    with pytest.raises(EvidenceError):
        proving.check(proving.decode(proof), OTHER.public)


def test_an_altered_proof_does_not_hold(data: Path) -> None:
    held = statement.read(statement.passport_path(data), KEY.public)
    made = json.loads(proving.encode(proving.prove_row(data, held, 17)))
    other = json.loads(proving.encode(proving.prove_row(data, held, 18)))
    for field in ("row", "rows", "data", "index", "files", "steps", "content_steps", "content"):
        changed = dict(made)
        if field in ("row", "data"):
            changed[field] = other[field]
        elif isinstance(made[field], int):
            changed[field] += 1
        elif field == "content":
            changed[field] = made[field].replace("2026/a", "2026/c")
        else:
            changed[field] = made[field][:-1]
        with pytest.raises(EvidenceError):
            proving.check(proving.decode(json.dumps(changed).encode()), KEY.public)


@given(st.data())
@settings(max_examples=600, deadline=None)
def test_no_damage_makes_a_proof_crash_or_say_something_else(proof_of_17: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(proof_of_17) - 1))
    changed = bytearray(proof_of_17)
    changed[at] = data.draw(st.integers(0, 255))
    try:
        proved = proving.check(proving.decode(bytes(changed)), KEY.public)
    except EvidenceError:
        return
    assert proved.values["id"] == 17


@pytest.fixture(scope="module")
def proof_of_17(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("proof") / "people.parquet"
    pq.write_table(table(), path)
    return proving.encode(proving.prove_row(path, statement.read(signed(path), KEY.public), 17))


def test_a_changed_row_cannot_be_proved(data: Path) -> None:
    held = statement.read(statement.passport_path(data), KEY.public)
    _rewrite(lambda t: t.set_column(2, "income", [[9.0, *t["income"].to_pylist()[1:]]]))(data)
    with pytest.raises(Refused, match="was changed"):
        proving.prove_row(data, held, 3)


def test_that_a_row_is_gone_is_proved(tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    pq.write_table(table(), path)
    before = statement.read(signed(path), KEY.public)
    earlier = proving.check(proving.prove_row(path, before, 41), KEY.public)
    with pytest.raises(Refused, match="still there"):
        proving.prove_gone(path, before, earlier)
    pq.write_table(table().filter(pa.compute.field("id") != 41), path)
    after = statement.read(signed(path), KEY.public)
    absence = proving.prove_gone(path, after, earlier)
    proved = proving.check(proving.decode(proving.encode(absence)), KEY.public)
    assert proved.leaf == earlier.leaf
    forged = json.loads(proving.encode(absence))
    kept = proving.check(proving.prove_row(path, after, 7), KEY.public)
    forged["leaf"] = kept.leaf.hex()
    with pytest.raises(EvidenceError):
        proving.check(proving.decode(json.dumps(forged).encode()), KEY.public)
    pq.write_table(table().rename_columns(["id", "name", "salary"]), path)
    with pytest.raises(Refused, match="other columns"):
        proving.prove_gone(path, statement.read(signed(path), KEY.public), earlier)


def test_hand_overs_are_signed_by_who_holds_the_data(data: Path) -> None:
    place = statement.passport_path(data)
    statement.hand_over(place, KEY, OTHER.public, "team b", AT, "for training")
    third = PrivateKey.generate("p384")
    with pytest.raises(EvidenceError, match="is held by key"):
        statement.hand_over(place, KEY, third.public, "team c", AT)
    statement.hand_over(place, OTHER, third.public, "team c", AT)
    found = checked(data)
    assert found.ok
    assert [h.to for h in found.held.hand_overs] == ["team b", "team c"]
    assert found.held.holder == third.public.id
    lines = place.read_bytes().split(b"\n")
    for cut in ([lines[0], lines[2], b""], [lines[0], lines[2], lines[1], b""], [lines[0], lines[1], lines[1], b""]):
        place.write_bytes(b"\n".join(cut))
        with pytest.raises(EvidenceError):
            checked(data)


def test_the_lineage_names_its_parent(data: Path, tmp_path: Path) -> None:
    parent = statement.read(statement.passport_path(data), KEY.public).passport
    made = tmp_path / "clean.csv"
    made.write_text("a\n1\n")
    by = statement.Parent(name=parent.name, passport=parent.id, content=parent.content.root, transformation="ab" * 32, by="clean.py")
    place = signed(made, parents=(by,))
    assert verify(made, place, KEY.public, parents=[statement.passport_path(data)]).ok
    other = signed(made)
    found = verify(made, other, KEY.public, parents=[statement.passport_path(data)])
    assert "was not made from" in found.problems[0]


def test_what_changed_since_the_audit_is_said_in_words(data: Path) -> None:
    old = statement.read(statement.passport_path(data), KEY.public).details
    assert differences(old, old) == ()
    pq.write_table(table(0, 8000).append_column("tax", [[1] * 8000]), data / "2026" / "a.parquet")
    (data / "notes.txt").rename(data / "readme.txt")
    new = record(data, at=AT)[1]
    words = " | ".join(change.text for change in differences(old, new))
    assert "column 'tax' is new" in words
    assert "5000 rows, now 8000 (+3000)" in words
    assert "'notes.txt' is now called 'readme.txt'" in words


def test_croissant_names_files_columns_and_digests(data: Path) -> None:
    held = statement.read(statement.passport_path(data), KEY.public)
    made = croissant(held, {"license": "CC-BY-4.0", "dataBiases": "older applicants are rare"})
    assert made["conformsTo"][0] == "http://mlcommons.org/croissant/1.0"
    assert {f["name"] for f in made["distribution"] if "sha256" in f} == {"2026/a.parquet", "2026/b.parquet", "notes.txt", "photo.png"}
    fields = {f["name"]: f["dataType"] for s in made["recordSet"] for f in s["field"]}
    assert fields["id"] == "sc:Integer"
    assert fields["income"] == "sc:Float"
    assert made["rai:dataBiases"]
    assert "rai:dataUseCases" not in made
