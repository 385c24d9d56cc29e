"""Chat templates: Jinja programs that a tokenizer renders. They are parsed, never rendered, and judged by what they reach for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bartizan.areas.artefacts.containers.scope import Piece, Scope

if TYPE_CHECKING:
    from jinja2 import nodes

MAX_TEMPLATE = 1 << 18
"""Longest template that is parsed."""

CALLED = frozenset({
    "raise_exception", "strftime_now", "namespace", "range", "dict", "caller", "super", "loop", "joiner", "cycler",
})  # fmt: skip
"""What templates call by name: of Jinja itself, and what the tokenizer libraries hand in."""

METHODS = frozenset({
    "append", "capitalize", "casefold", "copy", "count", "endswith", "extend", "find", "get", "index", "insert", "isalnum", "isalpha",
    "isdigit", "isspace", "items", "join", "keys", "lower", "lstrip", "partition", "pop", "removeprefix", "removesuffix", "replace",
    "rfind", "rpartition", "rsplit", "rstrip", "setdefault", "split", "splitlines", "startswith", "strip", "title", "update", "upper",
    "values", "strftime", "next", "cycle",
})  # fmt: skip
"""Methods of text, lists and tables that cannot reach further."""

BUILT = ("Concat", "Add", "Mod", "Mul", "Filter", "Call")
"""Expressions that make up text as they go; as the name of an attribute they hide it."""


def judge_template(source: str, piece: Piece, scope: Scope, offset: int | None = None) -> None:
    """Judge one template; what is found is noted at `offset` of `piece`."""
    if len(source) > MAX_TEMPLATE:
        scope.unsure("a chat template is longer than is read here", piece, offset)
        return
    from jinja2 import Environment, TemplateSyntaxError, nodes

    environment = Environment(extensions=["jinja2.ext.loopcontrols", _generation()])  # noqa: S701  (nothing is rendered)
    try:
        tree = environment.parse(source)
    except (TemplateSyntaxError, RecursionError, ValueError, MemoryError) as error:
        scope.unsure(f"a chat template cannot be parsed ({type(error).__name__})", piece, offset)
        return
    macros = {macro.name for macro in tree.find_all(nodes.Macro)} | {"caller"}
    stack: list[nodes.Node] = [tree]
    while stack:
        node = stack.pop()
        _node(node, macros, piece, scope, offset)
        stack.extend(node.iter_child_nodes())


def _generation() -> type:
    """The block `{% generation %}` that some tokenizers add to Jinja: its body is read like any other."""
    from jinja2 import nodes
    from jinja2.ext import Extension
    from jinja2.parser import Parser

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012  (Jinja's own form)

        def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return Generation


def _node(node: nodes.Node, macros: set[str], piece: Piece, scope: Scope, offset: int | None) -> None:
    from jinja2 import nodes

    line = f"line {node.lineno} of a chat template"
    if isinstance(node, nodes.Getattr):
        _attribute(node.attr, line, piece, scope, offset)
    elif isinstance(node, nodes.Getitem):
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            _attribute(node.arg.value, line, piece, scope, offset)
        elif type(node.arg).__name__ in BUILT and not _arithmetic(node.arg):
            scope.unsure(f"{line} makes up the name of what it reaches for", piece, offset)
    elif isinstance(node, nodes.Filter) and node.name in ("attr", "map", "selectattr", "rejectattr", "groupby", "sort", "sum", "unique"):
        _filter(node, line, piece, scope, offset)
    elif isinstance(node, nodes.Include | nodes.Import | nodes.FromImport | nodes.Extends):
        scope.unsafe(f"{line} loads another template", piece, offset)
    elif isinstance(node, nodes.Call):
        _call(node, macros, line, piece, scope, offset)


def _arithmetic(node: nodes.Expr) -> bool:
    """Is it a computed number, such as `loop.index0 - 1`, or text made up from nothing suspicious?"""
    from jinja2 import nodes

    consts = [part.value for part in node.find_all(nodes.Const)]
    if isinstance(node, nodes.Add | nodes.Mod | nodes.Mul):
        return bool(consts) and all(isinstance(value, int) for value in consts)
    return isinstance(node, nodes.Filter) and node.name in ("length", "int", "string", "lower", "upper", "trim")


def _attribute(name: str, line: str, piece: Piece, scope: Scope, offset: int | None) -> None:
    if name.startswith("__") or name in ("mro", "func_globals", "gi_frame", "gi_code", "cr_frame", "f_globals", "tb_frame"):
        scope.unsafe(f"{line} reaches for '{name[:60]}', the way out of a template into Python", piece, offset)
    elif name.startswith("_"):
        scope.unsure(f"{line} reaches for the private name '{name[:60]}'", piece, offset)


def _filter(node: nodes.Filter, line: str, piece: Piece, scope: Scope, offset: int | None) -> None:
    from jinja2 import nodes

    for value in [*node.args, *(word.value for word in node.kwargs)]:
        if isinstance(value, nodes.Const):
            for part in str(value.value).split("."):
                _attribute(part, line, piece, scope, offset)
        elif node.name == "attr":
            scope.unsure(f"{line} makes up the name of an attribute", piece, offset)


def _call(node: nodes.Call, macros: set[str], line: str, piece: Piece, scope: Scope, offset: int | None) -> None:
    from jinja2 import nodes

    called = node.node
    if isinstance(called, nodes.Name):
        if called.name not in CALLED and called.name not in macros:
            scope.unsure(f"{line} calls '{called.name[:60]}', which tokenizers do not offer", piece, offset)
    elif isinstance(called, nodes.Getattr):
        if called.attr == "format":
            if "__" in str(getattr(called.node, "value", "__")):
                scope.unsure(f"{line} formats text that can reach for attributes", piece, offset)
        elif called.attr not in METHODS and not called.attr.startswith("__"):
            scope.unsure(f"{line} calls the method '{called.attr[:60]}'", piece, offset)
    elif not isinstance(called, nodes.Getitem) or not isinstance(called.arg, nodes.Const) or called.arg.value not in METHODS:
        scope.unsure(f"{line} calls what it made up", piece, offset)
