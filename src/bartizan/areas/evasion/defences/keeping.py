"""Checkpoints of trainings in NumPy: arrays and text in one file, written whole or not at all, read without running anything."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bartizan.model.errors import InputError


def identity_of(*parts: Any) -> str:
    """The digest of what decides a training: texts, bytes and arrays."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            total.update(f"{part.shape} {part.dtype}\0".encode())
            total.update(np.ascontiguousarray(part).tobytes())
        else:
            total.update((part if isinstance(part, bytes) else str(part).encode()) + b"\0")
    return total.hexdigest()


class Keeper:
    """Keeps the state of one training at `path`; None keeps nothing. `identity` names what the training was made of."""

    def __init__(self, path: Path | None, identity: Callable[[], str]) -> None:
        self.path = path
        self.identity = identity() if path is not None else ""

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last, texts as bytes; None where there is none. Raises `InputError` for another training's file."""
        if self.path is None or not self.path.exists():
            return None
        try:
            with self.path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
        except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise InputError(f"not a checkpoint ({error})", place=str(self.path), cure="remove it to start anew") from None
        if bytes(state.get("identity", np.zeros(0, np.uint8))) != self.identity.encode():
            raise InputError(
                "the checkpoint is of another model, data set or setting", place=str(self.path), cure="remove it to start anew"
            )
        return {name: bytes(value) if value.dtype == np.uint8 else value for name, value in state.items()}

    def save(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Write arrays and texts (bytes) whole or not at all."""
        if self.path is None:
            return
        given = {"identity": self.identity.encode(), **state()}
        arrays: dict[str, Any] = {
            name: np.frombuffer(value, dtype=np.uint8) if isinstance(value, bytes) else value for name, value in given.items()
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(self.path.name + ".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def drop(self) -> None:
        """Remove the file: the training is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
