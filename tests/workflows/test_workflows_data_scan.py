"""`bartizan scan data` joins one reading with the checks: what passes by is not read again, nothing is called clean that was not read."""

from __future__ import annotations

import builtins
import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from bartizan.areas.provenance.passport.source import Source
from bartizan.cli.app import run
from bartizan.cli.data_progress import line
from bartizan.methods.one_pass import Progress
from bartizan.model.errors import InputError
from bartizan.model.findings import Verdict
from bartizan.workflows import dataset_passport
from bartizan.workflows.dataset_passport import DataScan, Look, scan

EXPENSIVE = ("poisoning", "fairness", "access", "quality.near_duplicates", "quality.outliers", "quality.label_errors")
ONLY_PASSING = (*EXPENSIVE, "provenance.storage", "quality.representation", "quality.completeness")


def rows(count: int = 120) -> str:
    return "id,age,state,email\n" + "".join(f"{i},{20 + i % 50},{('open', 'paid')[i % 2]},person{i}@example.org\n" for i in range(count))


def lines(found: DataScan, check: str) -> list[dataset_passport.Line]:
    return [one for one in found.lines if one.check == check]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_passport_schema_and_personal_data_come_from_one_reading(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_bytes(rows().encode() if name == "t.csv" else gzip.compress(rows().encode()))
    opened: list[str] = []
    real, begun = io.open, Source.__init__

    def watched(file: Any, *args: Any, **kwargs: Any) -> Any:
        opened.append(str(file)) if str(file).endswith(name) else None
        return real(file, *args, **kwargs)

    def source(self: Source, place: Path, **how: Any) -> None:
        opened.append("source")
        begun(self, place, **how)

    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(io, "open", watched)
    monkeypatch.setattr(Source, "__init__", source)
    found = scan(path, Look(skip=ONLY_PASSING))
    assert opened == ["source"]
    assert found.passport is not None
    assert found.passport.content.rows == 120
    assert "email: {type: text" in found.schema
    (personal,) = lines(found, "pii.personal_data")
    (secrets,) = lines(found, "pii.secrets")
    assert (personal.verdict, secrets.verdict) == (Verdict.FAIL, Verdict.PASS)


def test_what_passed_by_is_judged_as_its_check_judges_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text(rows())
    schema = "schema: 1\nreviewed: {by: me, on: 2026-11-01}\nextra: true\ncolumns:\n  age: {type: integer, min: 18, max: 60}\n"
    (tmp_path / "s.yaml").write_text(schema)
    look = Look(schema=tmp_path / "s.yaml", skip=EXPENSIVE)
    together = scan(tmp_path / "t.csv", look)
    monkeypatch.setattr("bartizan.workflows.data_reading._Parts.answered", lambda self: {})
    apart = scan(tmp_path / "t.csv", look)
    for check in ("pii.personal_data", "quality.schema"):
        assert [one.finding for one in lines(together, check)] == [one.finding for one in lines(apart, check)]
    assert lines(together, "quality.schema")[0].verdict is Verdict.FAIL


def test_tables_of_several_kinds_and_what_cannot_be_read_are_said(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "a.csv").write_text(rows())
    (folder / "b.csv.gz").write_bytes(gzip.compress(rows(30).encode()))
    (folder / "c.csv").write_text("x,y\n1,2\n")
    (folder / "broken.csv").write_text("a,b\n1\n2,3\n")
    (folder / "new\nline.csv").write_text("a\n1\n")
    (folder / "notes.md").write_text("AKIAIOSFODNN7EXAMPLA is the key\n")
    found = scan(folder, Look(skip=ONLY_PASSING))
    assert list(found.schemas) == ["a.csv", "c.csv"]
    said = [one.title for one in lines(found, "passport")]
    assert any("broken.csv: cannot be read as csv" in title for title in said)
    assert any("line.csv' holds a backslash or a control character" in title for title in said)
    (secrets,) = lines(found, "pii.secrets")
    assert secrets.verdict is Verdict.FAIL
    (folder / "notes.md").write_text("nothing\n")
    (secrets,) = lines(scan(folder, Look(skip=ONLY_PASSING)), "pii.secrets")
    assert secrets.verdict is Verdict.INCONCLUSIVE, "two files were not read"


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(24) for _ in range(8)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_single_picture_is_not_called_clean(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(png())
    found = scan(tmp_path / "one.png", Look())
    assert not [one for one in found.lines if one.verdict is Verdict.PASS and one.area not in ("provenance", "access")]


@pytest.mark.parametrize(("name", "text"), [("empty.csv", ""), ("head.csv", "a,b\n"), ("empty.jsonl", "")])
def test_nothing_in_it_is_an_error(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match="holds no row"):
        scan(tmp_path / name, Look())
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        scan(tmp_path / "folder", Look())


def test_huge_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "line.txt").write_text("word " * 600_000 + "me@example.org")
    (tmp_path / "cell.csv").write_text("t,n\n" + "x" * 5_000_000 + ",1\ny,2\n")
    found = scan(tmp_path, Look(skip=ONLY_PASSING))
    (personal,) = lines(found, "pii.personal_data")
    assert "email" in personal.title
    assert found.passport is not None
    assert found.passport.content.rows == 3


def test_a_part_that_takes_too_long_is_unknown_and_the_others_answer(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(rows())
    found = scan(tmp_path / "t.csv", Look(skip=ONLY_PASSING, seconds=1e-9))
    (personal,) = lines(found, "pii.personal_data")
    assert personal.verdict is None
    assert "ran past" in personal.title
    assert found.passport is not None


def test_json_holds_all_and_a_file_no_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(rows())
    skip = [word for check in ONLY_PASSING for word in ("--skip", check)]
    run(["scan", "data", str(tmp_path / "t.csv"), *skip, "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert found["files"][0]["sha256"]
    assert found["files"][0]["columns"][0]["digest"]
    (personal,) = [answer for answer in found["answers"] if answer["check"] == "pii.personal_data"]
    assert personal["measures"]
    assert personal["severity"]
    run(["scan", "data", str(tmp_path / "t.csv"), *skip, "-o", str(tmp_path / "o.txt")])
    assert "\x1b" not in (tmp_path / "o.txt").read_text()
    assert capsys.readouterr().err.startswith("wrote "), "no progress where nobody looks"
    assert run(["scan", "data", str(tmp_path / "t.csv"), "-o", str(tmp_path / "gone" / "o.txt")]) == 2


def test_the_line_of_progress() -> None:
    news = Progress(name="a\nb.csv", number=2, files=9, rows=1234567, done=30_000_000, size=90_000_000, known=10_000_000)
    said = line(news, 2.0)
    assert re.sub(r"\s+", " ", said) == "file 3/9 a b.csv 1,234,567 rows 10.0 MB/s 33% 0:06 left"
    assert "MB/s" not in line(news._replace(size=0), 2.0)


def test_a_scan_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bartizan.areas.provenance.passport.journal.LEAST_FILES", 0)
    monkeypatch.setattr("bartizan.areas.provenance.passport.journal.FRESH", 0)
    folder = tmp_path / "set"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.csv").write_text(rows(50 + n))
    whole = scan(folder, Look(skip=ONLY_PASSING))

    def stop(news: Progress) -> None:
        if news.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(folder, Look(skip=ONLY_PASSING), listener=stop)
    told: list[Progress] = []
    found = scan(folder, Look(skip=ONLY_PASSING), listener=told.append)
    assert told[0].known > 0
    assert found.lines == whole.lines
    assert found.schemas == whole.schemas
    assert found.details == whole.details


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, suffix: str) -> None:
    """Three million rows of unlike texts below 1 GB, with personal data, schema and passport."""
    write = "import sys, polars as pl; n = 3_000_000; pl.DataFrame({'id': range(n), 'mail': [f'u{i}@example.org' for i in range(n)], "
    write += f"'x': [i / 7 for i in range(n)]}}).write_{suffix}(sys.argv[1])"
    code = "import resource, sys; from pathlib import Path; from bartizan.workflows.dataset_passport import Look, scan; "
    code += f"scan(Path(sys.argv[1]), Look(skip={ONLY_PASSING!r})); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    path = tmp_path / f"t.{suffix}"
    subprocess.run([sys.executable, "-c", write, str(path)], check=True)
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True, env=os.environ)
    assert int(done.stdout) < 1_000_000, done.stdout


def test_checks_that_ask_a_model_have_no_place_beside_data(tmp_path: Path) -> None:
    """Held-out data makes leakage a question; attacks on a model that nobody named are none, and nothing slow runs unasked."""
    (tmp_path / "train.csv").write_text("a,b,y\n" + "".join(f"{i},{i * 37 % 101},{i % 2}\n" for i in range(300)))
    (tmp_path / "test.csv").write_text("a,b,y\n" + "".join(f"{i},{i * 37 % 101},{i % 2}\n" for i in range(290, 360)))
    look = Look(label="y", test=tmp_path / "test.csv", skip=("fairness", "poisoning", "pii"))
    found = scan(tmp_path / "train.csv", look)
    assert {line.area for line in found.lines} <= set(dataset_passport.DUTIES)
    assert any(line.check == "quality.split_leakage" and line.verdict is not None for line in found.lines)
    assert not any(line.check == "access.minimisation" for line in found.lines)


def test_a_label_that_no_table_has_is_an_error_with_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(rows())
    assert run(["scan", "data", str(tmp_path / "t.csv"), "--label", "stat"]) == 2
    assert "unknown column 'stat'; did you mean 'state'?" in capsys.readouterr().err
    with pytest.raises(InputError, match="known: age, email, id, state"):
        scan(tmp_path / "t.csv", Look(label="creditability", skip=EXPENSIVE))


def test_checks_that_take_no_folder_look_at_each_table_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a.csv").write_text(rows())
    (folder / "b.csv").write_text("x,y\n" + "".join(f"{i},\n" for i in range(50)))
    (folder / "README.md").write_text("Two tables.\n")
    found = scan(folder, Look(skip=("poisoning", "access", "quality.near_duplicates", "quality.outliers")))
    said = {line.title: line.verdict for line in lines(found, "quality.completeness")}
    assert said == {"nothing is missing in d/a.csv": Verdict.PASS, "1 of 2 columns of d/b.csv hold hardly a value": Verdict.FAIL}
    (personal,) = lines(found, "pii.personal_data")
    assert "bartizan harden anonymise d/a.csv -o" in personal.remedy


def test_what_would_need_labels_is_said_where_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(rows())
    (line,) = lines(scan(tmp_path / "t.csv", Look(skip=EXPENSIVE[:-1])), "quality.label_errors")
    assert (line.verdict, line.title) == (None, "not covered: it needs the labels; name their column with --label")


def test_folders_of_pictures_are_their_labels(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for i in range(120):
        (tmp_path / "png" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        image.new("L", (8, 8), (i % 2) * 200 + i // 4).save(tmp_path / "png" / "ab"[i % 2] / f"{i}.png")
    found = scan(tmp_path / "png", Look(skip=("poisoning", "access", "quality.near_duplicates", "quality.outliers")))
    (line,) = lines(found, "quality.label_errors")
    assert line.verdict is Verdict.PASS


def test_parameters_of_checks_are_set_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text(rows())
    found = scan(tmp_path / "t.csv", Look(skip=EXPENSIVE, parameters=("quality.representation.groups=state",)))
    (line,) = lines(found, "quality.representation")
    assert "groups of state" in line.title
    for wrong, said in (("quality.representation.group=x", "did you mean 'groups'?"), ("quality.representatio.groups=x", "did you mean"),
                        ("quality.completeness.least_rows=few", "of type integer"), ("groups", "is not CHECK.NAME=VALUE")):  # fmt: skip
        assert run(["scan", "data", str(tmp_path / "t.csv"), "--set", wrong]) == 2
        assert said in capsys.readouterr().err


def test_answers_say_whole_what_they_rest_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i},\n" for i in range(50)))
    skipped = [word for name in EXPENSIVE for word in ("--skip", name)]
    assert run(["scan", "data", str(tmp_path / "t.csv"), *skipped]) == 1
    out = capsys.readouterr().out
    assert "…" not in out.replace("content", "").split("completeness")[1]
    assert max(map(len, out.splitlines()[3:])) <= 80
    assert "quality.completeness: y has no value at all." in out
