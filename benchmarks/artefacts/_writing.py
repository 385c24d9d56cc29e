"""Writes pickles opcode by opcode from nested lists, in any protocol, so that the corpus holds what no pickler would write.

An expression is a number, None, a text, or a list that starts with a word: `[call, f, a, b]`, `[list, ...]`, `[tuple, ...]`,
`[dict, key, value, ...]`, `[bytes, text]`, `[new, class, ...]`, `[build, object, state]`, `[append, object, item]`,
`[extend, object, ...]`, `[add, object, ...]`, `[setitem, object, key, value]`, `[then, first, second]` (the first is dropped),
`[pickle, expression]` (its bytes), `[marshal, source]` (the bytes of compiled code), `[content, word]` (the bytes of the file that the word
names). A text that starts with `@` is a global, module and dotted name; a list that starts with one is a call of it.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Expression = Any


def text(value: str, protocol: int = 4) -> bytes:
    """A str."""
    raw = value.encode()
    if protocol == 0:
        return b"V" + value.encode("raw_unicode_escape").replace(b"\\", b"\\u005c") + b"\n"
    if protocol >= 4 and len(raw) < 256:
        return b"\x8c" + bytes([len(raw)]) + raw
    return b"X" + struct.pack("<I", len(raw)) + raw


def data(value: bytes) -> bytes:
    """Some bytes, as protocol 3 and newer write them."""
    return b"B" + struct.pack("<I", len(value)) + value


def name(module: str, dotted: str, protocol: int = 4) -> bytes:
    """A global; dotted names work from protocol 4 on alone."""
    if protocol < 4:
        return f"c{module}\n{dotted}\n".encode()
    return text(module, protocol) + text(dotted, protocol) + b"\x93"


def number(value: int, protocol: int = 4) -> bytes:
    """An int of at most 32 bits."""
    if protocol == 0:
        return f"I{value}\n".encode()
    return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)


def tup(*items: bytes) -> bytes:
    """A tuple of what is written already."""
    return b"(" + b"".join(items) + b"t"


def call(what: bytes, *args: bytes) -> bytes:
    """A call of what is written already."""
    return what + tup(*args) + b"R"


def whole(body: bytes, protocol: int = 4) -> bytes:
    """The pickle around a body."""
    return (b"\x80" + bytes([protocol]) if protocol > 1 else b"") + body + b"."


def write(expression: Expression, words: Mapping[str, str], protocol: int = 4) -> bytes:
    """The opcodes of an expression; `{word}` in its texts is replaced by the word's value."""
    if expression is None:
        return b"N"
    if isinstance(expression, bool):
        return b"\x88" if expression else b"\x89"
    if isinstance(expression, int):
        return number(expression, protocol)
    if isinstance(expression, float):
        return b"G" + struct.pack(">d", expression)
    if isinstance(expression, str):
        return _text(expression, words, protocol)
    head, *rest = expression
    if not isinstance(head, str) or (head not in _FORMS and not head.startswith("@")):
        raise ValueError(f"an expression that starts with {head!r}")
    if head.startswith("@"):
        return call(write(head, words, protocol), *(write(item, words, protocol) for item in rest))
    if head in ("bytes", "marshal"):
        filled = fill(rest[0], words)
        return data(filled.encode() if head == "bytes" else marshal.dumps(compile(filled, "x", "exec")))
    if head == "pickle":
        return data(whole(write(rest[0], words, protocol), protocol))
    if head == "content":
        return data(Path(words[rest[0]]).read_bytes())
    return _FORMS[head](*(write(item, words, protocol) for item in rest))


def fill(value: str, words: Mapping[str, str]) -> str:
    """`value` with `{word}` replaced for the words that are known."""
    for word, replacement in words.items():
        value = value.replace("{" + word + "}", replacement)
    return value


def _text(value: str, words: Mapping[str, str], protocol: int) -> bytes:
    if value.startswith("@"):
        module, _, dotted = value[1:].partition(" ")
        return name(module, dotted, protocol)
    return text(fill(value, words), protocol)


def _new(kind: bytes, *args: bytes) -> bytes:
    return kind + tup(*args) + b"\x81"


_FORMS: dict[str, Any] = {
    "call": call,
    "list": lambda *items: b"(" + b"".join(items) + b"l",
    "dict": lambda *items: b"(" + b"".join(items) + b"d",
    "tuple": tup,
    "new": _new,
    "build": lambda what, state: what + state + b"b",
    "append": lambda what, item: what + item + b"a",
    "extend": lambda what, *items: what + b"(" + b"".join(items) + b"e",
    "add": lambda what, *items: what + b"(" + b"".join(items) + b"\x90",
    "setitem": lambda what, key, value: what + key + value + b"s",
    "then": lambda first, second: first + b"0" + second,
    "bytes": None,
    "marshal": None,
    "pickle": None,
    "content": None,
}
