"""`bartizan harden anonymise` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
