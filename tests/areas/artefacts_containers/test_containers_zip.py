"""Zip archives: every entry that any loader could take is judged, however the directory and the local headers disagree."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from containers_samples import Touch, zipped

from bartizan.areas.artefacts.containers.readings import inspect
from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.containers.zip_directory import read_directory
from bartizan.areas.artefacts.pickles import Policy
from bartizan.areas.artefacts.safety import Safety
from bartizan.areas.artefacts.scanning import scan_bytes

GOOD = pickle.dumps({"weights": [1, 2, 3]}, protocol=2)
TORCH_LOAD = "import torch; torch.load(path, weights_only=False)"


def parts(pickled: bytes, name: str = "data.pkl") -> list[tuple[str, bytes]]:
    return [(f"archive/{name}", pickled), ("archive/version", b"3\n"), ("archive/byteorder", b"little")]


def test_torch_writes_what_is_safe_and_what_is_not(tmp_path: Path, marker: Path, loads) -> None:
    torch.save({"a": torch.zeros(3), "b": [1, 2]}, tmp_path / "good.pt")
    torch.save({"a": torch.zeros(3), "b": Touch(marker)}, tmp_path / "bad.pt")
    good, bad = (tmp_path / "good.pt").read_bytes(), (tmp_path / "bad.pt").read_bytes()
    assert scan_bytes(good).safety is Safety.SAFE, scan_bytes(good).reasons
    report = scan_bytes(bad)
    assert report.safety is Safety.UNSAFE
    assert report.format == "torch"
    assert loads(TORCH_LOAD, bad)
    assert not loads(TORCH_LOAD, good)
    reason = report.reasons[0]
    assert reason.offset is not None
    assert b"posix" in bad[reason.offset - 20 : reason.offset + 40]


@pytest.mark.parametrize("names", [("data.pkl", "data.pkl"), ("DATA.PKL", "data.pkl"), ("data.pkl", "Data.pkl")])
@pytest.mark.parametrize("first", [True, False])
def test_duplicates_and_variants_of_case_never_pass(names: tuple[str, str], first: bool, evil: bytes) -> None:
    bodies = (evil, GOOD) if first else (GOOD, evil)
    data = zipped([("archive/" + names[0], bodies[0]), ("archive/" + names[1], bodies[1]), *parts(GOOD)[1:]])
    report = scan_bytes(data)
    assert report.safety is Safety.UNSAFE
    assert any("one to some loaders" in reason.text for reason in report.reasons)


def test_torch_does_take_a_variant_of_case(evil: bytes, loads) -> None:
    """Why they matter: the real reader runs the entry that Python's zipfile does not find under the exact name."""
    data = zipped([("archive/DATA.PKL", evil), *parts(GOOD)[1:]])
    assert loads(TORCH_LOAD, data)
    assert scan_bytes(data).safety is Safety.UNSAFE


def test_an_entry_that_no_directory_lists_is_read(evil: bytes) -> None:
    hidden, shown = zipped([("archive/data.pkl", evil)]), zipped(parts(GOOD))
    local = hidden[: hidden.index(b"PK\x01\x02")]
    data = local + shown
    report = scan_bytes(data)
    assert report.safety is Safety.UNSAFE
    assert any("stands in no directory" in reason.text for reason in report.reasons)


def test_local_header_and_directory_that_differ_are_both_read(evil: bytes) -> None:
    data = bytearray(zipped(parts(evil)))
    at = data.index(b"PK\x01\x02")
    data[at + 46 : at + 46 + 16] = b"archive/data.txt"[:16]
    report = scan_bytes(bytes(data))
    assert report.safety is Safety.UNSAFE
    assert any("local header" in reason.text for reason in report.reasons)


def test_bytes_before_and_behind_an_archive_are_read(evil: bytes, loads) -> None:
    archive = zipped(parts(GOOD))
    assert scan_bytes(evil + archive).safety is Safety.UNSAFE
    assert loads("import pickle; pickle.load(open(path, 'rb'))", evil + archive)
    bad = zipped(parts(evil))
    assert scan_bytes(GOOD + bad).safety is Safety.UNSAFE
    assert loads("import pickle, zipfile; pickle.loads(zipfile.ZipFile(path).read('archive/data.pkl'))", GOOD + bad)


def test_two_directories_are_both_read(evil: bytes) -> None:
    first = zipped(parts(evil))
    second = zipped(parts(GOOD))
    report = scan_bytes(first + second)
    assert report.safety is Safety.UNSAFE
    report = scan_bytes(second + first)
    assert report.safety is Safety.UNSAFE


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_method_of_packing_is_unpacked(method: int, evil: bytes) -> None:
    assert scan_bytes(zipped([("model.bin", evil)], method)).safety is Safety.UNSAFE
    assert scan_bytes(zipped([("model.bin", GOOD)], method)).safety is Safety.SAFE


def test_archives_within_archives_are_read(evil: bytes) -> None:
    data = evil
    for _ in range(3):
        data = zipped([("inner.bin", data)], zipfile.ZIP_DEFLATED)
    assert scan_bytes(data).safety is Safety.UNSAFE


