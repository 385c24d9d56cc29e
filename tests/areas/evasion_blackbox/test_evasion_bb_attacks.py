"""Black-box attacks: exact counts, budgets, near the known boundary of a linear model, obedience, robust controls, torch not loaded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from bartizan.adapters.numpy_models import numpy_target
from bartizan.areas.evasion.blackbox.attacks import ATTACKS, BY_LABELS, BlackBoxSearch, black_box
from bartizan.areas.evasion.constraints import Constraints
from bartizan.areas.evasion.linear import nearest_linear_evasion
from bartizan.areas.evasion.norms import Space
from bartizan.areas.evasion.surrogate import transfer
from bartizan.model.errors import InputError, UnknownName


class Digits:
    """A logistic regression on scikit-learn's digits and twenty rows."""

    def __init__(self) -> None:
        x, y = load_digits(return_X_y=True)
        x = x / 16
        self.model = LogisticRegression(max_iter=200).fit(x[:800], y[:800])
        self.pool, self.x, self.y = x[:300], x[1000:1020], y[1000:1020]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits()


class Counted:
    """A function that remembers for each of the rows asked nothing but how many there were."""

    def __init__(self, ask: Any) -> None:
        self.ask, self.rows = ask, 0

    def __call__(self, rows: np.ndarray) -> Any:
        self.rows += len(rows)
        return self.ask(rows)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_every_query_is_counted_and_none_beyond_the_budget(digits: Digits, attack: str, norm: str) -> None:
    eps = {"l2": 2.0, "linf": 0.3}[norm]
    ask = Counted(digits.model.predict_proba if attack == "square" else digits.model.predict)
    hunt = black_box(ask, digits.x, digits.y, attack=attack, norm=norm, eps=eps, queries=137, seed=3)
    assert ask.rows - len(digits.x) == hunt.queries.sum()  # one look at the rows tells the form of the answers
    assert hunt.queries.max() <= 137
    live = hunt.found & ~hunt.wrong
    assert live.sum() >= 12
    assert (digits.model.predict(hunt.adversarial[live]) != digits.y[live]).all()
    assert (hunt.distance[live] <= eps * (1 + 1e-6)).all()
    assert hunt.adversarial.min() >= 0
    assert hunt.adversarial.max() <= 1
    change = hunt.adversarial[live] - digits.x[live]
    np.testing.assert_allclose(hunt.distance[live], np.linalg.norm(change, axis=1) if norm == "l2" else np.abs(change).max(axis=1))
    assert (hunt.first[live] <= hunt.queries[live]).all()


@pytest.mark.parametrize(("attack", "most"), [("hopskipjump", 1.25), ("signopt", 1.25), ("boundary", 1.6)])
def test_label_attacks_come_near_the_exact_distance(digits: Digits, attack: str, most: float) -> None:
    exact = nearest_linear_evasion(digits.model, digits.x, digits.y, norm="l2", valid_range=(0.0, 1.0))
    hunt = black_box(digits.model.predict, digits.x, digits.y, attack=attack, norm="l2", queries=1000)
    live = hunt.found & ~hunt.wrong
    ratio = hunt.distance[live] / exact.distance[live]
    assert ratio.min() >= 1 - 1e-6
    assert np.median(ratio) <= most


@pytest.mark.parametrize("attack", ["hopskipjump", "signopt"])
def test_more_queries_lead_on_to_the_exact_distance(digits: Digits, attack: str) -> None:
    """Votes about a point that is not near enough the boundary all agree: SignOPT once stood still after about 1,000 queries."""
    x, y = digits.x[:8], digits.y[:8]
    exact = nearest_linear_evasion(digits.model, x, y, norm="l2", valid_range=(0.0, 1.0))
    hunts = [black_box(digits.model.predict, x, y, attack=attack, norm="l2", queries=queries) for queries in (1000, 4000)]
    live = hunts[0].found & ~hunts[0].wrong
    early, late = (hunt.distance[live] / exact.distance[live] for hunt in hunts)
    assert (late < early).all()
    assert np.median(late) <= 1.15  # the nearest boundary of another class than the first found may be nearer still


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_constant_model_is_never_broken(digits: Digits, attack: str) -> None:
    hunt = black_box(
        lambda rows: np.tile([0.9, 0.1], (len(rows), 1)), digits.x, digits.y * 0, attack=attack, norm="linf", eps=0.3, queries=60
    )
    assert not hunt.found.any()
    assert (hunt.adversarial == digits.x).all()
    assert (hunt.queries <= 60).all()


def test_square_does_not_break_what_is_proven_robust(digits: Digits) -> None:
    exact = nearest_linear_evasion(digits.model, digits.x, digits.y, norm="linf", valid_range=(0.0, 1.0))
    eps = float(np.median(exact.distance))
    hunt = black_box(digits.model, digits.x, digits.y, attack="square", norm="linf", eps=eps, queries=400)
    assert not hunt.found[exact.lower > eps * (1 + 1e-6)].any()
    assert hunt.found[exact.distance < 0.8 * eps].mean() >= 0.9
    image = black_box(
        lambda rows: digits.model.predict_proba(rows.reshape(len(rows), 64)),
        digits.x.reshape(-1, 1, 8, 8),
        digits.y,
        attack="square",
        norm="linf",
        eps=eps * 1.5,
        queries=300,
    )
    assert image.adversarial.shape == (20, 1, 8, 8)
    assert image.found.mean() >= 0.6


