"""Reads JSON of strangers: bounded in size and depth, and telling of keys that stand there twice, which parsers resolve differently."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope

MAX_BYTES = 64 * MIB
"""Longest JSON text that is parsed."""

MAX_CONTAINERS, MAX_VALUES = 1_500_000, 6_000_000
"""Most objects and lists, and most values, of a text that is parsed: some 500 MB of memory."""

MAX_VISITED = 2_000_000
"""Most values that a walk over a parsed text visits."""


class NotJson(ValueError):
    """Bytes that are no JSON text. The message says why."""


def parse(data: bytes, piece: Piece | None = None, scope: Scope | None = None, *, start: int = 0) -> Any:
    """The value of a JSON text; a key that stands twice in an object is noted in `scope`. Raises `NotJson`."""
    if len(data) > MAX_BYTES:
        raise NotJson(f"is longer than {MAX_BYTES // MIB} MiB")
    if data.count(b"{") + data.count(b"[") > MAX_CONTAINERS or data.count(b",") > MAX_VALUES:
        raise NotJson("holds too many values")
    twice: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items) and len(twice) < 5:
            seen: set[str] = set()
            twice.extend(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return found

    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs)
    except RecursionError:
        raise NotJson("is nested too deep") from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    if twice and scope is not None and piece is not None:
        scope.unsure(f"the key '{twice[0][:80]}' stands twice in one object; parsers choose differently", piece, start)
    return value


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a parsed text, outer ones first. Raises `NotJson` where there are too many values."""
    stack, count = [value], 0
    while stack:
        count += 1
        if count > MAX_VISITED:
            raise NotJson("holds too many values")
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(inner for inner in item.values() if isinstance(inner, dict | list))
        elif isinstance(item, list):
            stack.extend(inner for inner in item if isinstance(inner, dict | list))
