"""Loading under the policy: ordinary models load, gadgets do not, what was judged is what is loaded; conversion; the guarded run."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bartizan.areas.artefacts.converting import convert
from bartizan.areas.artefacts.loading import load
from bartizan.cli.app import run
from bartizan.model.errors import InputError, Refused

np = pytest.importorskip("numpy")


class Touch:
    """A gadget: unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def shell(marker: Path, protocol: int = 0) -> bytes:
    """A pickle that runs `touch` in a shell; proved below to do so when the real loader loads it."""
    command = f"touch {marker}"
    if protocol == 0:
        return f"cos\nsystem\n(S'{command}'\ntR.".encode()
    return b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c" + bytes([len(command)]) + command.encode() + b"\x85R."


def estimator() -> object:
    tree = pytest.importorskip("sklearn.tree")
    return tree.DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0], [2.0]], [0, 1, 1])


def test_the_gadgets_are_real(tmp_path: Path) -> None:
    for n, data in enumerate((shell(tmp_path / "m0"), shell(tmp_path / "m1", 4))):
        subprocess.run([sys.executable, "-c", f"import pickle; pickle.loads({data!r})"], check=True)
        assert (tmp_path / f"m{n}").exists()


@pytest.mark.parametrize("make", [shell, lambda marker: shell(marker, 4), lambda marker: pickle.dumps(Touch(marker))])
def test_gadgets_are_refused(tmp_path: Path, make: Callable[[Path], bytes]) -> None:
    marker, path = tmp_path / "marker", tmp_path / "model.pkl"
    path.write_bytes(make(marker))
    with pytest.raises(Refused, match=r"model\.pkl"):
        load(path)
    assert not marker.exists()


@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
def test_joblib(tmp_path: Path, compress: object) -> None:
    joblib = pytest.importorskip("joblib")
    joblib.dump(estimator(), tmp_path / "m.joblib", compress=compress)
    assert load(tmp_path / "m.joblib").predict([[0.1], [1.9]]).tolist() == [0, 1]


def test_pickle_arrays_and_numpy(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(estimator()))
    assert load(tmp_path / "m.pkl").predict([[2.0]]).tolist() == [1]
    np.save(tmp_path / "x.npy", np.arange(6).reshape(2, 3))
    np.savez(tmp_path / "x.npz", a=np.ones(2), b=np.array([{"k": 1}, None], dtype=object))
    assert load(tmp_path / "x.npy").tolist() == [[0, 1, 2], [3, 4, 5]]
    assert load(tmp_path / "x.npz")["b"][0] == {"k": 1}


def test_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
    torch.save(net.state_dict(), tmp_path / "state.pt")
    torch.save(net, tmp_path / "net.pt")
    torch.save(net.state_dict(), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("state.pt", "old.pt"):
        assert torch.equal(load(tmp_path / name)["0.weight"], net[0].weight)
    assert torch.equal(load(tmp_path / "net.pt")[0].bias, net[0].bias)


def test_a_torch_file_with_a_gadget(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"weights": torch.ones(2), "x": Touch(tmp_path / "marker")}, tmp_path / "m.pt")
    with pytest.raises(Refused):
        load(tmp_path / "m.pt")
    assert not (tmp_path / "marker").exists()


def test_conversion(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    files = pytest.importorskip("safetensors.torch")
    shared = torch.ones(3)
    torch.save({"state_dict": {"a": shared, "b": shared}, "epoch": 3}, tmp_path / "m.pt")
    assert convert(tmp_path / "m.pt", tmp_path / "m.safetensors") == ["epoch"]
    assert torch.equal(files.load_file(tmp_path / "m.safetensors")["b"], shared)
    with pytest.raises(InputError, match="already"):
        convert(tmp_path / "m.pt", tmp_path / "m.safetensors")


def test_conversion_to_skops(tmp_path: Path) -> None:
    pytest.importorskip("skops")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(estimator()))
    assert run(["convert", str(tmp_path / "m.pkl"), "-o", str(tmp_path / "m.skops")]) == 0
    assert load(tmp_path / "m.skops").predict([[2.0]]).tolist() == [1]


def test_conversion_of_a_gadget_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.pkl").write_bytes(shell(tmp_path / "marker"))
    assert run(["convert", str(tmp_path / "m.pkl"), "-o", str(tmp_path / "m.skops")]) == 2
    assert "os.system" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"m.pkl"}


LOADERS = {
    "pickle.load": "import pickle\npickle.load(open('m.pkl', 'rb'))",
    "pickle.loads": "from pickle import loads\nloads(open('m.pkl', 'rb').read())",
    "_pickle": "import _pickle\n_pickle.Unpickler(open('m.pkl', 'rb')).load()",
    "python's own": "import pickle\npickle._loads(open('m.pkl', 'rb').read())",
    "joblib": "import joblib\njoblib.load('m.pkl')",
    "numpy": "import numpy\nnumpy.load('m.pkl', allow_pickle=True)",
    "pandas": "import pandas\npandas.read_pickle('m.pkl')",
    "torch": "import torch\ntorch.load('m.pkl', weights_only=False)",
    "shelve": "import pickle, io\nclass U(pickle.Unpickler): pass\nU(io.BytesIO(open('m.pkl', 'rb').read())).load()",
}


def guarded(folder: Path, code: str, *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "program.py").write_text(code + "\nprint('loaded')\n")
    line = [sys.executable, "-m", "bartizan", "run", "--guard-loads", *more, "--", sys.executable, "program.py"]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("loader", LOADERS)
def test_the_guard_refuses_a_gadget_by_every_loader(tmp_path: Path, loader: str) -> None:
    pytest.importorskip({"joblib": "joblib", "pandas": "pandas", "torch": "torch"}.get(loader, "numpy"))
    (tmp_path / "m.pkl").write_bytes(shell(tmp_path / "marker", 4))
    done = guarded(tmp_path, LOADERS[loader])
    assert done.returncode != 0
    assert "bartizan refused" in done.stderr, done.stderr
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("loader", ["pickle.load", "python's own", "joblib"])
def test_the_guard_lets_models_pass(tmp_path: Path, loader: str) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(estimator()))
    done = guarded(tmp_path, LOADERS[loader])
    assert (done.returncode, done.stdout) == (0, "loaded\n"), done.stderr


def test_the_guard_keeps_the_exit_code_and_the_arguments(tmp_path: Path) -> None:
    done = guarded(tmp_path, "import sys\nprint(sys.argv, __name__)\nsys.exit(7)")
    assert (done.returncode, done.stdout) == (7, "['program.py'] __main__\n")


def test_the_guard_lets_processes_of_one_program_talk(tmp_path: Path) -> None:
    code = (
        "import multiprocessing\nclass Own:\n    def __init__(self, n): self.n = n\n"
        "def f(x): return Own(x.n + 1)\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('fork').Pool(1) as pool:\n        print(pool.map(f, [Own(1)])[0].n)"
    )
    done = guarded(tmp_path, code)
    assert done.stdout.startswith("2\n"), done.stderr


def test_what_cannot_be_guarded(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--guard-loads", "--", "/bin/true"]) == 2
    assert run(["run", "--", "python", "x.py"]) == 2
    assert "--guard-loads" in capsys.readouterr().err
