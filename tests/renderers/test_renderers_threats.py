"""The four formats of a threat model: what they say, and that a hostile manifest says nothing else through them."""

from __future__ import annotations

import csv
import io
import json
import re
from types import ModuleType, SimpleNamespace

import pytest

from bartizan.model.errors import Place
from bartizan.model.system import Actor, Asset, Authn, Dataset, Flow, Kind, Stage, System, Task, Trust, Zone
from bartizan.model.threats import Maturity, Stride, Threat, ThreatModel
from bartizan.renderers import threats_csv, threats_json, threats_markdown, threats_mermaid
from bartizan.threatmodel import threats_of

FORMATS = [threats_csv, threats_json, threats_markdown, threats_mermaid]
HOSTILE = [
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "n" * 10_000,
    "two\nlines | and `ticks`",
    "evil\u202etxt.exe\u200f",
    '"]; click n0 href "http://x"',
]


def threats(text: str = "plain") -> dict[str, Threat]:
    open_endpoint = Threat(
        id="open-endpoint",
        title=f"Open endpoint {text}" if text == "plain" else text,
        family="access",
        ai=False,
        stride=(Stride.SPOOFING, Stride.TAMPERING),
        against=(Kind.ENDPOINT,),
        when={"all": [{"fact": "authn", "is": "none"}, {"fact": "exposed", "is": True}]},
        summary=text,
        example=text,
        question=text,
        mitigations=(text,),
        controls=("authn",),
        refs=("atlas:AML.T0040@2026.07",),
        maturity=Maturity.COMMON,
    )
    skewed = Threat(
        id="feedback-skew",
        title="Feedback skew",
        family="poisoning",
        ai=True,
        stride=(Stride.TAMPERING,),
        against=(Kind.MODEL,),
        when={"fact": "online_learning", "is": True},
        summary="s",
        example="e",
        question=text,
        mitigations=(),
        controls=(),
    )
    return {t.id: t for t in (open_endpoint, skewed)}


def system(name: str = "api") -> System:
    return System(
        name=name if name != "api" else "credit",
        zones=(Zone(id=f"{name}-zone", trust=Trust.NONE), Zone(id="inside", trust=Trust.INTERNAL)),
        actors=(Actor(id="applicant", zone=f"{name}-zone"),),
        datasets=(Dataset(id="loans", stage=Stage.TRAIN),),
        assets=(
            Asset(id=name, kind=Kind.ENDPOINT, zone="inside", serves=("scorer",), authn=Authn.NONE, at=Place("bartizan.yaml", 9)),
            Asset(id="scorer", kind=Kind.MODEL, zone="inside", task=Task.OTHER, trained_on=("loans",)),
        ),
        flows=(Flow(source="applicant", target=name, protocol=name, data=(name, "features")),),
    )


def rendered(form: ModuleType, name: str = "api", text: str = "plain") -> str:
    known, declared = threats(text), system(name)
    out: str = form.render(declared, threats_of(declared, SimpleNamespace(threats=known)), known)
    return out


def test_markdown() -> None:
    out = rendered(threats_markdown)
    assert "1 threat fires; 1 more may, depending on 1 open question." in out
    assert "| Open endpoint plain | api (endpoint) | ST |" in out
    assert "api has authn none; applicant (api-zone, trust none) reaches api: applicant -&gt; api |" in out
    assert "| scorer | online_learning | Does scorer go on learning from what it meets in operation? |  |" in out
    assert "- STRIDE: spoofing, tampering\n- Example: plain\n- Mitigation: plain\n- References: atlas:AML.T0040@2026.07" in out


def test_mermaid() -> None:
    assert rendered(threats_mermaid) == (
        "flowchart LR\n"
        '  subgraph z0["api-zone (trust none)"]\n'
        '    n0(["applicant<br/>actor"])\n'
        "  end\n"
        '  subgraph z1["inside (trust internal)"]\n'
        '    n2["api<br/>endpoint<br/>1 threat"]\n'
        '    n3["scorer<br/>model<br/>1 possible"]\n'
        "  end\n"
        '  subgraph zx["zone not declared"]\n'
        '    n1[("loans<br/>dataset")]\n'
        "  end\n"
        '  n0 -.->|"api: api, features"| n2\n'
        '  n2 -->|"serves"| n3\n'
        '  n1 -.->|"trains (boundary?)"| n3\n'
        "  classDef threatened stroke:#b3261e,stroke-width:3px\n"
        "  classDef possible stroke:#8a6100,stroke-width:2px,stroke-dasharray:4 3\n"
        "  class n2 threatened\n"
        "  class n3 possible\n"
    )


def test_json() -> None:
    document = json.loads(rendered(threats_json))
    assert list(document) == ["schema", "system", "counts", "instances", "threats", "questions"]
    assert document["schema"] == "bartizan/threat-model/v1"
    assert document["counts"] == {"certain": 1, "possible": 1, "questions": 1}
    first = document["instances"][0]
    assert (first["threat"], first["element"], first["certain"]) == ("open-endpoint", "api", True)
    assert first["path"] == ["applicant", "api"]
    assert first["at"] == {"file": "bartizan.yaml", "line": 9}
    assert first["risk"].startswith("R-")
    assert document["threats"]["open-endpoint"]["refs"] == ["atlas:AML.T0040@2026.07"]


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(rendered(threats_csv), newline="")))
    assert [r["threat"] for r in rows] == ["open-endpoint", "feedback-skew"]
    assert rows[0]["stride"] == "ST"
    assert rows[0]["path"] == "applicant -> api"
    assert (rows[0]["file"], rows[0]["line"]) == ("bartizan.yaml", "9")
    assert rows[1]["questions"] == "scorer.online_learning: Does scorer go on learning from what it meets in operation?"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markdown(text: str) -> None:
    out = rendered(threats_markdown, text, text)
    assert "<" not in out
    assert "\u202e" not in out
    assert "\u200f" not in out
    assert "n" * 401 not in out
    for row in out.splitlines():
        if row.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", row)) in (5, 6, 7)
    assert not re.search(r"(?<!\\)`", out)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_mermaid(text: str) -> None:
    out = rendered(threats_mermaid, text, text)
    shape = r'(?:\(\["[^"]*"\]\)|\[\("[^"]*"\)\]|\["[^"]*"\])'
    arrow = r'(?:-->|-\.->)(?:\|"[^"]*"\|)?'
    grammar = rf'flowchart LR|  subgraph z\w\["[^"]*"\]|    n\d+{shape}|  end|  n\d+ {arrow} n\d+|  class(?:Def)? [\w #,:-]+'
    for row in out.splitlines():
        assert re.fullmatch(grammar, row), row
    plain = out.replace("<br/>", "")
    assert "<" not in plain
    assert "\u202e" not in out
    assert "n" * 61 not in out
    assert "click" not in re.sub(r'"[^"]*"', "", out)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_csv(text: str) -> None:
    out = rendered(threats_csv, text, text)
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert [len(r) for r in rows] == [20, 20, 20]
    for cell in (cell for r in rows for cell in r):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert "\u202e" not in out


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_json(text: str) -> None:
    out = rendered(threats_json, text, text)
    assert out.isascii()
    assert "<" not in out
    assert json.loads(out)["instances"][0]["element"] == text


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.SUFFIX)
def test_nothing_found_is_said(form: ModuleType) -> None:
    empty = System(name="empty")
    out = form.render(empty, ThreatModel(system="empty", instances=(), questions=()), {})
    assert out.endswith("\n")
    if form is threats_markdown:
        assert "No threat of the catalogue applies" in out
