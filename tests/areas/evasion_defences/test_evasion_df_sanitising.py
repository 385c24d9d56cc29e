"""Sanitisers do what they say, and neither they nor a detector nor an ensemble look better under an attack that knows them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from defence_nets import cnn, fit  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from bartizan.areas.evasion.defences import detecting, ensembles, inner, measuring  # noqa: E402
from bartizan.areas.evasion.defences import sanitising as sn  # noqa: E402
from bartizan.model.errors import InputError, UnknownName  # noqa: E402

THREAT = inner.Threat(eps=0.1)


def fitted(digits, seed: int) -> nn.Module:
    return fit(cnn(seed, (12, 16), norm=False), digits[0][:1200], digits[1][:1200], epochs=8, rate=3e-3)


@pytest.fixture(scope="module")
def net(digits):
    return fitted(digits, 0)


def test_bit_depth_has_as_many_levels_as_it_says_and_is_idempotent(digits):
    x = torch.rand(50, 1, 8, 8)
    for bits in (1, 3, 5):
        squeezed = sn.bit_depth(bits).apply(x)
        assert len(squeezed.unique()) <= 2**bits
        assert torch.equal(sn.bit_depth(bits).apply(squeezed), squeezed)
        assert (squeezed - x).abs().max() <= 0.5 / (2**bits - 1) + 1e-6


def test_the_median_is_numpys_median_and_removes_a_lone_pixel():
    x = torch.rand(2, 1, 6, 6)
    filtered = sn.median(3).apply(x)
    assert filtered[1, 0, 2, 3] == pytest.approx(float(np.median(x[1, 0, 1:4, 2:5].numpy())))
    spot = torch.zeros(1, 3, 7, 7)
    spot[0, 1, 3, 3] = 1
    assert sn.median(3).apply(spot).abs().max() == 0


def test_gaussian_and_total_variation_smooth_and_keep_flat_images():
    flat, rough = torch.full((1, 3, 9, 9), 0.4), torch.rand(2, 3, 9, 9)
    for one in (sn.gaussian(1.0), sn.total_variation(0.2, 50)):
        assert torch.allclose(one.apply(flat), flat, atol=1e-5)
        smooth = one.apply(rough)
        assert smooth.shape == rough.shape
        change = lambda z: (z[:, :, 1:] - z[:, :, :-1]).abs().sum()  # noqa: E731
        assert change(smooth) < 0.8 * change(rough)
    impulse = torch.zeros(1, 1, 21, 21)
    impulse[0, 0, 10, 10] = 1
    spread = sn.gaussian(1.5).apply(impulse)[0, 0]
    assert spread.sum() == pytest.approx(1.0, abs=1e-5)
    assert spread[10, 11] / spread[10, 10] == pytest.approx(np.exp(-0.5 / 1.5**2), abs=1e-4)


def test_total_variation_lowers_its_own_objective_below_that_of_any_blend():
    """Rudin, Osher and Fatemi: the result minimises |z - x|^2 / 2 + weight TV(z)."""
    x, weight = torch.rand(1, 1, 10, 10), 0.15

    def objective(z):
        down, across = functional.pad(z[:, :, 1:] - z[:, :, :-1], (0, 0, 0, 1)), functional.pad(z[:, :, :, 1:] - z[:, :, :, :-1], (0, 1))
        return float(0.5 * ((z - x) ** 2).sum() + weight * (down**2 + across**2).sqrt().sum())

    best = objective(sn.total_variation(weight, 200).apply(x))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert best < objective(share * x + (1 - share) * x.mean())
    assert best <= min(objective(sn.gaussian(s).apply(x)) for s in (0.4, 0.7, 1.0, 1.5))


def test_jpeg_is_a_decoded_jpeg():
    pytest.importorskip("PIL")
    gentle, harsh = sn.jpeg(95), sn.jpeg(5)
    for channels in (1, 3):
        x = torch.rand(2, channels, 16, 16)
        x = functional.avg_pool2d(functional.pad(x, (1, 1, 1, 1), mode="reflect"), 3, 1)
        assert (gentle.apply(x) - x).abs().mean() < 0.06
        assert (harsh.apply(x) - x).abs().mean() > (gentle.apply(x) - x).abs().mean()
    with pytest.raises(InputError, match="channels"):
        gentle.apply(torch.rand(1, 2, 8, 8))


def test_the_model_behind_a_step_answers_truly_and_has_the_stand_ins_gradient(net, digits):
    x = digits[0][:8].clone().requires_grad_()
    for one in (sn.bit_depth(2), sn.median(3), sn.gaussian(0.8), sn.total_variation(0.1), sn.chain(sn.median(3), sn.bit_depth(3))):
        defended = sn.Defended(net, one)
        logits = defended(x)
        assert torch.allclose(logits, net(one.apply(x.detach())), atol=1e-5)
        (slope,) = torch.autograd.grad(logits.sum(), x)
        assert slope.abs().sum() > 0


def test_naive_flatters_and_adaptive_does_not(net, digits):
    """3-bit squeezing is nearly free of effect once the attack differentiates past it (He et al., WOOT 2017; Athalye et al., 2018)."""
    x, y = digits[0][1300:1450], digits[1][1300:1450]
    for one in (sn.bit_depth(3), sn.median(2), sn.jpeg(75)):
        found = sn.measure_sanitiser(net, one, x, y, THREAT)
        assert found.adaptive.value <= min(found.naive.value, found.transfer.value) <= found.clean.value
        assert found.adaptive.value <= found.bare_robust.value + 0.1
        assert found.bare_clean.value > 0.9
        if one.name != "median 2x2":
            assert found.naive.value > found.adaptive.value + 0.3  # rounding has no gradient: a blind attack finds next to nothing
    assert found.naive.n == 150


def test_over_levels_stays_inside_and_finds_what_an_exhaustive_search_finds():
    """One bit and three values: the ball reaches the levels of those within eps of the threshold; a linear model shows the optimum."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    x, threat = torch.rand(200, 1, 2, 2), inner.Threat(eps=0.2)
    squeeze = sn.bit_depth(1)
    defended = sn.Defended(net, squeeze)
    y = defended(x).argmax(1)
    found = sn.over_levels(defended, x, y, threat)
    assert (found - x).abs().max() <= 0.2 + 1e-6
    low, high = squeeze.apply((x - 0.2).clamp(0, 1)), squeeze.apply((x + 0.2).clamp(0, 1))
    evadable = torch.zeros(200, dtype=torch.bool)
    for corner in torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).reshape(-1, 1, 2, 2):
        evadable |= net(low + corner * (high - low)).argmax(1) != y
    evaded = defended(found).argmax(1) != y
    assert not (evaded & ~evadable).any()
    assert (evaded == evadable).float().mean() >= 0.99


