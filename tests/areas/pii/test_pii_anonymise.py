"""Cleaned copies: nothing left to find, pseudonyms that need their key, groups of the promised size."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan import pii
from bartizan.areas.pii import national
from bartizan.areas.pii.checksums import luhn
from bartizan.areas.pii.copies import clean_copy
from bartizan.areas.pii.ff1 import FF1
from bartizan.areas.pii.masking import Names, _merged
from bartizan.areas.pii.names import missing
from bartizan.model.errors import InputError

KEY = bytes(range(32))


def people(rows: int, seed: int = 0) -> dict[str, list[object]]:
    draw = random.Random(seed)

    def card() -> str:
        head = "4" + "".join(draw.choices("0123456789", k=14))
        return next(head + last for last in "0123456789" if luhn(head + last))

    return {
        "name": [f"Name {i}" for i in range(rows)],
        "email": [f"user{i}@example.org" for i in range(rows)],
        "ssn": [f"{draw.randrange(100, 600)}-{draw.randrange(10, 99)}-{draw.randrange(1000, 9999)}" for _ in range(rows)],
        "card": [card() for _ in range(rows)],
        "date_of_birth": [f"{draw.randrange(1940, 2004)}-0{draw.randrange(1, 9)}-1{draw.randrange(0, 9)}" for _ in range(rows)],
        "seen": [f"2020-0{draw.randrange(1, 9)}-1{draw.randrange(0, 9)}" for _ in range(rows)],
        "age": [draw.randrange(18, 80) for _ in range(rows)],
        "zip": [str(draw.randrange(10000, 99999)) for _ in range(rows)],
        "sex": [draw.choice("fm") for _ in range(rows)],
        "illness": [draw.choice(["flu", "cold", "asthma", "none"]) for _ in range(rows)],
        "remark": [f"call +49 30 90{draw.randrange(1000, 9999)} or mail user{i}@example.org" for i in range(rows)],
    }


def test_nothing_is_left_to_find() -> None:
    A = pii.Action
    actions = {"ssn": A.FORMAT, "card": A.FORMAT, "seen": A.SHIFT, "age": A.GENERALISE, "zip": A.GENERALISE, "sex": A.GENERALISE}
    for wish in (pii.Wish(), pii.Wish(actions=actions, k=5, subject="email")):
        result = pii.anonymise(people(300), wish, key=KEY)
        assert result.residual == {}
        assert not any(hit for values in result.columns.values() for hit in pii.scan_texts([str(v) for v in values]) if hit)
    assert (result.before.k, result.after.k >= 5) == (1, True)
    assert all(len(new) == len(old) for new, old in zip(result.columns["ssn"], people(300)["ssn"], strict=True) if new[0].isdigit())


def test_one_value_has_one_pseudonym_under_one_key_and_another_under_another() -> None:
    table = {"email": ["a@b.example", "A@B.example", "c@b.example"]}
    first, again, other = (pii.anonymise(table, key=key).columns["email"] for key in (KEY, KEY, bytes(32)))
    assert first == again
    assert first[0] == first[1] != first[2]
    assert not set(first) & set(other)


def test_a_search_over_all_numbers_fails_without_the_key() -> None:
    """All 10,000 serials behind a known area and group: plain digests betray the number, the pseudonym does so only with the key."""
    secret = "536-22-4711"
    plain = hashlib.sha256(secret.encode()).hexdigest()
    token = pii.Pseudonyms(KEY).token("us_ssn", secret)
    space = [f"536-22-{serial:04d}" for serial in range(10_000)]
    assert [n for n in space if hashlib.sha256(n.encode()).hexdigest() == plain] == [secret]
    guesses = [bytes(32), b"bartizan" * 4, hashlib.sha256(b"").digest()]
    assert not [n for key in guesses for n in space if pii.Pseudonyms(key).token("us_ssn", n) == token]
    assert [n for n in space if pii.Pseudonyms(KEY).token("us_ssn", n) == token] == [secret]


@pytest.mark.parametrize(
    ("key_bytes", "tweak", "radix", "plain", "cipher"),
    [  # NIST, examples with intermediate values for FF1, samples 1 to 9: AES-128, AES-192, AES-256
        (16, "", 10, "0123456789", "2433477484"),
        (16, "39383736353433323130", 10, "0123456789", "6124200773"),
        (16, "3737373770717273373737", 36, "0123456789abcdefghi", "a9tv40mll9kdu509eum"),
        (24, "", 10, "0123456789", "2830668132"),
        (24, "39383736353433323130", 10, "0123456789", "2496655549"),
        (24, "3737373770717273373737", 36, "0123456789abcdefghi", "xbj3kv35jrawxv32ysr"),
        (32, "", 10, "0123456789", "6657667009"),
        (32, "39383736353433323130", 10, "0123456789", "1001623463"),
        (32, "3737373770717273373737", 36, "0123456789abcdefghi", "xs8a0azh2avyalyzuwd"),
    ],
)
def test_format_preserving_encryption_gives_the_published_values(key_bytes: int, tweak: str, radix: int, plain: str, cipher: str) -> None:
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3CEF4359D8D580AA4F7F036D6F04FC6A94")[:key_bytes]
    ff1 = FF1(key, radix)
    numerals = [int(c, 36) for c in plain]
    assert ff1.encrypt(numerals, bytes.fromhex(tweak)) == [int(c, 36) for c in cipher]
    assert ff1.decrypt(ff1.encrypt(numerals, b"x"), b"x") == numerals


def test_dates_of_a_subject_keep_their_distance() -> None:
    table = {"who": ["a", "a", "b"], "when": ["2020-01-01", "2020-01-31", "2020-01-01"]}
    wish = pii.Wish(actions={"when": pii.Action.SHIFT, "who": pii.Action.KEEP}, subject="who")
    when = [dt.date.fromisoformat(text) for text in pii.anonymise(table, wish, key=KEY).columns["when"]]
    assert (when[1] - when[0]).days == 30
    assert when[0] != dt.date(2020, 1, 1)
    assert when[0] != when[2]


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 400), st.integers(1, 12), st.integers(1, 2), st.integers(0, 99))
def test_every_group_has_the_promised_size_and_contains_its_rows(rows: int, k: int, diversity: int, seed: int) -> None:
    table = people(rows, seed)
    result = pii.mondrian(table, ["age", "sex"], k, sensitive=["illness"], diversity=diversity)
    alike = pii.likeness({**result.columns, "illness": table["illness"]}, ["age", "sex"], ["illness"])
    assert alike.k >= k
    assert (alike.diversity or 0) >= diversity
    for age, text in zip(table["age"], result.columns["age"], strict=True):
        low, _, high = text.partition(" to ")
        assert int(low) <= age <= int(high or low)
    assert all(sex in text.split("|") for sex, text in zip(table["sex"], result.columns["sex"], strict=True))


def test_closeness_is_reached_and_k_of_a_hundred_thousand_rows_holds() -> None:
    draw = np.random.default_rng(0)
    n = 100_000
    table = {"age": draw.integers(18, 90, n), "zip": draw.integers(10_000, 99_999, n), "illness": draw.integers(0, 8, n)}
    assert np.bincount(pii.mondrian(table, ["age", "zip"], 10).group).min() >= 10
    close = pii.mondrian(table, ["age", "zip"], 10, sensitive=["illness"], closeness=0.2)
    alike = pii.likeness({**close.columns, "illness": table["illness"]}, ["age", "zip"], ["illness"])
    assert alike.closeness <= 0.2
    assert alike.groups > 50


def test_likeness_of_a_table_worked_by_hand() -> None:
    table = {"zip": ["1", "1", "1", "2", "2"], "illness": ["a", "b", "a", "c", "c"]}
    alike = pii.likeness(table, ["zip"], ["illness"])
    # Second group: all c, whole: a .4 b .2 c .4, so half the sum of |0-.4| + |0-.2| + |1-.4| is .6
    assert (alike.k, alike.diversity, alike.groups, alike.unique) == (2, 1, 2, 0)
    assert alike.closeness == pytest.approx(0.6)
    assert alike.average_risk == pytest.approx(0.4)


def test_wishes_that_cannot_be_met_say_so() -> None:
    with pytest.raises(InputError, match="3 rows cannot make groups of 5"):
        pii.mondrian({"a": [1, 2, 3]}, ["a"], 5)
    with pytest.raises(InputError, match="no column 'b'"):
        pii.anonymise({"a": [1]}, pii.Wish(actions={"b": pii.Action.MASK}))
    with pytest.raises(InputError, match="fewer than 3 different"):
        pii.mondrian({"a": [1, 2, 3], "s": [1, 1, 2]}, ["a"], 1, sensitive=["s"], diversity=3)


def test_a_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = pii.load_key(path)
    assert pii.load_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(InputError, match="other users"):
        pii.load_key(path)
    with pytest.raises(InputError, match="no key"):
        pii.load_key(tmp_path / "none", create=False)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_copy_of_a_table_keeps_what_is_kept_and_never_touches_the_source(tmp_path: Path, suffix: str) -> None:
    source, target = tmp_path / "people.csv", tmp_path / f"clean{suffix}"
    pd.DataFrame(people(60) | {"amount": np.arange(60) / 7}).to_csv(source, index=False)
    before = source.read_bytes()
    copy = clean_copy(source, target, key=KEY)
    assert copy.clean
    read = {".csv": pd.read_csv, ".jsonl": lambda p: pd.read_json(p, lines=True), ".parquet": pd.read_parquet}[suffix]
    assert read(target)["amount"].tolist() == pytest.approx((np.arange(60) / 7).tolist())
    assert source.read_bytes() == before
    with pytest.raises(InputError, match="there already"):
        clean_copy(source, target)
    with pytest.raises(InputError, match="there already"):
        clean_copy(source, source, force=True)


def test_a_text_is_masked(tmp_path: Path) -> None:
    source = tmp_path / "chat.txt"
    source.write_text("Write to jane@example.org or jane@example.org, card 4111 1111 1111 1111.\n")
    clean_copy(source, tmp_path / "clean.txt", key=KEY)
    text = (tmp_path / "clean.txt").read_text()
    assert pii.scan_text(text) == ()
    assert text.startswith("Write to [email ")
    assert len(set(text.split("[email ")[1:][0].split("]")[0])) > 3


needs_tagger = pytest.mark.skipif(missing() is not None, reason="the tagger is not installed")
NOTES = [
    "Yesterday Maria Delgado called about card 4111 1111 1111 1111.",
    "Please ask Jürgen Müller (jm@example.org) and Maria Delgado.",
    "my name is olga krylova and i live at 12 Main Street",
    "The rate was too high for the customer.",
]


@needs_tagger
def test_names_in_free_text_get_the_same_letters_everywhere_and_nothing_is_left() -> None:
    people_named = ["Maria Delgado", "Jürgen Müller", "Olga Krylova", "Yoko Tanaka"]
    table = people(40) | {"note": [f"{NOTES[i % 4]} Case {i}" for i in range(40)], "who": [people_named[i % 4] for i in range(40)],
                          "product": ["Fixed Rate", "Home Loan", "Car Loan", "Credit Line"] * 10}  # fmt: skip
    result = pii.anonymise(table, pii.Wish(names=Names.STRICT), key=KEY)
    assert (result.names, result.residual) == (True, {})
    assert (result.done["note"], result.done["who"], result.done["product"]) == ("mask", "pseudonym", "keep")
    everything = "\n".join(str(v) for values in result.columns.values() for v in values)
    assert not [name for name in ("Maria", "Delgado", "Müller", "Krylova", "krylova", "Main Street", "4111", "jm@") if name in everything]
    token = pii.Pseudonyms(KEY).token("person_name", "Maria Delgado")
    assert f"[person_name {token}]" in result.columns["note"][0]
    assert f"[person_name {token}]" in result.columns["note"][1]
    assert result.columns["who"][0] == token
    assert result.columns["note"][3] == "The rate was too high for the customer. Case 3"


@needs_tagger
def test_names_are_left_where_they_are_not_wanted_out(tmp_path: Path) -> None:
    result = pii.anonymise({"note": NOTES[2:], "id": [1, 2]}, pii.Wish(names=Names.OFF), key=KEY)
    assert (result.names, result.columns["note"]) == (False, NOTES[2:])
    kept = pii.anonymise({"note": NOTES * 2}, pii.Wish(actions={"note": pii.Action.KEEP}), key=KEY)
    assert kept.columns["note"] == NOTES * 2
    assert kept.residual["note"]["person_name"] >= 6
    source = tmp_path / "chat.txt"
    source.write_text("\n".join(NOTES), "utf-8")
    copy = clean_copy(source, tmp_path / "clean.txt", key=KEY)
    assert (copy.clean, copy.names) == (True, True)
    text = (tmp_path / "clean.txt").read_text("utf-8")
    assert "Delgado" not in text
    assert "The rate was too high for the customer." in text


def test_what_has_a_shape_goes_before_a_name() -> None:
    shaped = (pii.Hit("email", 3, 9, "a@b.cd", 0.9, ""), pii.Hit("phone", 20, 25, "12345", 0.9, ""))
    named = [pii.Hit("person_name", s, e, "", 0.9, "") for s, e in ((0, 2), (2, 5), (9, 12), (13, 22), (25, 30), (31, 33))]
    assert [(hit.start, hit.end) for hit in _merged(shaped, named)] == [(0, 2), (3, 9), (9, 12), (20, 25), (25, 30), (31, 33)]


OTHER_KINDS = {
    "email": "jane@example.org", "phone": "+49 30 901820", "payment_card": "4111 1111 1111 1111", "iban": "DE89 3704 0044 0532 0130 00",
    "ip_address": "192.0.2.17", "url_with_credentials": "postgres://app:k3yOfTheDoor@db.example.org/x",
    "date_of_birth": "born on 3 February 1980", "secret.github_token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "secret.private_key": f"-----BEGIN PRIVATE KEY-----{'MIIEvQ' * 20}-----END PRIVATE KEY-----",
    "secret.password": "password = 'h7Gq2!vLp0z'",
}  # fmt: skip


def every_kind() -> dict[str, str]:
    """A text with each kind: the first of many random numbers of the shapes of a national identifier that the scan takes for one."""
    draw, found = random.Random(3), dict(OTHER_KINDS)
    for rule in national.RULES:
        word = re.split(r"[^a-zA-Z]", rule.words)[0] or "id"
        texts = []
        for shape in rule.shapes:
            mixed = "A" in shape or "99" in shape
            for _ in range(300):
                body = re.sub("A", lambda _: draw.choice("ABCKTXYZ"), shape) if mixed else shape
                body = re.sub(
                    "9" if mixed else "[0-9]+", lambda m, one=mixed: "".join(draw.choices("0123456789", k=1 if one else int(m[0]))), body
                )
                texts.append(f"{word} {body}")
        for text, hits in zip(texts, pii.scan_texts(texts), strict=True):
            if any(hit.kind == rule.kind for hit in hits):
                found.setdefault(rule.kind, text)
                break
    return found


@pytest.fixture(scope="module")
def kinds() -> dict[str, str]:
    held = every_kind()
    assert len(held) > 45
    return held


@pytest.mark.parametrize("names", [Names.OFF, pytest.param(Names.STRICT, marks=needs_tagger)])
def test_a_table_with_every_kind_alone_and_in_text_is_clean_afterwards(kinds: dict[str, str], names: Names) -> None:
    table: dict[str, list[object]] = {}
    for kind, value in list(kinds.items())[:: 1 if names is Names.OFF else 6]:
        assert pii.scan_text(value), kind
        table[f"{kind} alone"] = [value] * 3
        table[f"{kind} in text"] = [f"Hannah Meyer wrote: {value}, please answer {n}" for n in range(3)]
    table["all of it"] = [". ".join(kinds.values())] * 3
    result = pii.anonymise(table, pii.Wish(names=names), key=KEY)
    assert result.residual == {}
    assert not any(hits for values in result.columns.values() for hits in pii.scan_texts([str(value) for value in values]))
    assert names is Names.OFF or "Hannah" not in str(result.columns)
