"""The check that a data set shows no sign of poison, and that says which poison it cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.errors import InputError, Place, one_line
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.adapters.labelled_sets import LabelledSet
    from bartizan.areas.poisoning.screening import Screen
    from bartizan.areas.poisoning.trigger_tokens import TriggerToken

SHOWN = 50
"""Most rows that a finding names."""

MOST = 50_000
"""Most rows that are screened; of a larger set a sample, since all pairs are compared."""

LEAST = 200
"""Fewest rows that are screened."""

CLEAN_LABEL = "clean-label-backdoor"


@check(
    "poisoning.dataset_screen",
    threats=["training-data-poisoning", "poisoned-public-dataset", CLEAN_LABEL],
    controls=["outlier-screen"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    version="2",
    applies=lambda node, _: getattr(node, "label", None) is not None or str(getattr(node, "uri", "")).rpartition(".")[2] in ("npz", ""),
)
def dataset_screen(job: Job, target: Dataset) -> Iterator[Finding]:
    """Rows of a labelled set that bear a trigger, and classes whose labels somebody seems to have flipped.

    Neighbours vote on each label; what the contradicted rows of a class share beyond chance is a mark, and all rows that bear it are
    named; pictures are searched for pasted patches, with right labels too, and texts for words, phrases and strange characters that give
    them a label against all that they say otherwise. Fails where a mark, a patch or a trigger word is beyond coincidence. Inconclusive
    where a class is lopsided or the neighbourhood says too little, and for triggers with right labels wherever none is found: most of
    them no screen of the set can see. What is not covered stands in the finding.
    """
    from bartizan.adapters.labelled_sets import read_labelled
    from bartizan.areas.poisoning.deliveries import readable_texts, texts_of, without_sources
    from bartizan.areas.poisoning.screening import screen
    from bartizan.methods.descriptors import of_set

    data = without_sources(read_labelled(job, target)).sample(MOST, job.seed)
    texts = texts_of(data.frame)
    data = data if texts is None else _smaller(data, readable_texts(texts), job.seed)
    if data.labels is None or data.rows < LEAST or (data.labels < 0).any():
        raise InputError(
            f"holds {data.rows} rows, or rows without label", place=data.name, cure=f"declare {LEAST} rows or more, all labelled"
        )
    if len(set(data.labels.tolist())) < 2 or len(data.classes) > max(50, data.rows // 20):
        raise InputError(f"has {len(data.classes)} labels in {data.rows} rows", place=data.name, cure="declare a label with few classes")
    found = screen(of_set(data.images, data.frame), data.labels, images=data.images, texts=texts_of(data.frame), seed=job.seed)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), data, found)


def _smaller(data: LabelledSet, most: int, seed: int) -> LabelledSet:
    """A sample of a set that may be one already; rows keep their numbers in the file."""
    part = data.sample(most, seed)
    if data.numbers is None or part.numbers is None or part is data:
        return part
    return replace(part, numbers=data.numbers[part.numbers])


def _verdict(found: Screen, threat: str) -> Verdict:
    if found.outcome == "poisoned":
        return Verdict.FAIL
    return Verdict.PASS if found.outcome == "nothing found" and threat != CLEAN_LABEL else Verdict.INCONCLUSIVE


def _finding(job: Job, about: tuple[str, str], data: LabelledSet, found: Screen) -> Finding:
    verdict = _verdict(found, about[0])
    k, n = len(found.suspects), data.rows
    low, high = clopper_pearson(k, n, job.confidence)
    titles = {
        "poisoned": f"{k} of {n} rows of {data.name} bear a mark that looks like a trigger",
        "suspicious": f"labels of {data.name} look flipped on purpose",
        "nothing found": f"no sign of the poison that is looked for in {n} rows of {data.name}",
        "cannot tell": f"neighbours say too little about the labels of {data.name} to screen it",
    }
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.HIGH if verdict is Verdict.FAIL else Severity.INFO,
        title=titles[found.outcome],
        why=" ".join(_reasons(data, found)),
        remedy=_remedy(verdict, found),
        measures=(Measure(name="rows that bear a mark", value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k,
                          unit="share of rows", method="votes of neighbours, shared marks, repeated patches, trigger words"),),
        places=_places(data, found),
        artefacts=tuple(_pictures(data, found)),
        details=_details(data, found) | ({"probability_cap": 0.5} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _places(data: LabelledSet, found: Screen) -> tuple[Place, ...]:
    if not data.lines or not len(found.suspects):
        return (Place(data.name),)
    return tuple(Place(data.name, data.number(int(row)) + 2) for row in found.suspects[:20])


def _reasons(data: LabelledSet, found: Screen) -> Iterator[str]:
    for mark in found.marks:
        if len(mark.bearers):
            yield (
                f"{mark.rows} rows labelled {data.class_name(mark.label)} look like others and share a mark {mark.strength:.0f} times "
                f"as strong as chance leaves; {len(mark.bearers)} rows of the class bear it."
            )
    for patch in found.patches:
        yield (
            f"{len(patch.rows)} pictures of {data.class_name(patch.label)} that differ elsewhere bear one patch near row {patch.top}, "
            f"column {patch.left}."
        )
    for token in found.tokens.triggers[:5] if found.tokens is not None else ():
        doubt = "" if token.scattered else "; they share a subject, so it may be one of its words"
        yield (
            f"{len(token.rows)} texts labelled {data.class_name(token.label)} bear {_shown(token)}, and all else that they say speaks for "
            f"another class in {token.contradicted} of them{doubt}."
        )
    for label, looks, share in found.lopsided[:3]:
        yield f"{share:.1%} of {data.class_name(label)} look like {data.class_name(looks)}, and hardly any the other way."
    for label, share in found.drawn[:3]:
        yield f"{share:.1%} of {data.class_name(label)} look like other classes, beyond what other classes have."
    if found.outcome == "cannot tell":
        yield f"Neighbours tell the label only {found.agreement:.0%} better than the most frequent class does."
    if data.numbers is not None:
        yield f"A sample of {data.rows} rows was screened."
    yield f"Not covered: {'; '.join(found.not_covered)}."


def _shown(token: TriggerToken) -> str:
    """The mark in words that a screen can show."""
    name = one_line(token.name.encode("unicode_escape").decode() if not token.name.isprintable() else token.name, 60)
    return name if token.kind in ("case", "script") else f"the {token.kind} '{name}'"


def _remedy(verdict: Verdict, found: Screen) -> str:
    if verdict is Verdict.PASS:
        return ""
    if found.outcome == "poisoned":
        return "Look at the named rows and the picture of the mark, trace who supplied them, remove them all, and train again without them."
    if found.outcome == "nothing found":
        return (
            "A trigger with right labels can only be ruled out at its source: limit contributors, and test the trained model for triggers."
        )
    return "Have rows of the named classes labelled again, or screen with activations of your model: bartizan.poisoning.screen(...)."


def _details(data: LabelledSet, found: Screen) -> dict[str, object]:
    """Rows (from 0), never their content; strengths, and what was and was not covered."""
    from bartizan.areas.poisoning.screening import FALSE_ALARMS

    return {
        "false_alarms": FALSE_ALARMS,
        "outcome": found.outcome,
        "rows": [data.number(int(row)) for row in found.suspects[:SHOWN]],
        "marks": [
            {"label": data.class_name(m.label), "strength": round(m.strength, 2), "rows": m.rows, "bearers": len(m.bearers)}
            for m in found.marks[:10]
        ],
        "patches": [
            {"label": data.class_name(p.label), "rows": len(p.rows), "top": p.top, "left": p.left, "windows": p.support}
            for p in found.patches
        ],
        "tokens": [
            {"kind": t.kind, "name": _shown(t), "label": data.class_name(t.label), "rows": len(t.rows), "contradicted": t.contradicted,
             "elsewhere": t.elsewhere, "chance": t.chance, "scattered": t.scattered}
            for t in (found.tokens.triggers[:10] if found.tokens is not None else ())
        ],
        "contradicted": round(float(found.votes.contradicted.mean()), 5),
        "covered": list(found.covered),
        "not_covered": list(found.not_covered),
    }  # fmt: skip


def _pictures(data: LabelledSet, found: Screen) -> Iterator[Artefact]:
    from bartizan.methods.gallery import MAX_SHOWN, gallery

    if data.images is None or data.labels is None or not len(found.suspects):
        return
    shape = data.images.shape[1:]
    for mark in found.marks:
        if len(mark.bearers) and mark.picture.size == data.images[0].size:
            reach = max(float(abs(mark.picture).max()), 1e-6)
            drawn = gallery(mark.picture.reshape(1, *shape), [(data.class_name(mark.label), "its mark")], low=-reach, high=reach)
            yield Artefact(name=f"mark-{mark.label}.svg", media_type="image/svg+xml", data=drawn)
    rows = found.suspects[:MAX_SHOWN]
    captions = [
        (
            f"row {data.number(int(row))}: {data.class_name(int(data.labels[row]))}",
            f"like {data.class_name(int(found.votes.suggested[row]))}",
        )
        for row in rows
    ]
    yield Artefact(name="suspects.svg", media_type="image/svg+xml", data=gallery(data.images[rows], captions))
