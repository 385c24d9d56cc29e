"""The signature check: what was signed passes, every change fails, and a signature without a trusted key proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.areas.provenance.signing import making
from bartizan.areas.provenance.signing.keys import create
from bartizan.engine.inputs import Inputs
from bartizan.model.errors import InputError, Refused
from bartizan.model.findings import Severity, Verdict
from bartizan.model.system import Asset, Dataset, Kind, Stage

CHECK = "provenance.signature"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a.bin").write_bytes(b"a")
    making.sign(folder, tmp_path / "model.sig", create(tmp_path / "k.pem"))
    return folder


def asset(**more: object) -> Asset:
    return Asset(id="m", kind=Kind.MODEL, uri="model", **more)  # type: ignore[arg-type]


def verdicts(found: list) -> set[Verdict]:
    return {finding.verdict for finding in found}


@pytest.mark.parametrize("more", [{}, {"signature": "model.sig"}])
def test_what_was_signed_passes_and_a_change_fails(run_check, model: Path, more: dict) -> None:
    found = run_check(CHECK, asset(signed_by="k.pem.pub", **more))
    assert verdicts(found) == {Verdict.PASS}
    assert found[0].details["probability_cap"] == 0.03
    (model / "evil.py").write_text("x")
    found = run_check(CHECK, asset(signed_by="k.pem.pub", **more))
    assert verdicts(found) == {Verdict.FAIL}
    assert found[0].severity is Severity.HIGH
    assert "'evil.py' was not signed" in found[0].why


def test_a_data_set_is_verified_alike(run_check, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a\n1\n")
    making.sign(tmp_path / "d.csv", tmp_path / "d.csv.sig", create(tmp_path / "k.pem", "ed25519"))
    data = Dataset(id="d", stage=Stage.TRAIN, uri="d.csv", signed_by="k.pem.pub")
    assert verdicts(run_check(CHECK, data)) == {Verdict.PASS}
    (tmp_path / "d.csv").write_text("a\n2\n")
    assert verdicts(run_check(CHECK, data)) == {Verdict.FAIL}


def test_another_key_fails_and_no_key_is_unknown(run_check, model: Path, tmp_path: Path) -> None:
    create(tmp_path / "other.pem")
    found = run_check(CHECK, asset(signed_by="other.pem.pub"))
    assert verdicts(found) == {Verdict.FAIL}
    assert "another key" in found[0].why
    assert verdicts(run_check(CHECK, asset(signature="model.sig"))) == {Verdict.UNKNOWN}
    (tmp_path / "model.sig").unlink()
    assert verdicts(run_check(CHECK, asset(signed_by="k.pem.pub"))) == {Verdict.UNKNOWN}


def test_a_key_among_the_content_proves_nothing(run_check, model: Path, tmp_path: Path) -> None:
    (model / "k.pub").write_bytes((tmp_path / "k.pem.pub").read_bytes())
    making.sign(model, tmp_path / "model.sig", create(tmp_path / "k.pem"))
    assert verdicts(run_check(CHECK, asset(signed_by="model/k.pub"))) == {Verdict.UNKNOWN}


def test_nothing_outside_the_project_is_read(run_check, model: Path) -> None:
    with pytest.raises(Refused):
        run_check(CHECK, asset(signed_by="../../k.pub"))
    with pytest.raises(InputError):
        run_check(CHECK, asset(signature="missing.sig", signed_by="k.pem.pub"))


def test_a_changed_signature_or_key_is_another_job(model: Path, tmp_path: Path) -> None:
    node = asset(signed_by="k.pem.pub")
    before = {i.uri: i.digest for i in Inputs(tmp_path).of([node])}
    assert set(before) == {"model", "k.pem.pub", "model.sig"}
    (tmp_path / "model.sig").write_text("{}")
    assert {i.uri: i.digest for i in Inputs(tmp_path).of([node])} != before
