"""`bartizan data purge` from the command line, what verifies its results, and the exit codes that all commands of data share."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from bartizan.cli.app import run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{n},person {n % 10},20{10 + n % 15:02}-06-01\n" for n in range(60))
    (tmp_path / "people.csv").write_text(f"id,name,made\n{rows}")
    assert run(["data", "record", "people.csv", "--key", "k.pem", "--new-key", "ed25519"]) == 0
    return tmp_path


BY_AGE = ["data", "purge", "people.csv", "--before", "2015-01-01", "--column", "made", "--key", "k.pem"]


def test_purge_and_verify_everything_offline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*BY_AGE, "-o", "kept.csv", "--opening", "opening.json"]) == 0
    said = capsys.readouterr().out
    assert "20 of 60 rows are gone from kept.csv" in said
    assert "the old data still stands at its place, with its passport" in said
    assert run(["data", "verify", "kept.csv", "--key", "k.pem.pub", "--from", "people.csv.passport.jsonl"]) == 0
    capsys.readouterr()
    assert run(["data", "verify", "--proof", "kept.csv.gone.jsonl", "--key", "k.pem.pub"]) == 0
    assert "20 proofs hold" in capsys.readouterr().out
    certificate = ["data", "verify", "kept.csv", "--proof", "kept.csv.deletion.json", "--key", "k.pem.pub"]
    assert run([*certificate, "--opening", "opening.json"]) == 0
    said = capsys.readouterr().out
    assert "60 rows before, 20 removed, 40 after" in said
    assert "2015-01-01" in said
    assert run([*certificate, "--passport", "people.csv.passport.jsonl"]) == 1
    text = (folder / "kept.csv.deletion.json").read_text()
    (folder / "kept.csv.deletion.json").write_text(text.replace('"payload":"e', '"payload":"f', 1))
    assert run(certificate) in (1, 2)
    proofs = (folder / "kept.csv.gone.jsonl").read_text()
    (folder / "kept.csv.gone.jsonl").write_text(proofs.replace('"bucket":"', '"bucket":"AAAA', 1))
    assert run(["data", "verify", "--proof", "kept.csv.gone.jsonl", "--key", "k.pem.pub"]) == 1


def test_subjects_lists_and_copies_elsewhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "who.txt").write_text("person 3\nperson 4\n\n")
    (folder / "backup.csv").write_bytes((folder / "people.csv").read_bytes())
    asked = ["data", "purge", "people.csv", "--subjects", "name=who.txt", "--subject", "name=person 5", "--key", "k.pem"]
    assert run([*asked, "--dry-run"]) == 0
    assert "18 of 60 rows would go; nothing was written" in capsys.readouterr().out
    assert run([*asked, "-o", "kept.csv", "--also", "backup.csv", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["removed"], found["copies"]["places"][0]["rows"]) == (18, 18)
    assert found["certificate"]["elsewhere"] == {"files": 1, "found": 18, "unread": 0}
    assert run(["data", "purge", "kept.csv", "--subject", "name=PERSON 1", "--key", "k.pem", "--in-place"]) == 0
    said = capsys.readouterr().out
    assert "no row meets it; nothing was written" in said
    assert "6 rows name a subject with other capitals or spaces" in said


def test_a_row_by_its_proof(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "prove", "people.csv", "--row", "7", "-o", "row.json"]) == 0
    assert run(["data", "purge", "people.csv", "--rows-from", "row.json", "--key", "k.pem", "--in-place"]) == 0
    assert "delete them, too" in capsys.readouterr().out
    assert "\n7,person 7," not in (folder / "people.csv").read_text()
    assert run(["data", "verify", "people.csv", "--key", "k.pem.pub"]) == 0
    assert run(["data", "verify", "--proof", "people.csv.gone.jsonl", "--key", "k.pem.pub"]) == 0


def test_a_proof_is_about_this_data_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = (folder / "people.csv").read_bytes()
    assert run([*BY_AGE, "-o", "kept.csv"]) == 0
    assert run(["data", "purge", "people.csv", "--subject", "name=person 3", "--key", "k.pem", "-o", "other.csv"]) == 0
    check = ["data", "verify", "kept.csv", "--key", "k.pem.pub", "--proof"]
    assert run([*check, "kept.csv.gone.jsonl"]) == 0
    capsys.readouterr()
    assert run([*check, "other.csv.gone.jsonl"]) == 1  # of another data set of the same key
    assert "is about 'other.csv'" in capsys.readouterr().out
    (folder / "kept.csv").write_bytes(old)  # the rows are back
    assert run([*check, "kept.csv.gone.jsonl"]) == 1
    assert run([*check, "kept.csv.deletion.json"]) == 1


def test_what_a_file_keeps_under_other_names_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    asked = ["--subject", "name=person 3", "--key", "k.pem", "--in-place"]
    (folder / "second.csv").hardlink_to(folder / "people.csv")
    assert run(["data", "purge", "people.csv", *asked]) == 1
    assert "another name of the same file (a hard link): people.csv" in capsys.readouterr().out
    noted = pa.table({"name": ["person 3", "person 4"]}).replace_schema_metadata({"note": "made for Person 3"})
    parquet.write_table(noted, folder / "noted.parquet")
    assert run(["data", "purge", "noted.parquet", *asked]) == 1
    assert "a subject is named in the metadata, which is kept: noted.parquet" in capsys.readouterr().out


def test_rows_that_nobody_can_date_end_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "some.csv").write_text("id,made\n1,2001-01-01\n2,\n3,2099-01-01\n")
    asked = ["data", "purge", "some.csv", "--retention", "365", "--column", "made", "--key", "k.pem"]
    assert run([*asked, "-o", "a.csv"]) == 1
    assert "1 rows name no date in 'made' and stay" in capsys.readouterr().out
    assert run([*asked, "-o", "b.csv", "--undated", "keep"]) == 0
    assert run([*asked, "-o", "c.csv", "--undated", "remove"]) == 0
    assert (folder / "c.csv").read_text() == "id,made\n3,2099-01-01\n"


SLIPS = [
    "--in-place",
    "--where 'id < 3'",
    "--where 'id < 3' --in-place -o x.csv",
    "--before 2015-01-01 --in-place",
    "--column made --in-place",
    "--before soon --column made --in-place",
    "--where 'id ~ 3' --in-place",
    "--where 'id < x' --in-place",
    "--where 'who == 3' --in-place",
    "--where 'id < 3' -o not/there.csv",
    "--where 'id < 3' -o people.csv",
    "--where 'id < 3' --in-place --proofs many",
    "--subject name --in-place",
]


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_end_with_2_in_one_line_and_change_nothing(folder: Path, slip: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    capsys.readouterr()
    assert run(["data", "purge", "people.csv", "--key", "k.pem", *shlex.split(slip)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_what_is_no_passport_ends_with_2_and_what_does_not_hold_with_1(folder: Path) -> None:
    (folder / "no.jsonl").write_text("hello\n")
    assert run(["sign", "people.csv", "--key", "other.pem", "--new-key", "p256"]) == 0
    good = "people.csv.passport.jsonl"
    could_not = (
        "verify people.csv --passport no.jsonl --key k.pem.pub",
        f"diff {good} no.jsonl",
        f"diff no.jsonl {good}",
        "verify people.csv --from no.jsonl --key k.pem.pub",
        "verify --proof no.jsonl --key k.pem.pub",
        "verify people.csv --key no.jsonl",
        "prove people.csv --row 1 --passport no.jsonl",
    )
    for words in could_not:
        assert run(["data", *words.split()]) == 2, words
    for words in ("verify people.csv --key other.pem.pub", f"diff {good} {good} --key other.pem.pub"):
        assert run(["data", *words.split()]) == 1, words
    assert run(["data", "diff", good, good, "--key", "k.pem.pub"]) == 0
    (folder / "people.csv").write_bytes(b"\0\1\2")
    assert run(["data", "verify", "people.csv", "--key", "k.pem.pub"]) == 1, "what is no table any more is another one"


def test_a_missing_folder_is_said_before_the_work(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = (
        "record people.csv --key k.pem -o not/there.jsonl",
        "record people.csv --key k.pem --croissant not/c.json",
        "prove people.csv --row 1 -o not/there.json",
        "gate people.csv --infer not/s.yaml",
        "export people.csv.passport.jsonl -o not/c.json",
        "purge people.csv --where id==1 --key k.pem -o not/there.csv",
    )
    for words in late:
        capsys.readouterr()
        assert run(["data", *words.split()]) == 2, words
        assert "the folder 'not' is not there" in capsys.readouterr().err


def test_names_are_shown_on_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\nb\x1b[31m.csv"
    (folder / "set").mkdir()
    (folder / "set" / "plain.csv").write_text("a\n1\n")
    (folder / name).write_text("a\n1\n2\n")
    assert run(["data", "record", name, "--key", "k.pem"]) == 0
    assert run(["data", "verify", name, "--key", "k.pem.pub"]) == 0
    assert run(["data", "purge", name, "--where", "a == 1", "--key", "k.pem", "-o", "c\nd.csv"]) == 0
    assert run(["sign", name, "--key", "k.pem"]) == 0
    assert run(["verify", name, "--key", "k.pem.pub"]) == 0
    out = capsys.readouterr()
    for line in (out.out + out.err).splitlines():
        assert not line.startswith(("b", "d.csv"))
        assert "\x1b[31m" not in line
