"""What the tests of this folder build their files from. The exploits are harmless: they make a folder where the test says."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path


class Touch:
    """Unpickling it makes the folder `marker`."""

    def __init__(self, marker: Path | str) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.marker,)


def zipped(entries: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of the entries, which may have the same name."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, data in entries:
            archive.writestr(name, data)
    return stream.getvalue()
