"""The loader: look-ups, former ids, files of the user, and an error with its place for whatever is wrong in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.catalog import Catalog, load, problems
from bartizan.catalog.predicates import Always
from bartizan.model.errors import InputError, UnknownName

THREAT = """\
family: house
threats:
  - id: {id}
    title: A threat of our own
    ai: true
    stride: [T]
    against: model
    when: {when}
    summary: Something only we know of.
    example: It happened on a Tuesday.
    question: Is it so?
    mitigations: [Do something.]
    controls: [{control}]
    aliases: [{alias}]
"""
FRAMEWORK = """\
id: house-rules
title: House rules
version: "3"
publisher: Us
clauses:
  - {id: H.1, title: Lock the door, controls: [authentication]}
  - {id: H.0, retired: true, replaced_by: H.1}
aliases: {"1": H.1}
"""
CROSSWALK = """\
id: ours
source: project
reviewer: somebody
reviewed: 2026-01-31
links:
  - {id: doors, refs: ["house-rules:H.1"], evidence: the key, controls: [authentication], relation: supports}
"""
CHECKLIST = """\
items:
  - {id: door-locked, title: The door is locked, group: house, controls: [authentication], how: Try the handle.}
"""


def threat(id: str = "our-own", when: str = "always", control: str = "quotas", alias: str = "our-former") -> str:
    return THREAT.format(id=id, when=when, control=control, alias=alias)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_catalogue_is_read_once() -> None:
    assert load() is load()


def test_misspelt_threat_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown threat 'model-extracton'; did you mean 'model-extraction'"):
        load().threat("model-extracton")


def test_misspelt_control_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'quotas'"):
        load().control("quota")


def test_mitigated_by_is_the_inverse_of_controls() -> None:
    catalog = load()
    for control in catalog.controls:
        assert catalog.mitigated_by(control) == tuple(t for t in catalog.threats.values() if control in t.controls)


def test_file_of_the_user_adds_a_threat(tmp_path: Path) -> None:
    catalog = load([write(tmp_path, "own.yaml", threat())])
    own = catalog.threat("our-own")
    assert len(catalog.threats) == len(load().threats) + 1
    assert own.family == "house"
    assert own.at is not None
    assert own.at.line == 3
    assert catalog.threat("our-former") is own
    assert catalog.predicate("our-own") == Always()
    assert own in catalog.mitigated_by("quotas")
    assert "our-own" not in load().threats


def test_folder_of_the_user_is_read_with_its_subfolders(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    write(tmp_path / "deep", "own.yaml", threat())
    write(tmp_path, "more.yml", threat("another", alias="another-former"))
    write(tmp_path, "notes.txt", "not a catalogue file")
    assert {"our-own", "another"} <= set(load([tmp_path]).threats)


def test_control_and_threat_stand_in_one_file(tmp_path: Path) -> None:
    control = "controls:\n  - {id: door-lock, title: Lock, phases: [deployment], summary: A lock on the door.}\n"
    catalog = load([write(tmp_path, "own.yaml", threat(control="door-lock") + control)])
    assert [t.id for t in catalog.mitigated_by("door-lock")] == ["our-own"]


def test_framework_is_one_data_file_and_no_code(tmp_path: Path) -> None:
    catalog = load([write(tmp_path, "house.yaml", FRAMEWORK)])
    framework, clause = catalog.reference("house-rules:H.1@3")
    assert (framework.title, clause.title) == ("House rules", "Lock the door")
    assert clause.controls == ("authentication",)
    assert "house-rules" in catalog.frameworks
    assert len(catalog.frameworks) == len(load().frameworks) + 1


def test_retired_entry_leads_to_its_successor(tmp_path: Path) -> None:
    catalog = load([write(tmp_path, "house.yaml", FRAMEWORK)])
    assert catalog.reference("house-rules:H.0")[1].id == "H.1"
    assert catalog.reference("house-rules:1@3")[1].id == "H.1"


def test_crosswalk_and_checklist_are_added(tmp_path: Path) -> None:
    files = [write(tmp_path, n, t) for n, t in (("h.yaml", FRAMEWORK), ("c.yaml", CROSSWALK), ("l.yaml", CHECKLIST))]
    catalog = load(files)
    assert catalog.crosswalks[-1].id == "ours"
    assert catalog.checklist[-1].id == "door-locked"
    assert [p for p in problems(catalog) if "house" in p or "door" in p] == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("house-rules", "is no reference"),
        ("house-rule:H.1", "unknown framework 'house-rule'; did you mean 'house-rules'"),
        ("house-rules:H.1@2", "unknown version of house-rules '2'"),
        ("house-rules:H.7", "unknown entry of house-rules 'H.7'"),
    ],
)
def test_reference_that_leads_nowhere(tmp_path: Path, reference: str, message: str) -> None:
    catalog = load([write(tmp_path, "house.yaml", FRAMEWORK)])
    with pytest.raises(InputError, match=message):
        catalog.reference(reference)


def test_circle_of_successors_is_an_error(tmp_path: Path) -> None:
    text = FRAMEWORK.replace("controls: [authentication]", "replaced_by: H.0")
    catalog = load([write(tmp_path, "house.yaml", text)])
    with pytest.raises(InputError, match="replaced by itself"):
        catalog.reference("house-rules:H.1")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (threat("model-extraction"), 3, "threat 'model-extraction' is already declared at catalog/threats/extraction.yaml:"),
        (threat(alias="model-extraction"), 3, "alias 'model-extraction' of 'our-own' is in use at catalog/threats/extraction.yaml:"),
        (threat().replace("family: house\n", ""), 2, "threat 'our-own' has no 'family'"),
        (threat(when="{fact: exposd, is: true}"), 8, "unknown fact 'exposd'.* did you mean 'exposed'"),
        (threat(when="{fact: output, is: scores}"), 8, "'scores'.* did you mean 'score'"),
        (threat().replace("stride: [T]", "stride: [X]"), 6, "unknown stride 'X'"),
        (threat().replace("question:", "qestion:"), 11, "unknown key 'qestion'.*did you mean 'question'"),
        (threat().replace("    question: Is it so?\n", ""), 3, "has no 'question'"),
        ("treats: []\n", 1, "unknown key of a catalogue file 'treats'; did you mean 'threats'"),
        (FRAMEWORK.replace("id: house-rules", "id: house-rules\npublished: soon"), 2, "'published'.*must be a date"),
        (CROSSWALK.replace("relation: supports", "relation: proves"), 6, "unknown relation 'proves'"),
    ],
)
def test_error_has_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = write(tmp_path, "own.yaml", text)
    with pytest.raises(InputError, match=message) as caught:
        load([path])
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert "\n" not in str(caught.value)


def test_two_files_of_the_user_with_one_id(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.yaml", threat()), write(tmp_path, "b.yaml", threat(alias="other"))
    with pytest.raises(InputError) as caught:
        load([first, second])
    assert str(caught.value).startswith(f"{second}:3: threat 'our-own' is already declared at {first}:3")


def test_former_id_is_not_given_again(tmp_path: Path) -> None:
    first, second = write(tmp_path, "a.yaml", threat()), write(tmp_path, "b.yaml", threat("our-former", alias="other"))
    with pytest.raises(InputError, match="alias 'our-former' of 'our-own' is in use at"):
        load([first, second])


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own\.yaml: no such file"):
        load([tmp_path / "own.yaml"])


def test_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no catalogue file in this folder"):
        load([tmp_path])


def test_dangling_ids_are_reported_with_their_place(tmp_path: Path) -> None:
    text = threat(control="qotas") + '    refs: ["house-rules:H.9"]\n'
    catalog = load([write(tmp_path, "own.yaml", text), write(tmp_path, "house.yaml", FRAMEWORK)])
    found = [p for p in problems(catalog) if "our-own" in p]
    assert found == [
        f"{tmp_path}/own.yaml:3: threat 'our-own': unknown control 'qotas'",
        f"{tmp_path}/own.yaml:3: threat 'our-own': unknown entry of house-rules 'H.9'; did you mean 'H.1'?",
    ]


def test_digest_follows_the_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, "own.yaml", threat())
    one = load([path]).digest
    write(tmp_path, "own.yaml", threat().replace("Tuesday", "Monday"))
    assert len({load().digest, one, load([path]).digest}) == 3
    assert load().digest == load().digest


def test_frameworks_are_not_read_for_a_threat_model() -> None:
    code = (
        "import bartizan.catalog as c; from bartizan.catalog import files; read = []\n"
        "was = files.read_framework; files.read_framework = lambda *a: read.append(a) or was(*a)\n"
        "x = c.load(); [x.predicate(t) for t in x.threats]; assert not read\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})


def test_catalog_is_importable_from_the_package() -> None:
    assert isinstance(load(), Catalog)
