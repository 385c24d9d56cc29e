"""Randomised smoothing: against the closed form of linear classifiers, at the very threshold, and against an attack that knows it."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
from sklearn.datasets import load_digits  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from bartizan.areas.evasion.certificates import smoothing as sm  # noqa: E402
from bartizan.model.errors import InputError  # noqa: E402


def coin(rate: float, seed: int) -> sm.Sampler:
    """A base classifier that answers class 1 with this probability."""
    dice = torch.Generator().manual_seed(seed)
    return lambda n: (torch.rand(n, generator=dice) < rate).long()


def test_the_observed_error_over_500_points_at_the_threshold_is_at_most_alpha():
    """The hardest case: the class has exactly the probability of the radius, so CERTIFIED and NOT are both a hair from false."""
    sigma, radius, alpha = 0.25, 0.25, 0.05
    rate = sm.threshold(radius, sigma)
    assert rate == pytest.approx(0.8413447460685429)  # the normal distribution function at 1
    found = [sm.decide_radius(coin(rate, seed), sigma, radius, 1, alpha=alpha, budget=3000) for seed in range(500)]
    assert sum(one.decision is sm.Decision.CERTIFIED for one in found) <= alpha * 500
    assert sum(one.decision is sm.Decision.NOT for one in found) <= alpha * 500


def test_a_linear_classifier_is_certified_up_to_its_distance_and_no_further():
    """Under isotropic noise the smoothed linear classifier is itself, the radius its distance (Cohen et al., section 3)."""
    weight = torch.tensor([3.0, 4.0])
    model = lambda rows: torch.stack([torch.zeros(len(rows)), rows @ weight], 1)  # noqa: E731
    x = torch.tensor([0.6, 0.8])  # at distance 1 from the boundary
    for radius, decision in ((0.5, sm.Decision.CERTIFIED), (0.9, sm.Decision.CERTIFIED), (1.1, sm.Decision.NOT), (1.5, sm.Decision.NOT)):
        assert sm.decide_radius(sm.noisy(model, x, 0.5, seed=1), 0.5, radius, 1).decision is decision
    fixed = sm.certify_fixed(sm.noisy(model, x, 0.5, seed=1), 0.5, samples=20_000)
    assert fixed.label == 1
    assert 0.9 < fixed.radius <= 1.0
    assert sm.predict(sm.noisy(model, x, 0.5, seed=3)).label == 1
    assert sm.predict(sm.noisy(model, torch.zeros(2), 0.5, seed=3), budget=500).label is None
    assert sm.certify_fixed(sm.noisy(model, torch.zeros(2), 0.5, seed=3), 0.5, samples=500).label is None


def test_an_easy_decision_takes_a_small_part_of_a_fixed_plan():
    for rate, most in ((1.0, 600), (0.5, 60), (0.2, 30)):
        found = sm.decide_radius(coin(rate, 0), 0.25, 0.5, 1)
        assert found.samples <= most
        assert found.decision is (sm.Decision.CERTIFIED if rate == 1.0 else sm.Decision.NOT)
    assert sm.decide_radius(coin(1.0, 0), 0.1, 5.0, 1).decision is sm.Decision.OPEN  # no finite sample reaches fifty deviations


def test_the_same_seed_gives_the_same_counts_and_batches_do_not_matter():
    net = nn.Linear(4, 3)
    x = torch.rand(4)
    one, other = sm.noisy(net, x, 0.3, seed=7, batch=64), sm.noisy(net, x, 0.3, seed=7, batch=64)
    assert torch.equal(one(100), other(100))
    net.train()
    one(5)
    assert net.training
    with pytest.raises(InputError, match="sigma"):
        sm.noisy(net, x, 0.0)
    with pytest.raises(InputError, match="radius"):
        sm.decide_radius(one, 0.3, -1.0, 0)


def test_no_certified_radius_is_broken_by_two_hundred_steps_against_the_smoothed_classifier():
    """The attack of Salman et al. (NeurIPS 2019): PGD in l2 on the mean probability over noise that is drawn anew at every step."""
    torch.set_num_threads(1)
    data, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(data / 16.0, dtype=torch.float32), torch.tensor(labels)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(15):
        for i in torch.randperm(1400).split(64):
            loss = functional.cross_entropy(net(x[i] + 0.25 * torch.randn_like(x[i])), y[i])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    sigma, radius, clean, truth = 0.25, 0.3, x[1500:1540], y[1500:1540]
    found = sm.certify_smoothed(net, clean, truth, sigma=sigma, radius=radius)
    assert 0.3 <= found.accuracy <= 1.0
    sure = torch.tensor([one.decision is sm.Decision.CERTIFIED for one in found.decisions])
    start, aim = clean[sure], truth[sure]
    delta = torch.zeros_like(start)
    for _ in range(200):
        delta.requires_grad_()
        noise = sigma * torch.randn(16, *start.shape)
        mean = net(start + delta + noise).softmax(-1).mean(0)
        (slope,) = torch.autograd.grad(mean.gather(1, aim[:, None]).clamp_min(1e-9).log().sum(), delta)
        delta = delta.detach() - 0.05 * slope / slope.norm(dim=1, keepdim=True).clamp_min(1e-12)
        delta = delta * (radius / delta.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp_max(1.0)
    for image, label in zip(start + delta, aim.tolist(), strict=True):
        counts = sm.noisy(net, image, sigma, seed=99)(2000).bincount(minlength=10)
        assert int(counts.argmax()) == label
    assert math.isclose(found.samples, sum(one.samples for one in found.decisions))
