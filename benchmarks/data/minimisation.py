"""Which columns a model needs: `minimise` beside permutation importance and RFECV of scikit-learn, and Boruta.

    python benchmarks/data/minimisation.py [rows]

Tables whose truth is known by construction: 5 of 20 columns matter (bent, and together); the same with a copy of a column and a stand-in; a
pair that matters only together; and one where all matter. Right is who keeps each column that matters (of a pair of copies one) and drops
the others. Seconds are processor seconds of one process, the least of three runs for us.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from _sets import asked, peer

from bartizan.areas.access.column_needs import Status
from bartizan.areas.access.minimisation import minimise

PEERS = """
import json, sys, time, warnings, numpy as np, pandas as pd
warnings.simplefilter("ignore")
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.feature_selection import RFECV
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split
f = pd.read_csv(sys.argv[1]); y = f.pop("y").to_numpy(); names = list(f.columns); x = f.to_numpy()
def permuted():
    a, b, c, d = train_test_split(x, y, test_size=0.33, random_state=0)
    m = ExtraTreesClassifier(100, min_samples_leaf=5, max_features=0.5, random_state=0).fit(a, c)
    p = permutation_importance(m, b, d, scoring="roc_auc", n_repeats=10, random_state=0)
    return p.importances_mean - 2 * p.importances_std > 0
def eliminated():
    m = ExtraTreesClassifier(100, min_samples_leaf=5, max_features=0.5, random_state=0)
    return RFECV(m, cv=5, scoring="roc_auc").fit(x, y).support_
def boruta():
    from boruta import BorutaPy
    np.int, np.float, np.bool = int, float, bool
    return BorutaPy(RandomForestClassifier(n_jobs=1, max_depth=7, random_state=0), n_estimators="auto", random_state=0).fit(x, y).support_
for title, run in (("permutation_importance", permuted), ("RFECV", eliminated), ("Boruta", boruta)):
    t = time.process_time()
    try: kept = run()
    except Exception as error: print(json.dumps([title, None, str(error)[:80]])); continue
    print(json.dumps([title, [n for n, k in zip(names, kept) if k], time.process_time() - t]))
"""


def five_of_twenty(rows: int, seed: int) -> tuple[pd.DataFrame, list[set[str]]]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 20))
    odds = 1.2 * x[:, 0] - x[:, 1] + 0.8 * (x[:, 2] ** 2 - 1) + x[:, 3] * x[:, 0] + 0.9 * x[:, 4]
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(20)])
    return frame.assign(y=(random.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)), [{f"c{i}"} for i in range(5)]


def copies(rows: int, seed: int) -> tuple[pd.DataFrame, list[set[str]]]:
    frame, needed = five_of_twenty(rows, seed)
    random = np.random.default_rng(seed + 1)
    frame = frame.drop(columns=[f"c{i}" for i in range(12, 20)])
    frame = frame.assign(c0_again=frame.c0, stand_in=frame.c1 + 0.7 * random.normal(size=rows))
    return frame, [{"c0", "c0_again"}, *needed[1:]]


def pair(rows: int, seed: int) -> tuple[pd.DataFrame, list[set[str]]]:
    random = np.random.default_rng(seed)
    left, right = random.integers(0, 2, rows), random.integers(0, 2, rows)
    frame = pd.DataFrame({"left": left, "right": right} | {f"n{i}": random.normal(size=rows) for i in range(10)})
    return frame.assign(y=np.where(random.random(rows) < 0.15, 1 - (left ^ right), left ^ right)), [{"left"}, {"right"}]


def all_of_six(rows: int, seed: int) -> tuple[pd.DataFrame, list[set[str]]]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 6))
    frame = pd.DataFrame(x, columns=list("abcdef"))
    return frame.assign(y=(random.random(rows) < 1 / (1 + np.exp(-x.sum(axis=1)))).astype(int)), [{name} for name in "abcdef"]


def told(title: str, kept: set[str], frame: pd.DataFrame, needed: list[set[str]], seconds: float, note: str = "") -> None:
    """How many of the needed columns are kept, and how many of the others are dropped."""
    found = sum(bool(kept & one) for one in needed)
    spare = frame.shape[1] - 1 - len(needed)
    dropped = spare - (len(kept) - found)
    print(f"  {title:24} keeps {found} of {len(needed)} needed, drops {dropped} of {spare} others, {seconds:.1f} s{note}")


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    import json

    with tempfile.TemporaryDirectory() as folder:
        for make in (five_of_twenty, copies, pair, all_of_six):
            frame, needed = make(rows, 0)
            print(f"{make.__name__}, {rows} rows, {frame.shape[1] - 1} columns")
            spent = []
            for _ in range(3):
                begun = time.process_time()
                found = minimise(frame, "y")
                spent.append(time.process_time() - begun)
            open_ = len(found.those(Status.UNSETTLED))
            told("bartizan minimise", set(found.kept), frame, needed, min(spent), f"; {open_} left open; each claim with its bound")
            path = Path(folder) / "table.csv"
            frame.to_csv(path, index=False)
            for line in asked(peer("columns", "scikit-learn", "pandas", "boruta"), PEERS, str(path)):
                title, kept, seconds = json.loads(line) if line.startswith("[") else (line, None, "")
                if kept is None:
                    print(f"  {title}: {seconds}")
                else:
                    told(title, set(kept), frame, needed, seconds)


if __name__ == "__main__":
    main()
