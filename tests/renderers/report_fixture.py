"""A realistic report of a credit-scoring system, built by hand, and the same report with a hostile string in every text field."""

from __future__ import annotations

import datetime as dt
import hashlib
from enum import Enum
from typing import Any

import msgspec

from bartizan.model import findings as f
from bartizan.model import report as r
from bartizan.model import risks as k
from bartizan.model import system as s
from bartizan.model import threats as t
from bartizan.model.errors import Place

MANIFEST = "bartizan.yaml"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def system() -> s.System:
    def at(line: int) -> Place:
        return Place(MANIFEST, line)

    return s.System(
        name="credit-score",
        purpose="Score applicants for consumer loans and explain the score to the clerk",
        owner="team-risk",
        role=s.Role.PROVIDER,
        impact=s.Level.HIGH,
        zones=(
            s.Zone(id="internet", trust=s.Trust.NONE, at=at(6)),
            s.Zone(id="bureau", title="Credit bureau", trust=s.Trust.PARTNER, at=at(7)),
            s.Zone(id="serving", trust=s.Trust.INTERNAL, at=at(8)),
            s.Zone(id="training", trust=s.Trust.RESTRICTED, at=at(9)),
        ),
        actors=(
            s.Actor(id="applicant", zone="internet", at=at(12)),
            s.Actor(id="bureau-feed", title="Bureau feed", zone="bureau", at=at(13)),
            s.Actor(id="data-scientist", zone="training", at=at(14)),
        ),
        datasets=(
            s.Dataset(id="loans", title="Loan history", stage=s.Stage.TRAIN, uri="data/loans.csv", zone="training", at=at(17)),
            s.Dataset(id="loans-test", stage=s.Stage.TEST, uri="data/loans-test.csv", zone="training", at=at(20)),
        ),
        assets=(
            s.Asset(id="web", title="Loan web site", kind=s.Kind.SERVICE, zone="serving", at=at(24)),
            s.Asset(id="api", title="Scoring API", kind=s.Kind.ENDPOINT, zone="serving", serves=("scorer",), at=at(26)),
            s.Asset(id="scorer", title="Scoring model", kind=s.Kind.MODEL, zone="serving", uri="models/scorer.pkl", at=at(30)),
            s.Asset(id="image", kind=s.Kind.CONTAINER, zone="serving", uri="Dockerfile", runs=("api",), at=at(35)),
            s.Asset(id="fit", title="Training job", kind=s.Kind.PIPELINE, zone="training", produces=("scorer",), at=at(40)),
            s.Asset(id="packages", kind=s.Kind.DEPENDENCIES, uri="requirements.txt", at=at(44)),
        ),
        flows=(
            s.Flow(source="applicant", target="web", data=("application form",), protocol="https", encrypted=True, at=at(50)),
            s.Flow(source="web", target="api", data=("features",), protocol="http", encrypted=False, at=at(51)),
            s.Flow(source="api", target="scorer", data=("features",), at=at(52)),
            s.Flow(source="api", target="web", data=("score",), at=at(53)),
            s.Flow(source="bureau-feed", target="loans", data=("payment history",), protocol="sftp", untrusted=True, at=at(54)),
            s.Flow(source="loans", target="fit", data=("rows",), at=at(55)),
            s.Flow(source="fit", target="scorer", data=("weights",), at=at(56)),
            s.Flow(source="loans-test", target="fit", data=("rows",), at=at(57)),
            s.Flow(source="data-scientist", target="fit", data=("code",), at=at(58)),
        ),
    )


_THREATS = (
    # id, title, family, stride, against, asset of this system
    ("training-data-poisoning", "Training-data poisoning", "data", "T", s.Kind.DATASET, "loans"),
    ("train-test-leakage", "Train/test leakage", "data", "I", s.Kind.DATASET, "loans-test"),
    ("personal-data-in-training", "Personal data in training data", "data", "I", s.Kind.DATASET, "loans"),
    ("excess-retention", "Retention beyond purpose", "data", "I", s.Kind.DATASET, "loans"),
    ("black-box-evasion", "Black-box evasion by queries", "evasion", "T", s.Kind.MODEL, "scorer"),
    ("membership-inference", "Membership inference", "privacy", "I", s.Kind.MODEL, "scorer"),
    ("model-inversion", "Model inversion", "privacy", "I", s.Kind.MODEL, "scorer"),
    ("model-extraction", "Model extraction", "extraction", "I", s.Kind.MODEL, "scorer"),
    ("malicious-artefact", "Malicious pickle or other artefact", "supply-chain", "E", s.Kind.MODEL, "scorer"),
    ("unauthenticated-inference", "Unauthenticated inference", "access", "S", s.Kind.ENDPOINT, "api"),
    ("request-flood", "Request flood", "availability", "D", s.Kind.ENDPOINT, "api"),
    ("container-compromise", "Container or base-image compromise", "supply-chain", "TE", s.Kind.CONTAINER, "image"),
    ("malicious-package", "Typosquatted or malicious package", "supply-chain", "E", s.Kind.DEPENDENCIES, "packages"),
    ("logs-absent", "Logs absent or alterable", "governance", "R", s.Kind.SYSTEM, "system"),
)


