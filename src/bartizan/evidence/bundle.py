"""One file for an auditor: the whole chain with its keys, checkpoints, artefacts and the files that explain it.

A bundle is a zip without compression, with fixed times and sorted names, so that the same store gives the same bytes everywhere and no
bomb can be hidden in it. Its last member `index.json` lists the size and SHA-256 of every other one, signed. Verification accepts
nothing that is not listed, and in the end writes the zip again: whatever a reader could see but no digest covers must agree to the byte.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from bartizan.evidence import checkpoints, dsse
from bartizan.evidence.canonical import canonical
from bartizan.evidence.checkpoints import Checkpoint
from bartizan.evidence.files import open_regular, write_atomically
from bartizan.evidence.signing import PublicKey
from bartizan.evidence.store import Store
from bartizan.evidence.verification import Record, Trust, Verification, Walk
from bartizan.evidence.verify import failed, load_key, subjects_now
from bartizan.model.errors import EvidenceError, one_line

ENTRIES = "entries.jsonl"
CHECKPOINTS = "checkpoints.jsonl"
INDEX = "index.json"
_OURS = re.compile(rf"{ENTRIES}|{CHECKPOINTS}|{INDEX}|keys/.*|artefacts/.*")
_DIGEST = re.compile(r"[0-9a-f]{64}")

MOST_FILES = 60_000
"""Most members of a bundle: below the limit of the plain zip format."""

MOST_BYTES = 2**32 - 2**20
"""Largest bundle in bytes, for the same reason."""

LONGEST_LINE = 64 * 2**20
"""Longest line in bytes that is read into memory: the largest entry."""

_PIECE = 1 << 20


_DAMAGE = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error, ValueError, KeyError, OverflowError, OSError)
"""What `zipfile` raises for what is no zip, or not the zip it says it is; `OSError` where it is told to seek to before the start."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    size: int


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    origin: str
    size: int
    head: str
    files: dict[str, _File]


def export_bundle(store: Store, path: Path, extra_files: Mapping[str, bytes] | None = None) -> Checkpoint:
    """Write the bundle of `store` to `path`, atomically; returns the checkpoint that it ends with.

    `extra_files` (the manifest, a report) are put in under their names, relative and with `/`. The store must have been opened with its
    key, which signs the index. Raises `EvidenceError`.
    """
    path, signer = Path(path), store.signer()
    checkpoint = store.checkpoint()
    members = _content(store, checkpoint.size, extra_files or {})
    if len(members) >= MOST_FILES:
        raise EvidenceError(f"{len(members)} files are too many for one bundle", place=str(path))
    with tempfile.TemporaryFile() as file:
        files = {name: _File(*_sum(members[name]())) for name in sorted(members)}
        body = {"origin": checkpoint.origin, "size": checkpoint.size, "head": checkpoint.head, "files": msgspec.to_builtins(files)}
        index = dsse.seal(dsse.INDEX, canonical(body), signer).encode()
        if sum(f.size + 200 + 2 * len(n.encode()) for n, f in files.items()) + len(index) > MOST_BYTES:
            raise EvidenceError("the evidence is too large for one bundle", place=str(path))
        _write_zip(file, [(name, members[name]()) for name in sorted(members)], index)
        file.seek(0)
        write_atomically(path, file, 0o644)
    return checkpoint


def _content(store: Store, size: int, extra_files: Mapping[str, bytes]) -> dict[str, Callable[[], Iterable[bytes]]]:
    """The members of a bundle but its index: by name, a function that gives the content in pieces."""
    members: dict[str, Callable[[], Iterable[bytes]]] = {}
    for name, data in extra_files.items():
        if _OURS.fullmatch(name) or not _is_plain(name):
            cure = "give a relative name that the bundle itself does not use"
            raise EvidenceError(f"'{name}' is no name for a file in a bundle", cure=cure)
        members[name] = partial(_whole, data)
    for key in store.public_keys():
        members[f"keys/{key.id}.pem"] = partial(_whole, key.pem())
    for digest in store.artefact_digests(size):
        members[_artefact_name(digest)] = partial(_artefact, store, digest)
    members[ENTRIES] = lambda: (line + b"\n" for line in store.envelopes(size))
    members[CHECKPOINTS] = lambda: (c.envelope + b"\n" for c in store.checkpoints(size))
    return members


