"""Opening a project together with its evidence store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bartizan.evidence import Store
from bartizan.model.errors import InputError
from bartizan.workflows.project import Project, find


@contextmanager
def opened(path: Path, *, sign: bool = False) -> Iterator[tuple[Project, Store]]:
    """The project at `path` and its store, which must exist. With `sign` the store can be written to."""
    from bartizan.evidence import Keyring

    project = find(path)
    if not (project.state / "evidence.db").exists():
        raise InputError("no evidence yet", place=str(project.root), cure=f"collect some with: bartizan assess {path}")
    key = Keyring(project.state / "keys").signer() if sign else None
    with Store.open(project.state, create=False, key=key) as store:
        yield project, store
