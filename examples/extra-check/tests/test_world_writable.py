"""The check on real files, and the contract that every check keeps."""

from pathlib import Path

import pytest
from bartizan_file_modes.check_world_writable import world_writable

from bartizan.engine.registry import checks_in
from bartizan.model.errors import InputError
from bartizan.model.findings import Job
from bartizan.model.system import Dataset, Stage
from bartizan.testing import checks


@pytest.mark.parametrize(
    ("mode", "groups", "verdict"),
    [(0o644, False, "pass"), (0o664, False, "pass"), (0o664, True, "fail"), (0o666, False, "fail"), (0o602, True, "fail")],
)
def test_the_verdict_follows_the_permission_bits(tmp_path: Path, mode: int, groups: bool, verdict: str) -> None:
    (tmp_path / "loans.csv").write_text("a,b\n")
    (tmp_path / "loans.csv").chmod(mode)
    (finding,) = world_writable(job(tmp_path), job(tmp_path).subject, groups=groups)
    assert finding.verdict == verdict
    assert (finding.places == ()) == (verdict == "pass")


def test_what_is_not_there_is_an_error_and_no_pass(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"loans\.csv"):
        list(world_writable(job(tmp_path), job(tmp_path).subject))


def test_it_keeps_the_contract_of_a_check() -> None:
    import bartizan_file_modes.check_world_writable as module

    (described,) = checks_in(module)
    checks.contract(described)


def job(root: Path) -> Job:
    return Job(
        check="file_modes.world_writable",
        version="1",
        threats=("dataset-tampering",),
        subject=Dataset(id="loans", stage=Stage.TRAIN, uri="loans.csv"),
        root=str(root),
    )
