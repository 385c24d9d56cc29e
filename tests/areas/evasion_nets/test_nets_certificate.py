"""Proof from below, attack from above: proved <= robust <= attacked on every image, and the verdict follows from the two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of
from bartizan.model.errors import InputError
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Appetite
from bartizan.testing import checks

CHECK = "evasion.certificate"


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_proof_never_exceeds_the_attack(norm: str, weak: Any, hard: Any, digits_of: Any, run_check: Any) -> None:
    eps = {"linf": 0.1, "l2": 0.6}[norm]
    proved = []
    for net in (weak, hard):
        [finding] = run_check(CHECK, *digits_of(net), eps=eps, norm=norm, images=60)
        below, above, clean, unproved = finding.measures
        assert below.k <= above.k <= clean.k
        assert unproved.k == clean.k - below.k
        assert finding.details["proved_and_flipped"] == 0
        certified, attacked = finding.details["certified_accuracy_by_eps"], finding.details["robust_accuracy_by_eps"]
        assert all(low <= high for (_, low), (_, high) in zip(certified, attacked[1:], strict=True))
        assert sorted((share for _, share in certified), reverse=True) == [share for _, share in certified]
        proved.append(below.k)
    assert proved[1] > proved[0]


def test_pass_by_proof_fail_by_attack_else_nobody_knows(weak: Any, hard: Any, digits_of: Any, bright_of: Any, run_check: Any) -> None:
    [finding] = run_check(CHECK, *bright_of(), eps=0.1, images=100)
    assert finding.verdict is Verdict.PASS
    assert finding.measures[0].value == 1.0
    [finding] = run_check(CHECK, *digits_of(weak), eps=0.12, images=60)
    assert finding.verdict is Verdict.FAIL
    [finding] = run_check(CHECK, *digits_of(hard), eps=0.04, images=60, tolerance=0.15)
    assert finding.verdict is Verdict.INCONCLUSIVE


def test_the_contract(weak: Any, digits_of: Any, tmp_path: Path) -> None:
    described, nodes = registry.get(CHECK), digits_of(weak)
    given = parameters_of(described, Appetite(), {"images": 40})
    job = Job(
        check=CHECK, version="1", threats=described.threats, subject=nodes[0], related=nodes[1:], root=str(tmp_path), parameters=given
    )
    (outcome,) = checks.contract(described, [job])
    [artefact] = outcome.findings[0].artefacts
    assert artefact.media_type == "image/svg+xml"
    with pytest.raises(InputError, match="is no radius"):
        list(described.run(job, nodes[0], **{**given, "norm": "l0"}))
