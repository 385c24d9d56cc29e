"""Documents become structs; every refusal is one line with the place, the cause and the cure."""

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bartizan import documents
from bartizan.model.errors import InputError, Place, UnknownName


class Colour(StrEnum):
    NONE = "none"
    RED = "red"


class Inner(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from"}):
    id: str
    source: str | None = None
    at: Place | None = None


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    text: str | None = None
    whole: int | None = None
    number: float | None = None
    flag: bool | None = None
    day: dt.date | None = None
    colour: Colour | None = None
    words: tuple[str, ...] | None = None
    colours: tuple[Colour, ...] = ()
    inner: tuple[Inner, ...] = ()
    limits: dict[str, float | dict[str, float]] = {}
    anything: Any = None


def read(text: str) -> Outer:
    return documents.convert(documents.parse(text, "d.yaml"), Outer)


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("text: 1.10", "text", "1.10"),
        ("text: 0777", "text", "0777"),
        ("text: no", "text", "no"),
        ("text: 2026-01-01", "text", "2026-01-01"),
        ("text: 12:30:00", "text", "12:30:00"),
        ("text: 1e3", "text", "1e3"),
        ("text: ~", "text", None),
        ("text: 'null'", "text", "null"),
        ("text: !!str true", "text", "true"),
        ("text: |\n  a\n  b", "text", "a\nb"),
        ("whole: -7", "whole", -7),
        ("whole: 0x1F", "whole", 31),
        ("whole: 9223372036854775807", "whole", 2**63 - 1),
        ("number: 3", "number", 3.0),
        ("number: 5e-3", "number", 0.005),
        ("number: .5", "number", 0.5),
        ("flag: yes", "flag", True),
        ("flag: OFF", "flag", False),
        ("flag: false", "flag", False),
        ("flag:", "flag", None),
        ("day: 2026-02-28", "day", dt.date(2026, 2, 28)),
        ("day: '2026-02-28'", "day", dt.date(2026, 2, 28)),
        ("colour: none", "colour", Colour.NONE),
        ("colour: null", "colour", None),
        ("words: one", "words", ("one",)),
        ("words: [1, 2.50, no]", "words", ("1", "2.50", "no")),
        ("colours: red", "colours", (Colour.RED,)),
        ("colours: ~", "colours", ()),
        ("limits: {a: 1, b: {0.001: 2}}", "limits", {"a": 1.0, "b": {"0.001": 2.0}}),
        ("text: &a one\nwords: [*a, *a]", "words", ("one", "one")),
        ("\ufefftext: bom", "text", "bom"),
    ],
)
def test_values(text: str, field: str, value: object) -> None:
    assert getattr(read(text), field) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\ntexxt: a", "d.yaml:2: unknown key 'texxt' of outer; did you mean 'text'?"),
        ("colour: no", "d.yaml:1: unknown colour 'no' of outer; did you mean 'none'?"),
        ("colour: teal", "d.yaml:1: unknown colour 'teal' of outer; known: none, red"),
        ("colours: [red,\n  reed]", "d.yaml:2: unknown colours 'reed' of outer; did you mean 'red'?"),
        ("inner:\n  - {id: a}\n  - {from: b}", "d.yaml:3: inner has no 'id'; add 'id: ...'"),
        ("inner:\n  - {id: a, frm: b}", "d.yaml:2: unknown key 'frm' of inner 'a'; did you mean 'from'?"),
        ("inner: [{id: a, source: b}]", "d.yaml:1: unknown key 'source' of inner 'a'; known: from, id"),
        ("text: a\ntext: b", "d.yaml:2: key 'text' is given twice; keep one of them"),
        ("text: true", "d.yaml:1: 'text' of outer must be text, not true; write \"true\" in quotes if that is the text"),
        ("text: [a]", "d.yaml:1: 'text' of outer must be text, not a list"),
        ("whole: 1.5", "d.yaml:1: 'whole' of outer must be a whole number, not '1.5'"),
        ("whole: 1_000", "d.yaml:1: 'whole' of outer must be a whole number, not '1_000'; write 1000"),
        ("whole: '7'", "d.yaml:1: 'whole' of outer must be a whole number, not '7'; write 7"),
        ("whole: 010", "d.yaml:1: 'whole' of outer must be a whole number, not '010'; write 10"),
        (
            "whole: 9223372036854775808",
            "d.yaml:1: 'whole' of outer is a number beyond 64 bits; write a smaller one, or quote it if it is a name",
        ),
        ("number: .nan", "d.yaml:1: 'number' of outer must be a finite number"),
        ("number: -.inf", "d.yaml:1: 'number' of outer must be a finite number"),
        ("number: 1e999", "d.yaml:1: 'number' of outer must be a finite number"),
        ("limits: {a: {b: many}}", "d.yaml:1: 'b' must be a number, not 'many'"),
        ("flag: maybe", "d.yaml:1: 'flag' of outer must be true or false, not 'maybe'; leave it out if it is not known"),
        ("flag: 'yes'", "d.yaml:1: 'flag' of outer must be true or false, not 'yes'; write true without quotes"),
        ("day: 2026-02-30", "d.yaml:1: 'day' of outer is no day of the calendar: '2026-02-30'; write YYYY-MM-DD"),
        ("day: tomorrow", "d.yaml:1: 'day' of outer must be a date, not 'tomorrow'; write YYYY-MM-DD"),
        ("inner: {id: a}", "d.yaml:1: 'inner' of outer must be a list, not a mapping; start every entry with '- '"),
        ("words: [~]", "d.yaml:1: 'words' of outer must be text, not empty"),
        ("<<: {text: a}", "d.yaml:1: merge keys ('<<') are not read; write the fields out"),
        ("? [a]\n: b", "d.yaml:1: a key must be a word, not a list or a mapping"),
        ("- a", "d.yaml:1: expected keys and values, found a list; write 'key: value' lines"),
        ("just words", "d.yaml:1: expected keys and values, found a single value; write 'key: value' lines"),
        ("", "d.yaml: the document is empty"),
        ("text: a\n---\ntext: b", "d.yaml:2: more than one document in the file; keep one, and remove the '---' line between them"),
        ("text: a\n\x00", "d.yaml:2: control character U+0000 is not allowed; remove it, or write it as an escape in double quotes"),
        ("text: '\ud800'", "d.yaml:1: control character U+D800 is not allowed; remove it, or write it as an escape in double quotes"),
        ('text: "a\\0b"', "d.yaml:1: 'text' of outer holds a character that no text may hold (NUL or half of a pair); remove the escape"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "text: !!python/object/apply:os.system [id]",
        "text: !!python/name:os.system",
        "inner: !!python/object:x.y {id: a}",
        "text: !custom a",
        "words: !!set {a}",
        "day: !!timestamp 2026-01-01",
        "!!python/object/new:os.system a: b",
    ],
)
def test_tags_are_never_obeyed(text: str) -> None:
    assert "tags are never obeyed" in refusal(text)


