"""Tables fit the terminal and carry no control characters of a stranger."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bartizan.cli.show import fit, table, width


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
