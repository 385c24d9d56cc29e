"""A small project with digits, whose models hardening is tried on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import skops.io
from sklearn.datasets import load_digits

HEAD = """\
bartizan: 1
system: {name: digits, impact: medium}
zones: [{id: inside, trust: internal}]
appetite: {tolerances: {evasion.white_box: {eps: 0.12}}}
datasets:
  - {id: train, stage: train, uri: train.csv, label: digit, zone: inside}
  - {id: test, stage: test, uri: test.csv, label: digit, zone: inside}
assets:
"""
LINE = (
    "  - {{id: {id}, kind: model, task: image-classification, uri: {uri}, format: {format}, trained_on: [train], tested_on: [test], "
    "zone: inside}}\n"
)


def write_project(folder: Path, models: dict[str, Any], *, digits: int = 10, train: int = 400) -> Path:
    """Fit `models` (name -> estimator) on digits below `digits` and declare them: skops files, JSON for XGBoost."""
    x, y = load_digits(return_X_y=True, as_frame=True)
    table = (x / 16.0).assign(digit=y)[y < digits]
    table[:train].to_csv(folder / "train.csv", index=False)
    table[train : train + 200].to_csv(folder / "test.csv", index=False)
    rows = pd.read_csv(folder / "train.csv")
    text = HEAD
    for name, model in models.items():
        boosted = type(model).__module__.startswith("xgboost")
        uri = f"{name}.json" if boosted else f"{name}.skops"
        fitted = model.fit(rows.drop(columns="digit"), rows["digit"])
        if boosted:
            fitted.save_model(folder / uri)
        else:
            skops.io.dump(fitted, folder / uri)
        text += LINE.format(id=name, uri=uri, format="xgboost" if boosted else "skops")
    (folder / "bartizan.yaml").write_text(text)
    return folder
