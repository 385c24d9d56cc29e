"""Reads Kubernetes manifests: YAML streams of several documents, within the limits of `documents`, each value with its line.

Nothing is constructed from the text: the values stay YAML nodes, and are read as Kubernetes does (`yes` is true, `<<` merges).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from bartizan.documents.nodes import compose
from bartizan.model.errors import InputError, Place

MAX_DOCUMENTS = 2000
"""Most documents in one file."""

_TRUE = frozenset({"true", "yes", "on", "y"})
_NULL = frozenset({"", "~", "null"})


@dataclass(frozen=True)
class Value:
    """A YAML node of the file `name`, whose document starts `offset` lines below the top. Absent values are plain None."""

    node: yaml.Node
    name: str
    offset: int

    @property
    def place(self) -> Place:
        return Place(self.name, self.node.start_mark.line + 1 + self.offset)

    @property
    def text(self) -> str:
        """The text of a scalar, at most 10,000 characters; empty for null, lists and mappings."""
        if not isinstance(self.node, yaml.ScalarNode):
            return ""
        text = str(self.node.value)[:10_000]
        return "" if not self.node.style and text.lower() in _NULL else text

    @property
    def true(self) -> bool:
        return self.text.lower() in _TRUE

    @property
    def false(self) -> bool:
        return self.text.lower() in ("false", "no", "off", "n")

    @property
    def present(self) -> bool:
        """Is there a value other than null?"""
        return not isinstance(self.node, yaml.ScalarNode) or bool(self.text) or bool(self.node.style)

    @property
    def keyed_by_mapping(self) -> bool:
        """Is it a mapping with a key that is no word?"""
        return isinstance(self.node, yaml.MappingNode) and any(not isinstance(key, yaml.ScalarNode) for key, _ in self.node.value)

    def get(self, *path: str) -> Value | None:
        """The value below `path`, or None where a step is missing or null. The last of two equal keys counts, as in the API server."""
        found: Value | None = self
        for key in path:
            found = found._step(key, 0) if found is not None else None
        return found if found is not None and found.present else None

    def _step(self, key: str, depth: int) -> Value | None:
        if not isinstance(self.node, yaml.MappingNode):
            return None
        for name, value in reversed(self.node.value):
            if isinstance(name, yaml.ScalarNode) and name.value == key:
                return Value(value, self.name, self.offset)
        for name, value in self.node.value if depth < 4 else ():
            if isinstance(name, yaml.ScalarNode) and name.value == "<<":
                merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
                for one in merged[:20]:
                    if (found := Value(one, self.name, self.offset)._step(key, depth + 1)) is not None:
                        return found
        return None

    def word(self, *path: str) -> str:
        """The text at `path`, empty where there is none."""
        found = self.get(*path)
        return found.text if found is not None else ""

    def entries(self, *path: str) -> list[Value]:
        """The entries of the list at `path`; none where there is no list."""
        found = self.get(*path)
        if found is None or not isinstance(found.node, yaml.SequenceNode):
            return []
        return [Value(entry, self.name, self.offset) for entry in found.node.value]

    def children(self) -> Iterator[Value]:
        """The values of a mapping or the entries of a list."""
        if isinstance(self.node, yaml.MappingNode):
            yield from (Value(value, self.name, self.offset) for _, value in self.node.value)
        elif isinstance(self.node, yaml.SequenceNode):
            yield from (Value(entry, self.name, self.offset) for entry in self.node.value)


def documents(text: str, name: str) -> Iterator[Value | InputError]:
    """The documents of a YAML stream in order, empty ones left out; for one that cannot be read, the error.

    A line that starts with `---` ends a document wherever it stands (YAML 1.2, section 9.1.2), so that the text is cut there first.
    """
    for offset, part in _parts(text, name):
        if isinstance(part, InputError):
            yield part
            return
        try:
            yield Value(compose(part, name), name, offset)
        except InputError as error:
            line = error.place.line if isinstance(error.place, Place) else 0
            yield InputError(error.what, place=Place(name, line + offset if line else 0), cure=error.cure)


def _parts(text: str, name: str) -> Iterator[tuple[int, str | InputError]]:
    held: list[str] = []
    start, count = 0, 0
    lines = text.split("\n")
    for number, line in enumerate([*lines, "---"]):
        if line == "---" or line.startswith(("--- ", "---\t", "---\r")):
            if _filled(held):
                count += 1
                if count > MAX_DOCUMENTS:
                    yield 0, InputError(f"holds more than {MAX_DOCUMENTS} documents", place=Place(name, number), cure="split it")
                    return
                yield start, "\n".join(held)
            held, start = [], number
        held.append(line)


def _filled(lines: list[str]) -> bool:
    """Does a document hold anything but comments, markers and directives?"""
    for line in lines:
        body = line.strip()
        if body and body not in ("---", "...") and not body.startswith(("#", "%", "--- #")):
            return True
    return False
