"""Decides for each class and function of a package how a pickle may use it, or why it may not."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bartizan.areas.artefacts.policy_compiler import knowledge as known
from bartizan.areas.artefacts.policy_compiler.bodies import Finding, Step
from bartizan.areas.artefacts.policy_compiler.knowledge import SENSITIVE
from bartizan.areas.artefacts.policy_compiler.modules import Class, Function, Module, Outside, Unknown, World
from bartizan.areas.artefacts.policy_compiler.reaching import Bodies
from bartizan.areas.artefacts.policy_compiler.shapes import Reviewed, Shapes
from bartizan.areas.artefacts.policy_compiler.tampering import Tampering

BEING = ("__new__", "__del__", "__hash__", "__eq__", "__getattr__", "__getattribute__", "__class_getitem__")
"""Methods that run while an instance is made, looked at, used as a key, and given up."""

FILLING = ("__setstate__", "__setattr__")

_CARELESS = frozenset(
    [
        "abc.abstractmethod",
        "builtins.property",
        "builtins.staticmethod",
        "builtins.classmethod",
        "functools.cached_property",
        "functools.wraps",
        "functools.lru_cache",
        "functools.cache",
        "typing.overload",
        "typing.no_type_check",
        "typing.final",
        "typing_extensions.override",
    ]
)
"""Decorators of methods that add no code of their own."""

ORDER = ("new", "call", "build", "setitem", "append", "add")


@dataclass(frozen=True)
class Allowed:
    """What may be done with a name, and what was looked at."""

    module: str
    name: str
    uses: tuple[str, ...]
    why: str
    rules: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Left:
    """A name, or one use of it, that is not allowed, and why. `use` empty: every use."""

    name: str
    why: str
    use: str = ""


class Uses:
    """The verdicts on one package."""

    def __init__(self, world: World, shapes: Shapes) -> None:
        self.world, self.shapes = world, shapes
        self.tampering = Tampering(world, shapes)
        self.bodies = Bodies(world, shapes)
        self.left: list[Left] = []

    def of_class(self, cls: Class) -> Allowed | list[Left]:
        """What may be done with a class, or why nothing. What is left of single uses stands in `left`."""
        shape = self.shapes.shape(cls)
        why = self.tampering.tainted.get(cls) or shape.problem or self.tampering.decorated(cls) or self._made_by(cls) or self._telling(cls)
        if why:
            return [Left(str(cls), why)]
        harmful = self._harmful(cls)
        if harmful is not None:
            return [Left(str(cls), harmful)]
        uses, left, looked = self._uses(cls)
        self.left += left
        if not uses:
            return left or [Left(str(cls), "its bases allow no use")]
        rules = tuple(dict(rule for item in shape.order if isinstance(item, Reviewed) for rule in item.rules).items())
        return Allowed(cls.module.name, cls.qualname, tuple(use for use in ORDER if use in uses), looked, rules if "call" in uses else ())

    def _harmful(self, cls: Class) -> str | None:
        """What of a class reaches files, processes, network or code, whatever the use."""
        for name in ("__init__", *BEING, *FILLING, "__reduce__", "__reduce_ex__", "append", "extend", "__setitem__"):
            found = next((f for f in self.bodies.leads_to(self._steps(cls, name), strict=name in FILLING or name in BEING) if f.hard), None)
            if found is not None:
                return f"{name}: {found}"
        found = next((f for f in self.bodies.leads_to(self.shapes.constructors(cls), strict=False) if f.hard), None)
        if found is not None:
            return f"when it is called: {found}"
        if setters := self._setters(cls):
            return f"a property or descriptor: {setters[0]}"
        for name in self._lesser(cls):
            found = next((f for f in self.bodies.leads_to(self._steps(cls, name), strict=False) if f.hard), None)
            if found is not None:
                return f"{name}: {found}"
        return None

    def _lesser(self, cls: Class) -> list[str]:
        """Other methods with two underscores, and those of descriptors, that Python may call by itself."""
        names = {
            name
            for item in self.shapes.shape(cls).order
            if isinstance(item, Class)
            for name in self.world.members(item)
            if name.startswith("__") and name.endswith("__")
        }
        return sorted(
            names - {"__init__", "__reduce__", "__call__", "__module__", "__doc__", "__slots__", "__getstate__", "__enter__", "__exit__"}
        )

    def _steps(self, cls: Class, name: str) -> list[Step]:
        return [Step(function, cls) for function in self.shapes.method(cls, name) or ()]

    def _telling(self, cls: Class) -> str:
        """Why a method that loading runs cannot be told from the text."""
        for item in self.shapes.shape(cls).order:
            if not isinstance(item, Class):
                continue
            for name in ("__init__", *BEING, *FILLING, "__reduce__", "__reduce_ex__", "append", "extend", "__setitem__"):
                if self.shapes.bound(item, name) and self.shapes.method(item, name) is None:
                    return f"its {name} is computed"
                for function in self.shapes.method(item, name) or ():
                    if (name != "__init__" or item is cls) and (wrapped := self._wrapped(function)):
                        return f"its {name} is wrapped by {wrapped}, which may run anything"
        return ""

    def _wrapped(self, function: Function) -> str:
        """A decorator of a method that is not known to add nothing."""
        for decorator in getattr(function.node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if isinstance(called, ast.Attribute) and called.attr in ("setter", "getter", "deleter"):
                continue
            found = self.world.resolve(function.module, called)
            steps = [Step(target, None) for target in found if isinstance(target, Function)]
            if any(isinstance(target, Unknown) for target in found):
                return ast.unparse(called)
            if any(isinstance(t, Outside) and t.name not in _CARELESS and not self._reviewed_decorator(t.name) for t in found):
                return ast.unparse(called)
            if function.node.name not in ("__init__",) and steps:  # type: ignore[union-attr]
                return ast.unparse(called)
            if any(finding.hard for finding in self.bodies.leads_to(steps, strict=False)):
                return ast.unparse(called)
        return ""

    @staticmethod
    def _reviewed_decorator(name: str) -> bool:
        return name.startswith(("sklearn.", "numpy.", "pandas.", "scipy.", "warnings.", "abc.", "functools.", "typing."))

    def _made_by(self, cls: Class) -> str:
        """Why a metaclass, a base or its own body leaves open what the class is."""
        if line := _odd_body(cls):
            return f"its body computes names (line {line})"
        for meta in self.shapes.shape(cls).metaclasses:
            for name in ("__new__", "__init__", "__call__", "__prepare__", "__setattr__", "__getattribute__"):
                for function in self.shapes.method(meta, name) or ():
                    if name == "__prepare__" or _changes_namespace(function):
                        return f"its metaclass {meta.qualname} puts computed names into it (line {function.node.lineno})"
                    if found := next((f for f in self.bodies.leads_to([Step(function, meta)], strict=False) if f.hard), None):
                        return f"its metaclass {meta.qualname}: {found}"
        for item in self.shapes.shape(cls).order:
            if isinstance(item, Class):
                if why := self._named_by_descriptors(item):
                    return why
                for function in self.shapes.method(item, "__init_subclass__") or ():
                    if found := next((f for f in self.bodies.leads_to([Step(function, item)], strict=False) if f.hard), None):
                        return f"__init_subclass__: {found}"
        return ""

    def _named_by_descriptors(self, cls: Class) -> str:
        """Why an attribute's `__set_name__` leaves open what the class is."""
        for bounds in self.world.members(cls).values():
            for bound in bounds:
                made = self.world.resolve(cls.module, bound.func) if isinstance(bound, ast.Call) else []
                for kind in made:
                    functions = self.shapes.method(kind, "__set_name__") or [] if isinstance(kind, Class) else []
                    if any(function in self.tampering.changers for function in functions):
                        return f"__set_name__ of {kind} changes it"
        return ""

    # Uses

    def _uses(self, cls: Class) -> tuple[set[str], list[Left], str]:
        shape = self.shapes.shape(cls)
        offered = self._offered(cls)
        uses: set[str] = set()
        left: list[Left] = []
        looked: list[str] = []
        being = self._grant(cls, BEING, looked)
        if being:
            return set(), [Left(str(cls), f"when it is made or looked at, it {being[0]}")], ""
        uses |= offered & {"new"}
        for use, names in (("build", FILLING), ("setitem", ("__setitem__",)), ("append", ("append", "extend")), ("add", ("add", "update"))):
            if use in offered:
                found = self._grant(cls, names, looked) or []
                if found:
                    left.append(Left(str(cls), str(found[0]), use))
                else:
                    uses.add(use)
        if self._is_called(cls):
            found = self.bodies.leads_to(self.shapes.constructors(cls))
            if found:
                left.append(Left(str(cls), str(found[0]), "call"))
            elif "call" in offered or not any(isinstance(item, Reviewed) and not item.standard for item in shape.order):
                uses.add("call")
                looked.append("its constructor")
        return uses, left, _reason(looked)

    def _grant(self, cls: Class, names: Sequence[str], looked: list[str]) -> list[Finding]:
        found = self.bodies.leads_to(step for name in names for step in self._steps(cls, name))
        own = [item for item in self.shapes.shape(cls).order if isinstance(item, Class)]
        looked += [name for name in names if not found and any(self.shapes.bound(item, name) for item in own)]
        return found

    def _offered(self, cls: Class) -> set[str]:
        """The uses that every base outside allows; what a container takes is offered where one of them is a container."""
        offered = {"new", "build"}
        outside = [item for item in self.shapes.shape(cls).order if isinstance(item, Reviewed)]
        if any(not item.uses for item in outside):
            return set()  # a metaclass: its instances are classes
        for item in outside:
            offered &= set(item.uses) | (set() if "new" in item.uses else {"build"})
        more = {use for item in outside for use in item.uses} & {"setitem", "append", "add", "call"}
        return offered | more

    def _setters(self, cls: Class) -> list[Finding]:
        """What properties and descriptors do that a state of slots sets."""
        steps: list[Step] = []
        for item in self.shapes.shape(cls).order:
            if not isinstance(item, Class):
                continue
            for name, bounds in self.world.members(item).items():
                for bound in bounds:
                    if isinstance(bound, Function) and _is_setter(bound):
                        steps.append(Step(bound, cls))
                    elif isinstance(bound, ast.Call) and not name.startswith("__"):
                        made = self.world.resolve(item.module, bound.func)
                        steps += [step for kind in made if isinstance(kind, Class) for step in self._steps(kind, "__set__")]
                        if Outside("builtins.property") in made and len(bound.args) > 1:
                            setter = self.world.resolve(item.module, bound.args[1], [self.world.members(item)])
                            steps += [Step(target, cls) for target in setter if isinstance(target, Function)]
        return [finding for finding in self.bodies.leads_to(steps, strict=False) if finding.hard]

    def _is_called(self, cls: Class) -> bool:
        """Whether pickles of instances call the class: it is an enumeration, an exception, a set, or its reduction says so."""
        if any(isinstance(item, Reviewed) and item.standard and "call" in item.uses for item in self.shapes.shape(cls).order):
            return True
        return any(
            self._names_class(function) for name in ("__reduce__", "__reduce_ex__") for function in self.shapes.method(cls, name) or ()
        )

    def _names_class(self, function: Function) -> bool:
        for node in ast.walk(function.node):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and node.value.elts:
                first = node.value.elts[0]
                text = ast.unparse(first)
                if text.endswith("__class__") or text.startswith("type("):
                    return True
                if any(isinstance(target, Class) for target in self.world.resolve(function.module, first)):
                    return True
        return False

    def _replaced(self, function: Function) -> str:
        """Why a decorator leaves open what the name of a function stands for."""
        for decorator in getattr(function.node, "decorator_list", ()):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            found = self.world.resolve(function.module, called)
            steps = [Step(target, target.owner) for target in found if isinstance(target, Function)]
            for target in found:
                if isinstance(target, Class):
                    steps += [*self.shapes.constructors(target), *self._steps(target, "__call__")]
            opaque = any(isinstance(target, Unknown) for target in found)
            foreign = any(isinstance(t, Outside) and known.shipped().of(t.name).what in (known.HARMFUL, known.UNKNOWN) for t in found)
            if opaque or foreign or any(finding.hard for finding in self.bodies.leads_to(steps, strict=False)):
                return f"its decorator {ast.unparse(called)} may make anything of it (line {decorator.lineno})"
        return ""

    def named_tuples(self, module: Module) -> list[Allowed]:
        """What `X = namedtuple("X", ...)` makes at the top level of a module."""
        found = []
        for name, bounds in module.bindings.items():
            for bound in bounds:
                if len(bounds) == 1 and isinstance(bound, ast.Call) and bound.args and isinstance(bound.args[0], ast.Constant):
                    made = self.world.resolve(module, bound.func)
                    if bound.args[0].value == name and made in ([Outside("collections.namedtuple")], [Outside("typing.NamedTuple")]):
                        found.append(Allowed(module.name, name, ("new",), "A tuple with names."))
        return found

    def rebuilders(self) -> set[Function]:
        """Functions that the reductions of the package's classes name, so that pickles call them."""
        found: set[Function] = set()
        for cls in self.shapes.classes():
            for name in ("__reduce__", "__reduce_ex__"):
                for function in self.shapes.method(cls, name) or ():
                    for node in ast.walk(function.node):
                        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and node.value.elts:
                            targets = self.world.resolve(function.module, node.value.elts[0], [self.world.scope(function)])
                            found |= {target for target in targets if isinstance(target, Function)}
        return found

    def of_function(self, function: Function, rebuilds: bool) -> Allowed | list[Left]:
        """What may be done with a function at the top level of a module: kept as a value, and called where a reduction names it."""
        found = self.bodies.leads_to([Step(function, None)], strict=rebuilds)
        hard = next((finding for finding in found if finding.hard), None)
        if hard is not None:
            return [Left(str(function), str(hard))]
        if why := self.tampering.renamed.get((function.module.name, function.qualname)) or self._replaced(function):
            return [Left(str(function), why)]
        line = function.node.lineno
        if not rebuilds:
            return Allowed(
                function.module.name, function.qualname, (), "Looked up only: what it leads to reaches no files, processes or code."
            )
        if found or (not isinstance(function.node, ast.Lambda) and function.node.decorator_list):
            found = found or [Finding(False, "it is decorated", function.module.name, line)]
            self.left.append(Left(str(function), str(found[0]), "call"))
            return Allowed(function.module.name, function.qualname, (), "Looked up only.")
        return Allowed(function.module.name, function.qualname, ("call",), f"Rebuilds instances; its body (line {line}) was followed.")


