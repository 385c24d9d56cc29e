"""Check digits: the algorithms that national identifiers, payment cards and bank accounts share.

Arguments are strings of ASCII digits unless said otherwise; a function answers whether the last digit, or digits, fit the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul

_VALUES = bytes.maketrans(b"0123456789", bytes(range(10)))
_NUMBERED = str.maketrans({chr(65 + i): str(10 + i) for i in range(26)})
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))

_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right doubled, the sum of all digits a multiple of ten."""
    back = digits.encode()[::-1]
    return (sum(back[::2]) - 48 * len(back[::2]) + sum(back[1::2].translate(_DOUBLED))) % 10 == 0


def verhoeff(digits: str) -> bool:
    """Verhoeff (1969): products in the dihedral group of order ten; the identity must come out."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_DIHEDRAL[check][int(_PERMUTED[place % 8][int(digit)])])
    return check == 0


def mod_11_10(digits: str) -> bool:
    """ISO/IEC 7064, MOD 11,10."""
    check = 10
    for digit in digits[:-1]:
        check = (check + int(digit)) % 10 or 10
        check = check * 2 % 11
    return (check + int(digits[-1])) % 10 == 1


def mod_11_2(characters: str) -> bool:
    """ISO/IEC 7064, MOD 11-2; the last character may be X, which stands for ten."""
    check = 0
    for digit in characters[:-1]:
        check = (check + int(digit)) * 2 % 11
    last = 10 if characters[-1] in "Xx" else int(characters[-1])
    return (check + last) % 11 == 1


def mod_97(characters: str) -> bool:
    """ISO/IEC 7064, MOD 97-10, as ISO 13616 uses it: letters count from A = 10; `characters` are upper-case letters and digits."""
    return int(characters.translate(_NUMBERED)) % 97 == 1


def weighted(digits: str, weights: Sequence[int]) -> int:
    """The sum of the leading digits, each times its weight."""
    return sum(map(mul, digits.encode().translate(_VALUES), weights))