def _whole(data: bytes) -> tuple[bytes]:
    return (data,)


def _artefact(store: Store, digest: str) -> tuple[bytes]:
    return (store.artefact(digest),)


def verify_bundle(
    path: Path,
    key: Path | bytes | None = None,
    checkpoint: Path | None = None,
    *,
    root: Path | None = None,
    subjects: Mapping[str, Path | str] | None = None,
) -> Verification:
    """Verify the bundle at `path`, in bounded memory and without unpacking it. The arguments are those of `verify_store`.

    Raises `EvidenceError` where the file, the key or the checkpoint cannot be read; what is wrong with the bundle is in the answer.
    """
    path = Path(path)
    anchor = load_key(key)
    kept = checkpoints.load(Path(checkpoint)) if checkpoint is not None else None
    now = subjects_now(root, subjects) if root is not None or subjects else None
    try:
        file = open_regular(path)
    except OSError as error:
        raise EvidenceError(f"cannot be read: {error.strerror or error}", place=str(path)) from error
    with file:
        try:
            return _verify(file, Trust(anchor=anchor, offered={}, own=(), kept=kept, now=now))
        except EvidenceError as error:
            return failed(str(error))
        except _DAMAGE as error:
            return failed(f"the bundle is damaged: {one_line(str(error))}")


def _verify(file: BinaryIO, trust: Trust) -> Verification:
    _check_size(file)
    with zipfile.ZipFile(file) as archive:
        infos = _members(archive)
        envelope, index = _read_index(archive, infos)
        _check_files(archive, infos, index)
        offered = _read_keys(archive, infos)
        own = [checkpoints.decode(line) for line in _lines(archive, CHECKPOINTS)]
        present = {name.removeprefix("artefacts/").replace("/", "") for name in infos if name.startswith("artefacts/")}
        walk = Walk(
            msgspec.structs.replace(trust, offered=offered, own=own),
            lambda digest: None if digest in present else f"artefact {one_line(digest, 12)} is missing from the bundle",
            index.origin,
        )
        found = walk.run(Record(envelope=dsse.decode(line, dsse.IN_TOTO)) for line in _lines(archive, ENTRIES))
        problems = list(found.problems)
        signer = offered.get(found.key) if found.key else next(iter(offered.values()), None)
        if signer is None or not envelope.signed_by(signer):
            problems.append("the index is not signed by the key that signs the chain: files were added, replaced or removed")
        if (index.size, index.head) != (found.entries, found.head):
            problems.append("the index speaks of another chain than the entries make: entries were removed or replaced")
        if not _same_zip(file, archive, infos, envelope.encode()):
            problems.append("the zip holds bytes that no digest covers: it was not written by bartizan or was edited")
    return msgspec.structs.replace(found, ok=not problems, problems=tuple(problems))


def _check_size(file: BinaryIO) -> None:
    """Refuse what `zipfile` would read without a limit: the list of members, by its size in the last record of the file."""
    size = file.seek(0, io.SEEK_END)
    if size > MOST_BYTES:
        raise EvidenceError("too large for a bundle")
    file.seek(max(0, size - 22))
    end = file.read(22)
    if len(end) != 22 or end[:4] != b"PK\x05\x06":
        raise EvidenceError("not a bundle: the end of the zip is missing or has a comment", cure="fetch the file again")
    count, length = struct.unpack("<HL", end[10:16])
    if count > MOST_FILES or length > MOST_FILES * 400:
        raise EvidenceError("the bundle lists too many files")


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename
        if name in infos:
            raise EvidenceError(f"the bundle holds '{name}' twice")
        if not _is_plain(name):
            raise EvidenceError(f"the bundle holds a file with the name '{name}', which leads out of its folder")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & ~0x800:
            raise EvidenceError(f"'{name}' in the bundle is compressed or encrypted, which bartizan never writes")
        infos[name] = info
    for name in (INDEX, ENTRIES, CHECKPOINTS):
        if name not in infos:
            raise EvidenceError(f"the bundle lacks '{name}'")
    return infos


