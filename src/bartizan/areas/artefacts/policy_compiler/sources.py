"""Finds the files of a package in a folder of installed packages or in a wheel, and reads them as bytes: nothing is imported or run."""

from __future__ import annotations

import base64
import csv
import email.parser
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bartizan.model.errors import InputError, Refused

LARGEST = 8 * 1024 * 1024
"""Largest source file, in bytes, that is read."""

COMPILED = (".so", ".pyd", ".dylib")

_BOOKKEEPING = re.compile(r"(^|/)__pycache__/|\.py[co]$|^\.\./|^[^/]*\.(dist-info|data|egg-info)/|^/")
"""Files of a distribution that are not its code: what installers write, and what lies outside the folder."""


class Tree(Protocol):
    """Files below one root, by paths with slashes."""

    def read(self, path: str) -> bytes:
        """The content. Raises `InputError` where it cannot be read."""
        ...

    def folder(self, path: str) -> frozenset[str]:
        """The names in a folder, empty where there is none; the root is the empty path."""
        ...


class Folder:
    """A folder such as `site-packages`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, frozenset[str]] = {}

    def read(self, path: str) -> bytes:
        """The content of a file."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", place=path) from None

    def folder(self, path: str) -> frozenset[str]:
        """The names in a folder."""
        if path not in self._known:
            try:
                self._known[path] = frozenset(item.name for item in (self.root / path).iterdir())
            except OSError:
                self._known[path] = frozenset()
        return self._known[path]


