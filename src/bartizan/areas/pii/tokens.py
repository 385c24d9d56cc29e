"""Finds what mixes letters and digits: bank accounts, national identifiers with letters, keys and tokens of known shapes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii import national, secrets
from bartizan.areas.pii.context import Window
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.page import LATIN, Page
from bartizan.areas.pii.payment import iban_ends

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bartizan.areas.pii.folding import Codes

_SHAPE = str.maketrans("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "9" * 10 + "A" * 52)
_RULES = {shape: rules for shape, rules in national.by_shape().items() if "9" in shape and len(shape) > 5 and "A" in shape}
_SIZES = np.zeros(64, dtype=np.bool_)
_SIZES[sorted({len(shape) for shape in _RULES})] = True
_NEAR = 64  # places that are looked at around a run of digits, where there are few of them
_IBAN = "length of its country and check digits"
_SPACED_NINO = re.compile(r"[A-Za-z]{2}[0-9]{2} [0-9]{2} [0-9]{2} ?[A-Da-d](?![A-Za-z0-9])")
_HONG_KONG = re.compile(r"([A-Za-z][0-9]{6})\(([0-9Aa])\)")


def find(page: Page) -> Iterator[Hit]:
    """Every hit of the kinds above, not yet free of overlaps. Linear in the length of the text."""
    codes = page.codes
    start, end = _mixed(page)
    if not len(start):
        return
    size = end - start
    account = (
        LATIN[codes[start]] & LATIN[codes[start + 1]] & _digit(codes[start + 2]) & _digit(codes[np.minimum(start + 3, len(codes) - 1)])
    )
    account &= codes[start - 1] != ord("_")
    accounts = {*_accounts(page, start, end, account & (size >= 15) & (size <= 34) & (codes[end] != ord("_")))}
    for s, e in accounts:
        yield page.hit("iban", s, e, 0.95, _IBAN)
    yield from _grouped(page, start[account & (size == 4) & ((codes[end] == ord(" ")) | (codes[end] == ord("-")))])
    sized = _SIZES[np.minimum(size, 63)]
    long = size >= 16
    keep = sized | long
    flat = page.flat
    columns = (start[keep], end[keep], sized[keep], long[keep])
    for s, e, is_sized, is_long in zip(*(column.tolist() for column in columns), strict=True):
        if is_sized and (rules := _RULES.get(flat[s:e].translate(_SHAPE))) and (s, e) not in accounts:
            yield from _identified(page, rules, s, e)
        if is_long and (secret := secrets.token(page, s, e)):
            yield secret
    yield from _with_tail(page, start[(size == 7) & (codes[end] == ord("("))].tolist())
    yield from _spaced(page, start[size == 4])


def _digit(codes: Codes) -> NDArray[np.bool_]:
    return (codes - np.uint8(48)) < 10


def _accounts(page: Page, start: NDArray[np.intp], end: NDArray[np.intp], such: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end of the IBANs written as one, among the runs of letters and digits for which `such` is true."""
    start, end = start[such], end[such]
    holds = iban_ends(page.codes, start, grouped=False) == end
    return zip(start[holds].tolist(), end[holds].tolist(), strict=True)


def _grouped(page: Page, start: NDArray[np.intp]) -> Iterator[Hit]:
    """IBANs in groups of four that begin at `start`."""
    end = iban_ends(page.codes, start, grouped=True)
    behind = page.codes[end]
    holds = (end > 0) & ~LATIN[behind] & ~_digit(behind)
    for s, e in zip(start[holds].tolist(), end[holds].tolist(), strict=True):
        yield page.hit("iban", s, e, 0.95, _IBAN)


def _mixed(page: Page) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Start and end of the runs of letters and digits that hold both."""
    alnum, runs = page.alnum, page.runs
    before, behind = alnum[runs.start - 1], alnum[runs.end]
    mixed = np.flatnonzero(before | behind)
    first, last = runs.start[mixed], runs.end[mixed]
    if not len(mixed):
        return first, last
    if len(first) * _NEAR * 4 < len(alnum):
        around = np.arange(_NEAR)
        left = alnum[np.maximum(first[:, None] - 1 - around, 0)]
        right = alnum[np.minimum(last[:, None] + around, len(alnum) - 1)]
        if not (left.all(axis=1) | right.all(axis=1)).any():
            start = first - np.argmin(left, axis=1)
            new = np.concatenate((np.ones(min(1, len(start)), np.bool_), start[1:] != start[:-1]))
            return start[new], (last + np.argmin(right, axis=1))[new]
    edges = np.flatnonzero(~alnum)
    place = np.searchsorted(edges, first)
    place = place[np.concatenate((np.ones(min(1, len(place)), np.bool_), place[1:] != place[:-1]))]
    return edges[place - 1] + 1, edges[place]


def _identified(page: Page, rules: tuple[national.Rule, ...], start: int, end: int) -> Iterator[Hit]:
    flat = page.flat
    if flat[start - 1] == "_" or flat[end] == "_":
        return
    bare = flat[start:end].upper()
    before = Window(page.before(start))
    for rule in rules:
        said = rule.context.search(before)
        if (said or rule.strong) and rule.test(bare):
            yield page.hit(
                rule.kind, start, end, 0.95 if said else 0.7, "the check characters hold" + (", a word before says so" if said else "")
            )
            return


def _with_tail(page: Page, starts: list[int]) -> Iterator[Hit]:
    """Hong Kong identity cards, whose check character stands in brackets."""
    for start in starts:
        found = _HONG_KONG.match(page.flat, start)
        if found and national.hk_id(f"{found[1]}{found[2]}".upper()) and page.flat[start - 1] != "_":
            yield page.hit("hk_id", start, found.end(), 0.75, "the check character holds")


def _spaced(page: Page, start: NDArray[np.intp]) -> Iterator[Hit]:
    """British national insurance numbers in pairs, the letters joined to the first: AB12 34 56 C."""
    codes = page.codes
    start = start[start + 10 < len(codes)]
    for at, char in ((4, " "), (7, " ")):
        start = start[codes[start + at] == ord(char)]
    for at in (5, 6, 8, 9):
        start = start[_digit(codes[start + at])]
    for place in start.tolist():
        found = _SPACED_NINO.match(page.flat, place)
        if found and national.gb_nino(found[0].replace(" ", "").upper()):
            yield page.hit("gb_nino", place, found.end(), 0.75, "letters in use and a suffix of A to D")
