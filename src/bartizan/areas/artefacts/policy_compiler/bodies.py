"""What running a function may lead to: the harmful names its text uses, what it cannot tell, and the functions it leads to.

The walk over-approximates: every branch, every inner function and every function that is merely mentioned counts as run. A method of an
object that the text does not tell is looked up by its name among all classes of the package.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bartizan.areas.artefacts.policy_compiler import knowledge as known
from bartizan.areas.artefacts.policy_compiler.modules import (
    DATA,
    UNKNOWN,
    Class,
    Function,
    Instance,
    Module,
    Outside,
    Scope,
    Target,
    Unknown,
    Whole,
    World,
    arguments_of,
)


@dataclass(frozen=True)
class Finding:
    """One thing a body does. `hard`: it reaches files, processes, network or code; otherwise it cannot be told."""

    hard: bool
    text: str
    module: str
    line: int
    name: str = ""
    reads: bool = False

    def __str__(self) -> str:
        return f"{self.text} ({self.module}, line {self.line})"


@dataclass(frozen=True)
class Step:
    """A function that is run next, with the class of its `self`; not `sure` where only its name fits."""

    function: Function
    cls: Class | None
    sure: bool = True


@dataclass
class Direct:
    """What one body does itself."""

    findings: list[Finding] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


class Classes(Protocol):
    """What a body has to ask about classes."""

    def method(self, cls: Class, name: str, after: Class | None = None) -> list[Function] | None:
        """The functions that an attribute of instances stands for; None where that cannot be told, empty where nothing of the kind is."""
        ...

    def nested(self, cls: Class, name: str) -> Class | None:
        """The class that stands in the body of `cls` or of a base under a name."""
        ...

    def constructors(self, cls: Class) -> list[Step]:
        """What runs when the class is called."""
        ...

    def by_name(self, name: str) -> Iterable[tuple[Class, Function]]:
        """The methods of this name of all classes of the package."""
        ...

    def follows(self, name: str) -> bool:
        """Whether the source of a dotted name is followed, rather than looked up in the table."""
        ...


class Walker(ast.NodeVisitor):
    """Walks one body."""

    def __init__(
        self, world: World, classes: Classes, module: Module, scopes: Sequence[Scope], cls: Class | None, function: Function | None
    ) -> None:
        self.world, self.classes, self.module, self.cls, self.function = world, classes, module, cls, function
        self.scopes = list(scopes)
        self.direct = Direct()
        self.at_import = function is None
        self.own, self.own_class = _first_parameter(function)

    def note(self, node: ast.AST, text: str, *, hard: bool = False, name: str = "", reads: bool = False) -> None:
        """Adds a finding at the line of `node`."""
        self.direct.findings.append(Finding(hard, text, self.module.name, getattr(node, "lineno", 0), name, reads))

    def resolve(self, node: ast.expr) -> list[Target]:
        """What an expression of the body stands for."""
        return self.world.resolve(self.module, node, self.scopes)

    # Names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._mention(node, self.resolve(node))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in known.INTERPRETER:
            self.note(node, f"reaches into the interpreter by {node.attr}", hard=True, name=node.attr)
        if isinstance(node.ctx, ast.Load):
            found = self.resolve(node)
            if not all(isinstance(target, Unknown) for target in found):
                self._mention(node, found)
                self._rest(node)
                return
            if self._is_self(node.value) and self.cls is not None:
                self._add(Step(function, self.cls) for function in self.classes.method(self.cls, node.attr) or ())
            elif not self.at_import:
                self._add(Step(function, cls, False) for cls, function in self.classes.by_name(node.attr) if _is_property(function))
        self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and node.value in known.INTERPRETER:
            self.note(node, f"reaches into the interpreter by {node.value}", hard=True, name=node.value)

    def _rest(self, node: ast.expr) -> None:
        """Visits what stands below the attributes of a resolved expression, unless that is a mere name."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not isinstance(node, ast.Name):
            self.generic_visit(node)

    def _mention(self, node: ast.expr, found: Iterable[Target], called: bool = False) -> None:
        for target in found:
            if isinstance(target, Function) and target.around is None and (called or not self.at_import):
                if self.classes.follows(str(target)):
                    self._add([Step(target, self._class_for(target))])
                    if target.owner is not None:
                        self._add(Step(function, cls, False) for cls, function in self.classes.by_name(getattr(target.node, "name", "")))
                else:
                    self._outside(node, str(target), called)
            elif isinstance(target, Class) and called:
                if self.classes.follows(str(target)):
                    self._add(self.classes.constructors(target))
                else:
                    self._outside(node, str(target), called)
            elif isinstance(target, Outside | Whole):
                self._outside(node, target.name, called)

    def _outside(self, node: ast.expr, name: str, called: bool) -> None:
        if self.at_import and not called:
            return
        if reached := known.INTERPRETER & set(name.split(".")):
            self.note(node, f"reaches into the interpreter by {min(reached)}", hard=True, name=min(reached))
        what, why = known.shipped().of(name)
        if what == known.HARMFUL:
            self.note(node, f"uses {_plain(name)}, which {why}", hard=True, name=name, reads=_reads(node))
        elif what == known.UNKNOWN and called:
            self.note(node, f"calls {_plain(name)}, which {why}", name=name)

    def _class_for(self, function: Function) -> Class | None:
        return self.cls if function.owner is not None and self.cls is not None and self.function is not None else function.owner

    def _add(self, steps: Iterable[Step]) -> None:
        self.direct.steps.extend(steps)

    def _is_self(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and bool(self.own) and node.id == self.own

    # Calls

    def visit_Call(self, node: ast.Call) -> None:
        found = self.resolve(node.func)
        named = [target for target in found if isinstance(target, Outside)]
        if any(target.name in ("builtins.setattr", "builtins.delattr") for target in named) and node.args:
            self._set(node, node.args[0], node.args[1] if len(node.args) > 1 else None)
        if any(known.shipped().of(target.name).what == known.CALLER for target in named):
            self._caller(node, named[0].name)
        if any(not isinstance(target, Unknown) for target in found):
            self._mention(_WithCall(node), found, called=True)
            self._rest(node.func)
        elif isinstance(node.func, ast.Attribute):
            self._method(node, node.func)
        elif not isinstance(node.func, ast.Lambda):
            self._value(node, found)
        if any(isinstance(target, Unknown) for target in found) and len(found) > 1:
            self._value(node, [UNKNOWN])
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
            if self.at_import and isinstance(argument, ast.Name | ast.Attribute):
                calls = not found or any(not isinstance(target, Function) or _calls_parameters(target) for target in found)
                handed = [t for t in self.resolve(argument) if isinstance(t, Outside) or (calls and isinstance(t, Function))]
                self._mention(argument, handed, called=True)
            self.visit(argument)

    def _value(self, node: ast.Call, found: Iterable[Target]) -> None:
        """A call of what the text does not tell."""
        if self._is_own_class(node.func) and self.cls is not None:
            self._add(self.classes.constructors(self.cls))
        elif not (isinstance(node.func, ast.Name) and node.func.id == "super") and DATA not in list(found):
            self.note(node, f"calls {_short(node.func)}, which the text does not tell")
        if not isinstance(node.func, ast.Name):
            self.visit(node.func)

    def _is_own_class(self, node: ast.expr) -> bool:
        """`cls`, `type(self)` or `self.__class__`."""
        if isinstance(node, ast.Name):
            return bool(self.own_class) and node.id == self.own_class
        if isinstance(node, ast.Attribute):
            return node.attr == "__class__" and self._is_self(node.value)
        is_type = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type" and len(node.args) == 1
        return is_type and self._is_self(node.args[0])  # type: ignore[attr-defined]

    def _method(self, node: ast.Call, func: ast.Attribute) -> None:
        name, receiver = func.attr, func.value
        if self.cls is not None and (self._is_self(receiver) or self._is_own_class(receiver)):
            nested = self.classes.nested(self.cls, name)
            if nested is not None:
                self._add(self.classes.constructors(nested))
                return
            self._own_method(node, name, self.classes.method(self.cls, name))
            return
        if _is_super(receiver) and self.cls is not None and self.function is not None and self.function.owner is not None:
            self._own_method(node, name, self.classes.method(self.cls, name, self.function.owner))
            return
        self.visit(receiver)
        if name in known.INTERPRETER:
            self.note(node, f"reaches into the interpreter by {name}", hard=True)
        if name in known.shipped().harmful_methods:
            self.note(
                node, f"calls .{name} of {_short(receiver)}", hard=True, name=f".{name}", reads=name.startswith("read") or _reads(node)
            )
            return
        if self._of_instances(self.resolve(receiver), name):
            return
        others = list(self.classes.by_name(name))
        self._add(Step(function, cls, False) for cls, function in others)
        if not others and name not in known.shipped().harmless_methods:
            self.note(node, f"calls .{name} of {_short(receiver)}, which the text does not tell")

    def _of_instances(self, found: Iterable[Target], name: str) -> bool:
        """Follows a method of objects whose classes the text tells; False where it does not."""
        told = [target.cls for target in found if isinstance(target, Instance) and target.cls is not None]
        methods = [(cls, self.classes.method(cls, name)) for cls in told if self.classes.follows(str(cls))]
        self._add(Step(function, cls) for cls, functions in methods for function in functions or ())
        return len(methods) == len(list(found)) and bool(methods) and all(functions for _, functions in methods)

    def _own_method(self, node: ast.Call, name: str, found: list[Function] | None) -> None:
        if found is None and name not in known.shipped().harmless_methods:
            self.note(node, f"calls its own .{name}, which stands in no source at hand")
        self._add(Step(function, self.cls) for function in found or ())

    def _caller(self, node: ast.Call, name: str) -> None:
        """A function that calls its arguments: the first has to be told by the text."""
        first = node.args[0] if node.args else None
        if first is None or isinstance(first, ast.Lambda | ast.Constant):
            return
        found = self.resolve(first)
        if any(isinstance(target, Unknown) for target in found):
            self.note(node, f"hands {_short(first)} to {_plain(name)}, which calls it")
        self._mention(first, found, called=True)

    # Changes

    def _set(self, node: ast.AST, base: ast.expr, name: ast.expr | None) -> None:
        """`setattr`: harmless on an object, not on a class or module."""
        told = name.value if isinstance(name, ast.Constant) else None
        self._change(node, base, told if isinstance(told, str) else None)

    def _change(self, node: ast.AST, base: ast.expr, name: str | None) -> None:
        whose = [target for target in self.resolve(base) if isinstance(target, Class | Outside | Whole | Function)]
        own = self._is_own_class(base)
        for target in whose:
            what = target.name if isinstance(target, Outside | Whole) else str(target)
            if isinstance(target, Outside | Whole) and not self.at_import:
                self.note(node, f"changes {_plain(what)}", hard=True)
            elif isinstance(target, Outside | Class) and (name is None or name in known.SENSITIVE):
                self.note(node, f"changes {'.' + name if name else 'a computed attribute'} of {_plain(what)}", hard=True, name="change")
        if own and (name is None or name in known.SENSITIVE):
            self.note(node, f"changes {name or 'a computed attribute'} of its own class", hard=True, name="change")

    def _targets(self, targets: Iterable[ast.expr]) -> None:
        for target in targets:
            if isinstance(target, ast.Attribute):
                self._change(target, target.value, target.attr)
                if target.attr == "__class__":
                    self.note(target, "changes the class of an object")
            elif isinstance(target, ast.Tuple | ast.List):
                self._targets(target.elts)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._targets(node.targets)
        if not (self.at_import and isinstance(node.value, ast.Name | ast.Attribute)):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._targets([node.target])
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        text = ast.dump(node.test)
        if self.at_import and ("'__main__'" in text or "'TYPE_CHECKING'" in text):
            for other in node.orelse:
                self.visit(other)
            return
        self.generic_visit(node)

    # What stands inside

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self._decorated(decorator)
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        if not self.at_import:
            self._inner(node, node.body)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        if not self.at_import:
            self._inner(node, [node.body])

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for expression in [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]:
            self.visit(expression)
        for statement in node.body:
            self.visit(statement)

    def _decorated(self, decorator: ast.expr) -> None:
        self.visit(decorator)
        if not isinstance(decorator, ast.Call):
            self._mention(decorator, self.resolve(decorator), called=True)

    def _inner(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, body: Iterable[ast.AST]) -> None:
        inner = self.world.function_of(self.module, node, "", None, self.function)
        self.scopes.insert(0, self.world.scope(inner))
        for item in body:
            self.visit(item)
        self.scopes.pop(0)


class _WithCall(ast.Call):
    """The call itself, so that what is noted of its callee sees its arguments."""

    def __init__(self, node: ast.Call) -> None:
        super().__init__(func=node.func, args=node.args, keywords=node.keywords, lineno=node.lineno, col_offset=node.col_offset)


def _first_parameter(function: Function | None) -> tuple[str, str]:
    """The name of `self` and the name of `cls` in a method, empty where it has none."""
    if function is None or function.owner is None:
        return "", ""
    node = function.node
    first = [*node.args.posonlyargs, *node.args.args]
    if not first:
        return "", ""
    marks = {item.id for item in getattr(node, "decorator_list", ()) if isinstance(item, ast.Name)}
    if "staticmethod" in marks:
        return "", ""
    if "classmethod" in marks or getattr(node, "name", "") in ("__new__", "__init_subclass__", "__class_getitem__"):
        return "", first[0].arg
    return first[0].arg, ""


def _calls_parameters(function: Function) -> bool:
    """Whether a function calls one of its parameters or hands it on."""
    names = {argument.arg for argument in arguments_of(function.node)}
    for node in ast.walk(function.node):
        if isinstance(node, ast.Call):
            used = [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
            if any(isinstance(part, ast.Name) and part.id in names for part in used):
                return True
    return False


def _is_property(function: Function) -> bool:
    marks = [ast.unparse(item).rpartition(".")[2] for item in getattr(function.node, "decorator_list", ())]
    return any(mark.endswith("property") or mark == "getter" for mark in marks)


def _is_super(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def _reads(node: ast.AST) -> bool:
    """Whether a call of `open` only reads."""
    if not isinstance(node, ast.Call):
        return False
    mode: ast.expr | None = node.args[1] if len(node.args) > 1 else None
    mode = next((keyword.value for keyword in node.keywords if keyword.arg == "mode"), mode)
    return mode is None or (isinstance(mode, ast.Constant) and isinstance(mode.value, str) and not set(mode.value) & set("wax+"))


def _plain(name: str) -> str:
    return name.removeprefix("builtins.")


def _short(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else text[:57] + "..."
