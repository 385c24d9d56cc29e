"""What changes classes from outside of their body: attributes set at import, functions that are handed a class, names bound again."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from bartizan.areas.artefacts.policy_compiler import knowledge as known
from bartizan.areas.artefacts.policy_compiler.knowledge import SENSITIVE
from bartizan.areas.artefacts.policy_compiler.modules import Class, Function, Module, Outside, Unknown, Whole, World, arguments_of
from bartizan.areas.artefacts.policy_compiler.shapes import Shapes

_TRUSTED = frozenset({"dataclasses.dataclass", "functools.total_ordering", "enum.unique", "typing.final", "typing.runtime_checkable"})

_TRUSTED_BELOW = ("typing.", "typing_extensions.", "attr.", "attrs.", "abc.", "warnings.", "sklearn.utils.")


class Tampering:
    """Notes into `shapes.patches` what is put into classes by name, and into `tainted` (class to reason) what cannot be followed."""

    def __init__(self, world: World, shapes: Shapes) -> None:
        self.world, self.shapes = world, shapes
        self.tainted: dict[Class, str] = {}
        self.renamed: dict[tuple[str, str], str] = {}
        self._all = list(shapes.classes())
        self.changers = self._find_changers()
        for module in shapes.modules:
            for statement in module.tree.body:
                self._statement(module, statement)
            self._rebound(module)

    def _statement(self, module: Module, statement: ast.stmt) -> None:
        """One statement at the top level of a module, with all that stands in it."""
        deferred = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Attribute) and target.attr in SENSITIVE:
                        self._set(module, target.value, target.attr, node.value, None if deferred else statement, node.lineno)
                    elif isinstance(target, ast.Attribute) and not (isinstance(target.value, ast.Name) and target.value.id == "self"):
                        self._renamed(target.attr, module, node.lineno)
            elif isinstance(node, ast.Call):
                self._call(module, node, None if deferred else statement)
            elif isinstance(node, ast.Attribute) and node.attr in ("f_locals", "f_globals"):
                self._taint_modules([module], f"its module reaches into frames (line {node.lineno})")

    def _renamed(self, name: str, module: Module, line: int) -> None:
        """An attribute called like a class is set, perhaps in a module, so that the name of the class stands for something else."""
        why = f"its name is bound again ({module.name}, line {line})"
        self._taint([cls for cls in self._all if cls.qualname == name], why)
        for other in self.shapes.modules:
            if any(isinstance(bound, Function) for bound in other.bindings.get(name, ())):
                self.renamed[other.name, name] = why

    def _call(self, module: Module, node: ast.Call, statement: ast.stmt | None) -> None:
        for target in self.world.resolve(module, node.func):
            if isinstance(target, Outside) and target.name == "builtins.setattr" and len(node.args) == 3:
                name = node.args[1].value if isinstance(node.args[1], ast.Constant) else None
                if name is None or name in SENSITIVE:
                    self._set(module, node.args[0], name if isinstance(name, str) else None, node.args[2], statement, node.lineno)
                elif isinstance(name, str):
                    self._renamed(name, module, node.lineno)
            elif isinstance(target, Outside) and (target.name == "builtins.globals" or (target.name == "builtins.vars" and statement)):
                self._taint_modules([module], f"names of its module are computed (line {node.lineno})")
            elif isinstance(target, Function) and target in self.changers:
                for position in self.changers[target]:
                    argument = _argument(node, target, position)
                    if argument is not None:
                        self._set(module, argument, None, None, statement, node.lineno)

    def _set(self, module: Module, base: ast.expr, name: str | None, value: ast.expr | None, statement: ast.stmt | None, line: int) -> None:
        """An attribute is set; `name` None: a computed one. `statement`: the one at the top level that it stands in."""
        found = self.world.resolve(module, base)
        named = [target for target in found if isinstance(target, Class)]
        if any(isinstance(target, Outside | Whole) for target in found):
            if name is None:
                modules = [module] if _names_itself(module, base) else self.shapes.modules
                self._taint_modules(modules, f"computed names are set in modules ({module.name}, line {line})")
            else:
                self._renamed(name, module, line)
            if not any(isinstance(target, Class | Unknown) for target in found):
                return
        for cls in named:
            if name is None or value is None:
                self._taint([cls], f"computed attributes are set in it ({module.name}, line {line})")
            else:
                self.shapes.patches.setdefault((cls, name), []).append((module, value))
        if not named and statement is not None and not any(isinstance(target, Function) for target in found):
            self._taint(
                self._mentioned(module, statement), f"what sets attributes in classes cannot be followed ({module.name}, line {line})"
            )

    def _mentioned(self, module: Module, statement: ast.stmt) -> list[Class]:
        """The classes that a statement names, and all of the package where it names none."""
        found = [
            target
            for node in ast.walk(statement)
            if isinstance(node, ast.Name | ast.Attribute)
            for target in self.world.resolve(module, node)
            if isinstance(target, Class)
        ]
        return found or self._all

    def _taint_modules(self, modules: list[Module], why: str) -> None:
        """No name at the top level of `modules` can be relied upon."""
        self._taint([cls for cls in self._all if cls.module in modules], why)
        for module in modules:
            for name, bounds in module.bindings.items():
                if any(isinstance(bound, Function) for bound in bounds):
                    self.renamed.setdefault((module.name, name), why)

    def _taint(self, classes: list[Class], why: str) -> None:
        for cls in classes:
            self.tainted.setdefault(cls, why)

    def _find_changers(self) -> dict[Function, set[int]]:
        """Functions that set sensitive or computed attributes of a parameter, by the positions of those parameters."""
        functions = [function for module in self.shapes.modules for function in _functions(self.world, module)]
        changers: dict[Function, set[int]] = {}
        for function in functions:
            for base in _changed(function):
                self._note(changers, function, base)
        for _ in range(3):
            for function in functions:
                for node in ast.walk(function.node):
                    if isinstance(node, ast.Call):
                        self._passed_on(changers, function, node)
        return changers

    def _passed_on(self, changers: dict[Function, set[int]], function: Function, node: ast.Call) -> None:
        for target in self.world.resolve(function.module, node.func):
            if isinstance(target, Function) and target is not function:
                for position in changers.get(target, set()).copy():
                    argument = _argument(node, target, position)
                    if argument is not None:
                        self._note(changers, function, argument)

    @staticmethod
    def _note(changers: dict[Function, set[int]], function: Function, base: ast.expr) -> None:
        names = [argument.arg for argument in arguments_of(function.node)]
        first = 1 if function.owner is not None else 0
        if isinstance(base, ast.Name) and base.id in names[first:]:
            changers.setdefault(function, set()).add(names.index(base.id))

    def _rebound(self, module: Module) -> None:
        """A name that is bound again to something else, here or by a star import, does not stand for the class or function alone."""
        announced = {name for node in ast.walk(module.tree) if isinstance(node, ast.Global) for name in node.names}
        for name, bounds in module.bindings.items():
            classes = [bound for bound in bounds if isinstance(bound, Class)]
            if not classes and not any(isinstance(bound, Function) for bound in bounds):
                continue
            why = f"its name is bound by `global` in {module.name}" if name in announced else ""
            if not why and classes and len(classes) < len(bounds) and not all(_empty(b) for b in bounds if not isinstance(b, Class)):
                why = f"its name is bound again in {module.name}"
            if not why and any(self._star_binds(star, name) for star in module.stars):
                why = f"a star import in {module.name} may bind its name again"
            if why:
                self._taint(classes, why)
                self.renamed[module.name, name] = why

    def _star_binds(self, star: str, name: str) -> bool:
        other = self.world.module(star)
        if other is None:
            return known.shipped().of(star).what != known.HARMLESS
        return name in other.bindings or any(self._star_binds(inner, name) for inner in other.stars if inner != star)

    def decorated(self, cls: Class) -> str:
        """Why the decorators of a class leave open what it is; empty where they do not."""
        for decorator in cls.node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            found = self.world.resolve(cls.module, called)
            if not found or not all(self._keeps(target, isinstance(decorator, ast.Call)) for target in found):
                return f"its decorator {ast.unparse(called)} may make anything of it (line {decorator.lineno})"
        return ""

    def _keeps(self, target: object, called: bool) -> bool:
        """Whether a decorator gives back the class it is given, unchanged where it matters."""
        if isinstance(target, Function):
            return target not in self.changers and _returns_its_parameter(target.node, called)
        if isinstance(target, Class) and called and target.module.name.partition(".")[0] in self.shapes.tops:
            applied = self.shapes.method(target, "__call__") or []
            return bool(applied) and all(f not in self.changers and _returns_its_parameter(f.node, False, 1) for f in applied)
        name = target.name if isinstance(target, Outside) else str(target) if isinstance(target, Class) else ""
        if name.partition(".")[0] in self.shapes.tops:
            return False
        return name in _TRUSTED or (name.startswith(_TRUSTED_BELOW) and known.shipped().of(name).what != known.HARMFUL)


def _names_itself(module: Module, base: ast.expr) -> bool:
    """Whether an expression such as `sys.modules[__name__]`, or a name that is bound to it, speaks of its own module."""
    told = [node.id for node in ast.walk(base) if isinstance(node, ast.Name)]
    bound = [value for name in told for value in module.bindings.get(name, ()) if isinstance(value, ast.expr)]
    return "__name__" in told or (
        bool(bound) and all(any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(value)) for value in bound)
    )


def _empty(bound: object) -> bool:
    """`X = None` in another branch: where that is what the name stands for, nothing can be done with it."""
    return isinstance(bound, ast.Constant)


def _functions(world: World, module: Module) -> Iterator[Function]:
    for bounds in module.bindings.values():
        for bound in bounds:
            if isinstance(bound, Function):
                yield bound
            elif isinstance(bound, Class):
                yield from (item for items in world.members(bound).values() for item in items if isinstance(item, Function))


def _changed(function: Function) -> Iterator[ast.expr]:
    """The expressions whose sensitive or computed attributes a function sets."""
    for node in ast.walk(function.node):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr in SENSITIVE:
                    yield target.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr" and len(node.args) == 3:
            name = node.args[1]
            if not isinstance(name, ast.Constant) or name.value in SENSITIVE:
                yield node.args[0]


def _argument(node: ast.Call, function: Function, position: int) -> ast.expr | None:
    names = [argument.arg for argument in arguments_of(function.node)]
    shift = 1 if function.owner is not None and isinstance(node.func, ast.Attribute) else 0
    for keyword in node.keywords:
        if keyword.arg == names[position]:
            return keyword.value
    return node.args[position - shift] if 0 <= position - shift < len(node.args) else None


def _returns_its_parameter(node: ast.AST, called: bool, position: int = 0) -> bool:
    """Whether every way out of a function gives back the parameter at `position` (or, `called`, a function of which that holds)."""
    if not isinstance(node, ast.FunctionDef):
        return False
    inner = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    own = _own_returns(node.body)
    if not own or any(value is None for value in own):
        return False
    if called:
        return all(isinstance(value, ast.Name) and value.id in inner and _returns_its_parameter(inner[value.id], False) for value in own)
    first = node.args.args[position].arg if len(node.args.args) > position else ""
    rebound = any(isinstance(item, ast.Name) and item.id == first and isinstance(item.ctx, ast.Store) for item in ast.walk(node))
    changed = any(
        (isinstance(item, ast.Attribute) and isinstance(item.ctx, ast.Store) and item.attr in SENSITIVE)
        or (isinstance(item, ast.Call) and isinstance(item.func, ast.Name) and item.func.id in ("setattr", "exec", "eval", "vars"))
        for item in ast.walk(node)
    )
    return not rebound and not changed and all(isinstance(value, ast.Name) and value.id == first for value in own)


def _own_returns(body: list[ast.stmt]) -> list[ast.expr | None]:
    from bartizan.areas.artefacts.policy_compiler.modules import statements

    return [node.value for node in statements(body) if isinstance(node, ast.Return)]
