"""bartizan: declare an AI system, derive its threats, attack and inspect it, keep signed evidence, know the residual risk.

Areas are reached by their short names, loaded on first use: `bartizan.evasion` is `bartizan.areas.evasion`, as an attribute (PEP 562) and
in an import statement alike, and one module under both names.
"""

__version__ = "0.1.0"

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class _Alias:
    """An import finder: `bartizan.<area>...` is loaded as `bartizan.areas.<area>...`."""

    def __init__(self, known: "set[str] | None") -> None:
        self.known = known  # areas whose modules must not be loaded twice; None: any name that no folder of ours has

    def find_spec(self, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":  # noqa: ARG002
        """The real module's place, for names below `bartizan.` alone."""
        head, _, rest = name.partition(".")
        area = rest.partition(".")[0]
        if head != __name__ or not area or area == "areas" or (self.known is not None and area not in self.known):
            return None
        from importlib.util import find_spec, spec_from_loader

        if find_spec(f"{__name__}.areas.{rest}") is None:
            return None
        _seen.add(area)
        loader: Any = _Loader(f"{__name__}.areas.{rest}")
        return spec_from_loader(name, loader)


class _Loader:
    """Hands out the real module under its second name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: "ModuleSpec") -> "ModuleType":  # noqa: ARG002
        """The real module; its own spec is kept for `exec_module` to put back."""
        from importlib import import_module

        module = import_module(self.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module: "ModuleType") -> None:
        """Nothing to run: the module has been; only its own spec is put back."""
        module.__spec__ = self.spec


_seen: set[str] = set()
if not any(type(finder).__name__ == "_Alias" and type(finder).__module__ == __name__ for finder in sys.meta_path):
    sys.meta_path.insert(0, _Alias(_seen))
    sys.meta_path.append(_Alias(None))


def __getattr__(name: str) -> "Any":
    if not name.startswith("_"):
        from importlib import import_module
        from importlib.util import find_spec

        if find_spec(f"{__name__}.areas.{name}") is not None:
            return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
