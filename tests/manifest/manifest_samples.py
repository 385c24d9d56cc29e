"""A realistic manifest, and random systems and documents for the property tests."""

from __future__ import annotations

import datetime as dt
import random
import types
import typing
from enum import Enum
from typing import Any

import msgspec

from bartizan.manifest.sections import NODES
from bartizan.model.system import Action, Asset, Kind, System
from bartizan.model.traits import TRAIT_KINDS

CREDIT = """\
bartizan: 1
system:
  name: credit-score
  purpose: score loan applicants   # what it is for
  owner: team-risk
  role: provider
  impact: high
  high_risk: yes
  monitoring: [performance, drift]
  last_drill: 2026-03-01
zones:
  - {id: internet, trust: none}
  - {id: serving, trust: internal}
  - {id: training, trust: restricted}
actors:
  - {id: applicant, zone: internet, can: [query], sees: [score], budget: {queries_per_day: 500, campaigns_per_year: 2.5}}
datasets:
  - id: loans
    stage: train
    uri: data/loans.parquet
    digest: sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
    label: default
    sensitivity: restricted
    subjects: [person]
    origin: own
    revision: 1.10
    licence: no
    writers: [data-team]
    retention: 365
  - {id: loans-test, stage: test, uri: data/test.csv, derived_from: [loans], zone: training}
assets:
  - id: scorer
    kind: model
    title: "The scorer: v2"
    task: tabular-classification
    framework: scikit-learn
    uri: models/scorer.pkl
    trained_on: [loans]
    tested_on: loans-test
    output: score
    online_learning: off
    zone: serving
  - id: api
    kind: endpoint
    zone: serving
    serves: scorer
    url: "http://127.0.0.1:8080/score"
    authn: none
    authz: ~
    quota: {requests_per_minute: 60, cost_per_day: 1.5}
    code: api/app.py
  - {id: images, kind: container, uri: deploy/Dockerfile, runs: [api], signed: false}
  - {id: packages, kind: dependencies, uri: requirements.txt}
  - {id: docs, kind: store, holds: [embeddings, documents], acl: document}
  - id: helper
    kind: agent
    uses: [scorer]
    tools: [mail]
    retrieves_from: [docs, loans]
    autonomy: approve
  - {id: mail, kind: tool, effects: [send], approval: true}
flows:
  - {from: applicant, to: api, data: [features], protocol: https, encrypted: true, untrusted: true}
  - {from: api, to: scorer, data: [features]}
  - from: api
    to: applicant
    data: [score]
controls:
  - {control: artefact-scan, on: [scorer], by: ops, why: scanned in the build, until: 2027-01-31}
  - {control: tested-incident-plan}
appetite:
  confidence: 0.95
  tolerances: {evasion: 0.10, membership: {tpr_at_fpr_0.001: 0.005}}
  fail_on: residual >= high
decisions:
  - {risk: R-0123456789, action: accept, by: risk-board, why: small exposure, until: 2027-06-30, state: abc}
catalogs: [security/own-threats.yaml]
"""


