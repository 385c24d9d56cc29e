"""Finds what is written in digits: payment cards, national identifiers, dates of birth, IPv4 addresses, telephone numbers."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from bartizan.areas.pii import national, phones
from bartizan.areas.pii.checksums import luhn
from bartizan.areas.pii.context import Phrases, words
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.page import Page, _table
from bartizan.areas.pii.payment import issuer

Ints: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.intp]]"
_JOINS = _table(" -./")
_PHONE_JOINS = _table(" -./()")
_JOIN_CODES = np.zeros(256, np.int64)
_JOIN_CODES[[ord(c) for c in " -./"]] = (1, 2, 3, 4)
_LONGEST = 7  # runs of the shape with most of them
_CARDS = {str(n) for n in range(12, 20)} | {
    sep.join(groups) for sep in "- ." for groups in (list("4444"), list("44443"), list("465"), list("464"))
}  # fmt: skip
_CARD_WORDS = Phrases("cards?|cc(?![a-z])|visa|amex|maestro|mastercard|credit|debit|kart[ae]|carte|tarjeta|payment|creditcard|pan(?![a-z])")
_BIRTH_WORDS = Phrases("born|birth|dob(?![a-z])|geb|nacid|nacim|naiss|née? le|nat[oa] (?:il|a)|syntym|född|født|fodt|urodz|date ?of ?birth")
_DATE_SHAPES = {f"{a}{sep}{b}{sep}{c}" for sep in "-/." for a, b, c in ("422", "412", "421", "411", "224", "124", "214", "114", "222")}
_IDENTITY_WORDS = Phrases("|".join(sorted({rule.words for rule in national.RULES})))


def find(page: Page) -> Iterator[Hit]:
    """Every hit of the kinds above, not yet free of overlaps. Linear in the length of the text."""
    runs = page.runs
    if not len(runs.start):
        return
    gap = runs.start[1:] - runs.end[:-1]
    taken: list[tuple[int, int]] = []
    for hit in _shaped(page, (gap == 1) & _JOINS[page.codes[runs.end[:-1]]]):
        taken.append((hit.start + 1, hit.end + 1))
        yield hit
    yield from _addresses(page, gap)
    yield from _phones(page, gap, taken)


def _shaped(page: Page, joined: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterator[Hit]:
    runs = page.runs
    first, behind, digits = runs.chains(joined)
    count = behind - first
    wanted = np.flatnonzero((digits >= 8) | ((count >= 3) & (digits >= 6)))
    wanted = wanted[_possible(page, first, count)[wanted]]
    for a, b in zip(first[wanted].tolist(), behind[wanted].tolist(), strict=True):
        yield from _chain(page, a, b)


def _possible(page: Page, first: Ints, count: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Chains that can hold a known shape: those of a known one, and those with spaces or many runs, which may hold several."""
    runs = page.runs
    inside = np.arange(len(runs.start)) - np.repeat(first, count)
    last = np.zeros(len(inside), np.bool_)
    last[first + count - 1] = True
    join = np.where(last, 0, _JOIN_CODES[page.codes[runs.end]])
    code = (np.minimum(runs.length, 31) + 32 * join) << (8 * np.minimum(inside, _LONGEST))
    several = (count > _LONGEST) | np.maximum.reduceat(join == 1, first)
    return np.isin(np.add.reduceat(code, first), _KNOWN_CODES) | (several & (np.maximum.reduceat(runs.length, first) > 1))


def _code(shape: str) -> int:
    """A shape as a number: eight bits a run, its length and the separator behind it."""
    parts = re.findall(r"([0-9]+)([^0-9]?)", shape)
    return sum((int(size) + 32 * int(_JOIN_CODES[ord(sep)] if sep else 0)) << (8 * i) for i, (size, sep) in enumerate(parts))


def _chain(page: Page, a: int, b: int) -> Iterator[Hit]:
    """The hits among runs `a` to `b`, which single separators join; a hit starts and ends at a space or at an end of the chain."""
    starts, ends = page.runs.lists
    flat = page.flat
    i = a
    while i < b:
        if i > a and flat[starts[i] - 1] != " ":
            i += 1
            continue
        key, found, last = "", None, i
        for j in range(i, min(b, i + _LONGEST)):
            key += (flat[starts[j] - 1] if j > i else "") + str(ends[j] - starts[j])
            if key not in _KNOWN or (j + 1 < b and flat[ends[j]] != " "):
                continue
            hit = _judged(page, key, starts[i], ends[j])
            if hit is not None and (found is None or hit.score >= found.score):
                found, last = hit, j
        if found is not None:
            yield found
        i = last + 1


