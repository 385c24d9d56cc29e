"""Exact bounds against published values and exact sums; clusters, judge error, verdicts."""

import math
from decimal import Decimal, getcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.model import statistics as s
from bartizan.model.beta import cdf, normal_quantile, quantile
from bartizan.model.findings import Verdict


def binomial_tail(k: int, n: int, p: float) -> Decimal:
    """P(X <= k) for X ~ Binomial(n, p), summed in 60 decimal digits."""
    getcontext().prec = 60
    q = 1 - Decimal(p)
    term, total = q**n, Decimal(0)
    for i in range(k + 1):
        total += term
        term = term * (n - i) / (i + 1) * Decimal(p) / q
    return total


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (682, 925, 0.7076683, 0.7654066),  # the example of R's ?binom.test (Conover 1971, p. 97)
        (3, 10, 0.06673951, 0.65245285),  # R: binom.test(3, 10)$conf.int
        (0, 10, 0.0, 0.30849710),  # 1 - 0.025 ** (1 / 10)
        (10, 10, 0.69150290, 1.0),
    ],
)
def test_two_sided_interval_matches_r(k, n, low, high):
    assert s.clopper_pearson(k, n) == pytest.approx((low, high), abs=5e-8)


EXACT = [(1, 10**7, 0.9), (1000, 10**7, 0.5), (1000, 10**7, 0.999999), (3000, 10**5, 0.95), (1, 2, 0.95), (799, 1000, 0.99)]


@pytest.mark.parametrize(("k", "n", "confidence"), EXACT)
def test_bounds_solve_the_binomial_equations(k, n, confidence):
    """The defining equations of Clopper and Pearson, by an exact sum: P(X <= k | upper) = P(X >= k | lower) = 1 - confidence."""
    alpha = 1 - Decimal(confidence)
    assert float(binomial_tail(k, n, s.upper_bound(k, n, confidence)) / alpha - 1) == pytest.approx(0, abs=1e-10)
    assert float((1 - binomial_tail(k - 1, n, s.lower_bound(k, n, confidence))) / alpha - 1) == pytest.approx(0, abs=1e-10)


def test_bounds_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for n in (1, 2, 7, 80, 1000, 10**5, 10**7):
        for k in {0, 1, n // 1000, n // 10, n // 2, n - 1, n}:
            for confidence in (0.5, 0.9, 0.95, 0.999):
                low = 0.0 if k == 0 else stats.beta.ppf(1 - confidence, k, n - k + 1)
                high = 1.0 if k == n else stats.beta.isf(1 - confidence, k + 1, n - k)
                assert s.lower_bound(k, n, confidence) == pytest.approx(low, abs=1e-10)
                assert s.upper_bound(k, n, confidence) == pytest.approx(high, abs=1e-10)


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6), st.floats(1e-6, 1 - 1e-6))
@settings(max_examples=100, deadline=None)
def test_quantile_inverts_the_distribution(a, b, p):
    x = quantile(p, a, b)
    if 1e-12 < x < 1 - 1e-12:
        assert cdf(x, a, b) == pytest.approx(p, rel=1e-6, abs=1e-10)


def test_normal_quantile():
    assert normal_quantile(0.975) == pytest.approx(1.959963984540054, abs=1e-14)
    assert normal_quantile(1e-10) == pytest.approx(-6.361340902404056, abs=1e-12)  # scipy.stats.norm.ppf


@given(st.integers(0, 200), st.integers(1, 200), st.floats(0.5, 0.999))
@settings(max_examples=100, deadline=None)
def test_bounds_are_ordered_and_monotone(k, n, confidence):
    k = min(k, n)
    assert 0 <= s.lower_bound(k, n, confidence) <= k / n <= s.upper_bound(k, n, confidence) <= 1
    assert s.upper_bound(k, n + 1, confidence) <= s.upper_bound(k, n, confidence) + 1e-12
    assert s.upper_bound(k + 1, n + 1, confidence) >= s.upper_bound(k, n, confidence) - 1e-12


