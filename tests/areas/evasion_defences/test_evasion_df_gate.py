"""The sequential gate: how often it errs, how soon it decides, and that it asks for no more than it needs."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from bartizan.areas.evasion.gate import decide, gate, gate_model
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.findings import Verdict
from bartizan.model.sequential import log_evidence_near, near_lower, near_upper


def simulated(rate: float, threshold: float, runs: int, images: int, *, whole: bool = False) -> list:
    found = []
    for run in range(runs):
        dice = random.Random(run)
        if whole:
            outcomes = [i < round(rate * images) for i in range(images)]
            dice.shuffle(outcomes)
        else:
            outcomes = [dice.random() < rate for _ in range(images)]
        found.append(decide(outcomes, threshold, size=images if whole else None))
    return found


def test_a_thousand_gates_exactly_at_the_threshold_fail_at_most_one_in_twenty():
    found = simulated(0.67, 0.67, 1000, 300)
    assert sum(g.verdict is Verdict.FAIL for g in found) <= 50  # "at least 0.67" is true
    assert sum(g.verdict is Verdict.PASS for g in found) <= 50  # and a hair below the threshold this would be the error


def test_a_gap_of_seventeen_points_needs_at_most_seventy_images_in_the_median():
    for rate, threshold in ((0.67, 0.5), (0.5, 0.67), (0.84, 0.67), (0.33, 0.5)):
        found = simulated(rate, threshold, 200, 1000)
        assert statistics.median(g.tried for g in found) <= 70
        wrong = Verdict.FAIL if rate > threshold else Verdict.PASS
        assert sum(g.verdict is wrong for g in found) <= 10


def test_about_the_set_the_last_image_always_decides_and_rarely_wrongly():
    for rate in (0.65, 0.67, 0.69):
        found = simulated(rate, 0.67, 100, 300, whole=True)
        wrong = Verdict.FAIL if rate >= 0.67 else Verdict.PASS
        assert all(g.verdict is not Verdict.INCONCLUSIVE for g in found)
        assert sum(g.verdict is wrong for g in found) <= 5


@pytest.mark.parametrize("robust", range(11))
def test_a_set_read_to_its_end_is_counted_exactly(robust):
    outcomes = [i < robust for i in range(10)]
    random.Random(robust).shuffle(outcomes)
    assert decide(outcomes, 0.5, confidence=1 - 1e-9, size=10).verdict is (Verdict.PASS if robust >= 5 else Verdict.FAIL)


def test_evidence_has_mean_at_most_one_under_the_hypothesis():
    """Ville's inequality rests on it: the mean of the evidence over all outcomes of n trials at the hypothesis is exactly 1."""
    for rate in (0.1, 0.5, 0.93):
        mean = math.fsum(math.comb(12, k) * rate**k * (1 - rate) ** (12 - k) * math.exp(log_evidence_near(k, 12, rate)) for k in range(13))
        assert mean == pytest.approx(1.0, abs=1e-9)
        above = min(0.999, rate + 0.05)
        less = math.fsum(
            math.comb(12, k) * above**k * (1 - above) ** (12 - k) * math.exp(log_evidence_near(k, 12, rate)) for k in range(13)
        )
        assert less < 1.0


def test_bounds_of_the_near_mixture_agree_with_its_evidence():
    high = near_upper(3, 60)
    assert log_evidence_near(3, 60, high) == pytest.approx(math.log(20), abs=1e-6)
    assert near_lower(57, 60) == pytest.approx(1 - high)
    assert near_upper(60, 60) == 1.0
    assert near_lower(0, 0) == 0.0


def test_the_gate_attacks_in_batches_each_image_once_and_spends_nothing_on_known_ones():
    asked: list[int] = []

    def stands(indices):
        assert len(indices) <= 8
        asked.extend(indices)
        return [False] * len(indices)

    found = gate(stands, 500, 0.6, batch=8, known=dict.fromkeys(range(250), False))
    assert found.verdict is Verdict.FAIL
    assert len(asked) == len(set(asked)) == found.attacked < found.tried + 8
    assert min(asked) >= 250
    assert found.high < 0.6
    everything_known = gate(stands, 100, 0.6, known=dict.fromkeys(range(100), True))
    assert everything_known.verdict is Verdict.PASS
    assert everything_known.attacked == 0


def test_the_same_seed_asks_for_the_same_images():
    orders = []
    for seed in (1, 1, 2):
        asked: list[int] = []
        gate(lambda indices, asked=asked: [asked.append(i) or True for i in indices], 100, 0.5, seed=seed)
        orders.append(asked)
    assert orders[0] == orders[1] != orders[2]


def test_what_cannot_be_decided_says_so_and_wrong_arguments_too():
    assert decide([True, False] * 10, 0.5).verdict is Verdict.INCONCLUSIVE
    assert decide([], 0.5).tried == 0
    with pytest.raises(InputError, match="threshold"):
        decide([True], 1.0)
    with pytest.raises(UnknownName, match="population"):
        gate(lambda i: [True] * len(i), 5, 0.5, about="populace")
    with pytest.raises(InputError, match="answered"):
        gate(lambda i: [], 5, 0.5)


@pytest.mark.slow
def test_a_thousand_gates_of_a_thousand_images_at_the_threshold():
    for whole in (False, True):
        found = simulated(0.67, 0.67, 1000, 1000, whole=whole)
        assert sum(g.verdict is Verdict.FAIL for g in found) <= 50


def test_a_model_is_gated_by_the_engine_and_an_untrusted_attack_passes_nobody():
    torch = pytest.importorskip("torch")
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    data, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(data / 16.0, dtype=torch.float32), torch.tensor(labels)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(net(x[:1200]), y[:1200])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    broken = gate_model(net, x[1200:1500], y[1200:1500], 0.8, eps=0.2)
    assert broken.verdict is Verdict.FAIL
    assert broken.attacked <= 64
    sound = gate_model(net, x[1200:1500], y[1200:1500], 0.5, eps=0.001, about="set")
    assert sound.verdict is Verdict.PASS
    assert sound.attacked < 300
    doubted = gate_model(net, x[1200:1500], y[1200:1500], 0.5, eps=0.001, diagnose=False)
    assert doubted.verdict is Verdict.INCONCLUSIVE
    assert "not trustworthy" in doubted.why
