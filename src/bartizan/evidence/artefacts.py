"""The files that back findings, each under the SHA-256 of its content: written whole or not at all, verified on reading."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bartizan.evidence.files import open_regular, write_atomically
from bartizan.model.errors import EvidenceError
from bartizan.model.findings import Artefact, Finding

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Artefacts:
    """The folder of artefacts of one store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the artefact with this digest lies. Raises `EvidenceError` where that is no SHA-256 in lower-case hex."""
        if not _DIGEST.fullmatch(digest):
            raise EvidenceError(f"'{digest}' is not the digest of an artefact", cure="give 64 hex digits")
        return self.folder / digest[:2] / digest[2:]

    def put(self, data: bytes) -> str:
        """Keep `data` and return its digest; what is there already is not written again."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data, 0o644)
        return digest

    def get(self, digest: str) -> bytes:
        """The content. Raises `EvidenceError` where it is missing or no longer what its name says."""
        path = self.path(digest)
        try:
            with open_regular(path) as file:
                data = file.read()
        except OSError as error:
            raise EvidenceError(f"artefact {digest[:12]} is missing: {error.strerror}", place=str(path)) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise EvidenceError(f"artefact {digest[:12]} was changed: its content has another digest", place=str(path))
        return data

    def problem(self, digest: str) -> str | None:
        """What is wrong with this artefact, or None. Reads it in pieces."""
        if not _DIGEST.fullmatch(digest):
            return f"names an artefact by '{digest[:64]}', which is no digest"
        try:
            with open_regular(self.path(digest)) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            return f"artefact {digest[:12]} is missing: {error.strerror}"
        return None if found == digest else f"artefact {digest[:12]} was changed: its content has another digest"

    def keep(self, finding: Finding) -> Finding:
        """`finding` with the data of its artefacts moved into the folder."""
        return msgspec.structs.replace(finding, artefacts=tuple(self._kept(finding.artefacts)))

    def _kept(self, artefacts: tuple[Artefact, ...]) -> Iterator[Artefact]:
        for artefact in artefacts:
            if artefact.data is None:
                yield artefact
            else:
                digest = self.put(artefact.data)
                yield msgspec.structs.replace(artefact, digest=digest, size=len(artefact.data), data=None)
