"""Python source and notebooks as syntax trees with resolved names. Parsed, never imported or run."""

from __future__ import annotations

import ast
import json
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


class UnreadableError(ValueError):
    """Source that cannot be parsed."""


@dataclass
class Source:
    """One file: the text of its code and its tree. For notebooks `lines` says on which line of the file each line of code stands, and
    `cells` are the cells as they were read."""

    name: str
    text: str
    tree: ast.Module
    lines: dict[int, int] = field(default_factory=dict)
    cells: list[dict[str, Any]] = field(default_factory=list)

    def line(self, node: ast.AST) -> int:
        """The line of the file on which `node` begins."""
        at = getattr(node, "lineno", 0)
        return self.lines.get(at, at)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def names(self) -> dict[str, str]:
        """What each imported name stands for, in full."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return names

    @cached_property
    def constants(self) -> dict[str, Any]:
        """Names that one assignment in the whole file gives one literal value."""
        seen: dict[str, list[ast.expr]] = {}
        for node in self.nodes:
            targets = node.targets if isinstance(node, ast.Assign) else ([node.target] if isinstance(node, ast.AnnAssign) else [])
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            for target in targets:
                if isinstance(target, ast.Name) and value is not None:
                    seen.setdefault(target.id, []).append(value)
            if isinstance(node, ast.arg):
                seen.setdefault(node.arg, []).append(ast.Name("?"))
        return {name: values[0].value for name, values in seen.items() if len(values) == 1 and isinstance(values[0], ast.Constant)}

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        """Every call, in order of lines."""
        return tuple(sorted((n for n in self.nodes if isinstance(n, ast.Call)), key=lambda n: (n.lineno, n.col_offset)))

    @cached_property
    def strings(self) -> tuple[tuple[ast.Constant, str], ...]:
        """Every string literal with its text, parts of f-strings included."""
        return tuple((n, n.value) for n in self.nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))

    def full_name(self, node: ast.expr) -> str | None:
        """The dotted name that `node` stands for, through imports; None where it does not begin at an imported name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.names:
            return None
        return ".".join([self.names[node.id], *reversed(parts)])

    def value(self, node: ast.expr | None) -> Any:
        """The literal that `node` is or names, else None."""
        if isinstance(node, ast.Constant):
            return node.value
        return self.constants.get(node.id) if isinstance(node, ast.Name) else None


def called(call: ast.Call) -> str:
    """The last part of the name that is called: `load` of `torch.load(...)`."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else (call.func.id if isinstance(call.func, ast.Name) else "")


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value that `call` gives for the keyword `name`."""
    return next((word.value for word in call.keywords if word.arg == name), None)


def parsed(name: str, text: str) -> Source:
    """The source of the Python file or notebook `name`. Raises `UnreadableError`."""
    if name.endswith(".ipynb"):
        return _notebook(name, text)
    return Source(name, text, _tree(text))


def _tree(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableError(str(error)) from None


def cells_of(text: str) -> list[dict[str, Any]]:
    """The cells of a Jupyter notebook (nbformat 4). Raises `UnreadableError`."""
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableError(str(error)) from None
    if not isinstance(cells, list):
        raise UnreadableError("its cells are no list")
    return [cell for cell in cells if isinstance(cell, dict)]


def text_of(value: Any) -> str:
    """The text of a cell's field, which nbformat writes as one string or as a list of lines."""
    return (
        "".join(part for part in value if isinstance(part, str)) if isinstance(value, list) else (value if isinstance(value, str) else "")
    )


def _notebook(name: str, text: str) -> Source:
    """The code cells as one source; shell and magic lines become comments."""
    code, lines = [], {}
    where = _Finder(text)
    cells = cells_of(text)
    for cell in cells:
        if cell.get("cell_type") != "code":
            continue
        for line in text_of(cell.get("source")).split("\n"):
            code.append("pass  # " + line if line.lstrip()[:1] in ("%", "!") else line)
            lines[len(code)] = where(line)
    return Source(name, "\n".join(code), _tree("\n".join(code)), lines, cells)


class _Finder:
    """Finds the lines of a notebook's file that hold given lines of code, in order; one that is not found stands where the last did."""

    def __init__(self, text: str) -> None:
        self._written = text.split("\n")
        self._at = 0

    def __call__(self, line: str) -> int:
        encoded = json.dumps(line, ensure_ascii=False)[1:-1]
        ahead = range(self._at, min(len(self._written), self._at + 2000)) if encoded.strip() else ()
        self._at = next((number for number in ahead if encoded in self._written[number]), self._at)
        return self._at + 1
