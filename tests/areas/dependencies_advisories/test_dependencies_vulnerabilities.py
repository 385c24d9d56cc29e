"""The check: what is vulnerable fails, what is repaired passes, what cannot be judged does neither."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bartizan.areas.dependencies.advisories.database import FOLDER, NoAdvisories
from bartizan.model.errors import Place
from bartizan.model.findings import Finding, Verdict
from bartizan.model.system import Asset, Kind

RunCheck = Callable[..., list[Finding]]
STACK = Asset(id="stack", kind=Kind.DEPENDENCIES, uri="requirements.txt", at=Place("bartizan.yaml", 3))
AGE = (datetime.now(UTC) - datetime(2026, 7, 24, tzinfo=UTC)).days + 2


def test_weak_clean_unknown(run_check: RunCheck, kept: Path, requirements: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(kept))
    cases = {
        "alpha==1.2\n": Verdict.FAIL,
        "alpha==2.0\n": Verdict.PASS,
        "alpha\n": Verdict.INCONCLUSIVE,
        "alpha===x!\n": Verdict.INCONCLUSIVE,
    }
    for text, expected in cases.items():
        requirements(text)
        found = run_check("dependencies.vulnerabilities", STACK, about=[("known-vulnerability", "stack")], max_age_days=float(AGE))
        assert [f.verdict for f in found] == [expected], text
    assert "probability_cap" not in found[0].details


def test_imitations_ask_for_a_look(
    run_check: RunCheck, kept: Path, requirements: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(kept))
    for text, expected in {"reqeusts==1\n": Verdict.INCONCLUSIVE, "requests==2.99\n": Verdict.PASS}.items():
        requirements(text)
        _, found = run_check("dependencies.vulnerabilities", STACK, about=[("malicious-package", "stack")], max_age_days=float(AGE))
        assert found.verdict is expected


def test_without_or_with_aged_advisories_there_is_no_verdict(
    run_check: RunCheck, kept: Path, requirements: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requirements("alpha==2.0\n")
    monkeypatch.setenv(FOLDER, str(tmp_path / "none"))
    with pytest.raises(NoAdvisories, match="advisories update"):
        run_check("dependencies.vulnerabilities", STACK)
    monkeypatch.setenv(FOLDER, str(kept))
    with pytest.raises(NoAdvisories, match="days old"):
        run_check("dependencies.vulnerabilities", STACK, max_age_days=0.5)