@pytest.mark.parametrize(("k", "n", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, math.inf, 0.95), (math.nan, 5, 0.95)])
def test_impossible_counts_are_refused(k, n, confidence):
    with pytest.raises(ValueError, match=r"need|confidence"):
        s.upper_bound(k, n, confidence)


def test_nothing_tried_bounds_nothing():
    assert s.clopper_pearson(0, 0) == (0.0, 1.0)


def test_clustered_bound_of_eight_prompts():
    """8 prompts x 10 samples, ICC 0.5: effective n = 80 / (1 + 9 * 0.5); 1 - 0.05 ** (1 / n) = 18.6 %, against 3.7 % of 80 alone."""
    assert s.design_effect(10, 0.5) == 5.5
    assert s.clustered_upper_bound(0, 80, 8, 0.5) == pytest.approx(1 - 0.05 ** (5.5 / 80), abs=1e-12)
    assert s.clustered_upper_bound(0, 80, 8, 0.5) == pytest.approx(0.186, abs=5e-4)
    assert s.upper_bound(0, 80) == pytest.approx(0.0368, abs=5e-5)
    assert s.clustered_upper_bound(5, 80, 80, 0.5) == s.upper_bound(5, 80)
    assert s.clustered_lower_bound(40, 80, 8, 1.0) == pytest.approx(s.lower_bound(4, 8))


def test_intraclass_correlation():
    """By hand: mean squares 0.5 between and 1/6 within clusters of 2 give (1/2 - 1/6) / (1/2 + 1/6) = 1/2."""
    assert s.intraclass_correlation([(1, 2), (2, 2), (0, 2)]) == pytest.approx(0.5)
    assert s.intraclass_correlation([(4, 4), (0, 4)]) == 1.0
    assert s.intraclass_correlation([(2, 4), (2, 4)]) == 0.0
    for unclear in ([(0, 10)] * 8, [(10, 10)] * 8, [(3, 5)], [(1, 1), (0, 1)], []):
        assert s.intraclass_correlation(unclear) is None


def test_effective_counts_of_clusters():
    assert s.effective_of_clusters([(0, 10)] * 8) == pytest.approx((0.0, 80 / 5.5))
    assert s.effective_of_clusters([(10, 10), (0, 10)]) == pytest.approx((1.0, 2.0))
    assert s.effective_of_clusters([]) == (0.0, 0.0)
    with pytest.raises(ValueError, match="clusters"):
        s.effective_counts(1, 5, 6)


def test_trials_needed():
    assert s.needed_for_pass(0, 80, 0.02) == 69
    assert s.needed_for_pass(0, 149, 0.02) == 0
    assert s.needed_for_pass(0, 148, 0.02) == 1
    assert s.needed_for_pass(0, 0, 0.05) == 59  # the 95/95 rule of one-sided tolerance (Wilks, 1941)
    assert s.needed_for_pass(1, 1, 0.05) == 92  # and its second order: 93 trials with one exceedance
    assert s.needed_for_pass(0, 10, 0.0) is None


@pytest.mark.parametrize(
    ("k", "n", "verdict", "needed"),
    [
        (0, 80, Verdict.INCONCLUSIVE, 69),
        (0, 148, Verdict.INCONCLUSIVE, 1),
        (0, 149, Verdict.PASS, None),
        (10, 80, Verdict.FAIL, None),
        (0, 0, Verdict.INCONCLUSIVE, 149),
    ],
)
def test_verdicts_at_two_percent(k, n, verdict, needed):
    ruling = s.judge(k, n, 0.02)
    assert (ruling.verdict, ruling.needed) == (verdict, needed)


def test_verdict_where_higher_is_better():
    assert s.judge(149, 149, 0.98, higher_is_worse=False).verdict is Verdict.PASS
    weak = s.judge(50, 100, 0.9, higher_is_worse=False)
    assert (weak.verdict, weak.rate) == (Verdict.FAIL, 0.5)
    assert weak.low < 0.5 < weak.high < 0.9