def threats() -> dict[str, t.Threat]:
    return {
        id: t.Threat(
            id=id,
            title=title,
            family=family,
            ai=family not in {"access", "availability"},
            stride=tuple(t.Stride(letter) for letter in stride),
            against=(kind,),
            when="always",
            summary=f"{title}: an attacker reaches the {kind} and changes or learns what it must not.",
            example=f"An example of {title.lower()}: crafted input over a month, unnoticed by the team.",
            question=f"Is the {kind} exposed?",
            mitigations=("Check what comes in before it is used.", "Limit how much one caller may ask."),
            controls=("input-validation",),
            refs=("atlas:AML.T0020@2026.07", "owasp-ml:ML02@2023"),
            gap="No automatic check can decide this; an attestation is needed." if id == "logs-absent" else None,
        )
        for id, title, family, stride, kind, _ in _THREATS
    }


def instances() -> tuple[t.ThreatInstance, ...]:
    question = t.Question(element="api", field="quota", text="How many requests may one caller make in a minute?", at=Place(MANIFEST, 26))
    return tuple(
        t.ThreatInstance(
            threat=id,
            element=asset,
            certain=id != "request-flood",
            because=(f"{asset} is a {kind}", "untrusted callers reach it over two flows"),
            path=("applicant", "web", "api", "scorer") if asset == "scorer" else (),
            questions=(question,) if id == "request-flood" else (),
            priority=float(20 - i),
        )
        for i, (id, _, _, _, kind, asset) in enumerate(_THREATS)
    )


def findings() -> tuple[f.Finding, ...]:
    attacker = f.Attacker(knowledge=f.Knowledge.BLACK_BOX, queries=2000, budget={"linf": 0.03})
    rate = f.Measure(
        name="true-positive rate at 0.1 % false positives",
        value=0.0375,
        low=0.0113,
        high=0.0631,
        confidence=0.95,
        n=400,
        k=15,
        limit=0.005,
        null=0.001,
        method="Clopper-Pearson",
    )
    auc = f.Measure(name="AUC", value=0.583, low=0.541, high=0.624, confidence=0.95, n=800, null=0.5, limit=0.55, method="DeLong")
    zero = f.Measure(name="attack success", value=0.0, low=0.0, high=0.0368, confidence=0.95, n=80, k=0, limit=0.02, clusters=8)
    rows = f.Measure(name="test rows also in training", value=0.0, low=0.0, high=0.0037, confidence=0.95, n=1000, k=0, limit=0.01)
    slow = f.Measure(name="latency", value=12.5, low=11.9, high=13.4, confidence=0.95, n=50, unit="ms", limit=20.0)
    return (
        f.Finding(
            check="privacy.membership_loss",
            asset="scorer",
            threat="membership-inference",
            verdict=f.Verdict.FAIL,
            severity=f.Severity.HIGH,
            title="15 of 400 members are recognised at 0.1 % false positives",
            measures=(rate, auc),
            attacker=attacker,
            why="The lower bound of 1.1 % lies above the tolerance of 0.5 %, the null control at chance.",
            remedy="Retrain with weight decay or train with differential privacy, then run `bartizan assess` again.",
            artefacts=(f.Artefact(name="roc.json", media_type="application/json", digest="sha256:" + sha("roc"), size=5120),),
        ),
        f.Finding(
            check="artefacts.unsafe_format",
            asset="scorer",
            threat="malicious-artefact",
            verdict=f.Verdict.FAIL,
            severity=f.Severity.CRITICAL,
            title="The model is a pickle: loading it can run any code",
            why="models/scorer.pkl is read with joblib.load in the service.",
            remedy="Export the model with skops and load it from there.",
            places=(Place("service/app.py", 14), Place(MANIFEST, 30)),
            details={"format": "pickle", "opcodes": ["GLOBAL", "REDUCE"]},
        ),
        f.Finding(
            check="evasion.query_attack",
            asset="scorer",
            threat="black-box-evasion",
            verdict=f.Verdict.INCONCLUSIVE,
            severity=f.Severity.MEDIUM,
            title="0 of 80 attacks succeeded; too few to say that it is below 2 %",
            measures=(zero,),
            attacker=attacker,
            needed=69,
            why="The upper bound of 3.7 % lies above the tolerance of 2 %.",
            remedy="Run 69 more trials: `bartizan assess --only evasion.query_attack --trials 149`.",
        ),
        f.Finding(
            check="extraction.fidelity",
            asset="scorer",
            threat="model-extraction",
            verdict=f.Verdict.UNKNOWN,
            severity=f.Severity.MEDIUM,
            title="Not run: scikit-learn is not installed",
            why="The check trains a substitute model.",
            remedy="pip install 'bartizan[sklearn]'",
        ),
        f.Finding(
            check="quality.split_leakage",
            asset="loans-test",
            threat="train-test-leakage",
            verdict=f.Verdict.PASS,
            title="No row of the test set stands in the training set",
            measures=(rows, slow),
            why="1000 rows were compared exactly and nearly.",
        ),
        f.Finding(
            check="deployment.dockerfile",
            asset="image",
            threat="container-compromise",
            verdict=f.Verdict.FAIL,
            severity=f.Severity.HIGH,
            title="The container runs as root",
            why="No USER instruction follows FROM.",
            remedy="Add `USER 10001` after the last COPY.",
            places=(Place("Dockerfile", 1),),
        ),
    )


