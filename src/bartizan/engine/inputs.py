"""The files and folders that a job reads, with digests of their content: a changed byte is a different job."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bartizan.model.findings import Input
from bartizan.model.system import Element, Kind, kind_of

FIELDS = (
    "uri",
    "code",
    "exports",
    "system_prompt",
    "incident_plan",
    "architecture",
    "signature",
    "signed_by",
    "passport",
    "schema",
    "access",
    "configuration",
)
"""Fields of a node that may name local files or folders."""

STATE_FOLDER = ".bartizan"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_CACHES = frozenset({"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"})
_GIT_STATE = frozenset({"HEAD", "packed-refs", "refs"})
_HASHED_WHOLE = frozenset({Kind.DATASET, Kind.MODEL, Kind.STORE, Kind.REGISTRY})


def locate(uri: str, root: Path) -> Path | None:
    """Where `uri` is on this machine (relative ones start from `root`), or None where it names something remote."""
    if uri.startswith("file:"):
        parts = urlsplit(uri)
        return root / unquote(parts.path) if parts.netloc in ("", "localhost") else None
    if "\n" in uri or "\0" in uri:
        return None
    path = root / uri
    return None if _SCHEME.match(uri) and not _there(path) else path


def _there(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


class Inputs:
    """Digests of what nodes name, each file and folder read once. `root` is the folder of the manifest."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inside = os.path.realpath(root)
        self._known: dict[tuple[Path, bool], str | None] = {}

    def of(self, nodes: Iterable[Element]) -> tuple[Input, ...]:
        """One `Input` for each local file or folder that `nodes` name; remote uris are left out."""
        found: dict[str, Input] = {}
        for node in nodes:
            whole = kind_of(node) in _HASHED_WHOLE
            for uri in (*_uris(node), *self._signature_beside(node)):
                path = locate(uri, self.root)
                if path is not None and uri not in found:
                    found[uri] = Input(uri=uri, digest=self.digest(path, whole=whole))
        return tuple(found.values())

    def _signature_beside(self, node: Element) -> Iterator[str]:
        """The signature that lies beside a file or folder whose signer is declared, under its usual name."""
        uri = getattr(node, "uri", None)
        if uri and getattr(node, "signed_by", None) and not getattr(node, "signature", None):
            beside = f"{uri.rstrip('/')}.sig"
            path = locate(beside, self.root)
            if path is not None and _there(path):
                yield beside

    def digest(self, path: Path, *, whole: bool = True) -> str | None:
        """`sha256:<hex>` of a file's content, or of a folder's sorted names and contents; None where nothing can be read.

        What lies outside the root, by its path or over a link, is never opened: its digest is None, as checks refuse to read it.
        `whole` takes in everything but our own state; without it caches of tools, virtual environments and the inner
        files of git are passed over too. Symbolic links inside a folder that lead out of the root count by their text.
        """
        key = (path, whole)
        if key not in self._known:
            if not self._within(os.path.realpath(path)):
                self._known[key] = None
            else:
                self._known[key] = self._folder(path, whole) if path.is_dir() else self._file(path)
        return self._known[key]

    def _within(self, path: str) -> bool:
        return path == self._inside or path.startswith(self._inside.rstrip(os.sep) + os.sep)

    def _file(self, path: Path) -> str | None:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return None
            with path.open("rb") as file:
                return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None

    def _folder(self, top: Path, whole: bool) -> str:
        total = hashlib.sha256()
        for name, path in sorted((os.fsencode(path.relative_to(top).as_posix()), path) for path in self._walk(top, whole)):
            if path.is_symlink() and not self._within(os.path.realpath(path)):
                content = f"link:{os.readlink(path)}"
            else:
                content = self._file(path) or "unreadable"
            total.update(b"%s\0%s\n" % (name, os.fsencode(content)))
        return "sha256:" + total.hexdigest()

    def _walk(self, top: Path, whole: bool) -> Iterator[Path]:
        """Files and links below `top`; folders reached over a link are followed nowhere, which ends every loop."""
        for folder, folders, files in os.walk(top):
            here = Path(folder)
            linked = [name for name in folders if (here / name).is_symlink()]
            folders[:] = [name for name in folders if name not in linked and not _passed_over(here, name, whole)]
            if not whole and here.name == ".git":
                folders[:] = [name for name in folders if name in _GIT_STATE]
                files = [name for name in files if name in _GIT_STATE]
            yield from (here / name for name in (*files, *linked))


def _passed_over(parent: Path, name: str, whole: bool) -> bool:
    if name == STATE_FOLDER:
        return True
    return not whole and (name in _CACHES or (parent / name / "pyvenv.cfg").is_file())


def _uris(node: Element) -> Iterator[str]:
    for field in FIELDS:
        value = getattr(node, field, None)
        if isinstance(value, str):
            yield (value.rpartition(":")[0] or value) if field == "architecture" else value
        elif value:
            yield from value
