"""Does the code at hand import a package? Read from the source by its syntax tree; nothing is imported.

"Not imported" means: no import statement, no `import_module` or `__import__` with a literal name, and no call that takes a name from
elsewhere. One dynamic import with an unknown name makes every package that is not seen an unknown. Packages that others need indirectly are
not followed: a weakness in them stays a weakness.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from bartizan.adapters.files import files_below, read_text, shown
from bartizan.model.errors import InputError, Place

MAX_SOURCES = 5_000

TOP_LEVEL: Mapping[str, tuple[str, ...]] = {
    "attrs": ("attr", "attrs"), "beautifulsoup4": ("bs4",), "dnspython": ("dns",), "faiss-cpu": ("faiss",), "faiss-gpu": ("faiss",),
    "gitpython": ("git",), "google-cloud-storage": ("google",), "grpcio": ("grpc",), "huggingface-hub": ("huggingface_hub",),
    "ipython": ("IPython",), "markdown-it-py": ("markdown_it",), "msgpack": ("msgpack",), "mysql-connector-python": ("mysql",),
    "opencv-contrib-python": ("cv2",), "opencv-python": ("cv2",), "opencv-python-headless": ("cv2",), "pillow": ("PIL",),
    "protobuf": ("google",), "psycopg2-binary": ("psycopg2",), "pycryptodome": ("Crypto",), "pyjwt": ("jwt",), "pyopenssl": ("OpenSSL",),
    "pyserial": ("serial",), "python-dateutil": ("dateutil",), "python-dotenv": ("dotenv",), "python-jose": ("jose",),
    "python-multipart": ("multipart", "python_multipart"), "pytorch-lightning": ("pytorch_lightning",), "pywin32": ("win32api",),
    "pyyaml": ("yaml",), "pyzmq": ("zmq",), "ruamel-yaml": ("ruamel",), "scikit-image": ("skimage",), "scikit-learn": ("sklearn",),
    "sentence-transformers": ("sentence_transformers",), "setuptools": ("setuptools", "pkg_resources"), "tensorflow-cpu": ("tensorflow",),
    "tensorflow-gpu": ("tensorflow",), "umap-learn": ("umap",), "websocket-client": ("websocket",), "xgboost-cpu": ("xgboost",),
}  # fmt: skip
"""Import names of distributions that are not called like them."""


@dataclass
class Imports:
    """What a body of code imports: per top-level module where first; `dynamic` are places that import a name made at run time."""

    modules: dict[str, Place] = field(default_factory=dict)
    dynamic: list[Place] = field(default_factory=list)
    unread: list[Place] = field(default_factory=list)
    sources: int = 0

    def reaches(self, package: str) -> tuple[bool | None, Place | None]:
        """Whether the code imports the distribution `package`: True with the place, False, or None where it cannot be said."""
        name = canonicalize_name(package)
        for module in TOP_LEVEL.get(name, (name.replace("-", "_"),)):
            at = next((place for known, place in self.modules.items() if known.lower() == module.lower()), None)
            if at is not None:
                return True, at
        return (None, None) if self.dynamic or self.unread or not self.sources else (False, None)


def imports_of(code: Path, root: str | Path | None = None) -> Imports:
    """What the Python sources below `code` import. Raises `InputError` where there are none."""
    base = root if root is not None else (code if code.is_dir() else code.parent)
    found = Imports()
    for path in files_below(base, code):
        if path.suffix != ".py" or found.sources >= MAX_SOURCES:
            continue
        found.sources += 1
        name = shown(base, path)
        try:
            tree = ast.parse(read_text(base, path))
        except (SyntaxError, ValueError, RecursionError, MemoryError, InputError):
            found.unread.append(Place(name))
            continue
        for module, line in _imported(tree):
            if module is None:
                found.dynamic.append(Place(name, line))
            else:
                found.modules.setdefault(module.partition(".")[0], Place(name, line))
    if not found.sources:
        raise InputError("holds no Python source", place=shown(base, code), cure="name the folder of the code that is served")
    return found


def _imported(tree: ast.AST) -> Iterator[tuple[str | None, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, node.lineno
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__", "exec", "eval"):
            first = node.args[0] if node.args else None
            value = first.value if isinstance(first, ast.Constant) and _called(node.func) not in ("exec", "eval") else None
            yield (value if isinstance(value, str) else None), node.lineno


def _called(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else (function.attr if isinstance(function, ast.Attribute) else "")
