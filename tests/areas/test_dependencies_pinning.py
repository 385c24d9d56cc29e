"""Requirements and locks: what pip would accept loosely is named with its line, what is locked gives no alarm, hostile files end."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bartizan.areas.dependencies.requirement import Hold
from bartizan.areas.dependencies.requirements_files import RequirementsReader, logical_lines
from bartizan.model.errors import InputError, Refused
from bartizan.model.findings import Severity, Verdict
from bartizan.model.system import Asset, Kind

HASH = "sha256:" + "a" * 64


def holds(tmp_path: Path, text: str) -> dict[str, tuple[Hold, int]]:
    (tmp_path / "requirements.txt").write_text(text)
    return {d.name: (d.hold, d.place.line) for d in RequirementsReader(tmp_path).read(tmp_path / "requirements.txt")}


@pytest.mark.parametrize(
    ("line", "hold"),
    [
        ("numpy", Hold.LOOSE),
        ("numpy>=1.26", Hold.LOOSE),
        ("numpy~=1.26.0", Hold.LOOSE),
        ("numpy==1.26.*", Hold.LOOSE),
        ("numpy==1.26.4", Hold.PINNED),
        ("numpy===1.26.4", Hold.PINNED),
        ("numpy==1.26.4,!=1.26.5", Hold.PINNED),
        ("numpy[extra]==1.26.4 ; python_version < '3.13'  # why", Hold.PINNED),
        (f"numpy==1.26.4 --hash={HASH}", Hold.HASHED),
        (f"numpy==1.26.4 \\\n    --hash={HASH} \\\n    --hash={HASH}", Hold.HASHED),
        ("numpy==1.26.4 --hash=md5:" + "a" * 32, Hold.PINNED),
        ("numpy==1.26.4 --hash=sha256:abc", Hold.PINNED),
        (f"numpy @ https://example.org/numpy-1.whl#sha256={'b' * 64}", Hold.HASHED),
        ("numpy @ https://example.org/numpy-1.whl", Hold.LOOSE),
        ("numpy @ git+https://example.org/numpy.git@main", Hold.LOOSE),
        (f"numpy @ git+https://example.org/numpy.git@{'c' * 40}", Hold.HASHED),
        ("git+https://example.org/numpy.git#egg=numpy", Hold.LOOSE),
        (f"-e git+https://example.org/numpy.git@{'c' * 40}#egg=numpy", Hold.HASHED),
        ("numpy @ file:///srv/numpy", Hold.LOCAL),
    ],
)
def test_how_firm_a_requirement_is(tmp_path: Path, line: str, hold: Hold) -> None:
    assert holds(tmp_path, f"# comment\n\n{line}\n") == {"numpy": (hold, 3)}


@pytest.mark.parametrize("line", ["-e .", "./pkg", "../other", "file:./pkg", "pkg.whl"])
def test_local_code_is_not_judged(tmp_path: Path, line: str) -> None:
    assert {hold for hold, _ in holds(tmp_path, line).values()} == {Hold.LOCAL}


def test_options_ask_for_nothing(tmp_path: Path) -> None:
    assert holds(tmp_path, "--index-url https://example.org/simple\n-i https://example.org\n--require-hashes\n--no-binary :all:\n") == {}


def test_logical_lines_follow_pip() -> None:
    """A comment inside a continuation and a last line without end, as pip's own join_lines treats them."""
    assert list(logical_lines("a==1 \\\n  --x\n# c\nb#c\nc # d\n\\\nlast")) == [(1, "a==1   --x"), (4, "b#c"), (5, "c"), (6, "last")]


