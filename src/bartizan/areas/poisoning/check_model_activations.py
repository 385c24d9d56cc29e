"""The check that a model obeys no mark that sets some of its training rows apart: the proof of a backdoor by the model itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Asset, Format, Kind, Phase, Task

if TYPE_CHECKING:
    from bartizan.areas.poisoning.declared_models import Trained
    from bartizan.areas.poisoning.model_screen import ModelScreen

MOST = 20_000
"""Most training rows that are looked at; a sample of a larger set."""

LEAST = 200
LEARNT = 0.6
"""Least share of training rows that the model decides as labelled; with less it is not fed as it was trained, or not on these rows."""

CLEAN_LABEL = "clean-label-backdoor"
SHOWN = 50
_SUFFIXES = frozenset({".onnx", ".safetensors", ".pt", ".pth", ".ckpt", ".skops"})
_TASKS = frozenset({None, Task.IMAGE_CLASSIFICATION, Task.TABULAR_CLASSIFICATION, Task.BIOMETRIC, Task.ANOMALY_DETECTION, Task.OTHER})
_NOT_COVERED = (
    "triggers that change what is drawn (warps, poses, styles) or that are not the same on all rows",
    "triggers of which the model, as it is now, holds no rows apart: adaptive attacks, and rows with right labels that look like others",
    "marks that steer the model away from a class, or only together with something else",
    "models without a dense last layer, and texts",
)


def _has_activations(node: Asset, _: object = None) -> bool:
    """Is it a classifier of pictures or rows whose layers can be read, with data that it was trained on?"""
    if node.task not in _TASKS or not node.trained_on:
        return False
    known = node.format in (Format.ONNX, Format.TORCH, Format.SAFETENSORS, Format.SKOPS)
    return known or (node.format is None and PurePosixPath(node.uri or "").suffix.lower() in _SUFFIXES)


@check(
    "poisoning.model_activations",
    threats=["training-data-poisoning", CLEAN_LABEL, "poisoned-public-dataset"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="torch",
    cost=Cost.FAST,
    reads=["training_sets"],
    applies=_has_activations,
)
def model_activations(job: Job, target: Asset, *, mean: str = "", std: str = "") -> Iterator[Finding]:
    """Marks on training rows that the trained model obeys, and the rows that taught it so.

    The rows of each class that the model's activations hold apart are compared with rows of other classes that look alike; what they have
    beyond is put on other rows, and the model is asked. Fails where it decides half of them as the class, and far more than features of
    the class itself do at the same strength. The rows that taught it are named by their influence. Inconclusive for triggers with right
    labels where nothing is found.

    mean: what is taken off the inputs before the model is fed, one number or one for each channel, separated by commas
    std: what the inputs are divided by then
    """
    from bartizan.areas.poisoning.declared_models import trained_model
    from bartizan.areas.poisoning.model_screen import model_screen

    trained = trained_model(job, target, MOST, mean=mean, std=std)
    if len(trained.x) < LEAST or len(set(trained.y.tolist())) < 2:
        raise InputError(
            f"{len(trained.x)} training rows are too few", place=target.at, cure=f"declare {LEAST} rows or more of two classes"
        )
    found = model_screen(trained, seed=job.seed)
    if found.learnt < LEARNT:
        raise InputError(
            f"the model decides only {found.learnt:.0%} of its training rows as labelled", place=target.at,
            cure="declare the data that it was trained on, and the normalisation (parameters mean and std)",
        )  # fmt: skip
    for about in about_of(job):
        yield _finding(job, about, target, trained, found)


def _finding(job: Job, about: tuple[str, str], target: Asset, trained: Trained, found: ModelScreen) -> Finding:
    obeyed = [mark for mark in found.marks if mark.obeyed]
    verdict = Verdict.FAIL if obeyed else Verdict.INCONCLUSIVE if about[0] == CLEAN_LABEL or not found.marks else Verdict.PASS
    worst = max(found.marks, key=lambda mark: mark.steered - mark.control, default=None)
    k, n = (round(worst.steered * worst.asked), worst.asked) if worst is not None else (0, 0)
    low, high = clopper_pearson(k, n, job.confidence) if n else (0.0, 1.0)
    names = ", ".join(_name(trained, mark.label) for mark in obeyed[:3])
    title = f"'{target.id}' obeys a mark that some training rows of {names} bear" if obeyed else f"'{target.id}' obeys no mark found"
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.HIGH if obeyed else Severity.INFO,
        title=title,
        why=" ".join(_reasons(trained, found)),
        remedy=_remedy(verdict),
        measures=(Measure(name="rows of other classes that the strongest mark steers", value=k / max(n, 1), low=low, high=high, n=n, k=k,
                          confidence=job.confidence, unit="share of rows", method="spectrum of activations, marks put on other rows"),),
        artefacts=tuple(_pictures(trained, found)),
        details=_details(trained, found) | ({"probability_cap": 0.5} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _name(trained: Trained, label: int) -> str:
    return trained.classes[label] if label < len(trained.classes) else str(label)


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.FAIL:
        return (
            "Look at the picture of the mark and the named rows, trace who supplied them, remove them all, and train again from the start."
        )
    if verdict is Verdict.PASS:
        return ""
    return "A trigger with right labels can only be ruled out at its source: limit contributors, and keep secret canary inputs."


def _reasons(trained: Trained, found: ModelScreen) -> Iterator[str]:
    for mark in (one for one in found.marks if one.obeyed):
        name = _name(trained, mark.label)
        yield (
            f"The mark that {len(mark.rows)} rows of {name} share makes the model decide {mark.steered:.0%} of {mark.asked} rows of other "
            f"classes as {name}; ordinary features of the class, as strong, {mark.control:.0%}. "
            f"{len(found.culprits.get(mark.label, ()))} rows taught it."
        )
    if not any(mark.obeyed for mark in found.marks) and found.marks:
        strongest = max(mark.steered for mark in found.marks)
        yield f"The strongest of {len(found.marks)} marks, one a class, steers {strongest:.0%} of other rows."
    yield f"Not covered: {'; '.join(_NOT_COVERED)}."


def _details(trained: Trained, found: ModelScreen) -> dict[str, object]:
    """Rows by their number in the declared data, from 0, never their content."""
    return {
        "decided_as_labelled": round(found.learnt, 4),
        "marks": [
            {"label": _name(trained, m.label), "steered": round(m.steered, 3), "control": round(m.control, 3), "obeyed": m.obeyed}
            for m in found.marks[:20]
        ],
        "rows": {
            _name(trained, label): [int(trained.numbers[row]) for row in rows[:SHOWN]] for label, rows in sorted(found.culprits.items())
        },
        "memorised": [int(trained.numbers[row]) for row in found.memorised[:SHOWN]],
        "clusters": {_name(trained, label): round(value, 3) for label, value in sorted(found.silhouette.items())},
        "not_covered": list(_NOT_COVERED),
    }


def _pictures(trained: Trained, found: ModelScreen) -> Iterator[Artefact]:
    from bartizan.methods.gallery import MAX_SHOWN, gallery

    pictures = trained.pictures
    if pictures is None:
        return
    for mark in found.marks:
        if mark.obeyed:
            reach = max(float(abs(mark.picture).max()), 1e-6)
            drawn = gallery(
                mark.picture.reshape(1, *pictures.shape[1:]), [(_name(trained, mark.label), "obeyed mark")], low=-reach, high=reach
            )
            yield Artefact(name=f"obeyed-mark-{mark.label}.svg", media_type="image/svg+xml", data=drawn)
            rows = found.culprits.get(mark.label, mark.rows)[:MAX_SHOWN]
            if len(rows):
                drawn = gallery(pictures[rows], [(f"row {int(trained.numbers[row])}", _name(trained, mark.label)) for row in rows])
                yield Artefact(name=f"taught-{mark.label}.svg", media_type="image/svg+xml", data=drawn)
