"""Finds telephone numbers: international ones by the calling code and lengths of its plan, national ones by form and context.

Lengths are those of the national significant number, shortest and longest, as the national plans notified under ITU-T E.164 give them;
numbers of fewer than seven digits are left out, as they are not unique to a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii.context import Ear, words
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.page import ALNUM, Page, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLANS = {
    (5, 10): "27 64 685",
    (5, 11): "31 852",
    (5, 12): "61 358 971",
    (5, 14): "82",
    (6, 6): "298 299 672 687",
    (6, 7): "597",
    (6, 9): "40 252 355 376 421 508 681 689",
    (6, 10): "48 53 95 98 880",
    (6, 11): "352 375 595",
    (6, 12): "39 46 359 381",
    (6, 13): "43 63",
    (6, 15): "49",
    (7, 7): "238 239 246 248 269 291 297 592 673 674 676 677 678 680 682 688 690 691 692",
    (7, 8): "47 241 386 599 670 675 686 853 961 965 975",
    (7, 9): "220 231 245 265 354 385 423 967 968",
    (7, 10): "44 84 230 243 254 263 267 353 372 960",
    (7, 11): "501 503 507 679 886 974",
    (7, 12): "86 972",
    (7, 13): "90",
    (7, 14): "62",
    (8, 8): "45 216 222 223 226 227 228 232 235 236 253 257 266 350 356 357 370 371 373 374 389 505 509 973 993",
    (8, 9): "32 36 51 213 224 233 237 250 258 264 268 377 382 387 591 962 963",
    (8, 10): "20 60 229 378 506 850 855 856 964 970 976",
    (8, 11): "55 57 65 502 504 593 977",
    (8, 12): "92 383",
    (8, 13): "66 81 91",
    (9, 9): "33 34 93 94 211 212 218 221 240 242 244 249 251 255 256 260 261 262 351 590 594 596 992 994 995 998",
    (9, 10): "380 966 996",
    (9, 11): "56",
    (9, 12): "41 420",
    (10, 10): "1 52 58 225",
    (10, 11): "54",
    (10, 12): "30",
    (10, 14): "7 234",
}
LENGTHS: dict[str, tuple[int, int]] = {code: span for span, codes in _PLANS.items() for code in codes.split()}

WORDS = frozenset({
    "answering", "call", "called", "calling", "calls", "cell", "cellulare", "celular", "contact", "desk", "dial", "fax", "faxes",
    "handy", "hotline", "message", "messages", "mobil", "mobile", "mobiles", "movil", "móvil", "nummer", "ph", "phone", "phoneno",
    "phonenumber", "phonenumbers", "phones", "portable", "puhelin", "reach", "ring", "sms", "tel", "telefon", "telefone", "telefono",
    "telefonu", "telefoon", "telephone", "telephones", "teléfono", "text", "tlf", "téléphone", "whatsapp",
})  # fmt: skip
"""Words before a telephone number."""
OTHERS = frozenset({
    "account", "amount", "apt", "box", "card", "date", "iban", "id", "invoice", "isbn", "licence", "license", "order", "passport",
    "postcode", "price", "serial", "social", "ssn", "suite", "ticket", "total", "when", "zip",
})  # fmt: skip
"""Words that, nearer than one of `WORDS`, speak of something else."""
WORDS_BEHIND = r"(?:-| |\\,|, ?|\()*(?:office|mobile|fax|cell|home|desk|work|phone)"


def international(digits: str) -> bool:
    """Do `digits`, calling code first and no trunk prefix, fit a numbering plan?"""
    for width in (1, 2, 3):
        span = LENGTHS.get(digits[:width])
        if span is not None:
            national = digits[width:]
            plain = national[1:] if national.startswith("0") and digits[:width] != "39" else national
            return span[0] <= len(plain) <= span[1] and (digits[0] != "1" or plain[0] in "23456789")
    return False


_JOINS = table(" -./()")
_REFUSED_LEFT = ALNUM | table("_=$#/.")
_BESIDE = table(" -,(\\")  # what may stand between a number and a word behind it
_FIRST_BEHIND = table("omfchdwpOMFCHDWP")
_EAR = Ear(WORDS)
_WINDOW = 40
_PHONE_BEHIND = re.compile(rf"(?i){WORDS_BEHIND}(?![a-z])")
_EXTENSION = re.compile(r"(?i) ?(?:x|ext\.? ?)[0-9]{1,6}(?![0-9A-Za-z])")
_AMERICAN = re.compile(r"(?<![0-9])(?:1[-. ])?\(?[2-9][0-9]{2}(?:\) ?|[-. ])[0-9]{3}[-. ][0-9]{4}(?![0-9])")
_DATE = re.compile(r"(?:1[89]|20)[0-9]{2}([-/.])[0-9]{1,2}\1[0-9]{1,2}(?![0-9])|[0-9]{1,2}([-/.])[0-9]{1,2}\2(?:1[89]|20)[0-9]{2}(?![0-9])")


def find(page: Page, gap: NDArray[np.intp], taken: tuple[NDArray[np.intp], NDArray[np.intp]]) -> Iterator[Hit]:
    """Every telephone number outside `taken`, starts and ends in `page.flat`; `gap` is what lies between runs i and i + 1."""
    runs, codes = page.runs, page.codes
    behind, ahead = runs.end[:-1], runs.start[1:]
    joined = (gap <= 3) & _JOINS[codes[behind]] & _JOINS[codes[ahead - 1]] & ((gap < 3) | _JOINS[codes[behind + 1]])
    first, last, digits = runs.chains(joined)
    count = last - first
    wanted = np.flatnonzero((digits >= 7) & (count <= 40) & ((count > 1) | (digits <= 15)) | ((digits == 6) & (count == 3)))
    if not len(wanted):
        return
    start, end = runs.start[first[wanted]], runs.end[last[wanted] - 1]
    if len(taken[0]):
        nearest = np.minimum(np.searchsorted(taken[1], start, "right"), len(taken[0]) - 1)
        free = (taken[0][nearest] >= end) | (taken[1][nearest] <= start)
        wanted, start, end = wanted[free], start[free], end[free]
    n, groups = digits[wanted], count[wanted]
    keep = (n > 15) | _promising(page, start, end, n, groups)
    for s, e, size, parts in zip(*(column[keep].tolist() for column in (start, end, n, groups)), strict=True):
        if size <= 15:
            hit = _phone(page, s, e, size, parts)
            if hit is not None:
                yield hit
        else:
            for found in _AMERICAN.finditer(page.flat, s, e):
                yield page.hit("phone", *found.span(), 0.7, "written as in North America")


def _promising(
    page: Page, start: NDArray[np.intp], end: NDArray[np.intp], n: NDArray[np.intp], groups: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Numbers that what stands beside them does not rule out, and that have a form, or perhaps a word, that speaks for them."""
    codes = page.codes
    start = start - (codes[start - 1] == ord("("))
    plus = codes[start - 1] == ord("+")
    right = codes[end]
    keep = ~_REFUSED_LEFT[codes[start - 1 - plus]] & (right != ord("_")) & (right != ord("%"))
    keep &= ~(((right == ord(".")) | (right == ord(":"))) & ((codes[end + 1] - np.uint8(48)) < 10))
    bracket = codes[start] == ord("(")
    first = codes[start + bracket]
    form = (first == ord("0")) | bracket | ((n == 10) & (groups == 3)) | ((n == 11) & (groups == 4) & (first == ord("1")))
    certain = plus | (form & (groups > 1))
    unsure = np.flatnonzero(keep & ~certain)
    said = page.heard(_EAR, start[unsure], _WINDOW) > 0
    keep[unsure] = said | _word_behind(page, end[unsure])
    return np.asarray(keep, np.bool_)


