"""The check on declared code: careless code fails, careful code passes, code that cannot be parsed does neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Verdict
from bartizan.model.system import Asset, Kind

RunCheck = Callable[..., list[Finding]]
TRAINING = Asset(id="training", kind=Kind.PIPELINE, code="train.py", at=Place("bartizan.yaml", 3))
ABOUT = [("insecure-training-configuration", "training"), ("secrets-exposure", "training")]

CARELESS = "import requests\nrequests.get(url, verify=False)\nDB_PASSWORD = 'tr0ub4dor&3'\n"
CAREFUL = "import requests\nrequests.get(url, timeout=3)\n"


@pytest.mark.parametrize(("text", "expected"), [(CARELESS, Verdict.FAIL), (CAREFUL, Verdict.PASS), ("def (", Verdict.INCONCLUSIVE)])
def test_verdicts(run_check: RunCheck, tmp_path: Path, text: str, expected: Verdict) -> None:
    (tmp_path / "train.py").write_text(text)
    found = run_check("dependencies.training_code", TRAINING, about=ABOUT)
    assert [f.verdict for f in found] == [expected, expected]


def test_each_threat_has_its_own_remarks(run_check: RunCheck, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(CARELESS)
    settings, secrets = run_check("dependencies.training_code", TRAINING, about=ABOUT)
    assert settings.places == (Place("train.py", 2),)
    assert secrets.places == (Place("train.py", 3),)


def test_undeclared_code_is_an_error(run_check: RunCheck) -> None:
    with pytest.raises(InputError, match="declare it"):
        run_check("dependencies.training_code", Asset(id="training", kind=Kind.PIPELINE), about=ABOUT)
