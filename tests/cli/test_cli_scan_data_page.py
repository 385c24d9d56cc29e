"""`bartizan scan data --html`: one page that stands alone, with the pictures, without a value of the data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bartizan.cli.app import run

PERSON = "Zebulon Quarterfield"


def test_the_page_stands_alone_and_shows_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{PERSON} {i},{'mf'[i % 2]},{20 + i % 40},{i % 2}" for i in range(120)]
    (tmp_path / "people.csv").write_text("\n".join(["name,sex,age,default", *rows, rows[3]]) + "\n")
    assert run(["scan", "data", "people.csv", "--label", "default", "--html", "page.html"]) in (0, 1)
    assert "quality" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count('<img src="data:image/svg+xml;base64,') >= 4
    assert PERSON not in page
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", page)
    assert "default-src &#39;none&#39;" in page


def test_a_page_that_cannot_be_written_is_said_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    assert run(["scan", "data", str(tmp_path / "a.csv"), "--html", str(tmp_path / "gone" / "page.html")]) == 2
    assert "make it first" in capsys.readouterr().err
