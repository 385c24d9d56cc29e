"""The pages keep their word: links lead somewhere, every command runs, every YAML block loads, the site builds from the code."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from bartizan import catalog
from bartizan.cli.app import COMMANDS, run
from bartizan.cli.data import COMMANDS as DATA_COMMANDS
from bartizan.engine import registry

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*/*.md")), ROOT / "docs" / "ARCHITECTURE.md"]
PAGES = [page for page in PAGES if "generated" not in page.parts]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)

MANIFEST = """\
bartizan: 1
system: {name: demo, impact: high}
zones: [{id: inside, trust: internal}]
datasets:
  - {id: train, stage: train, uri: train.csv, label: y, subjects: [person], zone: inside}
  - {id: test, stage: test, uri: test.csv, label: y, zone: inside}
assets: [{id: model, kind: model, task: tabular-classification, uri: model.pkl, trained_on: [train], tested_on: [test], zone: inside}]
"""


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if found[1] == language:
                yield page.name, found[2]


def commands() -> list[str]:
    pages = blocks("console")  # the commands of add-a-check.md need its own distribution: tests/engine runs those
    lines = [line for page, text in pages if page != "add-a-check.md" for line in text.splitlines()]
    return sorted({line.partition("#")[0].strip() for line in lines if line.startswith("bartizan ")})


def write_what_is_built_on(folder: Path) -> None:
    """Requirements, code, an archive of advisories of today, and an earlier bill of materials."""
    (folder / "requirements.txt").write_text("numpy==1.26.4\n")
    (folder / "train.py").write_text("print('training')\n")
    affected = {"package": {"ecosystem": "PyPI", "name": "x"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}
    record = {"id": "PYSEC-1", "modified": datetime.now(UTC).isoformat(), "affected": [affected]}
    with zipfile.ZipFile(folder / "PyPI-all.zip", "w") as archive:
        archive.writestr("PYSEC-1.json", json.dumps(record))
    (folder / "released.cdx.json").write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6"}))
    assert run(["advisories", "update", "--from", str(folder / "PyPI-all.zip")]) == 0
    assert run(["bom", "write", str(folder), "-o", str(folder / "bom.cdx.json")]) == 0


@pytest.fixture(autouse=True, scope="module")
def own_advisories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Advisories of the tests, not those of the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BARTIZAN_ADVISORIES", str(tmp_path_factory.mktemp("advisories")))
        yield


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "bartizan.yaml").write_text(MANIFEST)
    (folder / "train.csv").write_text("a,y\n1,0\n2,1\n3,0\n")
    (folder / "test.csv").write_text("a,y\n3,0\n4,1\n")
    (folder / "model.pkl").write_bytes(b"\x80\x04N.")
    (folder / "governance").mkdir()
    for _, text in blocks("yaml"):
        name = re.match(r"# (governance/\S+)", text)
        if name:
            (folder / name[1]).write_text(text)
    write_what_is_built_on(folder)
    assert run(["assess", str(folder), "--quiet", "--executor", "inline"]) == 1
    assert run(["keys", "export", str(folder / "release-key.pem"), str(folder)]) == 0
    assert run(["bundle", str(folder), "-o", str(folder / "audit.bartizan.zip")]) == 0
    (folder / "their-key.pem").write_bytes((folder / "release-key.pem").read_bytes())
    (folder / "kept.json").write_bytes((folder / ".bartizan" / "checkpoint.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model can be attacked: what `harden` is for."""
    sys.path.insert(0, str(ROOT / "tests" / "workflows"))
    try:
        from harden_projects import write_project
    finally:
        sys.path.pop(0)
    from sklearn.linear_model import LogisticRegression

    return write_project(tmp_path_factory.mktemp("readable"), {"reader": LogisticRegression(max_iter=300)})


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_pages_runs(
    line: str, project: Path, readable: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if line.startswith("bartizan harden"):
        monkeypatch.chdir(readable)
        assert run(shlex.split(line.replace("my-system/", "."))[1:]) in (0, 1), capsys.readouterr().err
        return
    monkeypatch.chdir(project)
    assert run(["risks", ".", "--format", "json"]) == 0
    ident = re.search(r'"id": "(R-\w+)"', capsys.readouterr().out)
    assert ident
    line = re.sub(r"R-\w+|membership-inference:scorer", ident[1], line).replace("my-system/", ".").replace("examples/credit-scoring", ".")
    words = shlex.split(line)[1:]
    if words[0] == "init":
        words.append("--stdout")
    if words[0] == "assess":
        words += ["--executor", "inline", "--quiet"]
    assert run(words) in (0, 1), capsys.readouterr().err


def test_every_yaml_block_is_yaml_and_every_catalogue_file_loads(project: Path) -> None:
    for page, text in blocks("yaml"):
        assert yaml.safe_load(text), page
    files = sorted((project / "governance").glob("*.yaml"))
    assert len(files) >= 2
    loaded = catalog.load(files)
    assert "score-shown-to-applicant" in loaded.threats
    assert "our-policy" in loaded.frameworks


@pytest.mark.parametrize(("page", "text"), [b for b in blocks("python") if b[0] != "add-a-check.md"], ids=lambda v: v.partition("\n")[0])
def test_every_python_block_runs(page: str, text: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, f"{page}: {done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")) and "generated/" not in target:
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_generated_reference_names_everything(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import generate
    finally:
        sys.path.pop(0)
    generate.write(tmp_path)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.md")}
    assert all(f"## bartizan {name}" in texts["cli"] for name in COMMANDS)
    assert all(f"### bartizan data {name}" in texts["cli"] for name in DATA_COMMANDS)
    assert all(f"## {id}\n" in texts["checks"] for id in registry.load())
    assert all(f"### {id}\n" in texts["threats"] for id in catalog.load().threats)
    assert all(f"`{id}`" in texts["controls"] for id in catalog.load().controls)
    assert all(f"`{framework.id}`" in texts["frameworks"] for framework in catalog.load().frameworks.values())
    assert all(f"## {section}\n" in texts["manifest"] for section in ("system", "assets", "datasets", "flows", "appetite"))


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(ROOT / "docs"), str(tmp_path / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "html" / "index.html").exists()
