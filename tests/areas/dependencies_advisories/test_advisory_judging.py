"""From packages to weaknesses: aliases, withdrawn ones, unknown versions, age, excuses, repairs."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bartizan.areas.dependencies import vex
from bartizan.areas.dependencies.advisories.database import Database, NoAdvisories, path_of
from bartizan.areas.dependencies.inventory import packages_in
from bartizan.areas.dependencies.vulnerabilities import Judged, judge
from bartizan.model.errors import InputError

NOW = datetime(2026, 7, 25, tzinfo=UTC)
Write = Callable[[str], Path]


def judged(path: Path, kept: Path, **more: object) -> Judged:
    return judge(packages_in(path), base=kept, **({"now": NOW} | more))  # type: ignore[arg-type]


def test_aliases_are_one_weakness_and_withdrawn_ones_none(kept: Path, requirements: Write) -> None:
    found = judged(requirements("ALPHA==1.2\n"), kept)
    assert [set(m.ids) for m in found.vulnerable] == [{"PYSEC-1", "CVE-1", "GHSA-1"}]
    assert found.vulnerable[0].fixed == ("1.5",)


def test_the_repair_has_no_weakness_of_its_own(kept: Path, requirements: Write) -> None:
    assert judged(requirements("alpha==1.2\n"), kept).upgrades == {"alpha": "2.0"}
    assert judged(requirements("endless==1\n"), kept).upgrades == {"endless": None}


def test_a_repaired_version_is_clean(kept: Path, requirements: Write) -> None:
    assert judged(requirements("alpha==2.0\nunder-score==0.3\n"), kept).clean


def test_no_version_or_an_unreadable_one_is_unknown(kept: Path, requirements: Write) -> None:
    found = judged(requirements("alpha>=1\nUnder.Score===x!y\nunheard==1\n"), kept)
    assert {m.package.name for m in found.unknown} == {"alpha", "under-score"}
    assert not found.vulnerable
    assert not found.clean


def test_without_advisories_there_is_an_error(tmp_path: Path, requirements: Write) -> None:
    with pytest.raises(NoAdvisories, match="bartizan advisories update"):
        judged(requirements("alpha==2\n"), tmp_path / "nowhere")


def test_aged_advisories_let_nothing_pass(kept: Path, requirements: Write) -> None:
    late = NOW + timedelta(days=30)
    found = judged(requirements("alpha==2.0\n"), kept, now=late)
    assert not found.vulnerable
    assert not found.clean
    assert "30 days old" in str(found.aged)
    assert judged(requirements("alpha==2.0\n"), kept, now=late, max_age=timedelta(days=31)).clean


def test_the_day_of_the_download_makes_nothing_young(kept: Path) -> None:
    with Database("PyPI", kept) as database:
        assert database.about.newest.startswith("2026-07-24")


def test_a_date_in_the_future_makes_nothing_young(tmp_path: Path, new_record: Callable[..., dict[str, Any]]) -> None:
    from bartizan.areas.dependencies.advisories import database, fetching

    for number, day in enumerate(("2026-01-02", "2031-01-01")):
        content = new_record(f"X-{number}", "alpha", {"introduced": "0"}, modified=f"{day}T00:00:00Z")
        (tmp_path / f"{number}.json").write_text(json.dumps(content))
    source = fetching.advisories_from(str(tmp_path), "PyPI")
    assert database.write(tmp_path / "db" / "PyPI.db", source, "PyPI", "x", NOW).newest.startswith("2026-01-02")


def test_a_damaged_database_is_an_error(kept: Path, requirements: Write) -> None:
    path = path_of("PyPI", kept)
    path.write_bytes(b"SQLite format 3\0" + bytes(4000))
    with pytest.raises(InputError, match="no database of advisories"):
        judged(requirements("alpha==1\n"), kept)


def openvex(tmp_path: Path, **statement: object) -> Path:
    body = {"vulnerability": {"name": "CVE-1"}, "products": [{"@id": "pkg:pypi/alpha@1.2"}], "status": "not_affected"}
    path = tmp_path / "vex.json"
    path.write_text(json.dumps({"@context": "https://openvex.dev/ns/v0.2.0", "statements": [body | statement]}))
    return path


def test_an_excuse_needs_its_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="but not why"):
        vex.read(openvex(tmp_path))


def test_an_excuse_holds_for_its_version_alone(kept: Path, requirements: Write, tmp_path: Path) -> None:
    excuses = vex.read(openvex(tmp_path, justification="vulnerable_code_not_in_execute_path"))
    found = judged(requirements("alpha==1.2\n"), kept, statements=excuses)
    assert found.clean
    assert len(found.excused) == 1
    assert judged(requirements("alpha==1.3\n"), kept, statements=excuses).vulnerable


def test_cyclonedx_excuses(kept: Path, requirements: Write, tmp_path: Path) -> None:
    document = {
        "bomFormat": "CycloneDX",
        "components": [{"bom-ref": "a", "name": "alpha", "purl": "pkg:pypi/alpha@1.2"}],
        "vulnerabilities": [
            {"id": "GHSA-1", "affects": [{"ref": "a"}], "analysis": {"state": "not_affected", "justification": "code_not_reachable"}}
        ],
    }
    (tmp_path / "bom.json").write_text(json.dumps(document))
    assert judged(requirements("alpha==1.2\n"), kept, statements=vex.read(tmp_path / "bom.json")).clean


def test_what_is_written_excuses_nothing(kept: Path, requirements: Write, tmp_path: Path) -> None:
    found = judged(requirements("alpha==1.2\n"), kept)
    (tmp_path / "out.json").write_text(vex.document(found.vulnerable, {}, "us", NOW))
    assert vex.read(tmp_path / "out.json") == []


def test_reachability(kept: Path, requirements: Write, tmp_path: Path) -> None:
    from bartizan.areas.dependencies.reachability import imports_of

    code = tmp_path / "src"
    code.mkdir()
    (code / "app.py").write_text("import alpha.core\nfrom PIL import Image\n")
    imports = imports_of(code)
    assert imports.reaches("alpha")[0] is True
    assert imports.reaches("Pillow")[0] is True
    assert imports.reaches("endless")[0] is False
    assert judged(requirements("alpha==1.2\nendless==1\n"), kept, imports=imports).imported == {"alpha": True, "endless": False}
    (code / "plugin.py").write_text("import importlib\nimportlib.import_module(name)\n")
    assert imports_of(code).reaches("endless")[0] is None


def test_the_snapshot_of_july(requirements: Write, tmp_path: Path) -> None:
    """Seven old pins against PyPA's real advisories, where they are at hand."""
    from bartizan.areas.dependencies.advisories import database, fetching

    places = (folder / "shared/data/advisories/PyPI-all.zip" for folder in Path(__file__).parents)
    snapshot = next((place for place in places if place.is_file()), None)
    if snapshot is None:
        pytest.skip("the snapshot of advisories is not here")
    base = tmp_path / "db"
    database.write(database.path_of("PyPI", base), fetching.advisories_from(str(snapshot), "PyPI"), "PyPI", "snapshot", NOW)
    pins = "django==2.2\npillow==8.0.0\ntensorflow==2.4.0\nrequests==2.19.0\njinja2==2.10\nnumpy==1.16.0\npyyaml==5.1\n"
    assert len(judged(requirements(pins), base).vulnerable) >= 200
