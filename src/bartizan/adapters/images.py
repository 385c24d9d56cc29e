"""Reads a declared set of images with labels: arrays in .npz, a folder with one sub-folder for each class, or rows of a table.

Images are float32 in 0 to 1 with channels first. Nothing is unpickled, sizes are read before pixels are, and a picture is decoded only as
PNG or JPEG of stated size.
"""

from __future__ import annotations

import ast
import importlib
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.adapters.files import local_path, shown
from bartizan.adapters.tables import read_table
from bartizan.model.errors import InputError, MissingExtra, Refused, one_line
from bartizan.model.findings import Job
from bartizan.model.system import Asset, Dataset

MAX_BYTES = 2 * 1024**3
"""Most bytes of pixels, as they are stored in memory."""

MAX_PIXELS = 4096 * 4096
"""Largest picture file, in pixels."""

MAX_IMAGES = 100_000
"""Most images of one set."""

SUFFIXES = (".png", ".jpg", ".jpeg")

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    SyntaxError,
    NotImplementedError,
)


@dataclass(frozen=True)
class ImageSet:
    """Inputs `x` (n, channels, height, width), or (n, features) from a table, with labels `y` (n,) as class numbers.

    `classes` are the names in the order of the numbers; `low` and `high` the range of the values that an image can have.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    low: float
    high: float


def declared_images(job: Job, ids: tuple[str, ...] | None, target: Asset, field: str, *, shape: Sequence[int] | None = None) -> ImageSet:
    """The data sets `ids` that `field` of `target` names, one after the other; `shape` is that of one input of the model, if it is known.

    Raises `InputError` where none is declared or one does not fit, `Refused` for a file that is not safe to read, `MissingExtra` without
    Pillow for picture files or pandas for tables.
    """
    sets = [node for node in job.related if isinstance(node, Dataset) and node.id in (ids or ())]
    if not sets:
        raise InputError(
            f"'{target.id}' has no {field}", place=target.at, cure=f"declare {field}: a data set of images or rows with labels"
        )
    parts = []
    for node in sets:
        if node.uri is None:
            raise InputError(f"data set '{node.id}' has no uri", place=node.at, cure="declare where it lies")
        parts.append(read_images(job.root, local_path(job.root, node.uri, node.at), label=node.label, shape=shape))
    if any(one.x.shape[1:] != parts[0].x.shape[1:] or one.classes != parts[0].classes for one in parts):
        raise InputError(f"the data sets of {field} differ in shape or classes", place=target.at, cure="declare one set, or like ones")
    low, high = min(one.low for one in parts), max(one.high for one in parts)
    return ImageSet(np.concatenate([one.x for one in parts]), np.concatenate([one.y for one in parts]), parts[0].classes, low, high)


def read_images(root: str | Path, path: Path, *, label: str | None = None, shape: Sequence[int] | None = None) -> ImageSet:
    """The images at `path`: an .npz with x and y, a folder with a folder for each class, or a table with its `label` column."""
    name = shown(root, path)
    if path.is_dir():
        found = _folders(path, name)
    elif path.suffix.lower() == ".npz":
        found = _arrays(path, name)
    else:
        found = _rows(root, path, label, name)
    if len(found.x) == 0 or not np.isfinite(found.x).all():
        raise InputError("holds no image, or values that are no numbers", place=name)
    if shape is not None and found.x.shape[1:] != tuple(shape):
        if math.prod(found.x.shape[1:]) != math.prod(shape):
            what = f"holds images of shape {list(found.x.shape[1:])}, the model takes {list(shape)}"
            raise InputError(what, place=name, cure="declare data that fits the model")
        found = ImageSet(found.x.reshape(len(found.x), *shape), found.y, found.classes, found.low, found.high)
    return found


def _arrays(path: Path, name: str) -> ImageSet:
    """The arrays x and y of an .npz, whose sizes are compared with the limit before they are read."""
    try:
        with zipfile.ZipFile(path) as archive:
            held = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            if not {"x", "y"} <= set(held):
                listed = ", ".join(one_line(key, 30) for key in list(held)[:6])
                raise InputError(f"holds {listed or 'nothing'}, not x and y", place=name, cure="numpy.savez(path, x=images, y=labels)")
            for key in ("x", "y"):
                with archive.open(held[key]) as stream:
                    _sized(stream, key, name)
        with np.load(path, allow_pickle=False) as arrays:
            x, y = arrays["x"], arrays["y"]
    except _BROKEN as error:
        raise InputError(f"is no readable .npz: {type(error).__name__}: {one_line(str(error), 120)}", place=name) from None
    if y.ndim != 1 or len(y) != len(x) or x.ndim < 2:
        raise InputError(f"holds x {list(x.shape)} and y {list(y.shape)}", place=name, cure="one label for each image")
    names, numbers = _numbered(y, name)
    pixels, low, high = _scaled(x, name)
    return ImageSet(_channels_first(pixels, name), numbers, names, low, high)


def _sized(stream: Any, key: str, name: str) -> None:
    """Refuses an array by its header alone: objects, or more than is read here."""
    if stream.read(6) != b"\x93NUMPY":
        raise InputError(f"'{key}' is no array", place=name)
    major = stream.read(2)[0]
    length = int.from_bytes(stream.read(2 if major == 1 else 4), "little")
    if length > 65_536:
        raise Refused(f"'{key}' has a description of {length} bytes", place=name)
    said = ast.literal_eval(stream.read(length).decode("latin1").strip())
    kind = np.dtype(said["descr"])
    if kind.hasobject or kind.kind not in "fiubUS":
        raise Refused(f"'{key}' holds {kind}, not numbers; pickled objects are never opened here", place=name)
    size = math.prod(said["shape"]) * max(4, kind.itemsize)
    if len(said["shape"]) > 4 or size > MAX_BYTES or size < 0 or (said["shape"] and said["shape"][0] > MAX_IMAGES):
        raise Refused(f"'{key}' has the dimensions {list(said['shape'])[:5]}", place=name, cure="declare a sample of the images")


def _scaled(x: npt.NDArray[Any], name: str) -> tuple[npt.NDArray[np.float32], float, float]:
    """Pixels as float32: whole numbers of one byte as shares of 255, floats as they are; with the range of values."""
    if x.dtype.kind not in "fiub":
        raise InputError(f"'x' holds {x.dtype}, not numbers", place=name)
    if x.dtype == np.uint8:
        return (x / np.float32(255)).astype(np.float32), 0.0, 1.0
    values = x.astype(np.float32)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if low >= 0.0 and high <= 1.0:
        return values, 0.0, 1.0
    return values, low, high if high > low else low + 1.0


def _channels_first(x: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    """(n, channels, height, width) of images with channels first, last or none; rows of features stay as they are."""
    if x.ndim == 2:
        return x
    if x.ndim == 3:
        return x[:, None]
    if x.shape[1] not in (1, 3, 4) and x.shape[3] in (1, 3, 4):
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    if x.ndim != 4:
        raise InputError(f"'x' has {x.ndim} axes", place=name, cure="store images as (n, channels, height, width)")
    return x


def _numbered(labels: npt.NDArray[Any], name: str) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Class numbers: whole numbers as they are, names by their order in the alphabet."""
    values = np.asarray(labels)
    if values.dtype.kind == "f" and values.size and np.isfinite(values).all() and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    if values.dtype.kind in "iub" and values.size:
        numbers = values.astype(np.int64)
        if numbers.min() < 0 or numbers.max() >= 100_000:
            raise InputError(f"has labels from {numbers.min()} to {numbers.max()}", place=name, cure="number the classes from 0")
        return (), numbers
    texts = np.array([one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values.tolist()])
    names, places = np.unique(texts, return_inverse=True)
    return tuple(str(one) for one in names), places.astype(np.int64)