def without_places(system: System) -> Any:
    """A system as plain values that two can be compared by, whatever file they came from."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(part) for key, part in value.items() if key != "at"}
        return [strip(part) for part in value] if isinstance(value, list | tuple) else value

    return strip(msgspec.to_builtins(system, builtin_types=(dt.date,)))


_WORDS = (
    "no", "yes", "null", "~", "1.10", "012", "1e3", "2026-01-01", "true story", "a: b", "# c", "- d", "'", '"', "<script>", "=cmd|x", "%x",
    "@y", "*z", "&w", "!v", "a\tb", "line\nbreak", " edge ", "día", "😀", "\u2028", "\x85", "x" * 300, "[", "{", "0x1f", ".5", "NaN", "<<",
)  # fmt: skip


CONSTRAINTS: tuple[dict[str, Any], ...] = (
    {},
    {"immutable": ["no", "1.10"], "budget": 0.0},
    {
        "integer": ["a b"], "categorical": ["c"], "allowed": {"e": [1.5, "x", 2], "no": ["yes"]}, "low": {"f": -1e9}, "high": {"f": 2},
        "only_up": ["g"], "only_down": ["f"], "most_change": {"f": 0}, "one_hot": [["h", "i", "j"]], "at_least": [["f", "g"], ["g", "a b"]],
        "sums": [{"weights": {"f": 1, "g": -2.5}, "low": 0}], "cost": {"f": 1, "g": {"up": 2}}, "budget": 3.5,
    },
)  # fmt: skip
"""Declared constraints, each as a whole: they must agree with one another."""

_TO_ASSETS = ("serves", "uses", "tools", "retrieves_from", "delegates_to", "produces", "runs")


class Systems:
    """Random valid systems from a seed: every field of every struct is tried, references resolve, traits fit their kinds."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ids = {section: [f"{section[:3]}{i}.x-{seed % 7}" for i in range(self.random.randint(0, 4))] for section in NODES}
        self.ids["flows"] = self.ids["controls"] = self.ids["decisions"] = [""] * self.random.randint(0, 3)

    def document(self) -> dict[str, Any]:
        """A manifest as plain values that `load` must accept."""
        hints = typing.get_type_hints(System)
        made: dict[str, Any] = {"bartizan": 1, "system": {"name": "s" + self.text()}}
        for field in msgspec.structs.fields(System):
            if field.name in self.ids:
                struct = typing.get_args(hints[field.name])[0]
                entries = [self.struct(struct, id) for id in self.ids[field.name]]
                made[field.name] = [entry for entry in entries if self.whole(field.name, entry)]
            elif field.name not in ("name", "at", "appetite", "catalogs") and self.random.random() < 0.4:
                made["system"][field.name] = self.value(hints[field.name], field.name)
        if self.random.random() < 0.5:
            made["appetite"] = {"confidence": self.random.uniform(0.51, 0.999), "tolerances": {"evasion": 0.1, "x": {"max_rows": 7}}}
        return made

    def whole(self, section: str, entry: dict[str, Any]) -> bool:
        """Whether a flow got both its ends: there may be no node to choose from."""
        return section != "flows" or (entry["from"] is not None and entry["to"] is not None)

    def struct(self, struct: Any, id: str) -> dict[str, Any]:
        hints = typing.get_type_hints(struct)
        kind = self.random.choice([k for k in Kind if k not in (Kind.SYSTEM, Kind.ACTOR, Kind.DATASET)])
        made: dict[str, Any] = {}
        for field in msgspec.structs.fields(struct):
            unfit = struct is Asset and field.name in TRAIT_KINDS and kind not in TRAIT_KINDS[field.name]
            if field.name == "at" or unfit or not (field.required or self.random.random() < 0.5):
                continue
            made[field.encode_name] = self.value(hints[field.name], field.name)
        if "id" in made:
            made["id"] = id
        if "kind" in made:
            made["kind"] = kind.value
        return {key: value for key, value in made.items() if value is not None or key in ("from", "to")}

    def value(self, hint: Any, name: str) -> Any:
        nodes = self.ids["actors"] + self.ids["datasets"] + self.ids["assets"]
        references = {"zone": self.ids["zones"], "source": nodes, "target": nodes, "on": nodes}
        references |= dict.fromkeys(("trained_on", "tested_on", "derived_from"), self.ids["datasets"])
        references |= dict.fromkeys(_TO_ASSETS, self.ids["assets"])
        arms = [arm for arm in typing.get_args(hint) if arm is not types.NoneType] if isinstance(hint, types.UnionType) else [hint]
        arm = arms[0]
        many = typing.get_origin(arm) is tuple
        if name in references and (many or arm is str):
            known = references[name]
            if many:
                return self.random.sample(known, self.random.randint(0, len(known)))
            if name in ("source", "target") and hint is not str:
                return self.text()
            return self.random.choice(known) if known else None
        fixed = {"uri": "a/b c.pkl", "code": "src/app.py", "url": "https://h.example:8443/x?y=1", "digest": "sha256:" + "0a" * 32}
        if name in fixed:
            return fixed[name]
        if name == "constraints":
            return self.random.choice(CONSTRAINTS)
        if name == "inference":
            told = {"rows_at": "rows", "constant": {"v": self.text()}, "gives": "score", "labels": {"no": "n", "y": "z"}}
            return self.random.choice(({}, told))
        return [self.leaf(typing.get_args(arm)[0]) for _ in range(self.random.randint(0, 3))] if many else self.leaf(arm)

    def leaf(self, arm: Any) -> Any:
        if arm is str:
            return "c" + self.text()
        if arm is bool:
            return self.random.random() < 0.5
        if arm is int:
            return self.random.choice([0, 1, 60, 2**63 - 1])
        if arm is float:
            return self.random.choice([0.0, 1e-9, 2.5, 1e300])
        if arm is dt.date:
            return dt.date(2026, 1, 1) + dt.timedelta(days=self.random.randint(0, 900))
        if issubclass(arm, Enum):
            return self.random.choice(list(arm)).value if arm is not Action else Action.ACCEPT.value
        return self.struct(arm, "")

    def text(self) -> str:
        return self.random.choice(_WORDS)
