"""What `threats` must say of the shipped examples, and how the command answers manifests that are wrong in every way."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bartizan.cli.app import run

EXAMPLES = Path(__file__).parents[2] / "examples"
CREDIT = EXAMPLES / "credit-scoring" / "bartizan.yaml"
ASSISTANT = EXAMPLES / "support-assistant" / "bartizan.yaml"
EXPECTED = {
    "training-data-poisoning",
    "black-box-evasion",
    "membership-inference",
    "model-inversion",
    "model-extraction",
    "malicious-artefact",
}


def threats(path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    assert run(["threats", str(path), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    instances: list[dict[str, object]] = found["instances"]
    return instances


def test_the_credit_example_has_few_threats_nearly_all_of_them_about_ai(capsys: pytest.CaptureFixture[str]) -> None:
    certain = [t for t in threats(CREDIT, capsys) if t["certain"]]
    assert len(certain) <= 25
    assert sum(bool(t["ai"]) for t in certain) >= 0.9 * len(certain)
    assert {t["threat"] for t in certain} >= EXPECTED
    assert all(t["because"] for t in certain)


def test_a_system_without_ai_has_no_ai_threat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "bartizan.yaml"
    manifest.write_text(
        "bartizan: 1\nsystem: {name: shop}\nzones: [{id: net, trust: none}, {id: in, trust: internal}]\n"
        "actors: [{id: buyer, zone: net}]\ndatasets: [{id: orders, stage: logs, zone: in, subjects: [person]}]\n"
        "assets:\n  - {id: web, kind: endpoint, zone: in, authn: none}\n  - {id: db, kind: store, zone: in, holds: [records]}\n"
        "  - {id: image, kind: container, zone: in}\n  - {id: packages, kind: dependencies, zone: in}\n"
        "flows: [{from: buyer, to: web}, {from: web, to: db}]\n"
    )
    assert not [t for t in threats(manifest, capsys) if t["ai"]]


def mutated(text: str, chance: random.Random) -> str:
    """`text` with one to four wounds: lines dropped, doubled, moved, shifted; characters changed; values swapped for odd ones."""
    odd = [
        "~",
        "[]",
        "{}",
        "1e999",
        "0x7f",
        "!!python/object:os.system x",
        "&a *a",
        "'",
        '"',
        "\t",
        "-",
        ": :",
        "\u202e",
        "9" * 400,
        "2026-13-45",
    ]
    for _ in range(chance.randint(1, 4)):
        lines = text.split("\n")
        at = chance.randrange(len(lines))
        kind = chance.randrange(6)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[chance.randrange(len(lines))])
        elif kind == 2:
            lines[at] = " " * chance.randint(1, 3) + lines[at]
        elif kind == 3 and lines[at]:
            place = chance.randrange(len(lines[at]))
            lines[at] = lines[at][:place] + chance.choice("{}[]:,#&*!|>'\"%@`xyz09\u00e9") + lines[at][place + 1 :]
        elif kind == 4 and ":" in lines[at]:
            lines[at] = lines[at].partition(":")[0] + ": " + chance.choice(odd)
        else:
            words = lines[at].split(" ")
            chance.shuffle(words)
            lines[at] = " ".join(words)
        text = "\n".join(lines)
    return text


def answered(path: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Run `threats` on `path`; whatever it says must be a result, or one line with a place and exit code 2."""
    code = run(["threats", str(path), "--format", "json"])
    error = capsys.readouterr().err
    assert code in (0, 2)
    if code == 2:
        assert error.count("\n") == 1, error
        assert error.startswith("bartizan: bartizan.yaml"), error
    return code


@pytest.mark.parametrize("example", [CREDIT, ASSISTANT], ids=["credit", "assistant"])
def test_two_hundred_mutated_manifests_are_answered_in_one_line(example: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = example.read_text()
    manifest = tmp_path / "bartizan.yaml"
    codes = []
    for seed in range(100):
        manifest.write_text(mutated(text, random.Random(seed)))
        codes.append(answered(manifest, capsys))
    assert 20 < codes.count(2) < 100


def random_value(chance: random.Random, depth: int) -> object:
    words = ["model", "none", "api-key", "train", "internet", "scorer", "\u202e", "x" * 300, "", "=cmd", "<script>", "sha256:00"]
    keys = ["id", "kind", "zone", "uri", "stage", "trust", "serves", "from", "to", "digest", "quota", "subjects", "odd"]
    kind = chance.randrange(8 if depth else 5)
    if kind < 3:
        return chance.choice(words)
    if kind == 3:
        return chance.choice([0, -1, 2**70, 1.5, True, None])
    if kind == 4:
        return chance.choice(["2026-01-01", "no", "0o17"])
    if kind == 5:
        return [random_value(chance, depth - 1) for _ in range(chance.randint(0, 4))]
    return {chance.choice(keys): random_value(chance, depth - 1) for _ in range(chance.randint(0, 5))}


def test_five_hundred_random_manifests_are_answered_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sections = ["system", "zones", "actors", "datasets", "assets", "flows", "controls", "appetite", "decisions", "catalogs"]
    manifest = tmp_path / "bartizan.yaml"
    refused = 0
    for seed in range(500):
        chance = random.Random(seed)
        whole: dict[str, object] = {"bartizan": 1, "system": {"name": "x"}}
        for section in chance.sample(sections, chance.randint(0, 6)):
            whole[section] = random_value(chance, 3)
        manifest.write_text(json.dumps(whole))
        refused += answered(manifest, capsys) == 2
    assert 300 < refused < 500