def _word_behind(page: Page, end: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Could one of `WORDS_BEHIND` stand there? True too where it is more than seven places away."""
    ahead = page.codes[np.minimum(end[:, None] + np.arange(8), len(page.codes) - 1)]
    between = _BESIDE[ahead]
    place = np.argmin(between, axis=1)
    return np.asarray(between.all(axis=1) | _FIRST_BEHIND[ahead[np.arange(len(end)), place]], np.bool_)


def _phone(page: Page, start: int, end: int, n: int, groups: int) -> Hit | None:
    """The telephone number at `[start, end)`, `n` digits in `groups`, which `_promising` let through, or None."""
    flat = page.flat
    if flat[start - 1] == "(":
        start -= 1
    plus = flat[start - 1] == "+"
    written = flat[start:end]
    score, why = _phone_form(written, n, groups, plus)
    if score < 0.5 and not _is_date(written, groups) and (_called(page.before(start, _WINDOW)) or _PHONE_BEHIND.match(flat, end)):
        score, why = 0.6, "a word beside it says so"
    if score < 0.5:
        return None
    if flat[end] in " xXeE" and (extension := _EXTENSION.match(flat, end)):
        end = extension.end()
    if flat[end].isalnum():
        return None
    return page.hit("phone", start - plus, end, score, why)


def _is_date(written: str, groups: int) -> bool:
    return groups > 2 and _DATE.match(written) is not None


def _called(before: str) -> bool:
    """Does the last telling word of `before` speak of telephones?"""
    if before.endswith(("$", "$ ", "€", "€ ", "£")):
        return False
    for word in reversed(words(before)):
        if word in OTHERS:
            return False
        if word in WORDS:
            return True
    return False


def _phone_form(written: str, n: int, groups: int, plus: bool) -> tuple[float, str]:
    """How likely the form alone makes it a telephone number."""
    if plus:
        return (0.9, "international form of a known plan") if international(_digits(written)) else (0.0, "")
    if groups == 1:
        return 0.0, ""
    form = written.translate(_NINES)
    area = _AMERICAN_FORMS.get(form)
    if area is not None and (n == 10 or written[0] == "1") and written[area] in "23456789" and written[area + 1 : area + 3] != "11":
        return 0.7, "written as in North America"
    if _is_date(written, groups):
        return 0.0, ""
    bare = _digits(written)
    if bare.startswith("00"):
        return (0.75, "international form of a known plan") if international(bare[2:]) and 11 <= n <= 15 else (0.0, "")
    if bare[0] == "0" and 9 <= n <= 11 and groups <= 5 and written[1].isdigit() and form != "999-99-9999":
        return 0.6, "a trunk prefix and groups"
    if written[0] == "(" and 7 <= n <= 11 and re.match(r"\([0-9]{2,5}\) ?[0-9]", written):
        return 0.55, "an area code in brackets"
    return 0.0, ""


_NINES = str.maketrans("012345678", "9" * 9)
_AMERICAN_FORMS = {
    form: form.index("999")
    for form in (
        "999-999-9999", "999.999.9999", "(999)999-9999", "(999) 999-9999", "(999)999.9999",
        "9-999-999-9999", "9.999.999.9999", "9 999-999-9999", "9 (999) 999-9999", "9(999)999-9999", "9-(999) 999-9999",
    )
}  # fmt: skip
"""How numbers of North America are written, and the place of the area code, which starts with 2 to 9 and is no service code."""


def _digits(written: str) -> str:
    return written.encode("latin-1").translate(None, b" -./()").decode("latin-1")
