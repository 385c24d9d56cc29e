"""Known examples: what broke earlier versions of a model is tried on this one with one pass, before any attack, and kept for the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from bartizan.areas.evasion.replay import Origin, digest, examples, pack, unpack
from bartizan.model.errors import BartizanError
from bartizan.model.findings import EXAMPLES, Artefact, Finding, Job, Measure
from bartizan.model.statistics import clopper_pearson

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Known:
    """What known examples do to n rows: `broken` (n,) by one of them, the row being `changed` (n, d); rows that have any are `tried` (n,).

    `unread` artefacts could not be read.
    """

    broken: Mask
    changed: Floats
    tried: Mask
    unread: int


def tried_again(job: Job, x: Floats, labels: Ints, decide: Callable[[Floats], Ints], allowed: Callable[[Floats, Ints], Mask]) -> Known:
    """The known examples of rows `x` (n, d) of class numbers `labels` (n,), decided in one pass.

    An example belongs to a row with the same cells and label. It counts where `allowed(changed, rows)` says that it lies within what the
    attacker may do today.
    """
    places: dict[bytes, int] = {row.tobytes(): place for place, row in enumerate(x)}
    rows: list[int] = []
    changed: list[Floats] = []
    unread = 0
    for artefact in job.earlier:
        try:
            one = unpack(artefact.data or b"")
        except BartizanError:
            unread += 1
            continue
        if one.x.ndim != 2 or one.x.shape[1] != x.shape[1]:
            continue
        for before, after, label in zip(one.x[one.found], one.adversarial[one.found], one.y[one.found], strict=True):
            place = places.get(before.astype(np.float64).tobytes(), -1)
            if place >= 0 and labels[place] == label:
                rows.append(place)
                changed.append(after.astype(np.float64))
    broken, best = np.zeros(len(x), dtype=np.bool_), x.copy()
    at = np.array(rows, dtype=np.int64)
    if len(at):
        candidates = np.stack(changed)
        hits = np.flatnonzero(allowed(candidates, at) & (decide(candidates) != labels[at]))
        broken[at[hits]], best[at[hits]] = True, candidates[hits]
    return Known(broken, best, np.isin(np.arange(len(x)), at), unread)


def artefact_of(job: Job, x: Floats, changed: Floats, labels: Ints, broken: Mask, attack: str) -> Artefact | None:
    """The broken rows with what broke them, to be tried on the next version; None where nothing was."""
    if not broken.any():
        return None
    eps = float(np.abs(changed[broken] - x[broken]).max())
    model = job.inputs[0].digest if job.inputs else None
    origin = Origin(norm="linf", eps=eps, low=None, high=None, attack=attack, seed=job.seed, model=model or "")
    data = pack(examples(x[broken], changed[broken], labels[broken], broken[broken], origin))
    return Artefact(name=f"adversarial-examples-{digest(data)[:12]}.npz", media_type=EXAMPLES, data=data)


def told_known(finding: Finding, job: Job, known: Known, artefact: Artefact | None) -> Finding:
    """`finding` with the artefact, and with how many rows are still broken by what broke an earlier version."""
    kept = (*finding.artefacts, artefact) if artefact is not None else finding.artefacts
    if not job.earlier:
        return msgspec.structs.replace(finding, artefacts=kept)
    k, m = int((known.broken & known.tried).sum()), int(known.tried.sum())
    why = f"{finding.why} Before the attack, {k} of {m} known examples still worked."
    if known.unread:
        why += f" {known.unread} kept artefacts could not be read."
    measures = finding.measures
    if m:
        low, high = clopper_pearson(k, m, job.confidence)
        measures += (
            Measure(
                name="known examples that still work", value=k / m, low=low, high=high, confidence=job.confidence, n=m, k=k,
                method="one pass before any attack, over rows that an earlier run broke",
            ),
        )  # fmt: skip
    details = finding.details | {"known_examples": {"tried": m, "working": k, "unread": known.unread}}
    return msgspec.structs.replace(finding, artefacts=kept, why=why, measures=measures, details=details)
