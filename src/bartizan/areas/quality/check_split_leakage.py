"""The check that no row of a test or validation set also stands in the training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict
from bartizan.model.statistics import clopper_pearson, lower_bound
from bartizan.model.system import Dataset, Kind, Phase, Stage, System

if TYPE_CHECKING:
    import pandas as pd

    from bartizan.areas.quality.leakage import Leakage

SHOWN = 20
"""Most rows that a finding points at."""

KINDS = {
    "exact": "identical",
    "retyped": "identical but for case or white space",
    "relabelled": "identical but for the label",
    "near": "with every number within the tolerance",
}


def _is_held_out(node: Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return node.stage in (Stage.TEST, Stage.VALIDATION) and node.uri is not None


@check(
    "quality.split_leakage",
    threats=["train-test-leakage"],
    controls=["split-leak-test"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    reads=["tests", "training_sets", "parents"],
    applies=_is_held_out,
)
def split_leakage(job: Job, target: Dataset, *, tolerance: float = 0.0, near: float = 0.01) -> Iterator[Finding]:
    """Rows of the test split that also stand in the training split, exactly or nearly.

    Compares every row of the held-out table with every row of the training tables of the same model: identical cells, cells that differ
    by case or white space, rows that differ in the label alone, and rows whose numbers are all within `near` of their column's spread.
    Columns may be reordered or renamed; running numbers are ignored. `tolerance` is the share of leaked rows that is accepted. The share
    of twins within the training data itself shows what honest coincidence would give.
    """
    from bartizan.adapters.tables import read_table
    from bartizan.areas.quality.leakage import find_leakage

    training = [node for node in job.related if isinstance(node, Dataset) and node.stage is Stage.TRAIN and node.id != target.id]
    if not training:
        cure = f"name '{target.id}' in tested_on of a model that has trained_on"
        raise InputError(f"no training data is known for '{target.id}'", place=target.at, cure=cure)
    path = local_path(job.root, target.uri or "", target.at)
    probe = read_table(job.root, path)
    if not len(probe):
        raise InputError("holds no rows", place=shown(job.root, path), cure="declare the test data that the model is judged by")
    results = []
    for node in training:
        if node.uri is None:
            raise InputError(f"training set '{node.id}' has no uri", place=node.at, cure="declare where it lies")
        reference = read_table(job.root, local_path(job.root, node.uri, node.at))
        results.append((node, find_leakage(reference, probe, label=target.label or node.label, tolerance=near, seed=job.seed)))
    yield _finding(job, target, results, tolerance, _places(shown(job.root, path), probe, results))


def _places(name: str, probe: pd.DataFrame, results: list[tuple[Dataset, Leakage]]) -> tuple[Place, ...]:
    """The lines of the first leaked rows, where rows and lines of the file go together."""
    rows = sorted({int(row) for _, result in results for row in (result.partner >= 0).nonzero()[0][:SHOWN]})[:SHOWN]
    if not rows or not name.lower().endswith((".csv", ".tsv", ".tab")):
        return (Place(name),)
    upto = probe.iloc[: rows[-1] + 1].select_dtypes(exclude="number")
    if any(column.astype(str).str.contains("\n", regex=False).any() for _, column in upto.items()):
        return (Place(name),)
    return tuple(Place(name, row + 2) for row in rows)


def _share(name: str, k: int, n: int, confidence: float, **more: Any) -> Measure:
    low, high = clopper_pearson(k, n, confidence)
    return Measure(name=name, value=k / n, low=low, high=high, confidence=confidence, n=n, k=k, unit="share of rows", **more)


def _finding(job: Job, target: Dataset, results: list[tuple[Dataset, Leakage]], tolerance: float, places: tuple[Place, ...]) -> Finding:
    import numpy as np

    n = len(results[0][1].partner)
    counts = {kind: np.any([getattr(result, kind) for _, result in results], axis=0) for kind in KINDS}
    leaked = np.any([result.partner >= 0 for _, result in results], axis=0)
    k = int(leaked.sum())
    chance = max(result.by_chance for _, result in results)
    measures = [_share("leaked rows", k, n, job.confidence, limit=tolerance, null=chance, method="every row compared; Clopper-Pearson")]
    measures += [_share(f"leaked rows, {kind}", int(hits.sum()), n, job.confidence) for kind, hits in counts.items()]
    excess = chance == 0.0 or lower_bound(k, n, job.confidence) > chance
    verdict = Verdict.PASS if k / n <= tolerance else (Verdict.FAIL if excess else Verdict.INCONCLUSIVE)
    found = ", ".join(f"{int(hits.sum())} {KINDS[kind]}" for kind, hits in counts.items() if hits.any())
    names = ", ".join(node.id for node, _ in results)
    return Finding(
        check=job.check,
        asset=target.id,
        threat="train-test-leakage",
        verdict=verdict,
        severity=Severity.INFO if verdict is Verdict.PASS else (Severity.HIGH if k / n >= 0.05 else Severity.MEDIUM),
        title=f"{k} of {n} rows of {target.id} also stand in {names}",
        why=" ".join(_reasons(results, found, chance, verdict)),
        remedy="" if verdict is Verdict.PASS else _remedy(target, verdict),
        measures=tuple(measures),
        places=places if k else (),
        details=_details(results, np.flatnonzero(leaked)[:SHOWN]) | ({"probability_cap": 0.02} if verdict is Verdict.PASS else {}),
    )


def _reasons(results: list[tuple[Dataset, Leakage]], found: str, chance: float, verdict: Verdict) -> Iterator[str]:
    yield f"Of these rows: {found}." if found else "No row has a counterpart, equal or within the tolerance."
    table = results[0][1].columns
    yield f"Compared on {len(table.names)} columns" + (
        f", without the running numbers {', '.join(table.left_out)}." if table.left_out else "."
    )
    if table.renamed:
        yield "Matched by content: " + ", ".join(f"{a} = {b}" for a, b in table.renamed[:5]) + "."
    tried = max(result.chance_rows for _, result in results)
    yield f"Within the training data {chance:.2%} of {tried} rows have such a twin, which is what an honest split would show;"
    yield f"independent columns would give {max(r.independent for _, r in results):.2g}."
    if verdict is Verdict.INCONCLUSIVE:
        yield "The rows of this table are too alike to tell a copied row from another one that happens to look the same."
    if verdict is Verdict.FAIL:
        yield "What is measured on these rows is memory, not skill: the reported score is too good."
    if any(result.truncated for _, result in results):
        yield "The search for near duplicates was cut short; the count is a lower bound."


def _remedy(target: Dataset, verdict: Verdict) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "Add a column that identifies the record (and split by it), or remove duplicates from the training data and run again."
    return f"Remove these rows from {target.id} or from training, split by person or record before any copy is made, and measure again."


def _details(results: list[tuple[Dataset, Leakage]], rows: Any) -> dict[str, Any]:
    """Numbers of rows (from 0) with their partner in each training set; never their content, which may be personal."""
    return {
        "rows": [{"row": int(row), **{node.id: int(result.partner[row]) for node, result in results}} for row in rows],
        "label_column": results[0][1].columns.label is not None,
    }
