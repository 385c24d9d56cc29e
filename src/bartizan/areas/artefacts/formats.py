"""Says what a model file is by its content, never by its name, and whether loading it runs code that the file chooses."""

from __future__ import annotations

import ast
import io
import re
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bartizan.areas.artefacts.pickles import HEAD, is_pickle, pickle_kind, unpacked_head
from bartizan.model.system import Format

MAX_ENTRIES = 2_000
"""Most entries of an archive that are looked into."""

MAX_SCAN = 64 * 1024 * 1024
"""Most bytes of one file that are searched for layers that hold code."""

_LAMBDA = re.compile(rb'"class_name"\s*:\s*"(?:Lambda|TFOpLambda|keras\.layers\.Lambda)"')
_SAVED_MODEL_OPS = (b"PyFunc", b"EagerPyFunc", b"ReadFile", b"WriteFile")
_TEXT = re.compile(rb"[^\x00-\x08\x0e-\x1f]*")


@dataclass(frozen=True)
class Identified:
    """What a file is. `format` is None where it is no model (a text, an unknown binary); `executes` whether loading it runs code that
    it chooses; `why` says from what it was told, or what in it runs."""

    format: Format | None
    executes: bool
    why: str
    text: bool = False


_WHY_PICKLE = "a pickle: unpickling calls any function that the file names"


