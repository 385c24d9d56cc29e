"""What a scalar of a document stands for, by the core schema of YAML 1.2 (section 10.3) with dates added.

`yes`, `no`, `on` and `off` are words here, `12:30` is text, `0777` is refused as a number because YAML 1.1 and 1.2 disagree on it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TypeAlias

import yaml

Scalar: TypeAlias = "str | int | float | bool | dt.date | None"

MAX_TEXT = 10_000
"""Most characters in one key or value."""

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
TRUTHS = {word: value for spelt, value in (("true", True), ("false", False)) for word in (spelt, spelt.title(), spelt.upper())}
ANSWERS = TRUTHS | {
    word: value
    for spelt, value in (("yes", True), ("on", True), ("no", False), ("off", False))
    for word in (spelt, spelt.title(), spelt.upper())
}
"""What is accepted where true or false is expected."""

INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

STRING_TAG = "tag:yaml.org,2002:str"
_INERT_TAGS = frozenset({None, STRING_TAG, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_SPECIAL = frozenset("0123456789-+.~ntfNTF")
_LOW, _HIGH = -(2**63), 2**63 - 1


class UnfitError(Exception):
    """A value that is not what its place asks for: `what` is the sentence after the name, `cure` the way out, `known` the allowed words."""

    def __init__(self, node: yaml.Node, what: str, *, cure: str | None = None, known: tuple[str, ...] | None = None) -> None:
        self.node = node
        self.what = what
        self.cure = cure
        self.known = known
        super().__init__(what)


def text_of(node: yaml.ScalarNode) -> str:
    """The text of a scalar as written. Raises `UnfitError` where it is too long or holds NUL or lone surrogates."""
    text: str = node.value
    if len(text) > MAX_TEXT:
        raise UnfitError(node, f"is longer than {MAX_TEXT:,} characters", cure="shorten it, or keep it in a file of its own")
    if node.style == '"' and ("\0" in text or any("\ud800" <= c <= "\udfff" for c in text)):
        raise UnfitError(node, "holds a character that no text may hold (NUL or half of a pair)", cure="remove the escape")
    return text


def check_tag(node: yaml.Node) -> None:
    """Raise `UnfitError` where a tag asks for anything but plain text, a list or a mapping."""
    if node.tag not in _INERT_TAGS:
        raise UnfitError(node, f"has the tag '{node.tag}', and tags are never obeyed here", cure="remove the tag")


def is_plain(node: yaml.ScalarNode) -> bool:
    """Whether the scalar is written without quotes, so that it may mean more than its text."""
    return not node.style and node.tag is None


def is_null(node: yaml.Node) -> bool:
    """Whether the node says nothing: empty, `~` or `null`."""
    return isinstance(node, yaml.ScalarNode) and node.value in NULLS and is_plain(node)


def integer(node: yaml.Node, text: str) -> int:
    """The whole number `text`, which matches `INTEGER`. Raises `UnfitError` beyond 64 bits."""
    if len(text) <= 24:
        value = int(text, 0)
        if _LOW <= value <= _HIGH:
            return value
    raise UnfitError(node, "is a number beyond 64 bits", cure="write a smaller one, or quote it if it is a name")


def number(node: yaml.Node, text: str) -> float:
    """The number `text`, which matches `NUMBER`. Raises `UnfitError` where it overflows."""
    value = float(text)
    if not math.isfinite(value):
        raise UnfitError(node, "must be a finite number")
    return value


def date(node: yaml.Node, text: str) -> dt.date:
    """The date `text`, which matches `DATE`. Raises `UnfitError` where the calendar has no such day."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UnfitError(node, f"is no day of the calendar: '{text}'", cure="write YYYY-MM-DD") from None


def plain(node: yaml.ScalarNode) -> Scalar:
    """The value of a scalar whose type nobody asks for."""
    text = text_of(node)
    if not is_plain(node):
        return text
    if text in NULLS:
        return None
    if text[0] not in _SPECIAL:
        return text
    if text in TRUTHS:
        return TRUTHS[text]
    if INTEGER.fullmatch(text):
        return integer(node, text)
    if DATE.fullmatch(text):
        return date(node, text)
    if NOT_FINITE.fullmatch(text):
        raise UnfitError(node, "must be a finite number")
    if NUMBER.fullmatch(text) and not re.match(r"[-+]?0[0-9]", text):
        return number(node, text)
    return text
