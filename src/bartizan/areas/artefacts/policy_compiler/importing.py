"""What importing a module does: looking up a name imports its module and every module above it, so that has to be harmless first."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bartizan.areas.artefacts.policy_compiler.bodies import Finding, Walker
from bartizan.areas.artefacts.policy_compiler.modules import Imported, Module, World, absolute, statements
from bartizan.areas.artefacts.policy_compiler.reaching import Bodies
from bartizan.areas.artefacts.policy_compiler.shapes import Shapes

_USUAL = (
    "sys.", "os.environ", "os.path", "os.listdir", "os.scandir", "os.register_at_fork", "os.add_dll_directory", "os.stat", "os.walk",
    "importlib.", "pkgutil.", "inspect.", "gc.", "logging.", "multiprocessing.", "pkg_resources.", "copyreg.", "glob.", "platform.",
    "tempfile.gettempdir", "signal.", "numpy.testing.", "concurrent.futures.", "asyncio.", "threading.", "resource.",
)  # fmt: skip
"""What modules do when they are imported without harm to others: settings, look-ups of their own parts and of files that they read."""


class Imports:
    """Answers what stands behind the import of a module of the package."""

    def __init__(self, world: World, shapes: Shapes, bodies: Bodies) -> None:
        self.world, self.shapes, self.bodies = world, shapes, bodies
        self._own: dict[str, str] = {}

    def harm(self, module: Module) -> str:
        """Why the import of a module is not harmless; empty where nothing was found in it and in what it imports of its package."""
        queue, seen = [module.name, *_above(module.name)], {module.name}
        for name in queue:
            found = self.world.module(name)
            if found is None:
                continue
            if name not in self._own:
                self._own[name] = self._harm(found)
            if self._own[name]:
                return self._own[name]
            for other in imported(self.world, found, self.shapes.tops):
                for each in (other, *_above(other)):
                    if each not in seen:
                        seen.add(each)
                        queue.append(each)
        return ""

    def _harm(self, module: Module) -> str:
        walker = Walker(self.world, self.shapes, module, (), None, None)
        try:
            for statement in module.tree.body:
                walker.visit(statement)
        except RecursionError:
            return f"nests too deep to be read ({module.name})"
        found = [*walker.direct.findings, *self.bodies.leads_to(walker.direct.steps, strict=False)]
        worst = next((finding for finding in found if finding.hard and not _usual(finding)), None)
        return "" if worst is None else f"importing it {worst}"


def _usual(finding: Finding) -> bool:
    if finding.name in ("builtins.open", "io.open", "codecs.open") or finding.name.startswith((".read", ".open", "pathlib.")):
        return finding.reads
    return finding.name.startswith(_USUAL) or finding.name in (
        "f_locals",
        "f_globals",
        "__loader__",
        ".import_module",
        "builtins.__import__",
    )


def _above(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def imported(world: World, module: Module, tops: frozenset[str]) -> Iterator[str]:
    """The modules of the package that a module imports when it is imported."""
    for node in statements(module.tree.body):
        names: list[Imported] = []
        if isinstance(node, ast.Import):
            names = [Imported(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = absolute(module, node)
            names = [Imported(start), *(Imported(f"{start}.{alias.name}") for alias in node.names)]
        for found in names:
            if found.module.partition(".")[0] in tops and world.environment.find(found.module) is not None:
                yield found.module