def test_a_random_step_is_attacked_through_its_mean(net, digits):
    x, y = digits[0][1300:1360], digits[1][1300:1360]
    found = sn.measure_sanitiser(net, sn.noise(0.15), x, y, inner.Threat(eps=0.15), draws=4)
    assert found.adaptive.value <= found.transfer.value
    assert found.adaptive.value <= found.bare_robust.value + 0.25


def test_a_detectors_recall_falls_when_the_attack_knows_it(net, digits):
    x, y = digits
    detector = detecting.fit_detector(net, [sn.bit_depth(2), sn.median(2)], x[1200:1500])
    assert detector.detects(x[1200:1500]).float().mean() <= 0.05 + 1e-6
    found = detecting.measure_detector(detector, x[1500:1620], y[1500:1620], THREAT)
    assert found.false_alarms.value <= 0.15
    assert found.adaptive_recall.value < found.naive_recall.value
    assert found.adaptive_robust.value <= found.naive_robust.value
    with pytest.raises(InputError, match="random"):
        detecting.fit_detector(net, [sn.noise(0.1)], x[:100])
    with pytest.raises(InputError, match="squeezer"):
        detecting.fit_detector(net, [], x[:100])


def test_an_ensemble_is_measured_against_all_of_its_members(net, digits):
    x, y = digits[0][1300:1400], digits[1][1300:1400]
    members = [net, fitted(digits, 1), fitted(digits, 2)]
    for rule in ensembles.RULES:
        found = ensembles.measure_ensemble(ensembles.Ensemble(members, rule), x, y, inner.Threat(eps=0.08))
        assert found.adaptive.value <= found.naive.value <= found.clean.value
        assert found.adaptive.value <= max(one.value for one in found.members) + 0.2
        assert len(found.members) == 3
    votes = ensembles.Ensemble(members, "vote")(x)
    agreed = torch.stack([m(x).argmax(1) for m in members]).mode(0).values
    assert (votes.argmax(1) == agreed).float().mean() > 0.97
    with pytest.raises(UnknownName, match="rule"):
        ensembles.Ensemble(members, "votes")


def test_the_engine_measures_through_the_same_door(net, digits):
    x, y = digits[0][1300:1340], digits[1][1300:1340]
    own = measuring.attacked(net, x, y, THREAT, measuring.own_attack)
    engine = measuring.attacked(net, x, y, THREAT, measuring.engine_attack(diagnose=False))
    assert (engine - x).abs().max() <= 0.1 + 1e-6
    assert int(measuring.stands(net, engine, y).sum()) <= int(measuring.stands(net, own, y).sum()) + 1


def test_wrong_settings_are_named():
    for make in (
        lambda: sn.bit_depth(0),
        lambda: sn.median(1),
        lambda: sn.gaussian(0),
        lambda: sn.total_variation(0),
        lambda: sn.noise(-1),
    ):
        with pytest.raises(InputError):
            make()
