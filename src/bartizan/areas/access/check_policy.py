"""The check that the access policy of a data set hides what it says it hides, and permits no more than it must."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.adapters.files import local_path, shown
from bartizan.engine.registry import check
from bartizan.model.checks import Cost
from bartizan.model.errors import InputError, Place, Refused
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict, about_of
from bartizan.model.statistics import clopper_pearson
from bartizan.model.system import Asset, Dataset, Kind, Phase, Sensitivity, Subject, System

if TYPE_CHECKING:
    from bartizan.areas.access.attempts import Seen
    from bartizan.areas.access.cedar import Rules
    from bartizan.areas.access.compiling import Table, View
    from bartizan.areas.access.policy import Policy

CAP = 0.5
"""Chance that a campaign succeeds, at most, while the policy holds: it binds who reads through it, not who opens the file."""

MOST_PAIRS = 64
"""Different views (of principals and purposes) that are attacked."""

PERSONAL = re.compile(
    r"(?:^|[\W_])(?:e?-?mail|phone|mobile|ssn|iban|passport|birth|dob|address|street|surname|(?:first|last|full|given|family|customer)_?name|"
    r"salary|diagnosis|religion|ethnicity|ip_?addr\w*|user_?name)",
    re.IGNORECASE,
)
"""Names of columns that single a person out, or that are of special categories (GDPR Art. 9)."""


class _Judged(msgspec.Struct):
    """What was found about one policy: what is wrong, looks and hits of the attempts, the views that were attacked, those without rows."""

    problems: list[str] = []
    tried: int = 0
    hits: int = 0
    views: int = 0
    pairs: int = 0
    empty: int = 0


def _has_policy(node: Asset | Dataset, system: System) -> bool:  # noqa: ARG001 - the planner calls every predicate with (node, system)
    return getattr(node, "access", None) is not None


@check(
    "access.policy",
    threats=["excess-retention", "training-store-theft"],
    controls=["dataset-rbac"],
    kinds={Kind.DATASET},
    phases={Phase.DATA, Phase.DEVELOPMENT},
    cost=Cost.FAST,
    extra="access",
    applies=_has_policy,
)
def policy(job: Job, target: Dataset, *, rows: int = 2000) -> Iterator[Finding]:
    """An access policy that shows what it says it hides, or permits more than it must.

    Compiles the declared `access` policy for each principal and purpose and attacks each view on the first rows of the real data: raw SQL,
    stars, joins, aggregates of one row, regular expressions, copies of hidden values in clear columns, masks that hide nearly nothing. On
    confidential data or data about persons it also fails where everybody sees everything, where a rule permits reading for every purpose,
    and where a column that is personal by its name has no entry. Who can open the file itself, `access.file_permissions` says.

    rows: how many rows are attacked
    """
    from bartizan.areas.access.policy import load

    if target.uri is None or target.access is None:
        raise InputError(f"'{target.id}' has no uri or no policy", place=target.at, cure="declare where it lies, and its access policy")
    data, place = local_path(job.root, target.uri, target.at), local_path(job.root, target.access, target.at)
    found = _judge(load(place), data, target, rows)
    for threat, asset in about_of(job):
        yield _finding(job, (threat, asset), found, Place(shown(job.root, place)))


def _judge(policy: Policy, data: Path, target: Dataset, rows: int) -> _Judged:
    from bartizan.areas.access.cedar import Rules
    from bartizan.areas.access.compiling import Shown, Table, View

    table = Table(data, policy.columns, most=rows)
    rules = Rules(policy, table.types)
    found = _Judged()
    views: dict[Any, View] = {}
    everything = True
    for principal in policy.principals:
        for purpose in policy.purposes:
            made = View(rules, table, principal, purpose, key=bytes(32))
            found.pairs += 1
            everything &= made.columns(Shown.CLEAR) == tuple(table.types)
            views.setdefault((made.decisions, made.condition), made)
    if _guarded(target):
        found.problems += _too_much(policy, rules, table, everything)
    for made in list(views.values())[:MOST_PAIRS]:
        _attack(made, found)
    return found


def _attack(made: View, found: _Judged) -> None:
    from bartizan.areas.access.attempts import attempts
    from bartizan.areas.access.reading import Journal, Reader, permitted

    try:
        permitted(made)
    except Refused:
        return
    found.views += 1
    journal = Journal(made.policy, made.table.path, made.principal, made.purpose, None)  # nothing is handed out
    with Reader(made, journal) as reader:
        ways: tuple[Seen, ...] = attempts(reader, made)
    found.empty += not any(seen.way not in ("raw SQL", "thin masks") for seen in ways) and len(made.visible) < len(made.table.types)
    for seen in ways:
        found.tried += seen.tried
        found.hits += seen.hits
        if seen.hits:
            problem = f"{made.principal} for {made.purpose}, by {seen.way}: {seen.said}"
            found.problems.append(problem)


def _guarded(target: Dataset) -> bool:
    """Confidential, or about persons as far as anybody has said."""
    personal = target.subjects is None or bool({Subject.PERSON, Subject.CHILD} & set(target.subjects))
    return personal or (target.sensitivity or Sensitivity.PUBLIC).rank >= Sensitivity.CONFIDENTIAL.rank


def _too_much(policy: Policy, rules: Rules, table: Table, everything: bool) -> list[str]:
    said = []
    if everything:
        said.append("everybody sees every column as it is, for every purpose")
    unruled = [name for name in table.types if PERSONAL.search(name) and name not in policy.columns]
    if unruled:
        said.append("no entry for columns that are personal by their names: " + ", ".join(f"'{name}'" for name in unruled[:5]))
    if len(policy.purposes) > 1:
        said += [f"rule '{rules.name(id)}' permits reading for every purpose" for id in rules.without_purpose("read")[:5]]
    return said


def _finding(job: Job, about: tuple[str, str], found: _Judged, place: Place) -> Finding:
    low, high = clopper_pearson(min(found.hits, found.tried), max(found.tried, 1), job.confidence)
    measure = Measure(name="looks that saw something hidden", value=min(found.hits, found.tried) / max(found.tried, 1), low=low, high=high,
                      confidence=job.confidence, n=max(found.tried, 1), k=min(found.hits, found.tried), unit="share of looks")  # fmt: skip
    looked = f"{found.views} different views of {found.pairs} principals and purposes were attacked in {found.tried} ways"
    if found.problems:
        verdict, title = Verdict.FAIL, f"{place.file} hides less than it says, or permits too much"
        why = f"{'; '.join(found.problems[:5])}{'; and more' if len(found.problems) > 5 else ''}. {looked}."
        remedy = "Mask or deny what is shown, name the purpose in each permit, and see it again: bartizan data read DATA --explain"
    elif not found.views or found.empty == found.views:
        verdict, title = Verdict.INCONCLUSIVE, f"{place.file} was not attacked"
        why = "No principal sees any row of those that were looked at, so nothing could be tried."
        remedy = "Give more rows in appetite.tolerances (access.policy: {rows: 100000}), or see who may read: bartizan data read --explain"
    else:
        verdict, title, remedy = Verdict.PASS, f"{place.file} hides what it says", ""
        why = f"{looked}; none saw a hidden value. Whoever can open the file needs no policy: that is not judged here."
    return Finding(
        check=job.check,
        asset=about[1],
        threat=about[0],
        verdict=verdict,
        severity=Severity.HIGH if verdict is Verdict.FAIL else Severity.INFO,
        title=title,
        why=why,
        remedy=remedy,
        measures=(measure,) if found.tried else (),
        places=(place,),
        details={"problems": found.problems[:20], "views": found.views} | ({"probability_cap": CAP} if verdict is Verdict.PASS else {}),
    )