def _folders(path: Path, name: str) -> ImageSet:
    """Pictures in one folder for each class, classes numbered by their names' order, as torchvision does."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."))
    files = [(number, file) for number, folder in enumerate(folders) for file in _pictures(folder)]
    if not files:
        cure = "put PNG or JPEG files into one sub-folder for each class"
        raise InputError("holds no folders of pictures", place=name, cure=cure)
    if len(files) > MAX_IMAGES:
        raise InputError(f"holds more than {MAX_IMAGES} pictures", place=name, cure="declare a sample of the images")
    decoded: list[npt.NDArray[np.uint8]] = []
    spent = 0
    for _, file in files:
        decoded.append(_decoded(file, f"{name}/{file.parent.name}/{file.name}"))
        spent += decoded[-1].size * 4
        if spent > MAX_BYTES:
            raise Refused(f"holds more than {MAX_BYTES} bytes of pixels", place=name, cure="declare a sample of the images")
    shapes = {image.shape for image in decoded}
    if len({shape[:2] for shape in shapes}) > 1:
        sizes = sorted({f"{shape[1]}x{shape[0]}" for shape in shapes})
        raise InputError(f"holds pictures of different sizes: {', '.join(sizes[:4])}", place=name, cure="scale them as the model is fed")
    if len(shapes) > 1:  # some grey, some in colour
        decoded = [image if image.shape[2] == 3 else np.repeat(image, 3, axis=2) for image in decoded]
    x = (np.stack(decoded).transpose(0, 3, 1, 2) / np.float32(255)).astype(np.float32)
    return ImageSet(x, np.array([number for number, _ in files], dtype=np.int64), tuple(folder.name for folder in folders), 0.0, 1.0)


def _pictures(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file() and not file.is_symlink())


def _decoded(file: Path, name: str) -> npt.NDArray[np.uint8]:
    """The pixels of one PNG or JPEG file, (height, width, 1 or 3), its size known before it is decoded."""
    try:
        pillow = importlib.import_module("PIL.Image")
    except ImportError:
        raise MissingExtra("images", "pillow") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pillow.open(file, formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise Refused(f"is {picture.width} by {picture.height} pixels", place=name, cure="declare smaller pictures")
                grey = picture.mode in ("1", "L", "I;16", "I", "F")
                pixels = np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.uint8)
    except (pillow.DecompressionBombError, *_BROKEN) as error:
        raise InputError(f"is no readable picture: {type(error).__name__}", place=name, cure="save it as PNG or JPEG again") from None
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _rows(root: str | Path, path: Path, label: str | None, name: str) -> ImageSet:
    """The rows of a table: its numbers as features, its label column as classes."""
    frame = read_table(root, path, limit=MAX_BYTES)
    if label is None or label not in frame:
        raise InputError("has no label column that is declared", place=name, cure="declare label: on the data set")
    features = frame.drop(columns=label)
    if not all(kind.kind in "fiub" for kind in features.dtypes):
        raise InputError("has columns that are no numbers", place=name, cure="declare the table as the net is fed")
    names, numbers = _numbered(frame[label].to_numpy(), name)
    values, low, high = _scaled(features.to_numpy(dtype=np.float64), name)
    return ImageSet(values, numbers, names, low, high)
