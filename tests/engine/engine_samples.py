"""A small system with a threat model, and checks made for it, for the tests of the engine."""

from collections.abc import Iterator
from typing import Any

import msgspec

from bartizan.engine import registry
from bartizan.model.checks import Check
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Appetite, Asset, Dataset, Kind, Phase, Stage, System
from bartizan.model.threats import ThreatInstance, ThreatModel

SYSTEM = System(
    name="credit",
    datasets=(
        Dataset(id="loans", stage=Stage.TRAIN, uri="data/loans.csv"),
        Dataset(id="held-out", stage=Stage.TEST, uri="data/held-out.csv"),
    ),
    assets=(
        Asset(id="scorer", kind=Kind.MODEL, uri="models", trained_on=("loans",), tested_on=("held-out",)),
        Asset(id="api", kind=Kind.ENDPOINT, serves=("scorer",), url="http://127.0.0.1:1"),
    ),
    appetite=Appetite(confidence=0.9),
)


def threat_model(*fires: tuple[str, str]) -> ThreatModel:
    """A model in which the (threat, element) pairs fire, ranked in this order."""
    instances = tuple(ThreatInstance(threat=threat, element=element, certain=bool(n % 2)) for n, (threat, element) in enumerate(fires))
    return ThreatModel(system="credit", instances=instances, questions=())


def make(id: str, threats: list[str], kinds: set[Kind], **described: Any) -> Check:
    """A check that passes, with a `tolerance` and a `tpr_at_fpr_0_001`."""

    def run(job: Job, target: Any, *, tolerance: float = 0.1, tpr_at_fpr_0_001: float = 0.01, rounds: int = 3) -> Iterator[Finding]:
        """Says that all is well, whatever it is given."""
        for threat in job.threats:
            yield Finding(check=job.check, asset=target.id, threat=threat, verdict=Verdict.PASS, title="well")

    registry.check(id, threats=threats, kinds=kinds, phases={Phase.DATA}, **described)(run)
    made = getattr(run, "__bartizan_check__")  # noqa: B009 - an attribute that functions do not declare
    assert isinstance(made, Check)
    return msgspec.structs.replace(made, distribution="bartizan")


def by_id(*checks: Check) -> dict[str, Check]:
    return {check.id: check for check in checks}
