"""The sequential gate against always attacking 1,000 images: how many it needs at which distance from the threshold, and how often it errs.

python benchmarks/evasion/df_gate.py [runs]
"""

from __future__ import annotations

import random
import statistics
import sys

from bartizan.areas.evasion.gate import Gate, decide
from bartizan.model.findings import Verdict

IMAGES, THRESHOLD = 1000, 0.67


def simulated(rate: float, seed: int, about: str) -> Gate:
    dice = random.Random(seed)
    outcomes = [i < round(rate * IMAGES) for i in range(IMAGES)] if about == "set" else [dice.random() < rate for _ in range(IMAGES)]
    if about == "set":
        dice.shuffle(outcomes)
    return decide(outcomes, THRESHOLD, size=IMAGES if about == "set" else None)


def main(runs: int = 1000) -> None:
    print(f"threshold {THRESHOLD:.0%}, {runs} gates each; 'wrong' counts fail at or above the threshold and pass below")
    print(f"{'about':<12}{'truth':>7}{'median':>8}{'mean':>7}{'pass':>7}{'fail':>7}{'open':>7}{'wrong':>7}")
    for about in ("population", "set"):
        for gap in (-0.17, -0.1, -0.05, 0.0, 0.05, 0.1, 0.17, 0.3):
            found = [simulated(THRESHOLD + gap, seed, about) for seed in range(runs)]
            share = {v: sum(one.verdict is v for one in found) / runs for v in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)}
            wrong = share[Verdict.FAIL] if gap >= 0 else share[Verdict.PASS]
            tried = [one.tried for one in found]
            print(f"{about:<12}{THRESHOLD + gap:>7.0%}{statistics.median(tried):>8.0f}{statistics.mean(tried):>7.0f}"
                  + "".join(f"{rate:>7.1%}" for rate in (*share.values(), wrong)))  # fmt: skip


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
