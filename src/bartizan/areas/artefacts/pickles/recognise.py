"""Recognises pickles by their opcodes, without ever loading one: bare, compressed, and those of joblib and torch."""

from __future__ import annotations

import bz2
import lzma
import pickletools
import re
import zlib

from bartizan.model.system import Format

HEAD = 1 << 16
"""Bytes of a file that are looked at."""

_MAX_OPCODES = 20_000
_TORCH_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")
"""The opcode that pushes torch's magic number, first in files of its old format."""


def is_pickle(head: bytes) -> bool:
    """Do the bytes read as a pickle (PEP 3154 and the protocols before it)?

    From protocol 2 on a pickle says so in its first two bytes; older ones must read as opcodes from the first to STOP, or for as long
    as `head` goes, with at least one that builds something.
    """
    if len(head) >= 2 and head[0] == 0x80:
        return head[1] <= 5
    if not head or head[0] not in b"(]}c)lditIFVSULKJMN\x88\x89GT":
        return False
    count, built = 0, False
    try:
        for opcode, argument, _ in pickletools.genops(head):
            count += 1
            if opcode.name in ("GLOBAL", "INST") and not _IMPORT.fullmatch(str(argument)):
                return False
            built = built or opcode.name in _BUILDERS
            if opcode.name == "STOP" or count >= _MAX_OPCODES:
                return built
    except (ValueError, IndexError, UnicodeError, OverflowError, MemoryError):
        return built and count >= 16 and len(head) >= HEAD
    return False


_IMPORT = re.compile(r"[\w.]+ [\w.]+")
"""A module and a name in it, as pickletools shows them; prose that happens to parse has other words."""

_BUILDERS = frozenset(
    {"GLOBAL", "INST", "OBJ", "REDUCE", "BUILD", "DICT", "LIST", "TUPLE", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "PUT"}
)


def pickle_kind(head: bytes) -> Format:
    """Which library's pickle it is, by what it refers to."""
    if _TORCH_MAGIC in head[:32] or b"torch._utils" in head[:4096]:
        return Format.TORCH
    if b"joblib.numpy_pickle" in head or b"joblib\nnumpy_pickle" in head:
        return Format.JOBLIB
    return Format.PICKLE


def unpacked_head(head: bytes) -> bytes | None:
    """The first bytes inside a stream compressed as joblib does (zlib, gzip, bz2, xz, lzma); None where it is no such stream.

    At most `HEAD` bytes come out, whatever the stream would grow to.
    """
    try:
        if head[:2] == b"\x1f\x8b":
            return zlib.decompressobj(wbits=31).decompress(head, HEAD)
        if len(head) > 2 and head[0] == 0x78 and int.from_bytes(head[:2], "big") % 31 == 0:
            return zlib.decompressobj().decompress(head, HEAD)
        if head[:3] == b"BZh":
            return bz2.BZ2Decompressor().decompress(head, HEAD)
        if head[:6] == b"\xfd7zXZ\0" or head[:3] == b"\x5d\0\0":
            return lzma.LZMADecompressor(memlimit=128 * 1024 * 1024).decompress(head, HEAD)
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError):
        return None
    return None
