"""The system as a Mermaid data-flow diagram: a box per trust zone, dashed flows across trust boundaries, threatened nodes marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from bartizan.model.system import Asset, Element, Flow, Kind, System, elements_of, kind_of
from bartizan.model.threats import Threat, ThreatModel
from bartizan.renderers.escape import mermaid

MEDIA_TYPE = "text/vnd.mermaid"
SUFFIX = ".mmd"

_SHAPES = {Kind.ACTOR: ('(["', '"])'), Kind.DATASET: ('[("', '")]'), Kind.STORE: ('[("', '")]'), Kind.REGISTRY: ('[("', '")]')}
_RELATIONS = {"serves": "serves", "uses": "uses", "tools": "tool", "retrieves_from": "retrieves", "delegates_to": "delegates"}
_STYLES = (
    "  classDef threatened stroke:#b3261e,stroke-width:3px",
    "  classDef possible stroke:#8a6100,stroke-width:2px,stroke-dasharray:4 3",
)


def render(system: System, model: ThreatModel, _threats: Mapping[str, Threat]) -> str:
    """A flowchart. Nodes carry the number of threats that fire and that may fire; of which kind the threats are is left to the tables.

    Solid arrows stay within a zone, dashed ones cross a trust boundary, or may where a zone is not declared.
    """
    nodes = [node for node in elements_of(system) if not isinstance(node, System)]
    keys = {node.id: f"n{i}" for i, node in enumerate(nodes)}
    fires = Counter(i.element for i in model.certain)
    may = Counter(i.element for i in model.possible)
    lines = ["flowchart LR"]
    for i, zone in enumerate(system.zones):
        lines.append(f'  subgraph z{i}["{mermaid(zone.id)} (trust {zone.trust})"]')
        lines += [f"    {_node(n, keys, fires, may)}" for n in nodes if n.zone == zone.id]
        lines.append("  end")
    homeless = [n for n in nodes if n.zone is None]
    if homeless:
        lines.append('  subgraph zx["zone not declared"]')
        lines += [f"    {_node(n, keys, fires, may)}" for n in homeless]
        lines.append("  end")
    lines += [f"  {arrow}" for arrow in _arrows(system, nodes, keys)]
    lines += _STYLES
    for name, marked in (
        ("threatened", [n for n in nodes if fires[n.id]]),
        ("possible", [n for n in nodes if may[n.id] and not fires[n.id]]),
    ):
        if marked:
            lines.append(f"  class {','.join(keys[n.id] for n in marked)} {name}")
    return "\n".join(lines) + "\n"


def _node(node: Element, keys: Mapping[str, str], fires: Mapping[str, int], may: Mapping[str, int]) -> str:
    kind = kind_of(node)
    opening, closing = _SHAPES.get(kind, ('["', '"]'))
    counts = [f"{fires[node.id]} {'threat' if fires[node.id] == 1 else 'threats'}"] if fires[node.id] else []
    counts += [f"{may[node.id]} possible"] if may[node.id] else []
    return f"{keys[node.id]}{opening}{'<br/>'.join([mermaid(node.id), kind.value, *counts])}{closing}"


def _arrows(system: System, nodes: Sequence[Element], keys: Mapping[str, str]) -> Iterator[str]:
    """Declared flows, then the relations along which data moves where no flow is declared between the two nodes."""
    zones = {node.id: None if isinstance(node, System) else node.zone for node in nodes}
    drawn = set()
    for flow in system.flows:
        if flow.source in keys and flow.target in keys:
            drawn.add((flow.source, flow.target))
            yield _arrow(flow.source, flow.target, _label(flow), keys, zones)
    for node in nodes:
        for source, target, label in _related(node):
            if (source, target) not in drawn and source in keys and target in keys:
                drawn.add((source, target))
                yield _arrow(source, target, label, keys, zones)


def _related(node: Element) -> Iterator[tuple[str, str, str]]:
    if isinstance(node, Asset):
        for field, label in _RELATIONS.items():
            for other in getattr(node, field) or ():
                yield node.id, other, label
        for other in node.trained_on or ():
            yield other, node.id, "trains"


def _arrow(source: str, target: str, label: str, keys: Mapping[str, str], zones: Mapping[str, str | None]) -> str:
    unknown = zones[source] is None or zones[target] is None
    text = f"{label} (boundary?)".strip() if unknown else label
    line = "-.->" if unknown or zones[source] != zones[target] else "-->"
    return " ".join([keys[source], f'{line}|"{text}"|' if text else line, keys[target]])


def _label(flow: Flow) -> str:
    """`https: features`, escaped; what is not declared is left out."""
    protocol = mermaid(flow.protocol or "", 20)
    data = mermaid(", ".join(flow.data or ()), 60)
    return f"{protocol}: {data}" if protocol and data else protocol or data