def _odd_body(cls: Class) -> int:
    """The line at which the body of a class sets names by other means than statements; 0 where it does not."""
    queue: list[ast.AST] = list(cls.node.body)
    for node in queue:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Name) and node.id in ("locals", "vars", "globals", "exec", "eval", "setattr", "__import__"):
            return node.lineno
        if isinstance(node, ast.Global | ast.Nonlocal) or (isinstance(node, ast.ImportFrom) and node.names[0].name == "*"):
            return node.lineno
        queue += ast.iter_child_nodes(node)
    return 0


def _reason(looked: Iterable[str]) -> str:
    what = list(dict.fromkeys(looked))
    if not what:
        return "No code of its own runs when it is made, filled, compared or given up."
    return f"What runs was followed to its end and reaches no files, processes, network or code: {', '.join(what)}."


def _is_setter(function: Function) -> bool:
    return any(isinstance(item, ast.Attribute) and item.attr == "setter" for item in getattr(function.node, "decorator_list", ()))


def _changes_namespace(function: Function) -> bool:
    """Whether a metaclass's method sets items or attributes by name, or updates a mapping."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.Dict | ast.DictComp | ast.BitOr) or (isinstance(node, ast.Constant) and node.value in SENSITIVE):
            return True
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in ("setattr", "update", "setdefault", "exec", "eval", "pop", "dict", "type"):
                return True
    return False
