"""Structured personal data: kinds, exact offsets, boundaries of pieces, wrong check digits."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan import pii
from bartizan.areas.pii import national

# Numbers that issuers, registries and standards publish as examples or test values.
PUBLISHED = [
    ("payment_card", "4111111111111111"),
    ("payment_card", "5500-0000-0000-0004"),
    ("payment_card", "3782 822463 10005"),
    ("payment_card", "6011111111111117"),
    ("iban", "GB82 WEST 1234 5698 7654 32"),  # ISO 13616 examples
    ("iban", "DE89370400440532013000"),
    ("iban", "NO9386011117947"),
    ("iban", "MT84MALT011000012345MTLCAST001S"),
    ("email", "jane.doe+tag@mail.example.org"),
    ("ip_address", "192.0.2.17"),
    ("ip_address", "2001:db8::ff00:42:8329"),
    ("url_with_credentials", "postgres://app:k3yOfTheDoor@db.example.org"),
    ("us_ssn", "536-22-1234"),
    ("fi_hetu", "131052-308T"),
    ("es_dni", "12345678Z"),
    ("it_codice_fiscale", "RSSMRA85T10A562S"),
    ("ch_ahv", "756.9217.0769.85"),
    ("be_national", "85.07.30-033.28"),
    ("br_cpf", "529.982.247-25"),
    ("no_fodselsnummer", "15076500565"),
    ("cn_resident", "11010519491231002X"),
    ("tr_kimlik", "10000000146"),
]


@pytest.mark.parametrize(("kind", "value"), PUBLISHED)
def test_published_examples_are_found_wherever_they_stand(kind: str, value: str) -> None:
    for text in (value, f"see {value}, please", f"Ünïcödé 😀 e\u0301\r\n{value}\r\n", f"\u4e2d\u6587{' '}{value}。"):
        hits = [hit for hit in pii.scan_text(f"turk {text}" if kind == "tr_kimlik" else text) if hit.kind == kind]
        assert [hit.value for hit in hits] == [value]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("card ４１１１１１１１１１１１１１１１", "payment_card", "４１１１１１１１１１１１１１１１"),
        ("card ٤١١١١١١١١١١١١١١١", "payment_card", "٤١١١١١١١١١١١١١١١"),
        ("mail jürgen.müller@bücher.example", "email", "jürgen.müller@bücher.example"),
        ("mail jose\u0301@example.org", "email", "jose\u0301@example.org"),
        ("SSN 536\u201122\u20111234", "us_ssn", "536\u201122\u20111234"),
        ("card 4111\u00a01111\u00a01111\u00a01111", "payment_card", "4111\u00a01111\u00a01111\u00a01111"),
        ("born 3 May 1980", "date_of_birth", "3 May 1980"),
        ("Geburtsdatum: 03.05.1980", "date_of_birth", "03.05.1980"),
        ("PESEL 44051401359", "pl_pesel", "44051401359"),
        ("NHS number 943 476 5919", "gb_nhs", "943 476 5919"),
        ("Steuer-ID 86095742719", "de_steuer_id", "86095742719"),
        ("Sécurité sociale 255081416802538", "fr_nir", "255081416802538"),
        ("BSN 111222333", "nl_bsn", "111222333"),
        ("Aadhaar 2341 2341 2346", "in_aadhaar", "2341 2341 2346"),
        ("SIN 193 456 787", "ca_sin", "193 456 787"),
        ("TFN 123 456 782", "au_tfn", "123 456 782"),
        ("HKID A123456(3)", "hk_id", "A123456(3)"),
        ("NI number AB12 34 56 C", "gb_nino", "AB12 34 56 C"),
        ("NRIC S1234567D", "sg_nric", "S1234567D"),
        ("RUT 12.345.678-5", "cl_rut", "12.345.678-5"),
        ("tel. +49 30 901820", "phone", "+49 30 901820"),
        ("call (415) 555-2671 x12", "phone", "(415) 555-2671 x12"),
        ("ЕГН 6101057509", "bg_egn", "6101057509"),
    ],
)
def test_values_in_context_and_in_any_script(text: str, kind: str, value: str) -> None:
    hits = pii.scan_text(text)
    assert [(hit.kind, hit.value) for hit in hits] == [(kind, value)]


WITH_CHECK_DIGITS = [(k, v) for k, v in PUBLISHED if k not in ("email", "ip_address", "url_with_credentials", "us_ssn")]


@pytest.mark.parametrize(("kind", "value"), WITH_CHECK_DIGITS)
def test_no_wrong_check_digit_passes(kind: str, value: str) -> None:
    last = max(i for i, c in enumerate(value) if c.isalnum())
    for other in "0123456789" if value[last].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        if other != value[last]:
            wrong = value[:last] + other + value[last + 1 :]
            assert [hit for hit in pii.scan_text(f"see {wrong} please") if hit.kind == kind] == []


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4", "icon@2x.png", "at 12:30:45", "std::string a::b", "1.2.3.4.5", "10.0.0.256", "2019-01-02 03:04:05",
        "0.4111111111111111", "x4111111111111111", "order 123456789", "$ 1 234 567 890", "a@b",
        "@decorator", "id 078-05-1120", "000-12-3456",
        "page 12-34-5678", "SHA 3b18e512dba79e4c8300dd08aeb37f8e728b8dad", "password = os.environ", "https://user:${PASSWORD}@host.example",
    ],
)  # fmt: skip
def test_what_only_looks_like_it(text: str) -> None:
    assert pii.scan_text(text) == ()


def test_a_card_slid_over_every_offset_of_a_boundary() -> None:
    card, boundary = "4111 1111 1111 1111", 1 << 16
    filler = ("the quick brown fox jumps over the lazy dog " * 1600)[: boundary + 100]
    missed = []
    for offset in range(boundary - len(card) - 2, boundary + 3):
        text = f"{filler[:offset]} {card} {filler[offset : offset + 4000]}"
        pieces = [text[i : i + boundary] for i in range(0, len(text), boundary)]
        if [(hit.start, hit.value) for hit in pii.scan_pieces(pieces)] != [(offset + 1, card)]:
            missed.append(offset)
    assert missed == []


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.sampled_from(PUBLISHED), st.text(max_size=40))
def test_offsets_name_the_value_in_any_text(before: str, known: tuple[str, str], after: str) -> None:
    text = f"{before} {known[1]} {after}"
    hits = pii.scan_text(text, least=0.0)
    assert all(text[hit.start : hit.end] == hit.value for hit in hits)
    assert all(a.end <= b.start for a, b in itertools.pairwise(hits))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from([f"card {value}" for _, value in PUBLISHED])), max_size=8))
def test_many_texts_at_once_give_what_each_gives_alone(texts: list[str]) -> None:
    assert pii.scan_texts(texts) == [pii.scan_text(text) for text in texts]


def test_pieces_cut_anywhere_give_what_the_whole_gives() -> None:
    draw = random.Random(0)
    values = [value for _, value in PUBLISHED]
    text = "".join(
        draw.choice(values) + " " if draw.random() < 0.05 else "word " * draw.randrange(1, 12) + draw.choice(["", "\n"])
        for _ in range(4000)
    )
    whole = list(pii.scan_text(text))
    assert len(whole) > 100
    for size in (997, 20_011, 65_536):
        assert list(pii.scan_pieces(text[i : i + size] for i in range(0, len(text), size))) == whole


def test_a_report_does_not_show_the_value() -> None:
    (hit,) = pii.scan_text("card 4111 1111 1111 1111")
    assert hit.redacted == "**** **** **** **11"


@pytest.mark.parametrize("rule", national.RULES, ids=lambda rule: f"{rule.kind}-{rule.shapes[0]}")
def test_every_national_rule_answers_for_any_characters_of_its_shapes(rule: national.Rule) -> None:
    draw, passed, tried = random.Random(1), 0, 0
    tails = {"": [""], "-[A-Za-z]": ["A", "T"], "[0-9A-Ya-y]": ["A", "0"], "-[Kk]": ["K"]}[rule.tail]
    for shape in rule.shapes:
        for _ in range(300):
            if "A" in shape or "99" in shape:
                bare = "".join(draw.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if c == "A" else draw.choice("0123456789") for c in shape)
            else:
                bare = "".join(draw.choices("0123456789", k=sum(int(n) for n in re.findall(r"\d+", shape))))
            passed += rule.test(bare + draw.choice(tails))
            tried += 1
    assert passed <= tried * 0.2 or rule.kind in ("us_ssn", "in_pan", "us_itin")
    if rule.strong and any(shape.isdigit() and "99" not in shape for shape in rule.shapes) and not rule.tail:
        assert passed <= tried * 0.02


def test_no_writing_of_any_shape_stops_a_scan() -> None:
    draw = random.Random(2)
    texts = []
    for rule in national.RULES:
        word = re.split(r"[^a-zA-Z]", rule.words)[0] or "id"
        for shape in rule.shapes:
            mixed = "A" in shape or "99" in shape
            for _ in range(40):
                body = re.sub("A", lambda _: draw.choice("ABCXYZabc"), shape) if mixed else shape
                run = r"9" if mixed else r"[0-9]+"
                body = re.sub(run, lambda m, one=mixed: "".join(draw.choices("0123456789", k=1 if one else int(m[0]))), body)
                texts.append(f"{word} {body}{draw.choice(['', '-K', 'A', '(3)', '-T', '(A'])}{draw.choice(['', ' ', '.', chr(10)])}")
    found = pii.scan_texts(texts)
    assert all(text[hit.start : hit.end] == hit.value for text, hits in zip(texts, found, strict=True) for hit in hits)
    assert {hit.kind for hits in found for hit in hits} > {"us_ssn", "pl_pesel", "cl_rut"}
