"""`bartizan harden`: a stranger's model gets harder to evade, the old file stays, nothing half-made is left, and the gate tells a loss."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from harden_projects import write_project
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bartizan.cli.app import run
from bartizan.workflows.harden import Report, Target, Wanted, adversarial_training
from bartizan.workflows.project import find

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = {
        "net": make_pipeline(StandardScaler(), MLPClassifier((24,), max_iter=60, random_state=0)),
        "linear": LogisticRegression(max_iter=300),
        "forest": RandomForestClassifier(5, max_depth=4, random_state=0),
        "kernel": SVC(),
    }
    return write_project(tmp_path_factory.mktemp("harden"), models)


def harden(method: str, project: Path, *words: str | Path) -> int:
    return run(["harden", method, str(project), *map(str, words)])


@pytest.fixture(scope="module")
def hardened(project: Path) -> Report:
    """The report on `net` hardened into `made.skops`, which `hard.yaml` declares in its place."""
    digest = hashlib.sha256((project / "net.skops").read_bytes()).hexdigest()
    files = {path.name for path in project.iterdir()}
    target = Target(project / "made.skops")
    report = adversarial_training(find(project), Wanted("net", rows=120), target, {"rounds": 40}, lambda _: None)
    assert hashlib.sha256((project / "net.skops").read_bytes()).hexdigest() == digest
    assert {path.name for path in project.iterdir()} == files | {"made.skops"}  # no checkpoint and no part is left
    (project / "hard.yaml").write_text((project / "bartizan.yaml").read_text().replace("uri: net.skops", "uri: made.skops"))
    return report


def test_a_perceptron_behind_scaling_is_hardened_for_the_radius_of_the_manifest(hardened: Report) -> None:
    row = hardened.table.after[0]
    assert (hardened.eps, hardened.norm, hardened.uri) == (0.12, "linf", "made.skops")
    assert row.robust.low > hardened.table.before.robust.high
    assert row.robust.low <= row.robust.value <= row.robust.high
    assert hardened.rulings[0].verdict == "pass"


def test_coarse_weights_fail_the_gate_on_the_new_file_and_the_kept_version_is_written(
    project: Path, hardened: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--asset", "net", "--rows", "120")
    assert harden("compression", project / "hard.yaml", *words, "--format", "json") == 1
    report = json.loads(capsys.readouterr().out)
    before, measured = report["table"]["before"], hardened.table.after[0]
    assert before["clean"]["k"] == measured.clean.k  # what was measured is the file
    assert before["robust"]["k"] >= measured.robust.k  # the other one met the old net's examples too
    verdicts = {ruling["name"]: ruling["verdict"] for ruling in report["rulings"]}
    assert verdicts["int8 weights"] != "fail"
    assert verdicts["pruned 80%"] == "fail"
    assert harden("compression", project / "hard.yaml", *words, "--keep", "int8 weights", "-o", tmp_path / "small.skops") == 0
    assert "wrote" in capsys.readouterr().out
    assert harden("compression", project, "--asset", "forest") == 2
    assert "no weights" in capsys.readouterr().err


@pytest.mark.parametrize("asset", ["linear", "forest"])
def test_models_without_batches_are_hardened_round_by_round(
    project: Path, tmp_path: Path, asset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = harden("adversarial-training", project, "--asset", asset, "-o", tmp_path / "m.skops", "--rounds", "2", "--rows", "60")
    shown = capsys.readouterr().out
    assert code == 0
    assert "exact" in shown
    assert "best of 3 rounds" in shown
    assert (tmp_path / "m.skops").is_file()


def test_xgboost_stays_in_its_own_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xgboost = pytest.importorskip("xgboost")
    pytest.importorskip("veritas")
    folder = write_project(tmp_path, {"boosted": xgboost.XGBClassifier(n_estimators=8, max_depth=3, n_jobs=1)}, digits=2, train=150)
    made = tmp_path / "new.json"
    assert harden("adversarial-training", folder, "-o", made, "--rounds", "1", "--rows", "50") in (0, 1)
    assert json.loads(made.read_text())["learner"]
    assert harden("adversarial-training", folder, "-o", tmp_path / "new.skops") == 2
    assert ".json or .ubj" in capsys.readouterr().err


def test_interrupted_and_asked_again_it_ends_at_the_same_weights(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bartizan.adapters.estimators import load_estimator
    from bartizan.cli.progress import Line

    words = ("--asset", "net", "--rounds", "8", "--rows", "40")
    assert harden("adversarial-training", project, *words, "-o", tmp_path / "straight.skops") in (0, 1)

    def stop(_: Line, text: str) -> None:
        if text.startswith("round 5"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Line, "show", stop)
        assert harden("adversarial-training", project, *words, "-o", tmp_path / "m.skops") == 2
    assert not (tmp_path / "m.skops").exists()
    kept = tmp_path / ".m.skops.checkpoint"
    assert kept.is_file()
    assert harden("adversarial-training", project, *words, "--seed", "1", "-o", tmp_path / "m.skops") == 2  # another training's checkpoint
    seen: list[str] = []
    with monkeypatch.context() as patched:
        patched.setattr(Line, "show", lambda _, text: seen.append(text))
        assert harden("adversarial-training", project, *words, "-o", tmp_path / "m.skops") in (0, 1)
    assert seen[0].startswith("round 6")
    assert not kept.exists()
    straight, resumed = (load_estimator(tmp_path, tmp_path / name)[-1] for name in ("straight.skops", "m.skops"))
    assert all(np.array_equal(a, b) for a, b in zip(straight.coefs_, resumed.coefs_, strict=True))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "name one with --asset: net, linear, forest, kernel"),
        (("--asset", "nett"), "did you mean 'net'?"),
        (("--asset", "kernel"), "not read from inside"),
        (("--asset", "net", "--norm", "l2", "--eps", "-1"), "is not in the range 0.0<x"),
        (("--asset", "forest", "--norm", "l2"), "linf"),
    ],
)
def test_a_mistake_is_told_before_any_training(project: Path, tmp_path: Path, words: tuple[str, ...], says: str, capsys) -> None:
    assert harden("adversarial-training", project, "-o", tmp_path / "m.skops", *words) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("adversarial-training", "--rounds", "1"), ("compression", "--keep", "int8 weights")])
def test_the_model_itself_is_never_replaced(words: tuple[str, ...], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = next(model.uri for model in find(project).system.assets if model.id == "linear")
    assert uri is not None
    original = project / uri
    before = original.read_bytes()
    assert harden(words[0], project, *words[1:], "--asset", "linear", "--rows", "40", "-o", original, "--force") == 2
    assert "is the model 'linear' itself" in capsys.readouterr().err
    assert original.read_bytes() == before


def test_a_file_that_is_there_is_kept_unless_forced(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "m.skops"
    made.write_text("mine")
    words = ("--asset", "linear", "--rounds", "1", "--rows", "40", "-o", made)
    assert harden("adversarial-training", project, *words) == 2
    assert "is there already" in capsys.readouterr().err
    assert made.read_text() == "mine"
    assert harden("adversarial-training", project, *words, "--force") in (0, 1)
    assert made.read_bytes()[:2] == b"PK"
    assert harden("adversarial-training", project, "--asset", "linear", "-o", tmp_path / "no" / "m.skops") == 2
    assert "the folder is not there" in capsys.readouterr().err
