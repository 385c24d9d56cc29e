"""Loads a model file only where a scan finds it safe, and then with a loader that looks up reviewed names alone.

The bytes that were judged are the bytes that are loaded: the file is read once. Two walls stand behind each other: the abstract reading of
the whole file (what is done with each name), and a `find_class` that refuses every name without an entry in the policy.
"""

from __future__ import annotations

import _compat_pickle
import importlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bartizan.areas.artefacts.pickles import Policy
from bartizan.areas.artefacts.reports import FileReport
from bartizan.areas.artefacts.safety import Safety, UseKind
from bartizan.areas.artefacts.scanning import scan_bytes
from bartizan.model.errors import InputError, MissingExtra, Refused, one_line

LARGEST = 64 * 1024**3
"""Largest file, in bytes, that is read."""

_BROKEN = (
    pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, ImportError, IndexError, KeyError, RuntimeError, OSError,
    AssertionError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What the loaders raise on a file that fits no installed version of its library."""


def permitted(policy: Policy, module: str, name: str) -> bool:
    """Whether a loader may look up this name at all, under the name that Python 2 had for it too (`pickle`, fix_imports)."""
    renamed = _compat_pickle.NAME_MAPPING.get((module, name), (_compat_pickle.IMPORT_MAPPING.get(module, module), name))
    known = next((pair for pair in ((module, name), renamed) if policy.entry(*pair) is not None), None)
    return known is not None and policy.denial(*known, UseKind.REFERENCE) is None


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that looks up nothing but what `policy` has an entry for."""

    policy: Policy | None = None

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """The global, or `UnpicklingError` where the policy does not know it."""
        if not permitted(self.policy or Policy.shipped(), module_name, global_name):
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is not in the policy")
        return super().find_class(module_name, global_name)


def unpickler_for(policy: Policy) -> type[RestrictedUnpickler]:
    """The class of unpicklers under `policy`."""
    return type("RestrictedUnpickler", (RestrictedUnpickler,), {"policy": policy})


class _PickleModule:
    """What `torch.load` asks of its `pickle_module`."""

    __name__ = "bartizan.areas.artefacts.loading"

    def __init__(self, policy: Policy) -> None:
        self.Unpickler = unpickler_for(policy)
        self.UnpicklingError = pickle.UnpicklingError

    def load(self, file: Any, **options: Any) -> Any:
        """As `pickle.load`."""
        return self.Unpickler(file, **options).load()

    def loads(self, data: bytes, **options: Any) -> Any:
        """As `pickle.loads`."""
        return self.Unpickler(io.BytesIO(data), **options).load()


def load(path: str | Path, *, policy: Policy | None = None, map_location: Any = "cpu") -> Any:
    """The object in the model file at `path`: a pickle, a torch or joblib file, arrays of NumPy, safetensors, skops.

    `map_location` is where tensors of torch go. Raises `Refused` with the first reason where the file is not safe under `policy` (the
    shipped one by default), `InputError` where it cannot be read or fits no installed version, `MissingExtra` without its library.
    """
    place = Path(path)
    try:
        if place.stat().st_size > LARGEST:
            raise Refused(f"is larger than {LARGEST} bytes", place=place.name)
        data = place.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", place=place.name) from None
    return load_bytes(data, place.name, policy=policy, map_location=map_location)


def load_bytes(data: bytes, name: str, *, policy: Policy | None = None, map_location: Any = "cpu") -> Any:
    """As `load`, of bytes in memory; `name` stands in errors."""
    policy = policy or Policy.shipped()
    report = scan_bytes(data, name, policy=policy)
    demand_safe(report)
    loader = _loader(data, report)
    try:
        return loader(data, policy, map_location)
    except _BROKEN as error:
        cure = "install the library and version it was written with, or convert it there"
        raise InputError(f"cannot be loaded: {type(error).__name__}: {one_line(str(error), 200)}", place=name, cure=cure) from None


def demand_safe(report: FileReport) -> None:
    """Raise `Refused` with the first reason where `report` is not safe."""
    if report.safety is Safety.SAFE and report.error is None:
        return
    first = report.reasons[0] if report.reasons else None
    why = (first.text + (f" (byte {first.offset})" if first.offset is not None else "")) if first else (report.error or "it was not read")
    cures = {
        Safety.NEEDS_POLICY: "review it, then: bartizan policy allow PACKAGE, and pass that policy",
        Safety.UNSAFE: "do not load it; ask its maker for safetensors, skops or ONNX",
    }
    raise Refused(f"is {report.safety.value}: {why}", place=report.path, cure=cures.get(report.safety))


def _loader(data: bytes, report: FileReport) -> Callable[[bytes, Policy, Any], Any]:
    if data[:6] == b"\x93NUMPY":
        return _numpy
    if report.format.endswith(" stream"):
        return _joblib
    if data[:2] == b"PK":
        return _zip(data, report)
    if data[8:9] == b"{" and "safetensors" in report.format:
        return _safetensors
    if "torch" in report.format or b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19" in data[:64]:
        return _torch
    if data[:1] in (b"\x80", b"(", b"]", b"}", b"c") and "joblib" not in report.format:
        return _pickle_or_joblib
    if "joblib" in report.format or "pickle" in report.format:
        return _joblib
    raise Refused(f"is {report.format or 'of no known format'}: nothing here loads that", place=report.path)


def _zip(data: bytes, report: FileReport) -> Callable[[bytes, Policy, Any], Any]:
    import zipfile

    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    if "schema.json" in names:
        return _skops
    if any(name.endswith(".npy") for name in names):
        return _numpy
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return _torch
    raise Refused(f"is {report.format}: nothing here loads that", place=report.path)


def _module(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise MissingExtra(extra, name) from None


def _numpy(data: bytes, policy: Policy, location: Any) -> Any:
    del location
    if data[:2] != b"PK":
        return _array(data, policy)
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        return {name.removesuffix(".npy"): _array(archive.read(name), policy) for name in names}


def _array(data: bytes, policy: Policy) -> Any:
    """One array; the pickle behind an array of objects is read by the restricted unpickler (NEP 1)."""
    layout = _module("numpy", "data").lib.format
    stream = io.BytesIO(data)
    version = layout.read_magic(stream)
    shape, fortran, dtype = (layout.read_array_header_1_0 if version == (1, 0) else layout.read_array_header_2_0)(stream)
    if not dtype.hasobject:
        return layout.read_array(io.BytesIO(data), allow_pickle=False)
    array = unpickler_for(policy)(stream).load()
    array.shape = shape[::-1] if fortran else shape
    return array.transpose() if fortran else array


def _safetensors(data: bytes, policy: Policy, location: Any) -> Any:
    del policy, location
    try:
        return importlib.import_module("safetensors.torch").load(data)
    except ImportError:
        return _module("safetensors.numpy", "torch").load(data)


def _torch(data: bytes, policy: Policy, location: Any) -> Any:
    torch = _module("torch", "torch")
    return torch.load(io.BytesIO(data), map_location=location, weights_only=False, pickle_module=_PickleModule(policy))


def _pickle_or_joblib(data: bytes, policy: Policy, location: Any) -> Any:
    """A plain pickle; one with arrays in the stream is joblib's."""
    if b"joblib.numpy_pickle" in data:
        return _joblib(data, policy, location)
    return unpickler_for(policy)(io.BytesIO(data)).load()


def _joblib(data: bytes, policy: Policy, location: Any) -> Any:
    del location
    numpy_pickle = _module("joblib.numpy_pickle", "sklearn")

    class Restricted(numpy_pickle.NumpyUnpickler):  # type: ignore[misc,name-defined]
        """joblib's unpickler, which looks up nothing but what the policy knows."""

        def find_class(self, module: str, name: str) -> Any:
            if not permitted(policy, module, name):
                raise pickle.UnpicklingError(f"{module}.{name} is not in the policy")
            return super().find_class(module, name)

    with numpy_pickle._validate_fileobject_and_memmap(io.BytesIO(data), "model", None) as (stream, _):
        if isinstance(stream, str):
            raise ValueError("written by a joblib before 0.10")
        return Restricted("model", stream, ensure_native_byte_order=True).load()


def _skops(data: bytes, policy: Policy, location: Any) -> Any:
    """By skops itself, with the types that the estimators' adapter vouches for."""
    del policy, location
    from bartizan.adapters.estimators import reviewed_types

    persistence = _module("skops.io", "sklearn")
    untrusted = set(persistence.get_untrusted_types(data=data)) - set(reviewed_types())
    if untrusted:
        raise Refused(f"holds types that nobody reviewed: {one_line(', '.join(sorted(untrusted)), 200)}")
    return persistence.loads(data, trusted=list(reviewed_types()))