def test_verdict_on_clustered_trials():
    ruling = s.judge(0, 149, 0.02, effect=5.5)
    assert ruling.verdict is Verdict.INCONCLUSIVE
    assert s.judge(0, 149 + ruling.needed, 0.02, effect=5.5).verdict is Verdict.PASS


@given(st.integers(0, 5), st.integers(5, 400), st.floats(0.005, 0.5))
@settings(max_examples=80, deadline=None)
def test_needed_is_the_least_that_passes(k, n, limit):
    needed = s.needed_for_pass(k, n, limit)
    assert s.upper_bound(k, n + needed) <= limit
    assert needed == 0 or s.upper_bound(k, n + needed - 1) > limit


def test_judge_error_correction():
    """Rogan and Gladen: (23/150 + 0.89 - 1) / (0.96 + 0.89 - 1) = 5.1 % (the brucellosis example of R's epiR::epi.prev)."""
    found = s.corrected_rate(23, 150, (96, 100), (89, 100))
    assert found.rate == pytest.approx(0.05098, abs=5e-6)
    assert found.low == 0.0
    assert found.high > 0.13  # wider than 13 %, the bound for known sensitivity and specificity
    with pytest.raises(ValueError, match="chance"):
        s.corrected_rate(5, 10, (5, 10), (5, 10))


def test_judge_error_interval_of_a_perfect_judge():
    """With a perfect, perfectly known judge the interval is that of Agresti and Coull (1998)."""
    z = 1.959963984540054
    p = (20 + z * z / 2) / (100 + z * z)
    half = z * math.sqrt(p * (1 - p) / (100 + z * z))
    found = s.corrected_rate(20, 100, (10**9, 10**9), (10**9, 10**9))
    assert (found.low, found.high) == pytest.approx((p - half, p + half), abs=1e-6)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_judge_error_interval_covers(rate):
    """Exact coverage over all outcomes of 40 trials and 25 + 25 known cases at sensitivity 0.9 and specificity 0.95."""

    def pmf(n, p):
        return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]

    seen = pmf(40, rate * 0.9 + (1 - rate) * 0.05)
    covered = total = 0.0
    for right_positive, weight_positive in enumerate(pmf(25, 0.9)):
        for right_negative, weight_negative in enumerate(pmf(25, 0.95)):
            if weight_positive * weight_negative < 1e-5:
                continue
            for k, weight in enumerate(seen):
                found = s.corrected_rate(k, 40, (right_positive, 25), (right_negative, 25))
                probability = weight_positive * weight_negative * weight
                total += probability
                covered += probability * (found.low <= rate <= found.high)
    assert total > 0.99
    assert covered / total > 0.93


@pytest.mark.parametrize(
    ("counts", "interval"),
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ],
)
def test_difference_matches_newcombe(counts, interval):
    """Newcombe (1998), table II, method 10."""
    assert s.rate_difference(*counts)[1:] == pytest.approx(interval, abs=6e-5)


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (10, 2), (20, 6), (100, 40), (2000, 956)])
def test_interval_of_a_median_has_the_ranks_of_the_tables(n, rank):
    """The largest r with P(Binomial(n, 1/2) < r) <= 2.5 %: the nonparametric tables (Conover, 1999), and the normal rule for 2000."""
    assert s.median_interval(range(1, n + 1)) == ((n + 1) / 2, rank, n + 1 - rank)
    assert 2 * sum(math.comb(n, i) for i in range(rank)) <= 2**n // 20 < 2 * sum(math.comb(n, i) for i in range(rank + 1))


def test_interval_of_a_median_of_few_values_is_their_range():
    assert s.median_interval([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert s.median_interval([7.0]) == (7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match="needs values"):
        s.median_interval([])
