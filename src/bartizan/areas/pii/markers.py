"""Finds a few telling words in a text, all in one pass: those of names for secrets, of birthdays and of private keys."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii.folding import Codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

BIRTH = {"born": 0, "birth": 0, "dob": 1, "geboren": 1}
"""Words for birth, each with the place of the two characters in it that are rarest in prose."""
NAMES = {
    "passw": 3, "pwd": 1, "secret": 2, "api_key": 2, "apikey": 2, "api-key": 2, "access_key": 5, "auth_token": 3, "access_token": 5,
}  # fmt: skip
"""The same for what names of secrets hold."""
KEY = {"PRIVATE KEY": 8}
"""The same for the head of a private key, which alone is written in upper case."""
_WORDS = BIRTH | NAMES | KEY


def places(codes: Codes) -> dict[str, NDArray[np.intp]]:
    """Where each of the words above stands that is there at all, in ascending order; case counts for `KEY` alone."""
    table, pairs = _pairs()
    found = []
    for parity in (0, 1):
        doubled = codes[parity : parity + (len(codes) - parity) // 2 * 2].view(np.uint16)
        found.append(2 * np.flatnonzero(table[doubled]) + parity)
    at = np.sort(np.concatenate(found))
    if not len(at):
        return {}
    kind = table[codes[at] + codes[at + 1].astype(np.uint16) * 256]
    spoken = {}
    for word, offset in _WORDS.items():
        start = _standing(codes, at[kind == pairs[word]] - offset, word)
        if len(start):
            spoken[word] = start
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


@cache
def _pairs() -> tuple[NDArray[np.uint8], dict[str, int]]:
    """For each two bytes, as one little-endian number, the number of the pair that they are, or 0; and the number for each word."""
    table = np.zeros(1 << 16, np.uint8)
    numbers: dict[str, int] = {}
    words: dict[str, int] = {}
    for word, offset in _WORDS.items():
        pair = word[offset : offset + 2]
        words[word] = numbers.setdefault(pair, len(numbers) + 1)
        for first in {pair[0], pair[0].upper()}:
            for second in {pair[1], pair[1].upper()}:
                table[int.from_bytes(f"{first}{second}".encode(), "little")] = words[word]
    return table, words
