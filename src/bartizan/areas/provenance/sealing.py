"""Encrypts weights and data at rest, and decrypts them whole or not at all, in constant memory.

A sealed file is

    magic       `bartizan-seal-1` and a line feed
    header      length (4 bytes, big-endian) and RFC 8785 JSON: cipher, bytes of a chunk, salt, whether it holds a file or a folder
    slot        length and JSON: id of the wrapping key, the data key as it wrapped it; the one part that a new wrapping key changes
    commitment  32 bytes that tell a data key that is not this file's
    chunks      AES-256-GCM, each with its tag of 16 bytes

The key of the chunks and the commitment come from the random data key by HKDF-SHA256 over the salt and the hash of the header, so that an
altered header opens nothing. The chunks follow the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizar 2015): the nonce is the
chunk's number (11 bytes) and a byte that is 1 for the last one, so that a chunk left out, moved, doubled, taken from another file or
missing at the end is refused. A folder is sealed as a tar stream of its plain files.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import struct
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, TypeAlias, TypeVar, cast

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bartizan.adapters.files import SEALED
from bartizan.adapters.wrapping_keys import WrappingKey
from bartizan.areas.provenance.signing.files import listing
from bartizan.areas.provenance.signing.names import fault
from bartizan.evidence.canonical import canonical
from bartizan.evidence.files import open_regular, sync_folder
from bartizan.model.errors import InputError, Refused, one_line

MAGIC = SEALED
CIPHER = "AES-256-GCM-STREAM"
CHUNK = 1024 * 1024
"""Bytes of a chunk before encryption, unless the caller says otherwise."""

SMALLEST, LARGEST = 4 * 1024, 16 * 1024 * 1024
"""Limits of a chunk, in bytes: a header must not make us take any amount of memory."""

_TAG = 16
_MAX_PART = 64 * 1024
_COMMITMENT = 32

Listener: TypeAlias = Callable[[int], None]
"""Told the bytes done so far."""

Part = TypeVar("Part", "Header", "Slot")


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a sealed file says of itself. `kind` is `file` or `folder`, `salt` 64 hexadecimal digits."""

    chunk: int
    cipher: str
    kind: str
    salt: str


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The data key as the wrapping key `key` wrapped it, in base64."""

    data_key: str
    key: str


def seal(
    source: Path, target: Path, key: WrappingKey, *, chunk: int = CHUNK, replace: bool = False, listener: Listener | None = None
) -> Header:
    """Encrypt the file or folder `source` into `target`, which appears when all of it is written.

    Raises `InputError` where `source` cannot be read, or `target` is there and `replace` is not set; `Refused` where a folder holds links
    or names that cannot be kept.
    """
    if not SMALLEST <= chunk <= LARGEST:
        raise InputError(f"a chunk has {SMALLEST} to {LARGEST} bytes, not {chunk}")
    found = listing(source)
    if found.problems:
        raise Refused(f"cannot be sealed: {found.problems[0]}", place=str(source))
    folder = found.root.is_dir()
    header = Header(chunk=chunk, cipher=CIPHER, kind="folder" if folder else "file", salt=secrets.token_hex(32))
    head = canonical(msgspec.to_builtins(header))
    data_key = secrets.token_bytes(32)
    cipher, commitment = _cipher(data_key, header, head)
    wrapped = key.wrap(data_key, _context(head))
    with _whole(target, replace) as file:
        file.write(MAGIC + _framed(head) + _framed(_slot(key, wrapped)) + commitment)
        writer = _Writer(file, cipher, chunk, listener)
        if folder:
            _pack(found.files, writer)
        else:
            with _opened(found.root) as plain:
                shutil.copyfileobj(plain, cast("IO[bytes]", writer), chunk)
        writer.close()
    return header


def unseal(sealed: Path, target: Path, key: WrappingKey, *, replace: bool = False, listener: Listener | None = None) -> Header:
    """Decrypt `sealed` into `target`, which appears when the last chunk has proved right; before that nothing of it can be seen there.

    Raises `Refused` for the wrong key and for a file that was altered, cut, or put together from others; `InputError` where something
    cannot be read or `target` is there (`replace` lets a file replace a file).
    """
    with _opened(sealed) as file:
        header, head, slot, commitment = _read_head(file, sealed)
        reader = _Reader(file, _open_cipher(key, header, head, slot, commitment, sealed), header.chunk, sealed, listener)
        if header.kind == "folder":
            _unpack(reader, target)
        else:
            with _whole(target, replace) as plain:
                for block in reader.blocks():
                    plain.write(block)
    return header


def rewrap(sealed: Path, old: WrappingKey, new: WrappingKey) -> Header:
    """Let `new` open `sealed` instead of `old`; the chunks stay as they are. Raises what `unseal` raises for `old`."""
    with _opened(sealed) as file:
        header, head, slot, commitment = _read_head(file, sealed)
        data_key = _unwrapped(old, head, slot, sealed)
        _cipher(data_key, header, head, commitment, sealed)
        with _whole(sealed, replace=True) as changed:
            changed.write(MAGIC + _framed(head) + _framed(_slot(new, new.wrap(data_key, _context(head)))) + commitment)
            shutil.copyfileobj(file, changed, CHUNK)
    return header


def inspect(sealed: Path) -> tuple[Header, str]:
    """The header of `sealed` and the id of the key it wants; nothing of it is proved. Raises `InputError` where it is no sealed file."""
    with _opened(sealed) as file:
        header, _, slot, _ = _read_head(file, sealed)
    return header, slot.key


class _Writer:
    """Encrypts what is written to it, a chunk at a time; `close` writes the last one."""

    def __init__(self, file: IO[bytes], cipher: AESGCM, chunk: int, listener: Listener | None) -> None:
        self._file, self._cipher, self._chunk, self._listener = file, cipher, chunk, listener
        self._held = b""
        self._number = 0

    def write(self, data: bytes) -> int:
        if len(self._held) == self._chunk:
            self._flush(self._held, last=False)
            self._held = b""
        self._held = self._held + data if self._held else data
        while len(self._held) > self._chunk:
            self._flush(self._held[: self._chunk], last=False)
            self._held = self._held[self._chunk :]
        return len(data)

    def close(self) -> None:
        self._flush(self._held, last=True)

    def _flush(self, block: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last), block, None))
        self._number += 1
        if self._listener is not None:
            self._listener(self._number * self._chunk)


class _Reader:
    """Decrypts chunk by chunk; what it gives is proved, that it is all is known when it ends."""

    def __init__(self, file: BufferedReader, cipher: AESGCM, chunk: int, place: Path, listener: Listener | None) -> None:
        self._file, self._cipher, self._chunk, self._place, self._listener = file, cipher, chunk, place, listener
        self._blocks = self.blocks()
        self._held = b""

    def blocks(self) -> Iterator[bytes]:
        size = self._chunk + _TAG
        block, number = self._file.read(size), 0
        while True:
            after = self._file.read(size) if len(block) == size else b""
            if len(block) < _TAG or (number and len(block) == _TAG):
                raise self._refused(number)
            try:
                yield self._cipher.decrypt(_nonce(number, not after), block, None)
            except InvalidTag:
                raise self._refused(number) from None
            number += 1
            if self._listener is not None:
                self._listener(number * self._chunk)
            if not after:
                return
            block = after

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, for readers of archives."""
        parts, wanted = [], size
        while wanted != 0:
            if not self._held and not (held := next(self._blocks, b"")):
                break
            self._held = self._held or held
            part = self._held if wanted < 0 else self._held[:wanted]
            self._held = self._held[len(part) :]
            parts.append(part)
            wanted -= len(part) if wanted > 0 else 0
        return b"".join(parts)

    def _refused(self, number: int) -> Refused:
        what = f"does not hold at chunk {number}: it was altered, cut short, or put together from other files"
        return Refused(what, place=str(self._place), cure="take it from a copy")


