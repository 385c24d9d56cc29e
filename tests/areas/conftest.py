"""How the tests of the areas call a check: with a job as the planner makes it, on real files below `tmp_path`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from bartizan.engine import registry
from bartizan.model.findings import Finding, Job
from bartizan.model.system import Asset, Dataset

RunCheck = Callable[..., list[Finding]]


@pytest.fixture
def run_check(tmp_path: Path) -> RunCheck:
    """Run the check `id` on `subject` with `tmp_path` as root; returns its findings, each with what every finding must have."""

    def run(id: str, subject: Asset | Dataset, *related: Asset | Dataset, threats: Iterable[str] = (), **parameters: Any) -> list[Finding]:
        described = registry.get(id)
        job = Job(
            check=id,
            version=described.version,
            threats=tuple(threats) or described.threats,
            subject=subject,
            related=related,
            parameters=parameters,
            root=str(tmp_path),
        )
        findings = list(described.run(job, subject, **parameters))
        for finding in findings:
            assert finding.check == id
            assert finding.asset == subject.id
            assert finding.threat in job.threats
            assert finding.title
            assert finding.why
            assert finding.remedy or finding.verdict == "pass"
            for measure in finding.measures:
                assert measure.low <= measure.value <= measure.high
        return findings

    return run
