"""Torch nets from files: weights hold tensors alone, the code that makes the net runs with consent only."""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bartizan.adapters import torch_files  # noqa: E402
from bartizan.adapters.consent import CODE_VARIABLE, consent_to_code, may_run_code  # noqa: E402
from bartizan.adapters.torch_files import load_net, load_weights  # noqa: E402
from bartizan.engine.inputs import Inputs  # noqa: E402
from bartizan.engine.targets import NoTarget  # noqa: E402
from bartizan.model.errors import InputError, Refused  # noqa: E402
from bartizan.model.system import Asset, Kind  # noqa: E402

CODE = """
from pathlib import Path
from torch import nn
from parts import WIDTH

Path(__file__).with_name("ran").touch()

def make_net():
    return nn.Sequential(nn.Linear(3, WIDTH), nn.Dropout(), nn.Linear(WIDTH, 2))

def make_nothing():
    return 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(CODE)
    (tmp_path / "parts.py").write_text("WIDTH = 4\n")
    return tmp_path


@pytest.fixture
def consented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CODE_VARIABLE, "1")


def net() -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(), torch.nn.Linear(4, 2))


def test_without_consent_nothing_of_the_project_is_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CODE_VARIABLE, raising=False)
    torch.save(net().state_dict(), project / "w.pt")
    with pytest.raises(NoTarget, match="bartizan assess --run-code"):
        load_net(project, "w.pt", "nets.py:make_net")
    assert not (project / "ran").exists()
    for value in ("", "0", "true"):
        monkeypatch.setenv(CODE_VARIABLE, value)
        assert not may_run_code()
    consent_to_code()
    assert may_run_code()


@pytest.mark.usefixtures("consented")
@pytest.mark.parametrize("nested", ["", "state_dict", "model"])
def test_weights_and_code_give_the_net(project: Path, nested: str) -> None:
    state = net().state_dict()
    torch.save({nested: state, "epoch": 3} if nested else state, project / "w.pt")
    found = load_net(project, "w.pt", "nets.py:make_net")
    x = torch.rand(5, 3)
    assert torch.equal(found(x), net().eval()(x))
    assert not found.training
    assert not (project / "__pycache__").exists()


@pytest.mark.usefixtures("consented")
def test_safetensors_give_the_same_net(project: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    library.save_file(net().state_dict(), project / "w.safetensors")
    x = torch.rand(5, 3)
    assert torch.equal(load_net(project, "w.safetensors", "nets.py:make_net")(x), net().eval()(x))
    data = (project / "w.safetensors").read_bytes()
    (project / "w.safetensors").write_bytes(data[:-8])
    with pytest.raises(InputError, match="no readable safetensors"):
        load_net(project, "w.safetensors", "nets.py:make_net")


class Code:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran-from-weights"),)


def test_a_pickle_that_holds_code_is_refused_unopened(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    torch.save({"w": torch.zeros(1), "more": Code()}, project / "w.pt")
    with pytest.raises(Refused, match="holds more than weights"):
        load_weights(project, project / "w.pt")
    (project / "w.pt").write_bytes(importlib.import_module("pickle").dumps(Code()))
    with pytest.raises(Refused, match="neither safetensors nor an archive"):
        load_weights(project, project / "w.pt")
    torch.save(net(), project / "w.pt")
    with pytest.raises(Refused, match="holds more than weights"):
        load_weights(project, project / "w.pt")
    assert not (project / "ran-from-weights").exists()


def test_bombs_and_programs_are_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"w": torch.zeros(1).expand(2**30)}, project / "w.pt")
    with pytest.raises(Refused, match="spreads"):
        load_weights(project, project / "w.pt")
    with zipfile.ZipFile(project / "z.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/data.pkl", bytes(2**20))
    with pytest.raises(Refused, match="compressed"):
        load_weights(project, project / "z.pt")
    with zipfile.ZipFile(project / "s.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"")
        archive.writestr("m/code/a.py", b"")
    with pytest.raises(Refused, match="TorchScript"):
        load_weights(project, project / "s.pt")
    torch.save([1, 2], project / "l.pt")
    with pytest.raises(InputError, match="no state dict"):
        load_weights(project, project / "l.pt")
    monkeypatch.setattr(torch_files.torch, "__version__", "2.5.1")
    with pytest.raises(Refused, match=r"install torch 2\.6"):
        load_weights(project, project / "w.pt")


@pytest.mark.usefixtures("consented")
@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        (None, "declare architecture"), ("nets.py", "names no code"), ("nets.py:make()", "names no code"),
        ("w.pt:make_net", "no Python file"),
        ("nets.py:other", "has no function 'other'"), ("nets.py:make_nothing", "makes int"),
        ("../nets.py:make_net", "leads out|is not there"),
    ],
)  # fmt: skip
def test_a_declaration_that_does_not_fit_is_named(project: Path, architecture: str | None, says: str) -> None:
    torch.save(net().state_dict(), project / "w.pt")
    with pytest.raises((InputError, Refused), match=says):
        load_net(project, "w.pt", architecture)
    torch.save(torch.nn.Linear(3, 2).state_dict(), project / "w.pt")
    with pytest.raises(InputError, match="weights do not fit the net"):
        load_net(project, "w.pt", "nets.py:make_net")


def test_the_code_that_makes_a_net_is_part_of_its_digest(project: Path) -> None:
    torch.save(net().state_dict(), project / "w.pt")
    asset = Asset(id="net", kind=Kind.MODEL, uri="w.pt", architecture="nets.py:make_net")
    before = Inputs(project).of([asset])
    assert [one.uri for one in before] == ["w.pt", "nets.py"]
    (project / "nets.py").write_text(CODE + "\n")
    after = Inputs(project).of([asset])
    assert [a.digest == b.digest for a, b in zip(before, after, strict=True)] == [True, False]
