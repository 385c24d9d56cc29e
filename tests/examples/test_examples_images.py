"""The image example: its tables are what the manifest declares, its threats are the right ones, and hardening shows in the figures."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bartizan.catalog import load as load_catalogue
from bartizan.engine import planner, registry, runner
from bartizan.manifest import load
from bartizan.model.findings import Verdict
from bartizan.threatmodel import threats_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "image-classifier"


def module_of(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_classifier_prepare", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, prepared in a folder of its own."""
    folder = tmp_path_factory.mktemp("image-classifier")
    for name in ("prepare.py", "bartizan.yaml"):
        shutil.copy(EXAMPLE / name, folder / name)
    prepare = module_of(folder / "prepare.py")
    arguments, sys.argv = sys.argv, ["prepare.py"]
    try:
        assert prepare.main() == 0
        assert prepare.main() == 0  # the second time everything is in place
    finally:
        sys.argv = arguments
    return folder


def test_tables_have_the_declared_digests(prepared: Path) -> None:
    for dataset in load(EXAMPLE / "bartizan.yaml").datasets:
        assert dataset.digest == "sha256:" + hashlib.sha256((prepared / str(dataset.uri)).read_bytes()).hexdigest()


def test_both_nets_are_threatened_alike_and_by_evasion_first() -> None:
    model = threats_of(load(EXAMPLE / "bartizan.yaml"), load_catalogue())
    threats = {name: {i.threat for i in model.certain if i.element == name} for name in ("reader", "reader-hardened")}
    assert threats["reader"] == threats["reader-hardened"]
    assert threats["reader"] >= {"white-box-evasion", "black-box-evasion", "feature-manipulation", "out-of-domain-input"}


def test_hardening_shows_in_the_figures_and_decides_the_verdict(prepared: Path) -> None:
    system = load(prepared / "bartizan.yaml")
    jobs = planner.plan(system, threats_of(system, load_catalogue()), registry.load(), prepared, only=["evasion.white_box"])
    found = {job.subject.id: runner.run_job(job).findings[0] for job in jobs}
    plain, hardened = found["reader"], found["reader-hardened"]
    assert plain.verdict is Verdict.FAIL
    assert hardened.verdict is Verdict.PASS
    rates = {finding.asset: {m.name: m for m in finding.measures} for finding in found.values()}
    name = "robust accuracy, at most"
    assert rates["reader"][name].high < rates["reader-hardened"][name].low
    assert rates["reader-hardened"]["accuracy without attack"].value > 0.94
