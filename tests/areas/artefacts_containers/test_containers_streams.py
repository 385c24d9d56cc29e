"""Compressed streams, arrays, tar archives and the formats of joblib and torch: what is packed is judged as what is not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zlib
from pathlib import Path

import joblib
import lz4.frame
import numpy as np
import pytest
import torch
from containers_samples import Touch, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.artefacts.containers.scope import Limits, Scope
from bartizan.areas.artefacts.containers.unpacking import Damaged, unpack
from bartizan.areas.artefacts.pickles import Policy
from bartizan.areas.artefacts.safety import Safety
from bartizan.areas.artefacts.scanning import scan_bytes

GOOD = pickle.dumps({"weights": [1, 2, 3]}, protocol=4)
ARRAY = np.arange(300.0).reshape(30, 10)

PACKERS = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("kind", PACKERS)
def test_streams_are_recognised_by_content_and_judged_by_what_they_hold(kind: str, evil: bytes) -> None:
    pack = PACKERS[kind]
    report = scan_bytes(pack(evil), "weights.safetensors")
    assert (report.safety, report.format) == (Safety.UNSAFE, f"{kind} stream")
    assert scan_bytes(pack(GOOD), "model.pkl").safety is Safety.SAFE
    assert scan_bytes(pack(pack(evil))).safety is Safety.UNSAFE
    assert scan_bytes(pack(evil)[:-3]).safety is not Safety.SAFE


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3), ("lz4", 1)])
def test_joblib_with_every_compressor(compress: object, tmp_path: Path, marker: Path, loads) -> None:
    joblib.dump({"a": ARRAY, "b": [ARRAY, "text"]}, tmp_path / "good", compress=compress)
    joblib.dump({"a": ARRAY, "b": [ARRAY, Touch(marker)]}, tmp_path / "bad", compress=compress)
    good, bad = (tmp_path / "good").read_bytes(), (tmp_path / "bad").read_bytes()
    assert scan_bytes(good).safety is Safety.SAFE, scan_bytes(good).reasons
    assert scan_bytes(bad).safety is Safety.UNSAFE
    if compress in (0, ("lz4", 1)):
        assert loads("import joblib; joblib.load(path)", bad)


def test_the_old_format_of_joblib_is_read(evil: bytes, loads) -> None:
    packed = b"ZF" + hex(len(evil)).ljust(19).encode() + zlib.compress(evil)
    assert scan_bytes(packed).safety is Safety.UNSAFE
    assert loads("import joblib; joblib.load(path)", packed)


def test_several_streams_in_a_row_are_one(evil: bytes) -> None:
    half = len(evil) // 2
    for kind in ("gzip", "bz2", "xz", "lz4"):
        pack = PACKERS[kind]
        assert scan_bytes(pack(evil[:half]) + pack(evil[half:])).safety is Safety.UNSAFE, kind


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=4000), st.integers(1, 60), st.sampled_from([0, 3, 9]), st.booleans())
def test_lz4_unpacks_what_the_library_packs(data: bytes, repeats: int, level: int, linked: bool) -> None:
    whole = data * repeats
    packed = lz4.frame.compress(
        whole, compression_level=level, block_linked=linked, content_checksum=True, block_checksum=linked, block_size=4
    )
    unpacked, end = unpack(memoryview(packed), "lz4", Scope(Policy.shipped()))
    assert bytes(unpacked) == whole
    assert end == len(packed)


@pytest.mark.parametrize("kind", PACKERS)
def test_damaged_streams_say_so(kind: str) -> None:
    packed = bytearray(PACKERS[kind](bytes(range(256)) * 200))
    for cut in (5, 20, len(packed) // 2, len(packed) - 1):
        with pytest.raises(Damaged):
            unpack(memoryview(bytes(packed[:cut])), kind, Scope(Policy.shipped()))


@pytest.mark.parametrize("kind", PACKERS)
def test_bombs_are_given_up(kind: str) -> None:
    limits = Limits(unpacked=1 << 20)
    report = scan_bytes(PACKERS[kind](bytes(8 << 20)), limits=limits)
    assert report.safety is Safety.NEEDS_POLICY
    assert "unpacks to more than 1 MiB" in report.reasons[0].text


def saved(value: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def test_arrays_of_objects_are_pickles(marker: Path, loads) -> None:
    bad = saved(np.array([1, Touch(marker)], dtype=object))
    assert scan_bytes(bad).safety is Safety.UNSAFE
    assert loads("import numpy; numpy.load(path, allow_pickle=True)", bad)
    assert scan_bytes(saved(np.array([1, "a", None], dtype=object))).safety is Safety.SAFE
    mixed = np.zeros(2, dtype=[("a", "O"), ("b", "i4")])
    mixed["a"] = [Touch(marker), 1]
    assert scan_bytes(saved(mixed)).safety is Safety.UNSAFE
    assert scan_bytes(zipped([("a.npy", saved(ARRAY)), ("b.npy", bad)])).safety is Safety.UNSAFE


@pytest.mark.parametrize("kind", ["f8", "i1", "?", "c16", "U5", "S3", "M8[ns]", "m8", "V7", [("Open", "f8"), ("b", "i4", (2,))]])
def test_arrays_of_numbers_are_data(kind: object) -> None:
    assert scan_bytes(saved(np.zeros(3, dtype=kind)), "a.npy").safety is Safety.SAFE


def test_torch_of_old_is_read_pickle_by_pickle(tmp_path: Path, marker: Path, loads) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "good", _use_new_zipfile_serialization=False)
    good = (tmp_path / "good").read_bytes()
    report = scan_bytes(good)
    assert (report.safety, report.format) == (Safety.SAFE, "torch (old format)"), report.reasons
    torch.save(Touch(marker), tmp_path / "bad", _use_new_zipfile_serialization=False)
    bad = (tmp_path / "bad").read_bytes()
    assert scan_bytes(bad).safety is Safety.UNSAFE
    assert loads("import torch; torch.load(path, weights_only=False)", bad)


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_tar_archives_are_judged_by_member(evil: bytes) -> None:
    assert scan_bytes(tarred((tarfile.TarInfo("a.yaml"), b"a: 1"), (tarfile.TarInfo("w.ckpt"), GOOD))).safety is Safety.SAFE
    assert scan_bytes(tarred((tarfile.TarInfo("a.yaml"), b"a: 1"), (tarfile.TarInfo("w.txt"), evil))).safety is Safety.UNSAFE
    old = tarred(*((tarfile.TarInfo(name), GOOD) for name in ("storages", "tensors", "pickle")))
    assert scan_bytes(old).safety is Safety.NEEDS_POLICY
    plain = bytearray(tarred((tarfile.TarInfo("x"), evil)))
    plain[257:263] = b"\0" * 6
    plain[148:156] = b" " * 8
    plain[148:156] = b"%06o\0 " % sum(plain[:512])
    assert scan_bytes(bytes(plain)).safety is Safety.UNSAFE


def test_tar_members_that_lead_out_are_unsafe() -> None:
    link = tarfile.TarInfo("a")
    link.type, link.linkname = tarfile.SYMTYPE, "../../etc"
    device = tarfile.TarInfo("d")
    device.type = tarfile.CHRTYPE
    for info in (tarfile.TarInfo("../x"), tarfile.TarInfo("/x"), link, device):
        assert scan_bytes(tarred((info, b""))).safety is Safety.UNSAFE


def test_names_decide_nothing(evil: bytes) -> None:
    for name in ("README.md", "model.safetensors", "model.onnx", "config.json", "a.png", "a.gguf", ""):
        assert scan_bytes(evil, name).safety is Safety.UNSAFE
    text = pickle.dumps(Touch("x"), protocol=0)
    assert scan_bytes(text, "notes.txt").safety is Safety.UNSAFE


def test_pickles_in_the_bytes_of_a_pickle_are_seen(evil: bytes) -> None:
    padded = pickle.loads(pickle.dumps(evil)) + b"\0" * 2000
    assert scan_bytes(pickle.dumps({"blob": padded})).safety is Safety.UNSAFE
    assert scan_bytes(pickle.dumps({"blob": zipped([("data.pkl", evil), ("pad", bytes(2000))])})).safety is Safety.UNSAFE


def test_several_pickles_in_a_row_are_all_judged(evil: bytes) -> None:
    assert scan_bytes(GOOD + GOOD).safety is Safety.SAFE
    assert scan_bytes(GOOD + evil).safety is Safety.UNSAFE
    assert scan_bytes(GOOD + evil[:-1]).safety is Safety.UNSAFE


@pytest.mark.parametrize("text", ["(this is a remark.)\n", "I\nN.", "create a model.\nThen load it.\n.", "a,b\n1,2\n", "# model\n", "N.\n"])
def test_prose_is_no_pickle(text: str) -> None:
    assert scan_bytes(text.encode(), "README.md").safety is Safety.SAFE


def test_seven_zip_is_unpacked_where_that_can_be_done(tmp_path: Path, evil: bytes) -> None:
    import py7zr

    for name, content, expected in (("good", GOOD, Safety.SAFE), ("bad", evil, Safety.UNSAFE)):
        (tmp_path / name).write_bytes(content)
        with py7zr.SevenZipFile(tmp_path / f"{name}.7z", "w") as archive:
            archive.write(tmp_path / name, "data.pkl")
        assert scan_bytes((tmp_path / f"{name}.7z").read_bytes()).safety is expected
