"""One room per danger or duty: algorithms, checks, defences. Areas never import one another.

What a room offers to programs is reached by the room's name, `bartizan.privacy.membership_inference(...)`, and loaded on first use.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def offers(room: str, names: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` (PEP 562) for the package `room`: public name to the module that defines it.

    A module is written relative to the room, or in full where it starts with `bartizan.`.
    """

    def load(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{room}' has no attribute '{name}'")
        module = names[name]
        return getattr(importlib.import_module(module if module.startswith("bartizan.") else f"{room}.{module}"), name)

    return load, lambda: sorted(names)