def test_includes_and_constraints_are_followed(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("scipy\npandas\n-r ../requirements.txt\n")
    (tmp_path / "pins.txt").write_text(f"scipy==1.14.0 --hash={HASH}\nunused==3\n")
    (tmp_path / "requirements.txt").write_text("-c pins.txt\n-rmore/base.txt\nnumpy==1.26.4\n")
    found = RequirementsReader(tmp_path).read(tmp_path / "requirements.txt")
    assert [(d.name, d.hold, str(d.place)) for d in found] == [
        ("scipy", Hold.HASHED, "more/base.txt:1"),
        ("pandas", Hold.LOOSE, "more/base.txt:2"),
        ("numpy", Hold.PINNED, "requirements.txt:3"),
    ]


@pytest.mark.parametrize("include", ["../../etc/passwd", "https://example.org/r.txt", "missing.txt"])
def test_an_include_that_cannot_be_read_is_a_finding(tmp_path: Path, include: str) -> None:
    assert holds(tmp_path, f"-r {include}\n")["include"] == (Hold.LOOSE, 1)


def run_on(run_check, tmp_path: Path, name: str, text: str, **values: bool):
    (tmp_path / name).write_text(text)
    [finding] = run_check("dependencies.pinning", Asset(id="deps", kind=Kind.DEPENDENCIES, uri=name), **values)
    return finding


def test_check_names_each_weak_line(run_check, tmp_path: Path) -> None:
    finding = run_on(run_check, tmp_path, "requirements.txt", f"numpy\nscipy==1\nclick==8.1 --hash={HASH}\n")
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
    assert [str(p) for p in finding.places] == ["requirements.txt:1", "requirements.txt:2"]
    assert (finding.measures[0].k, finding.measures[0].n) == (2, 3)


def test_check_passes_where_all_is_locked(run_check, tmp_path: Path) -> None:
    assert run_on(run_check, tmp_path, "requirements.txt", f"click==8.1 --hash={HASH}\n").verdict is Verdict.PASS
    assert run_on(run_check, tmp_path, "requirements.txt", "click==8.1\n", hashes=False).verdict is Verdict.PASS
    assert run_on(run_check, tmp_path, "requirements.txt", "click==8.1\n").severity is Severity.MEDIUM


POETRY = f"""
[[package]]
name = "click"
version = "8.1"
files = [{{file = "click.whl", hash = "{HASH}"}}]

[[package]]
name = "loose"
version = "1"
files = []
"""
UV = f"""
version = 1
[[package]]
name = "click"
version = "8.1"
source = {{ registry = "https://example.org/simple" }}
wheels = [{{ url = "https://example.org/c.whl", hash = "{HASH}" }}]
[[package]]
name = "mine"
version = "1"
source = {{ editable = "." }}
[[package]]
name = "loose"
version = "1"
source = {{ registry = "https://example.org/simple" }}
"""
PYLOCK = f"""
lock-version = "1.0"
[[packages]]
name = "click"
version = "8.1"
[[packages.wheels]]
url = "https://example.org/c.whl"
hashes = {{ sha256 = "{"a" * 64}" }}
[[packages]]
name = "loose"
version = "1"
"""
PIPFILE = json.dumps({"default": {"click": {"version": "==8.1", "hashes": [HASH]}, "loose": {"version": "==1"}}}, indent=1)


@pytest.mark.parametrize(("name", "text"), [("poetry.lock", POETRY), ("uv.lock", UV), ("pylock.toml", PYLOCK), ("Pipfile.lock", PIPFILE)])
def test_locks_are_read(run_check, tmp_path: Path, name: str, text: str) -> None:
    finding = run_on(run_check, tmp_path, name, text)
    assert [entry["name"] for entry in finding.details["weak"]] == ["loose"]
    assert finding.measures[0].n == 2
    assert "loose" in text.split("\n")[finding.places[0].line - 1]


def test_project_tables_are_read_and_a_lock_beside_them_wins(run_check, tmp_path: Path) -> None:
    text = '[project]\nname = "x"\ndependencies = [\n  "numpy>=1",\n  "click==8.1",\n]\n'
    text += '[tool.poetry.dependencies]\npython = "^3.11"\nflask = "^3"\n'
    finding = run_on(run_check, tmp_path, "pyproject.toml", text)
    assert [(e["name"], e["at"]) for e in finding.details["weak"]] == [
        ("numpy", "pyproject.toml:4"), ("flask", "pyproject.toml:9"), ("click", "pyproject.toml:5"),
    ]  # fmt: skip
    (tmp_path / "uv.lock").write_text(
        UV.replace('name = "loose"', 'name = "ok"').replace("source = { registry", f'sdist = {{hash = "{HASH}"}}\nsource = {{ registry')
    )
    assert run_on(run_check, tmp_path, "pyproject.toml", text).verdict is Verdict.PASS


@pytest.mark.parametrize("name", ["requirements.txt", "poetry.lock", "Pipfile.lock", "pyproject.toml"])
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b"{" * 9000,
        b"a" * 7_000_000,
        b"\xff\xfe\x00" * 1000,
        b"numpy" + b"(" * 50_000,
        b"x; " + b"(" * 9_000 + b"1",
        b"-r requirements.txt\n" * 1000,
        b"=\n" * 9000,
    ],
)
def test_hostile_files_end_quickly(run_check, tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    begun = time.process_time()
    try:
        findings = run_check("dependencies.pinning", Asset(id="deps", kind=Kind.DEPENDENCIES, uri=name))
    except InputError as error:
        assert len(str(error)) < 2000  # noqa: PT017 - an error is as good an end as a finding
    else:
        assert findings[0].verdict is Verdict.FAIL
    assert time.process_time() - begun < 5


def test_a_place_outside_is_refused(run_check, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").symlink_to("/etc/hostname")
    with pytest.raises(Refused):
        run_check("dependencies.pinning", Asset(id="deps", kind=Kind.DEPENDENCIES, uri="requirements.txt"))
