"""Reads what Terraform files say: blocks with their attributes and lines. Nothing is evaluated; what is no plain value stays text.

Syntax: HCL native syntax specification (bodies, attributes, blocks, quoted templates, heredocs, object and tuple constructors).
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from bartizan.areas.provenance.storage_values import Lined
from bartizan.model.errors import InputError, Place

MAX_DEPTH = 40

_SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_BLANK = re.compile(r"[ \t]*")
_HEREDOC = re.compile(r"<<-?([A-Za-z_]\w*)[ \t]*\r?\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class Raw(str):
    """An expression that is no plain value, as it stands: a reference, a call, an operation."""


class Block(msgspec.Struct):
    """`kind "label" "label" { ... }`: the attributes by name with their values, and the blocks inside."""

    kind: str
    labels: tuple[str, ...]
    line: int
    attributes: dict[str, Any]
    lines: dict[str, int]
    blocks: list[Block]

    def all(self, kind: str) -> Iterator[Block]:
        """The blocks of `kind` directly inside."""
        return (block for block in self.blocks if block.kind == kind)


def blocks_of(text: str, name: str) -> list[Block]:
    """The blocks of a Terraform file. Raises `InputError` with the line where it is none."""
    reader = _Text(text, name)
    top = Block("", (), 1, {}, {}, [])
    try:
        reader.body(top, 0, whole=True)
    except RecursionError:
        raise InputError("is no Terraform that we can read: nested too deep", place=Place(name)) from None
    return top.blocks


class _Text:
    def __init__(self, text: str, name: str) -> None:
        self._text, self._name, self._at = text, name, 0
        self._ends = [found.start() for found in re.finditer("\n", text)]

    def body(self, block: Block, depth: int, *, whole: bool = False) -> None:
        if depth > MAX_DEPTH:
            raise self._error("blocks stand too deep in one another")
        while True:
            self._skip()
            if self._at >= len(self._text):
                if not whole:
                    raise self._error("a block does not end")
                return
            if self._text[self._at] == "}" and not whole:
                self._at += 1
                return
            line = self._line()
            word = self._word()
            self._at = self._end(_BLANK)
            if self._peek() == "=" and self._text[self._at + 1 : self._at + 2] != "=":
                self._at += 1
                block.attributes[word], block.lines[word] = self._expression(depth), line
            else:
                inner = Block(word, tuple(self._labels()), line, {}, {}, [])
                self.body(inner, depth + 1)
                block.blocks.append(inner)

    def _labels(self) -> Iterator[str]:
        while True:
            self._at = self._end(_BLANK)
            if self._peek() == "{":
                self._at += 1
                return
            yield self._string() if self._peek() == '"' else self._word()

    def _expression(self, depth: int) -> Any:
        """A value up to the end of its line, or of its element."""
        if depth > MAX_DEPTH:
            raise self._error("values stand too deep in one another")
        self._at = self._end(_BLANK)
        start, value = self._at, self._primary(depth)
        self._at = self._end(_BLANK)
        if self._at < len(self._text) and self._peek() not in "\r\n,]}#)" and not self._text.startswith(("//", "/*"), self._at):
            self._at = start
            return self._raw()
        return value

    def _primary(self, depth: int) -> Any:
        here = self._peek()
        if here == '"':
            return self._string()
        if here == "{":
            return self._object(depth)
        if here == "[":
            return self._list(depth)
        if heredoc := _HEREDOC.match(self._text, self._at):
            self._at = heredoc.end()
            return heredoc[2]
        if self._text.startswith("jsonencode(", self._at):
            self._at += len("jsonencode(")
            self._skip()
            value = self._expression(depth + 1)
            self._skip()
            self._expect(")")
            return value
        raw = self._raw()
        return {"true": True, "false": False, "null": None}.get(raw, raw)

    def _object(self, depth: int) -> Lined:
        found = Lined(line=self._line())
        self._expect("{")
        while True:
            self._skip(",")
            if self._peek() == "}":
                self._at += 1
                return found
            line = self._line()
            key = self._string() if self._peek() == '"' else self._until("=:\n}")
            self._skip()
            if self._peek() not in ("=", ":"):
                raise self._error("an object's key has no value")
            self._at += 1
            self._skip()
            found[key.strip()] = self._expression(depth + 1)
            found.lines[key.strip()] = line

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        self._expect("[")
        while True:
            self._skip(",")
            if self._peek() == "]":
                self._at += 1
                return found
            found.append(self._expression(depth + 1))

    def _string(self) -> str:
        """A quoted template; one with an interpolation comes back as `Raw`."""
        self._expect('"')
        parts: list[str] = []
        raw = False
        while (here := self._peek()) != '"':
            if not here or here == "\n":
                raise self._error("a text does not end")
            if here == "\\":
                parts.append(_ESCAPES.get(self._text[self._at + 1 : self._at + 2], ""))
                self._at += 2
            elif here in "$%" and self._text.startswith("{", self._at + 1) and not self._text.startswith(here, self._at - 1):
                start, raw = self._at, True
                self._at += 2
                self._balanced("}")
                parts.append(self._text[start : self._at])
            else:
                parts.append(here)
                self._at += 1
        self._at += 1
        return Raw("".join(parts)) if raw else "".join(parts)

    def _raw(self) -> Raw:
        start = self._at
        while (here := self._peek()) and here not in "\r\n,]}#)" and not self._text.startswith(("//", "/*"), self._at):
            if here == '"':
                self._string()
            elif here in "([{":
                self._at += 1
                self._balanced({"(": ")", "[": "]", "{": "}"}[here])
            else:
                self._at += 1
        if start == self._at:
            raise self._error("a value is missing")
        return Raw(self._text[start : self._at].strip())

    def _balanced(self, close: str) -> None:
        """Past the bracket `close` that belongs to the one just passed."""
        waiting = [close]
        while waiting:
            here = self._peek()
            if not here or len(waiting) > MAX_DEPTH:
                raise self._error("a bracket does not close")
            if here == '"':
                self._string()
                continue
            self._at += 1
            if here in "([{":
                waiting.append({"(": ")", "[": "]", "{": "}"}[here])
            elif here == waiting[-1]:
                waiting.pop()

    def _until(self, stops: str) -> str:
        start = self._at
        while (here := self._peek()) and here not in stops:
            self._at += 1
        return self._text[start : self._at]

    def _word(self) -> str:
        found = _WORD.match(self._text, self._at)
        if found is None:
            raise self._error("neither an attribute nor a block")
        self._at = found.end()
        return found[0]

    def _skip(self, also: str = "") -> None:
        self._at = self._end(_SPACE)
        while also and self._peek() == also:
            self._at += 1
            self._at = self._end(_SPACE)

    def _expect(self, what: str) -> None:
        if not self._text.startswith(what, self._at):
            raise self._error(f"'{what}' is missing")
        self._at += len(what)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _end(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        return found.end() if found else self._at

    def _line(self) -> int:
        return bisect.bisect_left(self._ends, self._at) + 1

    def _error(self, what: str) -> InputError:
        return InputError(f"is no Terraform that we can read: {what}", place=Place(self._name, self._line()))
