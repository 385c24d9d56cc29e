"""Membership inference: what our attack recognises beside the black-box and the rule-based attack of the Adversarial Robustness Toolbox.

    python benchmarks/privacy/membership.py

The same models on the same records: 1,000 members and 800 others of one source. Each attack is tuned on the same random half of both and
measured on the other half, by the area under its curve and by the members it recognises at 1 % false positives.
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
MEMBERS, OTHERS = 1000, 800


def models() -> dict[str, object]:
    """Two models that memorise, one that hardly does."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    return {
        "forest": RandomForestClassifier(50, random_state=0),
        "tree": DecisionTreeClassifier(random_state=0),
        "logistic": LogisticRegression(C=0.01),
    }


def population() -> tuple[object, object]:
    """Features and labels, noisy enough that memorising does not generalise."""
    from sklearn.datasets import make_classification

    return make_classification(MEMBERS + OTHERS, 20, n_informative=8, flip_y=0.15, random_state=0)


def judged(scores: object, members: object) -> tuple[float, float]:
    """Area, and true positives at 1 % false positives, on the half that was not tuned on."""
    import numpy as np
    from sklearn.metrics import roc_auc_score, roc_curve

    false, true, _ = roc_curve(members, scores)
    return float(roc_auc_score(members, scores)), float(np.interp(0.01, false, true))


def tuning(seed: int = 0) -> object:
    """Which records the attacks may be tuned on."""
    import numpy as np

    return np.random.default_rng(seed).random(MEMBERS + OTHERS) < 0.5


def ours(model: object, features: object, labels: object) -> tuple[float, float, float]:
    """Our attack: area, true positives at 1 %, seconds."""
    import numpy as np
    import pandas as pd

    from bartizan.adapters.estimators import class_probabilities
    from bartizan.areas.privacy import membership, reference_models

    begun = time.perf_counter()
    frame, members, tune = pd.DataFrame(features), np.arange(len(labels)) < MEMBERS, tuning()
    classes = reference_models.class_numbers(model, pd.Series(labels))
    probabilities = class_probabilities(model, frame.to_numpy())
    epsilon = membership.resolution(probabilities)
    odds, inside = reference_models.train(model, frame, classes, 0, epsilon)
    scores = membership.scores_of(membership.log_odds(probabilities, classes, epsilon), odds, inside, classes)
    best = max(scores, key=lambda name: judged(scores[name][tune], members[tune])[::-1])
    area, hits = judged(scores[best][~tune], members[~tune])
    return area, hits, time.perf_counter() - begun


def peer(folder: Path) -> None:
    """Runs inside the peer's environment and prints its results as JSON."""
    import numpy as np
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBox, MembershipInferenceBlackBoxRuleBased
    from art.estimators.classification.scikitlearn import SklearnClassifier

    features, labels = population()
    members, tune, results = np.arange(len(labels)) < MEMBERS, tuning(), {}
    for name, model in models().items():
        target = SklearnClassifier(model.fit(features[:MEMBERS], labels[:MEMBERS]))
        begun = time.perf_counter()
        rules = MembershipInferenceBlackBoxRuleBased(target).infer(features[~tune], labels[~tune]).ravel()
        results[f"{name}, rule-based"] = (*judged(rules, members[~tune]), time.perf_counter() - begun)
        begun = time.perf_counter()
        attack = MembershipInferenceBlackBox(target, attack_model_type="rf")
        attack.fit(features[tune & members], labels[tune & members], features[tune & ~members], labels[tune & ~members])
        scores = np.asarray(attack.infer(features[~tune], labels[~tune], probabilities=True))
        results[f"{name}, black-box"] = (*judged(scores.reshape(len(scores), -1)[:, -1], members[~tune]), time.perf_counter() - begun)
    (folder / "result.json").write_text(json.dumps(results))


def peer_python() -> Path:
    """The interpreter of the peer's environment, made where it is missing."""
    folder = PEERS / "art"
    python = folder / "bin" / "python"
    if not python.is_file():
        venv.create(folder, with_pip=True)
        wanted = ["adversarial-robustness-toolbox==1.20.1", "scikit-learn", "packaging", "setuptools"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def main() -> int:
    """Print the table."""
    features, labels = population()
    print(f"{MEMBERS} members, {OTHERS} others; AUC / true positives at 1 % false positives / seconds")
    for name, model in models().items():
        area, hits, seconds = ours(model.fit(features[:MEMBERS], labels[:MEMBERS]), features, labels)
        print(f"bartizan   {name:22}{area:.3f} / {hits:.3f} / {seconds:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run([peer_python(), __file__, "--peer", folder], capture_output=True, text=True, check=True, timeout=900)
            for name, (area, hits, seconds) in json.loads((Path(folder) / "result.json").read_text()).items():
                print(f"ART 1.20.1 {name:22}{area:.3f} / {hits:.3f} / {seconds:.1f}")
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            print(f"the Adversarial Robustness Toolbox could not be run here: {str(getattr(error, 'stderr', '') or error)[-300:]}")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(Path(sys.argv[2]))
    else:
        sys.exit(main())
