"""Any metric by group, through fairlearn: for what the rates of `outcomes` do not say."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.model.errors import InputError, MissingExtra


def by_metric(
    metric: Callable[..., float], truth: npt.ArrayLike, predictions: npt.ArrayLike, groups: npt.ArrayLike, *, confidence: float = 0.95,
    draws: int = 500, seed: int = 0,
) -> dict[str, tuple[float, float, float]]:  # fmt: skip
    """`metric` (truth, predictions) -> number, of scikit-learn, fairlearn or your own, for each group: value, low, high.

    The intervals are quantiles of `draws` bootstrap samples (`fairlearn.metrics.MetricFrame`); they hold for each group by itself. Raises
    `MissingExtra` without fairlearn, `InputError` where it cannot be computed.
    """
    try:
        frames: Any = importlib.import_module("fairlearn.metrics")
    except ImportError:
        raise MissingExtra("fairness", "fairlearn") from None
    ends = [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]
    named = np.array([str(name) for name in np.asarray(groups).tolist()])
    try:
        frame = frames.MetricFrame(
            metrics=metric, y_true=np.asarray(truth), y_pred=np.asarray(predictions), sensitive_features=named, n_boot=draws,
            ci_quantiles=ends, random_state=seed,
        )  # fmt: skip
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise InputError(f"the metric cannot be computed by group: {error}", cure="give it labels and predictions that it takes") from None
    low, high = frame.by_group_ci
    return {str(name): (float(value), float(low[name]), float(high[name])) for name, value in frame.by_group.items()}
