"""Pseudonyms against somebody who tries every number: with all of the code, none of the key, and pairs that are known.

What is shown: none of the ways to compute a pseudonym without the key (plain and salted digests, HMAC and FF1 under keys that can be
guessed) gives the pseudonym of any number of the space that is searched, while the same search breaks a plain digest at once. What is not
shown here but assumed: that HMAC-SHA-256 and AES under 256 random bits are what their standards say. What a pseudonym tells by design:
which rows hold the same value.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from bartizan import pii
from bartizan.areas.pii import cleaning
from bartizan.areas.pii.ff1 import FF1
from bartizan.areas.pii.national import us_ssn

KEY = hashlib.sha256(b"a key for these tests, in the place of 32 random bytes").digest()
AREAS = (536, 219, 574, 1)
GUESSED_KEYS = (b"", bytes(16), bytes(32), bytes(range(32)), b"bartizan", b"secret", b"password" * 4, KEY[:16], KEY[::-1])
Attack = Callable[[str], str]


def letters(digest: bytes) -> str:
    return "".join("abcdefghijklmnop"[byte >> 4] + "abcdefghijklmnop"[byte & 15] for byte in digest[:10])


def attacks() -> Iterator[Attack]:
    """Every way that comes to mind to get from a number to its pseudonym without the key."""
    for name in ("sha256", "sha512", "blake2b", "blake2s", "md5", "sha1", "sha3_256"):
        yield lambda number, name=name: letters(hashlib.new(name, number.encode()).digest())
        yield lambda number, name=name: letters(hashlib.new(name, f"us_ssn\0{number}".encode()).digest())
    for key in GUESSED_KEYS:
        yield lambda number, key=key: letters(hmac.digest(key, f"us_ssn\0{number}".encode(), "sha256"))
        derived = hmac.digest(key, b"bartizan pseudonyms\0format", "sha256")
        yield lambda number, key=derived: letters(hmac.digest(key, f"us_ssn\0{number}".encode(), "sha256"))


def numbers(areas: Iterable[int], groups: Iterable[int], serials: int) -> Iterator[str]:
    return (f"{area:03}{group:02}{serial:04}" for area in areas for group in groups for serial in range(1, serials))


def victims(count: int, space: list[str]) -> list[str]:
    draw = random.Random(7)
    return [f"{number[:3]}-{number[3:5]}-{number[5:]}" for number in draw.sample(space, count)]


def broken(attack: Attack, space: Iterable[str], tokens: set[str]) -> int:
    """How many of `tokens` a search over `space` opens."""
    return sum(attack(number) in tokens for number in space)


def test_a_search_over_the_space_opens_nothing_without_the_key_and_everything_without_one_in_use() -> None:
    space = [number for number in numbers(AREAS, (1,), 500) if us_ssn(number)]
    assert len(space) == 4 * 499
    known = victims(100, space)
    result = pii.anonymise({"ssn": known}, pii.Wish(), key=KEY)
    tokens = set(result.columns["ssn"])
    assert len(tokens) == 100
    for attack in attacks():
        assert broken(attack, space, tokens) == 0
    plain = {letters(hashlib.sha256(number.replace("-", "").encode()).digest()) for number in known}
    assert broken(next(attacks()), space, plain) == 100  # the same search, where no key was used
    with_key = pii.Pseudonyms(KEY)
    assert broken(lambda number: with_key.token("us_ssn", number), space, tokens) == 100  # and where it is known


def test_known_pairs_open_no_other_number() -> None:
    space = [number for number in numbers(AREAS, (1,), 300) if us_ssn(number)]
    known = victims(400, space)
    tokens = pii.anonymise({"ssn": known}, pii.Wish(), key=KEY).columns["ssn"]
    pairs, others = dict(zip(known[:200], tokens[:200], strict=True)), set(tokens[200:])
    assert not others & set(pairs.values())
    mixed = {
        letters(hashlib.sha256(f"{number}{separator}{token}{separator}{other}".encode()).digest())
        for number, token in list(pairs.items())[:5]
        for other in space
        for separator in ("", "\0")
    }
    assert not others & mixed
    order = sorted(range(200), key=lambda i: known[i])
    ranks = sorted(range(200), key=lambda i: tokens[i])
    agreeing = sum(
        order.index(i) < order.index(j) if ranks.index(i) < ranks.index(j) else False for i in range(0, 200, 7) for j in range(1, 200, 9)
    )
    pairs_tried = sum(ranks.index(i) < ranks.index(j) for i in range(0, 200, 7) for j in range(1, 200, 9))
    assert 0.3 < agreeing / pairs_tried < 0.7  # their order says nothing


def test_numbers_that_keep_their_form_are_not_opened_under_guessed_keys() -> None:
    space = [number for number in numbers((536,), (1,), 120) if us_ssn(number)]
    known = victims(30, space)
    new = pii.anonymise({"ssn": known}, pii.Wish(actions={"ssn": pii.Action.FORMAT}), key=KEY).columns["ssn"]
    changed = {number.replace("-", "") for number in new if number[0].isdigit()}
    assert len(changed) > 25  # the others had no form that is no valid number

    def opened(key: bytes, tried: list[str], turns: int) -> int:
        cipher = FF1(key)
        tweaks = [f"us_ssn\0{turn}".encode() for turn in range(turns)]
        return len({"".join(map(str, cipher.encrypt([int(c) for c in number], tweak))) for number in tried for tweak in tweaks} & changed)

    derived = [hmac.digest(key, b"bartizan pseudonyms\0format", "sha256") for key in (*GUESSED_KEYS, KEY)]
    guesses = [key for key in (*GUESSED_KEYS, *derived[:-1]) if len(key) in (16, 24, 32)]
    # A wrong key turns a number into one of the 30 by chance in one of thirty million tries: none of these 4,000.
    assert [opened(key, space, 2) for key in guesses] == [0] * len(guesses)
    assert opened(derived[-1], [number.replace("-", "") for number in known], cleaning._TURNS) == len(changed)  # with the key: all


@pytest.mark.slow
def test_a_search_for_two_minutes() -> None:
    """About a hundred million tries from the beginning of the space, divided among plain, salted and keyed digests."""
    known = victims(1000, [number for number in numbers((1, 2), range(1, 100), 10_000) if us_ssn(number)])
    tokens = {
        bytes.fromhex("".join(f"{'abcdefghijklmnop'.index(c):x}" for c in token))
        for token in pii.anonymise({"ssn": known}, pii.Wish(), key=KEY).columns["ssn"]
    }
    plain = {hashlib.sha256(number.replace("-", "").encode()).digest()[:10] for number in known}
    assert len(tokens) == 1000
    until = time.process_time() + 110
    tried, opened, control = 0, 0, 0
    for number in numbers(range(1, 1000), range(1, 100), 10_000):
        content = number.encode()
        digest = hashlib.sha256(content).digest()[:10]
        control += digest in plain
        opened += digest in tokens
        opened += hashlib.sha256(b"us_ssn\0" + content).digest()[:10] in tokens
        opened += hashlib.blake2b(b"us_ssn\0" + content).digest()[:10] in tokens
        opened += hmac.digest(bytes(32), b"us_ssn\0" + content, "sha256")[:10] in tokens
        tried += 1
        if tried % 100_000 == 0 and time.process_time() > until:
            break
    assert tried > 5_000_000
    assert opened == 0
    assert control > 900
