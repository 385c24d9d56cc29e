"""Adversarial replay: examples that broke one version of a model are kept as evidence and tried on the next with one forward pass.

An artefact is an uncompressed NumPy archive without pickles, written byte for byte the same for the same content, named by its SHA-256.
What comes back from a file is data of a declared shape or an error: sizes are checked before anything is allocated.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.model.errors import EvidenceError, InputError, Refused
from bartizan.model.statistics import clopper_pearson

Array = npt.NDArray[Any]

LARGEST = 2**31
"""Bytes that one artefact may hold."""

_NAMES = ("x.npy", "adversarial.npy", "y.npy", "found.npy")
_TYPES = {"x.npy": "f", "adversarial.npy": "f", "y.npy": "iu", "found.npy": "b"}
_DATE = (1980, 1, 1, 0, 0, 0)
_MAGIC = b"\x93NUMPY"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where examples come from: the norm and radius kept, the valid range, the attack with its seed, the digest of the model."""

    norm: str
    eps: float
    low: float | None = 0.0
    high: float | None = 1.0
    attack: str = ""
    seed: int = 0
    model: str = ""


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """All images of one attack: clean `x` (N, ...), `adversarial` of the same shape and floating type, labels `y` (N,), and `found` (N,).

    Where `found` is False the attack broke nothing and the row of `adversarial` is the image itself.
    """

    x: Any
    adversarial: Any
    y: Any
    found: Any
    origin: Origin


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """One forward pass of old examples on a model.

    `clean` of `images` are right as they are; `robust` are right and not broken by their example: an upper bound of robust accuracy
    before any attack is run, with its two-sided exact interval. `broken` are the indices of images whose old example still works, `wrong`
    of those that are wrong without any; the rest is what an attack has left to do. `forwards` counts the rows that went through the
    model.
    """

    images: int
    clean: int
    robust: int
    low: float
    high: float
    broken: tuple[int, ...]
    wrong: tuple[int, ...]
    forwards: int

    @property
    def known(self) -> dict[int, bool]:
        """What the gate need not attack any more (`gate(known=...)`): image -> False."""
        return dict.fromkeys((*self.broken, *self.wrong), False)


def examples(x: Any, adversarial: Any, y: Any, found: Any, origin: Origin) -> Examples:
    """Examples of arrays or tensors, checked: shapes agree, and every row keeps the radius (to 1e-6) and the valid range of `origin`."""
    clean, changed = np.ascontiguousarray(_numpy(x)), np.ascontiguousarray(_numpy(adversarial))
    labels, hits = np.ascontiguousarray(_numpy(y)), np.ascontiguousarray(_numpy(found)).astype(np.bool_)
    one = Examples(x=clean, adversarial=changed, y=labels, found=hits, origin=origin)
    _check(one)
    return one


def _numpy(value: Any) -> Array:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _check(one: Examples) -> None:
    count = len(one.x)
    if one.x.shape != one.adversarial.shape or one.y.shape != (count,) or one.found.shape != (count,) or count == 0:
        shapes = f"{one.x.shape}, {one.adversarial.shape}, {one.y.shape} and {one.found.shape}"
        raise InputError(
            f"x, adversarial, y and found have shapes {shapes}", place="replay", cure="give N images, N examples, N labels, N marks"
        )
    if one.x.dtype.kind != "f" or one.adversarial.dtype.kind != "f" or one.y.dtype.kind not in "iu":
        raise InputError("images must be of a floating type and labels integers", place="replay")
    step = (one.adversarial.astype(np.float64) - one.x.astype(np.float64)).reshape(count, -1)
    size = _sizes(step, one.origin.norm)
    if not np.isfinite(size).all() or (size > one.origin.eps + 1e-6).any():
        raise InputError(f"an example leaves the {one.origin.norm} ball: {float(np.nanmax(size)):g} > {one.origin.eps:g}", place="replay")
    low, high = one.origin.low, one.origin.high
    if (low is not None and (one.adversarial < low - 1e-6).any()) or (high is not None and (one.adversarial > high + 1e-6).any()):
        raise InputError("an example leaves the valid range", place="replay")


def _sizes(step: Array, norm: str) -> Array:
    if norm == "linf":
        return np.asarray(np.abs(step).max(1))
    if norm == "l0":
        return np.asarray((step != 0).sum(1))
    order = {"l2": 2, "l1": 1}.get(norm)
    if order is None:
        raise InputError(f"unknown norm '{norm}'", place="replay", cure="known: l0, l1, l2, linf")
    return np.asarray(np.linalg.norm(step, ord=order, axis=1))