def _read_index(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]) -> tuple[dsse.Envelope, _Index]:
    if infos[INDEX].file_size > LONGEST_LINE:
        raise EvidenceError("the index of the bundle is too large")
    envelope = dsse.decode(archive.read(INDEX), dsse.INDEX)
    try:
        index = msgspec.json.decode(envelope.payload, type=_Index)
    except msgspec.DecodeError as error:
        raise EvidenceError(f"the index of the bundle cannot be read: {error}") from error
    return envelope, index


def _check_files(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], index: _Index) -> None:
    listed, held = set(index.files), set(infos) - {INDEX}
    for name in sorted(held - listed):
        raise EvidenceError(f"the bundle holds '{name}', which its index does not list: it was added")
    for name in sorted(listed - held):
        raise EvidenceError(f"the bundle lacks '{name}', which its index lists: it was removed")
    for name in sorted(held):
        with archive.open(name) as member:
            digest, size = _sum(_pieces(member))
        if (digest, size) != (index.files[name].sha256, index.files[name].size):
            raise EvidenceError(f"'{name}' in the bundle was edited: its content has another digest than the index says")
        if name.startswith("artefacts/") and name != _artefact_name(digest):
            raise EvidenceError(f"'{name}' in the bundle is not the artefact that its name says")


def _read_keys(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo]) -> dict[str, PublicKey]:
    offered = {}
    for name in sorted(infos):
        if name.startswith("keys/"):
            if infos[name].file_size > 4096:
                raise EvidenceError(f"'{name}' in the bundle is too large for a key")
            key = PublicKey.load(archive.read(name), name)
            if name != f"keys/{key.id}.pem":
                raise EvidenceError(f"'{name}' in the bundle is not the key that its name says")
            offered[key.id] = key
    return offered


def _lines(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    with archive.open(name) as member:
        while line := member.readline(LONGEST_LINE + 1):
            if not line.endswith(b"\n"):
                raise EvidenceError(f"a line of '{name}' in the bundle is too long or was cut")
            yield line[:-1]


def _is_plain(name: str) -> bool:
    """Whether `name` is a relative path with `/` that stays in its folder, in every system's eyes."""
    if not 0 < len(name) <= 240 or not name.isprintable() or re.search(r'[\\:*?"<>|]', name):
        return False
    return not {"", ".", ".."} & set(name.split("/"))


def _artefact_name(digest: str) -> str:
    return f"artefacts/{digest[:2]}/{digest[2:]}"


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _sum(pieces: Iterable[bytes]) -> tuple[str, int]:
    total, size = hashlib.sha256(), 0
    for piece in pieces:
        total.update(piece)
        size += len(piece)
    return total.hexdigest(), size


def _write_zip(target: IO[bytes], members: list[tuple[str, Iterable[bytes]]], index: bytes) -> None:
    """The one way to write these members: in this order, the index last, nothing of this machine or this moment."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name, pieces in (*members, (INDEX, iter((index,)))):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            with archive.open(info, "w") as member:
                for piece in pieces:
                    member.write(piece)


def _same_zip(file: BinaryIO, archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], index: bytes) -> bool:
    """Whether writing the members again gives the same file."""

    def content(name: str) -> Iterator[bytes]:
        with archive.open(name) as member:
            yield from _pieces(member)

    with tempfile.TemporaryFile() as again:
        _write_zip(again, [(name, content(name)) for name in sorted(set(infos) - {INDEX})], index)
        sums = []
        for stream in (again, file):
            stream.seek(0)
            sums.append(_sum(_pieces(stream)))
    return sums[0] == sums[1]
