"""Patterns of strangers: those that could take very long are refused, others find what they found, and no text holds them up."""

from __future__ import annotations

import random
import re
import time

import pytest

from bartizan.areas.pii.patterns import CAREFUL, LONGEST, bounded
from bartizan.model.errors import InputError

# The first from the OWASP page on regular expression denial of service, the others variations of its causes.
DOUBLING = [
    r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(a+)+$", r"([a-zA-Z]+)*@", r"(a|aa)+$", r"(a|a?)+$", r"(.*a){12,}x", r"(a|a)*b", r"(\w+\s?)*$",
    r"(.*)*x", r"(a?){40}a{40}", "a?" * 40 + "a" * 40, r"(abc|a|b|c)+x", r"(\d{1,20}){1,20}x", r"(?=(a+)+$)b", r"(ab?a?)+c",
    r"(?:x|(?:yy|x))+z",
]  # fmt: skip
GROWING = [r"\d+\d+\d+x", r"(.*)(.*)(.*)=", r".*.*.*=.*"]
HARMLESS = [
    (r"\b\d{5}(?:-\d{4})?\b", "at 12345-6789 or 12345", ["12345-6789", "12345"]),
    (r"(?:\d+-)+\d+", "no 1-22-333 4", ["1-22-333"]),
    (r"[\w.+-]+@[\w-]+\.[\w.-]+", "to a.b@c-d.ef,", ["a.b@c-d.ef"]),
    (r"(?<!\d)\d{4}[- ]?\d{4}(?!\d)", "1234 5678, 123456789", ["1234 5678"]),
    (r"\b([0-9A-F]{2}[:-]){5}[0-9A-F]{2}\b", "is 00:1A:2B:3C:4D:5E", ["00:1A:2B:3C:4D:5E"]),
    (r"(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}", "10.0.0.255", ["10.0.0.255"]),
    (r"(['\"])[a-z]+\1", "say 'so'", ["'so'"]),
    (r"(?i:ab)*+c", "abABc", ["abABc"]),
]


@pytest.mark.parametrize("pattern", DOUBLING + GROWING)
def test_a_pattern_that_could_take_very_long_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="'mine' could take very long"):
        bounded(pattern, "mine")


@pytest.mark.parametrize(("pattern", "text", "found"), HARMLESS)
def test_a_harmless_pattern_finds_what_it_found_alone(pattern: str, text: str, found: list[str]) -> None:
    judged = bounded(pattern, "mine")
    assert [text[start:end] for start, end in judged.search(text)] == found == [match[0] for match in re.finditer(pattern, text)]


def test_lines_and_stretches_are_searched_one_by_one_at_their_places() -> None:
    judged = bounded(r"\d+(?: \d+)?", "mine")
    assert judged.window == LONGEST
    text = "12\r\n3 4\n" + "x" * LONGEST + "56\n\nx\n"
    assert [text[start:end] for start, end in judged.search(text)] == ["12", "3 4", "56"]
    assert bounded(r"\d+,?\d+!", "mine").window == CAREFUL


def test_what_is_let_through_is_quick_on_text_made_against_it() -> None:
    draw = random.Random(3)
    parts = ["a", "b?", "[ab]", r"\d", r"\w+", "(?:a|b)", "c*", r"(?:ab)+", "a{2,5}", r"[^c]*", "(?:a|ab)", r"(?:\w\d)*", "x", r"(?:a+b)*"]
    passed = 0
    for _ in range(150):
        pattern = "".join(draw.choices(parts, k=draw.randrange(1, 6)))
        if draw.random() < 0.4:
            pattern = f"(?:{pattern}){draw.choice('+*')}{draw.choice(parts)}"
        try:
            judged = bounded(f"{pattern}!", "mine")
        except InputError:
            continue
        passed += 1
        for word in ("a", "ab", "1", "a1", "abb", "aab"):
            text = word * (judged.window // len(word))
            start = time.process_time()
            list(judged.search(text))
            assert time.process_time() - start < 2, pattern
    assert passed > 40


@pytest.mark.parametrize("pattern", ["[", "(?P<a", "a{2,1}", "(?<=a+)b", "(" * 5000])
def test_a_wrong_pattern_is_said(pattern: str) -> None:
    with pytest.raises(InputError, match="the pattern of 'mine'"):
        bounded(pattern, "mine")
