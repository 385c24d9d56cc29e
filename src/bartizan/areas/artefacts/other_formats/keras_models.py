"""Keras configurations (`.keras`, H5, metadata of a SavedModel): layers that hold code, and names that lead out of Keras."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.other_formats.bounded_json import NotJson, parse, walk

OWN = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "keras_core")
"""Packages whose classes Keras makes by itself."""

PARTS = frozenset({
    "layers", "models", "optimizers", "losses", "metrics", "initializers", "regularizers", "constraints", "activations", "engine",
    "src", "applications", "legacy", "backend", "dtype_policies", "quantizers", "callbacks", "saving", "mixed_precision", "random",
    "feature_column", "schedules", "distribution",
})  # fmt: skip
"""Parts of Keras whose classes are made of numbers and names."""

RELATIVES = ("keras_nlp", "keras_hub", "keras_cv", "keras_tuner", "tensorflow_addons", "tensorflow_hub", "tensorflow_text", "tensorflow")

CODE = {
    "Lambda": "holds Python code or calls a function by name",
    "TorchModuleWrapper": "unpickles a torch module",
    "TFSMLayer": "loads a SavedModel from a path that the file names",
    "FlaxLayer": "calls code of its own",
    "JaxLayer": "calls code of its own",
    "__lambda__": "is Python byte code",
}
"""Classes that hold or reach code, and how."""

FILES = ("vocabulary", "vocabulary_file", "filepath", "merges", "proto", "vocab_file", "file_path")
"""Settings of layers that may be the path of a file, which loading then reads."""


def judge_entries(entries: Mapping[str, Piece], scope: Scope) -> None:
    """Judge the configuration of a `.keras` archive."""
    for name, piece in entries.items():
        if name.lower().rpartition("/")[2] == "config.json":
            judge_text(piece, scope)


def judge_text(piece: Piece, scope: Scope) -> None:
    """Judge a configuration as JSON text."""
    try:
        judge_config(parse(bytes(piece.data), piece, scope), piece, scope)
    except NotJson as error:
        scope.unsure(f"the configuration {error}", piece, 0)


def judge_config(value: Any, piece: Piece, scope: Scope) -> None:
    """Judge every object of a configuration. Raises `NotJson` where there are too many."""
    for item in walk(value):
        if "class_name" in item:
            _object(item, piece, scope)
        for key in FILES:
            path = item.get(key)
            if isinstance(path, str) and path and (key != "vocabulary" or "/" in path or "\\" in path or "." in path):
                scope.unsure(f"the setting '{key}' reads the file '{path[:120]}'", piece, 0)


def _object(item: Mapping[str, Any], piece: Piece, scope: Scope) -> None:
    name, module, registered = item["class_name"], item.get("module"), item.get("registered_name")
    if not isinstance(name, str):
        scope.unsure("the name of a class is no text", piece, 0)
        return
    short = name.rpartition(">")[2].rpartition(".")[2]
    if CODE.get(short):
        scope.unsafe(f"the layer {short} {CODE[short]}", piece, 0)
    elif short in ("TFOpLambda", "SlicingOpLambda"):
        _operator(item, piece, scope)
    elif isinstance(module, str) and module:
        _module(name, module, item, piece, scope)
    if module is None and isinstance(registered, str) and ">" in registered and not registered.startswith(("keras", "Keras")):
        scope.unsure(f"the class '{registered[:80]}' is registered by somebody's own code", piece, 0)
    elif ">" in name and not name.startswith(("keras", "Keras")):
        scope.unsure(f"the class '{name[:80]}' is registered by somebody's own code", piece, 0)


def _module(name: str, module: str, item: Mapping[str, Any], piece: Piece, scope: Scope) -> None:
    root = next((root for root in OWN if module == root or module.startswith(root + ".")), None)
    if root is not None:
        parts = module[len(root) :].strip(".").split(".")
        function = name == "function"
        if not set(parts) & PARTS and parts != [""]:
            scope.unsafe(f"'{module[:80]}.{name[:60]}' is no layer: Keras would call it while loading", piece, 0)
        elif function and "activations" not in parts:
            scope.unsure(f"refers to the function '{str(item.get('config'))[:60]}' of {module[:60]}", piece, 0)
    elif module == "builtins" and name in ("function", "NoneType", "tuple", "slice", "bool", "int", "float", "str", "dict", "list", "type"):
        if name in ("function", "type"):
            scope.unsure(f"refers to the function '{str(item.get('config'))[:60]}' of somebody's own code", piece, 0)
    elif module.partition(".")[0] in RELATIVES or module in ("numpy", "jax.numpy"):
        scope.unsure(f"uses '{module[:80]}.{name[:60]}', outside Keras", piece, 0)
    else:
        scope.unsafe(f"names '{module[:80]}.{name[:60]}', outside Keras: loaders have called whatever stands there", piece, 0)


def _operator(item: Mapping[str, Any], piece: Piece, scope: Scope) -> None:
    """A TensorFlow function called as a layer: of mathematics it is fine."""
    config = item.get("config")
    function = str(config.get("function", "")) if isinstance(config, dict) else ""
    words = set(function.split("."))
    if words & {
        "io",
        "py_function",
        "numpy_function",
        "raw_ops",
        "py_func",
        "load_op_library",
        "load_library",
        "gfile",
        "eval",
        "debugging",
    }:
        scope.unsafe(f"calls the TensorFlow function '{function[:80]}', which reaches out of the model", piece, 0)
