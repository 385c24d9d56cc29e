"""Models that round their inputs: the bins are read off the model, and on a linear model the choice of bins is exactly the best one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import bartizan.evasion as evasion  # noqa: E402

from bartizan.adapters.torch_models import TorchModel  # noqa: E402
from bartizan.areas.evasion.norms import Space  # noqa: E402
from bartizan.areas.evasion.whitebox.staircase import over_bins, stairs_of  # noqa: E402

STEPS: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "3 bits": (lambda x: (x * 7).round() / 7, [(k + 0.5) / 7 for k in range(7)]),
    "cut into 4": (lambda x: (x * 4).floor().clamp(max=3) / 4, [0.25, 0.5, 0.75]),
    "threshold": (lambda x: (x > 0.5).float(), [0.5]),
}


def whole() -> Space:
    return Space(norm="linf", low=torch.zeros(1), high=torch.ones(1))


@pytest.mark.parametrize("name", STEPS)
def test_edges_are_read_off_the_model(weak: Any, held_out: tuple[Any, Any], name: str) -> None:
    step, edges = STEPS[name]
    target = TorchModel(lambda z: weak(step(z)), held_out[0])
    found = stairs_of(target, target.rows(held_out[0]), whole())
    assert found is not None
    assert found.above[:, 0].tolist() == pytest.approx(edges, abs=1e-5)


def test_a_model_that_does_not_round_has_no_bins(weak: Any, held_out: tuple[Any, Any]) -> None:
    target = TorchModel(weak, held_out[0])
    assert stairs_of(target, target.rows(held_out[0]), whole()) is None


@pytest.mark.parametrize("name", STEPS)
def test_on_a_linear_model_exactly_what_some_choice_of_bins_breaks_is_broken(name: str) -> None:
    """Each value contributes on its own: the least margin is the sum of the least contributions over the bins that it reaches."""
    step, eps = STEPS[name][0], 0.06
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(30, 2), torch.rand(200, 30)
    y = layer(step(x)).argmax(1)
    w = layer.weight[1] - layer.weight[0]
    side = torch.where(y == 1, 1.0, -1.0)[:, None]
    ends = torch.stack([step((x - eps).clamp(0, 1)), step((x + eps).clamp(0, 1))])
    least = (side * w * ends).amin(0).sum(1) + side[:, 0] * (layer.bias[1] - layer.bias[0])
    result = evasion.attack(lambda z: layer(step(z)), x, y, eps=eps)
    assert result.at[0].robust == int((least > 0).sum())
    assert 0 < result.at[0].robust < 200
    assert any("levels" in rung for rung in result.trust.escalations)


def test_what_is_found_lies_in_the_ball_and_beats_the_straight_through_attack(weak: Any, held_out: tuple[Any, Any]) -> None:
    x, y = held_out
    target = TorchModel(lambda z: weak((z * 7).round() / 7), x)
    target.repair = True
    rows = target.rows(x)
    with target.session(0):
        stairs = stairs_of(target, rows, whole())
        assert stairs is not None
        found = over_bins(target, rows, y, target.logits(rows), stairs.within(0.05), targets=3, seed=0, batch=128)
        assert float((found - rows).abs().max()) <= 0.05 + 1e-6
        assert float(found.min()) >= 0
        assert float(found.max()) <= 1
        left = int((target.decide(found) == y).sum())
    straight = evasion.attack(lambda z: weak(z + ((z * 7).round() / 7 - z).detach()), x, y, eps=0.05, diagnose=False)
    assert left <= straight.at[0].robust
