"""Finds what one telling character or word gives away: email addresses, IPv6 addresses, URLs with credentials, birthdays in words."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from bartizan.areas.pii.folding import LETTER
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.markers import BIRTH
from bartizan.areas.pii.page import ALNUM, DIGITS, LATIN, Page, table
from bartizan.methods.secret_shapes import literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LOCAL = _LATIN + DIGITS + chr(LETTER) + ".!_+-'&"
_LOCAL_TABLE = table(_LOCAL[:-1].replace(chr(LETTER), "") + "&", beyond=True)
_A = f"{_LATIN}{DIGITS}{chr(LETTER)}"
_DOMAIN = re.compile(rf"(?:[{_A}](?:[{_A}-]{{0,61}}[{_A}])?\.){{1,20}}(?:[{_LATIN}{chr(LETTER)}]{{2,24}}|xn--[a-z0-9]{{2,40}})(?![{_A}_@])")
_FILES = frozenset({"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "html", "py", "json", "txt", "pdf", "mp4"})
_HEX = table("0123456789abcdefABCDEF:")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+")
_CREDENTIALS = re.compile(r"://([^\s/:@\"'<>\0]{1,256}):([^\s/@\"'<>\0]{1,256})@[A-Za-z0-9\xe9.:\[\]-]{0,255}[A-Za-z0-9\xe9\]]")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}\Z")
_MONTHS = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|ene|abr|ago|dic)[a-z]{0,7}"
_BIRTHDAY = re.compile(
    rf"(?i)[^0-9\0]{{0,32}}?((?<![0-9])[0-9]{{1,2}}(?:st|nd|rd|th|\.)?(?: of)? {_MONTHS}\.?,? (?:19|20)[0-9]{{2}}(?![0-9])"
    rf"|(?<![a-z]){_MONTHS}\.? [0-9]{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)[0-9]{{2}}(?![0-9]))"
)
_TOP = LATIN | table("", beyond=True)
_NO_USER = table(" \t\r\n/:@\"'<>\0")


def find(page: Page) -> Iterator[Hit]:
    """Every hit of the kinds above, not yet free of overlaps. Linear in the length of the text."""
    at, colons = page.signs["@"], page.signs[":"]
    yield from _emails(page, at)
    yield from _ipv6(page, colons)
    yield from _credentials(page, at, colons)
    for word in BIRTH:
        if word in page.marks:
            yield from _birthdays(page, page.marks[word] + len(word))


def _emails(page: Page, at: NDArray[np.intp]) -> Iterator[Hit]:
    codes, flat = page.codes, page.flat
    likely = at[_LOCAL_TABLE[codes[at - 1]] & ALNUM[codes[at + 1]]]
    if not len(likely):
        return
    dots = page.signs["."]
    dots = dots[_TOP[codes[dots + 1]] & _TOP[codes[dots + 2]]]
    likely = likely[_next(dots, likely) < np.minimum(likely + 256, _next(at, likely + 1))]
    for place in likely.tolist():
        found = _DOMAIN.match(flat, place + 1, min(len(flat), place + 256))
        if found is None or flat[max(0, found.end() - 5) : found.end()].rpartition(".")[2].lower() in _FILES:
            continue
        local = flat[max(0, place - 65) : place]
        local = local[len(local.rstrip(_LOCAL)) :].lstrip(".'-&!+")
        if local and len(local) <= 64 and ".." not in local and not local.endswith("."):
            yield page.hit("email", place - len(local), found.end(), 0.9, "local part and a domain")


def _ipv6(page: Page, colons: NDArray[np.intp]) -> Iterator[Hit]:
    """Addresses of RFC 4291 with at least two groups and a digit: found by two colons within five places of each other."""
    codes, flat = page.codes, page.flat
    if len(colons) < 2:
        return
    apart = np.diff(colons)
    near, apart = colons[:-1][apart <= 5], apart[apart <= 5]
    for k in range(1, 5):  # nothing but hexadecimal digits between the two
        joined = (apart <= k) | _HEX[codes[np.minimum(near + k, len(codes) - 1)]]
        near, apart = near[joined], apart[joined]
    near = near[(codes[near + 1] != ord(":")) | ((codes[near - 1] != ord(":")) & (codes[near + 2] != ord(":")))]
    done = i = 0
    while i < len(near):
        start = place = int(near[i])
        i += 1
        while start > max(done, place - 5) and _HEX[codes[start - 1]]:
            start -= 1
        found = _IPV6.match(flat, start)
        if found is None:
            continue
        done = found.end()
        if i < len(near) and near[i] < done:
            i = int(np.searchsorted(near, done))
        written = found[0].rstrip(".")
        written = written if written.endswith("::") else written.rstrip(":")
        end = start + len(written)
        if len(written) > 45 or flat[start - 1].isalnum() or flat[start - 1] in "_." or flat[end].isalnum() or flat[end] == "_":
            continue
        if any(c.isdigit() for c in written) and len(re.findall(r"[^:]+", written)) > 1 and _valid(written):
            yield page.hit("ip_address", start, end, 0.85, "an address of RFC 4291")


def _valid(written: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, written)
    except OSError:
        return False
    return True


def _credentials(page: Page, at: NDArray[np.intp], colons: NDArray[np.intp]) -> Iterator[Hit]:
    codes, flat = page.codes, page.flat
    if not len(at) or not len(colons):
        return
    slashes = colons[(codes[colons + 1] == ord("/")) & (codes[colons + 2] == ord("/"))]
    slashes = slashes[(_next(at, slashes) <= slashes + 517) & ~_NO_USER[codes[slashes + 3]]]
    for place in slashes.tolist():
        found = _CREDENTIALS.match(flat, place, place + 800)
        scheme = _SCHEME.search(flat[max(0, place - 31) : place])
        if found and scheme and literal(found[2]):
            yield page.hit("url_with_credentials", place - len(scheme[0]), found.end(), 0.97, "a user name and a password before the host")


def _birthdays(page: Page, behind: NDArray[np.intp]) -> Iterator[Hit]:
    """Birthdays in words, `behind` a word for birth: each has a run of the four digits of its year."""
    years = page.runs.start[page.runs.length == 4]
    for place in behind[_next(years, behind) < behind + 90].tolist():
        found = _BIRTHDAY.match(page.flat, place, place + 88)
        if found:
            yield page.hit("date_of_birth", *found.span(1), 0.85, "a date behind a word for birth")


def _next(places: NDArray[np.intp], of: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first of ascending `places` at or behind each of `of`; where there is none, a place behind all texts."""
    return np.append(places, np.iinfo(np.intp).max)[np.searchsorted(places, of)]
