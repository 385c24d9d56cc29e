"""CPU time of `threats_of` on a system of 1,000 components and 3,000 flows, with predicates of every form or those shipped.

Run: python benchmarks/threatmodel/large_system.py [--shipped] [--components 1000] [--flows 3000] [--threats 72]
Prints one line per repetition and the best; the bound that the project keeps is 0.4 s of CPU.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from bartizan.model.system import (
    Actor,
    Asset,
    Authn,
    Dataset,
    Flow,
    Kind,
    Output,
    Sensitivity,
    Stage,
    Subject,
    System,
    Task,
    Trust,
    Zone,
)
from bartizan.model.threats import Stride, Threat
from bartizan.threatmodel import threats_of

BOUND = 0.4

UNTRUSTED: dict[str, Any] = {"reachable": {"from": {"fact": "trust", "is": "none"}}}
FORMS: tuple[tuple[tuple[Kind, ...], Any], ...] = (
    ((Kind.MODEL,), {"all": [UNTRUSTED, {"fact": "output", "in": ["score", "probabilities", "logits"]}]}),
    ((Kind.MODEL,), {"some": "training_sets", "where": {"fact": "personal_data", "is": True}}),
    ((Kind.MODEL,), {"all": [{"fact": "modality", "in": ["image", "tabular"]}, {"not": {"fact": "online_learning", "is": True}}]}),
    ((Kind.DATASET,), {"all": [{"fact": "sensitivity", "at_least": "confidential"}, {"fact": "retention", "declared": False}]}),
    ((Kind.DATASET,), {"some": "trains", "where": {"fact": "exposed", "is": True}}),
    ((Kind.ENDPOINT, Kind.SERVICE), {"all": [{"fact": "authn", "is": "none"}, {"fact": "exposed", "is": True}]}),
    (
        (Kind.ENDPOINT,),
        {"some": "inflows", "where": {"all": [{"fact": "crosses_boundary", "is": True}, {"fact": "encrypted", "is": False}]}},
    ),
    ((Kind.AGENT, Kind.LLM_APP), {"reachable": {"from": {"fact": "trust", "is": "none"}, "through": {"kind": ["store"]}}}),
    ((Kind.AGENT,), {"some": "tool_set", "where": {"fact": "effects", "contains_any": ["execute", "pay"]}}),
    ((Kind.STORE,), {"all": [{"fact": "encrypted", "is": False}, {"some": "retrieved_by"}]}),
    ((Kind.SYSTEM,), {"all": [{"fact": "has_ai", "is": True}, {"fact": "logging", "in": ["none", "plain"]}]}),
    (
        (Kind.MODEL, Kind.STORE, Kind.ENDPOINT),
        {"reachable": {"from": {"kind": ["actor"]}, "through": {"fact": "untrusted_content", "is": True}}},
    ),
)


def system(components: int, flows: int, seed: int = 0) -> System:
    """A random system: half of the facts undeclared, a few zones, flows between any two nodes."""
    draw = random.Random(seed)
    zones = tuple(Zone(id=f"z{i}", trust=trust) for i, trust in enumerate([*Trust, Trust.INTERNAL, Trust.INTERNAL]))

    def maybe(*values: Any) -> Any:
        return draw.choice([None, *values])

    def zone() -> str | None:
        return draw.choice([z.id for z in zones]) if draw.random() < 0.9 else None

    actors = tuple(Actor(id=f"actor{i}", zone=zone()) for i in range(components // 50))
    datasets = tuple(
        Dataset(
            id=f"data{i}",
            stage=draw.choice(list(Stage)),
            zone=zone(),
            sensitivity=maybe(*Sensitivity),
            subjects=maybe((Subject.PERSON,), (Subject.NONE,)),
            retention=maybe(30),
        )
        for i in range(components // 5)
    )
    kinds = [k for k in Kind if k not in (Kind.SYSTEM, Kind.ACTOR, Kind.DATASET)]
    names = {i: draw.choice(kinds) for i in range(components - len(actors) - len(datasets))}
    of_kind = {kind: [f"asset{i}" for i, k in names.items() if k is kind] for kind in kinds}
    assets = tuple(_asset(f"asset{i}", kind, draw, of_kind, [d.id for d in datasets], zone()) for i, kind in names.items())
    ids = [e.id for e in (*actors, *datasets, *assets)]
    sent = tuple(
        Flow(source=a, target=b, encrypted=maybe(True, False), untrusted=maybe(True, False))
        for a, b in (draw.sample(ids, 2) for _ in range(flows))
    )
    return System(name="large", zones=zones, actors=actors, datasets=datasets, assets=assets, flows=sent)


def _asset(id: str, kind: Kind, draw: random.Random, of_kind: Mapping[Kind, list[str]], data: list[str], zone: str | None) -> Asset:
    facts: dict[str, Any] = {}
    match kind:
        case Kind.MODEL:
            facts = {"task": draw.choice(list(Task)), "output": draw.choice(list(Output)), "trained_on": tuple(draw.sample(data, 2))}
        case Kind.ENDPOINT:
            facts = {"serves": tuple(draw.sample(of_kind[Kind.MODEL], 1)), "authn": draw.choice([None, *Authn])}
        case Kind.AGENT:
            tools, stores = of_kind[Kind.TOOL], of_kind[Kind.STORE]
            facts = {
                "tools": tuple(draw.sample(tools, 2)),
                "retrieves_from": tuple(draw.sample(stores, 1)),
                "uses": tuple(draw.sample(of_kind[Kind.MODEL], 1)),
            }
    return Asset(id=id, kind=kind, zone=zone, **facts)


def catalogue(count: int) -> SimpleNamespace:
    """`count` threats over the predicates in `FORMS`, none sharing a struct with another."""
    threats = {}
    for i in range(count):
        against, when = FORMS[i % len(FORMS)]
        threats[f"threat-{i}"] = Threat(
            id=f"threat-{i}",
            title=f"Threat {i}",
            family="benchmark",
            ai=True,
            stride=(Stride.TAMPERING,),
            against=against,
            when=when,
            summary="",
            example="",
            question="Is it so?",
            mitigations=(),
            controls=(),
        )
    return SimpleNamespace(threats=threats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--components", type=int, default=1000)
    parser.add_argument("--flows", type=int, default=3000)
    parser.add_argument("--threats", type=int, default=72)
    parser.add_argument("--shipped", action="store_true", help="the shipped catalogue instead of the made-up one")
    parser.add_argument("--repeat", type=int, default=5)
    chosen = parser.parse_args()
    declared = system(chosen.components, chosen.flows)
    catalog: Any = catalogue(chosen.threats)
    if chosen.shipped:
        from bartizan.catalog.loader import load

        catalog = load()
        for id in catalog.threats:
            catalog.predicate(id)
    best = float("inf")
    for _ in range(chosen.repeat):
        start = time.process_time()
        model = threats_of(declared, catalog)
        spent = time.process_time() - start
        best = min(best, spent)
        print(f"{spent:.3f} s CPU, {len(model.certain)} certain, {len(model.possible)} possible, {len(model.questions)} questions")
    print(
        f"best {best:.3f} s CPU for {chosen.components} components, {chosen.flows} flows, {len(catalog.threats)} threats; bound {BOUND} s"
    )


if __name__ == "__main__":
    main()