class Wheel:
    """A wheel, which is a zip archive of what is installed."""

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"is no wheel: {error}", place=path.name) from None
        self._folders: dict[str, set[str]] = {}
        for name in self._archive.namelist():
            parts = name.strip("/").split("/")
            for depth in range(len(parts)):
                self._folders.setdefault("/".join(parts[:depth]), set()).add(parts[depth])

    def read(self, path: str) -> bytes:
        """The content of a member; one that unpacks to more than `LARGEST` bytes is refused unless it is compiled code."""
        try:
            info = self._archive.getinfo(path)
            if info.file_size > (LARGEST * 64 if path.endswith(COMPILED) else LARGEST * 8):
                raise InputError(f"unpacks to {info.file_size} bytes", place=path)
            return self._archive.read(info)
        except (KeyError, OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            raise InputError(f"cannot be read: {error}", place=path) from None

    def folder(self, path: str) -> frozenset[str]:
        """The names in a folder of the archive."""
        return frozenset(self._folders.get(path, ()))


class Source(msgspec.Struct, frozen=True):
    """A module's file: its dotted name, its path below the root, whether it is a package's `__init__`, whether it is compiled."""

    module: str
    path: str
    package: bool
    compiled: bool
    tree: int = 0


class Package(msgspec.Struct, frozen=True):
    """A distribution: its name and version, the digest of its files (SHA-256 over path and SHA-256 of each), its modules, and
    the `.pth` files that run code whenever Python starts."""

    name: str
    version: str
    digest: str
    modules: tuple[Source, ...]
    files: int
    starts: tuple[str, ...] = ()

    @property
    def tops(self) -> frozenset[str]:
        """The first parts of its modules' names."""
        return frozenset(source.module.partition(".")[0] for source in self.modules)


class Environment:
    """Where modules are looked up: the trees in order, as `sys.path` has them."""

    def __init__(self, places: Sequence[Path]) -> None:
        self.trees: list[Tree] = []
        for place in places:
            if place.is_dir():
                self.trees.append(Folder(place))
            elif place.suffix == ".whl":
                self.trees.append(Wheel(place))
            else:
                raise InputError("is neither a folder of installed packages nor a wheel", place=str(place))

    def read(self, source: Source) -> bytes:
        """The content of a module's file."""
        return self.trees[source.tree].read(source.path)

    def find(self, module: str) -> Source | None:
        """The file of a module, None where there is none. A folder without `__init__` is none."""
        parent, _, last = module.replace(".", "/").rpartition("/")
        for index, tree in enumerate(self.trees):
            names = tree.folder(parent)
            here = f"{parent}/{last}" if parent else last
            if last in names and "__init__.py" in tree.folder(here):
                return Source(module, f"{here}/__init__.py", True, False, index)
            compiled = next((name for name in names if name.startswith(f"{last}.") and name.endswith(COMPILED)), None)
            if compiled is not None:
                return Source(module, f"{parent}/{compiled}" if parent else compiled, False, True, index)
            if f"{last}.py" in names:
                return Source(module, f"{here}.py", False, False, index)
        return None

    def package(self, name: str) -> Package:
        """The installed distribution of this name, or the one that has a module of this name. Raises `InputError`, `Refused`."""
        for index, tree in enumerate(self.trees):
            found = _record_of(tree, name)
            if found is not None:
                return self._described(index, *found)
        raise InputError(f"no package '{name}' is installed here", cure="name its folder with --environment, or give a wheel")

    def _described(self, index: int, info: str, rows: Sequence[Sequence[str]]) -> Package:
        tree = self.trees[index]
        metadata = email.parser.BytesParser().parsebytes(tree.read(f"{info}/METADATA"), headersonly=True)
        modules, lines, starts = [], [], []
        for path, said, *_ in sorted(rows, key=lambda row: row[0]):
            if path.endswith((".pyc", ".pyo")) and _replaces_source(tree, path, said):
                raise Refused("is compiled code that would run in place of the source", place=path, cure="do not use this package")
            if _BOOKKEEPING.search(path) or path.endswith("/"):
                continue
            content = tree.read(path)
            if said and said != (actual := f"sha256={_urlsafe(content)}") and said.startswith("sha256="):
                raise Refused(f"was changed after it was installed ({said[:20]} became {actual[:20]})", place=path, cure="install it again")
            lines.append(f"{path}\0{hashlib.sha256(content).hexdigest()}\n")
            if path.endswith(".pth") and re.search(rb"(?m)^import[ \t]", content):
                starts.append(path)
            source = _source(path, index)
            if source is not None:
                modules.append(source)
        if not modules:
            raise InputError(
                "lists no module of its own", place=str(metadata["Name"]), cure="an editable install has no files here; build a wheel"
            )
        digest = hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()
        return Package(str(metadata["Name"]), str(metadata["Version"]), digest, tuple(modules), len(lines), tuple(starts))


def _replaces_source(tree: Tree, path: str, said: str) -> bool:
    """Whether a `.pyc` came with the package, or is one that Python does not compare with its source (PEP 552, flag 1)."""
    if said:
        return True
    folder, _, name = path.rpartition("/")
    return name in tree.folder(folder) and tree.read(path)[4:8] == b"\x01\0\0\0"


def _urlsafe(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode("ascii")


def normalised(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _record_of(tree: Tree, name: str) -> tuple[str, list[list[str]]] | None:
    """The folder of metadata and the rows of RECORD of the distribution called `name` or holding the module `name`."""
    infos = sorted(item for item in tree.folder("") if item.endswith(".dist-info"))
    named = [item for item in infos if normalised(item.removesuffix(".dist-info").rpartition("-")[0]) == normalised(name)]
    for info in named:
        return info, _rows(tree, info)
    if not all(part.isidentifier() for part in name.split("/")):  # RECORD also lists scripts outside, as ../../bin/NAME
        return None
    for info in infos:
        rows = _rows(tree, info) if "RECORD" in tree.folder(info) else []
        if any(row[0] == f"{name}.py" or row[0].startswith(f"{name}/") for row in rows):
            return info, rows
    return None


def _rows(tree: Tree, info: str) -> list[list[str]]:
    text = tree.read(f"{info}/RECORD").decode("utf-8", "replace")
    return [[*row, "", ""][:3] for row in csv.reader(io.StringIO(text)) if row]


def _source(path: str, tree: int) -> Source | None:
    stem, dot, ending = path.rpartition("/")[2].partition(".")
    folder = path.rpartition("/")[0]
    compiled = path.endswith(COMPILED)
    if not dot or not (ending == "py" or compiled):
        return None
    parts = [*(folder.split("/") if folder else []), *([] if stem == "__init__" else [stem])]
    if not parts or not all(part.isidentifier() for part in parts):
        return None
    return Source(".".join(parts), path, stem == "__init__", compiled, tree)


def classes_in_binary(content: bytes) -> Iterator[str]:
    """Names of classes that Cython made picklable, as far as the text in a compiled module shows them."""
    seen = set()
    for found in re.finditer(
        rb"__pyx_unpickle_([A-Za-z_]\w{0,80})|([A-Za-z_]\w{0,80})\.__(?:reduce|setstate|getstate)(?:_cython)?__", content
    ):
        name = (found[1] or found[2]).decode("ascii")
        if name not in seen and not name.startswith("__Pyx") and name != "_":
            seen.add(name)
            yield name
