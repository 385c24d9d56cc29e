"""Judges whether pictures of a test set also stand in the training sets, saved again or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bartizan.adapters.labelled_sets import LabelledSet, read_labelled
from bartizan.areas.quality.alike_pictures import near_images
from bartizan.methods.gallery import MAX_SHOWN, gallery
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict
from bartizan.model.statistics import clopper_pearson, lower_bound
from bartizan.model.system import Dataset

SHOWN = 20


def judged(job: Job, target: Dataset, training: Sequence[Dataset], tolerance: float) -> Finding:
    """The finding on the pictures of `target` against those of `training`. Raises `InputError` where one of them is no set of pictures."""
    probe = _pictures(job, target)
    sets = [_pictures(job, node) for node in training]
    train = _together(sets)
    assert probe.images is not None
    found = near_images(train, probe.images)
    chance = float(near_images(train).near.mean())
    exact = np.zeros(probe.rows, dtype=bool)
    if train.shape[1:] == probe.images.shape[1:]:
        exact = found.near & (np.abs(train[found.partner] - probe.images).reshape(probe.rows, -1).max(axis=1) < 1e-6)
    k, n = int(found.near.sum()), probe.rows
    excess = chance == 0.0 or lower_bound(k, n, job.confidence) > chance
    verdict = Verdict.PASS if k / n <= tolerance else (Verdict.FAIL if excess else Verdict.INCONCLUSIVE)
    names = ", ".join(node.id for node in training)
    rows = np.flatnonzero(found.near)
    limit = {"limit": tolerance, "null": chance, "method": "nearest picture, told by the distances around it; Clopper-Pearson"}
    return Finding(
        check=job.check, asset=target.id, threat="train-test-leakage", verdict=verdict,
        severity=Severity.INFO if verdict is Verdict.PASS else (Severity.HIGH if k / n >= 0.05 else Severity.MEDIUM),
        title=f"{k} of {n} pictures of {target.id} also stand in {names}",
        why=f"Of these, {int(exact.sum())} are equal pixel by pixel, {k - int(exact.sum())} were saved again or changed a little. Within "
        f"the training data {chance:.2%} of the pictures have such a twin, which is what an honest split would show.",
        remedy="" if verdict is Verdict.PASS else "Remove these pictures from one of the sets; split by source before copies are made.",
        measures=(_share("leaked pictures", k, n, job.confidence, **limit),
                  _share("leaked pictures, exact", int(exact.sum()), n, job.confidence)),
        places=(Place(probe.name),),
        artefacts=_sheet(train, probe.images, found.partner, rows),
        details={"rows": [{"row": int(row), "training_row": int(found.partner[row]), "distance": round(float(found.distance[row]), 4)}
                          for row in rows[:SHOWN]]} | ({"probability_cap": 0.02} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _share(name: str, k: int, n: int, confidence: float, **more: object) -> Measure:
    low, high = clopper_pearson(k, n, confidence)
    return Measure(name=name, value=k / n, low=low, high=high, confidence=confidence, n=n, k=k, unit="share of pictures", **more)  # type: ignore[arg-type]


def _pictures(job: Job, node: Dataset) -> LabelledSet:
    data = read_labelled(job, node, labels=False)
    if data.images is None:
        raise InputError(f"'{node.id}' holds no pictures, others of this model do", place=data.name, cure="declare sets of one kind")
    return data


def _together(sets: Sequence[LabelledSet]) -> npt.NDArray[np.float32]:
    images = [one.images for one in sets if one.images is not None]
    if len({image.shape[1:] for image in images}) > 1:
        raise InputError("the training sets hold pictures of different shapes", cure="declare sets of one shape")
    return np.concatenate(images)


def _sheet(
    train: npt.NDArray[np.float32], probe: npt.NDArray[np.float32], partner: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]
) -> tuple[Artefact, ...]:
    """Leaked pictures beside their originals, where both have one shape."""
    rows = rows[: MAX_SHOWN // 2]
    if not len(rows) or train.shape[1:] != probe.shape[1:]:
        return ()
    pairs = np.stack([probe[rows], train[partner[rows]]], axis=1).reshape(-1, *probe.shape[1:])
    captions = [(text,) for row in rows for text in (f"test {row}", f"training {partner[row]}")]
    title = "Test pictures, each beside the training picture that it copies"
    return (Artefact(name="leaked-pictures.svg", media_type="image/svg+xml", data=gallery(pairs, captions, title=title)),)
