"""Bounds that hold at every look: the chance of ever being wrong, by exact enumeration of all paths."""

import math

import pytest

from bartizan.model import sequential as q
from bartizan.model import statistics as s


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.6])
def test_probability_of_ever_being_wrong(rate):
    """P(at some n <= 300 the upper bound lies at or below the true rate) <= 5 %, summed exactly over all paths of successes."""
    threshold = -math.log(0.05)
    alive, crossed = {0: 1.0}, 0.0
    for n in range(1, 301):
        grown: dict[int, float] = {}
        for k, weight in alive.items():
            grown[k] = grown.get(k, 0.0) + weight * (1 - rate)
            grown[k + 1] = grown.get(k + 1, 0.0) + weight * rate
        alive = {}
        for k, weight in grown.items():
            if weight > 1e-12 and q.log_evidence_below(k, n, rate) >= threshold:
                crossed += weight
            else:
                alive[k] = weight
    assert 0 < crossed <= 0.05


@pytest.mark.parametrize("truth", [0.1, 0.15])
def test_evidence_is_a_supermartingale(truth):
    """One more trial never raises the expected evidence against a rate of 0.1 or more."""
    for n in range(40):
        for k in range(n + 1):
            now = math.exp(q.log_evidence_below(k, n, 0.1))
            after = truth * math.exp(q.log_evidence_below(k + 1, n + 1, 0.1)) + (1 - truth) * math.exp(q.log_evidence_below(k, n + 1, 0.1))
            assert after <= now * (1 + 1e-9)


def test_bound_inverts_the_evidence():
    for k, n in [(0, 1), (0, 80), (3, 200), (40, 100), (0, 10**6), (99, 100)]:
        bound = q.anytime_upper(k, n)
        assert q.log_evidence_below(k, n, bound) == pytest.approx(-math.log(0.05), abs=1e-6)
        assert s.upper_bound(k, n) < bound <= 1


def test_no_success_in_closed_form():
    """After n trials without success the evidence is (1 - (1-p)^(n+1)) / ((n+1) p (1-p)^n)."""
    p, n = 0.03, 120
    assert q.log_evidence_below(0, n, p) == pytest.approx(math.log((1 - (1 - p) ** (n + 1)) / ((n + 1) * p * (1 - p) ** n)), abs=1e-12)


def test_ends_and_mirror():
    assert q.anytime_upper(0, 0) == 1.0
    assert q.anytime_upper(5, 5) == 1.0
    assert q.anytime_lower(0, 5) == 0.0
    assert q.anytime_lower(30, 50) == pytest.approx(1 - q.anytime_upper(20, 50))
    with pytest.raises(ValueError, match="need"):
        q.anytime_upper(3, 2)
