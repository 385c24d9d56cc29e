"""An installed distribution for the length of a test, without an installer: metadata in a folder on the import path.

Child processes of the executor `processes` see it too, as they take over the import path.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bartizan.engine import registry


@contextmanager
def installed(
    folder: Path, name: str, modules: Mapping[str, str], *, requires: tuple[str, ...] = (), extras: tuple[str, ...] = ()
) -> Iterator[Path]:
    """Write the metadata of a distribution `name` 1.0 into `folder`, which modules may lie in too, and put it on the import path.

    `modules` are entry points of the group `bartizan.checks`, name to module; `requires` are requirements and `extras` extras as packaging
    metadata spells them. Yields the folder; afterwards it is off the path again and modules that came from it are forgotten.
    """
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    (info / "entry_points.txt").write_text(
        "\n".join([f"[{registry.GROUP}]", *(f"{key} = {value}" for key, value in modules.items())]) + "\n"
    )
    sys.path.insert(0, str(folder))
    registry.forget()
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        for module in [key for key, value in sys.modules.items() if str(getattr(value, "__file__", "")).startswith(f"{folder}/")]:
            del sys.modules[module]
        registry.forget()
