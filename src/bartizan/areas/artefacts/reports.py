"""What a scan says of each file, and of all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bartizan.areas.artefacts.safety import Reason, Safety, worst


class FileReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one file.

    `path` as it was given or found; `format` what it is by content, the first of all readings in words; `reasons` worst first, with byte
    offsets into the file where they are known; `notes` what does not change the verdict. `sha256` in hexadecimal; None for a file larger
    than `scanning.HASHED`, which is not read whole. `error` says why a file could not be read at all; its verdict is then never safe.
    """

    path: str
    format: str
    safety: Safety
    reasons: tuple[Reason, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str | None = None
    size: int = 0
    error: str | None = None


class ScanReport(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts on all files that were scanned, sorted by path, and the digest of the policy that they were judged by."""

    files: tuple[FileReport, ...]
    policy: str = ""
    skipped: tuple[str, ...] = ()
    """Folders that were not entered (version control, environments)."""

    @property
    def verdict(self) -> Safety:
        """The worst of the files' verdicts."""
        return worst(file.safety for file in self.files)

    @property
    def counts(self) -> dict[Safety, int]:
        """How many files have each verdict."""
        return {safety: sum(file.safety is safety for file in self.files) for safety in Safety}

    @property
    def errors(self) -> Sequence[FileReport]:
        """The files that could not be read."""
        return [file for file in self.files if file.error is not None]
