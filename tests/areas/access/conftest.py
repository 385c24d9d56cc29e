"""What the tests of the policies share."""

from __future__ import annotations

from pathlib import Path

import pytest
from access_loans import write


@pytest.fixture(params=["parquet", "csv"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The loans with their policy beside them, as Parquet and as csv."""
    return write(tmp_path, request.param)
