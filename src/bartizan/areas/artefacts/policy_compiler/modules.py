"""Reads modules as syntax trees and says what a name in them stands for, through imports, aliases and attributes, running nothing."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bartizan.areas.artefacts.policy_compiler.sources import LARGEST, Environment, Source
from bartizan.model.errors import InputError

_IMPORTERS = frozenset({"importlib.import_module", "builtins.__import__"})

DEEPEST = 24
"""Most aliases and imports that are followed for one name."""


@dataclass(eq=False)
class Module:
    """One module: its tree and what its names are bound to at its top level, in every branch."""

    name: str
    package: bool
    tree: ast.Module
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Class:
    """A class statement."""

    module: Module
    qualname: str
    node: ast.ClassDef

    def __str__(self) -> str:
        return f"{self.module.name}.{self.qualname}"


@dataclass(eq=False)
class Function:
    """A function or lambda. `owner` is the class in whose body it stands; `around` the function."""

    module: Module
    qualname: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    owner: Class | None = None
    around: Function | None = None

    def __str__(self) -> str:
        return f"{self.module.name}.{self.qualname}"


@dataclass(frozen=True)
class Outside:
    """A name whose source is not at hand: of the standard library, compiled, or not installed."""

    name: str


@dataclass(frozen=True)
class Whole:
    """A module whose source is at hand."""

    name: str


@dataclass(frozen=True)
class Unknown:
    """A value that the text does not tell: a parameter, an attribute of an object, what a call gave back."""

    why: str = "computed"


@dataclass(frozen=True)
class Instance(Unknown):
    """What calling a class of the text gives back."""

    cls: Class | None = None


UNKNOWN = Unknown()
DATA = Unknown("data")

Target = Class | Function | Outside | Whole | Unknown


@dataclass(frozen=True)
class Imported:
    """`import` of a module (`name` empty) or of a name from it."""

    module: str
    name: str = ""


Binding = Class | Function | Imported | ast.expr | Unknown
Scope = dict[str, list[Binding]]


class World:
    """All modules of an environment, read when they are asked for."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.problems: dict[str, str] = {}
        self._modules: dict[str, Module | None] = {}
        self._functions: dict[ast.AST, Function] = {}
        self._classes: dict[ast.AST, Class] = {}
        self._looked_up: dict[tuple[str, str], list[Target]] = {}
        self._members: dict[Class, Scope] = {}
        self._busy: set[tuple[int, str]] = set()

    def module(self, name: str) -> Module | None:
        """A module, None where there is no source of it."""
        if name not in self._modules:
            self._modules[name] = None
            source = self.environment.find(name)
            if source is not None and not source.compiled:
                self._modules[name] = self.parsed(source)
        return self._modules[name]

    def parsed(self, source: Source) -> Module | None:
        """The module in a file; None, with a line in `problems`, where it is no Python."""
        try:
            content = self.environment.read(source)
            if len(content) > LARGEST:
                raise ValueError(f"longer than {LARGEST} bytes")
            tree = ast.parse(content)
        except (SyntaxError, ValueError, RecursionError, MemoryError, InputError) as error:
            self.problems[source.module] = f"cannot be read as Python: {type(error).__name__}: {error}"[:200]
            return None
        module = Module(source.module, source.package, tree)
        for statement in statements(tree.body):
            self._bind(module, module.bindings, statement, None, None)
            if not isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for name in _bound_oddly(statement):
                    module.bindings.setdefault(name, []).append(UNKNOWN)
        self._modules[source.module] = module
        return module

    def class_of(self, module: Module, node: ast.ClassDef, prefix: str) -> Class:
        """The one object for a class statement."""
        return self._classes.setdefault(node, Class(module, prefix + node.name, node))

    def function_of(self, module: Module, node: ast.AST, prefix: str, owner: Class | None, around: Function | None = None) -> Function:
        """The one object for a function or lambda."""
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        name = prefix + getattr(node, "name", "<lambda>")
        return self._functions.setdefault(node, Function(module, name, node, owner, around))

    def scope(self, function: Function) -> Scope:
        """What the names in a function are bound to: parameters, assignments, imports, inner functions."""
        found: Scope = {}
        inner = function.node
        for argument in arguments_of(inner):
            found.setdefault(argument.arg, []).append(Unknown("parameter"))
        for argument, default in _defaults(inner):
            found[argument.arg].append(default)
        if not isinstance(inner, ast.Lambda):
            for node in statements(inner.body):
                self._bind(function.module, found, node, None, function)
        for part in ast.walk(inner):
            if isinstance(part, ast.comprehension):
                _bind_target(found, part.target, UNKNOWN)
            elif isinstance(part, ast.NamedExpr):
                _bind_target(found, part.target, part.value)
            elif isinstance(part, ast.Global | ast.Nonlocal):
                for name in part.names:
                    found.pop(name, None)
        return found

    def _bind(self, module: Module, into: Scope, node: ast.stmt, owner: Class | None, around: Function | None) -> None:
        if isinstance(node, ast.ClassDef):
            into.setdefault(node.name, []).append(self.class_of(module, node, "" if around is None else f"{around.qualname}.<locals>."))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            prefix = "" if around is None else f"{around.qualname}.<locals>."
            into.setdefault(node.name, []).append(self.function_of(module, node, prefix, owner, around))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                bound = Imported(alias.name if alias.asname else alias.name.partition(".")[0])
                into.setdefault(alias.asname or alias.name.partition(".")[0], []).append(bound)
        elif isinstance(node, ast.ImportFrom):
            start = absolute(module, node)
            for alias in node.names:
                if alias.name == "*":
                    module.stars.append(start)
                else:
                    into.setdefault(alias.asname or alias.name, []).append(Imported(start, alias.name))
        else:
            _bind_assigned(into, node)

    def resolve(self, module: Module, node: ast.expr, scopes: Sequence[Scope] = (), depth: int = 0) -> list[Target]:
        """What an expression stands for. More than one target: any of them."""
        if depth > DEEPEST:
            return [UNKNOWN]
        if isinstance(node, ast.Name):
            return self._name(module, node.id, scopes, depth)
        if isinstance(node, ast.Attribute):
            return [
                found
                for base in self.resolve(module, node.value, scopes, depth + 1)
                for found in self._attribute(base, node.attr, depth + 1)
            ]
        if isinstance(node, ast.Lambda):
            return [self.function_of(module, node, "", None)]
        if isinstance(node, ast.IfExp):
            return [found for part in (node.body, node.orelse) for found in self.resolve(module, part, scopes, depth + 1)]
        if isinstance(node, ast.BoolOp):
            return [found for part in node.values for found in self.resolve(module, part, scopes, depth + 1)]
        if isinstance(node, ast.NamedExpr):
            return self.resolve(module, node.value, scopes, depth + 1)
        if isinstance(node, ast.Subscript):  # Generic[T], or an item of something
            found = self.resolve(module, node.value, scopes, depth + 1)
            return [item if isinstance(item, Class | Outside) else UNKNOWN for item in found]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr" and len(node.args) >= 2:
            name = node.args[1]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                bases = self.resolve(module, node.args[0], scopes, depth + 1)
                return [found for base in bases for found in self._attribute(base, name.value, depth + 1)]
            return [UNKNOWN]
        if isinstance(node, ast.Call):
            made = self.resolve(module, node.func, scopes, depth + 1)
            if made and all(isinstance(item, Outside) and item.name in _IMPORTERS for item in made):
                first = node.args[0] if node.args else None
                told = isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith(".")
                return self._imported(Imported(first.value), depth + 1) if told else [UNKNOWN]  # type: ignore[union-attr]
            return [Instance("computed", item) if isinstance(item, Class) else UNKNOWN for item in made]
        return [DATA] if isinstance(node, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.JoinedStr) else [UNKNOWN]

    def _name(self, module: Module, name: str, scopes: Sequence[Scope], depth: int) -> list[Target]:
        for index, scope in enumerate(scopes):
            if name in scope:
                return self._all(module, (id(scope), name), scope[name], scopes[index:], depth)
        return self.lookup(module, name, depth + 1)

    def _all(self, module: Module, key: tuple[int, str], bounds: list[Binding], scopes: Sequence[Scope], depth: int) -> list[Target]:
        """What a name with several bindings stands for; a binding that leads back to the name adds nothing."""
        if key in self._busy:
            return []
        self._busy.add(key)
        try:
            found = [target for bound in bounds for target in self._bound(module, bound, scopes, depth + 1)]
        finally:
            self._busy.discard(key)
        return list(dict.fromkeys(found)) or [UNKNOWN]

    def lookup(self, module: Module, name: str, depth: int = 0) -> list[Target]:
        """What a name at the top level of a module stands for."""
        if depth > DEEPEST:
            return [UNKNOWN]
        key = (module.name, name)
        if key not in self._looked_up:
            found = self._look_up(module, name, depth)
            if depth > 2 or self._busy:
                return found
            self._looked_up[key] = found
        return self._looked_up[key]

    def _look_up(self, module: Module, name: str, depth: int) -> list[Target]:
        if name in module.bindings:
            return self._all(module, (id(module.bindings), name), module.bindings[name], (), depth)
        for star in module.stars:
            other = self.module(star)
            if other is not None and not name.startswith("_"):
                found = self.lookup(other, name, depth + 1)
                if found and not (len(found) == 1 and isinstance(found[0], Outside) and found[0].name.startswith("builtins.")):
                    return found
        if module.package and self.environment.find(f"{module.name}.{name}") is not None:
            return [Whole(f"{module.name}.{name}")]
        if hasattr(builtins, name) or name == "__builtins__":
            return [Outside(f"builtins.{name}")]
        if any(self.module(star) is None for star in module.stars):
            return [Outside(f"{next(star for star in module.stars if self.module(star) is None)}.{name}")]
        return [UNKNOWN]

    def bound(self, module: Module, bound: Binding) -> list[Target]:
        """What a binding stands for."""
        return self._bound(module, bound, (), 0)

    def _bound(self, module: Module, bound: Binding, scopes: Sequence[Scope], depth: int) -> list[Target]:
        if isinstance(bound, Class | Function | Unknown):
            return [bound]
        if isinstance(bound, Imported):
            return self._imported(bound, depth + 1)
        return self.resolve(module, bound, scopes, depth + 1)

    def _imported(self, bound: Imported, depth: int) -> list[Target]:
        module = self.module(bound.module)
        if not bound.name:
            return [Whole(bound.module) if module is not None else Outside(bound.module)]
        if module is None:
            return [Outside(f"{bound.module}.{bound.name}")]
        return self.lookup(module, bound.name, depth + 1)

    def _attribute(self, base: Target, name: str, depth: int) -> list[Target]:
        if isinstance(base, Outside):
            return [Outside(f"{base.name}.{name}")]
        if isinstance(base, Whole):
            module = self.module(base.name)
            if module is None:
                return [Outside(f"{base.name}.{name}")]
            return self.lookup(module, name, depth + 1)
        if isinstance(base, Class):
            return [found for bound in self.members(base).get(name, ()) for found in self._bound(base.module, bound, (), depth)] or [
                UNKNOWN
            ]
        return [UNKNOWN]

    def members(self, cls: Class) -> Scope:
        """What a class statement binds in its body, in every branch."""
        if cls in self._members:
            return self._members[cls]
        found: Scope = {}
        self._members[cls] = found
        for node in statements(cls.node.body):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(self.class_of(cls.module, node, f"{cls.qualname}."))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.setdefault(node.name, []).append(self.function_of(cls.module, node, f"{cls.qualname}.", cls))
            else:
                self._bind(cls.module, found, node, cls, None)
            for name in () if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else _bound_oddly(node):
                found.setdefault(name, []).append(UNKNOWN)
        for bounds in found.values():
            bounds[:] = [self.function_of(cls.module, b, f"{cls.qualname}.", cls) if isinstance(b, ast.Lambda) else b for b in bounds]
        return found


