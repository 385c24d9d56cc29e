"""Label bias: known answers by construction and from a published table; what naive comparisons get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bartizan.areas.fairness.adjusting import adjusted_gap, cross_fitted
from bartizan.areas.fairness.comparing import label_bias
from bartizan.areas.fairness.disagreement import contradicted
from bartizan.areas.fairness.stand_ins import proxies
from bartizan.areas.fairness.strata import mantel_haenszel
from bartizan.engine import registry
from bartizan.methods.quick_learner import matrix_of
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks

# Admissions to the six largest departments of Berkeley in autumn 1973: men admitted and rejected, women admitted and rejected
# (Bickel, Hammel and O'Connell, Science 187, 1975; the table as in Freedman, Pisani and Purves, Statistics).
BERKELEY = {
    "A": (512, 313, 89, 19),
    "B": (353, 207, 17, 8),
    "C": (120, 205, 202, 391),
    "D": (138, 279, 131, 244),
    "E": (53, 138, 94, 299),
    "F": (22, 351, 24, 317),
}


def berkeley() -> pd.DataFrame:
    rows = [
        row
        for department, counts in BERKELEY.items()
        for row, count in zip([("m", department, 1), ("m", department, 0), ("f", department, 1), ("f", department, 0)], counts, strict=True)
        for row in [row] * count
    ]
    return pd.DataFrame(rows, columns=["sex", "department", "admitted"])


def loans(rows: int, seed: int = 0, against: float = 0.0, noise: float = 0.0) -> pd.DataFrame:
    """Applicants: women earn less, and who earns more is granted more, whoever it is. `against`: the share of women's grants that is turned
    into refusals; `noise`: the share of women's labels that is turned round."""
    random = np.random.default_rng(seed)
    woman = random.random(rows) < 0.5
    income, debt = random.normal(size=rows) - 0.75 * woman, random.normal(size=rows) + 0.3 * woman
    granted = random.random(rows) < 1 / (1 + np.exp(-(1.3 * income - 0.8 * debt)))
    granted &= ~(woman & (random.random(rows) < against))
    granted ^= woman & (random.random(rows) < noise)
    return pd.DataFrame({"sex": np.where(woman, "f", "m"), "income": income, "debt": debt, "granted": granted.astype(int)})


def true_gap(against: float) -> float:
    """The gap of women to men among like applicants, each weighed by how open the sex is: by summing over a large population."""
    random = np.random.default_rng(99)
    rows = 400_000
    woman = random.random(rows) < 0.5
    income, debt = random.normal(size=rows) - 0.75 * woman, random.normal(size=rows) + 0.3 * woman
    chance = 1 / (1 + np.exp(-(1.3 * income - 0.8 * debt)))
    odds = np.exp(-0.75 * income - 0.75**2 / 2 + 0.3 * debt - 0.3**2 / 2)  # both densities are normal, so Bayes' rule is exact
    belongs = odds / (1 + odds)
    weight = belongs * (1 - belongs)
    return float(-against * np.sum(weight * chance) / np.sum(weight))


def of_women(rate: tuple[float, float, float] | None, group: str) -> tuple[float, float, float]:
    """A gap as that of women to men: the larger group is the one that others are compared with."""
    assert rate is not None
    value, low, high = rate
    return (value, low, high) if group == "f" else (-value, -high, -low)


def test_berkeley_has_the_published_answer() -> None:
    frame = berkeley()
    found = mantel_haenszel(frame.admitted == 1, frame.sex == "m", frame.department)
    assert found is not None
    # R: mantelhaen.test(UCBAdmissions) gives X-squared 1.4269 with p 0.2323, odds ratio 0.9047 (0.7719 to 1.0603)
    assert (found.statistic, found.p) == pytest.approx((1.4269, 0.2323), abs=5e-5)
    assert found.odds_ratio == pytest.approx((0.9046968, 0.7719074, 1.0603298), abs=5e-6)
    assert found.strata == 6


