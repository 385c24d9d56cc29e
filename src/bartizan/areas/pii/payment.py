"""Payment cards (ISO/IEC 7812: issuer ranges, lengths, Luhn) and bank accounts (ISO 13616: IBAN, length by country, MOD 97-10)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii.checksums import mod_97

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bartizan.areas.pii.folding import Codes

_RANGES: tuple[tuple[str, int, int, frozenset[int]], ...] = (
    ("Visa", 4000, 4999, frozenset({13, 16, 19})),
    ("Mastercard", 5100, 5599, frozenset({16})),
    ("Mastercard", 2221, 2720, frozenset({16})),
    ("American Express", 3400, 3499, frozenset({15})),
    ("American Express", 3700, 3799, frozenset({15})),
    ("Diners Club", 3000, 3059, frozenset({14})),
    ("Diners Club", 3095, 3095, frozenset({14})),
    ("Diners Club", 3600, 3699, frozenset({14, 16, 19})),
    ("Diners Club", 3800, 3999, frozenset({14, 16, 19})),
    ("JCB", 3528, 3589, frozenset({16, 17, 18, 19})),
    ("JCB", 1800, 1800, frozenset({15})),
    ("JCB", 2131, 2131, frozenset({15})),
    ("Mir", 2200, 2204, frozenset({16, 17, 18, 19})),
    ("UnionPay", 6200, 6299, frozenset({16, 17, 18, 19})),
    ("Discover", 6011, 6011, frozenset({16, 17, 18, 19})),
    ("Discover", 6440, 6599, frozenset({16, 17, 18, 19})),
    ("Maestro", 5018, 5018, frozenset(range(12, 20))),
    ("Maestro", 5020, 5020, frozenset(range(12, 20))),
    ("Maestro", 5038, 5038, frozenset(range(12, 20))),
    ("Maestro", 5600, 5899, frozenset(range(12, 20))),
    ("Maestro", 6304, 6304, frozenset(range(12, 20))),
    ("Maestro", 6700, 6799, frozenset(range(12, 20))),
    ("RuPay", 6069, 6099, frozenset({16})),
    ("RuPay", 8100, 8299, frozenset({16})),
    ("RuPay", 5080, 5089, frozenset({16})),
)  # fmt: skip
_ISSUERS: dict[str, tuple[tuple[str, frozenset[int]], ...]] = {}
for _name, _low, _high, _lengths in _RANGES:
    for _prefix in range(_low, _high + 1):
        _ISSUERS[str(_prefix)] = (*_ISSUERS.get(str(_prefix), ()), (_name, _lengths))

IBAN_LENGTHS: dict[str, int] = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18,
    "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23,
    "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28,
    "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters of an IBAN by country, as the register of ISO 13616 has them."""


def issuer(digits: str) -> str | None:
    """The brand whose range and length `digits` fit, or None. Whether the Luhn digit holds is another question."""
    for name, lengths in _ISSUERS.get(digits[:4], ()):
        if len(digits) in lengths:
            return name
    return None


LONG = 15
"""Digits from which a number in a card's range, with its Luhn digit, needs no word beside it."""
BRANDS = tuple(dict.fromkeys(name for name, *_ in _RANGES))
"""The names of the brands."""


@cache
def brands() -> NDArray[np.uint8]:
    """For each first four digits and number of digits up to 31: the number in `BRANDS` of what `issuer` says, plus one, or 0."""
    table = np.zeros((10_000, 32), np.uint8)
    for prefix, issuers in _ISSUERS.items():
        for name, lengths in reversed(issuers):
            table[int(prefix), sorted(lengths)] = BRANDS.index(name) + 1
    return table


def iban(characters: str) -> bool:
    """Is this, without spaces and in any case, an IBAN of a known country with the right length and check digits?"""
    upper = characters.upper()
    return IBAN_LENGTHS.get(upper[:2]) == len(upper) and upper.isascii() and upper.isalnum() and mod_97(upper[4:] + upper[:4])


_VALUES = np.full(256, 255, np.uint8)
for _i, _char in enumerate("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"):
    _VALUES[[ord(_char), ord(_char.lower())]] = _i
_COUNTRIES = np.zeros((36, 36), np.uint8)
for _country, _size in IBAN_LENGTHS.items():
    _COUNTRIES[int(_country[0], 36), int(_country[1], 36)] = _size


def iban_ends(codes: Codes, start: NDArray[np.intp], *, grouped: bool) -> NDArray[np.intp]:
    """Where the IBAN that begins with two letters at each of `start` ends, or 0 where there is none.

    `grouped`: it is written in groups of four, with the same separator, the character behind the first group, between all of them.
    """
    ends = np.zeros(len(start), np.intp)
    if not len(start):
        return ends
    length = _COUNTRIES[_VALUES[codes[start]], _VALUES[codes[start + 1]]].astype(np.intp)
    known = np.flatnonzero(length)
    for top in range(0, len(known), _ROWS):
        rows = known[top : top + _ROWS]
        rows = rows[_mod_97(codes, start[rows], length[rows], grouped=grouped)]
        ends[rows] = start[rows] + length[rows] + ((length[rows] - 1) // 4 if grouped else 0)
    return ends


_ORDER = np.array([*range(4, max(IBAN_LENGTHS.values())), *range(4)])  # the first four count last
_PLACES = _ORDER + _ORDER // 4
_POWERS = np.array([pow(10, exponent, 97) for exponent in range(2 * len(_ORDER))], np.uint16)
_ROWS = 1 << 12


def _mod_97(codes: Codes, start: NDArray[np.intp], length: NDArray[np.intp], *, grouped: bool) -> NDArray[np.bool_]:
    """Do the check digits of the `length` characters at each of `start` hold, and, if `grouped`, their separators agree?"""
    last = len(codes) - 1
    inside = length[:, None] > _ORDER
    value = _VALUES[codes[np.minimum(start[:, None] + (_PLACES if grouped else _ORDER), last)]]
    holds = (~inside | (value < 36)).all(axis=1)
    value[~inside] = 0
    width = inside * np.where(value > 9, np.uint8(2), np.uint8(1))  # a letter counts as two digits
    behind = np.cumsum(width[:, ::-1], axis=1, dtype=np.uint8)[:, ::-1] - width
    rest = (value * _POWERS[behind]).sum(axis=1, dtype=np.int32) % 97
    if grouped:
        between = np.arange(4, 40, 5)
        separators = codes[np.minimum(start[:, None] + between, last)]
        holds &= ((separators == separators[:, :1]) | (length[:, None] <= 4 * np.arange(1, len(between) + 1))).all(axis=1)
    return np.asarray(holds & (rest == 1), np.bool_)
