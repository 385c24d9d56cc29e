"""A document as plain values, with the line that every one of them came from."""

from __future__ import annotations

import errno
import os
import stat
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from bartizan.documents.nodes import MAX_BYTES, compose, decode
from bartizan.documents.scalars import UnfitError, check_tag, plain, text_of
from bartizan.model.errors import InputError, Place, one_line


class Located:
    """A parsed document: `name` as errors print it, `value` as plain Python, `place` for the line of any part."""

    def __init__(self, root: yaml.MappingNode, name: str) -> None:
        self.root = root
        self.name = name

    @cached_property
    def value(self) -> Any:
        """The document as dict (keys are always text), list, str, int, float, bool, date or None. Raises `InputError` on a duplicate key, a
        tag, a number that is not finite or beyond 64 bits."""
        try:
            return _value(self.root, self.name)
        except UnfitError as bad:
            raise InputError(f"a value {bad.what}", place=self.place_of(bad.node), cure=bad.cure) from None

    def place(self, path: tuple[str | int, ...] = ()) -> Place:
        """The line of the key or list entry at `path`; of its nearest ancestor that exists where it does not."""
        node: yaml.Node = self.root
        line = node.start_mark.line
        for step in path:
            found = _step(node, step)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        return Place(self.name, line + 1)

    def node(self, path: tuple[str | int, ...] = ()) -> yaml.Node | None:
        """The YAML node at `path`, or None where there is none."""
        node: yaml.Node = self.root
        for step in path:
            found = _step(node, step)
            if found is None:
                return None
            node = found[1]
        return node

    def place_of(self, node: yaml.Node) -> Place:
        """The line on which `node` starts."""
        return Place(self.name, node.start_mark.line + 1)


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """The (key, value) nodes one step below `node`; for a list the entry stands for both."""
    if isinstance(node, yaml.MappingNode):
        return next(((k, v) for k, v in node.value if k.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and 0 <= step < len(node.value):
        return node.value[step], node.value[step]
    return None


def key_of(key: yaml.Node, seen: dict[str, Any], name: str) -> str:
    """The text of a mapping's key. Raises `InputError` on a key that is no word, is a merge key, or was `seen` before."""
    place = Place(name, key.start_mark.line + 1)
    if not isinstance(key, yaml.ScalarNode):
        raise InputError("a key must be a word, not a list or a mapping", place=place)
    check_tag(key)
    text = text_of(key)
    if not text:
        raise InputError("a key is empty", place=place, cure="write 'key: value'")
    if text == "<<" and not key.style:
        raise InputError("merge keys ('<<') are not read", place=place, cure="write the fields out")
    if text in seen:
        raise InputError(f"key '{one_line(text, 80)}' is given twice", place=place, cure="keep one of them")
    return text


def _value(node: yaml.Node, name: str) -> Any:
    check_tag(node)
    if isinstance(node, yaml.ScalarNode):
        return plain(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(entry, name) for entry in node.value]
    result: dict[str, Any] = {}
    for key, value in node.value:
        text = key_of(key, result, name)
        result[text] = _value(value, name)
    return result


def parse(text: str, name: str) -> Located:
    """The document in `text`, called `name` in errors. Raises `InputError` where it is not one YAML mapping within the limits."""
    return Located(compose(text, name), name)


def read(path: Path, *, name: str | None = None) -> Located:
    """The document in the file at `path`, called `name` (default: the path as given) in errors. Raises `InputError`."""
    shown = str(path) if name is None else name
    return parse(decode(_bytes(path, shown), shown), shown)


def _bytes(path: Path, shown: str) -> bytes:
    """At most one byte more than a document may have, from a regular file."""
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer
        with open(path, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0))) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError("not a regular file", place=shown)
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError("no such file", place=shown) from None
    except IsADirectoryError:
        raise InputError("is a folder, not a file", place=shown) from None
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT) else str(error)
        raise InputError(f"cannot be read: {one_line(reason, 200)}", place=shown) from error