_RULES = national.by_shape()
_KNOWN = _CARDS | _DATE_SHAPES | _RULES.keys()
_KNOWN_CODES = np.array(sorted(_code(shape) for shape in _KNOWN if re.fullmatch(r"[0-9]+(?:[-. /][0-9]+)*", shape)))


def _judged(page: Page, key: str, start: int, end: int) -> Hit | None:
    """What the digits of shape `key` at `[start, end)` are, or None."""
    flat = page.flat
    left, right = flat[start - 1], flat[end]
    if left.isalnum() or left in "_+" or right == "_" or (left == "." and flat[start - 2].isdigit()):
        return None
    before: str | None = None
    best: Hit | None = None
    if key in _RULES:
        before = page.before(start)
        spoken = _IDENTITY_WORDS.possible(before)
        for rule in _RULES[key]:
            if not rule.strong and not spoken:
                break
            best = _better(best, _national(page, rule, start, end, before if spoken else ""))
    if right.isalnum():
        return best if best is not None and best.end >= end else None
    if key in _CARDS:
        best = _better(best, _card(page, start, end))
    if key in _DATE_SHAPES and _BIRTH_WORDS.search(page.before(start, 40)) and plausible_birth(flat[start:end]):
        best = _better(best, page.hit("date_of_birth", start, end, 0.85, "a date behind a word for birth"))
    return best


def _card(page: Page, start: int, end: int) -> Hit | None:
    """A card of a known range, or of any range where a word before says card; numbers of fewer than 15 digits always need the word."""
    digits = _bare(page.flat[start:end])
    if not luhn(digits):
        return None
    brand = issuer(digits)
    if brand is not None and len(digits) > 14:
        return page.hit("payment_card", start, end, 0.8, f"range of {brand} and Luhn digit")
    if not _CARD_WORDS.search(page.before(start)) or len(set(digits)) == 1:
        return None
    return page.hit(
        "payment_card", start, end, 0.9 if brand else 0.65, f"{'range of ' + brand if brand else 'a word before'} and Luhn digit"
    )


def _better(one: Hit | None, other: Hit | None) -> Hit | None:
    if one is None or other is None:
        return one or other
    return other if other.score > one.score else one


_NEITHER = re.compile(r"[^0-9A-Za-z]+")


def _bare(written: str) -> str:
    if written.isdigit():
        return written
    return _NEITHER.sub("", written).upper()


def _national(page: Page, rule: national.Rule, start: int, end: int, before: str) -> Hit | None:
    if rule.tail:
        tail = re.compile(rule.tail).match(page.flat, end)
        if tail is None:
            return None
        end = tail.end()
    if page.flat[end].isalnum() or page.flat[end] == "_" or not rule.test(_bare(page.flat[start:end])):
        return None
    said = bool(before) and rule.context.search(before)
    if not said and not rule.strong:
        return None
    why = "the check digits hold" if rule.kind != "us_ssn" else "the number can exist"
    return page.hit(
        rule.kind, start, end, 0.95 if said and rule.strong else 0.9 if said else 0.7, f"{why}{', a word before says so' if said else ''}"
    )


def plausible_birth(written: str) -> bool:
    """Is `written`, three numbers with separators, a day from 1900 to today in an order of year, month and day that people use?"""
    a, b, c = (int(part) for part in re.split(r"\D", written))
    if a > 31:
        orders = [(a, b, c)]
    else:
        year = c if c > 99 else c + (1900 if c > dt.date.today().year % 100 else 2000)
        orders = [(year, b, a), (year, a, b)]
    for year, month, day in orders:
        try:
            if dt.date(1900, 1, 1) <= dt.date(year, month, day) <= dt.date.today():
                return True
        except ValueError:
            continue
    return False


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
    flat, starts, ends = page.flat, *page.runs.lists
    for i in np.flatnonzero(four).tolist():
        start, end = starts[i], ends[i + 3]
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
_PHONE_BEHIND = re.compile(rf"(?i){phones.WORDS_BEHIND}(?![a-z])")
_EXTENSION = re.compile(r"(?i) ?(?:x|ext\.? ?)[0-9]{1,6}(?![0-9A-Za-z])")
_AMERICAN = re.compile(r"(?<![0-9])(?:1[-. ])?\(?[2-9][0-9]{2}(?:\) ?|[-. ])[0-9]{3}[-. ][0-9]{4}(?![0-9])")
_DATE = re.compile(r"(?:1[89]|20)[0-9]{2}([-/.])[0-9]{1,2}\1[0-9]{1,2}(?![0-9])|[0-9]{1,2}([-/.])[0-9]{1,2}\2(?:1[89]|20)[0-9]{2}(?![0-9])")


