"""YAML and JSON as plain values that still know their lines; tags such as CloudFormation's `!Ref` are left as the text behind them."""

from __future__ import annotations

from typing import Any

import yaml

from bartizan.documents.nodes import compose

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "null": None, "~": None, "": None}


class Lined(dict[str, Any]):
    """A mapping that knows the line it starts on, and that of each key."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}


def read(text: str, name: str) -> Any:
    """The one document in `text`. Raises `InputError` where it cannot be read."""
    return _plain(compose(text, name))


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        found = Lined(node.start_mark.line + 1)
        for key, value in node.value:
            word = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            found[word] = _plain(value)
            found.lines[word] = key.start_mark.line + 1
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value) for value in node.value]
    assert isinstance(node, yaml.ScalarNode)
    text = str(node.value)
    return text if node.style or (node.tag or "").startswith("!") else _WORDS.get(text.lower(), text)
