"""A project: the manifest, the folder it stands in, what it declares, and where its state is kept.

State lives in `.bartizan/` beside the manifest: the evidence store, artefacts and keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bartizan.catalog import Catalog
from bartizan.catalog import load as load_catalog
from bartizan.manifest import load as load_manifest
from bartizan.model.errors import InputError, UnknownName
from bartizan.model.system import System
from bartizan.model.threats import ThreatModel
from bartizan.threatmodel import threats_of

MANIFEST = "bartizan.yaml"
STATE = ".bartizan"


class Project:
    """What one manifest declares. Reads the manifest at once; the catalogue and the threat model when first asked for."""

    def __init__(self, manifest: Path) -> None:
        self.manifest = manifest
        self.root = manifest.parent
        self.state = self.root / STATE
        self.system: System = load_manifest(manifest, name=manifest.name)

    @cached_property
    def catalog(self) -> Catalog:
        """The shipped catalogue and what the manifest adds to it. Raises `UnknownName` for a claim of an unknown control."""
        catalog = load_catalog(self._own_catalogs())
        for claim in self.system.controls:
            if claim.control not in catalog.controls and claim.control not in catalog.aliases:
                raise UnknownName("control", claim.control, list(catalog.controls), place=claim.at)
        return catalog

    @cached_property
    def model(self) -> ThreatModel:
        """The threats to the declared system."""
        return threats_of(self.system, self.catalog)

    def _own_catalogs(self) -> Sequence[Path]:
        own = [self.root / name for name in self.system.catalogs]
        for path, name in zip(own, self.system.catalogs, strict=True):
            if not path.exists():
                raise InputError(
                    f"catalogs: nothing at '{name}'", place=self.manifest.name, cure="name a file or folder beside the manifest"
                )
        return own


def find(path: Path) -> Project:
    """The project at `path`: a manifest, or a folder that holds `bartizan.yaml`. Raises `InputError` with the next step."""
    if path.is_dir():
        manifest = path / MANIFEST
        if not manifest.is_file():
            raise InputError(f"no {MANIFEST} here", place=str(path), cure=f"draft one with: bartizan init {path}")
        return Project(manifest)
    if not path.is_file():
        raise InputError("no such file or folder", place=str(path))
    return Project(path)
