"""Rules on how a run is set up: transport, debug servers, seeds, permissions, credentials, secrets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from bartizan.areas.dependencies.training_code.remarks import Rule
from bartizan.methods import secret_shapes
from bartizan.methods.python_source import Source, called, keyword
from bartizan.model.findings import Severity

Found = Iterator[tuple[int, str]]

SHELL = (
    (re.compile(r"\b(?:curl|wget)\b[^\n|;&]*\s(?:-k|--insecure|--no-check-certificate)\b"), "tls-off", "the certificate is not checked"),
    (re.compile(r"http\.sslVerify[= ]false|GIT_SSL_NO_VERIFY=(?:1|true)|NODE_TLS_REJECT_UNAUTHORIZED=0|PYTHONHTTPSVERIFY=0"), "tls-off",
     "the certificate is not checked"),
    (re.compile(r"--trusted-host[= ]"), "tls-off", "packages are taken from a host whose certificate is not checked"),
    (re.compile(r"\bchmod\s+(?:-R\s+|--recursive\s+)?(?:0?[0-7]{2}[2367]\b|[ugoa]*[oa][ugoa]*\+[rx]*w|\+[rx]*w(?=\s))"), "world-writable",
     "everybody on the machine may write here"),
    (re.compile(r"\bumask\s+0{1,4}(?!\d)"), "world-writable", "everybody on the machine may write what is made from here on"),
    (re.compile(r"\b(?:curl|wget)\b[^\n|]*\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b"), "unsafe-load", "what the address serves is run at once"),
    (re.compile(r"--(?:NotebookApp|ServerApp|IdentityProvider)\.token=(?:''|\"\"|\s|$)|--bind_all\b"), "debug-server",
     "the server answers everybody without asking who they are"),
)  # fmt: skip
"""Patterns in commands, wherever commands stand: the pattern, the rule, the reason."""

_SEEDS = frozenset(
    {"manual_seed", "manual_seed_all", "seed_everything", "set_seed", "set_random_seed", "enable_full_determinism", "PRNGKey"}
)
_TLS_WORDS = frozenset({"verify", "verify_ssl", "ssl_verify", "check_hostname", "ssl", "tls_verify", "verify_certs"})
_ALL = "0.0.0.0"  # noqa: S104  (the address that is looked for)
_BROAD = re.compile(r"AdministratorAccess|PowerUserAccess|roles/(?:owner|editor)$|^(?:s3|iam|sagemaker|\*)?:?\*$")


def transport(source: Source) -> Found:
    """Certificates that are not checked."""
    for call in source.calls:
        for word in call.keywords:
            if word.arg in _TLS_WORDS and source.value(word.value) is False and (word.arg != "ssl" or called(call) in _HTTP):
                yield source.line(call), f"{word.arg}=False: anybody on the way can answer instead"
        if source.full_name(call.func) == "ssl._create_unverified_context":
            yield source.line(call), "ssl._create_unverified_context checks no certificate"
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and source.full_name(node) in ("ssl.CERT_NONE", "ssl._create_unverified_context"):
            if not _within_call(source, node):
                yield source.line(node), f"{source.full_name(node)} checks no certificate"
        elif isinstance(node, ast.Assign) and _environment(node) in ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "PYTHONHTTPSVERIFY"):
            if source.value(node.value) in ("", "0"):
                yield source.line(node), f"{_environment(node)} is emptied, so that no certificate is checked"
        elif (
            isinstance(node, ast.Assign)
            and _attribute(node) in ("verify", "check_hostname", "verify_ssl")
            and source.value(node.value) is False
        ):
            yield source.line(node), f"{_attribute(node)} = False: anybody on the way can answer instead"


_HTTP = frozenset({"get", "post", "put", "delete", "head", "request", "ws_connect", "TCPConnector", "ClientSession"})


def _within_call(source: Source, node: ast.Attribute) -> bool:
    return any(call.func is node for call in source.calls)


def _environment(node: ast.Assign) -> str:
    """The variable of `os.environ[...] = ...`."""
    target = node.targets[0]
    if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Attribute) and target.value.attr == "environ":
        key = target.slice
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""
    return ""


def _attribute(node: ast.Assign) -> str:
    return node.targets[0].attr if isinstance(node.targets[0], ast.Attribute) else ""


def servers(source: Source) -> Found:
    """Servers that hand out a debugger, reload code, or open the machine to the internet."""
    for call in source.calls:
        name, word = source.full_name(call.func) or "", called(call)
        if word in ("run", "run_server", "run_simple") and _on(source, call, "debug", "use_debugger"):
            yield source.line(call), "debug=True hands whoever reaches the port an interpreter"
        elif name == "uvicorn.run" and _on(source, call, "reload"):
            yield source.line(call), "reload=True is for the desk: it watches and runs what changes"
        elif word == "launch" and _on(source, call, "share"):
            yield source.line(call), "share=True opens a tunnel from the internet to this process"
        elif name in ("debugpy.listen", "ptvsd.enable_attach") and call.args and _anywhere(source, call.args[0]):
            yield source.line(call), f"{name} lets everybody on the network run code here"
        elif word in ("init", "start") and name.startswith("ray.") and source.value(keyword(call, "dashboard_host")) == _ALL:
            yield source.line(call), "the Ray dashboard runs jobs for whoever reaches it"
    for node in source.tree.body:
        named = isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "DEBUG" for t in node.targets)
        if isinstance(node, ast.Assign) and named and source.value(node.value) is True and "ALLOWED_HOSTS" in source.text:
            yield source.line(node), "DEBUG = True shows settings and code to visitors"


def _on(source: Source, call: ast.Call, *words: str) -> bool:
    return any(source.value(keyword(call, word)) is True for word in words)


def _anywhere(source: Source, node: ast.expr) -> bool:
    first = node.elts[0] if isinstance(node, ast.Tuple) and node.elts else node
    return source.value(first) in (_ALL, "::", "")


def seeds(source: Source) -> Found:
    """Training that cannot be repeated: no seed anywhere in a file that trains with chance."""
    if _seeded(source):
        return
    for call in source.calls:
        word, name = called(call), source.full_name(call.func) or ""
        if name == "sklearn.model_selection.train_test_split" or word == "train_test_split":
            yield source.line(call), "train_test_split draws another split at every run"
            return
        if word == "backward" and not call.args and any(k.startswith("torch") for k in source.names.values()):
            yield source.line(call), "this file trains a net and sets no seed"
            return
        if name.startswith("sklearn.") and word in _CHANCY:
            yield source.line(call), f"{word} draws at random and is given no random_state"
            return


_CHANCY = frozenset(
    {"RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "MLPClassifier", "MLPRegressor", "SGDClassifier", "KMeans",
     "GradientBoostingClassifier", "KFold", "StratifiedKFold", "ShuffleSplit", "IsolationForest", "BaggingClassifier"}
)  # fmt: skip


def _seeded(source: Source) -> bool:
    """Whether any call sets a seed, or passes one on."""
    for call in source.calls:
        if called(call) in _SEEDS or source.full_name(call.func) in ("numpy.random.seed", "random.seed"):
            return True
        if called(call) == "default_rng" and call.args:
            return True
        given = [word.value for word in call.keywords if word.arg in ("random_state", "seed", "data_seed")]
        if any(not isinstance(value, ast.Constant) or value.value is not None for value in given):
            return True
    return False


def permissions(source: Source) -> Found:
    """Files that everybody on the machine may change."""
    for call in source.calls:
        name, word = source.full_name(call.func) or "", called(call)
        mode: Any = None
        if word in ("chmod", "fchmod", "lchmod"):
            mode = source.value(keyword(call, "mode") or (call.args[-1] if call.args else None))
        elif word in ("makedirs", "mkdir", "open") and name in ("os.makedirs", "os.mkdir", "os.open"):
            mode = source.value(keyword(call, "mode"))
        elif name == "os.umask":
            mode = 0o002 if source.value(call.args[0] if call.args else None) == 0 else None
        elif word in ("save", "dump", "save_pretrained", "save_model", "to_pickle", "save_file") and _shared(source, call):
            yield source.line(call), "what is written below /tmp can be put there or exchanged by others on the machine"
        if isinstance(mode, int) and not isinstance(mode, bool) and mode & 0o002:
            yield (
                source.line(call),
                f"mode {mode:#o} lets everybody on the machine write here" if word != "umask" else "umask 0: everybody may write",
            )


def _shared(source: Source, call: ast.Call) -> bool:
    return any(isinstance(v := source.value(a), str) and v.startswith(("/tmp/", "/var/tmp/", "/dev/shm/")) for a in call.args)  # noqa: S108


def credentials(source: Source) -> Found:
    """Rights that a training run does not need."""
    for call in source.calls:
        if called(call) in ("from_service_account_file", "from_service_account_json"):
            yield source.line(call), f"{called(call)} reads a key that never ends and is valid everywhere"
    for node, text in source.strings:
        if _BROAD.search(text) and (len(text) > 6 or _is_action(source, node)):
            yield source.line(node), f"'{text[:80]}' allows everything, far beyond what training needs"


def _is_action(source: Source, node: ast.Constant) -> bool:
    """Whether the text stands under `Action` (or in its list) in a policy."""
    for parent in source.nodes:
        if isinstance(parent, ast.Dict):
            for key, value in zip(parent.keys, parent.values, strict=True):
                listed = value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
                if key is not None and source.value(key) in ("Action", "actions", "NotAction") and any(v is node for v in listed):
                    return True
    return False


def secrets(source: Source) -> Found:
    """Keys that are written out."""
    said: set[int] = set()
    for name, node in _named_values(source):
        value = source.value(node) if isinstance(node, ast.Constant) else None
        if (
            isinstance(value, str)
            and len(value) >= 8
            and secret_shapes.secret_name(name)
            and secret_shapes.literal(value, name)
            and _dense(value)
        ):
            said.add(source.line(node))
            yield source.line(node), f"'{name}' is written out; whoever reads the code has it"
    for constant, text in source.strings:
        if source.line(constant) not in said and secret_shapes.secret_value(text):
            said.add(source.line(constant))
            yield source.line(constant), "a key is written out; whoever reads the code has it"


def _dense(value: str) -> bool:
    """A password has no spaces and is no name of a variable, a header or a column."""
    return not re.search(r"\s", value) and not re.fullmatch(r"[A-Z][A-Z0-9_]*|[a-z]+(?:[_-][a-z]+)*|[a-z.]+:?", value)


def _named_values(source: Source) -> Iterator[tuple[str, ast.expr]]:
    for node in source.nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                word = (
                    target.id
                    if isinstance(target, ast.Name)
                    else (target.attr if isinstance(target, ast.Attribute) else _environment(node))
                )
                yield word, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value
        elif isinstance(node, ast.Call):
            yield from ((word.arg, word.value) for word in node.keywords if word.arg)
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from ((str(source.value(key)), value) for key, value in pairs if key is not None)
        elif isinstance(node, ast.arguments):
            yield from ((arg.arg, value) for arg, value in zip(node.args[::-1], node.defaults[::-1], strict=False))


def commands(source: Source, rule: str) -> Found:
    """Commands for a shell inside Python: in `subprocess`, `os.system`, and the shell lines of notebooks."""
    for call in source.calls:
        name = source.full_name(call.func) or ""
        if name.startswith(("subprocess.", "os.system", "os.popen")) and call.args:
            first = call.args[0]
            words = [source.value(e) for e in first.elts] if isinstance(first, ast.List | ast.Tuple) else [source.value(first)]
            text = " ".join(word for word in words if isinstance(word, str))
            yield from ((source.line(call), why) for pattern, id, why in SHELL if id == rule and pattern.search(text))
    for number, line in enumerate(source.text.split("\n"), start=1):
        if line.startswith("pass  # "):
            yield from ((source.lines.get(number, number), why) for pattern, id, why in SHELL if id == rule and pattern.search(line))


RULES = (
    Rule(
        "tls-off", "Certificates are not checked", "Leave verification on; give a private authority by its file (verify=\"ca.pem\").",
        Severity.HIGH, lambda source: _both(transport(source), commands(source, "tls-off")),
    ),
    Rule(
        "debug-server", "A server for the desk is open", "Switch debugging and reloading off, bind to 127.0.0.1, and serve behind"
        " authentication.", Severity.HIGH, lambda source: _both(servers(source), commands(source, "debug-server")),
    ),
    Rule(
        "missing-seed", "The run cannot be repeated", "Set the seed once at the start and pass random_state=<number>.", Severity.LOW, seeds,
    ),
    Rule(
        "world-writable", "Everybody on the machine may change an output", "Write below the run's own folder with mode 0o750 or less.",
        Severity.MEDIUM, lambda source: _both(permissions(source), commands(source, "world-writable")),
    ),
    Rule(
        "broad-credentials", "The run holds rights it does not need", "Give the run a role of its own that may read its data and write its"
        " outputs, with credentials that end.", Severity.HIGH, credentials,
    ),
    Rule(
        "secret", "A secret is written out", "Replace the secret at its issuer, read it from the environment or a secret store, and keep it"
        " out of the history.", Severity.HIGH, secrets,
    ),
    Rule(
        "shell-load", "What an address serves is run", "Fetch, compare the digest, then run.", Severity.HIGH,
        lambda source: commands(source, "unsafe-load"),
    ),
)  # fmt: skip


def _both(first: Found, second: Found) -> Found:
    yield from first
    yield from second
