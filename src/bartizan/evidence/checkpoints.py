"""Checkpoints: a signed line that fixes the whole chain up to a size. Kept elsewhere, it unmasks every later rewriting of that part."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from bartizan.evidence import dsse
from bartizan.evidence.canonical import canonical
from bartizan.evidence.files import write_atomically
from bartizan.evidence.signing import Signer
from bartizan.model.errors import EvidenceError

_LARGEST = 64 * 1024


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    origin: str
    size: int
    root: str
    head: str
    time: str
    key: str


_DECODER = msgspec.json.Decoder(_Body)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The chain called `origin` had `size` entries at `time`: Merkle root `root`, digest of the last entry `head`.

    `envelope` is the signed form, by the key whose id is `key`.
    """

    origin: str
    size: int
    root: str
    head: str
    time: str
    key: str
    envelope: bytes

    def save(self, path: Path) -> None:
        """Write the signed form, atomically. Raises `EvidenceError`."""
        write_atomically(path, self.envelope + b"\n", 0o644)


def sign(body: dict[str, str | int], signer: Signer) -> Checkpoint:
    """A checkpoint with the fields `origin`, `size`, `root`, `head` and `time`."""
    fields = {**body, "key": signer.id}
    envelope = dsse.seal(dsse.CHECKPOINT, canonical(fields), signer).encode()
    return msgspec.convert({**fields, "envelope": envelope}, Checkpoint)


def decode(data: bytes) -> Checkpoint:
    """The checkpoint in `data`; its signature is not verified here. Raises `EvidenceError`."""
    envelope = dsse.decode(data.strip(), dsse.CHECKPOINT)
    try:
        body = _DECODER.decode(envelope.payload)
    except msgspec.DecodeError as error:
        raise EvidenceError(f"not a checkpoint: {error}") from error
    if body.key != envelope.key:
        raise EvidenceError("the checkpoint names another key than the one that signed it")
    return Checkpoint(**msgspec.structs.asdict(body), envelope=data.strip())


def load(path: Path) -> Checkpoint:
    """The checkpoint in the file `path`. Raises `EvidenceError`."""
    try:
        if os.stat(path).st_size > _LARGEST:
            raise EvidenceError("too large for a checkpoint", place=str(path))
        return decode(path.read_bytes())
    except OSError as error:
        raise EvidenceError(f"cannot be read: {error.strerror}", place=str(path)) from error
    except EvidenceError as error:
        raise EvidenceError(error.what, place=str(path), cure="give the file that the store wrote as checkpoint.json") from error
