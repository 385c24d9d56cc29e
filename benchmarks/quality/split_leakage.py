"""Leakage between splits: recall, false alarms and time beside deepchecks (train_test_samples_mix) and a plain pandas merge.

    python benchmarks/quality/split_leakage.py [ROWS]

Both sides read the same files. Leaks are planted: copies, copies with columns in another order, copies retyped (case, spaces), copies with
another label, and copies with every number moved by up to a thousandth of its column's spread. The peer runs in its own environment.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PEERS = Path(__file__).resolve().parents[2] / "build" / "peers"
KINDS = ("copied", "reordered", "retyped", "relabelled", "moved")
EACH = 50


def planted(rows: int, folder: Path) -> None:
    """One pair of tables for each kind of leak, and a clean pair."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(0)

    def people(count: int) -> pd.DataFrame:
        words = np.array(["car (new)", "radio/television", "education", "repairs"])
        table = pd.DataFrame({f"n{i}": random.normal(size=count).round(6) for i in range(8)})
        for i in range(5):
            table[f"c{i}"] = random.integers(0, 10, count)
        for i in range(3):
            table[f"w{i}"] = words[random.integers(0, 4, count)]
        return table.assign(label=random.integers(0, 2, count))

    train = people(rows)
    train.to_csv(folder / "train.csv", index=False)
    for kind in (*KINDS, "clean"):
        test = people(max(rows // 5, 10 * EACH))
        if kind != "clean":
            copies = train.sample(EACH, random_state=1).reset_index(drop=True)
            if kind == "retyped":
                copies["w0"] = " " + copies["w0"].str.upper() + " "
            if kind == "relabelled":
                copies["label"] = 1 - copies["label"]
            if kind == "moved":
                copies.iloc[:, :8] += random.choice([-1, 1], (EACH, 8)) * 0.001
            test.iloc[:EACH] = copies.to_numpy()
        test = test[list(reversed(test.columns))] if kind == "reordered" else test
        test.to_csv(folder / f"{kind}.csv", index=False)


def ours(folder: Path) -> dict[str, tuple[int, int, float]]:
    """For each table (planted rows found, other rows reported, seconds)."""
    import pandas as pd

    from bartizan.methods.row_overlap import find_leakage

    train = pd.read_csv(folder / "train.csv")
    result = {}
    for kind in (*KINDS, "clean"):
        test = pd.read_csv(folder / f"{kind}.csv")
        begun = time.perf_counter()
        leaked = find_leakage(train, test, label="label").partner >= 0
        result[kind] = (int(leaked[:EACH].sum()), int(leaked[EACH:].sum()), time.perf_counter() - begun)
    return result


def merged(folder: Path) -> dict[str, tuple[int, int, float]]:
    """The plain way: an inner merge on all columns by name."""
    import pandas as pd

    train = pd.read_csv(folder / "train.csv")
    result = {}
    for kind in (*KINDS, "clean"):
        test = pd.read_csv(folder / f"{kind}.csv")
        begun = time.perf_counter()
        rows = set(test.reset_index().merge(train, on=list(train.columns))["index"])
        result[kind] = (sum(r < EACH for r in rows), sum(r >= EACH for r in rows), time.perf_counter() - begun)
    return result


def peer(folder: Path) -> None:
    """Runs inside the peer's environment and prints its result as JSON."""
    import pandas as pd
    from deepchecks.tabular import Dataset
    from deepchecks.tabular.checks import TrainTestSamplesMix

    train = Dataset(pd.read_csv(folder / "train.csv"), label="label", cat_features=[])
    result = {}
    for kind in (*KINDS, "clean"):
        table = pd.read_csv(folder / f"{kind}.csv")
        test = Dataset(table, label="label", cat_features=[])
        begun = time.perf_counter()
        value = TrainTestSamplesMix(n_samples=10**9).run(train, test).value
        count = round(value["ratio"] * len(table))
        result[kind] = (min(count, EACH), max(count - EACH, 0), time.perf_counter() - begun)
    print(json.dumps(result))


def peer_python() -> Path:
    """The interpreter of the peer's environment, made where it is missing."""
    folder = PEERS / "deepchecks"
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        wanted = ["deepchecks==0.19.1", "scikit-learn<1.5", "numpy<2", "pandas<2.3", "setuptools"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def main() -> int:
    """Print the table."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted(rows, folder)
        results = {"bartizan": ours(folder), "pandas merge": merged(folder)}
        try:
            done = subprocess.run([peer_python(), __file__, "--peer", folder], capture_output=True, text=True, check=True, timeout=1200)
            results["deepchecks 0.19.1"] = json.loads(done.stdout.strip().splitlines()[-1])
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            print(f"deepchecks could not be run here: {str(error)[:200]}")
    print(f"{rows} training rows, {max(rows // 5, 10 * EACH)} test rows, 17 columns; found of {EACH} planted / false alarms / seconds")
    for tool, found in results.items():
        print(f"{tool:20}" + "".join(f"{kind} {k}/{alarms}/{seconds:.2f}  " for kind, (k, alarms, seconds) in found.items()))
    return 0 if all(k == EACH and not alarms for kind, (k, alarms, _) in results["bartizan"].items() if kind != "clean") else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(Path(sys.argv[2]))
    else:
        sys.exit(main())
