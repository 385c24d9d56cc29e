"""Finds a few telling words in a text, all in one pass: those of names for secrets, of birthdays and of private keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii.folding import Codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

BIRTH = {"born": 0, "birth": 0, "dob": 1, "geboren": 1}
"""Words for birth, each with the place in it of two characters that are rare in prose."""
NAMES = {
    "passw": 3, "pwd": 1, "secret": 2, "api_key": 2, "apikey": 2, "api-key": 2, "access_key": 5, "auth_token": 3, "access_token": 5,
}  # fmt: skip
"""The same for what names of secrets hold."""
KEY = {"PRIVATE KEY": 8}
"""The same for the head of a private key, which alone is written in upper case."""
_PAIRS = (("boe", "oib"), ("swcK", "wdrE"), ("ish", "_-k"))
"""What can be the first and the second of the two characters: a group of words each."""
_WORDS = BIRTH | NAMES | KEY
_GROUPS = {
    word: next(1 << bit for bit, (first, second) in enumerate(_PAIRS) if word[at] in first and word[at + 1] in second)
    for word, at in _WORDS.items()
}


def marked(table: bytes) -> bytes:
    """For each byte the groups of `_PAIRS` in which it is a first (bits 0 to 2) and a second (bits 3 to 5); the bits of `table` stay."""
    marks = bytearray(table)
    for bit, pair in enumerate(_PAIRS):
        for shift, chars in zip((0, len(_PAIRS)), pair, strict=True):
            for char in {*chars, *chars.upper()}:
                marks[ord(char)] |= 1 << bit + shift
    return bytes(marks)


def places(codes: Codes, classes: NDArray[np.uint8]) -> dict[str, NDArray[np.intp]]:
    """Where each of the words above stands that is there at all, in ascending order; case counts for `KEY` alone.

    `classes` are the codes as `marked` has them.
    """
    pairs = classes[:-1] & (classes[1:] >> len(_PAIRS)) & ((1 << len(_PAIRS)) - 1)
    at = np.flatnonzero(pairs != 0)
    if not len(at):
        return {}
    kind = pairs[at]
    spoken = {}
    for word, offset in _WORDS.items():
        start = at[(kind & _GROUPS[word]) > 0]
        if len(start):
            start = _standing(codes, start - offset, word)
        if len(start):
            spoken[word] = start
    return spoken


def places_in_short(flat: str) -> dict[str, NDArray[np.intp]]:
    """The same for a text so short that looking for one word after the other is quicker."""
    lower = flat.lower()
    spoken = {}
    for word in _WORDS:
        text = flat if word in KEY else lower
        if word in text:
            spoken[word] = np.array([found.start() for found in re.finditer(word, text)], np.intp)
    return spoken


def _standing(codes: Codes, start: NDArray[np.intp], word: str) -> NDArray[np.intp]:
    """Those of `start` at which all of `word` stands."""
    start = start[(start >= 0) & (start + len(word) <= len(codes))]
    for i, char in enumerate(word):
        if not len(start):
            break
        here = codes[start + i]
        start = start[(here | 0x20 if char.islower() else here) == ord(char)]
    return start
