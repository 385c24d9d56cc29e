"""What the tests of the evidence share: a clock that only moves when told, outcomes, and a store with something of every kind in it."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from bartizan.evidence import Keyring, Store
from bartizan.model.findings import (
    Artefact,
    Attacker,
    Finding,
    Input,
    Job,
    Knowledge,
    Measure,
    Outcome,
    Verdict,
)
from bartizan.model.risks import Estimate, Risk, Status, risk_id
from bartizan.model.system import Action, Asset, Dataset, Decision, Kind, Level, Stage

START = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, moment: dt.datetime = START) -> None:
        self.moment = moment

    def __call__(self) -> dt.datetime:
        return self.moment

    def move(self, **by: float) -> dt.datetime:
        self.moment += dt.timedelta(**by)
        return self.moment


def make_outcome(number: int, at: dt.datetime, *, digest: str = "a" * 64, data: bytes | None = None, **details: object) -> Outcome:
    """The outcome of job `number` that took one second and ended `at`."""
    job = Job(
        check="privacy.membership",
        version="2",
        threats=("membership-inference",),
        subject=Asset(id=f"scorer-{number}", kind=Kind.MODEL, uri="models/scorer.skops", trained_on=("loans",)),
        related=(Dataset(id="loans", stage=Stage.TRAIN, uri="data/loans.csv"),),
        parameters={"tolerance": 0.0, "shadow_models": 8},
        seed=11,
        inputs=(Input(uri="models/scorer.skops", digest=f"sha256:{digest}"), Input(uri="data/loans.csv", digest=None)),
        root="/somewhere/private",
        digest=hashlib.sha256(b"job %d" % number).hexdigest(),
    )
    finding = Finding(
        check=job.check,
        asset=job.subject.id,
        threat="membership-inference",
        verdict=Verdict.PASS,
        title="no better than chance",
        measures=(Measure(name="tpr@fpr=0.001", value=0.001, low=0.0, high=0.004, confidence=0.95, n=1000, k=1, clusters=40, limit=0.005),),
        attacker=Attacker(knowledge=Knowledge.BLACK_BOX, queries=2000),
        artefacts=() if data is None else (Artefact(name="scores.csv", media_type="text/csv", data=data),),
        details=dict(details),
    )
    return Outcome(
        job=job,
        findings=(finding,),
        started=(at - dt.timedelta(seconds=1)).isoformat(),
        finished=at.isoformat(),
        cpu_seconds=0.5,
        environment={"python": "3.11.9", "platform": "Linux"},
    )


def make_risk(state: str = "s1", status: Status = Status.OPEN) -> Risk:
    """A risk in the given state."""
    estimate = Estimate(mean=0.4, low=0.1, high=0.8, level=Level.HIGH)
    return Risk(
        id=risk_id("membership-inference", "scorer"),
        threat="membership-inference",
        asset="scorer",
        impact=Level.HIGH,
        inherent=estimate,
        residual=estimate,
        status=status,
        owner="team-risk",
        decision=None,
        due=None,
        evidence=(1,),
        stale=(),
        steps=(),
        why="measured",
        next_step="train with differential privacy",
        state=hashlib.sha256(state.encode()).hexdigest(),
    )


def make_decision() -> Decision:
    """A decision on `make_risk()`."""
    risk = make_risk()
    return Decision(risk=risk.id, action=Action.ACCEPT, by="Ada King", why="pilot", until=dt.date(2027, 1, 31), state=risk.state)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outcome() -> Callable[..., Outcome]:
    return make_outcome


@pytest.fixture
def risk() -> Callable[..., Risk]:
    return make_risk


@pytest.fixture
def decision() -> Callable[[], Decision]:
    return make_decision


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".bartizan"


@pytest.fixture
def keyring(folder: Path) -> Keyring:
    return Keyring(folder / "keys")


@pytest.fixture
def filled(folder: Path, keyring: Keyring, clock: Clock) -> Path:
    """A store with six check results (two artefacts), a decision and a risk state, a checkpoint in the middle and one at its end.

    Beside it lie `trusted.pem`, `early.json` (the checkpoint after three entries) and `kept.json` (the last one).
    """
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        for number in range(1, 4):
            store.append(make_outcome(number, clock.move(minutes=1), data=b"row,score\n%d,0.5\n" % (number % 2)))
        store.checkpoint().save(folder.parent / "early.json")
        clock.move(hours=1)
        store.decide(make_decision())
        store.note_risks([make_risk()], "2026-03-01T13:00:00Z")
        for number in range(4, 7):
            store.append(make_outcome(number, clock.move(minutes=1)))
        store.checkpoint().save(folder.parent / "kept.json")
    keyring.export(folder.parent / "trusted.pem")
    return folder
