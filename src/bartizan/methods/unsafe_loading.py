"""Calls in Python source that run what a file says: which they are, and where they stand. The source is parsed, never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from bartizan.methods.python_source import Source, called, keyword

LOADERS = {
    **dict.fromkeys(
        (
            "pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.load", "_pickle.loads", "cPickle.load", "cPickle.loads",
            "cloudpickle.load", "cloudpickle.loads", "dill.load", "dill.loads", "dill.load_session", "dill.load_module",
            "joblib.load", "sklearn.externals.joblib.load", "pandas.read_pickle", "shelve.open", "marshal.load", "marshal.loads",
            "jsonpickle.decode", "jsonpickle.loads", "torch.package.PackageImporter", "mlflow.sklearn.load_model",
            "mlflow.pyfunc.load_model",
        ),
        "unpickles what it reads",
    ),
    "torch.jit.load": "runs the TorchScript that it reads",
    "yaml.unsafe_load": "builds any Python object that the text asks for",
    "yaml.full_load": "builds Python objects that the text asks for",
}  # fmt: skip
"""Callables by their full name, and why each is unsafe on a file that somebody else could have written."""

SWITCHED = {
    "numpy.load": ("allow_pickle", True, "unpickles arrays of objects (allow_pickle=True)"),
    "torch.load": ("weights_only", False, "unpickles without weights_only=True (the default before torch 2.6)"),
    "torch.hub.load_state_dict_from_url": ("weights_only", False, "unpickles without weights_only=True"),
    "keras.models.load_model": ("safe_mode", False, "runs Lambda layers (safe_mode=False)"),
    "tensorflow.keras.models.load_model": ("safe_mode", False, "runs Lambda layers (safe_mode=False)"),
    "keras.saving.load_model": ("safe_mode", False, "runs Lambda layers (safe_mode=False)"),
}
"""Callables that are unsafe only when a switch stands at the given value: (switch, unsafe value, why)."""

_UNSAFE_BY_DEFAULT = frozenset({"torch.load", "torch.hub.load_state_dict_from_url"})
_SAFE_YAML = frozenset({"SafeLoader", "CSafeLoader", "BaseLoader", "CBaseLoader"})


@dataclass(frozen=True)
class LoadingCall:
    """One call: its line from 1, the full name of what is called, and why it is unsafe."""

    line: int
    name: str
    why: str


def loading_calls(source: Source) -> tuple[LoadingCall, ...]:
    """The unsafe loading calls in `source`, in order of lines."""
    return tuple(LoadingCall(source.line(call), name, why) for call in source.calls for name, why in _unsafe(source, call))


def _unsafe(source: Source, call: ast.Call) -> Iterator[tuple[str, str]]:
    name = source.full_name(call.func)
    if called(call) == "enable_unsafe_deserialization":
        yield "enable_unsafe_deserialization", "lets every later load run code"
    if name is None:
        return
    if name in LOADERS:
        yield name, LOADERS[name]
    elif name in ("yaml.load", "yaml.load_all"):
        loader = keyword(call, "Loader") or (call.args[1] if len(call.args) > 1 else None)
        if loader is None or (source.full_name(loader) or "").rpartition(".")[2] not in _SAFE_YAML:
            yield name, "builds any Python object that the text asks for"
    elif name in SWITCHED:
        switch, unsafe, why = SWITCHED[name]
        given = keyword(call, switch)
        if (given is None and name in _UNSAFE_BY_DEFAULT) or (given is not None and source.value(given) is not (not unsafe)):
            yield name, why
