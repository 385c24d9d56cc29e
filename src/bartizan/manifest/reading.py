"""From the manifest file to a `System`."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bartizan import documents
from bartizan.documents import Located
from bartizan.manifest.addresses import format_of
from bartizan.manifest.rules import RULES
from bartizan.manifest.sections import SECTIONS, Manifest
from bartizan.model.errors import InputError
from bartizan.model.system import Asset, Kind, System

FILE_NAME = "bartizan.yaml"
"""The name under which a folder's manifest is looked for."""


def load(path: Path, *, name: str | None = None) -> System:
    """The system declared in the file at `path`, or in `bartizan.yaml` where `path` is a folder.

    `name` is what errors and places call the file (default: the path as given). Raises `InputError` with file and line.
    """
    file = path / FILE_NAME if os.path.isdir(path) else path
    shown = str(file) if name is None else name
    if not os.path.lexists(file):
        raise InputError("there is no manifest", place=shown, cure="draft one with 'bartizan init'")
    with documents.uncollected():
        return _system(documents.read(file, name=shown))


def parse(text: str, name: str) -> System:
    """The system declared in `text`; errors and places call it `name`. Raises `InputError` with file and line."""
    with documents.uncollected():
        return _system(documents.parse(text, name))


def _system(located: Located) -> System:
    manifest = documents.convert(located, Manifest)
    for rule in RULES:
        rule(manifest, located)
    fields = msgspec.structs.asdict(manifest.system)
    fields |= {section: getattr(manifest, section) for section in SECTIONS}
    fields["assets"] = tuple(_with_format(asset) for asset in manifest.assets)
    fields["at"] = located.place(("system",))
    return System(**fields)


def _with_format(asset: Asset) -> Asset:
    """The asset with the model format that its file's name tells, where the manifest does not say it."""
    if asset.kind is not Kind.MODEL or asset.format is not None or asset.uri is None:
        return asset
    told = format_of(asset.uri)
    return asset if told is None else msgspec.structs.replace(asset, format=told)
