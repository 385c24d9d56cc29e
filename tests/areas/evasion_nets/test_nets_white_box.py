"""White-box evasion of declared nets: a plain net fails, a hardened one less, a clear one passes; formats agree."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")

from bartizan.adapters.consent import CODE_VARIABLE  # noqa: E402
from bartizan.areas.evasion.net_files import is_net, is_picture_net  # noqa: E402
from bartizan.areas.evasion.pictures import curve, triptych  # noqa: E402
from bartizan.engine import registry  # noqa: E402
from bartizan.engine.parameters import parameters_of  # noqa: E402
from bartizan.engine.runner import run_job  # noqa: E402
from bartizan.model.errors import InputError  # noqa: E402
from bartizan.model.findings import Job, Verdict  # noqa: E402
from bartizan.model.system import Appetite, Asset, Dataset, Format, Kind, Stage, Task  # noqa: E402
from bartizan.testing import checks  # noqa: E402

CHECK = "evasion.white_box_net"


def job_of(root: Path, nodes: tuple[Any, ...], **values: Any) -> Job:
    described = registry.get(CHECK)
    given = parameters_of(described, Appetite(), values)
    return Job(check=CHECK, version="1", threats=described.threats, subject=nodes[0], related=nodes[1:], root=str(root), parameters=given)


def test_a_plain_net_fails_with_pictures_and_curve(weak: Any, digits_of: Any, tmp_path: Path) -> None:
    (outcome,) = checks.contract(registry.get(CHECK), [job_of(tmp_path, digits_of(weak), eps=0.12, images=100)])
    [finding] = outcome.findings
    assert finding.verdict is Verdict.FAIL
    main, clean, robust = finding.measures
    assert (main.role, main.limit) == ("attack-success", 0.1)
    assert main.value > 0.5
    assert main.null is not None
    assert main.null < 0.5 * main.value
    assert robust.k == clean.k - main.k
    points = finding.details["robust_accuracy_by_eps"]
    assert [eps for eps, _ in points] == [0.0, 0.03, 0.06, 0.12]
    assert sorted((share for _, share in points), reverse=True) == [share for _, share in points]
    assert finding.details["passes"]["backwards_per_image"] > 0
    picture, drawn = finding.artefacts
    assert picture.data is not None
    assert picture.data.startswith(b"\x89PNG")
    assert drawn.data is not None
    assert ET.fromstring(drawn.data.decode()).tag.endswith("svg")


def test_hardening_shows_and_a_clear_decision_passes(weak: Any, hard: Any, digits_of: Any, bright_of: Any, run_check: Any) -> None:
    flips = [run_check(CHECK, *digits_of(net), eps=0.12, images=100)[0].measures[0].value for net in (weak, hard)]
    assert flips[1] < 0.75 * flips[0]  # 38 % against 63 %
    [finding] = run_check(CHECK, *bright_of(), eps=0.1, images=100)
    assert finding.verdict is Verdict.PASS
    assert finding.measures[0].k == 0
    [artefact] = finding.artefacts
    assert artefact.media_type == "image/svg+xml"
    [finding] = run_check(CHECK, *bright_of(), eps=0.45, images=100)  # the control of the control: far enough, everything flips
    assert finding.measures[0].value == 1.0


NETS = """
from torch import nn

