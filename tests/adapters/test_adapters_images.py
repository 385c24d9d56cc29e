"""Image sets: arrays, folders of pictures and rows become float32 with channels first; bombs, pickles and misfits are named."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from bartizan.adapters import images
from bartizan.adapters.images import declared_images, read_images
from bartizan.model.errors import InputError, Refused
from bartizan.model.findings import Job
from bartizan.model.system import Asset, Dataset, Kind, Stage

DICE = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((5, 8, 6), (5, 1, 8, 6)),
        ((5, 3, 8, 6), (5, 3, 8, 6)),
        ((5, 8, 6, 3), (5, 3, 8, 6)),
        ((5, 8, 6, 1), (5, 1, 8, 6)),
        ((5, 12), (5, 12)),
    ],
)
def test_arrays_of_every_layout(shape: tuple[int, ...], found: tuple[int, ...], tmp_path: Path) -> None:
    x = DICE.integers(0, 256, shape, dtype=np.uint8)
    np.savez(tmp_path / "s.npz", x=x, y=np.arange(5))
    read = read_images(tmp_path, tmp_path / "s.npz")
    assert read.x.shape == found
    assert read.x.dtype == np.float32
    assert sorted(read.x.ravel() * 255) == pytest.approx(sorted(x.ravel()), abs=1e-3)
    assert read.y.tolist() == [0, 1, 2, 3, 4]
    assert (read.low, read.high) == (0.0, 1.0)


def test_floats_keep_their_range_and_names_are_numbered(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "s.npz", x=np.array([[-2.0, 3.0], [0.0, 1.0]]), y=np.array(["b", "a"]))
    read = read_images(tmp_path, tmp_path / "s.npz", shape=(1, 1, 2))
    assert (read.low, read.high, read.classes, read.y.tolist()) == (-2.0, 3.0, ("a", "b"), [1, 0])
    assert read.x.shape == (2, 1, 1, 2)
    with pytest.raises(InputError, match="the model takes"):
        read_images(tmp_path, tmp_path / "s.npz", shape=(3,))


def test_a_pickle_in_an_array_is_never_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.array([{"a": 1}], dtype=object), y=np.arange(1))
    with pytest.raises(Refused, match="pickled objects are never opened"):
        read_images(tmp_path, tmp_path / "s.npz")


def test_an_array_that_declares_more_than_there_is_is_refused_before_it_is_read(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (50000, 3, 4096, 4096), }\n"
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as archive:
        for key in "xy":
            archive.writestr(f"{key}.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(Refused, match="dimensions"):
        read_images(tmp_path, tmp_path / "s.npz")
    for text in (b"", b"PK\x03\x04", b"\x93NUMPY"):
        (tmp_path / "s.npz").write_bytes(text)
        with pytest.raises(InputError, match=r"s\.npz"):
            read_images(tmp_path, tmp_path / "s.npz")
    np.savez(tmp_path / "s.npz", images=np.zeros((1, 2, 2)), y=np.arange(1))
    with pytest.raises(InputError, match="not x and y"):
        read_images(tmp_path, tmp_path / "s.npz")


def picture(path: Path, pixels: np.ndarray) -> None:
    pillow = pytest.importorskip("PIL.Image")
    path.parent.mkdir(parents=True, exist_ok=True)
    pillow.fromarray(pixels).save(path)


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    grey, colour = DICE.integers(0, 256, (6, 4), dtype=np.uint8), DICE.integers(0, 256, (6, 4, 3), dtype=np.uint8)
    picture(tmp_path / "set" / "dog" / "1.png", grey)
    picture(tmp_path / "set" / "cat" / "2.png", colour)
    (tmp_path / "set" / "cat" / "notes.txt").write_text("no picture")
    read = read_images(tmp_path, tmp_path / "set")
    assert read.classes == ("cat", "dog")
    assert read.y.tolist() == [0, 1]
    assert read.x.shape == (2, 3, 6, 4)
    assert (np.rint(read.x[0] * 255).transpose(1, 2, 0) == colour).all()
    assert (np.rint(read.x[1, 2] * 255) == grey).all()
    picture(tmp_path / "set" / "dog" / "3.jpg", np.zeros((5, 4), dtype=np.uint8))
    with pytest.raises(InputError, match="different sizes: 4x5, 4x6"):
        read_images(tmp_path, tmp_path / "set")


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that unfolds to many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(5000, 5000), (60_000, 60_000)])
def test_a_picture_that_unfolds_is_refused_by_its_size(size: tuple[int, int], tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image")
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.png").write_bytes(bomb(*size))
    with pytest.raises((Refused, InputError), match=r"set/a/1\.png: is (5000 by|no readable picture: DecompressionBomb)"):
        read_images(tmp_path, tmp_path / "set")


def test_other_files_under_the_name_of_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "set" / "a").mkdir(parents=True)
    data = io.BytesIO()
    pillow.fromarray(np.zeros((4, 4), dtype=np.uint8)).save(data, "GIF")
    for text in (b"", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe", data.getvalue()):
        (tmp_path / "set" / "a" / "1.png").write_bytes(text)
        with pytest.raises(InputError, match=r"set/a/1\.png: is no readable picture"):
            read_images(tmp_path, tmp_path / "set")
    (tmp_path / "set" / "a" / "1.png").unlink()
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "set" / "a" / "1.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match="no folders of pictures"):
        read_images(tmp_path, tmp_path / "set")
    picture(tmp_path / "set" / "a" / "2.png", np.zeros((4, 4), dtype=np.uint8))
    monkeypatch.setattr(images, "MAX_BYTES", 10)
    with pytest.raises(Refused, match="more than 10 bytes"):
        read_images(tmp_path, tmp_path / "set")


def test_declared_sets_stand_one_after_the_other(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (tmp_path / "a.csv").write_text("p0,p1,kind\n0,16,3\n8,4,1\n")
    np.savez(tmp_path / "b.npz", x=np.array([[0.5, 1.0]]), y=np.array([2]))
    sets = (Dataset(id="a", stage=Stage.TEST, uri="a.csv", label="kind"), Dataset(id="b", stage=Stage.TEST, uri="b.npz"))
    net = Asset(id="net", kind=Kind.MODEL, tested_on=("a", "b"))
    job = Job(check="c", version="1", threats=("t",), subject=net, related=sets, root=str(tmp_path))
    read = declared_images(job, net.tested_on, net, "tested_on")
    assert read.x.tolist() == [[0, 16], [8, 4], [0.5, 1.0]]
    assert read.y.tolist() == [3, 1, 2]
    assert (read.low, read.high) == (0.0, 16.0)
    with pytest.raises(InputError, match="has no trained_on"):
        declared_images(job, None, net, "trained_on")