@pytest.mark.parametrize(
    "text", ["\ttext: a", "text: a: b", "text: 'a", "text: [a", "words: *nobody", "text: @a", "text: {a b: c: d}", "%YAML 9.9"]
)
def test_broken_yaml_is_one_line_with_a_place(text: str) -> None:
    assert refusal(text).startswith("d.yaml:")


def test_alias_bomb_and_cycles_are_refused_at_once() -> None:
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))
    assert "aliases multiply" in refusal(f"a0: &a0 [x, x, x]\n{levels}")
    assert refusal("text: &a [*a]") == "d.yaml:1: an alias refers to the value that contains it; write the value out"


def test_depth_size_and_length_are_bounded() -> None:
    assert refusal("anything: " + "[" * 100_000) == "d.yaml:1: nested deeper than 64 levels"
    assert refusal("anything: " + "{a: " * 70 + "1" + "}" * 70) == "d.yaml:1: nested deeper than 64 levels"
    assert refusal("\n".join(" " * i + "a:" for i in range(70))).endswith("nested deeper than 64 levels")
    assert "larger than 8 MiB" in refusal("#" * (8 * 2**20 + 1))
    assert "more than 500,000 keys" in refusal("words: [" + "a," * 600_000 + "]")
    assert len(read(f"text: {'x' * 10_000}").text or "") == 10_000
    assert "longer than 10,000 characters" in refusal(f"text: {'x' * 10_001}")
    assert "beyond 64 bits" in refusal(f"whole: {'9' * 9_000}")


def test_places_are_filled_in() -> None:
    outer = read("inner:\n  - id: a\n\n  - {id: b,\n     from: a}\n")
    assert [inner.at for inner in outer.inner] == [Place("d.yaml", 2), Place("d.yaml", 4)]
    located = documents.parse("a:\n  b:\n    - x\n    - c: 1\n", "d.yaml")
    assert located.place(("a", "b", 1, "c")).line == 4
    assert located.place(("a", "b", 0)).line == 3
    assert located.place(("a", "missing")).line == 1
    assert located.place().line == 1


def test_untyped_values_follow_the_core_schema() -> None:
    text = "a: [no, yes, true, ~, 1, 1.5, 0x10, 2026-01-01, '1', 1.10.2, 010, -.5, +3, tilde, .x]\n1: {b: null}"
    day = dt.date(2026, 1, 1)
    values = ["no", "yes", True, None, 1, 1.5, 16, day, "1", "1.10.2", "010", -0.5, 3, "tilde", ".x"]
    assert documents.parse(text, "d").value == {"a": values, "1": {"b": None}}
    for bad in ("a: .inf", "a: 99999999999999999999", "a: 1\na: 2", "a: !!int 3"):
        with pytest.raises(InputError):
            _ = documents.parse(bad, "d").value


def test_convert_a_part() -> None:
    located = documents.parse("x:\n  - {id: a}\n", "d.yaml")
    assert documents.convert(located, Inner, ("x", 0)).id == "a"
    with pytest.raises(InputError, match=r"there is no 'x\.1'"):
        documents.convert(located, Inner, ("x", 1))
    with pytest.raises(UnknownName):
        documents.convert(located, Outer)


def test_read_refuses_what_is_no_text_file(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: b\nc: \xe9\n")
    with pytest.raises(InputError, match=r"l.yaml:2: not UTF-8 text"):
        documents.read(latin, name="l.yaml")
    with pytest.raises(InputError, match="no such file"):
        documents.read(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="folder"):
        documents.read(tmp_path)
    with pytest.raises(InputError, match="not a regular file"):
        documents.read(Path("/dev/zero"))
    big = tmp_path / "big.yaml"
    with big.open("wb") as file:
        file.truncate(9 * 2**20)
    with pytest.raises(InputError, match="larger than 8 MiB"):
        documents.read(big)
