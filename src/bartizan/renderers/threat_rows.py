"""The rows of a threat model that every format of it shows: each instance with its threat, its node and the node's place."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bartizan.model.errors import Place
from bartizan.model.risks import risk_id
from bartizan.model.system import Kind, System, elements_of, kind_of
from bartizan.model.threats import Stride, Threat, ThreatInstance, ThreatModel

STRIDE_WORDS = {
    Stride.SPOOFING: "spoofing",
    Stride.TAMPERING: "tampering",
    Stride.REPUDIATION: "repudiation",
    Stride.INFORMATION_DISCLOSURE: "information disclosure",
    Stride.DENIAL_OF_SERVICE: "denial of service",
    Stride.ELEVATION_OF_PRIVILEGE: "elevation of privilege",
}


class ThreatRow(msgspec.Struct, frozen=True, kw_only=True):
    """One instance with what is known of its two sides. `risk` is the id under which its risk is registered."""

    instance: ThreatInstance
    threat: Threat
    kind: Kind
    at: Place | None
    risk: str

    @property
    def stride(self) -> str:
        """The letters together: `TI`."""
        return "".join(self.threat.stride)


def rows(system: System, model: ThreatModel, threats: Mapping[str, Threat]) -> tuple[ThreatRow, ...]:
    """A row for each instance, in the order of the ranking."""
    nodes = {node.id: node for node in elements_of(system)}
    return tuple(
        ThreatRow(
            instance=instance,
            threat=threats[instance.threat],
            kind=kind_of(nodes[instance.element]),
            at=nodes[instance.element].at,
            risk=risk_id(instance.threat, instance.element),
        )
        for instance in model.instances
    )
