"""Finds what is written in digits: payment cards, national identifiers, dates of birth, IPv4 addresses, telephone numbers."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii import national, phones
from bartizan.areas.pii.context import Ear, Phrases, Window
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.page import ALNUM, Page, table
from bartizan.areas.pii.payment import BRANDS, LONG, brands, issuer
from bartizan.areas.pii.shapes import JOINS, Shapes, Spans, heads, luhn

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JOINS = table(JOINS)
_CARDS = {str(n) for n in range(12, 20)} | {
    sep.join(groups) for sep in "- ." for groups in (list("4444"), list("44443"), list("465"), list("464"))
}  # fmt: skip
_CARD_WORDS = Phrases("cards?|cc(?![a-z])|visa|amex|maestro|mastercard|credit|debit|kart[ae]|carte|tarjeta|payment|creditcard|pan(?![a-z])")
_BIRTH_WORDS = Phrases("born|birth|dob(?![a-z])|geb|nacid|nacim|naiss|née? le|nat[oa] (?:il|a)|syntym|född|født|fodt|urodz|date ?of ?birth")
_DATE_SHAPES = {f"{a}{sep}{b}{sep}{c}" for sep in "-/." for a, b, c in ("422", "412", "421", "411", "224", "124", "214", "114", "222")}
_IDENTITY_WORDS = Phrases("|".join(sorted({rule.words for rule in national.RULES})))
_RULES = national.by_shape()
_WORDS = {shape: Phrases("|".join(sorted({rule.words for rule in rules}))) for shape, rules in _RULES.items()}
_SEPARATORS = {shape: {char for char in shape if char in JOINS} for shape in _RULES}
_SHAPES = Shapes(_CARDS | _DATE_SHAPES | _RULES.keys())

_IDENTITY, _BIRTH, _CARD_SAID, _LUHN, _NO_RULE = 1, 2, 4, 8, 16
_EAR = Ear(*((word for found in phrases.beginnings.values() for word in found) for phrases in (_IDENTITY_WORDS, _BIRTH_WORDS, _CARD_WORDS)))
_WINDOW = 48
_SILENCE = Window("")
_REFUSED_LEFT = ALNUM | table("_+")


def _those(wanted: Callable[[str], bool]) -> NDArray[np.bool_]:
    return np.array([wanted(shape) for shape in _SHAPES.names])


_OF_CARDS = _those(_CARDS.__contains__)
_OF_DATES = _those(_DATE_SHAPES.__contains__)
_OF_RULES = _those(_RULES.__contains__)
_STRONG = _those(lambda shape: any(rule.strong for rule in _RULES.get(shape, ())))
_PLAIN = _OF_CARDS & ~_OF_DATES & ~_OF_RULES
_BRANDED = ("", *(f"range of {name} and Luhn digit" for name in BRANDS))
_HEADED = _STRONG & _those(lambda shape: shape.isdigit() and all(rule.head for rule in _RULES.get(shape, ()) if rule.strong))
_ALL_HEADED = _HEADED & _those(lambda shape: all(rule.head for rule in _RULES.get(shape, ())))  # no rule holds without its head
_FOLLOWED = np.ones((len(_SHAPES.names), 256), np.bool_)
for _shape in np.flatnonzero(_STRONG).tolist():
    _tails = [rule.tail for rule in _RULES[_SHAPES.names[_shape]] if rule.strong]
    if all(_tails):  # one of their first characters must follow
        _FOLLOWED[_shape] = [
            any(re.match(tail, f"{chr(code)}A") or re.match(tail, f"{chr(code)}K") for tail in _tails) for code in range(256)
        ]
_OPEN = _those(lambda shape: any(re.match(rule.tail, "A") for rule in _RULES.get(shape, ()) if rule.tail))  # a letter may follow


def find(page: Page) -> Iterator[Hit]:
    """Every hit of the kinds above, not yet free of overlaps. Linear in the length of the text."""
    runs = page.runs
    if not len(runs.start):
        return
    gap = runs.start[1:] - runs.end[:-1]
    hits = list(_shaped(page, (gap == 1) & _JOINS[page.codes[runs.end[:-1]]]))
    yield from hits
    yield from _addresses(page, gap)
    start = np.fromiter((hit.start for hit in hits), np.intp, len(hits)) + 1
    end = np.fromiter((hit.end for hit in hits), np.intp, len(hits)) + 1
    yield from phones.find(page, gap, (np.sort(start), np.sort(end)))  # none of them overlap


def _shaped(page: Page, joined: NDArray[np.bool_]) -> Iterator[Hit]:
    """Cards, national identifiers and birthdays: where several begin at one run, the best of them, and the next begins behind it."""
    spans, heard, brand = _promising(page, joined)
    if not len(spans.first):
        return
    alone = (spans.first > np.append(-1, np.maximum.accumulate(spans.last)[:-1])) & (
        np.append(spans.first[1:], len(page.codes)) > spans.last
    )
    plain = alone & (brand > 0) & (_PLAIN[spans.shape] | ((heard & _NO_RULE) > 0))
    text, cards = page.text, spans.only(plain)
    for start, end, name in zip((cards.start - 1).tolist(), (cards.end - 1).tolist(), brand[plain].tolist(), strict=True):
        yield Hit("payment_card", start, end, text[start:end], 0.8, _BRANDED[name])
    yield from _best(page, spans.only(~plain), heard[~plain], brand[~plain])


def _best(page: Page, spans: Spans, heard: NDArray[np.uint8], brand: NDArray[np.uint8]) -> Iterator[Hit]:
    """The best hit of those that begin at one run; what begins within a hit is left out."""
    found: Hit | None = None
    current = behind = last = -1
    columns = (spans.first, spans.last, spans.shape, spans.start, spans.end, heard, brand)
    for first, final, shape, start, end, said, name in zip(*(column.tolist() for column in columns), strict=True):
        if first != current:
            if found is not None:
                yield found
                behind = last + 1
            found, current = None, first
        if first < behind:
            continue
        hit = _judged(page, _SHAPES.names[shape], (start, end), said, name)
        if hit is not None and (found is None or hit.score >= found.score):
            found, last = hit, final
    if found is not None:
        yield found


def _promising(page: Page, joined: NDArray[np.bool_]) -> tuple[Spans, NDArray[np.uint8], NDArray[np.uint8]]:
    """Stretches in a known shape that what stands beside them, the card's check digit and the words before them do not rule out.

    With the lists of `_EAR` that may stand before each (and `_LUHN` where that digit holds), and the brand of a sure card.
    """
    codes = page.codes
    spans = _SHAPES.spans(page.runs, joined)
    if not len(spans.first):
        return spans, np.zeros(0, np.uint8), np.zeros(0, np.uint8)
    left, right = codes[spans.start - 1], codes[spans.end]
    refused = _REFUSED_LEFT[left] | (right == ord("_")) | (ALNUM[right] & ~_OPEN[spans.shape])
    refused |= (left == ord(".")) & ((codes[spans.start - 2] - np.uint8(48)) < 10)
    spans = spans.only(~refused)
    if not len(spans.first):
        return spans, np.zeros(0, np.uint8), np.zeros(0, np.uint8)
    shape = spans.shape
    heard = np.zeros(len(shape), np.uint8)
    brand = _brand(page, spans)
    like_card = _OF_CARDS[shape]
    asked = _OF_RULES[shape] | _OF_DATES[shape] | (like_card & (brand == 0))
    heard[asked] = page.heard(_EAR, spans.start[asked], _WINDOW)
    card = np.flatnonzero(like_card & ((brand > 0) | ((heard & _CARD_SAID) > 0)))
    holds = luhn(codes, spans.start[card], spans.end[card])
    heard[card[holds]] |= _LUHN
    brand[card[~holds]] = 0
    sure = (_STRONG[shape] & _FOLLOWED[shape, codes[spans.end]]) | (brand > 0)
    headed = sure & _HEADED[shape] & (brand == 0)
    for kind in np.unique(shape[headed]).tolist():
        such = np.flatnonzero(headed & (shape == kind))
        sure[such] = _heads_of(kind)[heads(codes, spans.start[such])]
    for kind in np.unique(shape[(brand > 0) & _ALL_HEADED[shape]]).tolist():
        such = np.flatnonzero((brand > 0) & (shape == kind))
        heard[such[~_heads_of(kind)[heads(codes, spans.start[such])]]] = _LUHN | _NO_RULE
    sure |= _OF_RULES[shape] & ((heard & _IDENTITY) > 0)
    sure |= _OF_DATES[shape] & ((heard & _BIRTH) > 0)
    sure |= (heard & (_CARD_SAID | _LUHN)) == (_CARD_SAID | _LUHN)
    return spans.only(sure), heard[sure], brand[sure]


@cache
def _heads_of(shape: int) -> NDArray[np.bool_]:
    """For each first four digits: could a strong rule for this shape hold?"""
    tests = [rule.head for rule in _RULES[_SHAPES.names[shape]] if rule.strong and rule.head]
    return np.array([any(test(f"{number:04}") for test in tests) for number in range(10_000)])


def _brand(page: Page, spans: Spans) -> NDArray[np.uint8]:
    """For each stretch the number in `BRANDS`, plus one, of whose card it is by its first digits; 0 for those that need a word too."""
    brand = np.zeros(len(spans.shape), np.uint8)
    long = np.flatnonzero(_OF_CARDS[spans.shape] & (_SHAPES.digits[spans.shape] >= LONG))
    brand[long] = brands()[heads(page.codes, spans.start[long]), _SHAPES.digits[spans.shape[long]]]
    return brand


def _judged(page: Page, shape: str, place: tuple[int, int], heard: int, brand: int) -> Hit | None:
    """What the digits of `shape` at `place` are, or None."""
    start, end = place
    best: Hit | None = None
    if shape in _RULES:
        before = Window(page.before(start)) if heard & _IDENTITY else _SILENCE
        spoken = bool(before.words) and _WORDS[shape].possible(before)
        bare = page.flat[start:end]
        for separator in _SEPARATORS[shape]:
            bare = bare.replace(separator, "")
        for rule in _RULES[shape]:
            if not rule.strong and not spoken:
                break
            best = _better(best, _national(page, rule, place, bare, before))
    if page.flat[end].isalnum():
        return best
    if heard & _LUHN:
        best = _better(best, _card(page, start, end, heard, brand))
    if heard & _BIRTH and shape in _DATE_SHAPES and _BIRTH_WORDS.search(page.before(start, 40)) and plausible_birth(page.flat[start:end]):
        best = _better(best, page.hit("date_of_birth", start, end, 0.85, "a date behind a word for birth"))
    return best


def _card(page: Page, start: int, end: int, heard: int, brand: int) -> Hit | None:
    """A card of a known range, or of any range where a word before says card; numbers of fewer than 15 digits always need the word."""
    if brand:
        return page.hit("payment_card", start, end, 0.8, _BRANDED[brand])
    digits = _bare(page.flat[start:end])
    if not heard & _CARD_SAID or not _CARD_WORDS.search(page.before(start)) or len(set(digits)) == 1:
        return None
    name = issuer(digits)
    return page.hit("payment_card", start, end, 0.9 if name else 0.65, f"{'range of ' + name if name else 'a word before'} and Luhn digit")


def _better(one: Hit | None, other: Hit | None) -> Hit | None:
    if one is None or other is None:
        return one or other
    return other if other.score > one.score else one


_NEITHER = re.compile(r"[^0-9A-Za-z]+")


def _bare(written: str) -> str:
    if written.isdigit():
        return written
    return _NEITHER.sub("", written).upper()


def _national(page: Page, rule: national.Rule, place: tuple[int, int], bare: str, before: Window) -> Hit | None:
    start, end = place
    if rule.tail:
        tail = re.compile(rule.tail).match(page.flat, end)
        if tail is None:
            return None
        end, bare = tail.end(), bare + _bare(tail[0])
    if page.flat[end].isalnum() or page.flat[end] == "_" or not rule.test(bare):
        return None
    said = rule.context.search(before)
    if not said and not rule.strong:
        return None
    why = "the check digits hold" if rule.kind != "us_ssn" else "the number can exist"
    return page.hit(
        rule.kind, start, end, 0.95 if said and rule.strong else 0.9 if said else 0.7, f"{why}{', a word before says so' if said else ''}"
    )


def plausible_birth(written: str) -> bool:
    """Is `written`, three numbers with separators, a day from 1900 to today in an order of year, month and day that people use?"""
    a, b, c = map(int, written.replace("/", "-").replace(".", "-").split("-"))
    if a > 31:
        return _lived(a, b, c)
    year = c if c > 99 else c + (1900 if c > dt.date.today().year % 100 else 2000)
    return _lived(year, b, a) or _lived(year, a, b)


def _lived(year: int, month: int, day: int) -> bool:
    if year < 1900 or not national.is_date(year, month, day):
        return False
    return year < _YEAR or dt.date(year, month, day) <= dt.date.today()


_YEAR = dt.date.today().year


def _addresses(page: Page, gap: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Iterator[Hit]:
    """IPv4 addresses: four runs of at most three digits, up to 255, joined by dots, neither part of a longer row nor called a version."""
    runs = page.runs
    if len(gap) < 3:
        return
    dotted = (gap == 1) & (page.codes[runs.end[:-1]] == ord("."))
    short = runs.length <= 3
    four = dotted[:-2] & dotted[1:-1] & dotted[2:] & short[:-3] & short[1:-2] & short[2:-1] & short[3:]
    four[1:] &= ~dotted[:-3]
    four[:-1] &= ~dotted[3:]
    flat = page.flat
    place = np.flatnonzero(four)
    for start, end in zip(runs.start[place].tolist(), runs.end[place + 3].tolist(), strict=True):
        parts = flat[start:end].split(".")
        if (
            any(int(p) > 255 or (len(p) > 1 and p[0] == "0") for p in parts)
            or flat[start - 1] == "."
            or flat[end].isalpha()
            or flat[end] == "_"
        ):
            continue
        if flat[start - 1].isalpha() or flat[start - 1] == "_" or _VERSION.search(page.before(start, 16)):
            continue
        yield page.hit("ip_address", start, end, 0.8 if parts != ["0", "0", "0", "0"] else 0.3, "four numbers up to 255")


_VERSION = re.compile(r"(?i)(?:version|release|build|(?<![a-z])v(?:er)?\.?|[=<>~^]=?) ?$")