def _cipher(
    data_key: bytes, header: Header, head: bytes, commitment: bytes | None = None, place: Path | None = None
) -> tuple[AESGCM, bytes]:
    """The cipher of the chunks and the commitment; refused where `commitment` is given and another."""
    info = b"bartizan seal 1" + hashlib.sha256(MAGIC + head).digest()
    derived = HKDF(hashes.SHA256(), 32 + _COMMITMENT, bytes.fromhex(header.salt), info).derive(data_key)
    if commitment is not None and not hmac.compare_digest(derived[32:], commitment):
        raise Refused("its data key is not the one it was sealed with: its header was altered", place=str(place))
    return AESGCM(derived[:32]), derived[32:]


def _open_cipher(key: WrappingKey, header: Header, head: bytes, slot: Slot, commitment: bytes, place: Path) -> AESGCM:
    return _cipher(_unwrapped(key, head, slot, place), header, head, commitment, place)[0]


def _unwrapped(key: WrappingKey, head: bytes, slot: Slot, place: Path) -> bytes:
    if slot.key != key.id:
        raise Refused(f"was sealed with the key {one_line(slot.key, 80)}; this is {key.id}", place=str(place))
    try:
        data_key = key.unwrap(base64.b64decode(slot.data_key, validate=True), _context(head))
    except ValueError:
        raise Refused("its wrapped key is damaged", place=str(place)) from None
    except Refused as error:
        raise Refused(error.what, place=str(place)) from None
    if len(data_key) != 32:
        raise Refused("its data key does not have 32 bytes", place=str(place))
    return data_key


