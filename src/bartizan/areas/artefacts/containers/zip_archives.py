"""Zip archives: torch's, numpy's, Keras's, skops's and any other, each entry judged by its content under every name it has."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from bartizan.areas.artefacts.containers.scope import Piece, Scope
from bartizan.areas.artefacts.containers.tar_archives import leads_out
from bartizan.areas.artefacts.containers.zip_directory import Directory, Entry, read_directory
from bartizan.areas.artefacts.containers.zip_entries import content

Inspect = Callable[[Piece, Scope], None]

WHOLE = {
    "skops": "bartizan.areas.artefacts.other_formats.skops_schema",
    "keras": "bartizan.areas.artefacts.other_formats.keras_models",
    "torchscript": "bartizan.areas.artefacts.other_formats.torchscript",
}
"""Formats whose entries make sense together only: the module that judges them, by `judge_entries(pieces, scope)`."""


def read_zip(piece: Piece, scope: Scope, inspect: Inspect) -> bool:
    """Judge the archive; False where there is none. Raises `LimitReached`."""
    found = read_directory(piece.data, scope)
    if found is None or not (found.entries or found.listed or piece.head(4) == b"PK\x03\x04"):
        return False
    kind = kind_of(found)
    scope.recognise(kind)
    for text, offset in found.problems[:50]:
        scope.unsure(text, piece, offset)
    first = min((entry.header for entry in found.entries if entry.listed), default=0)
    if first > 0 and piece.head(4) != b"PK\x03\x04":
        scope.note(f"{piece.name or 'the file'}: {first} bytes stand before the archive")
    wanted: dict[str, Piece] = {}
    done: set[tuple[int, int, int]] = set()
    outer, scope.defined = scope.defined, _OF_TORCHSCRIPT if kind == "torchscript" else scope.defined
    for entry in found.entries:
        key = (entry.start, entry.packed, entry.method)
        if key not in done and not (entry.name.endswith("/") and not entry.packed):
            done.add(key)
            _entry(entry, piece, scope, kind, inspect, wanted)
    scope.defined = outer
    for module in _whole(kind, wanted):
        importlib.import_module(module).judge_entries(wanted, scope)
    return True


def _whole(kind: str, wanted: dict[str, Piece]) -> list[str]:
    """The modules that judge entries together: an archive can be several things at once."""
    names = {name.lower() for name in wanted}
    kinds = {kind} & set(WHOLE)
    kinds |= {"skops"} if "schema.json" in names else set()
    kinds |= {"keras"} if "config.json" in names else set()
    kinds |= {"torchscript"} if any(name.endswith("constants.pkl") for name in names) else set()
    return [WHOLE[kind] for kind in sorted(kinds)]


def _entry(entry: Entry, piece: Piece, scope: Scope, kind: str, inspect: Inspect, wanted: dict[str, Piece]) -> None:
    if leads_out(entry.name):
        scope.unsafe(f"unpacking '{entry.name[:80]}' leads out of the folder", piece, entry.header)
    inner = content(piece, entry, scope)
    if inner is None:
        return
    if entry.name.lower().endswith((".json", ".py", "constants.pkl")):
        wanted[entry.name] = inner
    if kind in _TORCH and is_storage(entry.name):
        inspect_storage(inner, scope)
    else:
        inspect(inner, scope)


_TORCH = ("torch", "torchscript")

_OF_TORCHSCRIPT = ("__torch__", "torch.jit._pickle")
"""What the pickles of TorchScript name: its own classes, and marks for the reader in C++, which calls no Python."""


def kind_of(found: Directory) -> str:
    """What the archive is, by the names of its entries as torch compares them: without regard to case."""
    names = {entry.name.partition("\0")[0].lower() for entry in found.entries}
    tails = {name.rpartition("/")[2] for name in names}
    if "data.pkl" in tails or "constants.pkl" in tails:
        if any("/.data/" in f"/{name}" and "extern_modules" in name for name in names):
            return "torch package"
        return "torchscript" if _is_torchscript(found) else "torch"
    if "config.json" in tails and ("model.weights.h5" in tails or "metadata.json" in tails):
        return "keras"
    if "schema.json" in names:
        return "skops"
    if "mar-inf/manifest.json" in names:
        return "torchserve archive"
    if names and all(name.endswith(".npy") for name in names):
        return "numpy arrays"
    return "zip archive"


def _is_torchscript(found: Directory) -> bool:
    """Does `torch.load` hand it to TorchScript? It looks for `constants.pkl`, letter by letter, in the folder of the first entry."""
    listed = [entry.name for entry in found.entries if entry.listed]
    return bool(listed) and f"{listed[0].partition('/')[0]}/constants.pkl" in listed


def is_storage(name: str) -> bool:
    """Is it raw numbers of a torch archive (`data/0`, `constants/1`), which no loader reads as anything else?"""
    parts = name.split("/")
    return len(parts) >= 2 and parts[-2] in ("data", "constants", "tensors") and parts[-1].isascii() and parts[-1].isdigit()


def inspect_storage(piece: Piece, scope: Scope) -> None:
    """Raw numbers: only whether they are a whole pickle that acts, which no weights are."""
    from bartizan.areas.artefacts.containers.pickled import read_pickles

    head = piece.head(2)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        read_pickles(piece, scope, claimed=True)
