"""A small set of advisories, and a folder to keep them in."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

NOW = datetime(2026, 7, 25, tzinfo=UTC)


def record(id: str, package: str, *events: dict[str, str], **more: Any) -> dict[str, Any]:
    """An OSV record about one package."""
    affected = {"package": {"ecosystem": "PyPI", "name": package}, "ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}
    affected["versions"] = more.pop("versions", [])
    return {"id": id, "modified": "2026-07-24T10:00:00Z", "summary": f"{package} is weak", "affected": [affected]} | more


RECORDS = [
    record("PYSEC-1", "Alpha", {"introduced": "0"}, {"fixed": "1.5"}, aliases=["CVE-1"]),
    record("GHSA-1", "alpha", {"introduced": "1.0"}, {"fixed": "1.5"}, aliases=["CVE-1"]),
    record("PYSEC-2", "alpha", {"introduced": "1.5"}, {"fixed": "2.0"}),
    record("PYSEC-3", "alpha", {"introduced": "0"}, withdrawn="2026-01-01T00:00:00Z"),
    record("PYSEC-4", "under_score", {"introduced": "0"}, {"fixed": "0.3"}),
    record("PYSEC-5", "endless", {"introduced": "0"}),
]


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """Six advisories on three packages, one of them withdrawn, two of them the same weakness."""
    return RECORDS


@pytest.fixture
def new_record() -> Callable[..., dict[str, Any]]:
    """Makes an OSV record about one package."""
    return record


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with the database of `RECORDS`."""
    from bartizan.areas.dependencies.advisories import database, fetching

    source = tmp_path / "records"
    source.mkdir()
    for number, content in enumerate(RECORDS):
        (source / f"{number}.json").write_text(json.dumps(content))
    base = tmp_path / "advisories"
    database.write(database.path_of("PyPI", base), fetching.advisories_from(str(source), "PyPI"), "PyPI", "records", NOW)
    return base


@pytest.fixture
def requirements(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a requirements file and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "requirements.txt"
        path.write_text(text)
        return path

    return write
