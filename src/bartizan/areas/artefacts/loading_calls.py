"""Finds the calls in Python source that unpickle what they read. The source is parsed, never imported."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

LOADERS = {
    **dict.fromkeys(
        (
            "pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.load", "_pickle.loads", "cPickle.load", "cPickle.loads",
            "cloudpickle.load", "cloudpickle.loads", "dill.load", "dill.loads", "dill.load_session", "dill.load_module",
            "joblib.load", "sklearn.externals.joblib.load", "pandas.read_pickle", "shelve.open", "marshal.load", "marshal.loads",
            "jsonpickle.decode", "jsonpickle.loads", "mlflow.sklearn.load_model", "mlflow.pyfunc.load_model",
        ),
        "unpickles what it reads",
    ),
    "torch.jit.load": "runs the TorchScript that it reads",
}  # fmt: skip
"""Callables by their full name, and why each is unsafe on a file that somebody else could have written."""

SWITCHED = {
    "numpy.load": ("allow_pickle", True, "unpickles arrays of objects (allow_pickle=True)"),
    "torch.load": ("weights_only", False, "unpickles without weights_only=True (the default before torch 2.6)"),
    "keras.models.load_model": ("safe_mode", False, "runs Lambda layers (safe_mode=False)"),
    "tensorflow.keras.models.load_model": ("safe_mode", False, "runs Lambda layers (safe_mode=False)"),
    "keras.saving.load_model": ("safe_mode", False, "runs Lambda layers (safe_mode=False)"),
}
"""Callables that are unsafe only when a switch stands at the given value: (switch, unsafe value, why)."""


@dataclass(frozen=True)
class LoadingCall:
    """One call: its line from 1, the full name of what is called, and why it is unsafe."""

    line: int
    name: str
    why: str


class UnreadableError(ValueError):
    """Source that cannot be parsed."""


def loading_calls(source: str) -> tuple[LoadingCall, ...]:
    """The unsafe loading calls in Python `source`, in order of lines. Raises `UnreadableError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableError(str(error)) from None
    names = _imported(tree)
    found = [call for node in ast.walk(tree) if isinstance(node, ast.Call) and (call := _unsafe(node, names))]
    return tuple(sorted(found, key=lambda call: (call.line, call.name)))


def notebook_source(text: str) -> str:
    """The code cells of a Jupyter notebook as one source; shell and magic lines become comments. Raises `UnreadableError`."""
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnreadableError(str(error)) from None
    lines = "\n".join(sources).split("\n")
    return "\n".join("pass  # " + line if line.lstrip()[:1] in ("%", "!") else line for line in lines)


def _imported(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _full_name(node: ast.expr, names: dict[str, str]) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in names:
        return None
    return ".".join([names[node.id], *reversed(parts)])


def _unsafe(call: ast.Call, names: dict[str, str]) -> LoadingCall | None:
    name = _full_name(call.func, names)
    if name is None:
        return None
    if name in LOADERS:
        return LoadingCall(call.lineno, name, LOADERS[name])
    if name not in SWITCHED:
        return None
    switch, unsafe, why = SWITCHED[name]
    given = next((word.value for word in call.keywords if word.arg == switch), None)
    if given is None:
        return LoadingCall(call.lineno, name, why) if name == "torch.load" else None
    safe = isinstance(given, ast.Constant) and given.value is (not unsafe)
    return None if safe else LoadingCall(call.lineno, name, why)


def python_sources(texts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, LoadingCall | None]]:
    """For each (name, text) of a Python file or notebook its unsafe calls; (name, None) where it cannot be parsed."""
    for name, text in texts:
        try:
            for call in loading_calls(notebook_source(text) if name.endswith(".ipynb") else text):
                yield name, call
        except UnreadableError:
            yield name, None
