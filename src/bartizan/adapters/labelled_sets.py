"""Reads a declared data set as what it is, pictures or a table, with its labels as class numbers: what screens of a set work on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bartizan.adapters.files import local_path, shown
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Dataset

if TYPE_CHECKING:
    import pandas as pd

LEAST_PIXELS = 64
"""Fewest columns of a table that are taken for the pixels of a picture."""


@dataclass(frozen=True)
class LabelledSet:
    """A data set of n rows: `images` (n, channels, height, width) in 0 to 1, or `frame` with its features, or both for a table of pixels.

    `labels` (n,) are class numbers with their names in `classes`; None where none is declared. `name` is the file as people know it, and
    `lines` whether row i stands in line i + 2 of it. `numbers` are those of the rows in the file, where this is a sample.
    """

    name: str
    rows: int
    images: npt.NDArray[np.float32] | None
    frame: pd.DataFrame | None
    labels: npt.NDArray[np.int64] | None
    classes: tuple[str, ...]
    lines: bool
    numbers: npt.NDArray[np.int64] | None = None

    def number(self, row: int) -> int:
        """The number of `row` in the file, from 0: another one where this is a sample."""
        return row if self.numbers is None else int(self.numbers[row])

    def sample(self, most: int, seed: int) -> LabelledSet:
        """At most `most` rows, drawn by `seed`, in their order; the set itself where it has no more."""
        if self.rows <= most:
            return self
        kept = np.sort(np.random.default_rng(seed).choice(self.rows, most, replace=False))
        return replace(
            self,
            rows=most,
            images=None if self.images is None else self.images[kept],
            frame=None if self.frame is None else self.frame.iloc[kept].reset_index(drop=True),
            labels=None if self.labels is None else self.labels[kept],
            numbers=kept,
        )

    def class_name(self, number: int) -> str:
        """The name of a class, its number where it has none."""
        return self.classes[number] if number < len(self.classes) else str(number)


def read_labelled(job: Job, node: Dataset, *, labels: bool = True) -> LabelledSet:
    """The declared data set `node` below the root of `job`. Raises `InputError` where it has no uri, no rows or, if asked, no labels."""
    if node.uri is None:
        raise InputError(f"data set '{node.id}' has no uri", place=node.at, cure="declare where it lies")
    return read_set(job.root, local_path(job.root, node.uri, node.at), label=node.label, labels=labels)


def read_set(root: str | Path, path: Path, *, label: str | None = None, labels: bool = True) -> LabelledSet:
    """The data set at `path`: a folder of pictures or an .npz, else a table (see `read_images`, `read_table`)."""
    if path.is_dir() or path.suffix.lower() == ".npz":
        return _pictures(root, path)
    return _table(root, path, label, labels=labels)


def _pictures(root: str | Path, path: Path) -> LabelledSet:
    from bartizan.adapters.images import read_images

    found = read_images(root, path)
    name = shown(root, path)
    if found.x.ndim != 4:
        import pandas as pd

        return LabelledSet(name, len(found.x), None, pd.DataFrame(found.x), found.y, found.classes, lines=False)
    scaled = (found.x - np.float32(found.low)) / np.float32(max(found.high - found.low, 1e-12))
    return LabelledSet(name, len(found.x), scaled, None, found.y, found.classes, lines=False)


def _table(root: str | Path, path: Path, label: str | None, *, labels: bool) -> LabelledSet:
    from bartizan.adapters.tables import read_table

    return of_frame(read_table(root, path), shown(root, path), label, labels=labels)


def of_frame(frame: pd.DataFrame, name: str, label: str | None, *, labels: bool = True) -> LabelledSet:
    """The table `frame`, called `name`, with its `label` column. Raises `InputError` where it has no rows or, if asked, no labels."""
    import pandas as pd

    if not len(frame):
        raise InputError("holds no rows", place=name, cure="declare the data that the model was really made with")
    known = label is not None and label in frame
    if labels and not known:
        raise InputError("has no label column that is declared", place=name, cure="declare label: on the data set")
    numbers: npt.NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    if known:
        column = frame[label]
        codes, values = pd.factorize(column, sort=True)
        numbers, classes = np.asarray(codes, dtype=np.int64), tuple(str(value) for value in values)
        frame = frame.drop(columns=label)
    lines = name.lower().endswith((".csv", ".tsv", ".tab"))
    return LabelledSet(name, len(frame), _as_pixels(frame), frame, numbers, classes, lines=lines)


def _as_pixels(frame: pd.DataFrame) -> npt.NDArray[np.float32] | None:
    """The table as square grey pictures where its columns look like pixels: a square number of them, one range, not negative."""
    side = math.isqrt(frame.shape[1])
    if side * side != frame.shape[1] or frame.shape[1] < LEAST_PIXELS or not all(kind.kind in "fiu" for kind in frame.dtypes):
        return None
    values: npt.NDArray[np.float32] = frame.to_numpy(dtype=np.float32)
    if not np.isfinite(values).all() or values.min() < 0.0 or values.max() <= 0.0:
        return None
    tops = values.max(axis=0)
    if float((tops >= 0.5 * values.max()).mean()) < 0.5:
        return None
    return np.asarray(values / values.max(), dtype=np.float32).reshape(-1, 1, side, side)