def test_what_cannot_be_read_is_not_safe() -> None:
    data = bytearray(zipped([("model.bin", GOOD)]))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    assert scan_bytes(bytes(data)).safety is Safety.NEEDS_POLICY
    strange = bytearray(zipped([("model.bin", GOOD)]))
    strange[strange.index(b"PK\x01\x02") + 10] = 99
    strange[8] = 99
    assert scan_bytes(bytes(strange)).safety is Safety.NEEDS_POLICY


def test_names_that_lead_out_are_unsafe() -> None:
    for name in ("../../etc/cron.d/x", "/etc/x", "a/../../x", "..\\x", "C:/x"):
        assert scan_bytes(zipped([(name, b"data")])).safety is Safety.UNSAFE, name


def test_a_truncated_archive_is_not_safe() -> None:
    data = zipped(parts(GOOD))
    for cut in range(4, len(data) - 22, 37):
        assert scan_bytes(data[:cut]).safety is not Safety.SAFE


def test_zip64_sizes_are_followed(evil: bytes) -> None:
    """The narrow fields say 0xFFFFFFFF; the real numbers stand in the extra field and the wide end record (APPNOTE.TXT 4.3.14, 4.5.3)."""
    name = b"archive/data.pkl"
    extra = struct.pack("<HHQQ", 1, 16, len(evil), len(evil))
    local = b"PK\x03\x04" + struct.pack("<5H3L2H", 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(name), len(extra)) + name + extra + evil
    extra = struct.pack("<HHQQQ", 1, 24, len(evil), len(evil), 0)
    central = b"PK\x01\x02" + struct.pack(
        "<4B4H3L5H2L", 45, 3, 45, 0, 0, 0, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(name), len(extra), 0, 0, 0, 0, 2**32 - 1
    )
    central += name + extra
    end64 = b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 1, 1, len(central), len(local))
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, len(local) + len(central), 1)
    end = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    data = local + central + end64 + locator + end
    found = read_directory(memoryview(data), Scope(Policy.shipped()))
    assert found is not None
    assert [(e.name, e.packed) for e in found.entries] == [("archive/data.pkl", len(evil))]
    assert scan_bytes(data).safety is Safety.UNSAFE


def test_torchscript_is_judged_by_its_program(tmp_path: Path) -> None:
    module = torch.jit.script(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()))
    torch.jit.save(module, tmp_path / "good.pt")
    report = scan_bytes((tmp_path / "good.pt").read_bytes())
    assert report.format == "torchscript"
    assert report.safety is Safety.SAFE, report.reasons

    class Writes(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, "written")
            return x

    torch.jit.save(torch.jit.script(Writes()), tmp_path / "bad.pt")
    report = scan_bytes((tmp_path / "bad.pt").read_bytes())
    assert report.safety is Safety.UNSAFE
    assert "reaches files" in report.reasons[0].text


def test_a_case_variant_of_the_torchscript_mark_gives_no_licence(evil: bytes) -> None:
    """`torch.load` looks for constants.pkl letter by letter; names of TorchScript's own are excused only where it would find it."""
    pickled = b"\x80\x02c__torch__.x\nf\n)R."
    marked = zipped([("a/data.pkl", pickled), ("a/constants.pkl", b"\x80\x02).")])
    other = zipped([("a/data.pkl", pickled), ("a/CONSTANTS.pkl", b"\x80\x02).")])
    assert scan_bytes(marked).safety is Safety.SAFE
    assert scan_bytes(other).safety is not Safety.SAFE


def test_storages_of_three_gibibytes_are_skipped(tmp_path: Path) -> None:
    """A sparse file: reading it whole would take seconds; the time is measured in benchmarks, here only that it is not read."""
    size = 3 << 30
    path = tmp_path / "big.pt"
    name, pickled = b"a/data/0", pickle.dumps({"n": 1}, protocol=2)

    def local(entry: bytes, length: int) -> bytes:
        wide = struct.pack("<HHQQ", 1, 16, length, length)
        return b"PK\x03\x04" + struct.pack("<5H3L2H", 45, 0, 0, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(entry), 20) + entry + wide

    def central(entry: bytes, length: int, at: int) -> bytes:
        wide = struct.pack("<HHQQQ", 1, 24, length, length, at)
        fields = (45, 3, 45, 0, 0, 0, 0, 0, 0, 2**32 - 1, 2**32 - 1, len(entry), 28, 0, 0, 0, 0, 2**32 - 1)
        return b"PK\x01\x02" + struct.pack("<4B4H3L5H2L", *fields) + entry + wide

    with path.open("wb") as file:
        file.write(local(b"a/data.pkl", len(pickled)) + pickled)
        second = file.tell()
        file.write(local(name, size))
        file.seek(size, 1)
        start = file.tell()
        directory = central(b"a/data.pkl", len(pickled), 0) + central(name, size, second)
        file.write(directory)
        file.write(b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 2, 2, len(directory), start))
        file.write(b"PK\x06\x07" + struct.pack("<LQL", 0, start + len(directory), 1))
        file.write(b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0))
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("a/data/0").file_size == size
    from bartizan.areas.artefacts.scanning import scan

    report = scan([path])
    assert report.verdict is Safety.SAFE, report.files[0].reasons
    assert report.files[0].sha256 is None


def test_reading_is_bounded() -> None:
    scope = Scope(Policy.shipped())
    inspect(Piece(memoryview(zipped([("a", b"x")]))), scope)
    assert scope.entries == 1