def _context(head: bytes) -> bytes:
    return hashlib.sha256(b"bartizan seal slot\0" + MAGIC + head).digest()


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\1" if last else b"\0")


def _framed(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _slot(key: WrappingKey, wrapped: bytes) -> bytes:
    return canonical({"key": key.id, "data_key": base64.b64encode(wrapped).decode("ascii")})


def _read_head(file: BufferedReader, place: Path) -> tuple[Header, bytes, Slot, bytes]:
    if file.read(len(MAGIC)) != MAGIC:
        raise InputError("is no sealed file", place=str(place), cure="give the file that bartizan seal wrote")
    header, head = _part(file, Header, place)
    slot, _ = _part(file, Slot, place)
    commitment = file.read(_COMMITMENT)
    fits = header.cipher == CIPHER and SMALLEST <= header.chunk <= LARGEST and header.kind in ("file", "folder")
    if not fits or len(header.salt) != 64 or header.salt.strip("0123456789abcdef") or len(commitment) != _COMMITMENT:
        raise Refused("its header is damaged, or of a version we do not know", place=str(place))
    return header, head, slot, commitment


def _part(file: BufferedReader, type: type[Part], place: Path) -> tuple[Part, bytes]:
    size = int.from_bytes(file.read(4), "big")
    data = file.read(size) if size <= _MAX_PART else b""
    try:
        return msgspec.json.decode(data, type=type), data
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"its header is damaged: {error}", place=str(place)) from None


def _opened(path: Path) -> BufferedReader:
    try:
        return open_regular(path)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=str(path)) from None


@contextmanager
def _whole(target: Path, replace: bool) -> Iterator[IO[bytes]]:
    """A file of mode 0600 that becomes `target` when the block ends without an error, and vanishes otherwise."""
    _free(target, replace)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
        sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)


def _free(target: Path, replace: bool) -> None:
    if target.is_dir() or (not replace and os.path.lexists(target)):
        raise InputError("is there already", place=str(target), cure="name another place, or --force to replace a file")


def _pack(files: dict[str, Path], writer: _Writer) -> None:
    """The files as a tar stream, without owners and times."""
    with tarfile.open(fileobj=cast("IO[bytes]", writer), mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, path in files.items():
            with _opened(path) as file:
                entry = tarfile.TarInfo(name)
                entry.size = os.fstat(file.fileno()).st_size
                try:
                    archive.addfile(entry, file)
                except OSError as error:
                    raise Refused(f"changed while it was read: {error}", place=name) from None


def _unpack(reader: _Reader, target: Path) -> None:
    """The files of the tar stream below `target`, a new folder of mode 0700 that appears when all of it has proved right."""
    _free(target, replace=False)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    part.mkdir(mode=0o700)
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", reader), mode="r|") as archive:
            for entry in archive:
                _extract(archive, entry, part)
        while reader.read(CHUNK):
            pass
        os.rename(part, target)
        sync_folder(target.parent)
    except tarfile.TarError as error:
        raise Refused(f"holds no folder that we can unpack: {error}", place=target.name) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> None:
    wrong = fault(entry.name)
    content = archive.extractfile(entry) if entry.isreg() and not entry.issparse() and not wrong else None
    if content is None:
        raise Refused(wrong or f"'{one_line(entry.name, 120)}' is no plain file", place="the sealed folder")
    place = folder / entry.name
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        shutil.copyfileobj(content, file, CHUNK)
