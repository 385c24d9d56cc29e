"""Model formats: what runs code when loaded is seen by content whatever its name, what does not gives no alarm, nothing is ever loaded."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from bartizan.areas.artefacts.formats import identify
from bartizan.methods.python_source import parsed
from bartizan.methods.unsafe_loading import loading_calls
from bartizan.model.errors import InputError
from bartizan.model.findings import Severity, Verdict
from bartizan.model.system import Asset, Format, Kind

CHECK = "artefacts.serialisation_format"


class Bomb:
    """Leaves a file behind when unpickled: proof that nothing was loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.fixture(scope="module")
def model() -> LogisticRegression:
    random = np.random.default_rng(0)
    return LogisticRegression().fit(random.normal(size=(40, 3)), np.arange(40) % 2)


def zipped(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def arrays(**values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **values)
    return stream.getvalue()


def array(value: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def onnx_like() -> bytes:
    """ModelProto by hand: ir_version 8, producer, graph, opset (field numbers of onnx.proto)."""
    return b"\x08\x08" + b"\x12\x04test" + b"\x3a\x06" + b"\x12\x04name" + b"\x42\x02\x10\x0d"


def safetensors_like() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0\0\0\0"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_is_seen_and_never_loaded(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Bomb(tmp_path / "trace"), protocol=protocol))
    found = identify(tmp_path / "weights.safetensors")
    assert (found.format, found.executes) == (Format.PICKLE, True)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("compress", [0, 3, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_joblib_is_seen_through_its_compression(tmp_path: Path, model: LogisticRegression, compress: object) -> None:
    joblib.dump(model, tmp_path / "model.bin", compress=compress)
    found = identify(tmp_path / "model.bin")
    assert found.executes
    assert found.format is Format.JOBLIB


PICKLE = pickle.dumps({"a": 1})
OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."

EXECUTING = {
    "torch zip": (zipped({"archive/data.pkl": PICKLE, "archive/data/0": b"\0"}), Format.TORCH),
    "torchscript": (zipped({"m/data.pkl": PICKLE, "m/code/__torch__.py": b"x"}), Format.TORCHSCRIPT),
    "old torch": (OLD_TORCH, Format.TORCH),
    "tar of pickles": (tarred({"readme": b"hello", "storages": OLD_TORCH}), Format.TORCH),
    "pickle in a zip": (zipped({"a.txt": b"a", "deep/model.bin": PICKLE}), Format.PICKLE),
    "pickle hidden in a skops": (zipped({"schema.json": b'{"__module__": "x"}', "x.npy": PICKLE}), Format.PICKLE),
    "array of objects": (array(np.array([{"a": 1}], dtype=object)), Format.NUMPY),
    "structured array of objects": (array(np.zeros(2, dtype=[("a", "O"), ("b", "i4")])), Format.NUMPY),
    "arrays, one of objects": (arrays(a=np.zeros(3), b=np.array([None], dtype=object)), Format.NUMPY),
    "keras with lambda": (
        zipped({"config.json": b'{"class_name": "Lambda"}', "model.weights.h5": b"", "metadata.json": b"{}"}),
        Format.KERAS,
    ),
    "h5 with lambda": (b"\x89HDF\r\n\x1a\n" + b"\0" * 900 + b'{"class_name": "Lambda", "config"', Format.KERAS),
}
HARMLESS = {
    "safetensors": (safetensors_like(), Format.SAFETENSORS),
    "onnx": (onnx_like(), Format.ONNX),
    "gguf": (b"GGUF\x03\0\0\0", Format.GGUF),
    "array": (array(np.zeros((3, 4))), Format.NUMPY),
    "array named by an O": (array(np.zeros(2, dtype=[("Open", "f8")])), Format.NUMPY),
    "arrays": (arrays(a=np.zeros(3), b=np.array(["text"])), Format.NUMPY),
    "keras": (zipped({"config.json": b'{"class_name": "Dense"}', "model.weights.h5": b"", "metadata.json": b"{}"}), Format.KERAS),
    "h5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 900, Format.KERAS),
    "xgboost": (b'{"learner":{"attributes":{}}}', Format.XGBOOST),
    "lightgbm": (b"tree\nversion=v4\n", Format.LIGHTGBM),
}
NO_MODEL = {
    "csv": b"a,b\n1,2\n",
    "list-like text": b"(this is a remark.)\n",
    "single letters": b"I\nN.",
    "prose": b"create a model.\nThen load it.\n.",
    "json": b'{"a": [1, 2]}',
    "bytes": bytes(range(256)) * 4,
    "empty": b"",
    "picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 50,
    "broken zip": b"PK\x03\x04" + b"\0" * 100,
}


@pytest.mark.parametrize("name", EXECUTING)
def test_formats_that_run_code_are_seen(tmp_path: Path, name: str) -> None:
    data, kind = EXECUTING[name]
    (tmp_path / "model.onnx").write_bytes(data)
    found = identify(tmp_path / "model.onnx")
    assert (found.format, found.executes) == (kind, True), found


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_formats_give_no_alarm(tmp_path: Path, name: str) -> None:
    data, kind = HARMLESS[name]
    (tmp_path / "model.pkl").write_bytes(data)
    found = identify(tmp_path / "model.pkl")
    assert (found.format, found.executes) == (kind, False), found


@pytest.mark.parametrize("name", NO_MODEL)
def test_other_files_are_no_models(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.pkl").write_bytes(NO_MODEL[name])
    found = identify(tmp_path / "model.pkl")
    assert (found.format, found.executes) == (None, False), found


UNSAFE_CODE = """
import pickle, joblib as jl
from numpy import load as read
import torch
import pandas as pd
a = pickle.load(open("x", "rb"))
b = jl.load("x")
c = read("x", allow_pickle=True)
d = torch.load("x")
e = torch.load("x", weights_only=False)
f = pd.read_pickle("x")
def later():
    import cloudpickle
    return cloudpickle.loads(b"")
"""
SAFE_CODE = """
import json, numpy as np, torch, joblib
from skops.io import load
a = json.load(open("x"))
b = np.load("x")
c = np.load("x", allow_pickle=False)
d = torch.load("x", weights_only=True)
e = load("x")
joblib.dump(a, "y")
class pickle:
    pass
def f(pickle):
    return dill_like.load(pickle)
"""


def test_unsafe_calls_are_found_under_any_name() -> None:
    assert [call.line for call in loading_calls(parsed("a.py", UNSAFE_CODE))] == [6, 7, 8, 9, 10, 11, 14]
    assert loading_calls(parsed("a.py", SAFE_CODE)) == ()


def test_check_fails_on_the_export_and_on_the_code_that_loads_it(run_check, tmp_path: Path, model: LogisticRegression) -> None:
    skops.io.dump(model, tmp_path / "m.skops")
    joblib.dump(model, tmp_path / "m.joblib")
    (tmp_path / "service.py").write_text("import joblib\n\nmodel = joblib.load('m.joblib')\n")
    api = Asset(id="api", kind=Kind.ENDPOINT, code="service.py")
    scorer = Asset(id="m", kind=Kind.MODEL, uri="m.skops", exports=("m.joblib",))
    [finding] = run_check(CHECK, scorer, api)
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
    assert [str(place) for place in finding.places] == ["m.joblib", "service.py:3"]


def test_check_passes_on_skops_and_says_what_that_does_not_prove(run_check, tmp_path: Path, model: LogisticRegression) -> None:
    (tmp_path / "m").mkdir()
    skops.io.dump(model, tmp_path / "m" / "m.skops")
    (tmp_path / "m" / "README.md").write_text("a model")
    [finding] = run_check(CHECK, Asset(id="m", kind=Kind.MODEL, uri="m"))
    assert finding.verdict is Verdict.PASS
    assert "proves nothing about what the weights do" in finding.why


def test_unsafe_code_in_a_notebook_of_the_pipeline_is_found(run_check, tmp_path: Path, model: LogisticRegression) -> None:
    skops.io.dump(model, tmp_path / "m.skops")
    cells = [
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import joblib\n", "joblib.load('x')"]},
        {"cell_type": "markdown", "source": []},
    ]
    (tmp_path / "train.ipynb").write_text(json.dumps({"cells": cells}))
    [finding] = run_check(CHECK, Asset(id="m", kind=Kind.MODEL, uri="m.skops"), Asset(id="p", kind=Kind.PIPELINE, uri="train.ipynb"))
    assert finding.verdict is Verdict.FAIL
    assert "joblib.load" in finding.why


def test_an_unknown_format_is_unknown(run_check, tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(bytes(range(256)))
    [finding] = run_check(CHECK, Asset(id="m", kind=Kind.MODEL, uri="m.bin"))
    assert finding.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "content",
    [
        zipped({f"{i}": b"\0" * 100_000 for i in range(200)}),
        zipped({"schema.json": b"[" * 3_000_000}),
        b"\x80\x04" + b"\x8c\xff" * 100_000,
        b"(" * 1_000_000,
        b"\x1f\x8b\x08\0" + b"\xff" * 1000,
        b"\x5d\0\0" + b"\xff" * 1000,
        b"BZh9" + b"\0" * 1000,
        b"\x93NUMPY\x01\0" + b"(" * 100_000,
        struct.pack("<Q", 2**63) + b"{",
        b"\x08\x08" * 100_000,
        b"\xff" * 10_000_000,
    ],
)
def test_hostile_files_end_quickly(run_check, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m").write_bytes(content)
    (tmp_path / "code.py").write_bytes(content)
    begun = time.process_time()
    try:
        run_check(CHECK, Asset(id="m", kind=Kind.MODEL, uri="m", code="code.py"))
    except InputError as error:
        assert "larger than" in str(error)  # noqa: PT017 - the one error that a hostile source may end in
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "source", ["(" * 10_000, "-" * 100_000 + "1", "x." * 20_000 + "x()", "\0", "if 1:\n" + " " * 5, "f(" * 90 + ")" * 90]
)
def test_hostile_source_ends_quickly(run_check, tmp_path: Path, source: str) -> None:
    (tmp_path / "m").write_bytes(safetensors_like())
    (tmp_path / "code.py").write_text(source)
    [finding] = run_check(CHECK, Asset(id="m", kind=Kind.MODEL, uri="m", code="code.py"))
    assert finding.verdict is Verdict.PASS
