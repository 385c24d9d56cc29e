"""Quality of data beside its peers: wrong labels (cleanlab), outliers (PyOD), near-duplicate texts (datasketch, rensa), leaks by kind.

    python benchmarks/data/quality.py [labels] [outliers] [duplicates] [leaks]

Seconds are processor seconds of one process. Both sides get the same data and the same truth.
"""

from __future__ import annotations

import io
import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _sets import asked, noisy, peer, picture_sets, wanted
from sklearn.metrics import roc_auc_score

from bartizan.areas.quality.alike_pictures import near_images
from bartizan.areas.quality.alike_texts import clusters, near_texts
from bartizan.areas.quality.far_rows import outliers
from bartizan.areas.quality.leaked_rows import table_leakage
from bartizan.areas.quality.suspect_labels import label_errors
from bartizan.methods.descriptors import of_set, of_table

CLEANLAB = """
import sys, time, warnings, numpy as np
warnings.simplefilter("ignore")
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from cleanlab.filter import find_label_issues
d = np.load(sys.argv[1]); t = time.process_time()
p = cross_val_predict(LogisticRegression(max_iter=100), d["x"], d["y"], cv=5, method="predict_proba")
f = find_label_issues(d["y"], p, n_jobs=1); s = time.process_time() - t
b = d["y"] != d["true"]
print(f"cleanlab, 5-fold logistic regression: F1 {2*(f&b).sum()/(f.sum()+b.sum()):.3f}, flagged {f.mean():.3%}, {s:.1f} s")
"""

PYOD = """
import sys, time, warnings, numpy as np
warnings.simplefilter("ignore")
from sklearn.metrics import roc_auc_score
from pyod.models.ecod import ECOD
from pyod.models.copod import COPOD
from pyod.models.hbos import HBOS
d = np.load(sys.argv[1])
for kind in (ECOD, COPOD, HBOS):
    t = time.process_time(); m = kind().fit(d["x"]); s = time.process_time() - t
    print(f"  PyOD {kind.__name__}: AUROC {roc_auc_score(d['odd'], m.decision_scores_):.3f}, {s:.2f} s")
"""

SKETCHES = """
import sys, time, json
texts, pairs = json.load(open(sys.argv[1])); pairs = {tuple(p) for p in pairs}; mb = sum(map(len, texts)) / 1e6
def told(name, got, s):
    print(f"  {name}: recall {len(got & pairs) / len(pairs):.3f}, precision {len(got & pairs) / max(1, len(got)):.3f}, {mb / s:.1f} MB/s")
def parts(t):
    w = t.split(); return [f"{a} {b}" for a, b in zip(w, w[1:])]
from datasketch import MinHash, MinHashLSH
t0 = time.process_time(); lsh = MinHashLSH(threshold=0.7, num_perm=128); hs = []
for i, t in enumerate(texts):
    m = MinHash(num_perm=128); m.update_batch([p.encode() for p in parts(t)]); lsh.insert(str(i), m); hs.append(m)
got = {tuple(sorted((i, int(j)))) for i, m in enumerate(hs) for j in lsh.query(m) if int(j) != i}
told("datasketch MinHashLSH", got, time.process_time() - t0)
from rensa import RMinHash, RMinHashLSH
t0 = time.process_time(); lsh = RMinHashLSH(threshold=0.7, num_perm=128, num_bands=16); hs = []
for i, t in enumerate(texts):
    m = RMinHash(num_perm=128, seed=42); m.update(parts(t)); lsh.insert(i, m); hs.append(m)
got = {tuple(sorted((i, j))) for i, m in enumerate(hs) for j in lsh.query(m) if j != i}
told("rensa RMinHashLSH (candidates)", got, time.process_time() - t0)
"""


