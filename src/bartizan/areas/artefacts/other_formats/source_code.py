"""Code that comes with a model: handlers, remote code, notebooks. Parsed, never imported, and judged by what it would do to a loader."""

from __future__ import annotations

import ast
import re
from typing import Any

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope
from bartizan.areas.artefacts.other_formats.recognition import file_name
from bartizan.methods.python_source import Source, UnreadableError, parsed, text_of
from bartizan.methods.unsafe_loading import LoadingCall, loading_calls

MAX_SOURCE = 4 * MIB

REACHING = re.compile(
    r"^(?:os\.(?:system|popen|exec\w*|spawn\w*|fork\w*|kill|remove|unlink|rename|chmod|putenv)|subprocess\.\w+|pty\.\w+|shutil\.rmtree|"
    r"ctypes\.\w+|builtins\.(?:exec|eval|compile|__import__)|socket\.\w+|urllib\.request\.\w+|requests\.\w+|httpx\.\w+|importlib\.import_module|"
    r"runpy\.\w+|code\.\w+|marshal\.\w+|exec|eval|compile|__import__)$"
)
"""Functions that a model's code needs no sooner than when it is called; at import they are a reason to look."""

RUN_BY_LOADERS = {
    "hubconf.py": "torch.hub",
    "handler.py": "TorchServe and inference endpoints",
    "inference.py": "SageMaker",
    "custom_interface.py": "SpeechBrain",
}
"""Files that a loader of models imports for their name alone, and whose functions it calls."""

_SHELL = re.compile(r"^\s*(?:!|%%(?:bash|sh|script|system|cmd)|%(?:sx|system)\b)(.*)", re.M)
_HARMLESS = re.compile(
    r"^!?\s*(?:(?:python\d?(?:\.\d+)? -m )?pip3? (?:install|list|show|freeze)|conda install|ls|pwd|nvidia-smi|head|wc|tree"
    r")\b[^;&|`$<>]*$"
)


def read_source(piece: Piece, scope: Scope) -> bool:
    """Judge a Python file."""
    scope.recognise("Python source")
    if len(piece.data) > MAX_SOURCE:
        scope.unsure("the source is longer than is read here", piece, 0)
        return True
    runner = RUN_BY_LOADERS.get(file_name(piece, scope))
    if runner is not None:
        scope.unsure(f"code that {runner} runs when the model is loaded, and that nobody reviewed", piece, 0)
    text = bytes(piece.data).decode("utf-8-sig", "replace")
    _judge(text, piece, scope)
    return True


def _judge(text: str, piece: Piece, scope: Scope, where: str = "line") -> None:
    starts = _line_starts(text)
    try:
        source = parsed("source.py", text)
        calls = [*loading_calls(source), *_at_import(source)]
    except UnreadableError as error:
        scope.unsure(f"the source cannot be parsed ({error})", piece, 0)
        return
    for call in calls[:20]:
        offset = starts[call.line - 1] if where == "line" and call.line <= len(starts) else None
        scope.unsure(f"{where} {call.line}: {call.name} {call.why}", piece, offset)


def _line_starts(text: str) -> list[int]:
    starts, at = [0], 0
    for line in text.split("\n"):
        at += len(line.encode("utf-8", "replace")) + 1
        starts.append(at)
    return starts


def _at_import(source: Source, why: str = "runs when the file is imported") -> list[LoadingCall]:
    """Calls of `REACHING` functions that run when the file is imported: outside functions."""
    names: dict[str, str] = {}
    found: list[LoadingCall] = []
    stack: list[ast.AST] = list(reversed(source.tree.body))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.partition(".")[0]: alias.name if alias.asname else alias.name.partition(".")[0]
                for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and (name := _name(node.func, names)) and REACHING.match(name):
            found.append(LoadingCall(node.lineno, name, why))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            stack.extend(node.decorator_list if not isinstance(node, ast.Lambda) else ())
            continue
        stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def _name(node: ast.expr, names: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([names.get(node.id, node.id), *reversed(parts)])


def judge_notebook(notebook: dict[str, Any], piece: Piece, scope: Scope) -> None:
    """Judge a notebook: its code, its shell lines, and outputs that a viewer would run."""
    scope.formats[:] = ["notebook" if name == "JSON" else name for name in scope.formats]
    for number, cell in enumerate(notebook["cells"], 1):
        if not isinstance(cell, dict):
            continue
        if cell.get("cell_type") == "code":
            _shell(text_of(cell.get("source")), number, piece, scope)
        _outputs(cell, number, scope)
    try:
        source = parsed("notebook.ipynb", bytes(piece.data).decode("utf-8-sig", "replace"))
        calls = [*loading_calls(source), *_at_import(source, "runs when the notebook is run")]
    except UnreadableError:
        scope.note("the notebook's code is no plain Python")
        return
    for call in calls[:20]:
        scope.unsure(f"the notebook's code: {call.name} {call.why}", piece, 0)


def _shell(text: str, number: int, piece: Piece, scope: Scope) -> None:
    for found in _SHELL.finditer(text):
        command = found[0].strip()
        if re.search(r"(?:curl|wget)\b.*\|\s*(?:ba|z)?sh\b", text):
            scope.unsafe(f"cell {number} runs what it downloads: {command[:100]}", piece, 0)
        elif not _HARMLESS.match(command):
            scope.unsure(f"cell {number} runs a command: {command[:100]}", piece, 0)


def _outputs(cell: dict[str, Any], number: int, scope: Scope) -> None:
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        data = output.get("data") if isinstance(output, dict) else None
        if not isinstance(data, dict):
            continue
        if "application/javascript" in data or "<script" in str(data.get("text/html", ""))[:1_000_000].lower():
            scope.note(f"an output of cell {number} holds a script, which a viewer that trusts the notebook runs")
