"""Derives the policy of a package from its files: the names that a pickle may use, in which ways, and what is left out and why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bartizan import __version__
from bartizan.areas.artefacts.pickles import Policy
from bartizan.areas.artefacts.policy_compiler.importing import Imports, imported
from bartizan.areas.artefacts.policy_compiler.modules import Class, Function, Module, World
from bartizan.areas.artefacts.policy_compiler.shapes import Shapes
from bartizan.areas.artefacts.policy_compiler.sources import Environment, Package, Source, classes_in_binary
from bartizan.areas.artefacts.policy_compiler.uses import Allowed, Left, Uses

_NOT_FOR_MODELS = re.compile(r"(^|\.)(tests?|testing|conftest|setup|__main__|test_\w+|benchmarks?|examples?|docs)(\.|$)")
"""Modules whose names no model needs."""

Document = dict[str, Any]


def compile_policy(
    names: Sequence[str], environment: Environment, *, trust_compiled: bool = False, policy: Policy | None = None
) -> Document:
    """The policy of the packages `names` as they lie in `environment`, unsigned: `about`, `allow`.

    Bases outside of a package are resolved through `policy` (the shipped one by default) and the source in the environment.
    `trust_compiled` takes the classes that Cython made picklable on trust. Raises `InputError` where a package is not there, `Refused`
    where its files are not those that were installed.
    """
    about: Document = {"tool": f"bartizan {__version__}", "packages": []}
    allow: list[Document] = []
    left: list[Left] = []
    for name in names:
        package = environment.package(name)
        allowed, not_allowed = _compiled(package, environment, trust_compiled, policy or Policy.shipped())
        allow += _rows(allowed)
        left += not_allowed
        described: Document = {"name": package.name, "version": package.version, "sha256": package.digest, "files": package.files}
        about["packages"].append(described)
    if trust_compiled:
        about["compiled"] = "compiled modules were not seen: what is allowed of them is taken on trust (--trust-compiled)"
    about["left"] = [{"name": item.name, **({"use": item.use} if item.use else {}), "why": item.why} for item in dict.fromkeys(left)]
    return {"about": about, "allow": allow}


def _compiled(package: Package, environment: Environment, trust: bool, policy: Policy) -> tuple[list[Allowed], list[Left]]:
    world = World(environment)
    modules = _modules(world, package)
    shapes = Shapes(world, policy, modules, package.tops)
    uses = Uses(world, shapes)
    imports = Imports(world, shapes, uses.bodies)
    left = [Left(name, why) for name, why in world.problems.items() if name.partition(".")[0] in package.tops]
    left += [Left(path, "runs code whenever Python starts, before any model is loaded") for path in package.starts]
    allowed: list[Allowed] = []
    for verdict in _verdicts(uses, imports, modules):
        if isinstance(verdict, Allowed):
            allowed.append(verdict)
        else:
            left += verdict
    for source in package.modules:
        if source.compiled and not _NOT_FOR_MODELS.search(source.module):
            one, other = _binary(source, environment, trust)
            allowed += one
            left += other
    return _unambiguous(allowed, left), left + uses.left


def _verdicts(uses: Uses, imports: Imports, modules: Iterable[Module]) -> Iterator[Allowed | list[Left]]:
    """The verdicts on the classes, functions and named tuples of the modules that models may need."""
    rebuilders = uses.rebuilders()
    classes: dict[Module, list[Class]] = {}
    for cls in uses.shapes.classes():
        classes.setdefault(cls.module, []).append(cls)
    for module in modules:
        things = [*classes.get(module, ()), *_functions(module)]
        tuples = uses.named_tuples(module)
        if _NOT_FOR_MODELS.search(module.name) or not (things or tuples):
            continue
        harm = imports.harm(module)
        if not harm:
            yield from tuples
        for thing in things:
            if harm:
                yield [Left(str(thing), harm)]
            elif isinstance(thing, Class):
                yield uses.of_class(thing)
            else:
                yield uses.of_function(thing, thing in rebuilders)


def _modules(world: World, package: Package) -> list[Module]:
    """The modules in Python that models may need, and those of the package that they import."""
    wanted = [source.module for source in package.modules if not source.compiled and not _NOT_FOR_MODELS.search(source.module)]
    seen = set(wanted)
    found: list[Module] = []
    for name in wanted:
        module = world.module(name)
        if module is None:
            continue
        found.append(module)
        for other in imported(world, module, package.tops):
            if other not in seen:
                seen.add(other)
                wanted.append(other)
    return found


def _functions(module: Module) -> list[Function]:
    """The functions that names at the top level of a module stand for and nothing else does."""
    found = []
    for bounds in module.bindings.values():
        if bounds and all(isinstance(bound, Function) for bound in bounds):
            found += [bound for bound in bounds if isinstance(bound, Function)]
    return found


def _unambiguous(allowed: Sequence[Allowed], left: Iterable[Left]) -> list[Allowed]:
    """One verdict for each name: where one of several definitions is refused or has fewer uses, that counts."""
    refused = {item.name for item in left if not item.use}
    kept: dict[tuple[str, str], Allowed] = {}
    for item in allowed:
        if f"{item.module}.{item.name}" in refused:
            continue
        key = (item.module, item.name)
        other = kept.get(key)
        if other is not None:
            both = tuple(use for use in item.uses if use in other.uses)
            item = Allowed(*key, both, item.why, tuple({**dict(item.rules), **dict(other.rules)}.items()))
        kept[key] = item
    return list(kept.values())


def _binary(source: Source, environment: Environment, trust: bool) -> tuple[list[Allowed], list[Left]]:
    if not trust:
        return [], [Left(source.module, "is compiled: its classes cannot be seen, so none is allowed without --trust-compiled")]
    names = sorted(classes_in_binary(environment.read(source)))
    why = "On trust: compiled, so nobody saw what its methods do."
    allowed = [Allowed(source.module, name, ("new", "call", "build"), why) for name in names]
    made = "On trust: makes an instance of the compiled class that it is given."
    return allowed + [Allowed(source.module, f"__pyx_unpickle_{name}", ("call", "build"), made, ((0, "made"),)) for name in names], []


def _rows(allowed: Iterable[Allowed]) -> list[Document]:
    """Entries in the format of the shipped policy, names with the same uses and reason of one module in one row."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for item in allowed:
        groups.setdefault((item.module, item.uses, item.rules, item.why), []).append(item.name)
    rows = []
    for (module, uses, rules, why), names in sorted(groups.items(), key=lambda pair: (pair[0][0], pair[1][0])):
        row: Document = {"modules": module, "names": " ".join(sorted(names))}
        if uses:
            row["uses"] = " ".join(uses)
        if rules:
            row["arguments"] = dict(rules)
        if any(name.startswith("__pyx_unpickle_") for name in names):
            row |= {"makes": 0, "confined": True}
        rows.append(row | {"why": why})
    return rows
