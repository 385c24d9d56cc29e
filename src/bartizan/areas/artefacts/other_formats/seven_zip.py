"""7z archives: no loader of models reads them, but people unpack them first. Read with py7zr where that is installed."""

from __future__ import annotations

import importlib.util
import io
import tempfile
from pathlib import Path

from bartizan.areas.artefacts.containers.scope import MIB, LimitReached, Piece, Scope
from bartizan.areas.artefacts.containers.tar_archives import leads_out

LARGEST = 256 * MIB
"""Most bytes that an archive may unpack to."""


def read_seven_zip(piece: Piece, scope: Scope) -> bool:
    """Judge a 7z archive by its members."""
    scope.recognise("7z archive")
    if importlib.util.find_spec("py7zr") is None:
        scope.unsure("a 7z archive, which is not read here: install 'bartizan[formats]' for py7zr", piece)
        return True
    import lzma

    import py7zr

    try:
        with py7zr.SevenZipFile(io.BytesIO(piece.data), "r") as archive, tempfile.TemporaryDirectory(prefix="bartizan-scan-") as folder:
            members = archive.list()
            scope.spend_entries(len(members))
            total = sum(member.uncompressed for member in members)
            if total > LARGEST or archive.needs_password():
                scope.unsure("the archive is encrypted, or unpacks to more than is read here", piece)
                return True
            if any(leads_out(member.filename) or member.is_symlink for member in members):
                scope.unsafe("unpacking it leads out of the folder", piece)
                return True
            scope.spend_bytes(total)
            archive.extractall(folder)
            _members(Path(folder), piece, scope)
    except LimitReached:
        raise
    except (
        py7zr.exceptions.ArchiveError,
        lzma.LZMAError,
        OSError,
        ValueError,
        EOFError,
        RuntimeError,
        IndexError,
        KeyError,
        TypeError,
    ) as error:
        scope.unsure(f"the 7z archive is damaged or not read here ({type(error).__name__})", piece)
    return True


def _members(folder: Path, piece: Piece, scope: Scope) -> None:
    from bartizan.areas.artefacts.containers.readings import inspect

    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name = piece.inner(path.relative_to(folder).as_posix())
            inspect(Piece(memoryview(path.read_bytes()), name, None, piece.depth + 1), scope)