def test_simpsons_paradox_is_seen_through() -> None:
    (one,) = label_bias(berkeley(), "admitted").compared
    assert (one.group, one.others, one.rows) == ("f", "m", (1835, 2691))
    assert one.raw[0] == pytest.approx(557 / 1835 - 1198 / 2691)  # women admitted 14 points less often
    assert one.raw[2] < -0.1
    assert one.adjusted is not None
    assert one.adjusted[1] < 0.0 < one.adjusted[2]  # and within departments not
    assert one.strata is not None
    # features are few categories, so both estimates weigh strata alike: they agree
    assert one.adjusted[0] == pytest.approx(one.strata.difference, abs=0.005)
    assert one.strata.p == pytest.approx(0.2323, abs=5e-5)


def test_groups_that_differ_in_what_counts_are_not_called_labelled_unlike() -> None:
    (one,) = label_bias(loans(4000, seed=1), "granted").compared
    assert of_women(one.raw, one.group)[2] < -0.15  # women are granted far less often: what a naive comparison reports
    assert one.adjusted is not None
    assert one.adjusted[1] < 0.0 < one.adjusted[2]
    assert max(abs(end) for end in one.adjusted) < 0.05
    assert one.contradicted is not None
    assert one.contradicted[1] < 0.0 < one.contradicted[2]


def test_injected_bias_is_measured() -> None:
    (one,) = label_bias(loans(3000, seed=2, against=0.2), "granted").compared
    _, low, high = of_women(one.adjusted, one.group)
    assert low < true_gap(0.2) < high < 0.0


@pytest.mark.slow
def test_intervals_cover_the_injected_bias_as_often_as_they_say() -> None:
    truth, covered = true_gap(0.2), 0
    for seed in range(60):
        frame = loans(1500, seed=1000 + seed, against=0.2)
        matrix = matrix_of(frame[["income", "debt"]])
        woman = (frame.sex == "f").to_numpy()
        expected = cross_fitted(matrix, [0, 1], frame.granted, seed=seed)
        belonging = cross_fitted(matrix, [0, 1], woman, seed=seed + 1)
        _, low, high = adjusted_gap(frame.granted, woman, expected, belonging).interval(0.95)
        covered += low <= truth <= high
    assert covered >= 52  # of 60 at 95 %: fewer than 52 happen once in 100 such tests


def test_labels_turned_round_in_one_group_stand_out() -> None:
    """The adjusted gap hardly moves where errors go both ways; the contradicted labels do."""
    (clean,) = label_bias(loans(2500, seed=3), "granted").compared
    (noisy,) = label_bias(loans(2500, seed=3, noise=0.25), "granted").compared
    assert of_women(clean.contradicted, clean.group)[1] < 0.02
    assert of_women(noisy.contradicted, noisy.group)[1] > 0.05
    assert noisy.labels is not None
    women, men = (noisy.labels.group, noisy.labels.others) if noisy.group == "f" else (noisy.labels.others, noisy.labels.group)
    assert women > 1.3 * men


def test_contradicted_labels_are_compared_with_what_chance_gives() -> None:
    random = np.random.default_rng(0)
    mine = random.random(20_000) < 0.5
    likely = random.random(20_000) < 0.5
    chance = np.where(mine, np.where(likely, 0.8, 0.2), np.where(likely, 0.95, 0.05))
    found = contradicted(random.random(20_000) < chance, mine, chance)
    assert found.group > 2 * found.others  # a group whose labels are hard to tell is contradicted often
    assert found.interval(0.999)[1] < 0 < found.interval(0.999)[2]  # and not more than expected


def test_crossings_are_looked_at_where_single_columns_show_nothing() -> None:
    """Granted to young women and old men less, to the others more: each column alone is even."""
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {"sex": random.choice(["f", "m"], 2500), "age_group": random.choice(["old", "young"], 2500), "skill": random.normal(size=2500)}
    )
    crossed = (frame.sex == "f") == (frame.age_group == "young")
    frame["hired"] = (random.random(2500) < 1 / (1 + np.exp(-frame.skill)) - 0.0).astype(int)
    frame.loc[crossed & (random.random(2500) < 0.3), "hired"] = 0
    found = {(one.column, one.group): one for one in label_bias(frame, "hired").compared}
    for column in ("sex", "age_group"):
        (single,) = [one for one in found.values() if one.column == column]
        assert single.adjusted is not None
        assert single.adjusted[1] < 0 < single.adjusted[2]
    against = found["sex and age_group", "f and young"]
    assert against.adjusted is not None
    assert against.adjusted[2] < 0.0
    assert against.rates[0][1] < against.rates[0][0] < against.rates[0][2]


