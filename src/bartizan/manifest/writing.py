"""From a `System` back to the text of a manifest."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import yaml

from bartizan.manifest.sections import SECTIONS, VERSION
from bartizan.model.system import Appetite, System

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def dump(system: System) -> str:
    """A manifest that loads to a system equal to `system` but for its places: what is unknown or empty is left out."""
    plain = _said(msgspec.to_builtins(system, builtin_types=(dt.date,)))
    default = _said(msgspec.to_builtins(Appetite()))
    head = {key: value for key, value in plain.items() if key not in SECTIONS}
    parts = {key: plain[key] for key in SECTIONS if plain.get(key) and plain[key] != default}
    return f"bartizan: {VERSION}\n" + "".join(_text({key: value}) for key, value in {"system": head, **parts}.items())


def _text(block: dict[str, Any]) -> str:
    text: str = yaml.dump(block, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return text


def _said(value: Any) -> Any:
    """`value` without keys that are None and without places."""
    if isinstance(value, dict):
        return {key: _said(part) for key, part in value.items() if part is not None and key != "at"}
    if isinstance(value, list | tuple):
        return [_said(part) for part in value]
    return value
