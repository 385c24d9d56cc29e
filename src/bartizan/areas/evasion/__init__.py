"""Evasion: inputs changed so that a model errs; attacks, proofs and defences. Names load on first use; importing it loads no torch."""

from __future__ import annotations

import importlib
from typing import Any

EXPORTS = {
    "attack": "api",
    "target_of": "api",
    "minimum_norm": "api",
    "patch": "api",
    "universal": "api",
    "AtRadius": "result",
    "Outcome": "result",
    "Passes": "result",
    "Result": "result",
    "Trust": "result",
    "Space": "norms",
}
"""Public name -> module of this room that defines it."""


def __getattr__(name: str) -> Any:
    """Loads the module behind a public name (PEP 562)."""
    if name not in EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{EXPORTS[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *EXPORTS})
