"""Rules on what is loaded and fetched: code in data, code from strangers, names instead of revisions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from bartizan.areas.dependencies.training_code.remarks import Rule
from bartizan.methods.python_source import Source, called, keyword
from bartizan.methods.unsafe_loading import loading_calls
from bartizan.model.findings import Severity

Found = Iterator[tuple[int, str]]

PICKLERS = frozenset(
    {
        "pickle.load", "pickle.loads", "pickle.Unpickler", "_pickle.load", "_pickle.loads", "cPickle.load", "cPickle.loads",
        "cloudpickle.load", "cloudpickle.loads", "dill.load", "dill.loads", "dill.load_session", "joblib.load", "pandas.read_pickle",
        "shelve.open", "marshal.load", "marshal.loads", "jsonpickle.decode", "torch.package.PackageImporter",
    }
)  # fmt: skip
PICKLERS = frozenset({"pickle.dump", "cloudpickle.dump", "dill.dump", "joblib.dump", "pandas.DataFrame.to_pickle"})
_FETCHING = frozenset({"from_pretrained", "from_single_file", "snapshot_download", "hf_hub_download", "load_dataset", "cached_file"})
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LOCAL = re.compile(r"(?:\.{0,2}/|~|[A-Za-z]:\\|file:)|.*\.(?:json|ya?ml|pt|bin|safetensors|csv|parquet|txt)$")
_DATA_BUILDERS = frozenset({"csv", "json", "parquet", "text", "imagefolder", "audiofolder", "pandas", "arrow", "webdataset"})


def unpickling(source: Source) -> Found:
    """Calls that run what a file says."""
    yield from ((call.line, f"{call.name} {call.why}") for call in loading_calls(source))


def _is(source: Source, node: ast.expr | None, value: object) -> bool:
    return node is not None and source.value(node) is value


def checkpoints(source: Source) -> Found:
    """Models written as pickles, which every later load has to run."""
    for call in source.calls:
        name = source.full_name(call.func)
        if name in PICKLERS and call.args and _is_model(call.args[0]):
            yield source.line(call), f"{name} writes the model as a program that every later load runs"
        elif name == "torch.save" and call.args and _is_model(call.args[0]):
            yield source.line(call), "torch.save of a whole module writes its class as code to be run on loading"


def _is_model(node: ast.expr) -> bool:
    """A plain name that says model; `model.state_dict()` and dictionaries of tensors are none."""
    word = node.id if isinstance(node, ast.Name) else (node.attr if isinstance(node, ast.Attribute) else "")
    return bool(
        re.fullmatch(r"(?i)(?:.*_)?(?:model|net|network|classifier|clf|regressor|estimator|pipeline|pipe|generator|encoder|agent)\d*", word)
    )


def remote_code(source: Source) -> Found:
    """`trust_remote_code=True`, in calls and in dictionaries of arguments."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and _is(source, keyword(node, "trust_remote_code"), True):
            yield source.line(node), f"{called(node) or 'the call'} runs Python code from the repository of whoever published the model"
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is not None and source.value(key) in ("trust_remote_code", "--trust_remote_code") and _is(source, value, True):
                    yield source.line(key), "trust_remote_code lets a publisher's code run"


def revisions(source: Source) -> Found:
    """Models and data sets fetched by a name whose content its owner can change."""
    for call in source.calls:
        name = source.full_name(call.func) or ""
        if name == "torch.hub.load":
            repository = source.value(call.args[0]) if call.args else None
            local = _is(source, keyword(call, "source"), None) or source.value(keyword(call, "source")) == "local"
            if isinstance(repository, str) and not local and not _COMMIT.fullmatch(repository.partition(":")[2]):
                yield source.line(call), f"torch.hub.load fetches and runs code of '{repository}' at whatever its branch holds today"
            continue
        fetched = _fetched(source, call, name)
        if fetched is None:
            continue
        revision = keyword(call, "revision")
        value = source.value(revision)
        if revision is None or (value is None and isinstance(revision, ast.Constant)):
            yield source.line(call), f"'{fetched}' is fetched at whatever its main branch holds today"
        elif isinstance(value, str) and not _COMMIT.fullmatch(value):
            yield source.line(call), f"'{fetched}' is fetched at '{value}', a name that can be moved"


def _fetched(source: Source, call: ast.Call, name: str) -> str | None:
    """The hub's name that `call` fetches, where it is written out and is no local path."""
    word = called(call)
    if word == "pipeline" and name == "transformers.pipeline":
        node = keyword(call, "model") or (call.args[1] if len(call.args) > 1 else None)
    elif word == "SentenceTransformer" or word in _FETCHING:
        node = (call.args[0] if call.args else None) or keyword(call, "repo_id") or keyword(call, "pretrained_model_name_or_path")
        node = node or keyword(call, "path") or keyword(call, "model_name_or_path")
    else:
        return None
    value = source.value(node)
    if not isinstance(value, str) or _LOCAL.match(value) or not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)?", value):
        return None
    return None if word == "load_dataset" and value in _DATA_BUILDERS else value


RULES = (
    Rule(
        "unsafe-load", "Loading runs code of the file", "Load weights with safetensors or torch.load(..., weights_only=True), models with"
        " skops, arrays with allow_pickle=False, YAML with yaml.safe_load; look at foreign files with `bartizan scan` first.",
        Severity.HIGH, unpickling,
    ),
    Rule(
        "pickle-checkpoint", "A model is written as a pickle", "Write safetensors.torch.save_file(model.state_dict(), path), or"
        " skops.io.dump for scikit-learn.", Severity.MEDIUM, checkpoints,
    ),
    Rule(
        "remote-code", "Remote code is trusted", "Remove trust_remote_code, or copy the reviewed code into this repository and load it"
        " from there.", Severity.HIGH, remote_code,
    ),
    Rule(
        "unpinned-revision", "What is fetched can change behind its name", "Name the commit: revision=\"<40 hexadecimal digits>\""
        " (for torch.hub: \"owner/repo:<commit>\").", Severity.MEDIUM, revisions,
    ),
)  # fmt: skip
