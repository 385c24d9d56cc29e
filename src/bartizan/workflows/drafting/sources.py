"""What Python source says of a system: web applications, calls of language models, vector stores, training.

Source is parsed to its syntax tree and never run.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import msgspec

from bartizan import documents
from bartizan.workflows.drafting.folder import File, Holdings
from bartizan.workflows.drafting.registrations import tools_of

MAX_SOURCE = 2**20
MAX_NOTEBOOK = 8 * 2**20
_MAX_STRINGS = 2000


class Libraries(msgspec.Struct, frozen=True, kw_only=True):
    """The packages that tell something, from `libraries.yaml`."""

    web: dict[str, tuple[str, ...]]
    hosted: dict[str, str]
    language: tuple[str, ...]
    agents: tuple[str, ...]
    agent_calls: tuple[str, ...]
    vectors: dict[str, str]
    protocols: tuple[str, ...]
    running: tuple[str, ...]
    learning: tuple[str, ...]
    listing: tuple[str, ...]
    training: tuple[str, ...]
    training_packages: tuple[str, ...]
    saving: tuple[str, ...]


@cache
def libraries() -> Libraries:
    """The shipped table of packages."""
    text = files("bartizan.workflows.drafting").joinpath("libraries.yaml").read_text("utf-8")
    return documents.convert(documents.parse(text, "libraries.yaml"), Libraries)


class NamedModel(msgspec.Struct, frozen=True):
    """A model that the source names with a literal: `hub` where it is fetched by name, `task` as the call tells it."""

    name: str
    line: int
    task: str | None = None
    hub: bool = False
    revision: str | None = None
    remote_code: bool = False


class Facts(msgspec.Struct, kw_only=True):
    """What one file proves. The numbers are lines; for a notebook, lines of its code cells joined together."""

    file: File
    web: dict[str, int] = {}
    title: str | None = None
    language: dict[str, int] = {}
    agent: dict[str, int] = {}
    vectors: dict[str, int] = {}
    models: list[NamedModel] = []
    elsewhere: bool = False
    trains: int = 0
    saves: int = 0
    learns: dict[str, int] = {}
    runs: dict[str, int] = {}
    tools: dict[str, int] = {}
    strings: set[str] = set()
    folders: set[str] = set()

    @property
    def notebook(self) -> bool:
        return self.file.suffix == ".ipynb"


def facts_of(holdings: Holdings) -> Iterator[Facts]:
    """The facts of every source file and notebook that can be parsed; tests of the system are no part of it."""
    for file in holdings.files:
        source = _source(holdings, file)
        if source is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # odd escapes in somebody's source are not ours to report
                tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        yield _Reading(file).of(tree)


def _source(holdings: Holdings, file: File) -> str | None:
    if file.suffix == ".py" and file.size <= MAX_SOURCE:
        test = file.name.startswith("test_") or file.name.endswith("_test.py") or file.name == "conftest.py"
        return None if test else holdings.text(file, MAX_SOURCE)
    if file.suffix == ".ipynb" and file.size <= MAX_NOTEBOOK:
        return _cells(holdings.text(file, MAX_NOTEBOOK))
    return None


def _cells(text: str) -> str | None:
    """The code cells of a notebook (nbformat 4) as one source, with the magics of IPython left out."""
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    lines = "\n".join(sources).split("\n")
    return "\n".join("" if line.lstrip().startswith(("%", "!", "?")) else line for line in lines)


class _Reading:
    """One pass over a syntax tree."""

    def __init__(self, file: File) -> None:
        self.facts = Facts(file=file)
        self.known = libraries()
        self.names: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.places: dict[str, ast.expr] = {}
        self.calls: list[ast.Call] = []
        self.packages: dict[str, int] = {}

    def of(self, tree: ast.Module) -> Facts:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._imported(alias.name, node.lineno)
                    self.names[alias.asname or alias.name.partition(".")[0]] = alias.name if alias.asname else alias.name.partition(".")[0]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self._imported(node.module, node.lineno)
                for alias in node.names:
                    self.names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                self.constants |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call | ast.BinOp):
                self.places |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
            if isinstance(node, ast.Call):
                self.calls.append(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(self.facts.strings) < _MAX_STRINGS:
                self.facts.strings.add(node.value[:300])
        for call in sorted(self.calls, key=lambda c: (c.lineno, c.col_offset)):
            self._called(call)
            self._noted(call)
        models = self.facts.language or self.facts.agent or any(package in self.packages for package in self.known.protocols)
        self.facts.tools = tools_of(tree, self._dotted, bool(models))
        return self.facts

    def _imported(self, module: str, line: int) -> None:
        top = module.partition(".")[0]
        self.packages.setdefault(top, line)
        for name in {module, top, ".".join(module.split(".")[:2])}:
            if name in self.known.hosted or name in self.known.language:
                self.facts.language.setdefault(name, line)
            if name in self.known.agents:
                self.facts.agent.setdefault(name, line)
            if name in self.known.vectors:
                self.facts.vectors.setdefault(name, line)

    def _called(self, call: ast.Call) -> None:
        dotted = self._dotted(call.func)
        top, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
        if last in self.known.web.get(top, ()):
            self.facts.web.setdefault(top, call.lineno)
            self.facts.title = self.facts.title or self._text(_keyword(call, "title"))
        if top == "transformers" and last == "pipeline":
            self._fetched(
                call, self._text(_keyword(call, "model")), self._text(call.args[0]) if call.args else self._text(_keyword(call, "task"))
            )
        elif last == "from_pretrained":
            self._fetched(call, self._text(call.args[0]) if call.args else None, None)
        elif self.facts.language:
            self._asked(call, dotted.lower())
        if last in self.known.agent_calls:
            self.facts.agent.setdefault(last, call.lineno)
        elif self.facts.language and last in _ASKING and _keyword(call, "tools") is not None:
            self.facts.agent.setdefault("tools for the model", call.lineno)
        trained = any(package in self.packages for package in self.known.training_packages)
        if trained and last in self.known.training and (call.args or call.keywords) and "." in dotted:
            self.facts.trains = self.facts.trains or call.lineno
        if trained and last in self.known.saving:
            self.facts.saves = self.facts.saves or call.lineno

    def _noted(self, call: ast.Call) -> None:
        """Calls that prove nothing of a part, but belong beside a question."""
        dotted = self._dotted(call.func)
        last = dotted.rpartition(".")[2]
        if last in self.known.learning and "." in dotted:
            self.facts.learns.setdefault(last, call.lineno)
        if last in self.known.listing and len(self.facts.folders) < _MAX_STRINGS:
            self.facts.folders.update(self._listed(call))
        shell = _keyword(call, "shell")
        with_shell = isinstance(shell, ast.Constant) and shell.value is True
        if dotted in self.known.running or with_shell:
            self.facts.runs.setdefault(f"{dotted.removeprefix('?.')}{' with shell=True' if with_shell else ''}", call.lineno)

    def _listed(self, call: ast.Call) -> Iterator[str]:
        """The folders and patterns whose files a call reads: what it is given, or of a path's method what the path is."""
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg in ("path", "input_dir", "pathname", "top"))]
        paths = [path for path in map(self._place, given) if path]
        home = self._place(call.func.value) if isinstance(call.func, ast.Attribute) else None
        for path in [home] if home else paths:
            yield path[:300]

    def _place(self, node: ast.expr, depth: int = 0) -> str | None:
        """The path that an expression writes: a text, `Path(text)`, or texts joined by `/` behind a folder that is not known."""
        text = self._text(node)
        if text is not None or depth > 8:
            return text
        if isinstance(node, ast.Name) and node.id in self.places:
            return self._place(self.places[node.id], depth + 1)
        if isinstance(node, ast.Call) and node.args and self._dotted(node.func).rpartition(".")[2] in ("Path", "PurePath", "str"):
            return self._place(node.args[0], depth + 1)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            left, right = self._place(node.left, depth + 1), self._place(node.right, depth + 1)
            return f"{left.rstrip('/')}/{right}" if left and right else right
        return None

    def _asked(self, call: ast.Call, dotted: str) -> None:
        """A call to a language model: it names the model, or another place than the vendor's."""
        if _keyword(call, "base_url") is not None or _keyword(call, "api_base") is not None:
            self.facts.elsewhere = True
        name = self._text(_keyword(call, "model")) or self._text(_keyword(call, "model_name"))
        if name and not any(model.name == name for model in self.facts.models):
            embeds = "embed" in dotted
            writes = any(word in dotted for word in ("chat", "completion", "messages", "responses", "generate"))
            task = "embedding" if embeds else "text-generation" if writes else None
            self.facts.models.append(NamedModel(name, call.lineno, task))

    def _fetched(self, call: ast.Call, name: str | None, task: str | None) -> None:
        """A model fetched from a hub by its name, `owner/name` or a short name; a path is found as a file instead."""
        if not name or name.startswith((".", "/", "~")) or name.count("/") > 1 or any(m.name == name for m in self.facts.models):
            return
        remote = _keyword(call, "trust_remote_code")
        trusted = isinstance(remote, ast.Constant) and remote.value is True
        revision = self._text(_keyword(call, "revision"))
        if task == "text-generation":
            self.facts.language.setdefault("transformers", call.lineno)
        self.facts.models.append(NamedModel(name, call.lineno, task, hub=True, revision=revision, remote_code=trusted))

    def _dotted(self, node: ast.expr) -> str:
        """`a.b.c` of a call's function with its first name resolved through the imports; calls in between are passed through."""
        parts: list[str] = []
        while True:
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            elif isinstance(node, ast.Call):
                node = node.func
            else:
                break
        parts.append(self.names.get(node.id, node.id) if isinstance(node, ast.Name) else "?")
        return ".".join(reversed(parts))

    def _text(self, node: ast.expr | None) -> str | None:
        """The text of a literal or of a name that was given one."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return self.constants.get(node.id) if isinstance(node, ast.Name) else None


_ASKING = frozenset({"create", "stream", "parse", "completion", "acompletion", "bind_tools", "generate", "chat", "run"})


def _keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
