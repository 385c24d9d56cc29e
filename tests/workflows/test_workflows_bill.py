"""The bill of materials of a real project: valid by the published schemas, with hashes that anybody can recompute, stable."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bartizan.adapters.cyclonedx import read_bill
from bartizan.cli.app import run
from bartizan.governance.bill_difference import differences
from bartizan.model.bill import Bill
from bartizan.model.errors import InputError
from bartizan.renderers import bill_cyclonedx, bill_spdx

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFEST = """\
bartizan: 1
system: {name: demo, purpose: to show, owner: team-demo, impact: high}
zones: [{id: inside, trust: internal}, {id: outside, trust: none}]
actors: [{id: caller, zone: outside, can: [query]}]
datasets:
  - {id: train, title: Rows to learn from, stage: train, uri: train.csv, label: y, subjects: [person], zone: inside, licence: CC-BY-4.0,
     sensitivity: restricted, source: "https://example.org/rows",
     digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
  - {id: test, stage: test, uri: test.csv, label: y, zone: inside, licence: "our own terms"}
assets:
  - {id: model, kind: model, task: tabular-classification, framework: scikit-learn, uri: model.pkl, trained_on: [train], tested_on: [test],
     zone: inside, base_model: acme/base, revision: abc}
  - {id: training, kind: pipeline, code: train.py, produces: [model], zone: inside}
  - {id: api, kind: endpoint, serves: model, url: "https://api.example.org", authn: api-key, zone: inside}
  - {id: packages, kind: dependencies, uri: requirements.txt, runs: [api]}
flows: [{from: caller, to: api, data: [rows]}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project with a manifest, data, a model and packages."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "bartizan.yaml").write_text(MANIFEST)
    (folder / "train.csv").write_text("a,y\n1,0\n2,1\n3,0\n")
    (folder / "test.csv").write_text("a,y\n3,0\n4,1\n")
    (folder / "model.pkl").write_bytes(b"\x80\x04N.")
    (folder / "train.py").write_text("print('training')\n")
    (folder / "requirements.txt").write_text("numpy==1.26.4\npandas\n")
    return folder


def written(project: Path, form: str = "cyclonedx-1.6", *more: str) -> Path:
    out = project.parent / f"{form}-{len(list(project.parent.iterdir()))}.json"
    assert run(["bom", "write", str(project), "--format", form, "-o", str(out), *more]) == 0
    return out


def assessed(project: Path) -> Path:
    checks = ["provenance", "artefacts", "quality"]
    assert run(["assess", str(project), "--quiet", "--executor", "inline", *(a for c in checks for a in ("--only", c))]) in (0, 1)
    return project


def files_of(document: dict[str, Any]) -> dict[str, str]:
    inner = [file for component in document["components"] for file in component.get("components", ())]
    return {file["name"]: file["hashes"][0]["content"] for file in inner}


@pytest.mark.parametrize("version", bill_cyclonedx.VERSIONS)
def test_valid_by_the_strict_schema(project: Path, version: str) -> None:
    schema = pytest.importorskip("cyclonedx.schema")
    validation = pytest.importorskip("cyclonedx.validation.json")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.from_version(version))
    document = written(assessed(project), f"cyclonedx-{version}").read_text()
    assert validator.validate_str(document) is None
    assert "declarations" in json.loads(document)
    assert validator.validate_str(document.replace('"machine-learning-model"', '"wonder"')) is not None  # the validator does look


@pytest.mark.parametrize("example", ["credit-scoring", "support-assistant"])
def test_the_examples_are_valid(tmp_path: Path, example: str) -> None:
    schema = pytest.importorskip("cyclonedx.schema")
    validation = pytest.importorskip("cyclonedx.validation.json")
    folder = tmp_path / example
    shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns(".bartizan"))
    out = tmp_path / "bom.json"
    assert run(["bom", "write", str(folder), "-o", str(out)]) in (0, 2)  # 2 where the example was not prepared: its model is missing
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(out.read_text()) is None


def test_every_hash_can_be_recomputed(project: Path) -> None:
    found = files_of(json.loads(written(project).read_text()))
    assert set(found) == {"train.csv", "test.csv", "model.pkl", "requirements.txt"}
    assert all(hashlib.sha256((project / name).read_bytes()).hexdigest() == digest for name, digest in found.items())


