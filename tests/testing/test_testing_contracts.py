"""The contract suites find what is wrong, and every check that is installed keeps them."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bartizan.engine import registry
from bartizan.executors.inline import Inline
from bartizan.testing import checks, executors
from bartizan.testing.distributions import installed


@pytest.mark.parametrize("id", sorted(registry.load()))
def test_every_installed_check_is_described(id: str) -> None:
    checks.described(registry.get(id))


def test_no_installed_check_file_loads_anything_heavy() -> None:
    checks.light(registry.load().values())


@pytest.fixture
def _samples(tmp_path: Path) -> Iterator[None]:
    with executors.samples(tmp_path):
        yield


@pytest.mark.usefixtures("_samples")
def test_a_good_check_keeps_the_contract() -> None:
    (outcome,) = checks.contract(registry.get("sample.lacks"), [executors.sample_job("lacks")])
    assert outcome.findings[0].remedy


@pytest.mark.usefixtures("_samples")
def test_a_finding_without_remedy_is_found() -> None:
    with pytest.raises(AssertionError, match="has no remedy"):
        checks.repeatable(executors.sample_job("answers"))


@pytest.mark.usefixtures("_samples")
def test_an_incomplete_description_is_found() -> None:
    good = registry.get("sample.answers")
    for changed in ({"title": "short"}, {"extra": "no-such-extra"}, {"valid_days": 0.0}, {"reads": ("nothing",)}):
        with pytest.raises(AssertionError, match=r"sample\.answers"):
            checks.described(msgspec.structs.replace(good, **changed))


def test_a_heavy_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "check_heavy.py").write_text("import numpy\nimport bartizan.testing.sample_checks\n")
    with installed(tmp_path, "heavy", {"heavy": "check_heavy"}), pytest.raises(AssertionError, match="loads numpy"):
        checks.light([msgspec.structs.replace(next(iter(registry.load().values())), module="check_heavy")])


@pytest.mark.usefixtures("_samples")
def test_an_executor_that_loses_a_job_is_found() -> None:
    class Loses(Inline):
        def run(self, jobs, started):  # type: ignore[no-untyped-def]
            yield from list(super().run(jobs, started))[:-1]

    with pytest.raises((AssertionError, KeyError)):
        executors.contract(Loses(), isolates=False)
