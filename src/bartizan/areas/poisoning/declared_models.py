"""The declared model and the rows that it was trained on, fed as the model is fed, for screens that ask it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bartizan.adapters.files import local_path
from bartizan.adapters.images import ImageSet, declared_images
from bartizan.adapters.last_layers import LastLayer, last_layer
from bartizan.model.errors import BartizanError, InputError
from bartizan.model.findings import Job
from bartizan.model.system import Asset, Format

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trained:
    """A model with n of its training rows: `x` (n, *shape) as declared, with labels `y` (n,) and names of `classes`; `numbers` are those of
    the rows in the declared data, and `mean` and `std` what is taken off and divided by before the model is fed."""

    model: Any
    x: Floats
    y: Ints
    classes: tuple[str, ...]
    numbers: Ints
    bounds: tuple[float, float]
    mean: Floats
    std: Floats

    @property
    def pictures(self) -> Floats | None:
        """The rows in 0 to 1, where they are pictures (n, channels, height, width)."""
        low, high = self.bounds
        return np.asarray((self.x - low) / max(high - low, 1e-12), dtype=np.float32) if self.x.ndim == 4 else None

    def last(self, rows: npt.ArrayLike) -> LastLayer:
        """The model's last layer on `rows` like `x`, flat or not."""
        shaped = np.asarray(rows, dtype=np.float32).reshape(-1, *self.x.shape[1:])
        return last_layer(self.model, np.asarray((shaped - self.mean) / self.std, dtype=np.float32))

    def decisions(self, rows: npt.ArrayLike) -> Ints:
        """The class (m,) that the model decides for each of `rows`."""
        return np.asarray(self.last(rows).probabilities.argmax(axis=1), dtype=np.int64)


def trained_model(job: Job, target: Asset, most: int, *, mean: str = "", std: str = "") -> Trained:
    """The declared model with at most `most` of its training rows, drawn by the job's seed.

    Raises `InputError` where data and model do not fit, or the model's format is none of ONNX, torch weights with their code, and skops.
    """
    rows = declared_images(job, target.trained_on, target, "trained_on")
    model, rows = _fitting(job, target, rows)
    kept = np.sort(np.random.default_rng(job.seed).permutation(len(rows.x))[:most])
    shift, scale = (_numbers(text, default, rows.x) for text, default in ((mean, 0.0), (std, 1.0)))
    if (scale <= 0).any():
        raise InputError("std must be positive", cure="set std to the numbers by which the inputs of the net are divided")
    return Trained(model, rows.x[kept], rows.y[kept], rows.classes, kept, (rows.low, rows.high), shift, scale)


def _fitting(job: Job, target: Asset, rows: ImageSet) -> tuple[Any, ImageSet]:
    """The model, and the rows in the shape that it takes: those of a table may be pictures."""
    if target.uri is None:
        raise InputError(f"'{target.id}' has no uri", place=target.at, cure="declare where the model file lies")
    path = local_path(job.root, target.uri, target.at)
    suffix = path.suffix.lower()
    if target.format is Format.SKOPS or (target.format is None and suffix == ".skops"):
        from bartizan.adapters.estimators import load_estimator

        return load_estimator(job.root, path), rows
    if target.format is Format.ONNX or (target.format is None and suffix == ".onnx"):
        return _onnx(job, path, rows)
    from bartizan.adapters.torch_files import load_net

    return load_net(job.root, target.uri, target.architecture, target.at), rows


def _onnx(job: Job, path: Path, rows: ImageSet) -> tuple[Any, ImageSet]:
    from bartizan.adapters.onnx_models import load_onnx

    try:
        return load_onnx(job.root, path, shape=rows.x.shape[1:]), rows
    except BartizanError:
        if rows.x.ndim != 2:
            raise
    net = load_onnx(job.root, path)
    if int(np.prod(net.input_shape)) != rows.x.shape[1]:
        raise InputError(f"the net takes no rows of {rows.x.shape[1]} numbers", cure="declare data in the shape it is fed")
    shaped = rows.x.reshape(-1, *net.input_shape)
    return net, ImageSet(shaped, rows.y, rows.classes, rows.low, rows.high)


def _numbers(text: str, default: float, x: Floats) -> Floats:
    """One number, or one for each channel or column, shaped to fit `x`."""
    try:
        values = np.array([float(part) for part in text.split(",") if part.strip()] or [default], dtype=np.float32)
    except ValueError:
        raise InputError(f"'{text[:60]}' is no list of numbers", cure="write mean and std as numbers separated by commas") from None
    if len(values) not in (1, x.shape[1]):
        raise InputError(f"{len(values)} numbers for {x.shape[1]} channels", cure="give mean and std once, or for each channel")
    return values.reshape(1, -1, 1, 1) if x.ndim == 4 else values.reshape(1, -1)
