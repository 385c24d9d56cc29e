"""Digests are hashlib's own; the chunk tree says which bytes changed, and its root stands for every one of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.areas.provenance.signing.chunk_tree import CHUNK, Tree, tree_of
from bartizan.areas.provenance.signing.hashing import digest_of, digests_of
from bartizan.model.errors import InputError, Refused

MIB = 1024 * 1024
SIZES = [0, 1, MIB, CHUNK - 1, CHUNK, CHUNK + 1, 8 * MIB, 8 * MIB + 1, 13 * MIB + 7]


@pytest.mark.parametrize("size", SIZES)
def test_digests_are_those_of_hashlib_and_trees_those_of_the_tree(tmp_path: Path, size: int) -> None:
    data = hashlib.shake_256(b"seed").digest(1024) * (size // 1024 + 1)
    path = tmp_path / "file"
    path.write_bytes(data[:size])
    for algorithm in ("blake3", "sha256"):
        found = digest_of(path, tree=algorithm)
        assert found.hex == hashlib.sha256(data[:size]).hexdigest()
        assert found.size == size
        assert found.tree == tree_of(path, algorithm) == tree_of(path, algorithm, workers=1)
    assert digest_of(path, span=range(size // 2, size)).hex == hashlib.sha256(data[size // 2 : size]).hexdigest()
    assert digest_of(path, algorithm="blake2b").hex == hashlib.blake2b(data[:size]).hexdigest()


def test_the_tree_is_that_of_rfc_6962_with_our_domains() -> None:
    def h(domain: bytes, data: bytes) -> bytes:
        return hashlib.sha256(domain + data).digest()

    leaves = [h(b"\0", bytes([i])) for i in range(5)]
    left = h(b"\1", h(b"\1", leaves[0] + leaves[1]) + h(b"\1", leaves[2] + leaves[3]))
    top = h(b"\1", left + leaves[4])
    size = 4 * CHUNK + 1
    assert Tree("sha256", size, tuple(leaves)).root == h(b"\2", size.to_bytes(8, "big") + CHUNK.to_bytes(8, "big") + top).hex()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.integers(0, 9 * MIB - 1))
def test_one_flipped_bit_changes_the_root_and_its_chunk_is_named(tmp_path: Path, place: int) -> None:
    path = tmp_path / "file"
    if not path.exists():
        path.write_bytes(bytes(9 * MIB))
        (tmp_path / "other").write_bytes(bytes(9 * MIB))
    before = tree_of(path, "blake3")
    other = tmp_path / "other"
    with other.open("r+b") as file:
        file.seek(place)
        file.write(b"\1")
    after = tree_of(other, "blake3")
    with other.open("r+b") as file:
        file.seek(place)
        file.write(b"\0")
    assert before.root != after.root
    start = place // CHUNK * CHUNK
    assert before.differences(after) == ((start, min(start + CHUNK, 9 * MIB)),)


def test_neighbouring_changes_are_one_range_and_growth_is_seen() -> None:
    one = Tree("sha256", 3 * CHUNK, (b"a", b"b", b"c"))
    assert one.differences(Tree("sha256", 4 * CHUNK, (b"a", b"x", b"y", b"d"))) == ((CHUNK, 4 * CHUNK),)
    assert one.differences(one) == ()


def test_many_files_are_digested_in_order_and_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"{i:02}").write_bytes(bytes([i]) * i)
    told: list[tuple[int, int]] = []
    files = {path.name: path for path in sorted(tmp_path.iterdir())}
    found = digests_of(files, listener=lambda done, whole: told.append((done, whole)))
    assert list(found) == list(files)
    assert all(found[name].hex == hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items())
    assert told[-1] == (190, 190)
    (tmp_path / "link").symlink_to("01")
    with pytest.raises(Refused, match="link"):
        digest_of(tmp_path / "link")
    with pytest.raises(InputError):
        digests_of({"x": tmp_path / "nothing"})
