"""Membership inference on a fitted scikit-learn classifier, as one call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bartizan.adapters.estimators import class_probabilities
from bartizan.areas.privacy import membership, reference_models
from bartizan.areas.privacy.membership import Membership
from bartizan.model.errors import InputError

FINER = 0.001
"""A lower rate of false positives that is reported beside the asked one, where there are records enough for it."""


def membership_inference(
    estimator: Any,
    members: pd.DataFrame,
    others: pd.DataFrame,
    *,
    label: str,
    labels_only: bool = False,
    fpr: float = 0.01,
    seed: int = 0,
) -> Membership:
    """Attack `estimator`, a fitted classifier with `predict_proba`, with records it was trained on and records it was not.

    `members` and `others` hold the features and the column `label`; `labels_only` lets the attacker see the predicted class alone; the
    attack is tuned for the false-positive rate `fpr`, between 0 and 1. Reference models are clones of the estimator, trained here. The same
    seed gives the same result. Raises `InputError` where columns are missing or the labels are not the model's classes.
    """
    frame = pd.concat([members, others], ignore_index=True)
    inside = np.arange(len(frame)) < len(members)
    names = [str(name) for name in getattr(estimator, "feature_names_in_", [c for c in frame.columns if c != label])]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise InputError(f"the model wants columns that the data does not have: {', '.join(missing[:5])}")
    features = frame[names]
    probabilities = class_probabilities(estimator, features)
    if labels_only:
        probabilities = np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    classes = reference_models.class_numbers(estimator, frame[label])
    if (classes < 0).mean() > 0.5:
        raise InputError(f"the labels in '{label}' are not the classes of the model", cure="declare the label column of the data sets")
    epsilon = membership.resolution(probabilities)
    target = membership.log_odds(probabilities, classes, epsilon)
    odds, split = reference_models.train(estimator, features, classes, seed, epsilon)
    return membership.attack(membership.scores_of(target, odds, split, classes), inside, odds, fpr=fpr, finer=(FINER,), seed=seed)
