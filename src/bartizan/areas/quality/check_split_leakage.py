"""The check that no row of a test or validation set also stands in the training data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson, lower_bound
from bartizan.model.system import Asset, Dataset, Kind, Phase

if TYPE_CHECKING:
    import pandas as pd

    from bartizan.areas.quality.leaked_rows import TableLeakage

SHOWN = 20
"""Most rows that a finding points at."""

KINDS = {
    "exact": "identical",
    "retyped": "identical but for case or white space",
    "relabelled": "identical but for the label",
    "near": "with every number within the tolerance",
    "near_text": "with nearly the same text",
}


@check(
    "quality.split_leakage",
    threats=["train-test-leakage"],
    controls=["split-leak-test"],
    kinds={Kind.MODEL},
    phases={Phase.DATA},
    extra="data",
    reads=["training_sets", "test_sets"],
    version="2",
)
def split_leakage(job: Job, target: Asset, *, tolerance: float = 0.0, near: float = 0.01) -> Iterator[Finding]:
    """Rows of the test split that also stand in the training split, exactly or nearly.

    Compares every row of each held-out table of a model with every row of its training tables: identical cells, cells that differ by
    case or white space, rows that differ in the label alone, rows whose numbers are all within `near` of their column's spread, and rows
    whose texts are nearly the same. Columns may be reordered or renamed; running numbers are ignored. Sets of pictures are compared by
    what they show, so that a picture saved again is found. `tolerance` is the share of leaked rows that is accepted. The share of twins
    within the training data itself shows what honest coincidence would give.
    """
    training = [
        n for n in job.related if isinstance(n, Dataset) and n.id in (target.trained_on or ()) and n.id not in (target.tested_on or ())
    ]
    held_out = [n for n in job.related if isinstance(n, Dataset) and n.id in (target.tested_on or ())]
    if not training or not held_out:
        cure = f"name its data sets in {'tested_on' if training else 'trained_on'}"
        raise InputError(f"the {'test' if training else 'training'} data of '{target.id}' is not declared", place=target.at, cure=cure)
    if any(_is_pictures(job, node) for node in (*training, *held_out)):
        from bartizan.areas.quality.leaked_pictures import judged

        findings = {node.id: judged(job, node, training, tolerance) for node in held_out}
    else:
        frames = {node.id: _read(job, node) for node in training}
        findings = {node.id: _judged(job, node, [(n, frames[n.id]) for n in training], tolerance, near) for node in held_out}
    for threat, asset in about_of(job):
        for node_id, finding in findings.items():
            if asset == node_id or asset not in findings:
                yield msgspec.structs.replace(finding, threat=threat, asset=asset)


def _is_pictures(job: Job, node: Dataset) -> bool:
    if node.uri is None:
        return False
    path = local_path(job.root, node.uri, node.at)
    return path.is_dir() or path.suffix.lower() == ".npz"


def _read(job: Job, node: Dataset) -> pd.DataFrame:
    from bartizan.adapters.tables import read_table

    if node.uri is None:
        raise InputError(f"data set '{node.id}' has no uri", place=node.at, cure="declare where it lies")
    path = local_path(job.root, node.uri, node.at)
    frame = read_table(job.root, path)
    if not len(frame):
        raise InputError("holds no rows", place=shown(job.root, path), cure="declare the data that the model was really made with")
    return frame


def _judged(job: Job, target: Dataset, training: list[tuple[Dataset, pd.DataFrame]], tolerance: float, near: float) -> Finding:
    from bartizan.areas.quality.leaked_rows import table_leakage

    probe = _read(job, target)
    results = [(n, table_leakage(frame, probe, label=target.label or n.label, tolerance=near, seed=job.seed)) for n, frame in training]
    name = shown(job.root, local_path(job.root, target.uri or "", target.at))
    return _finding(job, target, results, tolerance, _places(name, probe, results))


def _places(name: str, probe: pd.DataFrame, results: list[tuple[Dataset, TableLeakage]]) -> tuple[Place, ...]:
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


def _finding(
    job: Job, target: Dataset, results: list[tuple[Dataset, TableLeakage]], tolerance: float, places: tuple[Place, ...]
) -> Finding:
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


def _reasons(results: list[tuple[Dataset, TableLeakage]], found: str, chance: float, verdict: Verdict) -> Iterator[str]:
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


def _details(results: list[tuple[Dataset, TableLeakage]], rows: Any) -> dict[str, Any]:
    """Numbers of rows (from 0) with their partner in each training set; never their content, which may be personal."""
    return {
        "rows": [{"row": int(row), **{node.id: int(result.partner[row]) for node, result in results}} for row in rows],
        "label_column": results[0][1].columns.label is not None,
    }
