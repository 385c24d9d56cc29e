"""Which check runs on which node: from the threats of a system and the installed checks to jobs.

A check is planned on a node of one of its kinds when one of its threats fires, certainly or possibly, on that node.
A check that reads related nodes (`reads`, followed from node to node) is planned on its node also when the threat fires
on a node that it reads and that is of another kind than the check runs on; the findings then count for the threatened node. So a check of
data sets that reads `trains` answers a threat to the model trained on them. A threat that fires on the subject
itself is answered there and is not carried further. `Job.about` holds the pairs that result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bartizan.engine.graph import Graph
from bartizan.engine.inputs import Inputs
from bartizan.engine.parameters import parameters_of
from bartizan.model.checks import Check
from bartizan.model.errors import UnknownName
from bartizan.model.findings import Budget, Job, about_of
from bartizan.model.risks import digest_of
from bartizan.model.system import Appetite, Element, System, kind_of
from bartizan.model.threats import ThreatModel


class _Pairing(msgspec.Struct):
    """A check on a node, with the (rank, threat, asset) it answers."""

    check: Check
    node: str
    about: list[tuple[int, str, str]]


def plan(
    system: System,
    model: ThreatModel,
    checks: Mapping[str, Check],
    root: Path,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    budget: Budget | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Job, ...]:
    """The jobs that answer the threats of `model`, ordered by the rank of the highest threat each answers, then check id.

    `only` keeps what it names: a check `area.name`, an area, or one job `area.name@node`. `parameters` sets values by check
    and parameter name. Every file that a job reads is digested once. Raises `UnknownName` for a name in `only` or
    `parameters` that is not known, `InputError` for a value of the wrong type.
    """
    graph = Graph(system)
    chosen = _chosen(checks, graph, only)
    for id in parameters or {}:
        if id not in checks:
            raise UnknownName("check", id, list(checks))
    ranks: dict[str, dict[str, int]] = {}
    for rank, instance in enumerate(model.instances):
        if instance.element in graph.nodes:
            ranks.setdefault(instance.threat, {}).setdefault(instance.element, rank)
    pairings = [pairing for id in chosen for pairing in _pairings(checks[id], graph, ranks, chosen[id], system)]
    pairings.sort(key=lambda p: (p.about[0][0], p.check.id, graph.order[p.node]))
    values = {id: parameters_of(checks[id], system.appetite, (parameters or {}).get(id)) for id in {p.check.id for p in pairings}}
    writer = _Writer(graph, Inputs(root), system.appetite.confidence, seed, budget or Budget())
    return tuple(writer.job(pairing, values[pairing.check.id]) for pairing in pairings)


def _chosen(checks: Mapping[str, Check], graph: Graph, only: Sequence[str]) -> dict[str, frozenset[str]]:
    """The checks that `only` names, each with the nodes it is kept to (none named: all)."""
    if not only:
        return dict.fromkeys(checks, frozenset())
    chosen: dict[str, set[str] | None] = {}
    areas = {id.partition(".")[0] for id in checks}
    for word in only:
        name, at, node = word.partition("@")
        ids = [name] if name in checks else [id for id in checks if id.partition(".")[0] == name]
        if not ids:
            raise UnknownName("check or area", name, [*checks, *sorted(areas)])
        if at and node not in graph.nodes:
            raise UnknownName("node", node, list(graph.nodes))
        for id in ids:
            kept = chosen.setdefault(id, set())
            if not at:
                chosen[id] = None
            elif kept is not None:
                kept.add(node)
    return {id: frozenset(chosen[id] or ()) for id in checks if id in chosen}


def _pairings(check: Check, graph: Graph, ranks: Mapping[str, Mapping[str, int]], nodes: frozenset[str], system: System) -> list[_Pairing]:
    found: dict[str, list[tuple[int, str, str]]] = {}
    for threat in check.threats:
        fires = ranks.get(threat, {})
        for element, rank in fires.items():
            if kind_of(graph.nodes[element]) in check.kinds:
                subjects: Sequence[str] = (element,)
            else:
                readers = graph.readers(element, check.reads)
                subjects = [id for id in readers if kind_of(graph.nodes[id]) in check.kinds and id not in fires]
            for subject in subjects:
                found.setdefault(subject, []).append((rank, threat, element))
    return [
        _Pairing(check, id, sorted(about))
        for id, about in found.items()
        if (not nodes or id in nodes) and (check.applies is None or check.applies(graph.nodes[id], system))
    ]


class _Writer:
    """Writes jobs; what nodes share (content, digests) is computed once."""

    def __init__(self, graph: Graph, inputs: Inputs, confidence: float, seed: int, budget: Budget) -> None:
        self._graph = graph
        self._inputs = inputs
        self._confidence = confidence
        self._seed = seed
        self._budget = budget
        self._contents: dict[str, str] = {}

    def job(self, pairing: _Pairing, parameters: dict[str, Any]) -> Job:
        subject = _reduced(self._graph.nodes[pairing.node])
        related = [self._graph.nodes[id] for id in self._graph.related(pairing.node, pairing.check.reads) if id != pairing.node]
        job = Job(
            check=pairing.check.id,
            version=pairing.check.version,
            threats=tuple(dict.fromkeys(threat for _, threat, _ in pairing.about)),
            subject=subject,
            related=tuple(node for node in related if not isinstance(node, System)),
            parameters=parameters,
            confidence=self._confidence,
            seed=seed_of(self._seed, pairing.check.id, pairing.node),
            budget=self._budget,
            inputs=self._inputs.of((subject, *related)),
            root=str(self._inputs.root),
            about=tuple((threat, element) for _, threat, element in pairing.about),
        )
        return msgspec.structs.replace(job, digest=identity(job, self._content))

    def _content(self, node: Element) -> str:
        if node.id not in self._contents:
            self._contents[node.id] = content_of(node)
        return self._contents[node.id]


def identity(job: Job, content: Callable[[Element], str] | None = None) -> str:
    """The digest of everything that decides the findings of `job`: the check and its version, what it answers, the declarations and
    the bytes it reads, its parameters, confidence, seed and number of queries.

    Not where the project lies, nor lines of the manifest, nor limits of time and memory, nor what an earlier digest says.
    """
    read = content or content_of
    return digest_of(
        {
            "check": job.check,
            "version": job.version,
            "about": sorted(about_of(job)),
            "nodes": [read(node) for node in (job.subject, *job.related)],
            "parameters": job.parameters,
            "confidence": job.confidence,
            "seed": job.seed,
            "queries": job.budget.queries,
            "inputs": job.inputs,
        }
    )


def content_of(node: Element) -> str:
    """The digest of what the manifest says of `node`, without the lines it says it on."""
    return digest_of([kind_of(node), _without_places(msgspec.to_builtins(node))])


def seed_of(seed: int, check: str, node: str) -> int:
    """The seed of the job of `check` on `node` in a run seeded with `seed`: 32 bits, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{check}\0{node}".encode()).digest()[:4], "big")


def _reduced(node: Element) -> Element:
    """A system without what no check decides on: a decision taken or a tolerance moved runs nothing again by itself."""
    if isinstance(node, System):
        return msgspec.structs.replace(node, decisions=(), appetite=Appetite(), catalogs=())
    return node


def _without_places(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_places(inner) for key, inner in value.items() if key != "at"}
    if isinstance(value, list | tuple):
        return [_without_places(inner) for inner in value]
    return value