def test_what_stands_where(project: Path) -> None:
    document = json.loads(written(project).read_text())
    parts = {c["bom-ref"]: c for c in document["components"]}
    model = parts["model"]
    assert model["modelCard"]["modelParameters"]["datasets"] == [{"ref": "train"}, {"ref": "test"}]
    assert model["pedigree"]["ancestors"] == [{"type": "machine-learning-model", "name": "acme/base", "version": "abc"}]
    assert parts["train"]["licenses"] == [{"expression": "CC-BY-4.0"}]
    assert parts["test"]["licenses"] == [{"license": {"name": "our own terms"}}]
    assert parts["pkg:pypi/numpy@1.26.4"]["purl"] == "pkg:pypi/numpy@1.26.4"
    (workflow,) = document["formulation"][0]["workflows"]
    assert workflow["inputs"] == [{"resource": {"ref": "train"}}]
    assert workflow["outputs"] == [{"type": "artifact", "resource": {"ref": "model"}}]
    graph = {d["ref"]: set(d.get("dependsOn", ())) for d in document["dependencies"]}
    assert graph["model"] == {"train", "test", "base:acme/base"}
    assert graph["api"] == {"model", "packages"}
    assert document["services"][0]["authenticated"] is True


def test_round_trip(project: Path) -> None:
    path = written(assessed(project))
    again = bill_cyclonedx.render(read_bill(path))
    assert again == path.read_text()


def test_the_same_project_has_the_same_serial_number(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = set()
    for moment in ("1700000000", "1800000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", moment)
        numbers.add(json.loads(written(project).read_text())["serialNumber"])
    assert len(numbers) == 1
    (project / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    assert json.loads(written(project).read_text())["serialNumber"] not in numbers


def test_what_failed_is_a_counter_claim(project: Path) -> None:
    document = json.loads(written(assessed(project)).read_text())
    claims = {c["bom-ref"]: c for c in document["declarations"]["claims"]}
    rows = {row["requirement"]: row for row in document["declarations"]["attestations"][0]["map"]}
    row = rows["threat:malicious-artefact"]  # the model is a pickle
    assert row["conformance"]["score"] == 0.0
    assert all("counterEvidence" in claims[ref] for ref in row["counterClaims"])


def test_changes_in_words(project: Path) -> None:
    before = read_bill(written(project))
    (project / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    (project / "requirements.txt").write_text("numpy==2.0.0\nscipy==1.11\n")
    text = (project / "bartizan.yaml").read_text()
    (project / "bartizan.yaml").write_text(text.replace("authn: api-key", "authn: none"))
    after = read_bill(written(project))
    said = {change.text for change in differences(before, after)}
    assert said == {
        "model model: file model.pkl has other content",
        "library pkg:pypi/numpy: version was 1.26.4, is 2.0.0",
        "library pandas is gone",
        "library scipy 1.11 is new",
        "service api: authn was api-key, is none",
        "application packages: file requirements.txt has other content",
        "application packages: no longer needs pkg:pypi/numpy@1.26.4",
        "application packages: no longer needs pkg:pypi/pandas",
        "application packages: now needs pkg:pypi/numpy@2.0.0",
        "application packages: now needs pkg:pypi/scipy@1.11",
    }
    assert differences(before, msgspec.structs.replace(before, made="2030-01-01T00:00:00Z")) == ()


def test_spdx_is_read_by_the_published_model(project: Path) -> None:
    bindings = pytest.importorskip("spdx_python_model.bindings.v3_0_1")
    path = written(project, "spdx-3")
    objects = bindings.SHACLObjectSet()
    with path.open() as file:
        bindings.JSONLDDeserializer().read(file, objects)
    assert objects.link() == set()  # every name that is referred to is there
    kinds = [type(o).__name__ for o in objects.objects]
    assert kinds.count("ai_AIPackage") == 2
    assert kinds.count("dataset_DatasetPackage") == 2
    document = json.loads(path.read_text())
    relations = {e["relationshipType"] for e in document["@graph"] if e["type"] == "Relationship"}
    assert {"trainedOn", "testedOn", "descendantOf", "dependsOn", "contains", "hasDeclaredLicense"} <= relations
    assert bill_spdx.render(read_bill(written(project))) == path.read_text()


def test_a_missing_file_is_said_and_nothing_is_claimed_of_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "model.pkl").unlink()
    out = project.parent / "bom.json"
    assert run(["bom", "write", str(project), "-o", str(out)]) == 2
    assert "model.pkl" in capsys.readouterr().err
    assert "model.pkl" not in files_of(json.loads(out.read_text()))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bomFormat": "CycloneDX", "components": [{"type": "library"}]}', "[" * 100_000])
def test_what_is_no_bill(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bom.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_bill(path)


def test_a_bill_of_another_tool(tmp_path: Path) -> None:
    path = tmp_path / "bom.json"
    inner = {"type": "library", "name": "b", "version": "2", "purl": "pkg:pypi/b@2"}
    path.write_text(
        json.dumps(
            {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"type": "library", "name": "a", "components": [inner]}]}
        )
    )
    bill = read_bill(path)
    assert isinstance(bill, Bill)
    assert {part.name for part in bill.parts} == {"a", "b"}
