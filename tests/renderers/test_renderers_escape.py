"""Foreign text in each format: known attacks come out as literal text."""

from __future__ import annotations

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.renderers.escape import csv_cell, cut, line, markdown, mermaid, visible

FORMULAS = ["=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_csv_cells_are_no_formulas(text: str) -> None:
    """The first characters that OWASP names for CSV injection, also behind white space and in full width."""
    assert csv_cell(text) == f"'{text}"


def test_csv_cells_keep_plain_values() -> None:
    assert [csv_cell(v) for v in (None, True, False, -0.5, 12, "loans, 2026", "a-b")] == [
        *("", "true", "false", "-0.5", "12", "loans, 2026", "a-b"),
    ]


def test_markdown_is_literal() -> None:
    assert markdown("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert markdown("a|b\nc `d` *e* [f](g)") == r"a\|b c \`d\` \*e\* \[f\](g)"
    assert markdown("https://x.y www.x.y") == r"https\://x.y www\.x.y"
    assert markdown("# title") == r"\# title"
    assert markdown("1. item") == r"1\. item"
    assert markdown("training_sets") == "training_sets"
    assert markdown("_emphasis_") == r"\_emphasis\_"
    assert markdown("&lt;b&gt;") == "&amp;lt;b&amp;gt;"


def test_mermaid_label_holds_no_syntax() -> None:
    assert mermaid('a"b') == "a#quot;b"
    assert mermaid("<script>") == "#lt;script#gt;"
    assert mermaid("x]; click n0 [y]") == "x#93;#59; click n0 #91;y#93;"
    assert mermaid("#quot;") == "#35;quot#59;"
    assert mermaid("%%{init: {}}%%") == "#37;#37;#123;init: #123;#125;#125;#37;#37;"


def test_marks_that_reorder_text_become_visible() -> None:
    """The overrides of CVE-2021-42574; letters of right-to-left scripts stay as they are."""
    assert visible("a\u202eb\u200f\u2066c") == "a\ufffdb\ufffd\ufffdc"
    assert visible("שלום") == "שלום"
    assert line("a\r\n\t b\x00") == "a b\ufffd"


def test_long_names_are_cut() -> None:
    name = "n" * 10_000
    assert cut(name, 60) == "n" * 59 + "…"
    assert mermaid(name) == "n" * 59 + "…"
    assert cut("short", 5) == "short"


@given(st.text(max_size=60))
def test_any_text_stays_in_its_place(text: str) -> None:
    label, cell = mermaid(text), markdown(text)
    assert not set(label) & set('"<>[]{}()|`\n\r\\%;') - {";"}
    assert not re.search(r";", re.sub(r"#(?:\d+|quot|lt|gt|amp);", "", label))
    assert "\n" not in cell
    assert "<" not in cell
    assert not re.search(r"(?<!\\)\|", cell.replace("\\\\", ""))
    out = io.StringIO()
    csv.writer(out).writerow([csv_cell(text), "next"])
    assert next(csv.reader(io.StringIO(out.getvalue(), newline="")))[1:] == ["next"]
    assert not csv_cell(text).lstrip().startswith(("=", "+", "-", "@"))
