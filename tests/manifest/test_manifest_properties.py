"""Invariants over random and broken manifests: what is written reads back equal, the schema agrees, only an InputError escapes."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from manifest_samples import CREDIT, Systems, without_places

from bartizan import documents, manifest
from bartizan.model.errors import InputError
from bartizan.model.system import System

SCHEMA = Draft202012Validator(manifest.schema())


def judged(reading: Callable[[], System]) -> System | str:
    """What `reading` gives: a system, or the text of its refusal, which must be one line with a place."""
    try:
        return reading()
    except InputError as error:
        said = str(error)
    assert re.match(r"m\.yaml(:\d+)?: \S", said), said
    assert said.isprintable(), said
    assert len(said) < 2500, said
    return said


def outcome(text: str) -> System | str:
    return judged(lambda: manifest.parse(text, "m.yaml"))


def test_500_random_systems_are_read_written_and_read_again() -> None:
    for seed in range(500):
        plain = Systems(seed).document()
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=seed % 2 == 0)
        system = manifest.parse(text, "m.yaml")
        again = manifest.parse(manifest.dump(system), "again.yaml")
        assert without_places(again) == without_places(system)
        assert manifest.dump(again) == manifest.dump(system)


def test_the_schema_accepts_what_is_read() -> None:
    Draft202012Validator.check_schema(manifest.schema())
    SCHEMA.validate(_plain(CREDIT))
    for seed in range(60):
        text = yaml.safe_dump(Systems(seed).document(), sort_keys=False)
        SCHEMA.validate(_plain(text))
        SCHEMA.validate(_plain(manifest.dump(manifest.parse(text, "m.yaml"))))


@pytest.mark.parametrize(
    "change",
    [
        ("owner:", "ownr:"), ("authn: none", "authn: no"), ("trust: none", "trust: some"), ("bartizan: 1", "bartizan: 2"),
        ("kind: endpoint", "kind: model"), ("retention: 365", "retention: -1"), ("id: mail", "id: Mail"), ("to: scorer", "too: scorer"),
        ("confidence: 0.95", "confidence: 95"), ("sha256:", "md5:"),
    ],
)  # fmt: skip
def test_the_schema_refuses_what_is_refused(change: tuple[str, str]) -> None:
    text = CREDIT.replace(*change)
    assert isinstance(outcome(text), str)
    assert not SCHEMA.is_valid(_plain(text))


def _plain(text: str) -> object:
    """A document as JSON knows it: dates are text."""

    def jsonable(value: object) -> object:
        if isinstance(value, dict):
            return {key: jsonable(part) for key, part in value.items()}
        if isinstance(value, list):
            return [jsonable(part) for part in value]
        return value if isinstance(value, str | int | float | bool | None) else str(value)

    return jsonable(documents.parse(text, "m").value)


def test_200_mutated_manifests_are_read_or_refused_in_one_line() -> None:
    rng = random.Random(20261123)
    read = sum(isinstance(outcome(_mutated(rng)), System) for _ in range(200))
    assert 5 < read < 180  # the mutations reach both sides


def _mutated(rng: random.Random) -> str:
    """The realistic manifest with a few bytes, lines or words changed."""
    text = CREDIT
    for _ in range(rng.randint(1, 3)):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        spot = rng.randrange(len(text))
        kind = rng.randrange(9)
        if kind == 0:
            text = text[:spot] + chr(rng.choice([0, 9, 10, 13, 34, 38, 39, 42, 58, 91, 93, 123, 125, 0x85, 0xFFFE, 0x1F600])) + text[spot:]
        elif kind == 1:
            text = text[:spot] + text[spot + rng.randint(1, 40) :]
        elif kind == 2:
            text = "\n".join(lines[:at] + lines[at + 1 :])
        elif kind == 3:
            text = "\n".join([*lines[:at], lines[at], *lines[at:]])
        elif kind == 4:
            text = "\n".join([*lines[:at], " " * rng.randint(1, 4) + lines[at], *lines[at + 1 :]])
        elif kind == 5:
            other = rng.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
            text = "\n".join(lines)
        elif kind == 6:
            values = [
                "~",
                "[]",
                "{}",
                "-1",
                "1e400",
                ".nan",
                "9" * 30,
                "!!python/object:a.b {}",
                "*x",
                "'",
                "no",
                "|",
                "x" * 10_001,
                "<<: *a",
            ]
            lines[at] = re.sub(r":.*", ": " + rng.choice(values).replace("\\", ""), lines[at], count=1)
            text = "\n".join(lines)
        elif kind == 7:
            text = text[:spot]
        else:
            words = re.findall(r"[a-z_-]+", text)
            text = text.replace(rng.choice(words), rng.choice(words), 1)
    return text


def test_mutated_bytes_are_read_or_refused_in_one_line(tmp_path: Path) -> None:
    rng = random.Random(7)
    file = tmp_path / "m.yaml"
    for _ in range(200):
        data = bytearray(CREDIT.encode())
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        file.write_bytes(bytes(data))
        judged(lambda: manifest.load(file, name="m.yaml"))


_keys = st.sampled_from(
    ["bartizan", "system", "zones", "actors", "datasets", "assets", "flows", "controls", "appetite", "id", "kind", "name", "at"]
)
_leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates() | st.sampled_from(["model", "s", "none"])
)
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys | st.text(max_size=4), inner, max_size=4), max_leaves=12
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(_keys, _values, max_size=6))
def test_any_structure_is_read_or_refused_in_one_line(plain: dict[str, object]) -> None:
    outcome(yaml.safe_dump({"bartizan": 1, "system": {"name": "s"}, **plain}, allow_unicode=True))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}#&*!|>'\"%@`,? \n\t\r\\0123.~<=")) | st.characters(), max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    outcome(text)
    outcome("bartizan: 1\nsystem: {name: s}\nassets:\n" + text)
