"""Nearest evasions of tree ensembles, 30 features and 100 trees, beside Veritas' own robustness search and the HopSkipJump of this room.

Prints for XGBoost, LightGBM and a scikit-learn forest: milliseconds of the search for a row, and of the whole call (reading the model and
confirming included) by rows; how many rows are proven exact; how many evasions the model's own predict confirms; and on a few rows the
largest difference to Veritas where both came to an end.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from sklearn.datasets import make_classification

ROWS, PEER_ROWS, PEER_SECONDS = 60, 12, 10.0


def models(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """The ensembles of 100 trees, fitted."""
    import lightgbm
    import xgboost
    from sklearn.ensemble import RandomForestClassifier

    made = {
        f"xgboost depth {depth}": xgboost.XGBClassifier(n_estimators=100, max_depth=depth, learning_rate=0.2, n_jobs=1)
        for depth in (4, 5, 6)
    }
    made["lightgbm 16 leaves"] = lightgbm.LGBMClassifier(n_estimators=100, num_leaves=16, n_jobs=1, verbose=-1)
    made["forest depth 6"] = RandomForestClassifier(100, max_depth=6, random_state=0)
    return {name: model.fit(x, y) for name, model in made.items()}


def timed(model: Any, rows: np.ndarray) -> tuple[list[float], Any, float]:
    """CPU milliseconds of the search for each row, the answer for all rows, and milliseconds a row of the call that gave it."""
    from bartizan.areas.evasion import trees

    begin = time.process_time()
    answer = trees.nearest_tree_evasion(model, rows)
    whole = (time.process_time() - begin) * 1e3 / len(rows)
    ensemble = trees.read_ensemble(model, rows)
    rules = trees.Constraints().rules(rows.shape[1])
    search = trees._Search(ensemble, rules, "linf", (-np.inf, np.inf), np.inf, trees.EFFORT, rows.dtype == np.float32)
    sources = [list(ensemble.classes).index(label) for label in model.predict(rows)]
    for source in set(sources):
        search.pair(source, 1 - source)
    each = []
    for row, source in zip(ensemble.rounded(rows), sources, strict=True):
        begin = time.process_time()
        search.nearest(row, source, -trees.rounding(ensemble))
        each.append((time.process_time() - begin) * 1e3)
    return each, answer, whole


def peer(model: Any, row: np.ndarray, label: int) -> tuple[float, float, bool]:
    """Veritas' search as it comes: milliseconds, distance, and whether it came to an end (out of time it takes open boxes for empty)."""
    import veritas

    trees = veritas.get_addtree(model, silent=True)
    sides = (trees, None) if label == 1 else (None, trees)
    begin = time.perf_counter()
    search = veritas.VeritasRobustnessSearch(row.astype(float), 4.0, *sides, silent=True, num_steps=25, max_time=PEER_SECONDS)
    _, lower, upper = search.search()
    seconds = time.perf_counter() - begin
    return seconds * 1e3, upper, upper - lower < 1e-3 and seconds < PEER_SECONDS


def main() -> int:
    from bartizan.areas.evasion.blackbox.attacks import black_box

    x, y = make_classification(4000, 30, n_informative=15, random_state=0)
    x = x.astype(np.float32)
    rows, failed = x[3000 : 3000 + ROWS], 0
    print("model                median ms   p90 ms   call ms/row  exact  valid   Veritas ms  difference   HopSkipJump 500: ms, farther")
    for name, model in models(x[:3000], y[:3000]).items():
        each, answer, whole = timed(model, rows)
        labels = model.predict(rows)
        valid = float((model.predict(answer.adversarial[answer.found]) != labels[answer.found]).mean())
        gap, spent = 0.0, []
        if name.startswith("xgboost"):
            for row, label, distance, exact in list(zip(rows, labels, answer.distance, answer.exact, strict=True))[:PEER_ROWS]:
                milliseconds, other, done = peer(model, row, int(label))
                spent.append(milliseconds)
                gap = max(gap, abs(other - distance)) if done and exact else gap
        begin = time.perf_counter()
        hunt = black_box(model.predict, rows[:20], labels[:20].astype(int), norm="linf", queries=500, bounds=(x.min(0), x.max(0)))
        hopped = (time.perf_counter() - begin) * 1e3 / 20
        farther = float(np.median(hunt.distance / answer.distance[:20]))
        tail = f"{np.median(spent):10.1f}  {gap:10.2g}" if spent else f"{'-':>10}  {'-':>10}"
        print(
            f"{name:20} {np.median(each):9.2f} {np.quantile(each, 0.9):8.1f} {whole:13.1f} {answer.exact.mean():6.0%} {valid:6.0%}   {tail}"
            f"   {hopped:6.1f} ms, {farther:.1f}x",
            flush=True,
        )
        failed += valid < 1.0 or gap > 1e-3
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
