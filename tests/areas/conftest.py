"""How the tests of the areas call a check: with a job as the planner makes it, on real files below `tmp_path`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.findings import Finding, Job, about_of
from bartizan.model.system import Appetite, Asset, Dataset

RunCheck = Callable[..., list[Finding]]


@pytest.fixture
def run_check(tmp_path: Path) -> RunCheck:
    """Run the check `id` on `subject` with `tmp_path` as root; returns its findings, each with what every finding must have."""

    def run(
        id: str, subject: Asset | Dataset, *related: Asset | Dataset, about: Sequence[tuple[str, str]] = (), **values: Any
    ) -> list[Finding]:
        described = registry.get(id)
        job = Job(
            check=id,
            version=described.version,
            threats=tuple(dict.fromkeys(threat for threat, _ in about)) or described.threats,
            subject=subject,
            related=related,
            parameters=parameters_of(described, Appetite(), values),
            root=str(tmp_path),
            about=tuple(about),
        )
        findings = list(described.run(job, subject, **job.parameters))
        for finding in findings:
            assert finding.check == id
            assert (finding.threat, finding.asset) in about_of(job)
            assert finding.title
            assert finding.why
            assert finding.remedy or finding.verdict == "pass"
            for measure in finding.measures:
                assert measure.low <= measure.value <= measure.high
        assert {(finding.threat, finding.asset) for finding in findings} == set(about_of(job))
        return findings

    return run
