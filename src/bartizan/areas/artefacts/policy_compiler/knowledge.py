"""What is known of names outside of the source that is analysed: which reach files, processes, network or code, and which do no harm."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

HARMFUL, CALLER, HARMLESS, UNKNOWN = "harmful", "caller", "harmless", "unknown"

INTERPRETER = frozenset(
    {"__globals__", "__builtins__", "__subclasses__", "__loader__", "f_globals", "f_locals", "f_builtins", "__closure__", "__self_class__"}
)
"""Attributes by which code reaches what no import of its own names."""

SENSITIVE = frozenset(
    {
        "__new__", "__init__", "__setstate__", "__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__",
        "__del__", "__hash__", "__eq__", "__getattr__", "__getattribute__", "__setattr__", "__delattr__", "__class__", "__dict__",
        "__bases__", "__mro__", "__slots__", "__init_subclass__", "__set_name__", "__set__", "__get__", "__delete__", "__call__",
        "__setitem__", "append", "extend", "add", "update", "__iadd__", "__prepare__", "__instancecheck__", "__class_getitem__",
        "__len__", "__bool__", "__iter__", "__post_init__", "items",
    }
)  # fmt: skip
"""Attributes of a class by which loading runs its code, or that change what the class is."""

_PLAIN = (dict, list, set, frozenset, tuple, str, bytes, bytearray, int, float, complex, bool, range, slice)


class Known(NamedTuple):
    """What a name does (one of the four words above) and why, as a verb phrase."""

    what: str
    why: str


class Knowledge:
    """The table `data/effects.yaml`."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._exact: dict[str, Known] = {}
        self._patterns: list[tuple[str, Known]] = []
        for what, key in ((HARMLESS, "harmless"), (CALLER, "callers"), (HARMFUL, "harmful")):
            for row in table[key]:
                for name in str(row["names"]).split():
                    self._add(name, Known(what, str(row.get("why", ""))))
        self.harmful_methods = frozenset(str(table["methods"]["harmful"]).split())
        self.harmless_methods = frozenset(str(table["methods"]["harmless"]).split()) | _methods_of_plain_data()

    def _add(self, name: str, known: Known) -> None:
        if name.endswith(".*"):
            self._exact[name[:-1]] = known
        elif "*" in name:
            self._patterns.append((name, known))
        else:
            self._exact[name] = known

    def of(self, name: str) -> Known:
        """What the dotted `name` does. The most exact row decides."""
        found = self._exact.get(name)
        if found is not None:
            return found
        for pattern, known in self._patterns:
            if fnmatch.fnmatchcase(name, pattern):
                return known
        head = name
        while head:
            found = self._exact.get(f"{head}.")
            if found is not None:
                return found
            head = head.rpartition(".")[0]
            if head in self._exact:
                return self._exact[head]
        top = name.partition(".")[0]
        kind = "of the standard library" if top in sys.stdlib_module_names else "whose source is not at hand"
        return Known(UNKNOWN, f"is a name {kind} that nobody looked at")


def _methods_of_plain_data() -> frozenset[str]:
    names = {name for kind in _PLAIN for name in dir(kind) if not name.startswith("__")}
    return frozenset(names)


@cache
def shipped() -> Knowledge:
    """The table that comes with bartizan."""
    from bartizan.documents import read

    table = read(Path(__file__).parent / "data" / "effects.yaml").value
    assert isinstance(table, dict)
    return Knowledge(table)
