"""Candidates for the shipped policy of pickles: classes of an installed package or wheel that no entry is for, and what to look at.

    python benchmarks/artefacts/draft_policy.py scikit_learn-1.6.1-....whl
    python benchmarks/artefacts/draft_policy.py site-packages/pandas --json

The package is parsed and never imported. A class is `plain` when neither it nor a base of it within the package defines a method that a
loader, a state or the end of an object would call; all others are listed with these methods and the file and line where each stands, for a
person to read. Bases from elsewhere are named. Nothing here edits the policy: an entry is written by whoever looked at the class.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bartizan.areas.artefacts.pickles import Policy

TELLING = frozenset(
    [
        "__new__",
        "__setstate__",
        "__reduce__",
        "__reduce_ex__",
        "__del__",
        "__getattr__",
        "__getattribute__",
        "__setattr__",
        "__getnewargs__",
        "__getnewargs_ex__",
        "__init_subclass__",
        "__set_name__",
        "__setitem__",
        "append",
        "extend",
        "add",
        "update",
        "__hash__",
        "__eq__",
        "__call__",
        "__iter__",
        "__array__",
    ]
)
"""Methods that loading, filling, comparing, calling or dropping an instance may run."""

SKIPPED = frozenset({"tests", "test", "testing", "conftest", "_testing", "benchmarks", "externals", "datasets", "vendored", "setup"})
"""Folders and modules whose classes no file of a model holds."""

INERT = frozenset({"object", "ABC", "Generic", "Protocol", "NamedTuple", "tuple", "dict", "list", "UserDict", "UserList", "Exception"})
"""Bases from elsewhere without code of their own for a state."""


@dataclass
class Class:
    """A class as its text says: where it stands, the last parts of its bases' names, and the telling methods it defines."""

    module: str
    name: str
    place: str
    bases: tuple[str, ...]
    methods: dict[str, int] = field(default_factory=dict)


@dataclass
class Candidate:
    """A class that no entry is for, the telling methods with where each stands, and the bases that are not in its package."""

    cls: Class
    look_at: dict[str, str]
    bases_elsewhere: set[str]

    def __str__(self) -> str:
        look = ", ".join(f"{name} ({place})" for name, place in self.look_at.items()) or "plain"
        beyond = "; bases elsewhere: " + ", ".join(sorted(self.bases_elsewhere)) if self.bases_elsewhere else ""
        return f"{self.cls.module}.{self.cls.name}: {look}{beyond}"

    def json(self) -> str:
        """The same as one JSON object."""
        cls = self.cls
        row = {"module": cls.module, "name": cls.name, "place": cls.place, "look_at": self.look_at}
        return json.dumps({**row, "bases_elsewhere": sorted(self.bases_elsewhere)})


def sources(path: Path) -> Iterator[tuple[str, str, str]]:
    """The modules of a package folder or wheel: dotted name, file, text."""
    if path.is_file():
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                if name.endswith(".py") and ".dist-info/" not in name:
                    yield dotted(PurePosixPath(name)), name, wheel.read(name).decode("utf-8", "replace")
        return
    for file in sorted(path.rglob("*.py")):
        inside = PurePosixPath(path.name) / file.relative_to(path).as_posix()
        yield dotted(inside), str(inside), file.read_text("utf-8", "replace")


def dotted(file: PurePosixPath) -> str:
    """The module that a file of a package is."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def classes(path: Path) -> Iterator[Class]:
    """The classes on the top level of the modules of a package."""
    for module, file, text in sources(path):
        if SKIPPED & set(module.split(".")):
            continue
        try:
            tree = ast.parse(text)
        except SyntaxError as error:
            print(f"{file}:{error.lineno}: cannot be parsed, not looked at", file=sys.stderr)
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                yield described(node, module, file)


def described(node: ast.ClassDef, module: str, file: str) -> Class:
    """What the text of a class says."""
    bases = tuple(ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases)
    found = Class(module, node.name, f"{file}:{node.lineno}", bases)
    for item in node.body:
        names = [item.name] if isinstance(item, ast.FunctionDef) else []
        if isinstance(item, ast.Assign):
            names = [target.id for target in item.targets if isinstance(target, ast.Name)]
        for name in names:
            if name in TELLING:
                found.methods[name] = item.lineno
    return found


def inherited(cls: Class, known: dict[str, list[Class]], seen: frozenset[str] = frozenset()) -> tuple[dict[str, str], set[str]]:
    """The telling methods of a class and its bases, with where each stands, and the bases that are not in the package."""
    methods = {name: f"{cls.place.rpartition(':')[0]}:{line}" for name, line in cls.methods.items()}
    outside: set[str] = set()
    for base in cls.bases:
        if base in seen:
            continue
        if base not in known:
            outside |= {base} - INERT
            continue
        for parent in known[base]:
            above, beyond = inherited(parent, known, seen | {cls.name, base})
            methods = above | methods
            outside |= beyond
    return methods, outside


def candidates(path: Path, policy: Policy) -> list[Candidate]:
    """The classes that no entry is for, those that are plain first."""
    found = list(classes(path))
    known: dict[str, list[Class]] = {}
    for cls in found:
        known.setdefault(cls.name, []).append(cls)
    rows = [Candidate(cls, *inherited(cls, known)) for cls in found if policy.entry(cls.module, cls.name) is None]
    return sorted(rows, key=lambda row: (bool(row.look_at), row.cls.module, row.cls.name))


def main() -> None:
    """Prints the candidates of the packages named on the command line."""
    parser = argparse.ArgumentParser(description="candidates for the shipped policy of pickles; the policy is not changed")
    parser.add_argument("paths", nargs="+", type=Path, metavar="WHEEL_OR_FOLDER")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    policy = Policy.shipped()
    for path in options.paths:
        for row in candidates(path, policy):
            print(row.json() if options.json else row)


if __name__ == "__main__":
    main()
