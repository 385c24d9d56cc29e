"""The classes of a package: their order of bases, their methods, and what puts other methods into them from outside."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bartizan.areas.artefacts.pickles.policy import Entry, Policy
from bartizan.areas.artefacts.policy_compiler import knowledge as known
from bartizan.areas.artefacts.policy_compiler.bodies import Step
from bartizan.areas.artefacts.policy_compiler.modules import (
    Binding,
    Class,
    Function,
    Module,
    Outside,
    Target,
    Unknown,
    World,
    statements,
)

PLAIN = frozenset({"new", "build"})

_STANDARD: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol", "typing_extensions.Protocol"), PLAIN),
    **dict.fromkeys(("builtins.dict", "typing.Dict", "collections.UserDict", "typing.TypedDict"), PLAIN | {"setitem"}),
    **dict.fromkeys(("collections.OrderedDict", "collections.Counter"), PLAIN | {"setitem", "call"}),
    **dict.fromkeys(("builtins.list", "typing.List", "collections.UserList"), PLAIN | {"append"}),
    "collections.deque": PLAIN | {"append", "call"},
    **dict.fromkeys(("builtins.set", "builtins.frozenset"), PLAIN | {"call", "add"}),
    **dict.fromkeys((f"builtins.{name}" for name in ("tuple", "str", "int", "float", "bytes", "complex")), PLAIN),
    **dict.fromkeys(("typing.NamedTuple", "typing.Tuple", "collections.namedtuple"), PLAIN),
    **dict.fromkeys((f"enum.{name}" for name in ("Enum", "IntEnum", "Flag", "IntFlag", "StrEnum")), frozenset({"call", "build"})),
    **dict.fromkeys(("json.JSONEncoder", "string.Formatter", "ast.NodeVisitor", "ast.NodeTransformer"), PLAIN),
}
"""Bases of the standard library whose making and filling runs no code of their own."""

ITERATES = frozenset(
    {"builtins.dict", "builtins.list", "builtins.set", "builtins.frozenset", "collections.OrderedDict", "collections.Counter"}
)
"""Bases whose constructor iterates over its first argument."""

_METACLASSES = frozenset({"abc.ABCMeta", "builtins.type", "enum.EnumMeta", "enum.EnumType", "typing.NamedTupleMeta"})

_OF_OBJECTS = frozenset(name for kind in (object, dict, list, tuple, set, BaseException, str, int) for name in dir(kind))


@dataclass(frozen=True)
class Reviewed:
    """A base outside the package that the policy or the table above knows. `rules`: for the arguments of its constructor."""

    name: str
    uses: frozenset[str]
    rules: tuple[tuple[int, str], ...] = ()
    standard: bool = False


@dataclass
class Shape:
    """What is known of one class: the order in which attributes are looked up, or why that cannot be told."""

    order: list[Class | Reviewed] = field(default_factory=list)
    problem: str = ""
    metaclasses: list[Class] = field(default_factory=list)


class Shapes:
    """Classes of the package in `modules`, whose modules begin with `tops`."""

    def __init__(self, world: World, policy: Policy, modules: Iterable[Module], tops: frozenset[str]) -> None:
        self.world, self.policy, self.tops = world, policy, tops
        self.modules = list(modules)
        self._shapes: dict[Class, Shape] = {}
        self.patches: dict[tuple[Class, str], list[tuple[Module, Binding]]] = {}
        self._named: dict[str, list[tuple[Class, Function]]] = {}
        self._having: dict[str, list[Class]] = {}
        for cls in self.classes():
            for item in self.shape(cls).order:
                for name in world.members(item) if isinstance(item, Class) else ():
                    self._having.setdefault(name, []).append(cls)

    def classes(self) -> Iterator[Class]:
        """Every class at the top level of a module or in such a class, in every branch."""
        for module in self.modules:
            for node in statements(module.tree.body):
                if isinstance(node, ast.ClassDef):
                    yield from self._with_nested(self.world.class_of(module, node, ""))

    def _with_nested(self, cls: Class) -> Iterator[Class]:
        yield cls
        for bounds in self.world.members(cls).values():
            for bound in bounds:
                if isinstance(bound, Class) and bound.node in cls.node.body:
                    yield from self._with_nested(bound)

    def follows(self, name: str) -> bool:
        """Whether source is followed: the package's own, and of others what no table speaks of."""
        return name.partition(".")[0] in self.tops or known.shipped().of(name).what == known.UNKNOWN

    def by_name(self, name: str) -> Iterable[tuple[Class, Function]]:
        """The methods of this name of all classes of the package, each with every class that has or inherits it."""
        if name not in self._named:
            having = dict.fromkeys(self._having.get(name, ()))
            self._named[name] = [(cls, function) for cls in having for function in self.method(cls, name) or ()]
        return self._named[name]

    def shape(self, cls: Class) -> Shape:
        """The order of bases of a class."""
        if cls not in self._shapes:
            self._shapes[cls] = Shape(problem="derives from itself")
            self._shapes[cls] = self._shaped(cls)
        return self._shapes[cls]

    def _shaped(self, cls: Class) -> Shape:
        shape = Shape([cls])
        for keyword in cls.node.keywords:
            if keyword.arg == "metaclass" or keyword.arg is None:
                self._metaclass(cls, keyword.value, shape)
        bases: list[list[Class | Reviewed]] = []
        for expression in cls.node.bases:
            for target in self._base_targets(cls.module, expression):
                base = self._base(target)
                if isinstance(base, str):
                    shape.problem = shape.problem or f"its base {_text(expression)} {base}"
                elif isinstance(base, Reviewed):
                    bases.append([base])
                else:
                    inner = self.shape(base)
                    shape.problem = shape.problem or (inner.problem and f"its base {base.qualname}: {inner.problem}")
                    shape.metaclasses += inner.metaclasses
                    bases.append(inner.order)
        shape.order += _merged(bases)
        return shape

    def _base_targets(self, module: Module, expression: ast.expr) -> list[Target]:
        if isinstance(expression, ast.Call):
            made = self.world.resolve(module, expression.func)
            if made == [Outside("collections.namedtuple")] or made == [Outside("typing.NamedTuple")]:
                return made
        return self.world.resolve(module, expression)

    def _base(self, target: Target) -> Class | Reviewed | str:
        """What a base is, or why it cannot be one."""
        if isinstance(target, Class):
            entry = None if target.module.name.partition(".")[0] in self.tops else self._entry(str(target))
            return target if entry is None else _reviewed(str(target), entry)
        if isinstance(target, Outside):
            return self._outside(target.name)
        return "is made while the program runs"

    def _outside(self, name: str) -> Reviewed | str:
        last = name.rpartition(".")[2]
        if name.startswith(("collections.abc.", "typing.")):
            return Reviewed(name, _STANDARD.get(name, PLAIN), (), True)
        if name in _METACLASSES:
            return Reviewed(name, frozenset(), (), True)
        if name in _STANDARD:
            return Reviewed(name, _STANDARD[name], ((0, "plain"),) if name in ITERATES else (), True)
        if name.startswith("builtins.") and last.endswith(("Error", "Exception", "Warning", "StopIteration")):
            return Reviewed(name, PLAIN | {"call"}, (), True)
        entry = self._entry(name)
        if entry is None:
            known_as = known.shipped().of(name)
            return known_as.why if known_as.what == known.HARMFUL else "is of no source at hand and in no policy"
        return _reviewed(name, entry)

    def _entry(self, name: str) -> Entry | None:
        module, _, last = name.rpartition(".")
        entry = self.policy.entry(module, last)
        return entry if entry is not None and not entry.confined and entry.uses else None

    def _metaclass(self, cls: Class, expression: ast.expr, shape: Shape) -> None:
        for target in self.world.resolve(cls.module, expression):
            if isinstance(target, Class):
                shape.metaclasses.append(target)
                if self.shape(target).problem:
                    shape.problem = f"its metaclass {target.qualname}: {self.shape(target).problem}"
            elif not (isinstance(target, Outside) and target.name in _METACLASSES):
                shape.problem = f"its metaclass {_text(expression)} is of no source at hand"

    # What a body asks

    def bound(self, cls: Class, name: str) -> list[tuple[Module, Binding]]:
        """What a class has under a name by its body and by what is put into it from outside."""
        inside = [(cls.module, bound) for bound in self.world.members(cls).get(name, ())]
        return inside + self.patches.get((cls, name), [])

    def method(self, cls: Class, name: str, after: Class | None = None) -> list[Function] | None:
        """The functions that an attribute of instances stands for; None where that cannot be told, empty where it is reviewed or data."""
        order = self.shape(cls).order
        if after is not None:
            order = order[order.index(after) + 1 :] if after in order else order[1:]
        for item in order:
            if isinstance(item, Class) and (bounds := self.bound(item, name)):
                return self._functions(bounds, item)
        if name in _OF_OBJECTS or any(isinstance(item, Reviewed) and not item.standard for item in order):
            return []
        return None

    def nested(self, cls: Class, name: str) -> Class | None:
        """The class that stands in the body of `cls` or of a base under a name."""
        for item in self.shape(cls).order:
            if isinstance(item, Class) and (bounds := self.bound(item, name)):
                return next((bound for _, bound in bounds if isinstance(bound, Class)), None) if len(bounds) == 1 else None
        return None

    def _functions(self, bounds: Iterable[tuple[Module, Binding]], cls: Class) -> list[Function] | None:
        found: list[Function] = []
        for module, bound in bounds:
            targets: list[Target] = [bound] if isinstance(bound, Function | Class | Unknown) else self.targets(module, bound, cls)
            for target in targets:
                if isinstance(target, Function):
                    found.append(target)
                elif not _is_data(bound, target):
                    return None
        return found

    def targets(self, module: Module, bound: Binding, cls: Class) -> list[Target]:
        """What a binding in the body of a class stands for; `property(get, set)` stands for its functions."""
        scopes = [self.world.members(cls)]
        if isinstance(bound, ast.Call):
            made = self.world.resolve(module, bound.func, scopes)
            if made and all(isinstance(item, Outside) and item.name in _WRAPPERS for item in made):
                return [found for part in bound.args for found in self.world.resolve(module, part, scopes)]
        if isinstance(bound, ast.expr):
            return self.world.resolve(module, bound, scopes)
        return self.world.bound(module, bound)

    def constructors(self, cls: Class) -> list[Step]:
        """What runs when the class is called: `__call__` of its metaclass, `__new__`, `__init__`, `__post_init__`."""
        steps = [Step(function, meta) for meta in self.shape(cls).metaclasses for function in self.method(meta, "__call__") or ()]
        for name in ("__new__", "__init__", "__post_init__", "__attrs_post_init__", "_missing_"):
            steps += [Step(function, cls) for function in self.method(cls, name) or ()]
        return steps


_WRAPPERS = frozenset(
    {"builtins.property", "builtins.staticmethod", "builtins.classmethod", "functools.cached_property", "functools.partialmethod"}
)


def _reviewed(name: str, entry: Entry) -> Reviewed:
    return Reviewed(name, frozenset(kind.value for kind in entry.uses), tuple(sorted(entry.arguments.items())))


def _is_data(bound: Binding, target: Target) -> bool:
    return isinstance(target, Unknown) and target.why == "data" and isinstance(bound, ast.expr)


def _text(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."


def _merged(orders: list[list[Class | Reviewed]]) -> list[Class | Reviewed]:
    """The order of C3 linearisation (as `type.mro`); where there is none, each base before those that follow it."""
    queues = [list(order) for order in orders] + [[order[0] for order in orders if order]]
    merged: list[Class | Reviewed] = []
    while any(queues):
        queues = [queue for queue in queues if queue]
        head = next((q[0] for q in queues if not any(q[0] in other[1:] for other in queues)), queues[0][0])
        merged.append(head)
        queues = [[item for item in queue if item != head] for queue in queues]
    return merged