def evidence() -> tuple[k.Evidence, ...]:
    subjects = (k.Subject(name="models/scorer.pkl", sha256=sha("model")), k.Subject(name="data/loans.csv", sha256=sha("loans")))
    node = system().assets[2]
    records = []
    for seq, finding in enumerate(findings(), 1):
        job = f.Job(
            check=finding.check,
            version="1",
            threats=(finding.threat,),
            subject=node,
            parameters={"trials": 80},
            seed=7 * seq,
            root="/home/somebody/project",
            digest=sha(f"job{seq}"),
        )
        records.append(
            k.Evidence(
                seq=seq,
                collected=f"2026-11-20T10:0{seq}:00Z",
                received=f"2026-11-20T10:0{seq}:01Z",
                subjects=subjects,
                job=job,
                findings=(finding,),
                environment={"python": "3.11.9", "numpy": "2.1.3", "scikit-learn": "1.5.2"},
                environment_digest=sha("env"),
                previous=sha(f"record{seq - 1}"),
                digest=sha(f"record{seq}"),
                signature="c2ln",
                key="ed25519:" + sha("key")[:16],
            )
        )
    return tuple(records)


def _estimate(mean: float, level: s.Level, spread: float = 0.6) -> k.Estimate:
    return k.Estimate(mean=mean, low=mean * (1 - spread), high=min(1.0, mean * (1 + spread)), level=level)


def _risk(i: int, id: str, asset: str, residual: float, level: s.Level, status: k.Status) -> k.Risk:
    inherent = min(0.97, 0.35 + 0.05 * i)
    after = next((n for n, finding in enumerate(findings(), 1) if finding.threat == id), None)
    remedy = next((finding.remedy for finding in findings() if finding.threat == id and finding.remedy), "")
    decision = None
    if status is k.Status.ACCEPTED:
        decision = s.Decision(
            risk=k.risk_id(id, asset),
            action=s.Action.ACCEPT,
            by="cro@example.org",
            why="Data is deleted by contract in March.",
            until=dt.date(2027, 3, 31),
            state=sha(id),
        )
    return k.Risk(
        id=k.risk_id(id, asset),
        threat=id,
        asset=asset,
        impact=s.Level.HIGH,
        inherent=_estimate(inherent, s.Level.CRITICAL, 0.3),
        residual=_estimate(residual, level),
        status=status,
        owner="team-risk" if i % 3 else None,
        decision=decision,
        due="2027-01-31" if i % 2 else None,
        evidence=(after,) if after else (),
        stale=(),
        state=sha(id + asset),
        steps=(
            k.Step(label="Inherent", mean=inherent, level=s.Level.CRITICAL),
            k.Step(label="API key declared", mean=inherent * 0.8, level=s.Level.HIGH, note="declared, not verified: one level at most"),
            k.Step(label=f"Evidence {after}" if after else "No evidence", mean=residual, level=level, evidence=(after,) if after else ()),
        ),
        why="The measured success rate replaced the prior of the threat."
        if after
        else "Nothing was measured: the prior of the threat stands.",
        next_step=remedy or f"Run `bartizan assess --only {id}` to measure it.",
    )


