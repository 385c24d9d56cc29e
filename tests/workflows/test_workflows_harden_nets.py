"""`bartizan harden` on a net of torch: needs consent, gets harder to evade, comes back from its file, and is compressed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
import numpy as np  # noqa: E402
from sklearn.datasets import load_digits  # noqa: E402

from bartizan.adapters.consent import CODE_VARIABLE  # noqa: E402
from bartizan.cli.app import run  # noqa: E402

CODE = """
from torch import nn

def make():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
"""
MANIFEST = """\
bartizan: 1
system: {name: digits, impact: medium}
zones: [{id: inside, trust: internal}]
appetite: {tolerances: {evasion.white_box_net: {eps: 0.1}}}
datasets:
  - {id: train, stage: train, uri: train.npz, zone: inside}
  - {id: test, stage: test, uri: test.npz, zone: inside}
assets:
  - {id: net, kind: model, task: image-classification, uri: net.safetensors, architecture: "nets.py:make", trained_on: [train],
     tested_on: [test], zone: inside}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("net")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = load_digits(return_X_y=True)
    images = (x / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    np.savez(folder / "train.npz", x=images[:600], y=y[:600])
    np.savez(folder / "test.npz", x=images[600:1000], y=y[600:1000])
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(torch.tensor(images[:600])), torch.tensor(y[:600])).backward()
        optimiser.step()
    save_file(net.state_dict(), str(folder / "net.safetensors"))
    (folder / "nets.py").write_text(CODE)
    (folder / "bartizan.yaml").write_text(MANIFEST)
    return folder


def test_without_consent_no_code_of_the_project_runs(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(CODE_VARIABLE, raising=False)
    assert run(["harden", "adversarial-training", str(project), "-o", str(tmp_path / "m.safetensors")]) == 2
    assert "--run-code" in capsys.readouterr().err


def test_a_net_is_hardened_into_weights_that_fit_its_code(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CODE_VARIABLE, "1")
    words = [str(project), "--run-code", "--format", "json"]
    made = project / "made.safetensors"
    assert run(["harden", "adversarial-training", *words, "-o", str(made), "--rounds", "40"]) == 0
    report = json.loads(capsys.readouterr().out)
    row = report["table"]["after"][0]
    assert row["robust"]["low"] > report["table"]["before"]["robust"]["high"]
    (project / "hard.yaml").write_text(MANIFEST.replace("uri: net.safetensors", "uri: made.safetensors"))
    words[0] = str(project / "hard.yaml")
    assert run(["harden", "compression", *words, "--keep", "int8 weights", "-o", str(tmp_path / "small.pt")]) == 0
    small = json.loads(capsys.readouterr().out)
    assert small["table"]["before"]["clean"]["k"] == row["clean"]["k"]
    assert (tmp_path / "small.pt").is_file()
    assert run(["harden", "compression", *words, "--keep", "int8 dynamic", "-o", str(tmp_path / "dynamic.pt")]) == 2
    assert not (tmp_path / "dynamic.pt").exists()


def test_rounding_seems_to_help_and_is_judged_by_the_attack_that_knows_it(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CODE_VARIABLE, "1")
    words = ["harden", "sanitisation", str(project), "--run-code", "--eps", "0.15", "--rows", "150", "--sanitiser"]
    code = run([*words, "bit-depth:3", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    naive, adaptive = report["table"]["after"]
    assert naive["robust"]["k"] > 2 * adaptive["robust"]["k"] + 20
    assert (code == 1) == (adaptive["gained"] <= adaptive["lost"])
    assert (code == 1) == (report["rulings"][0]["verdict"] == "fail")
    assert run([*words, "bit-depth:3"]) == code
    shown = capsys.readouterr().out
    assert "behind bit depth 3, naive" in shown
    assert "gained robustness" in shown
    assert run([*words, "bit-dept:3"]) == 2
    assert "no sanitiser" in capsys.readouterr().err
