"""Each executor keeps the contract that we give to third parties."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bartizan.executors.inline import Inline
from bartizan.executors.processes import Processes
from bartizan.testing import executors


@pytest.fixture(autouse=True)
def _samples(tmp_path: Path) -> Iterator[None]:
    with executors.samples(tmp_path):
        yield


def test_inline_keeps_the_contract() -> None:
    executors.contract(Inline(), isolates=False)


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_keep_the_contract(workers: int) -> None:
    executors.contract(Processes(workers), isolates=True)