def risks(count: int | None = None) -> tuple[k.Risk, ...]:
    levels = (s.Level.CRITICAL, s.Level.HIGH, s.Level.HIGH, s.Level.MEDIUM, s.Level.LOW)
    statuses = (k.Status.OPEN, k.Status.OPEN, k.Status.OPEN, k.Status.ACCEPTED, k.Status.WITHIN)
    means = (0.62, 0.29, 0.18, 0.044, 0.0006)
    chosen = [(id, asset) for id, _, _, _, _, asset in _THREATS]
    many = [(*chosen[i % len(chosen)], i) for i in range(count or len(chosen))]
    return tuple(
        _risk(i % 14, id, asset if i < len(chosen) else f"{asset}-{i}", means[i % 5], levels[i % 5], statuses[i % 5])
        for id, asset, i in many
    )


def controls() -> tuple[t.Control, ...]:
    return (
        t.Control(
            id="input-validation", title="Input validation", phases=(s.Phase.OPERATION,), summary="Refuse what does not fit the schema."
        ),
        t.Control(
            id="artefact-scan", title="Artefact scan", phases=(s.Phase.DEVELOPMENT,), summary="Scan model files before they are loaded."
        ),
    )


def checklist() -> tuple[r.ChecklistRow, ...]:
    groups = ("data", "training and development", "deployment and infrastructure", "monitoring and governance")
    return tuple(
        r.ChecklistRow(
            item=t.ChecklistItem(
                id=f"item-{i}", title=f"Checklist item number {i}", group=groups[i // 4], controls=("artefact-scan",), how="By a check."
            ),
            support=list(r.Support)[i % 6],
            evidence=(1, 2) if i % 6 < 2 else (),
            why="A check of it failed." if i % 6 == 1 else "",
        )
        for i in range(16)
    )


def coverage() -> tuple[r.Coverage, ...]:
    clauses = tuple(
        t.Clause(id=f"Art. {n}", title=f"Title of article {n}", applies_from=dt.date(2027, 12, 2), controls=("artefact-scan",))
        for n in range(9, 16)
    )
    rows = tuple(
        r.ClauseRow(clause=c, support=list(r.Support)[i % 6], controls=("artefact-scan",), evidence=(1, 3) if i % 6 == 0 else ())
        for i, c in enumerate(clauses)
    )
    act = t.Framework(
        id="eu-ai-act",
        title="EU AI Act",
        version="2024/1689",
        publisher="European Union",
        note="Confirm dates against the Official Journal.",
        clauses=clauses,
    )
    iso = t.Framework(
        id="iso-42001", title="ISO/IEC 42001 Annex A", version="2023", publisher="ISO", complete=True, clauses=(t.Clause(id="A.6.2.4"),)
    )
    return (
        r.Coverage(framework=act, rows=rows, supported=2, mapped=6, total=7),
        r.Coverage(framework=iso, rows=(r.ClauseRow(clause=iso.clauses[0], support=r.Support.NONE),), supported=0, mapped=0, total=1),
    )


def report(count: int | None = None) -> r.Report:
    """The report; `count` risks where given (more than the fourteen of the system repeat them on further assets)."""
    records = evidence()
    return r.Report(
        title="Assessment of credit-score",
        manifest=MANIFEST,
        generated="2026-11-20T10:15:00Z",
        version="0.1.0",
        system=system(),
        model=t.ThreatModel(system="credit-score", instances=instances(), questions=instances()[10].questions),
        threats=threats(),
        controls=(
            r.ControlState(control=controls()[0], support=r.Support.DECLARED, why="Declared in the manifest, verified by no check."),
            r.ControlState(
                control=controls()[1], support=r.Support.FAILING, evidence=(2,), checks=("artefacts.unsafe_format",), why="A check failed."
            ),
        ),
        risks=risks(count),
        evidence=records,
        findings=findings(),
        checklist=checklist(),
        coverage=coverage(),
        gaps=(
            r.Gap(threat="logs-absent", asset="system", why="No automatic check can decide this; an attestation is needed."),
            r.Gap(threat="model-extraction", asset="scorer", why="The check did not run.", command="pip install 'bartizan[sklearn]'"),
        ),
        chain=r.Chain(entries=len(records), head=records[-1].digest, root=sha("root"), key=records[-1].key, verified=True),
    )


def with_every_string(value: Any, text: str) -> Any:
    """The same structure with `text` for every string that is not one of a fixed set of words."""
    if isinstance(value, Enum) or value is None or isinstance(value, (int, float, bytes, dt.date)):
        return value
    if isinstance(value, str):
        return text
    if isinstance(value, dict):
        return {k: with_every_string(v, text) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(with_every_string(v, text) for v in value)
    changed = {name: with_every_string(getattr(value, name), text) for name in value.__struct_fields__}
    return type(value)(**changed)


def hostile(text: str) -> r.Report:
    """The report with `text` in every field that can hold text, ids and keys among them."""
    changed = with_every_string(report(), text)
    return msgspec.structs.replace(changed, threats={text: next(iter(changed.threats.values()))})
