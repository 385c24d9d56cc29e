"""Writes scikit-learn's handwritten digits as tables and trains two nets on them: a plain one and one hardened by adversarial training.

    python prepare.py            # needs no network: the images come with scikit-learn
    python prepare.py --force    # makes everything anew

Data: Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0; scikit-learn ships
its test part, 1,797 images of 8 by 8 pixels.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
DATA, MODELS = HERE / "data", HERE / "models"

LABEL = "digit"
SEED = 20_260
TRAIN_ROWS = 1297

EPS = 0.12
"""How far each pixel is moved in training, as a share of its range: a little more than the test asks for."""
STEPS = 3
EPOCHS = 60
BATCH = 128


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


def plain(x: Any, y: Any) -> Any:
    """A small net, trained as usual."""
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier((64,), max_iter=60, random_state=SEED).fit(x, y)


def hardened(x: Any, y: Any) -> Any:
    """A net that never sees an image but under attack (Madry et al., Towards deep learning models resistant to attacks, ICLR 2018).

    The radius grows over the first third, so that the net learns digits before it learns to keep them.
    """
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier((128,), learning_rate_init=3e-3, random_state=SEED)
    dice = np.random.default_rng(SEED)
    net.partial_fit(x[:BATCH], y[:BATCH], classes=np.unique(y))
    for epoch in range(EPOCHS):
        eps = EPS * min(1.0, 3 * (epoch + 1) / EPOCHS)
        order = dice.permutation(len(x))
        for start in range(0, len(x), BATCH):
            batch = order[start : start + BATCH]
            net.partial_fit(attacked(net, x[batch], y[batch], eps, dice), y[batch])
    return net


def attacked(net: Any, x: Any, y: Any, eps: float, dice: Any) -> Any:
    """The images `x` (n, 64) moved by at most `eps` a pixel, uphill on the net's loss, from a random start."""
    (first, second), (shift, last) = net.coefs_, net.intercepts_
    moved = np.clip(x + dice.uniform(-eps, eps, x.shape), 0.0, 1.0)
    for _ in range(STEPS):
        hidden = moved @ first + shift
        scores = np.maximum(hidden, 0.0) @ second + last
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        shares[np.arange(len(y)), y] -= 1.0  # the gradient of the cross-entropy by the scores
        uphill = ((shares @ second.T) * (hidden > 0)) @ first.T
        moved = np.clip(np.clip(moved + 2.5 * eps / STEPS * np.sign(uphill), x - eps, x + eps), 0.0, 1.0)
    return moved


def train_models(rows: list[list[str]]) -> None:
    """Train both and save them as skops, which holds no code."""
    import skops.io
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    x = np.array([row[:-1] for row in rows], dtype=np.float64)
    y = np.array([row[-1] for row in rows], dtype=np.int64)
    with threadpool_limits(1), warnings.catch_warnings():  # small matrices are slower on several threads
        warnings.simplefilter("ignore", ConvergenceWarning)
        skops.io.dump(plain(x, y), MODELS / "plain.skops")
        skops.io.dump(hardened(x, y), MODELS / "hardened.skops")


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
    train_models(train)
    print(f"prepare: {len(train)} training images, {len(test)} test images, a plain and a hardened net")
    return 0


if __name__ == "__main__":
    sys.exit(main())