def labels(folder: Path) -> None:
    """Ten in a hundred labels wrong, on 20,000 pictures, tables and texts; the peer gets the same features, and pixels where there are."""
    cleanlab = peer("cleanlab", "cleanlab", "pandas")
    sets: dict[str, Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray | None]]] = {
        name: lambda held=held: (of_set(held[0][:20_000], None, dimensions=100, fine=True), held[1][:20_000], held[0][:20_000])
        for name, held in picture_sets().items()
    }
    sets |= {name: lambda held=held: (of_set(None, held[0], dimensions=100, fine=True), held[1], None) for name, held in tables().items()}
    for name, make in sets.items():
        begun = time.process_time()
        features, y, pictures = make()
        described = time.process_time() - begun
        for kind in ("symmetric", "pair", "clean"):
            given = noisy(y, kind)
            begun = time.process_time()
            found = label_errors(features, given)
            spent, bad = time.process_time() - begun + described, given != y
            f1 = 2 * (found.flagged & bad).sum() / max(1, found.flagged.sum() + bad.sum())
            print(f"{name} ({len(y)} rows), {kind}: F1 {f1:.3f}, flagged {found.flagged.mean():.3%}, {spent:.1f} s", flush=True)
            np.savez(folder / "labels.npz", x=features, y=given, true=y)
            print("  same features: " + "; ".join(asked(cleanlab, CLEANLAB, str(folder / "labels.npz"))), flush=True)
            if pictures is not None and kind != "clean" and name != "digits":
                np.savez(folder / "labels.npz", x=pictures.reshape(len(pictures), -1), y=given, true=y)
                print("  pixels: " + "; ".join(asked(cleanlab, CLEANLAB, str(folder / "labels.npz"))), flush=True)


