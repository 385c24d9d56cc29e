"""Unpacks LZ4 frames (LZ4 frame format description 1.6) block by block, for systems without the lz4 library."""

from __future__ import annotations

MAGIC = b"\x04\x22\x4d\x18"
_BLOCK_SIZES = {4: 64 << 10, 5: 256 << 10, 6: 1 << 20, 7: 4 << 20}
_HISTORY = 64 << 10


class Lz4Error(ValueError):
    """A frame that breaks the format."""


class Lz4Decompressor:
    """One frame; the interface is that of `bz2.BZ2Decompressor`. Checksums are not compared: loaders differ in whether they do."""

    def __init__(self) -> None:
        self.eof = False
        self.unused_data = b""
        self._input = bytearray()
        self._output = bytearray()
        self._history = b""
        self._begun = False
        self._independent = self._block_checksums = self._content_checksum = False
        self._largest = 0
        self._closing = False

    def hungry(self) -> bool:
        """Does it need more input to go on?"""
        return not self._output and not self.eof and not self._complete()

    def decompress(self, data: bytes, limit: int) -> bytes:
        """At most `limit` bytes of what the frame holds. Raises `Lz4Error`."""
        self._input += data
        while len(self._output) < limit and self._step():
            pass
        out = bytes(self._output[:limit])
        del self._output[:limit]
        if self._closing and not self._output:
            self.eof = True
            self.unused_data = bytes(self._input)
        return out

    def _complete(self) -> bool:
        """Is there enough input for the next step?"""
        if not self._begun:
            return len(self._input) >= 19
        if self._closing:
            return True
        if len(self._input) < 4:
            return False
        size = int.from_bytes(self._input[:4], "little") & 0x7FFFFFFF
        return len(self._input) >= 4 + size + (4 if self._block_checksums else 0)

    def _step(self) -> bool:
        if self._closing:
            return False
        if not self._begun:
            return self._header()
        if len(self._input) < 4:
            return False
        word = int.from_bytes(self._input[:4], "little")
        if word == 0:
            return self._end()
        size = word & 0x7FFFFFFF
        if size > self._largest:
            raise Lz4Error("a block is larger than the frame allows")
        tail = 4 if self._block_checksums else 0
        if len(self._input) < 4 + size + tail:
            return False
        block = bytes(self._input[4 : 4 + size])
        del self._input[: 4 + size + tail]
        out = block if word >> 31 else unpack_block(block, b"" if self._independent else self._history, self._largest)
        self._output += out
        self._history = (self._history + out)[-_HISTORY:]
        return True

    def _header(self) -> bool:
        if len(self._input) < 7:
            return False
        flags, sizes = self._input[4], self._input[5]
        if bytes(self._input[:4]) != MAGIC or flags >> 6 != 1:
            raise Lz4Error("no LZ4 frame")
        size = 7 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0)
        if len(self._input) < size:
            return False
        if flags & 1:
            raise Lz4Error("the frame needs a dictionary")
        self._independent, self._block_checksums, self._content_checksum = bool(flags & 32), bool(flags & 16), bool(flags & 4)
        self._largest = _BLOCK_SIZES.get(sizes >> 4 & 7, 0)
        if not self._largest:
            raise Lz4Error("the frame names no block size")
        del self._input[:size]
        self._begun = True
        return True

    def _end(self) -> bool:
        size = 8 if self._content_checksum else 4
        if len(self._input) < size:
            return False
        del self._input[:size]
        self._closing = True
        return True


def unpack_block(block: bytes, history: bytes, limit: int) -> bytes:
    """The content of one compressed block; matches may reach back into `history`. Raises `Lz4Error`."""
    out = bytearray(history)
    most = len(history) + limit
    at, end = 0, len(block)
    try:
        while at < end:
            token = block[at]
            at += 1
            length, at = _length(block, at, token >> 4)
            out += block[at : at + length]
            at += length
            if at >= end:
                break
            back = block[at] | block[at + 1] << 8
            length, at = _length(block, at + 2, token & 15)
            length += 4
            if not 0 < back <= len(out) or len(out) + length > most:
                raise Lz4Error("a match leads out of the block")
            start = len(out) - back
            if length <= back:
                out += out[start : start + length]
            else:
                out += (bytes(out[start:]) * (length // back + 1))[:length]
    except IndexError:
        raise Lz4Error("a block ends early") from None
    if at > end or len(out) > most:
        raise Lz4Error("a block does not have the size that it says")
    return bytes(out[len(history) :])


def _length(block: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while True:
            more = block[at]
            at += 1
            length += more
            if more != 255:
                break
    return length, at
