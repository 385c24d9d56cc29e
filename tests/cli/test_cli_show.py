"""Tables fit the terminal and carry no control characters of a stranger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.cli.app import run
from bartizan.cli.bundle import _file_name
from bartizan.cli.show import fit, table, width
from bartizan.cli.summary import _at, violations_text


@given(st.text(max_size=60), st.integers(1, 40))
def test_fit_is_exactly_as_wide_as_asked(text: str, columns: int) -> None:
    assert width(fit(text, columns)) == columns


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), max_size=5))
def test_a_table_has_a_line_a_row_and_no_control_characters(rows: list[tuple[str, str]]) -> None:
    text = table(("first", "second"), rows, columns=80)
    assert len(text.split("\n")) == len(rows) + 1
    plain = text.replace("\x1b[1m", "").replace("\x1b[0m", "")
    for code in range(30, 38):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert all(c.isprintable() or c == "\n" for c in plain)


def test_an_escape_sequence_in_a_name_does_not_reach_the_terminal() -> None:
    assert "\x1b]0;" not in table(("name",), [("\x1b]0;owned\x07",)], columns=80)


HOSTILE = r"\e]0;owned\a\e[8mhidden\u202Ereversed"


def test_no_text_of_a_manifest_steers_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = f'"{HOSTILE}"'
    (tmp_path / "m.pkl").write_bytes(b"\x80\x04}\x94.")
    (tmp_path / "bartizan.yaml").write_text(
        f"bartizan: 1\nsystem: {{name: {said}, purpose: {said}, owner: {said}}}\n"
        f"assets:\n  - {{id: m, kind: model, title: {said}, uri: m.pkl, task: tabular-classification, source: {said}}}\n"
    )
    shown = ""
    for arguments in (
        ["threats"],
        ["threats", "--questions"],
        ["assess", "--executor", "inline"],
        ["risks"],
        ["explain", "malicious-artefact:m"],
        ["accept", "malicious-artefact:m", "--by", "\x1b]0;x\x07Ada", "--why", "\x1b[8mwhy", "--until", "2999-01-01"],
        ["explain", "malicious-artefact:m"],
    ):
        head, *rest = arguments
        place = [*rest[:1], str(tmp_path), *rest[1:]] if head in ("explain", "accept") else [str(tmp_path), *rest]
        assert run([head, *place]) in (0, 1)
        said_now = capsys.readouterr()
        shown += said_now.out + said_now.err
    assert "owned" in shown
    assert "Ada" in shown
    assert not [c for c in shown if c in "\x07\u202e"]
    assert "\x1b]" not in shown
    assert "\x1b[8m" not in shown


def test_questions_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bartizan.yaml").write_text("bartizan: 1\nsystem: {name: s}\nassets: [{id: m, kind: model}]\n")
    assert run(["threats", str(tmp_path), "--questions", "--format", "json"]) == 0
    assert {"element", "field", "text"} <= set(json.loads(capsys.readouterr().out)[0])
    assert run(["threats", str(tmp_path), "--questions", "--format", "mermaid"]) == 2
    assert "table or json" in capsys.readouterr().err


def test_next_steps_name_the_project_and_a_clean_gate_says_what_is_unknown() -> None:
    assert _at("bartizan assess --only a.b", Path("my system")) == "bartizan assess --only a.b 'my system'"
    assert _at("bartizan assess --only a.b", Path()) == "bartizan assess --only a.b"
    assert _at("bartizan checks --threat t", Path("x")) == "bartizan checks --threat t"
    assert violations_text((), 3) == "Nothing measured is beyond tolerance; 3 unknown."
    assert violations_text(()) == "Nothing is beyond tolerance."


def test_the_name_of_a_system_does_not_choose_where_the_bundle_goes() -> None:
    assert _file_name("../../home/someone/.profile") == "home-someone-.profile"
    assert _file_name("/") == "system"
    assert _file_name("credit-score") == "credit-score"
    assert len(_file_name("é" * 10_000).encode()) < 200