def _defaults(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Iterator[tuple[ast.arg, ast.expr]]:
    """The parameters that have defaults, with them."""
    positional = [*node.args.posonlyargs, *node.args.args]
    yield from zip(positional[len(positional) - len(node.args.defaults) :], node.args.defaults, strict=True)
    yield from ((a, default) for a, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if default is not None)


def _bound_oddly(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement binds inside of an expression or a pattern."""
    queue: list[ast.AST] = [statement]
    for node in queue:
        if isinstance(node, ast.NamedExpr):
            yield node.target.id
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        queue += [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt | ast.Lambda)]


def absolute(module: Module, node: ast.ImportFrom) -> str:
    """The dotted name of the module that `from ... import` names."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    base = parts[: len(parts) - node.level + (1 if module.package else 0)]
    return ".".join([*base, *([node.module] if node.module else [])])


def arguments_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.arg]:
    """The parameters, in order, with the starred ones last."""
    a = node.args
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *([a.vararg] if a.vararg else []), *([a.kwarg] if a.kwarg else [])]


def statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a body and those in its branches and loops, not those in classes and functions."""
    for node in body:
        yield node
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for part in ("body", "orelse", "finalbody"):
            yield from statements(getattr(node, part, ()))
        for handler in getattr(node, "handlers", ()):
            yield from statements(handler.body)
        for case in getattr(node, "cases", ()):
            yield from statements(case.body)


def _bind_assigned(into: Scope, node: ast.stmt) -> None:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            _bind_target(into, target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        _bind_target(into, node.target, node.value)
    elif isinstance(node, ast.AugAssign | ast.For | ast.AsyncFor):
        _bind_target(into, node.target, UNKNOWN)
    elif isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            if item.optional_vars is not None:
                _bind_target(into, item.optional_vars, UNKNOWN)


def _bind_target(into: Scope, target: ast.expr, value: ast.expr | Unknown) -> None:
    if isinstance(target, ast.Name):
        into.setdefault(target.id, []).append(value)
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value.elts if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts) else None
        for index, item in enumerate(target.elts):
            _bind_target(into, item.value if isinstance(item, ast.Starred) else item, parts[index] if parts else UNKNOWN)
