"""HDF5, as Keras writes it: the configuration of the model stands in an attribute. Read with h5py where that is installed."""

from __future__ import annotations

import importlib.util
import io
import re

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope
from bartizan.areas.artefacts.other_formats.bounded_json import NotJson, parse
from bartizan.areas.artefacts.other_formats.keras_models import judge_config

SEARCHED = 64 * MIB
"""Bytes of a file that are searched for code layers, and largest file that is read with h5py."""

_CODE = re.compile(rb'"class_name"\s*:\s*"(?:[\w.]*>)?(Lambda|TorchModuleWrapper|TFSMLayer|__lambda__)"')
_OUTSIDE = re.compile(rb'"module"\s*:\s*"(os|posix|subprocess|sys|builtins|shutil|socket|importlib|runpy|pty|code|ctypes)[."]')


def read_hdf5(piece: Piece, scope: Scope) -> bool:
    """Judge an HDF5 file."""
    scope.recognise("HDF5")
    head = piece.head(SEARCHED)
    found = _CODE.search(head) or _OUTSIDE.search(head)
    if found:
        scope.unsafe(f"its configuration holds '{found[1].decode()}', which runs code", piece, found.start())
    if importlib.util.find_spec("h5py") is not None and len(piece.data) <= 8 * SEARCHED:
        return _with_h5py(piece, scope)
    if b"model_config" in head or b"layer_names" not in head:
        scope.unsure("its configuration was not read: install 'bartizan[formats]' for h5py", piece)
    elif len(piece.data) > SEARCHED:
        scope.unsure("only its beginning was searched: install 'bartizan[formats]' for h5py", piece)
    return True


def _with_h5py(piece: Piece, scope: Scope) -> bool:
    import h5py

    try:
        with h5py.File(io.BytesIO(piece.data), "r") as file:
            _attributes(file.attrs, piece, scope)
            _links(file, piece, scope)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, RecursionError, MemoryError) as error:
        scope.unsure(f"the HDF5 file is damaged ({type(error).__name__})", piece)
    return True


def _attributes(attributes: object, piece: Piece, scope: Scope) -> None:
    import h5py

    assert isinstance(attributes, h5py.AttributeManager)
    for name in ("model_config", "training_config"):
        value = attributes.get(name)
        if value is None:
            continue
        data = value if isinstance(value, bytes) else str(value).encode()
        try:
            judge_config(parse(data, piece, scope), piece, scope)
        except NotJson as error:
            scope.unsure(f"the attribute {name} {error}", piece)


def _links(group: object, piece: Piece, scope: Scope) -> None:
    """Links and data sets that reach into other files."""
    import h5py

    assert isinstance(group, h5py.Group)
    stack, seen = [group], 0
    while stack:
        current = stack.pop()
        for name in current:
            seen += 1
            scope.spend_entries()
            link = current.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                scope.unsafe(f"'{name[:60]}' is a link into the file '{str(link.filename)[:80]}'", piece)
                continue
            if not isinstance(link, h5py.HardLink):
                continue
            item = current.get(name)
            if isinstance(item, h5py.Group):
                if item.name is not None and item.name.count("/") < 32:
                    stack.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                scope.unsafe(f"the data set '{name[:60]}' lies in another file", piece)
