"""Bytes read as pickles: one or several in a row, as `pickle.load`, torch's old format and joblib read them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.pickles.analysis import Analysis, Limits, Loader
from bartizan.areas.artefacts.pickles.judging import Inspection
from bartizan.areas.artefacts.pickles.judging import inspect as inspect_pickle
from bartizan.areas.artefacts.safety import Use, UseKind

Inspect = Callable[[Piece, Scope], None]

MAX_IN_A_ROW = 64
"""Most pickles in a row that are read: torch's old format has five."""

OPCODES_A_SECOND = 1_500_000
"""Opcodes that the pure machine reads in a second of a slow processor; what the time left allows bounds the reading."""

BLOCKS = 4_000_000
"""Most objects that the reading of one pickle keeps: some 300 MB."""

OF_TORCH = 5
"""Pickles of torch's old format: magic number, version, system, the object, the keys of its storages."""

MAX_NESTED = 16
"""Most long constants of one pickle that are looked into."""

TORCH_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
"""The opcode that pushes torch's magic number, in the first pickle of its old format."""

_PASSIVE = (UseKind.REFERENCE, UseKind.EXTENSION, UseKind.UNKNOWN)
"""Uses that bytes which are no pickle show by chance; nothing of somebody's choice is called by them before the loader stops."""

_PICKLE_NAMES = (".pkl", ".pickle", ".p", ".pt", ".pth", ".ckpt", ".joblib", ".dill", ".npy", ".sav", ".bin")
"""Ends of names that people give to what they load as a pickle; a hint to look closer, never one to look away."""

_MODULE_NAMES = (".py", ".so", ".pyc", "")

_TEXT = re.compile(rb"[\t\n\r\x0c\x20-\x7e\x80-\xff]*")


def read_pickles(
    piece: Piece, scope: Scope, inspect: Inspect | None = None, *, claimed: bool, start: int = 0, loader: Loader = Loader.ANY
) -> bool:
    """Judge `piece` as pickles from `start` on; False where it is none.

    `claimed` says that the bytes are known to be something else: then a stream that every loader refuses is none, unless it does something
    before. Long constants that begin like an archive or a pickle are given to `inspect`. Raises `LimitReached`.
    """
    at, count, torch = start, 0, False
    while at < len(piece.data) and count < MAX_IN_A_ROW:
        scope.check_time()
        limits = Limits(opcodes=max(100_000, int(scope.left * OPCODES_A_SECOND)), blocks=BLOCKS)
        found = inspect_pickle(piece.data, scope.policy, start=at, loader=loader, limits=limits)
        torch = torch or TORCH_MAGIC in piece.head(14, at)
        expected = torch and count < OF_TORCH
        named = not claimed and not count and _names_a_module(found, piece, scope)
        if not expected and not named and not _is_pickle(found, piece, at, claimed=claimed or torch, after=count > 0):
            break
        _judged(found, piece, scope, claimed=claimed and not expected)
        if inspect is not None:
            for inner in _nested(found.readings[-1], piece):
                inspect(inner, scope)
        count += 1
        if not found.readings[-1].complete:
            break
        at = found.end
    if count and at < len(piece.data) and not torch:
        scope.note(f"{piece.name or 'the file'}: {len(piece.data) - at} bytes follow after the pickle")
    if count:
        scope.recognise("torch (old format)" if torch else _kind(piece, start))
    return count > 0


def _is_pickle(found: Inspection, piece: Piece, at: int, *, claimed: bool, after: bool) -> bool:
    """Would a loader do anything with these bytes, or are they meant as a pickle?"""
    head = piece.head(64, at)
    says_so = len(head) > 1 and head[0] == 0x80 and head[1] <= 5
    uses = [use for reading in found.readings for use in reading.uses]
    if any(reading.complete for reading in found.readings):
        return says_so or any(_can_be_imported(use) for use in uses) or (not claimed and not uses)
    if any(use.kind not in _PASSIVE for use in uses):
        return True
    if claimed:
        return False
    if after:
        return says_so and found.readings[0].opcodes > 2
    return says_so or (bool(uses) and not _TEXT.fullmatch(head)) or found.readings[0].opcodes > 64


def _names_a_module(found: Inspection, piece: Piece, scope: Scope) -> bool:
    """Does a stream that may be plain text begin with importing something that the loader would find, which runs it?

    A line of prose that starts with the letter c reads as an import, and fails in every loader. It does not fail where the module lies
    beside the file, and nobody calls a text a pickle.
    """
    uses = [use for use in found.readings[0].uses if use.kind is UseKind.REFERENCE and use.module]
    if not uses:
        return False
    if (piece.last_name or scope.file.lower()).endswith(_PICKLE_NAMES):
        return True
    root = uses[0].module.partition(".")[0]
    folder = os.path.dirname(scope.file)
    return "/" not in root and "\0" not in root and any(os.path.lexists(os.path.join(folder, root + suffix)) for suffix in _MODULE_NAMES)


def _can_be_imported(use: Use) -> bool:
    """Prose that happens to read as a pickle has words where a module would have a name."""
    return use.kind is not UseKind.REFERENCE or all(part.isidentifier() for part in use.module.split("."))


def _judged(found: Inspection, piece: Piece, scope: Scope, *, claimed: bool) -> None:
    """Take over the reasons; of a stream that breaks off and may be no pickle at all, only what it does before."""
    reasons = found.ruling.reasons
    if claimed and not found.readings[-1].complete and found.readings[-1].stopped >= 0:
        reasons = tuple(reason for reason in reasons if reason.use is not None)
    scope.rule(reasons, piece)


def _kind(piece: Piece, start: int) -> str:
    head = piece.head(8192, start)
    return "joblib" if b"joblib.numpy_pickle" in head or b"joblib\nnumpy_pickle" in head else "pickle"


def _nested(analysis: Analysis, piece: Piece) -> Iterator[Piece]:
    """Long constants that begin like a pickle or an archive."""
    count = 0
    for start, end in analysis.constants:
        head = piece.head(4, start)
        if head == b"PK\x03\x04" or (head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
            yield piece.part(start, end, piece.inner(f"bytes at {start}"))
            count += 1
            if count >= MAX_NESTED:
                return
