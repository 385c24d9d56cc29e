"""Unpacks compressed streams chunk by chunk under the limits of the scan; what is large goes to an unlinked file, not into memory."""

from __future__ import annotations

import bz2
import lzma
import mmap
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol

from bartizan.areas.artefacts.containers.lz4_frames import Lz4Decompressor, Lz4Error
from bartizan.areas.artefacts.containers.scope import MIB, LimitReached, Scope

CHUNK = 256 * 1024
IN_MEMORY = 8 * MIB
"""Most unpacked bytes of one stream that are held in memory; the rest of it goes to a temporary file."""

DICTIONARY = 256 * MIB
"""Most memory that an xz or lzma stream may ask for."""

BROKEN = (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError, Lz4Error)
"""What the decompressors raise on a damaged stream."""


class Damaged(Exception):
    """A stream that ends early or is no such stream; `unpacked` holds what came out before."""

    def __init__(self, text: str, unpacked: memoryview) -> None:
        super().__init__(text)
        self.unpacked = unpacked


class Decompressor(Protocol):
    """One stream: gives at most `limit` bytes a call."""

    @property
    def eof(self) -> bool:
        """Is the end of the stream reached?"""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end."""
        ...

    def decompress(self, data: bytes, limit: int, /) -> bytes:
        """Take in `data`, give out at most `limit` bytes."""
        ...

    def hungry(self) -> bool:
        """Does it need more input to go on?"""
        ...


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, limit)

    def hungry(self) -> bool:
        return not self._stream.unconsumed_tail


class _Other:
    def __init__(self, stream: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._stream = stream

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._stream.decompress(data, limit)

    def hungry(self) -> bool:
        return self._stream.needs_input


def _lzma(form: int) -> Callable[[], Decompressor]:
    return lambda: _Other(lzma.LZMADecompressor(form, memlimit=DICTIONARY))


STREAMS: dict[str, Callable[[], Decompressor]] = {
    "zlib": lambda: _Zlib(15),
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(-15),
    "bz2": lambda: _Other(bz2.BZ2Decompressor()),
    "xz": _lzma(lzma.FORMAT_XZ),
    "lzma": _lzma(lzma.FORMAT_ALONE),
    "lz4": Lz4Decompressor,
}
"""Compressed streams by name."""

CONCATENATED = {"gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0", "lz4": b"\x04\x22\x4d\x18"}
"""Streams of which several in a row are read as one, and how each begins."""


def unpack(data: memoryview, kind: str, scope: Scope) -> tuple[memoryview, int]:
    """What the stream at the start of `data` holds, and where in `data` it ends. Raises `Damaged`, `LimitReached`."""
    sink = _Sink()
    at = 0
    try:
        while True:
            at += _one_stream(data[at:], STREAMS[kind](), sink, scope)
            again = CONCATENATED.get(kind)
            if again is None or bytes(data[at : at + len(again)]) != again:
                return sink.view(), at
    except LimitReached:
        sink.close()
        raise
    except BROKEN as error:
        if isinstance(error, lzma.LZMAError) and "memory" in str(error).lower():
            sink.close()
            raise LimitReached("its dictionary asks for too much memory") from None
        raise Damaged(f"the {kind} stream is damaged ({error})", sink.view()) from None


def _one_stream(data: memoryview, stream: Decompressor, sink: _Sink, scope: Scope) -> int:
    at = 0
    while not stream.eof:
        chunk = b""
        if stream.hungry():
            chunk = bytes(data[at : at + CHUNK])
            at += len(chunk)
        out = stream.decompress(chunk, 4 * CHUNK)
        scope.spend_bytes(len(out))
        sink.write(out)
        if not out and not chunk and not stream.eof:
            raise EOFError("it ends early")
    return at - len(stream.unused_data)


class _Sink:
    """Takes bytes in memory first, in a file without a name when they grow."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        self._size += len(data)
        if self._file is None and self._size > IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix="bartizan-scan-")  # noqa: SIM115  (closed in view)
            self._file.writelines(self._parts)
            self._parts = []
        if self._file is not None:
            self._file.write(data)
        else:
            self._parts.append(data)

    def close(self) -> None:
        """Drop what was taken in."""
        if self._file is not None:
            self._file.close()

    def view(self) -> memoryview:
        """All of it; nothing can be written any more."""
        if self._file is None:
            return memoryview(b"".join(self._parts))
        with self._file as file:
            file.flush()
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return memoryview(mapped)


def stream_kinds(head: bytes) -> Iterator[str]:
    """The compressed streams that bytes beginning with `head` can be."""
    if head[:2] == b"\x1f\x8b":
        yield "gzip"
    if len(head) > 2 and head[0] & 0x0F == 8 and head[0] >> 4 <= 7 and int.from_bytes(head[:2], "big") % 31 == 0 and not head[1] & 0x20:
        yield "zlib"
    if head[:3] == b"BZh" and head[3:4].isdigit():
        yield "bz2"
    if head[:6] == b"\xfd7zXZ\0":
        yield "xz"
    if len(head) > 13 and head[:3] == b"\x5d\0\0":
        yield "lzma"
    if head[:4] == b"\x04\x22\x4d\x18":
        yield "lz4"
