"""Which tools Python source registers for language models: decorated functions, tool classes and objects, lists and schemas."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from bartizan.model.errors import one_line

MOST = 40
"""Tools of one file that are drafted one by one."""

_DECORATORS = frozenset({"tool", "tool_plain", "function_tool", "kernel_function", "ai_function", "beta_tool"})
_CLASSES = frozenset({"BaseTool", "Tool", "StructuredTool", "FunctionTool"})
_MAKERS = _CLASSES | {"from_function", "from_defaults"}


def tools_of(tree: ast.Module, dotted: Callable[[ast.expr], str], calls_models: bool) -> dict[str, int]:
    """The names of the tools, each with its first line, at most `MOST`.

    `dotted` resolves an expression through the imports. Schemas are told by their shape (the `tools` of the OpenAI and Anthropic
    interfaces); what has a common name (a decorator called `tool`) counts only with `calls_models`: the file imports a library for
    language models, agents or the Model Context Protocol.
    """
    found: dict[str, int] = {}
    nodes = list(ast.walk(tree))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for node in nodes:
        if isinstance(node, ast.Dict):
            named = _of_schema(node)
        elif not calls_models:
            continue
        else:
            named = list(_registered(node, functions, dotted))
        for name in named:
            plain = one_line(name, 100)
            if plain and len(found) < MOST:
                found.setdefault(plain, getattr(node, "lineno", 1))
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def _registered(node: ast.AST, functions: set[str], dotted: Callable[[ast.expr], str]) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for decorator in node.decorator_list:
            if _last(decorator, dotted) in _DECORATORS:
                yield _given_name(decorator) or node.name
    elif isinstance(node, ast.ClassDef) and any(_last(base, dotted) in _CLASSES for base in node.bases):
        yield _class_name(node)
    elif isinstance(node, ast.Call):
        last = _last(node, dotted)
        if last in _MAKERS:
            name = _given_name(node)
            yield from [name] if name else []
        lists = [keyword.value for keyword in node.keywords if keyword.arg == "tools"]
        lists += node.args[:1] if last == "bind_tools" else []
        for listed in lists:
            for element in listed.elts if isinstance(listed, ast.List | ast.Tuple) else ():
                if isinstance(element, ast.Name) and element.id in functions:
                    yield element.id


def _of_schema(node: ast.Dict) -> list[str]:
    """The tool's name where the mapping describes one: `{type: function, function: {name}}`, the same flat, or `{name, input_schema}`."""
    entries = {key.value: value for key, value in zip(node.keys, node.values, strict=True) if isinstance(key, ast.Constant)}
    name = _text(entries.get("name"))
    if _text(entries.get("type")) == "function":
        inner = entries.get("function")
        if isinstance(inner, ast.Dict):
            named = {key.value: value for key, value in zip(inner.keys, inner.values, strict=True) if isinstance(key, ast.Constant)}
            name = _text(named.get("name"))
        elif "parameters" not in entries and "description" not in entries:
            name = None
    elif "input_schema" not in entries:
        name = None
    return [name] if name else []


def _last(node: ast.expr, dotted: Callable[[ast.expr], str]) -> str:
    return dotted(node).rpartition(".")[2]


def _given_name(node: ast.expr) -> str | None:
    """The literal that a call gives as `name`, `name_override` or its first argument."""
    if not isinstance(node, ast.Call):
        return None
    keyword = next((k.value for k in node.keywords if k.arg in ("name", "name_override")), None)
    name = _text(keyword) if keyword is not None else _text(node.args[0]) if node.args else None
    return name if name and name.replace("-", "_").replace(" ", "_").isidentifier() else None


def _class_name(node: ast.ClassDef) -> str:
    for statement in node.body:
        targets = (
            statement.targets if isinstance(statement, ast.Assign) else [statement.target] if isinstance(statement, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "name" for target in targets):
            assert isinstance(statement, ast.Assign | ast.AnnAssign)
            return _text(statement.value) or node.name
    return node.name


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
