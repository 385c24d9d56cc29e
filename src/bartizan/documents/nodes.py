"""From text to YAML nodes: parsed by PyYAML without constructing anything, bounded in size, depth and number of nodes."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from bartizan.model.errors import InputError, Place, one_line

MAX_BYTES = 8 * 2**20
"""Largest document that is read."""
MAX_DEPTH = 64
"""Deepest nesting of mappings and lists."""
MAX_NODES = 500_000
"""Most keys and values, counted with every repetition that an alias stands for."""

_NOT_YAML = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _LimitError(Exception):
    """A limit was passed while composing."""

    def __init__(self, what: str, line: int) -> None:
        self.what = what
        self.line = line
        super().__init__(what)


class _Composer(_Parser):  # type: ignore[misc]
    """PyYAML's parser and composer, with its guessing of types switched off: the tag of a node is None unless it is written out."""

    depth = 0
    nodes = 0

    def descend_resolver(self, parent: yaml.Node | None, _index: Any) -> None:
        self.depth += 1
        self.nodes += 1
        if self.depth > MAX_DEPTH + 1:
            raise _LimitError(f"nested deeper than {MAX_DEPTH} levels", parent.start_mark.line + 1 if parent else 0)
        if self.nodes > MAX_NODES:
            raise _LimitError(f"more than {MAX_NODES:,} keys and values", parent.start_mark.line + 1 if parent else 0)

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def resolve(self, _kind: type[yaml.Node], _value: Any, _implicit: Any) -> None:
        return None


@contextmanager
def uncollected() -> Iterator[None]:
    """Reading makes tens of thousands of objects, none of them garbage: the cycle collector rests meanwhile, or it doubles the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def decode(data: bytes, name: str) -> str:
    """The text of a document. Raises `InputError` where it is too large or not UTF-8."""
    if len(data) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES // 2**20} MiB", place=Place(name), cure="split it, or check that it is the right file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError("not UTF-8 text", place=Place(name, line), cure="save the file as UTF-8") from error


def compose(text: str, name: str) -> yaml.MappingNode:
    """The root node of the one document in `text`, a mapping. Raises `InputError` with the line for all that is not so."""
    if len(text) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES // 2**20} MiB", place=Place(name), cure="split it, or check that it is the right file")
    text = text.removeprefix("\ufeff")
    if (strange := _NOT_YAML.search(text)) is not None:
        line = text.count("\n", 0, strange.start()) + 1
        what = f"control character U+{ord(strange.group()):04X} is not allowed"
        raise InputError(what, place=Place(name, line), cure="remove it, or write it as an escape in double quotes")
    root = _root(text, name)
    if root is None:
        raise InputError("the document is empty", place=Place(name))
    if not isinstance(root, yaml.MappingNode):
        shape = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise InputError(
            f"expected keys and values, found {shape}", place=Place(name, root.start_mark.line + 1), cure="write 'key: value' lines"
        )
    if "&" in text:
        _measure(root, name)
    return root


def _root(text: str, name: str) -> yaml.Node | None:
    loader = _Composer(text)
    try:
        with uncollected():
            node: yaml.Node | None = loader.get_single_node()
    except _LimitError as error:
        raise InputError(error.what, place=Place(name, error.line)) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what, cure = _diagnosis(error)
        raise InputError(what, place=Place(name, mark.line + 1 if mark else 0), cure=cure) from error
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {one_line(str(error), 200)}", place=Place(name)) from error
    except RecursionError as error:
        raise InputError(f"nested deeper than {MAX_DEPTH} levels", place=Place(name)) from error
    finally:
        loader.dispose()
    return node


def _diagnosis(error: yaml.MarkedYAMLError) -> tuple[str, str | None]:
    """What PyYAML's message means, and what to do about the commonest mistakes."""
    problem = one_line(error.problem or "cannot be read", 200)
    context = one_line(error.context or "", 100)
    if "expected a single document" in context:
        return "more than one document in the file", "keep one, and remove the '---' line between them"
    if "undefined alias" in problem:
        return problem, "define it first with &name, or quote the value if it only starts with '*'"
    if "cannot start any token" in problem:
        return f"not YAML: {problem}", "indent with spaces, and quote a value that starts with a special character"
    if "mapping values are not allowed" in problem:
        return f"not YAML: {problem}", "quote a value that holds ': ', and check the indentation"
    return f"not YAML: {problem}" + (f" ({context})" if context else ""), None


def _measure(root: yaml.Node, name: str) -> None:
    """Refuse aliases that point into themselves or multiply the document beyond its limits."""
    known: dict[int, tuple[int, int]] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, 1
        key = id(node)
        if key in known:
            return known[key]
        place = Place(name, node.start_mark.line + 1)
        if key in open_nodes:
            raise InputError("an alias refers to the value that contains it", place=place, cure="write the value out")
        open_nodes.add(key)
        total, depth = 1, 0
        for child in _children(node):
            child_total, child_depth = size(child)
            total += child_total
            depth = max(depth, child_depth)
        open_nodes.discard(key)
        if total > MAX_NODES:
            raise InputError(f"aliases multiply to more than {MAX_NODES:,} keys and values", place=place, cure="write the values out")
        if depth + 1 > MAX_DEPTH + 1:
            raise InputError(f"nested deeper than {MAX_DEPTH} levels", place=place)
        known[key] = total, depth + 1
        return known[key]

    size(root)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value)