def identify(path: Path) -> Identified:
    """What the file at `path` is. Reads at most some megabytes, loads and executes nothing. Raises `OSError`."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        found = _by_magic(head, file, path.stat().st_size)
        if found is None and path.name == "saved_model.pb":
            found = _saved_model(file)
    return found or _other(head)


def _by_magic(head: bytes, file: BinaryIO, size: int) -> Identified | None:
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip(file)
    if head[:8] == b"\x89HDF\r\n\x1a\n":
        return _lambda(file, "HDF5")
    if head[:6] == b"\x93NUMPY":
        return _npy(head)
    if head[:4] == b"GGUF":
        return Identified(Format.GGUF, False, "GGUF: tensors and metadata")
    if head[257:262] == b"ustar":
        return _tar(file)
    if _is_safetensors(head, size):
        return Identified(Format.SAFETENSORS, False, "safetensors: a table of tensors")
    if is_pickle(head):
        return Identified(pickle_kind(head), True, _WHY_PICKLE)
    inner = unpacked_head(head)
    if inner is not None:
        return _packed(inner)
    if _is_onnx(head, size):
        return Identified(Format.ONNX, False, "ONNX: a graph of standard operators")
    return _by_text(head)


def _by_text(head: bytes) -> Identified | None:
    start = head[:4096].lstrip()
    if (start.startswith(b"{") and b'"learner"' in head) or head[:12] == b"{L\0\0\0\0\0\0\0\x07le"[:12] or head[:4] == b"binf":
        return Identified(Format.XGBOOST, False, "XGBoost: trees as data")
    if start.startswith(b"tree\nversion="):
        return Identified(Format.LIGHTGBM, False, "LightGBM: trees as text")
    if start.startswith(b"<") and b"<PMML" in head:
        return Identified(Format.PMML, False, "PMML: a model as XML")
    return None


def _other(head: bytes) -> Identified:
    text = b"\0" not in head and _TEXT.fullmatch(head[:4096]) is not None
    return Identified(None, False, "a text" if text else "of no known format", text=text)


def _is_safetensors(head: bytes, size: int) -> bool:
    """Eight bytes of length, then a JSON object of that length (safetensors' format description)."""
    if len(head) < 10:
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return (
        2 <= length <= min(size - 8, 100_000_000)
        and head[8:9] == b"{"
        and (length + 8 > len(head) or head[8 + length - 1 : 8 + length].strip() in (b"}", b""))
    )


def _npy(head: bytes) -> Identified:
    """The header of NEP 1: an array of Python objects is a pickle behind it."""
    start = 10 if head[6:7] == b"\x01" else 12
    length = int.from_bytes(head[8:start], "little")
    try:
        header = ast.literal_eval(head[start : start + length].decode("utf-8").strip())
        objects = _has_objects(header["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        return Identified(None, False, "a numpy array with a broken header")
    if objects:
        return Identified(Format.NUMPY, True, "a numpy array of Python objects, which is a pickle")
    return Identified(Format.NUMPY, False, "a numpy array of numbers")


def _has_objects(descr: object) -> bool:
    """Does a type description (of a plain or structured array) hold Python objects?"""
    if isinstance(descr, str):
        return descr.lstrip("|<>=").startswith("O")
    if isinstance(descr, tuple):
        return len(descr) > 1 and _has_objects(descr[1])
    return isinstance(descr, list) and any(_has_objects(field) for field in descr)


def _packed(inner: bytes) -> Identified:
    if is_pickle(inner):
        kind = pickle_kind(inner)
        return Identified(Format.JOBLIB if kind is Format.PICKLE else kind, True, f"compressed {_WHY_PICKLE}")
    if inner[257:262] == b"ustar":
        names = inner[:100].rstrip(b"\0").decode("utf-8", "replace")
        executes = is_pickle(inner[512:])
        return Identified(Format.PICKLE if executes else None, executes, f"a compressed archive that begins with '{names[:60]}'")
    return Identified(None, False, "a compressed file of no known format")


def _is_onnx(head: bytes, size: int) -> bool:
    """A protobuf message with the fields of ModelProto: ir_version (1), graph (7) and operator sets (8), see onnx.proto."""
    fields: set[int] = set()
    at = 0
    while at < min(len(head), size):
        tag, at = _varint(head, at)
        number, wire = tag >> 3, tag & 7
        if at < 0 or number not in (1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26) or wire not in (0, 2):
            return False
        value, at = _varint(head, at)
        if at < 0 or (wire == 2 and at + value > size) or (number == 1 and not 1 <= value <= 100):
            return False
        fields.add(number)
        at += value if wire == 2 else 0
    return 1 in fields and 7 in fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A protobuf varint and where it ends; the end is -1 where there is none."""
    value = 0
    for shift in range(0, 70, 7):
        if not 0 <= at < len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    return 0, -1


def _lambda(file: BinaryIO, container: str) -> Identified:
    if _LAMBDA.search(file.read(MAX_SCAN)):
        return Identified(Format.KERAS, True, f"{container} with a Lambda layer, which is Python code")
    return Identified(Format.KERAS, False, f"{container} without layers that hold code")


def _saved_model(file: BinaryIO) -> Identified:
    data = file.read(MAX_SCAN)
    found = [op.decode() for op in _SAVED_MODEL_OPS if op in data]
    if found:
        return Identified(Format.SAVED_MODEL, True, f"a SavedModel with operators that reach outside: {', '.join(found)}")
    return Identified(Format.SAVED_MODEL, False, "a SavedModel without operators that reach outside")


def _zip(file: BinaryIO) -> Identified:
    try:
        with zipfile.ZipFile(file) as archive:
            return _zip_entries(archive)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
        return Identified(None, False, f"a broken archive ({type(error).__name__})")


def _zip_entries(archive: zipfile.ZipFile) -> Identified:
    entries = archive.infolist()
    names = {entry.filename for entry in entries}
    tails = {name.rpartition("/")[2] for name in names}
    if "data.pkl" in tails:
        if any("/code/" in name for name in names):
            return Identified(Format.TORCHSCRIPT, True, "TorchScript: a program beside its weights, with pickled constants")
        return Identified(Format.TORCH, True, f"a torch archive, its data.pkl {_WHY_PICKLE}")
    if {"config.json", "model.weights.h5"} <= tails:
        config = next(entry for entry in entries if entry.filename.rpartition("/")[2] == "config.json")
        return _lambda(io.BytesIO(_entry_head(archive, config, MAX_SCAN)), "a Keras archive")
    for entry in entries[:MAX_ENTRIES]:
        head = _entry_head(archive, entry, HEAD)
        if is_pickle(head):
            return Identified(pickle_kind(head), True, f"an archive whose entry '{entry.filename[:60]}' is {_WHY_PICKLE}")
        if head[:6] == b"\x93NUMPY" and (array := _npy(head)).executes:
            return Identified(Format.NUMPY, True, f"an archive whose entry '{entry.filename[:60]}' is {array.why}")
    if "schema.json" in names and b'"__module__"' in archive.open("schema.json").read(HEAD):
        return Identified(Format.SKOPS, False, "skops: types by name, loaded only where they are trusted")
    if names and all(name.endswith(".npy") for name in names):
        return Identified(Format.NUMPY, False, "an archive of numpy arrays of numbers")
    return Identified(None, False, "an archive of no known format")


def _entry_head(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    if entry.flag_bits & 1 or entry.is_dir():
        return b""
    with archive.open(entry) as stream:
        return stream.read(limit)


def _tar(file: BinaryIO) -> Identified:
    """The old torch format and bundles: is any member a pickle?"""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for count, member in enumerate(archive):
                if count >= MAX_ENTRIES:
                    break
                stream = archive.extractfile(member) if member.isreg() else None
                head = stream.read(HEAD) if stream else b""
                if is_pickle(head):
                    return Identified(pickle_kind(head), True, f"an archive whose member '{member.name[:60]}' is {_WHY_PICKLE}")
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        return Identified(None, False, f"a broken archive ({type(error).__name__})")
    return Identified(None, False, "an archive of no known format")
