"""Keeps verdicts by content, policy and version, one small file each, so that what was scanned once is not scanned again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from bartizan import __version__
from bartizan.areas.artefacts.reports import FileReport


class ScanCache:
    """A folder of results. It belongs to the user alone (mode 0700): whoever can write there can change verdicts.

    The name of a file takes part as far as it can change the verdict: its last part.
    """

    def __init__(self, folder: Path, policy: str, version: str) -> None:
        self._folder = folder
        self._key = f"{policy}\0{version}\0{__version__}"
        self._usable: bool | None = None

    def get(self, digest: str, path: str) -> FileReport | None:
        """The verdict on this content under this name, or None."""
        try:
            report = msgspec.json.decode(self._file(digest, path).read_bytes(), type=FileReport)
        except (OSError, msgspec.MsgspecError):
            return None
        return msgspec.structs.replace(report, path=path) if report.sha256 == digest else None

    def put(self, digest: str, report: FileReport) -> None:
        """Keep a verdict. A folder that cannot be written, or is open to others, keeps nothing."""
        if self._usable is None:
            self._usable = self._prepared()
        if not self._usable or report.error is not None or any("takes longer" in reason.text for reason in report.reasons):
            return
        place = self._file(digest, report.path)
        part = place.with_name(f"{place.name}.{os.getpid()}")
        with contextlib.suppress(OSError, UnicodeError):  # a name that is no Unicode text is scanned again each time
            place.parent.mkdir(exist_ok=True)
            part.write_bytes(msgspec.json.encode(report))
            part.replace(place)

    def _file(self, digest: str, path: str) -> Path:
        name = path.replace("\\", "/").rpartition("/")[2]
        key = hashlib.sha256(f"{self._key}\0{digest}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / key[:2] / f"{key[2:]}.json"

    def _prepared(self) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            state = self._folder.stat()
        except OSError:
            return False
        return not state.st_mode & 0o022 and (not hasattr(os, "getuid") or state.st_uid == os.getuid())


def default_folder() -> Path:
    """Where the command line keeps results: `bartizan/scan` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "bartizan" / "scan"
