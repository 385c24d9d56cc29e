"""The dependencies that a file or folder declares, whatever of the known formats they are written in."""

from __future__ import annotations

from pathlib import Path

from bartizan.areas.dependencies import locks
from bartizan.areas.dependencies.requirement import Dependency
from bartizan.areas.dependencies.requirements_files import RequirementsReader


def dependencies_of(path: Path, root: str | Path) -> list[Dependency]:
    """What `path` declares: itself, or the dependency files of the folder; where there is a lock, the lock alone.

    Raises `InputError` where a file cannot be read.
    """
    return [found for file in files_of(path) for found in read(root, file)]


def files_of(path: Path) -> list[Path]:
    """The dependency files that `path` means."""
    if path.is_file():
        return [path]
    names = [file for file in sorted(path.iterdir()) if file.is_file() and not file.is_symlink()]
    found = [file for file in names if file.name.startswith("pylock.") or (file.name in locks.READERS and file.name != "pyproject.toml")]
    loose = [file for file in names if file.suffix in (".txt", ".in") and "requirements" in file.name] or [path / "pyproject.toml"]
    return found or [file for file in loose if file.is_file()]


def read(root: str | Path, file: Path) -> list[Dependency]:
    """The dependencies of one file; for a pyproject.toml with a lock beside it, those of the lock."""
    if file.name.startswith("pylock.") and file.suffix == ".toml":
        return locks.toml_lock(root, file)
    if file.name == "pyproject.toml" and (lock := locks.lock_beside(file)) is not None:
        return read(root, lock)
    reader = locks.READERS.get(file.name)
    return reader(root, file) if reader else RequirementsReader(root).read(file)
