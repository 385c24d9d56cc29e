"""`bartizan harden anonymise` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bartizan.areas.pii.names import missing
from bartizan.cli.app import run


def test_a_table_is_cleaned_and_the_key_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target, key = tmp_path / "people.csv", tmp_path / "clean.csv", tmp_path / "key"
    source.write_text("email,age\n" + "".join(f"u{i}@example.org,{20 + i}\n" for i in range(30)))
    arguments = ["harden", "anonymise", str(source), "-o", str(target), "--key", str(key), "--set", "age=generalise", "--k", "5"]
    assert run(arguments) == 0
    first = target.read_text()
    assert "example.org" not in first
    assert "nothing is found in it any more" in capsys.readouterr().out
    assert run([*arguments, "--force", "--format", "json"]) == 0
    assert target.read_text() == first
    assert json.loads(capsys.readouterr().out)["after"]["k"] >= 5


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--set", "age=generalize"], "did you mean 'generalise'"),
        (["--set", "nothing"], "not COLUMN=ACTION"),
        (["--set", "x=mask"], "no column 'x'"),
    ],
)
def test_a_wrong_wish_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str], message: str) -> None:
    source = tmp_path / "people.csv"
    source.write_text("email,age\na@example.org,2\n")
    assert run(["harden", "anonymise", str(source), "-o", str(tmp_path / "clean.csv"), *extra]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "clean.csv").exists()


def test_what_a_wish_keeps_is_still_found_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "people.csv"
    source.write_text("email,age\na@example.org,2\n")
    assert run(["harden", "anonymise", str(source), "-o", str(tmp_path / "clean.csv"), "--set", "email=keep"]) == 1
    assert "still found: email" in capsys.readouterr().out


NOTE = "note\nMy name is Hannah Meyer and I called about the rate\nIt rained on the day\nThe rate was far too high for me\n"


def test_names_that_were_not_searched_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "notes.csv", tmp_path / "clean.csv"
    source.write_text(NOTE)
    assert run(["harden", "anonymise", str(source), "-o", str(target), "--names", "off"]) == 0
    assert "names inside free text were not searched" in capsys.readouterr().out
    assert "Hannah Meyer" in target.read_text()


@pytest.mark.skipif(missing() is not None, reason="the tagger is not installed")
@pytest.mark.parametrize("names", ["auto", "strict"])
def test_names_in_free_text_are_taken_out(tmp_path: Path, capsys: pytest.CaptureFixture[str], names: str) -> None:
    source, target = tmp_path / "notes.csv", tmp_path / "clean.csv"
    source.write_text(NOTE)
    assert run(["harden", "anonymise", str(source), "-o", str(target), "--names", names]) == 0
    out = capsys.readouterr().out
    assert "names inside free text were searched too" in out
    assert "not searched" not in out
    text = target.read_text()
    assert "Meyer" not in text
    assert "[person_name " in text
    assert "The rate was far too high for me" in text


@pytest.mark.skipif(missing() is None, reason="the tagger is installed")
def test_strict_without_the_tagger_is_an_error_with_its_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "notes.csv"
    source.write_text(NOTE)
    assert run(["harden", "anonymise", str(source), "-o", str(tmp_path / "clean.csv"), "--names", "strict"]) == 2
    assert "pip install 'bartizan[names]'" in capsys.readouterr().err
    assert run(["harden", "anonymise", str(source), "-o", str(tmp_path / "clean.csv")]) == 0
    assert "pip install 'bartizan[names]'" in capsys.readouterr().out
