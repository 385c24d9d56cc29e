"""The check that no group of people is missing from a data set, or gets the favourable label far more seldom than another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.quality.representation import Gap, Group


@check(
    "quality.representation",
    threats=["biased-data"],
    controls=["bias-assessment"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="data",
    version="2",
)
def representation(
    job: Job, target: Dataset, *, groups: str = "", favourable: str = "", ratio: float = 0.8, least_rows: int = 100
) -> Iterator[Finding]:
    """Groups of people that are few, miss values, or get the favourable label more seldom than others.

    For each column of groups: rows, favourable labels and missing cells of each group with exact intervals. Fails where the favourable
    share of one group is surely below `ratio` times that of another, or a group has fewer than `least_rows` rows; inconclusive where the
    data does not settle it. That the shares fit those whom the system serves is not known to a data set and has to be compared.

    groups: columns that divide people, separated by commas; empty takes columns whose names say so
    favourable: the label that counts as favourable; empty takes the greater of two
    ratio: the least ratio of favourable shares of two groups
    least_rows: fewest rows of a group from which something can be learnt about it
    """
    from bartizan.adapters.files import local_path, shown
    from bartizan.adapters.tables import read_table
    from bartizan.areas.quality.representation import candidates, groups_of, imbalance, widest_gap

    if target.uri is None:
        raise InputError(f"data set '{target.id}' has no uri", place=target.at, cure="declare where it lies")
    path = local_path(job.root, target.uri, target.at)
    frame, name = read_table(job.root, path), shown(job.root, path)
    label = target.label if target.label in frame else None
    columns = tuple(part.strip() for part in groups.split(",") if part.strip()) or candidates(frame, label)
    if not columns or not len(frame):
        raise InputError("no column is known to divide people", place=name, cure="name them: quality.representation groups: sex, age")
    found = {c: groups_of(frame, c, label=label, favourable=favourable or None, confidence=job.confidence) for c in columns}
    gaps = {column: widest_gap(parts, confidence=job.confidence) for column, parts in found.items()}
    rarest = imbalance(frame[label]) if label is not None else None
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), name, (found, gaps, rarest), (ratio, least_rows))


Found = tuple["dict[str, tuple[Group, ...]]", "dict[str, Gap | None]", "tuple[float, int] | None"]


def _judged(found: Found, ratio: float, least_rows: int) -> tuple[Verdict, list[str]]:
    """The verdict and why: a gap is certain where the interval of the ratio lies below the limit."""
    groups, gaps, _ = found
    verdict, reasons = Verdict.PASS, []
    for column, parts in groups.items():
        few = [group for group in parts if group.rows < least_rows and group.value != "(missing)"]
        if few:
            verdict = Verdict.FAIL
            reasons.append(f"{column}: {', '.join(f'{group.value} has {group.rows} rows' for group in few[:3])}.")
        gap = gaps[column]
        if gap is None or gap.ratio >= ratio:
            continue
        assert gap.low.favourable is not None
        assert gap.high.favourable is not None
        certain = gap.low.favourable[2] < ratio * gap.high.favourable[1]
        verdict = Verdict.FAIL if certain else max(verdict, Verdict.INCONCLUSIVE, key=_worst)
        reasons.append(
            f"{column}: {gap.low.value} gets the favourable label in {gap.low.favourable[0]:.1%}, {gap.high.value} in "
            f"{gap.high.favourable[0]:.1%}{'' if certain else ' (not certain)'}."
        )
    return verdict, reasons


def _worst(verdict: Verdict) -> int:
    return [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL].index(verdict)


def _finding(job: Job, about: tuple[str, str], name: str, found: Found, limits: tuple[float, int]) -> Finding:
    groups, gaps, rarest = found
    verdict, reasons = _judged(found, *limits)
    shown = sum(len(parts) for parts in groups.values())
    balance = f" The rarest label has {rarest[1]} rows ({rarest[0]:.1%})." if rarest else " There is no label to compare."
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.MEDIUM if verdict is Verdict.FAIL else Severity.INFO,
        title=f"{shown} groups of {', '.join(groups)} in {name}: " + (f"{len(reasons)} stand out" if reasons else "none stands out"),
        why=" ".join(reasons) + balance + " Whether the shares fit those whom the system serves is not known to the data.",
        remedy="" if verdict is Verdict.PASS else "Collect more rows of the named groups, and find out why their labels differ: a true "
        "difference, or how labels were given.",
        measures=tuple(_measures(job, groups, gaps, limits[0])),
        places=(Place(name),),
        artefacts=(_drawn(name, groups),),
        details=_details(groups, rarest) | ({"probability_cap": 0.3} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _measures(job: Job, groups: dict[str, tuple[Group, ...]], gaps: dict[str, Gap | None], ratio: float) -> Iterator[Measure]:
    for column, parts in groups.items():
        least = min(parts, key=lambda group: group.rows)
        n = sum(group.rows for group in parts)
        yield Measure(name=f"{column}: smallest group", value=least.share[0], low=least.share[1], high=least.share[2],
                      confidence=job.confidence, n=n, k=least.rows, unit="share of rows", higher_is_worse=False)  # fmt: skip
        gap = gaps[column]
        if gap is not None:
            value, low, high = gap.difference
            yield Measure(name=f"{column}: difference of favourable shares", value=value, low=min(low, value), high=max(high, value),
                          confidence=job.confidence, n=gap.low.rows + gap.high.rows, method=f"ratio limit {ratio:g}")  # fmt: skip


def _details(groups: dict[str, tuple[Group, ...]], rarest: tuple[float, int] | None) -> dict[str, object]:
    def rounded(rate: tuple[float, float, float] | None) -> list[float] | None:
        return None if rate is None else [round(part, 5) for part in rate]

    rows = [
        {"column": g.column, "group": g.value, "rows": g.rows, "favourable": rounded(g.favourable), "missing": rounded(g.missing)}
        for parts in groups.values()
        for g in parts
    ]
    return {"groups": rows, "rarest_label": None if rarest is None else {"share": round(rarest[0], 5), "rows": rarest[1]}}


def _drawn(name: str, groups: dict[str, tuple[Group, ...]]) -> Artefact:
    """Bars with their intervals: each group's share of the rows, of the favourable labels, and of missing cells."""
    from bartizan.methods.charts import Bar, rates

    labelled = any(group.favourable is not None for parts in groups.values() for group in parts)
    measures = ("share of rows", *(("favourable label",) if labelled else ()), "missing cells")
    blocks = [
        (column, [Bar(g.value, f"{g.rows:,} rows", (g.share, *((g.favourable,) if labelled else ()), g.missing)) for g in parts])
        for column, parts in groups.items()
    ]
    summary = f"For each group of {', '.join(groups)}: its {', '.join(measures)}, with exact intervals."
    data = rates(f"Groups of {name}", summary, measures, blocks)
    return Artefact(name="groups.svg", media_type="image/svg+xml", data=data)
