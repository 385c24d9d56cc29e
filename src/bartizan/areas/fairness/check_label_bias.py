"""The check that a data set labels groups of people alike where their features are alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place, one_line
from bartizan.model.findings import Artefact, Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.system import Dataset, Kind, Phase

if TYPE_CHECKING:
    from bartizan.areas.fairness.comparing import Compared, LabelBias


@check(
    "fairness.label_bias",
    threats=["biased-data"],
    controls=["bias-assessment"],
    kinds={Kind.DATASET},
    phases={Phase.DATA},
    extra="sklearn",
    cost=Cost.SLOW,
)
def label_bias(
    job: Job, target: Dataset, *, groups: str = "", legitimate: str = "", favourable: str = "", tolerance: float = 0.05
) -> Iterator[Finding]:
    """Labels that are given unlike to groups of people whose features are alike, and columns that stand in for a group.

    Each group is compared with the largest of its column, each crossing of two columns with all other rows: the gap between the rates of
    the favourable label as it is, and among rows with like features (cross-fitted, with intervals that hold together). Fails where the gap
    that features leave is surely beyond `tolerance`, or features contradict the labels of one group surely more often than those of the
    other. Inconclusive where the rows do not settle it, and where the gap is explained by features of which nobody said that they may
    count.

    groups: columns that divide people, separated by commas; empty takes columns whose names say so
    legitimate: columns that may explain a difference, separated by commas; empty takes all others and asks you
    favourable: the label that counts as favourable; empty takes the greater of two
    tolerance: the largest gap that is accepted, as a share of the rows of a group
    """
    from bartizan.adapters.files import local_path, shown
    from bartizan.adapters.tables import read_table
    from bartizan.areas.fairness.comparing import label_bias as compare

    if target.uri is None:
        raise InputError(f"data set '{target.id}' has no uri", place=target.at, cure="declare where it lies")
    path = local_path(job.root, target.uri, target.at)
    frame, name = read_table(job.root, path), shown(job.root, path)
    if target.label is None or target.label not in frame:
        raise InputError("has no label column that is declared", place=name, cure="declare label: on the data set, or give --label")
    found = compare(
        frame, target.label, sensitive=_listed(groups), legitimate=_listed(legitimate) or None, favourable=favourable or None,
        confidence=job.confidence, seed=job.seed, seconds=job.budget.seconds,
    )  # fmt: skip
    for about in about_of(job):
        yield _finding(job, about, name, found, tolerance)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def judged(found: LabelBias, tolerance: float) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict on `found`, and the sentences that carry it."""
    bad, open_, asked = [], [], []
    for one in found.compared:
        who = f"{one.column}: {one.group} against {one.others}"
        if one.adjusted is None:
            open_.append(f"{who} could not be adjusted for features.")
            continue
        value, low, high = one.adjusted
        raw = f"{one.raw[0]:+.1%} as it is"
        if low > tolerance or high < -tolerance:
            bad.append(f"{who}: {raw}, {value:+.1%} ({low:+.1%} to {high:+.1%}) with like features.")
        elif one.contradicted is not None and max(one.contradicted[1], -one.contradicted[2]) > tolerance:
            more = one.contradicted
            bad.append(f"{who}: features contradict {more[0]:+.1%} ({more[1]:+.1%} to {more[2]:+.1%}) more of the labels than expected.")
        elif low < -tolerance or high > tolerance:
            open_.append(f"{who}: {raw}, between {low:+.1%} and {high:+.1%} with like features.")
        elif not found.declared and (one.raw[1] < -tolerance or one.raw[2] > tolerance):
            by = ", ".join(proxy.column for proxy in one.proxies[:3] if proxy.auroc[1] > 0.5) or "the features together"
            asked.append(f"{who}: {raw}, {value:+.1%} with like features; what explains it is {by}.")
    if bad:
        return Verdict.FAIL, tuple(bad)
    return (Verdict.INCONCLUSIVE, (*open_, *asked)) if open_ or asked else (Verdict.PASS, ())


def _finding(job: Job, about: tuple[str, str], name: str, found: LabelBias, tolerance: float) -> Finding:
    verdict, reasons = judged(found, tolerance)
    columns = ", ".join(dict.fromkeys(one.column for one in found.compared if one.others != "all others"))
    settled = sum(one.adjusted is not None for one in found.compared)
    stated = {
        Verdict.FAIL: f"{len(reasons)} of {len(found.compared)} comparisons find labels given unlike",
        Verdict.INCONCLUSIVE: f"whether labels are given alike is open in {len(reasons)} of {len(found.compared)} comparisons",
        Verdict.PASS: f"labels are given alike in all {settled} comparisons",
    }[verdict]
    adjusted = ", ".join(found.adjusted_for[:8]) + (" ..." if len(found.adjusted_for) > 8 else "")
    why = [
        *reasons[:6],
        f"Favourable is {found.label} = {found.favourable}. Features held alike: {adjusted or 'none'}.",
        *(f"Not held alike: {column} {reason}." for column, reason in found.left_out[:5]),
        *(f"{note[0].upper()}{note[1:]}." for note in found.notes[:5]),
        "A difference in what no column holds is not seen, and neither is one that features took over from biased decisions.",
    ]
    return Finding(
        check=job.check, asset=about[1], threat=about[0], verdict=verdict,
        severity=Severity.HIGH if verdict is Verdict.FAIL else Severity.INFO,
        title=one_line(f"{columns} in {name}: {stated}", 200),
        why=" ".join(why),
        remedy=_remedy(found, verdict, tolerance),
        measures=tuple(_measures(job, found, tolerance)),
        needed=_needed(found, tolerance) if verdict is Verdict.INCONCLUSIVE else None,
        places=(Place(name),),
        artefacts=(Artefact(name="groups.svg", media_type="image/svg+xml", data=_picture(found, name)),),
        details=_details(found) | ({"probability_cap": 0.25} if verdict is Verdict.PASS else {}),
    )  # fmt: skip


