"""Weights beside a reference: equal across formats, one number found, an adapter told by its rank; outliers planted and absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bartizan.areas.artefacts.weights import differences, outliers
from bartizan.cli.app import run

Weights = dict[str, np.ndarray]


@pytest.fixture
def weights() -> Weights:
    random = np.random.default_rng(0)
    return {"a.weight": random.normal(size=(64, 32)).astype(np.float32), "a.bias": np.zeros(64, dtype=np.float32)}


def saved(path: Path, weights: Weights) -> Path:
    np.savez(path, **weights)
    return path


def test_the_same_numbers_in_another_format_do_not_differ(tmp_path: Path, weights: Weights) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"state_dict": {k: torch.from_numpy(v) for k, v in weights.items()}}, tmp_path / "m.pt")
    assert differences(tmp_path / "m.pt", saved(tmp_path / "m.npz", weights)) == ()


def test_one_number(tmp_path: Path, weights: Weights) -> None:
    changed = {k: v.copy() for k, v in weights.items()}
    changed["a.weight"][3, 4] += 0.5
    (found,) = differences(saved(tmp_path / "new.npz", changed), saved(tmp_path / "old.npz", weights))
    assert (found.tensor, found.state, found.share) == ("a.weight", "changed", 1 / (64 * 32))
    assert found.largest == pytest.approx(0.5, abs=1e-6)


def test_a_merged_adapter_has_a_small_rank(tmp_path: Path, weights: Weights) -> None:
    random = np.random.default_rng(1)
    tuned = weights | {"a.weight": weights["a.weight"] + (random.normal(size=(64, 2)) @ random.normal(size=(2, 32))).astype(np.float32)}
    (found,) = differences(saved(tmp_path / "new.npz", tuned), saved(tmp_path / "old.npz", weights))
    assert found.rank == 2
    retrained = weights | {"a.weight": random.normal(size=(64, 32)).astype(np.float32)}
    (found,) = differences(saved(tmp_path / "other.npz", retrained), tmp_path / "old.npz")
    assert found.rank is None


def test_shapes_and_names(tmp_path: Path, weights: Weights) -> None:
    other = {"a.weight": weights["a.weight"][:32], "b": weights["a.bias"]}
    found = {d.tensor: d.state for d in differences(saved(tmp_path / "new.npz", other), saved(tmp_path / "old.npz", weights))}
    assert found == {"a.weight": "reshaped", "a.bias": "removed", "b": "added"}


def test_outliers(tmp_path: Path, weights: Weights) -> None:
    assert outliers(saved(tmp_path / "clean.npz", weights)) == ()
    weights["a.weight"][7] *= 10
    (found,) = outliers(saved(tmp_path / "planted.npz", weights))
    assert (found.tensor, found.row) == ("a.weight", 7)


def test_command(tmp_path: Path, weights: Weights, capsys: pytest.CaptureFixture[str]) -> None:
    path, other = saved(tmp_path / "a.npz", weights), saved(tmp_path / "b.npz", weights | {"a.bias": np.ones(64, dtype=np.float32)})
    assert run(["scan", "weights", str(path)]) == 0
    assert run(["scan", "weights", str(path), "--reference", str(path)]) == 0
    assert run(["scan", "weights", str(other), "--reference", str(path), "--format", "json"]) == 1
    assert "a.bias" in capsys.readouterr().out