def pack(one: Examples) -> bytes:
    """The artefact: a NumPy archive of the four arrays and the origin as JSON, the same bytes for the same content."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, array in zip(_NAMES, (one.x, one.adversarial, one.y, one.found), strict=True):
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name, _DATE), part.getvalue())
        archive.writestr(zipfile.ZipInfo("origin.json", _DATE), msgspec.json.encode(one.origin, order="sorted"))
    return out.getvalue()


def unpack(data: bytes) -> Examples:
    """The examples of an artefact. Raises Refused for anything that is not one: other members, compression, pickles, too large."""
    if len(data) > LARGEST:
        raise Refused(f"{len(data)} bytes are more than an artefact holds", place="replay")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if sorted(members) != sorted((*_NAMES, "origin.json")) or any(
                info.compress_type != zipfile.ZIP_STORED for info in members.values()
            ):
                raise Refused(
                    "not an archive of adversarial examples", place="replay", cure="pack examples with bartizan.evasion.replay.pack"
                )
            arrays = [_array(archive.read(name), name) for name in _NAMES]
            origin = msgspec.json.decode(archive.read("origin.json"), type=Origin)
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, msgspec.DecodeError) as error:
        raise Refused(f"not an archive of adversarial examples ({error})", place="replay") from None
    one = Examples(x=arrays[0], adversarial=arrays[1], y=arrays[2], found=arrays[3], origin=origin)
    _check(one)
    return one


def _array(raw: bytes, name: str) -> Array:
    """An array of the type its name asks for; the header must promise exactly the bytes that follow."""
    stream = io.BytesIO(raw)
    if raw[:8] != _MAGIC + b"\x01\x00":
        raise Refused(f"{name} is no NumPy array", place="replay")
    stream.seek(8)
    shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    size = kind.itemsize
    for length in shape:
        size *= length
    if kind.hasobject or kind.kind not in _TYPES[name] or fortran or size != len(raw) - stream.tell():
        raise Refused(f"{name} is not the array it should be", place="replay")
    return np.frombuffer(raw, dtype=kind, offset=stream.tell()).reshape(shape)


def digest(data: bytes) -> str:
    """The artefact's name: the SHA-256 of its bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def save(folder: Path, one: Examples) -> str:
    """Write the artefact into `folder` under its digest, whole or not at all; what is there already stays. Returns the digest."""
    data = pack(one)
    name = digest(data)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{name}.npz").exists():
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as part:
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
        Path(part.name).replace(folder / f"{name}.npz")
    return name


def load(folder: Path, name: str) -> Examples:
    """The examples of the artefact `name` in `folder`. Raises EvidenceError where it is missing or was changed."""
    if not re.fullmatch(r"[0-9a-f]{64}", name):
        raise InputError(f"'{name}' is no SHA-256", place="replay")
    path = folder / f"{name}.npz"
    if not path.is_file() or path.stat().st_size > LARGEST:
        raise EvidenceError("no such artefact", place=str(path))
    data = path.read_bytes()
    if digest(data) != name:
        raise EvidenceError("the artefact was changed: its bytes do not have its digest", place=str(path))
    return unpack(data)


def replay(one: Examples, predict: Callable[[Array], Any], *, confidence: float = 0.95) -> Replay:
    """Try the examples on another model: `predict` maps rows (n, ...) to labels (n,) or scores (n, K), and sees every row once.

    Where an image has no example, one row tells whether it is right; where it has one, the clean image and the example are both asked.
    """
    hits = np.flatnonzero(one.found)
    rows = np.concatenate([one.x, one.adversarial[hits]])
    answers = _numpy(predict(rows))
    answers = answers.argmax(1) if answers.ndim == 2 and answers.shape[1] > 1 else answers.reshape(len(answers), -1)[:, 0]
    if len(answers) != len(rows):
        raise InputError(f"the model answered {len(answers)} rows of {len(rows)}", place="replay")
    right = answers[: len(one.x)] == one.y
    broken = np.zeros(len(one.x), dtype=np.bool_)
    broken[hits] = answers[len(one.x) :] != one.y[hits]
    robust = int((right & ~broken).sum())
    low, high = clopper_pearson(robust, len(one.x), confidence)
    return Replay(
        images=len(one.x), clean=int(right.sum()), robust=robust, low=low, high=high, forwards=len(rows),
        broken=tuple(int(i) for i in np.flatnonzero(right & broken)), wrong=tuple(int(i) for i in np.flatnonzero(~right)),
    )  # fmt: skip