def test_proxies_are_ranked_and_bounded() -> None:
    random = np.random.default_rng(6)
    group = random.random(3000) < 0.5
    frame = pd.DataFrame(
        {
            "shoe": group * 1.0 + random.normal(size=3000),
            "bent": np.where(group, random.choice([-1, 1], 3000), 0) + 0.3 * random.normal(size=3000),
            "coin": random.normal(size=3000),
        }
    )
    found = proxies(matrix_of(frame), [0, 1, 2], group)
    assert [one.column for one in found] == ["bent", "shoe", "coin"]  # one that rises and falls again is seen as well
    by_name = {one.column: one.auroc for one in found}
    assert by_name["shoe"][1] < 0.760 < by_name["shoe"][2]  # two normals one apart: Phi(1 / sqrt 2)
    assert by_name["coin"][1] < 0.5 < by_name["coin"][2]


def test_a_column_that_is_the_group_under_another_name_is_not_adjusted_for() -> None:
    frame = loans(2000, seed=7, against=0.4)
    frame["title"] = np.where(frame.sex == "f", "Ms", "Mr")
    frame["id"] = [f"p{i}" for i in range(len(frame))]
    found = label_bias(frame, "granted", sensitive=["sex"])
    assert dict(found.left_out) == {"title": "stands in for sex " + found.compared[0].group, "id": "has a value of its own in most rows"}
    assert found.adjusted_for == ("income", "debt")
    (one,) = found.compared
    assert of_women(one.adjusted, one.group)[2] < 0.0


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (loans(300), {"label": "nothing"}, "no column 'nothing'"),
        (loans(300), {"sensitive": ["race"]}, "no column 'race'"),
        (loans(100), {}, "too few to compare"),
        (loans(300).drop(columns="sex"), {}, "no column is known to divide people"),
        (loans(300).assign(granted=np.arange(300) % 3), {}, "has 3 values"),
        (loans(300).assign(sex="f"), {}, "no group has 50"),
    ],
)
def test_what_cannot_be_judged_is_refused(frame: pd.DataFrame, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        label_bias(frame, **({"label": "granted"} | options))  # type: ignore[arg-type]


def test_time_that_is_over_leaves_the_gap_as_it_is() -> None:
    found = label_bias(loans(500), "granted", seconds=0.0)
    assert found.compared[0].adjusted is None
    assert "time ended" in found.notes[-1]


def job(folder: Path, **parameters: str | float) -> Job:
    return Job(
        check="fairness.label_bias",
        version="1",
        threats=("biased-data",),
        subject=Dataset(id="loans", stage=Stage.TRAIN, uri="loans.csv", label="granted"),
        root=str(folder),
        parameters={"groups": "", "legitimate": "", "favourable": "", "tolerance": 0.05} | parameters,
    )


@pytest.mark.parametrize(
    ("rows", "against", "legitimate", "verdict", "said"),
    [
        (4000, 0.0, "income,debt", Verdict.PASS, "given alike"),
        (4000, 0.0, "", Verdict.INCONCLUSIVE, "what explains it is income"),
        (2000, 0.3, "", Verdict.FAIL, "with like features"),
        (400, 0.0, "income,debt", Verdict.INCONCLUSIVE, "between"),
    ],
)
def test_check(tmp_path: Path, rows: int, against: float, legitimate: str, verdict: Verdict, said: str) -> None:
    loans(rows, seed=8, against=against).to_csv(tmp_path / "loans.csv", index=False)
    asked = job(tmp_path, legitimate=legitimate)
    described = registry.get(asked.check)
    (finding,) = described.run(asked, asked.subject, **asked.parameters)
    assert finding.verdict is verdict
    assert said in finding.title + finding.why
    assert finding.remedy or verdict is Verdict.PASS
    assert all(measure.low <= measure.value <= measure.high for measure in finding.measures)
    assert finding.artefacts[0].data
    if rows == 400:
        assert finding.needed


def test_check_keeps_the_contract(tmp_path: Path) -> None:
    loans(600, seed=9).to_csv(tmp_path / "loans.csv", index=False)
    checks.contract(registry.get("fairness.label_bias"), [job(tmp_path)])
