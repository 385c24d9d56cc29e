"""Bundles: the same store gives the same bytes, they verify anywhere, and no trick with a zip gets past verification."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.evidence import Keyring, Signer, Store, Verification, dsse, export_bundle, verify_bundle, verify_store
from bartizan.evidence.canonical import canonical, sha256
from bartizan.model.errors import EvidenceError

EXTRA = {"report/report.html": b"<p>hello</p>", "manifest/bartizan.yaml": b"bartizan: 1\n"}


@pytest.fixture
def bundle(filled: Path, keyring: Keyring, clock: Any) -> Path:
    path = filled.parent / "audit.zip"
    with Store.open(filled, key=keyring.signer(), clock=clock) as store:
        export_bundle(store, path, EXTRA)
    return path


def verified(path: Path) -> Verification:
    return verify_bundle(path, path.parent / "trusted.pem", path.parent / "kept.json")


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def written(path: Path, files: dict[str, bytes], signer: Signer | None = None, method: int = zipfile.ZIP_STORED) -> Path:
    """A bundle of these members in the form that bartizan writes; with `signer` its index is made and signed again."""
    if signer is not None:
        index = msgspec.json.decode(dsse.decode(files["index.json"], dsse.INDEX).payload)
        index["files"] = {n: {"sha256": sha256(d), "size": len(d)} for n, d in files.items() if n != "index.json"}
        files = {**files, "index.json": dsse.seal(dsse.INDEX, canonical(index), signer).encode()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name in (*sorted(set(files) - {"index.json"}), "index.json"):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr, info.compress_type = 3, 0o100644 << 16, method
            archive.writestr(info, files[name])
    return path


def test_a_bundle_says_what_the_store_says(filled: Path, bundle: Path) -> None:
    found = verified(bundle)
    assert found.problems == found.warnings == ()
    store = verify_store(filled)
    assert (found.entries, found.head, found.root, found.key) == (store.entries, store.head, store.root, store.key)
    assert {*EXTRA, "entries.jsonl", "checkpoints.jsonl", "index.json"} < set(members(bundle))
    assert len([n for n in members(bundle) if n.startswith("artefacts/")]) == 2


def test_the_same_store_gives_the_same_bytes(filled: Path, bundle: Path, keyring: Keyring, clock: Any) -> None:
    clock.move(days=3)
    with Store.open(filled, key=keyring.signer(), clock=clock) as store:
        export_bundle(store, bundle.with_name("again.zip"), dict(reversed(EXTRA.items())))
    assert bundle.with_name("again.zip").read_bytes() == bundle.read_bytes()
    assert written(bundle.with_name("ours.zip"), members(bundle)).read_bytes() == bundle.read_bytes()


def test_a_bundle_of_rotated_keys_and_of_nothing(folder: Path, keyring: Keyring, clock: Any, outcome: Callable[..., Any]) -> None:
    first = keyring.signer().public.pem()
    path = folder.parent / "b.zip"
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        export_bundle(store, path)
        assert verify_bundle(path, first).ok
        store.append(outcome(1, clock()))
        store.rotate()
        export_bundle(store, path)
    assert verify_bundle(path, first).problems == ()
    assert not verify_bundle(path, Signer.generate().public.pem()).ok


def test_a_bundle_is_about_the_files_or_not(bundle: Path) -> None:
    assert not verify_bundle(bundle, subjects={"models/scorer.skops": "b" * 64}).ok
    assert verify_bundle(bundle, subjects={"models/scorer.skops": "a" * 64}).ok


def test_an_older_bundle_does_not_meet_the_kept_checkpoint(filled: Path, bundle: Path, keyring: Keyring, clock: Any, outcome: Any) -> None:
    with Store.open(filled, key=keyring.signer(), clock=clock) as store:
        store.append(outcome(9, clock.move(minutes=1)))
        store.checkpoint().save(filled.parent / "newer.json")
    found = verify_bundle(bundle, filled.parent / "trusted.pem", filled.parent / "newer.json")
    assert any("older store" in p for p in found.problems)


def test_a_store_without_its_key_cannot_sign_a_bundle(filled: Path) -> None:
    with Store.open(filled) as store, pytest.raises(EvidenceError, match="reading only"):
        export_bundle(store, filled.parent / "x.zip")


@pytest.mark.parametrize(
    "name", ["index.json", "entries.jsonl", "keys/x", "artefacts/x", "/etc/passwd", "../up", "a//b", "a\\b", "", "C:x", "a\nb"]
)
def test_names_that_a_bundle_does_not_take(filled: Path, keyring: Keyring, name: str) -> None:
    with Store.open(filled, key=keyring.signer()) as store, pytest.raises(EvidenceError, match="no name for a file"):
        export_bundle(store, filled.parent / "x.zip", {name: b""})


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoints.jsonl", "report/report.html", "index.json"])
def test_edited_members(bundle: Path, name: str) -> None:
    files = members(bundle)
    files[name] = files[name][:-2] + bytes([files[name][-2] ^ 1]) + files[name][-1:]
    assert not verified(written(bundle, files)).ok


def test_members_added_removed_or_replaced(bundle: Path) -> None:
    files = members(bundle)
    stranger = Signer.generate()
    for name in sorted(set(files) - {"index.json"}):
        fewer = {n: d for n, d in files.items() if n != name}
        assert any(f"lacks '{name}'" in p for p in verified(written(bundle, fewer)).problems)
    assert any("was added" in p for p in verified(written(bundle, {**files, "more.txt": b""})).problems)
    replaced = {**files, "report/report.html": b"<p>all is well</p>"}
    assert any("was edited" in p for p in verified(written(bundle, replaced)).problems)
    assert any("index is not signed" in p for p in verified(written(bundle, replaced, stranger)).problems)


def test_entries_cut_off_even_with_a_new_index(bundle: Path, keyring: Keyring) -> None:
    files = members(bundle)
    lines = files["entries.jsonl"].splitlines(keepends=True)
    shorter = {**files, "entries.jsonl": b"".join(lines[:-1])}
    assert any("tail was removed" in p for p in verified(written(bundle, shorter, keyring.signer())).problems)
    swapped = {**files, "entries.jsonl": b"".join([lines[1], lines[0], *lines[2:]])}
    assert any("reordered" in p for p in verified(written(bundle, swapped, keyring.signer())).problems)


def test_a_missing_artefact_even_with_a_new_index(bundle: Path, keyring: Keyring) -> None:
    files = {n: d for n, d in members(bundle).items() if not n.startswith("artefacts/")}
    assert any("missing from the bundle" in p for p in verified(written(bundle, files, keyring.signer())).problems)


def test_zip_tricks(bundle: Path, keyring: Keyring) -> None:
    files, signer = members(bundle), keyring.signer()
    for name in ("../../etc/cron.d/x", "/etc/passwd", "a\\..\\b", "keys/../x"):
        assert any("leads out" in p for p in verified(written(bundle, {**files, name: b"x"}, signer)).problems)
    bomb = written(bundle, {**files, "zeros": bytes(10_000_000)}, signer, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    assert any("compressed" in p for p in verified(bomb).problems)
    written(bundle, files)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("entries.jsonl", b"")
    assert any("twice" in p for p in verified(bundle).problems)
    written(bundle, files)
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.comment = b"look here"
    assert not verified(bundle).ok
    real = written(bundle, files).read_bytes()
    for data in (b"", b"PK\x05\x06", real[:-1], real[:200], b"#!/bin/sh\n" + real, real + b"x", real + real):
        bundle.write_bytes(data)
        assert not verified(bundle).ok


def test_a_list_of_members_without_end_is_refused_unread(bundle: Path) -> None:
    data = bytearray(bundle.read_bytes())
    for offset, value in ((-12, 0xFFFF), (-10, 2**31)):
        struct.pack_into("<H" if value == 0xFFFF else "<L", data, len(data) + offset, value)
    bundle.write_bytes(data)
    assert any("too many files" in p for p in verified(bundle).problems)


def test_no_bundle_there(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot be read"):
        verify_bundle(tmp_path / "none.zip")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_a_bundle_can_be_changed_unseen(bundle: Path, data: st.DataObject) -> None:
    real = bundle.read_bytes()
    place = data.draw(st.integers(0, len(real) - 1) | st.integers(len(real) - 2000, len(real) - 1))
    changed = bytearray(real)
    changed[place] ^= data.draw(st.integers(1, 255))
    copy = bundle.with_name("flipped.zip")
    copy.write_bytes(changed)
    found = verified(copy)
    assert not found.ok
    assert all("\n" not in problem for problem in found.problems)
    copy.unlink()


@pytest.mark.parametrize("byte", range(4))
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_member_said_to_lie_elsewhere_is_damage_not_an_error_of_reading(bundle: Path, byte: int, flip: int) -> None:
    """The offset of the index in the central directory (field 42 of its record), also where it points before the start of the file."""
    changed = bytearray(bundle.read_bytes())
    start = changed.find(b"PK\x01\x02")
    while changed[start + 46 : start + 46 + 10] != b"index.json":
        start = changed.index(b"PK\x01\x02", start + 4)
    changed[start + 42 + byte] ^= flip
    copy = bundle.with_name("moved.zip")
    copy.write_bytes(changed)
    found = verified(copy)
    assert not found.ok
    assert found.problems
    end = changed.rindex(b"PK\x05\x06")
    changed[end + 16 : end + 20] = (0xFFFFFFF0).to_bytes(4, "little")
    copy.write_bytes(changed)
    assert not verified(copy).ok
