"""What the decorator and the loader accept and refuse; distributions of third parties."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bartizan.engine import registry
from bartizan.engine.registry import BadCheck, check
from bartizan.model.errors import UnknownName
from bartizan.model.findings import Finding, Job
from bartizan.model.system import Kind, Phase
from bartizan.testing.distributions import installed

SOURCE = '''"""A check."""
from __future__ import annotations
from collections.abc import Iterator
from bartizan.engine.registry import check
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Asset, Kind, Phase

@check("{id}", threats=["t"], kinds={{Kind.MODEL}}, phases={{Phase.DATA}})
def found(job: Job, target: Asset, *, near: float | None = None) -> Iterator[Finding]:
    """Finds things that are there.

    near: how close counts
    """
    yield Finding(check=job.check, asset=target.id, threat="t", verdict=Verdict.PASS, title="well")
'''


def declare(run: Any, id: str = "area.name", **changed: Any) -> None:
    check(id, **({"threats": ["t"], "kinds": {Kind.MODEL}, "phases": {Phase.DATA}} | changed))(run)


def good(job: Job, target: Any) -> Iterator[Finding]:
    """Finds nothing at all."""
    yield from ()


@pytest.mark.parametrize("id", ["name", "Area.name", "area.name.more", "area.na-me", "1area.name", "area."])
def test_a_bad_id_is_refused(id: str) -> None:
    with pytest.raises(BadCheck, match="bad check id"):
        declare(good, id)


def test_what_is_missing_is_refused() -> None:
    def silent(job: Job, target: Any) -> Iterator[Finding]:
        yield from ()

    def untyped(job: Job, target: Any, *, a=1) -> Iterator[Finding]:  # type: ignore[no-untyped-def]
        """Says something."""
        yield from ()

    def positional(job: Job, target: Any, a: int = 1) -> Iterator[Finding]:
        """Says something."""
        yield from ()

    def unready(job: Job, target: Any, *, a: "Undefined" = 1) -> Iterator[Finding]:  # type: ignore[name-defined]  # noqa: F821
        """Says something."""
        yield from ()

    for run, reason in (
        (silent, "no docstring"),
        (untyped, "must be a bool"),
        (positional, "keyword-only"),
        (unready, "cannot be resolved"),
    ):
        with pytest.raises(BadCheck, match=reason):
            declare(run)
    for changed in ({"threats": []}, {"kinds": set()}, {"phases": set()}):
        with pytest.raises(BadCheck, match="names no threat, kind or phase"):
            declare(good, **changed)
    with pytest.raises(UnknownName, match="did you mean 'training_sets'"):
        declare(good, reads=["training_set"])


def test_ours_are_found_and_sound() -> None:
    found, problems = registry.load_all()
    assert problems == ()
    assert list(found) == sorted(found)
    assert registry.load() == found


def test_a_distribution_of_a_third_party_shows_up_and_goes_again(tmp_path: Path) -> None:
    package = tmp_path / "third_party"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "check_found.py").write_text(SOURCE.format(id="third.found"))
    (package / "broken_but_not_a_check.py").write_text("import nothing_like_this")
    with installed(tmp_path, "third-party", {"third": "third_party"}):
        described = registry.get("third.found")
        assert (described.distribution, described.module) == ("third-party", "third_party.check_found")
        (near,) = described.parameters
        assert (near.name, near.type, near.default, near.help) == ("near", "number", None, "how close counts")
        with pytest.raises(UnknownName, match=r"unknown check 'third.fund'; did you mean 'third.found'"):
            registry.get("third.fund")
    assert "third.found" not in registry.load()


def test_a_duplicate_is_refused_naming_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"check_{name}.py").write_text(SOURCE.format(id="third.found"))
    with installed(tmp_path, "third-party", {"a": "check_one", "b": "check_two"}):
        with pytest.raises(BadCheck, match="defined twice") as caught:
            registry.load()
        assert "check_one.found (third-party) and check_two.found (third-party)" in str(caught.value)
        assert "third.found" in registry.load_all()[0]


@pytest.mark.parametrize("line", ["import nothing_like_this", "def (", "1 / 0", "raise RuntimeError('no')", SOURCE.format(id="Bad id")])
@pytest.mark.parametrize("place", ["check_a.py", "inner/__init__.py"])
def test_a_broken_distribution_is_named_and_hides_no_other(tmp_path: Path, line: str, place: str) -> None:
    (tmp_path / "wreck/inner").mkdir(parents=True)
    (tmp_path / "wreck/__init__.py").write_text("")
    (tmp_path / "wreck" / place).write_text(line)
    with installed(tmp_path, "wreck", {"wreck": "wreck"}):
        found, (problem,) = registry.load_all()
        assert "distribution wreck (wreck)" in str(problem)
        assert "pip uninstall wreck" in str(problem)
        assert "\n" not in str(problem)
        assert set(found) == set(registry.load_all()[0])
        with pytest.raises(BadCheck):
            registry.load()
    assert registry.load()


def test_threats_and_controls_are_validated_against_the_catalogue(tmp_path: Path) -> None:
    (tmp_path / "check_one.py").write_text(SOURCE.format(id="third.found"))
    with installed(tmp_path, "third-party", {"a": "check_one"}):
        mine = [registry.get("third.found")]
    registry.validate(mine, ["t"], [])
    with pytest.raises(UnknownName, match=r"third\.found: unknown threat 't'"):
        registry.validate(mine, ["u"], [])
