"""`attack` on real small nets: known answers, promises of every returned example, and the cost."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import bartizan.evasion as evasion  # noqa: E402

from bartizan.areas.evasion.norms import size  # noqa: E402

RADII = {"linf": 0.15, "l2": 0.6, "l1": 3.0, "l0": 4}


def test_importing_the_room_loads_no_torch() -> None:
    code = "import sys, bartizan, bartizan.evasion as e; e.Result; assert bartizan.evasion is e; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
def test_every_example_keeps_radius_and_range_and_evades(hard: Any, held_out: tuple[Any, Any], norm: str) -> None:
    x, y = held_out
    result = evasion.attack(hard, x, y, norm=norm, eps=RADII[norm])
    one = result.at[0]
    assert one.adversarial.shape == x.shape
    assert one.adversarial.dtype == x.dtype
    delta = (one.adversarial.double() - x.double()).reshape(len(x), -1).numpy()
    assert (size(delta, norm) <= RADII[norm] + 1e-6).all()
    assert one.adversarial.min() >= 0
    assert one.adversarial.max() <= 1
    with torch.no_grad():
        right = hard(one.adversarial).argmax(1) == y
    assert int(right.sum()) == one.robust
    assert [o == "robust" for o in one.outcomes] == right.tolist()
    assert result.trust.ok, result.trust
    assert one.interval[0] < one.robust_accuracy < one.interval[1]


CLOSED = [
    ("linf", "fmn", 1.001),
    ("l2", "fmn", 1.001),
    ("l1", "fmn", 1.02),
    ("l1", "pulled", 1.02),
    ("l2", "pulled", 1.001),
    ("linf", "deepfool", 1.03),
    ("l2", "deepfool", 1.03),
    ("l2", "cw", 1.4),
]


@pytest.mark.parametrize(("norm", "strategy", "worst"), CLOSED)
def test_minimum_norm_on_a_linear_model_is_the_closed_form(norm: str, strategy: str, worst: float) -> None:
    """Distance to a hyperplane = |f| / dual norm of w (Boyd and Vandenberghe, Convex Optimization, ex. 2.5)."""
    torch.manual_seed(0)
    model = torch.nn.Linear(20, 2)
    x = torch.rand(40, 20) * 0.2 + 0.4
    y = model(x).argmax(1)
    w = (model.weight[0] - model.weight[1]).detach().numpy()
    gap = (model(x)[:, 0] - model(x)[:, 1]).abs().detach().numpy()
    exact = gap / {"linf": np.abs(w).sum(), "l2": np.linalg.norm(w), "l1": np.abs(w).max()}[norm]
    found = evasion.minimum_norm(model, x, y, norm=norm, strategy=strategy, bounds=(-5.0, 5.0))
    assert found.robust_accuracy == 0
    assert (found.at[0].distances >= exact * (1 - 1e-4)).all()
    assert (found.at[0].distances <= exact * worst).all()


def test_cascade_on_a_linear_model_breaks_exactly_what_can_be_broken() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(20, 2)
    x = torch.rand(60, 20) * 0.2 + 0.4
    y = model(x).argmax(1)
    w = (model.weight[0] - model.weight[1]).detach()
    exact = ((model(x)[:, 0] - model(x)[:, 1]).abs() / w.abs().sum()).detach().numpy()
    radii = (0.02, 0.05, 0.1)
    result = evasion.attack(model, x, y, eps=radii, bounds=(-5.0, 5.0))
    for one in result.at:
        assert one.robust == int((exact >= one.eps).sum())


def test_weak_net_falls_at_few_passes(weak: Any, held_out: tuple[Any, Any]) -> None:
    result = evasion.attack(weak, *held_out, eps=0.3)
    assert result.robust_accuracy <= 0.01
    assert result.passes.backwards_per_image <= 6
    assert result.trust.ok


def test_larger_radius_is_never_more_robust_and_seeds_repeat(hard: Any, held_out: tuple[Any, Any]) -> None:
    x, y = held_out[0][:50], held_out[1][:50]
    radii = (0.25, 0.0, 0.05, 0.15, 0.05)
    first, second = (evasion.attack(hard, x, y, eps=radii, seed=3) for _ in range(2))
    rates = [rate for _, rate in first.curve()]
    assert [one.eps for one in first.at] == [0.0, 0.05, 0.15, 0.25]
    assert rates == sorted(rates, reverse=True)
    assert first.at[0].robust_accuracy == first.clean_accuracy
    for one, other in zip(first.at, second.at, strict=True):
        assert torch.equal(one.adversarial, other.adversarial)


def test_the_cascade_is_no_weaker_than_apgd_or_pgd(hard: Any, held_out: tuple[Any, Any]) -> None:
    rates = {
        s: evasion.attack(hard, *held_out, eps=0.15, strategy=s).robust_accuracy for s in ("cascade", "apgd-ce", "apgd-dlr", "pgd", "fgsm")
    }
    assert rates["cascade"] <= min(rates.values())
    assert rates["pgd"] <= rates["fgsm"]


def test_numpy_in_numpy_out_and_the_model_is_left_as_it_was(hard: Any, held_out: tuple[Any, Any]) -> None:
    x, y = held_out[0][:20].double().numpy(), held_out[1][:20].numpy()
    hard.train()
    before = [p.requires_grad for p in hard.parameters()]
    state = torch.random.get_rng_state()
    result = evasion.attack(hard, x, y, eps=0.15)
    assert hard.training
    assert [p.requires_grad for p in hard.parameters()] == before
    assert torch.equal(torch.random.get_rng_state(), state)
    assert any("training mode" in note for note in result.trust.notes)
    hard.eval()
    assert isinstance(result.adversarial, np.ndarray)
    assert result.adversarial.dtype == np.float64


def test_passes_are_counted_as_hooks_count_them(hard: Any, held_out: tuple[Any, Any]) -> None:
    seen = [0]
    hook = hard.register_forward_hook(lambda module, inputs, output: seen.__setitem__(0, seen[0] + len(output)))
    result = evasion.attack(hard, *held_out, eps=0.15)
    hook.remove()
    assert result.passes.forwards <= seen[0] <= result.passes.forwards + 64


def test_normalisation_inside_the_call_is_the_same_model(hard: Any, held_out: tuple[Any, Any]) -> None:
    x, y = held_out[0][:40], held_out[1][:40]
    scaled = torch.nn.Sequential(hard)
    shifted = lambda z: hard(z * 0.5 + 0.2)  # noqa: E731
    plain = evasion.attack(scaled, x, y, eps=0.1)
    normal = evasion.attack(shifted, x, y, eps=0.1, mean=[0.2], std=[0.5])
    assert plain.robust_accuracy == normal.robust_accuracy


def test_universal_and_patch_fool_a_weak_net_on_unseen_images(weak: Any, digits: tuple[Any, Any]) -> None:
    x, y = digits[0][1000:1300], digits[1][1000:1300]
    everywhere = evasion.universal(weak, x, y, eps=0.3)
    assert np.abs(everywhere.values).max() <= 0.3 + 1e-6
    assert everywhere.rate >= 0.4
    pasted = evasion.patch(weak, x, y, size=(4, 4))
    assert pasted.values.shape == (1, 4, 4)
    assert pasted.rate >= 0.4
    assert pasted.interval[0] < pasted.rate
