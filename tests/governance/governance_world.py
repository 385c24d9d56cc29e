"""A small catalogue and system by hand: a scorer behind an interface that an applicant reaches from the internet."""

import datetime as dt

from bartizan.catalog.catalogue import Catalog, Frameworks
from bartizan.governance.risk import risks_of
from bartizan.model.checks import Check
from bartizan.model.findings import Finding, Job, Measure, Severity, Verdict
from bartizan.model.risks import Evidence
from bartizan.model.system import Actor, ActorBudget, Asset, Claim, Dataset, Flow, Kind, Level, Phase, Quota, Stage, System, Trust, Zone
from bartizan.model.threats import (
    ChecklistItem,
    Clause,
    Control,
    Crosswalk,
    Framework,
    Link,
    Maturity,
    Relation,
    Threat,
    ThreatInstance,
    ThreatModel,
)

TODAY = dt.date(2026, 11, 1)


def threat(id, maturity="demonstrated", controls=("noise",), family="privacy", aliases=()):
    return Threat(
        id=id, title=id, family=family, ai=True, stride=("I",), against=(Kind.MODEL,), when="always",
        summary="s", example="e", question="q",
        mitigations=("do something",), controls=controls, maturity=Maturity(maturity), aliases=aliases,
    )  # fmt: skip


THREATS = {
    t.id: t
    for t in (
        threat("membership", aliases=("mia",)),
        threat("evasion", "common", ("quota", "noise"), "evasion"),
        threat("pickle", "theoretical", ("scan",), "supply-chain"),
        threat("elsewhere", controls=("idle",)),
    )
}
CONTROLS = {
    c.id: c
    for c in (
        Control(id="noise", title="Noise", phases=(Phase.DEVELOPMENT,), summary="s", clauses=("law:1",), aliases=("dp",)),
        Control(id="quota", title="Quota", phases=(Phase.DEPLOYMENT,), summary="s"),
        Control(id="scan", title="Scan", phases=(Phase.DEVELOPMENT,), summary="s", clauses=("law:old",)),
        Control(id="idle", title="Idle", phases=(Phase.OPERATION,), summary="s"),
    )
}
LAW = Framework(
    id="law", title="Law", version="1", publisher="p",
    clauses=(Clause(id="1"), Clause(id="2"), Clause(id="3"), Clause(id="4", controls=("idle",)),
             Clause(id="old", retired=True, replaced_by="3"), Clause(id="5")),
)  # fmt: skip
CROSSWALK = Crosswalk(
    id="x", source="s", reviewer="r", reviewed=TODAY,
    links=(Link(id="l", refs=("law:2@1",), evidence="e", controls=("dp", "quota"), relation=Relation.PARTIAL),),
)  # fmt: skip
CHECKLIST = (
    ChecklistItem(id="a", title="A", group="g", controls=("noise", "quota"), how="h"),
    ChecklistItem(id="b", title="B", group="g", controls=("idle",), how="h"),
)
CATALOG = Catalog(
    threats=THREATS, controls=CONTROLS, frameworks=Frameworks({}, {"law": LAW}), aliases={"mia": "membership", "dp": "noise"},
    origins={}, sources=(), read_crosswalks=lambda: (CROSSWALK,), read_checklist=lambda: CHECKLIST,
)  # fmt: skip


def system(*, claims=(), decisions=(), impact=Level.HIGH, queries=500, quota=None):
    return System(
        name="credit",
        impact=impact,
        owner="team-risk",
        zones=(Zone(id="internet", trust=Trust.NONE), Zone(id="serving", trust=Trust.INTERNAL)),
        actors=(Actor(id="applicant", zone="internet", budget=ActorBudget(queries_per_day=queries)),),
        datasets=(Dataset(id="loans", stage=Stage.TRAIN, zone="serving"),),
        assets=(
            Asset(id="scorer", kind=Kind.MODEL, zone="serving"),
            Asset(id="api", kind=Kind.ENDPOINT, zone="serving", serves=("scorer",), quota=quota and Quota(requests_per_day=quota)),
        ),
        flows=(Flow(source="applicant", target="api"),),
        controls=tuple(claims),
        decisions=tuple(decisions),
    )


def model(*threats):
    names = threats or ("membership", "evasion", "pickle")
    instances = tuple(ThreatInstance(threat=t, element="scorer", certain=True, because=("it is served",)) for t in names)
    return ThreatModel(system="credit", instances=instances, questions=())


def attack(k, n, verdict=Verdict.PASS, *, name="membership", check="privacy.membership", role="attack-success", **more):
    measure = Measure(name="tpr", value=k / n if n else 0.0, low=0.0, high=1.0, confidence=0.95, n=n, k=k, role=role, **more)
    return Finding(check=check, asset="scorer", threat=name, verdict=verdict, title=f"{k} of {n}", measures=(measure,))


def configuration(verdict, *, name="membership", severity=Severity.HIGH, check="artefacts.format", asset="scorer", **details):
    return Finding(check=check, asset=asset, threat=name, verdict=verdict, severity=severity, title=verdict.value, details=details)


def evidence(*findings, start=1):
    """One record for each finding, as the store would give it."""
    return tuple(
        Evidence(
            seq=seq, collected="2026-11-01T00:00:00Z", received="2026-11-01T00:00:01Z", subjects=(),
            job=Job(check=f.check, version="1", threats=(f.threat,), subject=Asset(id=f.asset, kind=Kind.MODEL), digest=f"job-{seq}"),
            findings=(f,), environment={}, environment_digest="", previous="", digest="", signature="", key="",
        )
        for seq, f in enumerate(findings, start)
    )  # fmt: skip


def claim(control="noise", **more):
    return Claim(**{"control": control, "by": "cto", "why": "it is on", **more})


def risks(*findings, of=None, threats=(), stale=(), decisions=(), today=TODAY):
    return risks_of(of or system(), CATALOG, model(*threats), evidence(*findings), stale, decisions, today)


def risk(*findings, name="membership", **more):
    return next(r for r in risks(*findings, threats=(name,), **more) if r.threat == name and r.asset == "scorer")


def check(id, *controls):
    def run(job, target):
        yield from ()

    return Check(
        id=id, title=id, summary="", threats=("membership",), controls=controls, kinds=frozenset({Kind.MODEL}),
        phases=frozenset({Phase.DATA}), run=run,
    )  # fmt: skip
