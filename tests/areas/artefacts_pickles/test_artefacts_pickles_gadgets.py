"""Every gadget is proved by the real loader in a child process, and refused by us in every reading."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import gadgets
import pytest

from bartizan.areas.artefacts.pickles import Loader, inspect
from bartizan.areas.artefacts.safety import Safety

HERE = Path(__file__).parent

CHILD = """
import io, pickle, sys
for path in sorted(__import__("pathlib").Path(sys.argv[1]).glob("*.pkl")):
    raw = path.read_bytes()
    for load in (lambda: pickle.loads(raw), lambda: pickle.load(io.BytesIO(raw))):
        try:
            load()
        except BaseException:
            pass
"""


def proved(folder: Path, payloads: dict[str, gadgets.Payload]) -> dict[str, bytes]:
    """The pickles by name, after each has made its marker in a child process."""
    written = {}
    for number, (title, build) in enumerate(payloads.items()):
        written[title] = build(str(folder / f"marker{number}"))
        (folder / f"{number:03}.pkl").write_bytes(written[title])
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(folder)], check=False, timeout=100, capture_output=True, stdin=subprocess.DEVNULL
    )
    harmless = [title for number, title in enumerate(payloads) if not list(folder.glob(f"marker{number}*"))]
    assert not harmless, f"not proved: {harmless}"
    return written


@pytest.mark.parametrize("family", ["CALLS", "INDIRECT", "STREAMS"])
def test_gadgets_that_the_real_loader_runs_are_unsafe(tmp_path: Path, family: str) -> None:
    for title, raw in proved(tmp_path, getattr(gadgets, family)).items():
        found = inspect(raw)
        assert found.ruling.verdict is Safety.UNSAFE, title
        assert all(0 <= (reason.offset or 0) <= len(raw) for reason in found.ruling.reasons)


def test_gadgets_of_libraries_do_not_pass(tmp_path: Path) -> None:
    for module in ("scipy", "pandas", "joblib", "cloudpickle"):
        pytest.importorskip(module)
    for title, raw in proved(tmp_path, gadgets.LIBRARIES).items():
        assert inspect(raw).ruling.verdict is not Safety.SAFE, title


def test_what_a_distribution_would_run_is_unsafe(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    for title, raw in proved(tmp_path, gadgets.DISTRIBUTIONS).items():
        assert inspect(raw).ruling.verdict is Safety.UNSAFE, title


@pytest.mark.parametrize("state", [gadgets.dct(gadgets.text("_attach_methods"), gadgets.name("builtins", "dict")), b"]", b"N", b")"])
def test_a_distribution_takes_no_state_that_was_not_reviewed(state: bytes) -> None:
    assert inspect(gadgets.distribution(state)).ruling.verdict is Safety.UNSAFE
    assert inspect(gadgets.distribution(gadgets.state(gadgets.text(gadgets.parser())))).ruling.verdict is Safety.SAFE


def test_gadgets_of_torch_do_not_pass(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for title, raw in proved(tmp_path, gadgets.TORCH).items():
        assert inspect(raw).ruling.verdict is Safety.UNSAFE, title


def test_a_number_of_the_extension_registry_is_unsafe() -> None:
    for code in (b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"):
        assert inspect(b"\x80\x02" + code + b".").ruling.verdict is Safety.UNSAFE


def test_what_the_loader_in_python_runs_at_the_end_of_the_data_is_unsafe(tmp_path: Path) -> None:
    """A last line without its end: the loader in C refuses it, the one in Python drops its last character and goes on."""
    import pickle

    marker = tmp_path / "marker"
    raw = b"(" + gadgets.touch(str(marker)) + b"ios\nsystemX"
    code = "import io,pickle,sys\ntry: pickle._Unpickler(io.BytesIO(sys.stdin.buffer.read())).load()\nexcept EOFError: pass"
    subprocess.run([sys.executable, "-c", code], input=raw, check=False, timeout=20)
    assert marker.exists()
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(raw)
    assert inspect(raw).ruling.verdict is Safety.UNSAFE


def test_what_hides_in_the_arrays_of_joblib_is_found(tmp_path: Path) -> None:
    """An array of objects is a pickle within the stream; array bytes are opcodes for whoever loads the file with pickle."""
    joblib = pytest.importorskip("joblib")
    numpy = pytest.importorskip("numpy")
    folder = tmp_path / "payloads"
    folder.mkdir()

    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.system, (f"touch {folder / 'marker0'}",)

    file = tmp_path / "objects.joblib"
    joblib.dump(numpy.array([Payload()], dtype=object), file)
    assert inspect(file.read_bytes(), loader=Loader.JOBLIB).ruling.verdict is Safety.UNSAFE
    body = gadgets.CALLS["os.system"](str(folder / "marker0"))
    stream = io.BytesIO()
    joblib.dump(numpy.frombuffer(body, "u1"), stream)
    raw = stream.getvalue()
    at = raw.index(body)
    pad = raw[at - 1 - raw[at - 2 - 15 : at].find(b"\xff") :]
    assert pad
    polyglot = raw[: raw.rindex(b"b", 0, at) + 1] + b"0" + b"N" * 48 + body
    assert inspect(polyglot).ruling.verdict is Safety.UNSAFE
