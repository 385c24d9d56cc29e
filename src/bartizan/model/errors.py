"""What can go wrong, said in one line: the place, the cause, the next step.

Every error that bartizan raises on purpose derives from `BartizanError`. The command line prints `str(error)`
without a traceback and ends with exit code 2. A text never contains a newline: whatever reached us from a
manifest, a file name or a foreign library is folded onto one line and cut.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import msgspec

MAX_TEXT = 500
"""Longest cause, in characters, that an error repeats from foreign input."""


class Place(msgspec.Struct, frozen=True, order=True):
    """A line in a file. `line` counts from 1; 0 means the whole file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


def one_line(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with white space and control characters folded into single spaces, cut to `limit` characters."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The entry of `known` most like `word`, or None where nothing is close."""
    matches = difflib.get_close_matches(word[:100], list(known), n=1, cutoff=cutoff)
    return matches[0] if matches else None


class BartizanError(Exception):
    """An error with a diagnosis: where it is, what is wrong, what to do next.

    `place` is a `Place`, a plain name such as a path, or None; `what` is the cause; `cure` is the next step.
    """

    def __init__(self, what: str, *, place: Place | str | None = None, cure: str | None = None) -> None:
        self.what = one_line(what)
        self.place = place
        self.cure = one_line(cure) if cure else None
        super().__init__(self.what)

    def __str__(self) -> str:
        head = f"{one_line(str(self.place))}: " if self.place is not None else ""
        tail = f"; {self.cure}" if self.cure else ""
        return f"{head}{self.what}{tail}"


class InputError(BartizanError):
    """A manifest, rule, policy or argument that we cannot accept as it stands."""


class UnknownName(InputError):
    """A name that is not among the known ones; the message offers the nearest. `of` says whose name it is (`endpoint 'api'`)."""

    def __init__(self, what: str, name: str, known: Sequence[str], *, place: Place | str | None = None, of: str = "") -> None:
        close = nearest(name, known)
        if close is not None:
            cure = f"did you mean '{close}'?"
        elif 0 < len(known) <= 20:
            cure = "known: " + ", ".join(sorted(known))
        else:
            cure = None
        where = f" of {of}" if of else ""
        super().__init__(f"unknown {what} '{one_line(name, 80)}'{where}", place=place, cure=cure)


class MissingExtra(BartizanError):
    """An optional part that is not installed. `extra` is the name of the extra that brings it."""

    def __init__(self, extra: str, module: str | None = None) -> None:
        self.extra = extra
        because = f" (no module '{module}')" if module else ""
        super().__init__(f"needs pip install 'bartizan[{extra}]'{because}")


class Refused(BartizanError):
    """Input that would have to be trusted or executed to be read: a hostile file, an unsafe format."""


class EvidenceError(BartizanError):
    """A record, store or bundle that cannot be read or whose proof does not hold."""