def _phones(page: Page, gap: np.ndarray[tuple[int], np.dtype[np.intp]], taken: list[tuple[int, int]]) -> Iterator[Hit]:
    runs, codes = page.runs, page.codes
    behind, ahead = runs.end[:-1], runs.start[1:]
    joined = (gap <= 3) & _PHONE_JOINS[codes[behind]] & _PHONE_JOINS[codes[ahead - 1]] & ((gap < 3) | _PHONE_JOINS[codes[behind + 1]])
    first, last, digits = runs.chains(joined)
    count = last - first
    wanted = np.flatnonzero((digits >= 7) & (count <= 40) & ((count > 1) | (digits <= 15)) | ((digits == 6) & (count == 3)))
    starts, ends = runs.lists
    claimed = iter([*taken, (len(codes) + 1, len(codes) + 1)])
    held = next(claimed)
    for a, b, n in zip(first[wanted].tolist(), last[wanted].tolist(), digits[wanted].tolist(), strict=True):
        start, end = starts[a], ends[b - 1]
        while held[1] <= start:
            held = next(claimed)
        if held[0] < end:
            continue
        hit = _phone(page, start, end, n, b - a)
        if hit is not None:
            yield hit
        elif n > 15:
            for found in _AMERICAN.finditer(page.flat, start, end):
                yield page.hit("phone", *found.span(), 0.7, "written as in North America")


def _phone(page: Page, start: int, end: int, n: int, groups: int) -> Hit | None:
    """The telephone number at `[start, end)`, `n` digits in `groups`, or None."""
    flat = page.flat
    if flat[start - 1] == "(":
        start -= 1
    plus = flat[start - 1] == "+"
    begin = start - 1 if plus else start
    if flat[begin - 1].isalnum() or flat[begin - 1] in "_=$€#/." or flat[end] in "_%" or (flat[end] in ".:" and flat[end + 1].isdigit()):
        return None
    if n > 15:
        return None
    written = flat[start:end]
    score, why = _phone_form(written, n, groups, plus)
    if score < 0.5 and not _DATE.match(written) and (_called(page.before(start, 40)) or _PHONE_BEHIND.match(page.flat, end)):
        score, why = 0.6, "a word beside it says so"
    if score < 0.5:
        return None
    extension = _EXTENSION.match(flat, end)
    end = extension.end() if extension else end
    if flat[end].isalnum():
        return None
    return page.hit("phone", begin, end, score, why)


def _called(before: str) -> bool:
    """Does the last telling word of `before` speak of telephones?"""
    if before.endswith(("$", "$ ", "€", "€ ", "£")):
        return False
    for word in reversed(words(before)):
        if word in phones.OTHERS:
            return False
        if word in phones.WORDS:
            return True
    return False


def _phone_form(written: str, n: int, groups: int, plus: bool) -> tuple[float, str]:
    """How likely the form alone makes it a telephone number."""
    bare = _bare(written)
    if plus:
        return (0.9, "international form of a known plan") if phones.international(bare) else (0.0, "")
    if groups == 1 or _DATE.match(written):
        return 0.0, ""
    if bare.startswith("00"):
        return (0.75, "international form of a known plan") if phones.international(bare[2:]) and 11 <= n <= 15 else (0.0, "")
    if phones.north_american(bare) and _sizes(written) in _AMERICAN_FORMS:
        return 0.7, "written as in North America"
    if bare[0] == "0" and 9 <= n <= 11 and groups <= 5 and written[1].isdigit() and _sizes(written) != "3-2-4":
        return 0.6, "a trunk prefix and groups"
    if written[0] == "(" and 7 <= n <= 11 and re.match(r"\([0-9]{2,5}\) ?[0-9]", written):
        return 0.55, "an area code in brackets"
    return 0.0, ""


def _sizes(written: str) -> str:
    return re.sub(r"[0-9]+", lambda run: str(len(run[0])), written)


_AMERICAN_FORMS = frozenset(
    {"3-3-4", "3.3.4", "(3)3-4", "(3) 3-4", "(3)3.4", "1-3-3-4", "1.3.3.4", "1 3-3-4", "1 (3) 3-4", "1(3)3-4", "1-(3) 3-4"}
)
