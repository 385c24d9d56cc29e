"""Compression: the copies are what they say, and the gate looks at robustness though clean accuracy may rise."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
from defence_nets import cnn  # noqa: E402
from torch import nn  # noqa: E402

from bartizan.areas.evasion.defences import compressing as cp  # noqa: E402
from bartizan.areas.evasion.defences import drop as dp  # noqa: E402
from bartizan.areas.evasion.defences.inner import Threat  # noqa: E402
from bartizan.areas.evasion.defences.trainer import Plan, train  # noqa: E402
from bartizan.areas.evasion.defences.training import Recipe  # noqa: E402
from bartizan.model.errors import InputError  # noqa: E402
from bartizan.model.findings import Verdict  # noqa: E402

THREAT = Threat(eps=0.1)


@pytest.fixture(scope="module")
def hardened(digits):
    return train(cnn(widths=(16, 16)), digits[0][:1200], digits[1][:1200], Recipe(threat=THREAT), Plan(epochs=8, batch=64)).model


def test_pruned_weights_are_the_smallest_and_the_original_is_untouched(hardened):
    before = {name: value.clone() for name, value in hardened.state_dict().items()}
    pruned = cp.prune_magnitude(hardened, 0.6)
    old = torch.cat([m.weight.flatten() for m in hardened.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]).abs()
    new = torch.cat([m.weight.flatten() for m in pruned.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]).abs()
    assert float((new == 0).float().mean()) == pytest.approx(0.6, abs=0.001)
    assert old[new == 0].max() <= old[new > 0].min()
    assert torch.equal(new[new > 0], old[new > 0])
    assert all(torch.equal(before[name], value) for name, value in hardened.state_dict().items())


def test_a_pruned_channel_answers_as_if_it_were_cut_out(hardened, digits):
    x = digits[0][:20]
    pruned = cp.prune_channels(hardened, 0.25)
    kept = torch.nonzero(pruned[0].weight.flatten(1).abs().sum(1)).flatten()
    assert len(kept) == 12
    cut = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, 2, 1)).eval()
    with torch.no_grad():
        cut[0].weight.copy_(pruned[0].weight[kept])
        cut[0].bias.copy_(pruned[0].bias[kept])
        for name in ("weight", "bias", "running_mean", "running_var"):
            getattr(cut[1], name).copy_(getattr(pruned[1], name)[kept])
        cut[3].weight.copy_(pruned[3].weight[:, kept])
        cut[3].bias.copy_(pruned[3].bias)
        assert torch.allclose(cut(x), pruned[:4](x), atol=1e-5)
    assert pruned[6].weight.abs().sum(1).min() > 0  # the last layer keeps its outputs


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantised_weights_lie_on_a_symmetric_grid(hardened, bits):
    for per_channel in (True, False):
        weight = cp.quantise(hardened, bits, per_channel=per_channel)[3].weight.detach()
        old = hardened[3].weight.detach()
        most = old.flatten(1).abs().amax(1) if per_channel else old.abs().max().expand(16)
        steps = weight / (most / (2 ** (bits - 1) - 1)).reshape(-1, 1, 1, 1)
        assert (steps - steps.round()).abs().max() < 1e-3
        assert steps.round().abs().max() <= 2 ** (bits - 1) - 1
        assert ((weight - old).abs().flatten(1).amax(1) <= 0.5001 * most / (2 ** (bits - 1) - 1) + 1e-7).all()


def test_dynamic_quantisation_rounds_each_image_by_itself_and_keeps_a_gradient(hardened, digits):
    x = digits[0][:10].clone().requires_grad_()
    dynamic = cp.quantise(hardened, 8, dynamic=True)
    together, alone = dynamic(x), torch.cat([dynamic(x[i : i + 1]) for i in range(10)])
    assert torch.allclose(together, alone, atol=1e-4)
    assert not torch.equal(together, cp.quantise(hardened, 8)(x))
    assert (together - hardened(x)).abs().max() < 1.0
    (slope,) = torch.autograd.grad(together.sum(), x)
    assert slope.abs().max() > 0


def test_the_table_and_the_gate_on_real_versions(hardened, digits):
    x, y = digits[0][1200:1600], digits[1][1200:1600]
    table = cp.compare(hardened, {"same": hardened, "int8": cp.quantise(hardened, 8), "int2": cp.quantise(hardened, 2, per_channel=False)},
                       x, y, THREAT)  # fmt: skip
    same, _, int2 = table.after
    assert same.lost == same.gained == 0
    assert table.before.robust.value <= table.before.clean.value
    rulings = {one.name: one.verdict for one in dp.drop_gate(table, tolerance=0.05)}
    assert rulings["same"] is Verdict.PASS
    assert rulings["int8"] is not Verdict.FAIL
    assert rulings["int2"] is Verdict.FAIL
    assert int2.drop > 0.05
    assert len(str(table).splitlines()) == 5


def counts(before: int, after: int, lost: int, n: int = 1000, clean_gain: int = 5) -> dp.Comparison:
    """A table with these many robust images; clean accuracy rises by `clean_gain` images."""
    old = [image < before for image in range(n)]
    new = [lost <= image < lost + after for image in range(n)]
    row = dp.version("q", 900 + clean_gain, old, new)
    return dp.Comparison(before=dp.version("original", 900, old, old), after=(row,), eps=0.1, norm="linf")


def test_the_gate_fails_on_the_drop_though_clean_accuracy_rises():
    (ruling,) = dp.drop_gate(counts(700, 660, lost=45))
    assert ruling.verdict is Verdict.FAIL
    assert "clean +0.5 points" in ruling.why
    assert "-4.0 points" in ruling.why
    assert dp.drop_gate(counts(700, 700, lost=0))[0].verdict is Verdict.PASS
    assert dp.drop_gate(counts(700, 720, lost=3))[0].verdict is Verdict.PASS
    assert dp.drop_gate(counts(700, 690, lost=60))[0].verdict is Verdict.INCONCLUSIVE
    assert dp.drop_gate(counts(700, 697, lost=3), tolerance=0.0)[0].verdict is Verdict.INCONCLUSIVE  # 3 of 3 may be chance: p = 0.125


def test_the_sign_test_is_exact():
    for n in (1, 5, 12):
        for k in range(n + 1):
            assert dp.sign_test(k, n) == pytest.approx(sum(math.comb(n, i) for i in range(k, n + 1)) / 2**n)


def test_wrong_settings_are_named(hardened):
    for make in (
        lambda: cp.quantise(hardened, 1),
        lambda: cp.prune_magnitude(hardened, 1.0),
        lambda: cp.prune_channels(hardened, -0.1),
        lambda: cp.quantise(nn.ReLU(), 8),
        lambda: dp.drop_gate(counts(1, 1, 0), tolerance=1.0),
    ):
        with pytest.raises(InputError):
            make()
    assert len(cp.standard_versions(hardened)) == 8


@pytest.mark.parametrize(
    ("gained", "lost", "doubts", "verdict"),
    [
        (0, 0, ("", ""), Verdict.FAIL),
        (20, 30, ("", ""), Verdict.FAIL),
        (4, 0, ("", ""), Verdict.INCONCLUSIVE),  # 4 of 4 may be chance: p = 0.0625
        (5, 0, ("", ""), Verdict.PASS),  # p = 0.03125
        (5, 0, ("", "not trustworthy"), Verdict.INCONCLUSIVE),
        (20, 30, ("not trustworthy", ""), Verdict.INCONCLUSIVE),  # the bare net may be weaker than it looked
    ],
)
def test_a_defence_is_judged_by_what_it_gained_beyond_chance(gained, lost, doubts, verdict):
    before = [True] * (40 + lost) + [False] * (60 + gained)
    after = [True] * 40 + [False] * (lost + 60) + [True] * gained
    bare = dp.version("bare", 90, before, before, doubts[0])
    ruling = dp.gain_gate(bare, dp.version("behind it", 90, before, after, doubts[1]))
    assert ruling.verdict is verdict
    assert ruling.p == pytest.approx(sum(math.comb(gained + lost, k) for k in range(gained, gained + lost + 1)) / 2 ** (gained + lost))
