"""What the tests of the threat model build on: small systems and threats in a line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from bartizan.model.system import Actor, Asset, Authn, Dataset, Flow, Kind, Output, Stage, Subject, System, Task, Trust, Zone
from bartizan.model.threats import Stride, Threat, ThreatModel
from bartizan.threatmodel import threats_of


def threat(id: str, against: tuple[Kind, ...], when: Any, **more: Any) -> Threat:
    """A threat of which only the predicate matters."""
    told = {"title": id, "family": "test", "ai": True, "stride": (Stride.TAMPERING,), "summary": "s", "example": "e", **more}
    return Threat(id=id, against=against, when=when, question=f"about {id}?", mitigations=("m",), controls=("c",), **told)


def derive(system: System, threats: Mapping[str, Threat] | list[Threat]) -> ThreatModel:
    """The threat model of `system` for these threats."""
    known = threats if isinstance(threats, Mapping) else {t.id: t for t in threats}
    return threats_of(system, SimpleNamespace(threats=known))


def credit() -> System:
    """The credit-scoring system of DESIGN 5."""
    return System(
        name="credit-score",
        zones=(
            Zone(id="internet", trust=Trust.NONE),
            Zone(id="serving", trust=Trust.INTERNAL),
            Zone(id="training", trust=Trust.RESTRICTED),
        ),
        actors=(Actor(id="applicant", zone="internet"),),
        datasets=(Dataset(id="loans", stage=Stage.TRAIN, subjects=(Subject.PERSON,), zone="training"),),
        assets=(
            Asset(
                id="scorer",
                kind=Kind.MODEL,
                task=Task.TABULAR_CLASSIFICATION,
                trained_on=("loans",),
                output=Output.SCORE,
                zone="serving",
            ),
            Asset(id="api", kind=Kind.ENDPOINT, zone="serving", serves=("scorer",), authn=Authn.NONE),
        ),
        flows=(Flow(source="applicant", target="api", protocol="HTTPS"),),
    )