@pytest.mark.parametrize("attack", BY_LABELS)
def test_constraints_hold_for_every_counted_evasion(attack: str) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 6))
    x[:, 0] = np.rint(x[:, 0] * 5)
    x[:, 1:4] = np.eye(3)[random.integers(0, 3, 120)]
    y = (x @ [0.3, 1, -1, 0, 2, 1.0] > 0).astype(int)
    model = LogisticRegression().fit(x, y)
    constraints = Constraints(integer=(0,), one_hot=((1, 2, 3),), immutable=(4,), most_change={0: 4.0})
    x[5, 0] += 0.5
    hunt = black_box(
        model.predict, x[:40], model.predict(x[:40]), attack=attack, queries=150, bounds=(-np.inf, np.inf), constraints=constraints
    )
    assert list(hunt.discarded) == [5]
    assert hunt.queries[5] == 0
    kept = hunt.found
    assert kept.sum() >= 15
    assert constraints.rules(6).obeys(x[:40][kept], hunt.adversarial[kept]).all()


def test_same_seed_same_answer_and_own_predict_decides(digits: Digits) -> None:
    one, two, other = (black_box(digits.model.predict, digits.x, digits.y, queries=80, seed=seed) for seed in (1, 1, 2))
    assert (one.adversarial == two.adversarial).all()
    assert (one.adversarial != other.adversarial).any()
    keep = digits.y < 2
    x, y = load_digits(return_X_y=True)
    machine = SVC(probability=True, random_state=0).fit(x[y < 2][:120] / 16, y[y < 2][:120]) if keep.any() else None
    hunt = black_box(machine, digits.x[keep], digits.y[keep], attack="hopskipjump", queries=200)
    live = hunt.found & ~hunt.wrong
    assert (machine.predict(hunt.adversarial[live]) != digits.y[keep][live]).all()


def test_transfer_from_a_surrogate_and_its_count(digits: Digits) -> None:
    ask = Counted(digits.model.predict)
    hunt = transfer(ask, digits.x, digits.y, pool=digits.pool, norm="linf", eps=0.25, surrogate_queries=600, queries=8)
    live = hunt.found & ~hunt.wrong
    assert live.mean() >= 0.7
    assert (digits.model.predict(hunt.adversarial[live]) != digits.y[live]).all()
    assert ask.rows - len(digits.x) <= hunt.queries.sum()
    assert (hunt.queries <= 8 + 30).all()


def test_the_engine_takes_them_as_searches(digits: Digits) -> None:
    from bartizan.areas.evasion.api import attack

    result = attack(
        digits.model.predict_proba,
        digits.x,
        digits.y,
        eps=0.2,
        strategy="search",
        search=BlackBoxSearch("square"),
        queries=200,
        diagnose=False,
    )
    exact = nearest_linear_evasion(digits.model, digits.x, digits.y, norm="linf", valid_range=(0.0, 1.0))
    assert exact.certified(0.2) <= result.robust_accuracy <= exact.certified(0.2) + 0.25


def test_arguments_that_cannot_be(digits: Digits) -> None:
    with pytest.raises(UnknownName, match="hopskipjump"):
        black_box(digits.model, digits.x, digits.y, attack="hopskipjum")
    with pytest.raises(InputError, match="radius"):
        black_box(digits.model, digits.x, digits.y, attack="square")
    with pytest.raises(InputError, match="class numbers"):
        black_box(digits.model, digits.x, digits.y + 5)


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'torch': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "import numpy as np\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "import bartizan.areas.evasion.trees, bartizan.areas.evasion.linear, bartizan.areas.evasion.text\n"
        "import bartizan.areas.evasion.surrogate, bartizan.adapters.http_models\n"
        "from bartizan.areas.evasion.blackbox.attacks import black_box\n"
        "x = np.random.default_rng(0).random((40, 4)); y = (x[:, 0] > .5).astype(int)\n"
        "print(black_box(LogisticRegression().fit(x, y), x, y, queries=50).found.mean())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0.5


def test_the_search_of_the_engine_keeps_the_repair_of_its_space(digits: Digits) -> None:
    """Pixels of the left half may not change, and the others only in steps of a sixteenth."""

    def repair(origin: Any, x: Any) -> Any:
        moved = np.round(np.asarray(x) * 16) / 16
        return np.where(np.arange(64) % 8 < 4, origin, moved)

    target = numpy_target(digits.model, digits.x)
    rows = target.rows(digits.x)
    space = Space(norm="linf", low=np.zeros(64), high=np.ones(64), repair=repair)
    found = BlackBoxSearch("square")(target, rows, digits.y, space, np.full(len(rows), 0.25), queries=60, seed=0)
    assert (found != rows).any()
    assert (found[:, np.arange(64) % 8 < 4] == rows[:, np.arange(64) % 8 < 4]).all()
    np.testing.assert_allclose(found * 16, np.round(found * 16), atol=1e-9)