def make_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
"""


def test_every_format_and_every_kind_of_data_gives_one_answer(
    weak: Any, digits_of: Any, run_check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, test = digits_of(weak)
    found = run_check(CHECK, net, test, eps=0.04, images=60)[0].measures[0].k
    data = load_digits()
    header = ",".join([*(f"p{i}" for i in range(64)), "digit"])
    rows = np.column_stack([data.data[1200:] / 16, data.target[1200:]])
    np.savetxt(tmp_path / "test.csv", rows, delimiter=",", header=header, comments="", fmt="%.9g")
    table = Dataset(id="test", stage=Stage.TEST, uri="test.csv", label="digit")
    assert run_check(CHECK, net, table, eps=0.04, images=60)[0].measures[0].k == found
    np.savez(tmp_path / "ink.npz", x=data.images[1200:] * 3 - 5, y=data.target[1200:])  # another range, undone by mean and std
    ink = Dataset(id="test", stage=Stage.TEST, uri="ink.npz")
    assert run_check(CHECK, net, ink, eps=0.04, images=60, mean="-5", std="48")[0].measures[0].k == pytest.approx(found, abs=1)
    (tmp_path / "nets.py").write_text(NETS)
    torch.save(weak.state_dict(), tmp_path / "w.pt")
    coded = msgspec.structs.replace(net, uri="w.pt", architecture="nets.py:make_net", format=Format.TORCH)
    monkeypatch.delenv(CODE_VARIABLE, raising=False)
    [refused] = run_job(job_of(tmp_path, (coded, test))).findings
    assert refused.verdict is Verdict.UNKNOWN
    assert "bartizan assess --run-code" in refused.remedy
    assert refused.details["reason"] == "no-target"  # asked again as soon as consent is given
    monkeypatch.setenv(CODE_VARIABLE, "1")
    assert run_check(CHECK, coded, test, eps=0.04, images=60)[0].measures[0].k == found


def test_rows_are_measured_in_deviations_of_their_columns(run_check: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linear rule at column 0 = 0, whose deviation is 100: eps 0.5 flips what lies within 50 of it, and nothing else."""
    dice = np.random.default_rng(0)
    a, b = dice.normal(0, 100, 300), dice.normal(0, 1e-3, 300)
    np.savetxt(tmp_path / "t.csv", np.column_stack([a, b, a > 0]), delimiter=",", header="a,b,k", comments="", fmt="%.9g")
    (tmp_path / "nets.py").write_text("from torch import nn\n\ndef make():\n    return nn.Linear(2, 2)\n")
    torch.save({"weight": torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), "bias": torch.zeros(2)}, tmp_path / "w.pt")
    monkeypatch.setenv(CODE_VARIABLE, "1")
    net = Asset(id="net", kind=Kind.MODEL, task=Task.TABULAR_CLASSIFICATION, uri="w.pt", architecture="nets.py:make", tested_on=("t",))
    [finding] = run_check(CHECK, net, Dataset(id="t", stage=Stage.TEST, uri="t.csv", label="k"), eps=0.5, images=300)
    assert finding.measures[0].k == int((np.abs(a) < 0.5 * a.std(ddof=1)).sum())
    assert not [one for one in finding.artefacts if one.media_type == "image/png"]


def test_what_cannot_be_attacked_says_why(weak: Any, digits_of: Any, run_check: Any, tmp_path: Path) -> None:
    net, test = digits_of(weak)
    for values, says in (
        ({"eps": 0.0}, "is no radius"),
        ({"norm": "l0"}, "is no radius"),
        ({"images": 3}, "too few"),
        ({"mean": "a"}, "numbers"),
    ):
        with pytest.raises(InputError, match=says):
            run_check(CHECK, net, test, **values)
    np.savez(tmp_path / "test.npz", x=np.zeros((50, 1, 5, 5), dtype=np.float32), y=np.zeros(50, dtype=int))
    with pytest.raises(InputError, match="declare data that fits the model"):
        run_check(CHECK, net, test)
    np.savez(tmp_path / "test.npz", x=np.random.default_rng(0).uniform(size=(50, 1, 8, 8)), y=np.full(50, 11))
    with pytest.raises(InputError, match="right labels"):
        run_check(CHECK, net, test)


def test_which_models_are_nets() -> None:
    def asset(**more: Any) -> Asset:
        return Asset(id="m", kind=Kind.MODEL, **more)

    assert is_net(asset(uri="a/m.onnx"))
    assert is_net(asset(uri="a/m.bin", format=Format.TORCH, task=Task.TABULAR_CLASSIFICATION))
    assert not is_net(asset(uri="m.skops"))
    assert not is_net(asset(uri="m.safetensors", task=Task.TEXT_GENERATION))
    assert is_picture_net(asset(uri="m.pt", task=Task.IMAGE_CLASSIFICATION))
    assert not is_picture_net(asset(uri="m.pt"))


def test_pictures_and_curves_are_the_same_every_time() -> None:
    original, changed = np.zeros((3, 8, 6)), np.ones((3, 8, 6))
    data = triptych(original, changed, 0.0, 1.0)
    assert data is not None
    assert struct.unpack(">II", data[16:24]) == ((3 * 6 + 2) * 20, 8 * 20)
    assert data == triptych(original, changed, 0.0, 1.0)
    assert triptych(np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), 0.0, 1.0) is None
    drawn = curve([("a <b>", [(0.0, 1.0), (0.1, 0.25)])])
    assert b"a &lt;b&gt;" in drawn
    assert ET.fromstring(drawn.decode()) is not None
    assert curve([]) == curve([])
