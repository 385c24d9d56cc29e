"""Compression, sanitisers and patterns: each attack succeeds where it should and fails on its control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

torch = pytest.importorskip("torch")

from bartizan.areas.evasion.check_compression import ancestor  # noqa: E402
from bartizan.areas.evasion.defences.compressing import quantise  # noqa: E402
from bartizan.areas.evasion.defences.sanitising import sanitiser_of  # noqa: E402
from bartizan.engine import registry  # noqa: E402
from bartizan.engine.parameters import parameters_of  # noqa: E402
from bartizan.model.errors import InputError  # noqa: E402
from bartizan.model.findings import Job, Verdict  # noqa: E402
from bartizan.model.system import Appetite, Asset, Kind, System, Task  # noqa: E402
from bartizan.testing import checks  # noqa: E402


def test_two_bits_lose_the_robustness_and_eight_keep_it(hard: Any, digits_of: Any, run_check: Any) -> None:
    original, test = digits_of(hard, "original")
    small, _ = digits_of(quantise(hard, 2, per_channel=False), "small", compressed=True, uses=("original",))
    [finding] = run_check("evasion.compression", small, original, test, eps=0.08, images=100)
    assert finding.verdict is Verdict.FAIL
    lost, clean, robust, clean_after, robust_after = finding.measures
    assert robust.value > robust_after.value + 0.1
    assert lost.k >= robust.k - robust_after.k
    assert clean.n == clean_after.n == 100
    assert len(finding.details["table"]) == 3
    small, _ = digits_of(quantise(hard, 8), "small", compressed=True, uses=("original",))
    [finding] = run_check("evasion.compression", small, original, test, eps=0.08, images=100, tolerance=0.1)
    assert finding.verdict is Verdict.PASS
    assert finding.artefacts[0].media_type == "image/svg+xml"


def test_the_original_is_found_by_name_use_or_pipeline(digits_of: Any, weak: Any) -> None:
    small, test = digits_of(weak, "small", compressed=True)
    a, b = Asset(id="a", kind=Kind.MODEL), Asset(id="b", kind=Kind.MODEL)
    job = Job(check="evasion.compression", version="1", threats=("lost-robustness",), subject=small, related=(a, test, b))
    with pytest.raises(InputError, match="could come from 2 models"):
        ancestor(job, small)
    assert ancestor(job, msgspec.structs.replace(small, base_model="b")) is b
    assert ancestor(job, msgspec.structs.replace(small, uses=("a",))) is a
    assert ancestor(msgspec.structs.replace(job, related=(a, test)), small) is a
    with pytest.raises(InputError, match="produces 'small'"):
        ancestor(msgspec.structs.replace(job, related=()), small)


def test_a_sanitiser_is_judged_by_the_attack_that_knows_it(weak: Any, digits_of: Any, bright_of: Any, run_check: Any) -> None:
    [finding] = run_check("evasion.sanitisation", *digits_of(weak), sanitiser="bit-depth:2", eps=0.12, images=60)
    assert finding.verdict is Verdict.FAIL
    main, adaptive, naive, clean, bare, _ = finding.measures
    assert adaptive.k <= naive.k <= clean.k
    assert naive.k - adaptive.k >= 10  # the naive number flatters
    assert main.k == clean.k - adaptive.k
    assert bare.k < clean.k
    [finding] = run_check("evasion.sanitisation", *bright_of(), sanitiser="median:3", eps=0.1, images=60)
    assert finding.verdict is Verdict.PASS


def test_sanitisers_are_declared_in_words(digits_of: Any, weak: Any) -> None:
    net, _ = digits_of(weak)
    described = registry.get("evasion.sanitisation")
    assert described.applies is not None
    assert not described.applies(net, System(name="s"))
    for key in ("evasion", "evasion.sanitisation"):
        assert described.applies(net, System(name="s", appetite=Appetite(tolerances={key: {"sanitiser": "median:3"}})))
    assert sanitiser_of("Bit-Depth:3").staircase
    assert sanitiser_of("median:3 + gaussian:1").name == "median 3x3 + Gaussian 1"
    for text in ("", "blur:2", "median:x"):
        with pytest.raises(InputError, match=r"is no sanitiser|no number"):
            sanitiser_of(text)


def test_one_pattern_flips_a_plain_net_and_no_clear_one(weak: Any, digits_of: Any, bright_of: Any, run_check: Any) -> None:
    for found in run_check("evasion.patch", *digits_of(weak), area=0.14, eps=0.15, images=300):
        assert found.verdict is Verdict.FAIL
        [main] = found.measures
        assert main.null is not None
        assert main.value > 1.5 * main.null
        assert found.artefacts[0].data.startswith(b"\x89PNG")
        assert found.details["passes"]["forwards_per_image"] > 0
    for found in run_check("evasion.patch", *bright_of(), area=0.06, eps=0.1, images=200):
        assert found.verdict is Verdict.PASS
        assert found.measures[0].k == 0
    with pytest.raises(InputError, match="are no pattern"):
        run_check("evasion.patch", *digits_of(weak), area=0.9)


@pytest.mark.parametrize("id", ["evasion.patch", "evasion.sanitisation", "evasion.compression"])
def test_the_contract(id: str, weak: Any, digits_of: Any, tmp_path: Path) -> None:
    described = registry.get(id)
    original, test = digits_of(weak, "original")
    net, _ = digits_of(weak, "net", compressed=True, uses=("original",))
    values = {"images": 30, "eps": 0.1, **({"sanitiser": "gaussian:1"} if id == "evasion.sanitisation" else {})}
    given = parameters_of(described, Appetite(), values)
    related = (original, test)
    job = Job(check=id, version="1", threats=described.threats, subject=net, related=related, root=str(tmp_path), parameters=given)
    checks.contract(described, [job])
    assert described.applies is not None
    assert not described.applies(
        Asset(id="x", kind=Kind.MODEL, task=Task.TEXT_GENERATION, uri="m.safetensors", compressed=True), System(name="s")
    )
