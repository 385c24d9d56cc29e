"""Reads a Dockerfile into instructions, as BuildKit does: parser directives, continuations, comments between them, heredocs.

A parser of our own because dockerfile-parse (2.0.1) knows no heredocs and judges no stages. Source of the rules: the Dockerfile
reference of BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from bartizan.model.errors import InputError, Place, one_line

_KNOWN = frozenset(
    {
        "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
        "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
    }
)  # fmt: skip
_WITH_HEREDOC = frozenset({"ADD", "COPY", "RUN"})
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S.*)")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:=(\S*))?(?:\s+|$)")
_HEREDOC = re.compile(r"(?<!\S)\d*<<(-?)(?:\"([^\"\s<]+)\"|'([^'\s<]+)'|([^\s<\"']+))(?!\S)")
_QUOTED = re.compile(r"'[^']*+'|\"(?:[^\"\\]|\\.)*+\"")


@dataclass(frozen=True)
class Instruction:
    """`word` in upper case, `flags` as (name, value), `text` the rest on one line, `heredocs` their contents with the line they start on.

    `triggered` is true below ONBUILD: it runs in images built on this one.
    """

    word: str
    text: str
    line: int
    flags: tuple[tuple[str, str], ...] = ()
    heredocs: tuple[tuple[int, str], ...] = ()
    triggered: bool = False

    def flag(self, name: str) -> str | None:
        return next((value for key, value in self.flags if key == name), None)


def instructions(text: str, name: str) -> list[Instruction]:
    """The instructions of a Dockerfile in order. Raises `InputError` where `text`, called `name`, is none."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    escape = _escape(lines)
    found, at = [], 0
    while at < len(lines):
        stripped = lines[at].strip()
        if not stripped or stripped.startswith("#"):
            at += 1
            continue
        start = at
        logical, at = _joined(lines, at, escape)
        instruction = _instruction(logical, start + 1, name)
        if instruction.word in _WITH_HEREDOC:
            bodies, at = _bodies(instruction.text, lines, at, Place(name, start + 1))
            instruction = Instruction(
                instruction.word, instruction.text, instruction.line, instruction.flags, tuple(bodies), instruction.triggered
            )
        found.append(instruction)
    return found


def _escape(lines: list[str]) -> str:
    """The escape character that the parser directives choose; they stand before anything else."""
    for line in lines:
        match = _DIRECTIVE.fullmatch(line.strip()[:400])
        if match is None or match[1].lower() not in ("escape", "syntax", "check"):
            break
        if match[1].lower() == "escape":
            return "`" if match[2].strip() == "`" else "\\"
    return "\\"


def _joined(lines: list[str], at: int, escape: str) -> tuple[str, int]:
    """The logical line that starts at `at`, and where the next one starts. Comments and empty lines within it are left out."""
    parts: list[str] = []
    while at < len(lines):
        line = lines[at]
        at += 1
        stripped = line.strip()
        if parts and (not stripped or stripped.startswith("#")):
            continue
        trimmed = line.rstrip(" \t")
        if not trimmed.endswith(escape) or trimmed.endswith(escape * 2):
            parts.append(line)
            break
        parts.append(trimmed[:-1])
    return "".join(parts).strip(), at


def _instruction(logical: str, line: int, name: str, triggered: bool = False) -> Instruction:
    word, _, rest = logical.replace("\t", " ", 1).partition(" ") if "\t" in logical[:20] else logical.partition(" ")
    word, rest = word.upper(), rest.strip()
    if word not in _KNOWN:
        raise InputError(
            f"'{one_line(word, 40)}' is no Dockerfile instruction", place=Place(name, line), cure="declare a Dockerfile or Containerfile"
        )
    if word == "ONBUILD":
        if triggered:
            raise InputError("ONBUILD within ONBUILD is not allowed", place=Place(name, line), cure="remove one of them")
        return _instruction(rest, line, name, triggered=True)
    flags = []
    while (match := _FLAG.match(rest)) is not None and word in ("ADD", "COPY", "FROM", "RUN", "HEALTHCHECK"):
        flags.append((match[1], match[2] or ""))
        rest = rest[match.end() :]
    return Instruction(word, rest, line, tuple(flags), (), triggered)


def _bodies(text: str, lines: list[str], at: int, place: Place) -> tuple[list[tuple[int, str]], int]:
    """The heredocs that `text` opens, read from `lines` from `at` on, and where the next instruction starts."""
    found = []
    for dash, word in _openings(text):
        start = at
        while at < len(lines) and (lines[at].lstrip("\t") if dash else lines[at]) != word:
            at += 1
        if at == len(lines):
            raise InputError(
                f"the heredoc '{one_line(word, 40)}' has no end", place=place, cure=f"close it with a line {one_line(word, 40)}"
            )
        found.append((start + 1, "\n".join(lines[start:at])))
        at += 1
    return found, at


def _openings(text: str) -> Iterator[tuple[str, str]]:
    """(dash, terminator) of each heredoc that the words of `text` open; quoted text opens none."""
    if "<<" not in text:
        return
    quoted = [match.span() for match in islice(_QUOTED.finditer(text), 1000)]
    for match in islice(_HEREDOC.finditer(text), 100):
        if not any(start < match.start() < end for start, end in quoted):
            yield match[1], match[2] or match[3] or match[4]
