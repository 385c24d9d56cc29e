"""The bill of materials of a project: what it declares, the hashes of what lies there, its packages, and the evidence that still counts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import bartizan
from bartizan.adapters.files import files_below, local_path, shown
from bartizan.areas.dependencies.inventory import Installed, packages_in
from bartizan.governance.bill import bill_of
from bartizan.model.bill import Bill, FileHash, Part, PartKind
from bartizan.model.errors import BartizanError
from bartizan.model.risks import Evidence
from bartizan.model.system import Asset, Dataset, Kind
from bartizan.workflows import register
from bartizan.workflows.project import Project

CHUNK = 1024 * 1024

Progress = Callable[[str], None]


def bill(project: Project, evidence: tuple[Evidence, ...] = (), progress: Progress | None = None) -> tuple[Bill, list[str]]:
    """The bill of `project`, and what could not be read, each as one line. `evidence` is current evidence (`register.standing`)."""
    files: dict[str, list[FileHash]] = {}
    packages: dict[str, list[Part]] = {}
    missing: list[str] = []
    nodes: tuple[Dataset | Asset, ...] = (*project.system.datasets, *project.system.assets)
    for node in nodes:
        try:
            files[node.id] = _files(project, node, progress)
            if isinstance(node, Asset) and node.kind is Kind.DEPENDENCIES and node.uri:
                found = packages_in(local_path(project.root, node.uri, node.at), project.root)
                packages[node.id] = [_library(package) for package in found]
        except BartizanError as error:
            missing.append(str(error))
    made = register.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    threats = project.catalog.threats
    tool = f"bartizan {bartizan.__version__}"
    return bill_of(project.system, files, packages, evidence, threats, made=made, tool=tool), missing


def _files(project: Project, node: Asset | Dataset, progress: Progress | None) -> list[FileHash]:
    """Every local file that the node's uri and exports name, with its hash. Remote ones have none."""
    uris = [node.uri, *((node.exports or ()) if isinstance(node, Asset) else ())]
    found = {}
    for uri in uris:
        if uri is None or ("://" in uri and not uri.startswith("file:")):
            continue
        for path in files_below(project.root, local_path(project.root, uri, node.at)):
            name = shown(project.root, path)
            if progress is not None:
                progress(name)
            found[name] = FileHash(path=name, size=path.stat().st_size, sha256=_sha256(path))
    return [found[name] for name in sorted(found)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _library(package: Installed) -> Part:
    return Part(ref=package.purl, kind=PartKind.LIBRARY, name=package.name, version=package.version or "", purl=package.purl)
