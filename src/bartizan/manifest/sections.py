"""The shape of the manifest: which keys stand at its top, made from the fields of `System` so that the two cannot part."""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from bartizan.model.system import Actor, Appetite, Asset, Claim, Dataset, Decision, Flow, System, Zone

VERSION = 1
"""The version of the manifest that is read and written."""

SECTIONS: dict[str, Any] = {
    "zones": tuple[Zone, ...],
    "actors": tuple[Actor, ...],
    "datasets": tuple[Dataset, ...],
    "assets": tuple[Asset, ...],
    "flows": tuple[Flow, ...],
    "controls": tuple[Claim, ...],
    "appetite": Appetite,
    "decisions": tuple[Decision, ...],
    "catalogs": tuple[str, ...],
}
"""The parts of a system that have a key of their own at the top of the manifest."""

NODES = ("zones", "actors", "datasets", "assets")
"""Sections whose entries have an id."""


def _system_section() -> Any:
    hints = typing.get_type_hints(System)
    fields = [
        (f.name, hints[f.name]) if f.required else (f.name, hints[f.name], f.default)
        for f in msgspec.structs.fields(System)
        if f.name not in SECTIONS
    ]
    made = msgspec.defstruct("System", fields, kw_only=True, frozen=True, forbid_unknown_fields=True)
    made.__doc__ = "What the system is called, what it is for, who answers for it and how it is run."
    return made


def _manifest() -> Any:
    parts = [(name, shape, Appetite() if shape is Appetite else ()) for name, shape in SECTIONS.items()]
    fields: list[Any] = [("bartizan", int), ("system", SystemSection), *parts]
    made = msgspec.defstruct("Manifest", fields, kw_only=True, frozen=True, forbid_unknown_fields=True)
    made.__doc__ = "An AI system as its owner declares it to bartizan. What is left out is unknown; unknown raises a question."
    return made


SystemSection: Any = _system_section()
"""The struct behind the key `system`: every field of `System` that is not a section."""

Manifest: Any = _manifest()
"""The struct behind the whole document."""