def _remedy(found: LabelBias, verdict: Verdict, tolerance: float) -> str:
    if verdict is Verdict.PASS:
        return ""
    if verdict is Verdict.FAIL:
        return (
            "Find out how the labels of these groups came about and have a sample labelled again without the group being seen. Leaving out "
            "the column does not help while others tell it; do not train on these labels as they are."
        )
    if not found.declared:
        return "Say which columns may explain a difference, and run again: fairness.label_bias legitimate: income, debt"
    return f"Collect more rows of the named groups, or say with tolerance: how large a gap is accepted ({tolerance:g} now)."


def _needed(found: LabelBias, tolerance: float) -> int | None:
    """How many more rows would settle the widest open comparison, if its gap stays what it is."""
    most = 0
    for one in found.compared:
        if one.adjusted is None:
            continue
        value, low, high = one.adjusted
        room = abs(tolerance - abs(value))
        width = (high - low) / 2.0
        if room > 0.002 and width > room:
            most = max(most, round(sum(one.rows) * ((width / room) ** 2 - 1.0)))
    return most or None


def _measures(job: Job, found: LabelBias, tolerance: float) -> Iterator[Measure]:
    for one in found.compared:
        n, method = sum(one.rows), "like features: cross-fitted, overlap weights"
        for name, rate, limit in (
            ("gap as it is", one.raw, None), ("gap with like features", one.adjusted, tolerance),
            ("contradicted labels beyond expectation", one.contradicted, None),
        ):  # fmt: skip
            if rate is not None:
                yield Measure(
                    name=one_line(f"{one.column}: {one.group} against {one.others}: {name}", 160), value=rate[0], low=rate[1], high=rate[2],
                    confidence=job.confidence, n=n, limit=limit, unit="difference of rates", method=method if limit else "",
                )  # fmt: skip
        if one.told is not None:
            value, low, high = one.told
            yield Measure(name=one_line(f"{one.column}: {one.group} told by all other features", 160), value=value, low=low, high=high,
                          confidence=job.confidence, n=n, null=0.5, unit="area under the ROC curve")  # fmt: skip


def _details(found: LabelBias) -> dict[str, object]:
    return {
        "adjusted_for": list(found.adjusted_for),
        "left_out": [list(pair) for pair in found.left_out],
        "comparisons": [_row(one) for one in found.compared],
        "notes": list(found.notes),
    }


def _row(one: Compared) -> dict[str, object]:
    def rounded(rate: tuple[float, float, float] | None) -> list[float] | None:
        return None if rate is None else [round(part, 5) for part in rate]

    strata = one.strata
    return {
        "column": one.column, "group": one.group, "others": one.others, "rows": list(one.rows),
        "rates": [rounded(rate) for rate in one.rates], "raw": rounded(one.raw), "adjusted": rounded(one.adjusted),
        "overlap": round(one.overlap, 4), "contradicted": rounded(one.contradicted), "told": rounded(one.told),
        "mantel_haenszel": None if strata is None else {
            "odds_ratio": rounded(strata.odds_ratio), "difference": round(strata.difference, 5), "p": float(f"{strata.p:.3g}"),
            "strata": strata.strata,
        },
        "proxies": [{"column": proxy.column, "auroc": rounded(proxy.auroc)} for proxy in one.proxies[:10]],
    }  # fmt: skip


def _picture(found: LabelBias, name: str) -> bytes:
    from bartizan.methods.charts import Bar, rates

    blocks: dict[str, list[Bar]] = {}
    for one in found.compared:
        bars = blocks.setdefault(one.column, [])
        for who, rows, rate in ((one.group, one.rows[0], one.rates[0]), (one.others, one.rows[1], one.rates[1])):
            if who not in {bar.name for bar in bars}:
                bars.append(Bar(who, f"{rows} rows", (rate,)))
    return rates(f"Favourable labels by group in {name}", "Rates of the favourable label by group, with exact intervals",
                 [f"{found.label} = {found.favourable}"], list(blocks.items()))  # fmt: skip
