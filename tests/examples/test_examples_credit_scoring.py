"""The credit-scoring example: its split leaks what it says, its manifest loads, its threats are the right ones."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from bartizan.catalog import load as load_catalogue
from bartizan.engine import registry
from bartizan.manifest import load
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Asset, element
from bartizan.threatmodel import threats_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "credit-scoring"


@pytest.fixture(scope="module")
def prepare() -> ModuleType:
    spec = importlib.util.spec_from_file_location("credit_scoring_prepare", EXAMPLE / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def applicants(rows: int) -> list[dict[str, str]]:
    return [{"credit_amount": str(1000 + 37 * i), "purpose": f"car {i}", "creditability": "good" if i % 3 else "bad"} for i in range(rows)]


def test_the_split_leaks_what_it_says_and_nothing_else(prepare: ModuleType) -> None:
    train, test = prepare.split(applicants(1000))
    assert (len(train), len(test)) == (700, 300 + prepare.COPIED + prepare.NUDGED)
    names = {row["purpose"] for row in train}
    leaked = [row for row in test if row["purpose"] in names]
    assert len(leaked) == prepare.COPIED + prepare.NUDGED
    assert sum(row in train for row in leaked) == prepare.COPIED
    assert prepare.split(applicants(1000)) == (train, test)


def test_tables_are_written_the_same_on_every_machine(prepare: ModuleType, tmp_path: Path) -> None:
    prepare.write(tmp_path / "t.csv", [{"a": "1", "b": "x, y"}])
    assert (tmp_path / "t.csv").read_bytes() == b'a,b\n1,"x, y"\n'


def test_foreign_data_is_refused_in_one_line(prepare: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="is not the file this example was written for"):
        prepare.source(tmp_path / "other.csv")
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "other.csv", "other.csv")
    with pytest.raises(SystemExit, match="does not hold"):
        prepare.source(tmp_path / "other.tar.gz")


def test_the_manifest_has_few_and_mostly_ai_threats() -> None:
    catalogue = load_catalogue()
    model = threats_of(load(EXAMPLE / "bartizan.yaml"), catalogue)
    certain = [instance.threat for instance in model.certain]
    assert len(certain) <= 25
    assert sum(catalogue.threats[threat].ai for threat in certain) >= 0.9 * len(certain)
    assert set(certain) >= {
        "training-data-poisoning",
        "black-box-evasion",
        "membership-inference",
        "model-inversion",
        "model-extraction",
        "malicious-artefact",
        "train-test-leakage",
        "excess-retention",
        "unauthenticated-inference",
    }


@pytest.mark.parametrize(
    ("check", "node", "related"),
    [
        ("dependencies.pinning", "requirements", ()),
        ("access.retention", "loans-train", ()),
        ("deployment.dockerfile", "image", ()),
        ("deployment.kubernetes", "cluster", ()),
    ],
)
def test_each_weakness_in_the_files_is_found(check: str, node: str, related: tuple[Asset, ...]) -> None:
    system = load(EXAMPLE / "bartizan.yaml")
    described = registry.get(check)
    subject = element(system, node)
    job = Job(check=check, version=described.version, threats=described.threats, subject=subject, related=related, root=str(EXAMPLE))
    findings = list(described.run(job, subject, **{p.name: p.default for p in described.parameters}))
    assert {finding.verdict for finding in findings} == {Verdict.FAIL}
    assert all(finding.places for finding in findings)


def test_prepared_data_has_the_declared_digests() -> None:
    """Only where `prepare.py` has run: the tests need no network."""
    system = load(EXAMPLE / "bartizan.yaml")
    for dataset in system.datasets:
        path = EXAMPLE / str(dataset.uri)
        if not path.is_file():
            pytest.skip("python examples/credit-scoring/prepare.py makes the data")
        assert dataset.digest == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
