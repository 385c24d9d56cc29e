"""The check that decisions on texts cannot be flipped by misspelling a few words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError
from bartizan.model.findings import Attacker, Finding, Job, Knowledge, Measure, Verdict, about_of
from bartizan.model.statistics import clopper_pearson, judge, median_interval
from bartizan.model.system import Asset, Kind, Output, Phase, Task

if TYPE_CHECKING:
    from bartizan.areas.evasion.text import Budget, TextEvasion

MAX_TEXTS = 100
"""Most test texts that are attacked."""

EXAMPLES, DRAWS = 5, 5


def _reads_texts(node: Asset, _: Any) -> bool:
    return node.task is Task.TEXT_CLASSIFICATION


@check(
    "evasion.text_manipulation",
    threats=["black-box-evasion"],
    kinds={Kind.MODEL},
    phases={Phase.DEVELOPMENT},
    extra="sklearn",
    cost=Cost.FAST,
    reads=["test_sets"],
    applies=_reads_texts,
)
def text_manipulation(
    job: Job, target: Asset, *, words: float = 0.2, edits: int = 1, queries: int = 500, beam: int = 1, tolerance: float = 0.1
) -> Iterator[Finding]:
    """Decisions of a scikit-learn text classifier that flip when a few words are misspelt.

    Each test text that is decided correctly is attacked through scores (labels where nothing else is shown): words are ranked by what the
    decision loses without them, then mistyped, written with a letter left out, doubled or swapped, or with letters that look alike. Words
    of fewer than three letters stay. Every flip is confirmed by the model's own predict; the control misspells as many words at random.
    Fails where the share of correct decisions that flip is beyond `tolerance`.

    words: the share of a text's words that may change (one word always may)
    edits: the most single-letter changes in one word
    queries: the most questions to the model for one text
    beam: how many partial changes are kept at each step; 1 is greedy
    tolerance: the share of correct decisions that may flip
    """
    import numpy as np

    from bartizan.areas.evasion.text import Budget, attack_text, random_misspelling
    from bartizan.areas.evasion.text_inputs import texts_of

    if not (0 < words <= 1 and edits >= 1 and queries >= 1 and beam >= 1):
        raise InputError("words must lie in (0, 1], edits, queries and beam be 1 or more", place=target.at)
    subject = texts_of(job, target)
    places = subject.correct()
    places = np.sort(places[np.random.default_rng(job.seed).permutation(len(places))[:MAX_TEXTS]])
    if job.budget.queries is not None:
        queries = max(1, min(queries, job.budget.queries // len(places)))
    budget = Budget(words=words, edits=edits, queries=queries)
    ask = subject.decisions if target.output is Output.LABEL else subject.scores
    tried = [attack_text(ask, subject.texts[place], int(subject.labels[place]), budget=budget, beam=beam) for place in places]
    confirmed = subject.decisions([one.text for one in tried]) != subject.labels[places]
    pairs = zip(places.tolist(), tried, confirmed.tolist(), strict=True)
    found = [(int(subject.lines[place]), one) for place, one, real in pairs if one.found and real]
    random = np.random.default_rng(job.seed + 1)
    drawn = [random_misspelling(subject.texts[place], budget, random) for place in places for _ in range(DRAWS)]
    null = float((subject.decisions(drawn) != np.repeat(subject.labels[places], DRAWS)).mean())
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), found, (len(places), null, tolerance), budget)


def _finding(
    job: Job, about: tuple[str, str], found: list[tuple[int, TextEvasion]], numbers: tuple[int, float, float], budget: Budget
) -> Finding:
    from bartizan.areas.evasion.telling import bound, severity

    n, null, tolerance = numbers
    ruling = judge(len(found), n, tolerance, job.confidence)
    shown = [
        {"row": line, "queries": one.queries, "changed": [{"word": old, "to": new} for _, old, new in one.changes]}
        for line, one in found[:EXAMPLES]
    ]
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=ruling.verdict,
        severity=severity(ruling.verdict, ruling),
        title=f"{len(found)} of {n} correct decisions flip when at most {budget.words:.0%} of the words are misspelt",
        why=f"{bound(ruling, tolerance, how=' under this attack')} Words change by at most {budget.edits} "
        f"{'letter' if budget.edits == 1 else 'letters'}; every flip was confirmed by the model's own predict. As many random misspellings "
        f"flip {null:.1%}.",
        remedy="" if ruling.verdict is Verdict.PASS else _remedy(ruling.verdict),
        measures=tuple(_measures(job, found, n, tolerance, null)),
        attacker=Attacker(
            knowledge=Knowledge.BLACK_BOX, queries=budget.queries, budget={"words": budget.words, "edits": float(budget.edits)}
        ),
        needed=ruling.needed,
        details={"examples": shown},
    )


def _measures(job: Job, found: list[tuple[int, TextEvasion]], n: int, tolerance: float, null: float) -> Iterator[Measure]:
    k = len(found)
    low, high = clopper_pearson(k, n, job.confidence)
    yield Measure(
        name="correct decisions flipped by misspellings", value=k / n, low=low, high=high, confidence=job.confidence, n=n, k=k,
        limit=tolerance, null=null, role="attack-success", method="Clopper-Pearson; a flip counts when predict confirms it",
    )  # fmt: skip
    for name, values in (
        ("queries until the flip", [one.queries for _, one in found]),
        ("words changed", [len(one.changes) for _, one in found]),
    ):
        if k:
            value, low, high = median_interval(values, job.confidence)
            yield Measure(
                name=f"median of {name}", value=value, low=low, high=high, confidence=job.confidence, n=k, higher_is_worse=False,
                method="order statistics, over the texts that were flipped",
            )  # fmt: skip


def _remedy(verdict: Verdict) -> str:
    if verdict is Verdict.INCONCLUSIVE:
        return "Declare more test texts (tested_on) and run again."
    return (
        "Normalise look-alike letters (Unicode NFKC and confusables) and correct spelling before the model, add letter n-grams to its "
        "features, and train on misspelt texts; then attack again."
    )