def tables() -> dict[str, tuple[pd.DataFrame, np.ndarray]]:
    """Tables and texts with labels: one of scikit-learn's, one made of clusters, and Debian's packages by their section, where apt is."""
    from sklearn.datasets import load_breast_cancer, make_classification

    cancer = load_breast_cancer()
    x, y = make_classification(20_000, 20, n_informative=12, n_redundant=4, n_classes=5, class_sep=2.0, flip_y=0.0, random_state=0)
    found = {"tumours": (pd.DataFrame(cancer.data), cancer.target), "made of clusters": (pd.DataFrame(x), y)}
    if shutil.which("apt-cache"):
        wanted = ("games", "fonts", "perl", "python", "science", "sound", "doc", "golang")
        said = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True).stdout
        rows = {}
        for package in said.split("\n\n"):
            facts = dict(line.split(": ", 1) for line in package.splitlines() if ": " in line and line[0] != " ")
            section = facts.get("Section", "").rpartition("/")[2]
            if section in wanted and len(facts.get("Description", "").split()) >= 4:
                rows[facts["Description"]] = wanted.index(section)
        texts = list(rows)[:: max(1, len(rows) // 8000)]
        if len(texts) > 1000:
            found["package descriptions"] = (pd.DataFrame({"text": texts}), np.array([rows[text] for text in texts]))
    return found


def far(folder: Path) -> None:
    """100,000 rows of 20 columns made of four hidden factors, one in a hundred with its columns drawn from different rows."""
    for seed in (0, 1):
        random = np.random.default_rng(seed)
        x = random.normal(size=(100_000, 4)) @ random.normal(size=(4, 20)) + 0.3 * random.normal(size=(100_000, 20))
        odd = np.zeros(len(x), dtype=bool)
        odd[random.choice(len(x), 1000, replace=False)] = True
        for column in range(20):
            x[odd, column] = x[random.integers(0, len(x), 1000), column]
        frame = pd.DataFrame(x)
        begun = time.process_time()
        found = outliers(of_table(frame), seed=seed)
        print(f"outliers, seed {seed}: AUROC {roc_auc_score(odd, found.score):.3f}, {time.process_time() - begun:.2f} s")
        np.savez(folder / "far.npz", x=x, odd=odd)
        print("\n".join(asked(peer("pyod", "pyod"), PYOD, str(folder / "far.npz"))))


def corpus(rows: int, copies: int, changed: float, headed: float, seed: int = 0) -> tuple[list[str], np.ndarray]:
    """Texts with words as frequent as in real ones; some copied with a share of words changed, some under one long header."""
    random = np.random.default_rng(seed)
    words, often = np.array([f"w{i}" for i in range(20_000)]), 1.0 / np.arange(1, 20_001)
    often /= often.sum()
    head = " ".join(random.choice(words, 150, p=often))
    texts = [list(random.choice(words, int(random.integers(60, 200)), p=often)) for _ in range(rows)]
    source = list(range(rows))
    for _ in range(copies):
        origin = int(random.integers(0, rows))
        text = list(texts[origin])
        for place in random.choice(len(text), int(changed * len(text)), replace=False):
            text[place] = str(random.choice(words, p=often))
        texts.append(text)
        source.append(origin)
    has = random.random(len(texts)) < headed
    return [(head + " " if one else "") + " ".join(text) for one, text in zip(has, texts, strict=True)], np.array(source)


def duplicates(folder: Path) -> None:
    """5,000 texts and 500 copies, without, with some and with all under one header of 150 words."""
    import json

    for headed in (0.0, 0.3, 1.0):
        texts, source = corpus(5000, 500, 0.05, headed)
        true = {p for one in np.unique(source) for p in itertools.combinations(np.flatnonzero(source == one).tolist(), 2)}
        begun = time.process_time()
        found = near_texts(texts)
        spent = time.process_time() - begun
        got = set(zip(found.left.tolist(), found.right.tolist(), strict=True))
        largest, truth = int(np.bincount(clusters(found, len(texts))).max()), int(np.bincount(source).max())
        size = sum(map(len, texts)) / 1e6
        print(
            f"header on {headed:.0%}: recall {len(got & true) / len(true):.3f}, precision {len(got & true) / max(1, len(got)):.3f}, "
            f"largest group {largest} of {truth}, {size / spent:.1f} MB/s"
        )
        (folder / "texts.json").write_text(json.dumps([texts, sorted(true)]))
        print("\n".join(asked(peer("datasketch", "datasketch", "rensa"), SKETCHES, str(folder / "texts.json"))))


def leaks(_: Path) -> None:
    """200 of 1,000 test rows, and 500 of 2,000 pictures, taken from the training data and changed."""
    from PIL import Image

    def table(texts: list[str], seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        return pd.DataFrame({"x": random.normal(size=len(texts)), "z": random.normal(size=len(texts)), "text": texts})

    train, fresh = table(corpus(5000, 0, 0, 0.3)[0], 0), table(corpus(1000, 0, 0, 0.3, seed=9)[0], 1)
    for kind in ("exact", "reordered", "white space and case", "float noise 1e-9", "near text"):
        test = fresh.copy()
        test.iloc[:200] = train.iloc[300:500].to_numpy()
        if kind == "reordered":
            test = test[["text", "z", "x"]]
        elif kind == "white space and case":
            test["text"] = " " + test["text"].str.upper().str.replace(" ", "  ")
        elif kind == "float noise 1e-9":
            test[["x", "z"]] *= 1 + 1e-9
        elif kind == "near text":
            test["x"] = fresh["z"]
            test["text"] = [" ".join("changed" if i % 25 == 3 else w for i, w in enumerate(t.split())) for t in test["text"]]
        found = table_leakage(train, test)
        print(
            f"leaks, {kind}: {(found.partner[:200] == np.arange(300, 500)).mean():.1%} found, {(found.partner[200:] >= 0).mean():.2%} false"
        )
    for name, (x, _y) in picture_sets().items():
        base, test = x[: len(x) // 2][:10_000], x[len(x) // 2 :][:2000].copy()
        copied = np.arange(0, min(len(test), 1000), 2)
        for place, row in enumerate(copied):
            stream = io.BytesIO()
            Image.fromarray((base[place, 0] * 255).astype(np.uint8)).save(stream, "JPEG", quality=40)
            test[row, 0] = np.asarray(Image.open(stream).convert("L"), dtype=np.float32) / 255
        found = near_images(base, test)
        right = found.near[copied] & (found.partner[copied] == np.arange(len(copied)))
        others = np.setdiff1d(np.arange(len(test)), copied)
        print(f"leaks, {name} saved again as JPEG 40: {right.mean():.1%} found, {found.near[others].mean():.2%} of other pictures named")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        for section, run in (("labels", labels), ("outliers", far), ("duplicates", duplicates), ("leaks", leaks)):
            if wanted(section):
                run(Path(place))
