"""Writes scikit-learn's handwritten digits as tables, trains a net on them, and has `bartizan harden` make a hardened one of it.

    python prepare.py            # needs no network: the images come with scikit-learn
    python prepare.py --force    # makes everything anew

Data: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0; scikit-learn ships
its test part, 1,797 images of 8 by 8 pixels.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA, MODELS = HERE / "data", HERE / "models"

LABEL = "digit"
SEED = 20_260
TRAIN_ROWS = 1297


def tables() -> tuple[list[str], list[list[str]], list[list[str]]]:
    """Header, training and test rows, the same on every machine: pixels as shares of full ink, then the digit."""
    from sklearn.datasets import load_digits

    images = load_digits()
    rows = [[*(f"{ink / 16:g}" for ink in image), str(digit)] for image, digit in zip(images.data, images.target, strict=True)]
    random.Random(SEED).shuffle(rows)
    header = [*(f"pixel_{row}_{column}" for row in range(8) for column in range(8)), LABEL]
    return header, rows[:TRAIN_ROWS], rows[TRAIN_ROWS:]


def write(path: Path, header: list[str], rows: list[list[str]]) -> None:
    """A table as plain text with Unix line ends, so that its digest is the same everywhere."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def train_plain(rows: list[list[str]]) -> None:
    """Train the plain net and save it as skops, which holds no code."""
    import numpy as np
    import skops.io
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    x = np.array([row[:-1] for row in rows], dtype=np.float64)
    y = np.array([row[-1] for row in rows], dtype=np.int64)
    with threadpool_limits(1), warnings.catch_warnings():  # small matrices are slower on several threads
        warnings.simplefilter("ignore", ConvergenceWarning)
        skops.io.dump(MLPClassifier((64,), max_iter=60, random_state=SEED).fit(x, y), MODELS / "plain.skops")


def harden() -> None:
    """Have bartizan make the hardened net of the plain one."""
    words = ["harden", "adversarial-training", HERE, "--asset", "reader", "-o", MODELS / "hardened.skops", "--force"]
    code = subprocess.run([sys.executable, "-m", "bartizan", *map(str, words)], check=False).returncode
    if code:
        sys.exit(f"prepare: bartizan harden ended with {code}")


def main() -> int:
    """Prepare what is missing; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force", action="store_true", help="make everything anew")
    options = parser.parse_args()
    wanted = [DATA / "train.csv", DATA / "test.csv", MODELS / "plain.skops", MODELS / "hardened.skops"]
    if not options.force and all(path.is_file() for path in wanted):
        print("prepare: data and models are in place")
        return 0
    header, train, test = tables()
    DATA.mkdir(exist_ok=True)
    MODELS.mkdir(exist_ok=True)
    write(wanted[0], header, train)
    write(wanted[1], header, test)
    train_plain(train)
    print(f"prepare: {len(train)} training images, {len(test)} test images, a plain net; now a hardened one")
    harden()
    return 0


if __name__ == "__main__":
    sys.exit(main())
