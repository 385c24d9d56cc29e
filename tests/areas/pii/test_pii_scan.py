"""Structured personal data: kinds, exact offsets, boundaries of pieces, wrong check digits."""

from __future__ import annotations

import itertools
import random
import re
import time
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan import pii
from bartizan.areas.pii import markers, national, payment, scan, shapes
from bartizan.areas.pii.checksums import luhn
from bartizan.areas.pii.context import Ear, Phrases
from bartizan.areas.pii.crew import Crew
from bartizan.areas.pii.page import Page
from bartizan.areas.pii.payment import BRANDS
from bartizan.areas.pii.shapes import Shapes

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


def crowd(size: int, seed: int = 4) -> list[str]:
    """Texts with known values, words and numbers among them; about one in six goes beyond ASCII."""
    draw = random.Random(seed)
    words = [
        "card",
        "born",
        "SSN",
        "née",
        "call",
        "the",
        "order",
        "passport",
        "IBAN",
        "id",
        "Straße",
        "secret=",
        "\u212aarte",
        "e\u0301t\xe9",
    ]
    texts: list[str] = []
    while sum(map(len, texts)) < size:
        parts = [draw.choice(words) if draw.random() < 0.6 else draw.choice(PUBLISHED)[1] for _ in range(draw.randrange(1, 12))]
        parts += ["".join(draw.choices("0123456789 -./()+:@", k=draw.randrange(30)))]
        texts.append(draw.choice([" ", ", ", "\n"]).join(parts))
    return texts


def test_batches_and_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = crowd(60_000)
    whole = scan.scan_texts(texts, hint="customer")
    assert sum(map(len, whole)) > 1500
    monkeypatch.setattr(scan, "BATCH", 10_000)
    assert scan.scan_texts(texts, hint="customer") == whole == [pii.scan_text(text, hint="customer") for text in texts]
    monkeypatch.setattr(scan, "SHARED", 1000)
    assert scan.scan_texts(texts, hint="customer", workers=2) == whole


def test_a_process_that_ends_is_done_without() -> None:
    texts = crowd(20_000)
    batches = [texts[i : i + 20] for i in range(0, len(texts), 20)]
    with Crew(2) as crew:
        for worker in crew._workers:
            worker.kill()
            worker.wait()
        found = list(crew.scan(batches, ("", 0.5), scan.found_in))
    assert found == [scan.found_in(batch, "", 0.5) for batch in batches]


@pytest.mark.parametrize("width", [40, 48])
def test_words_are_heard_alike_by_windows_and_by_the_page_and_never_missed(width: int) -> None:
    lists = (("card", "visa", "cc"), ("born", "née", "geb"), ("snils", "снилс", "身份"))
    ear, phrases = Ear(*lists), [Phrases("|".join(words)) for words in lists]
    draw = random.Random(6)
    words = [
        *(word for some in lists for word in some),
        "cards",
        "xborn",
        "the",
        "Born",
        "\u212aard",
        "ge\u0301b",
        "a",
        "\0",
        "12",
        "VISA",
        "Née",
    ]
    for _ in range(200):
        page = Page(" ".join(draw.choices(words, k=draw.randrange(60))) + " 1")
        places = page.runs.start
        heard = np.zeros(len(places), np.uint8)
        ear._hear(page.codes, places, width, heard)
        assert heard.tolist() == ear._everywhere(page.codes, places, width).tolist()
        for place, bits in zip(places.tolist(), heard.tolist(), strict=True):
            for bit, one in enumerate(phrases):
                assert bits >> bit & 1 or not one.search(page.before(place, width))


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="0123456789 -./", max_size=60))
def test_shapes_found_in_arrays_are_those_of_the_text(text: str) -> None:
    names = ("4 4 4 4", "3-2-4", "1 2 2 2 3 3 2", "16", "2.3.3", "8-1", "1-4-5-2-1", "9")
    page, known = Page(text), Shapes(names)
    if not len(page.runs.start):
        return
    gap = page.runs.start[1:] - page.runs.end[:-1]
    joined = (gap == 1) & np.isin(page.codes[page.runs.end[:-1]], list(b" -./"))
    spans = known.spans(page.runs, joined)
    found = {(start, end, known.names[shape]) for start, end, shape in zip(spans.start, spans.end, spans.shape, strict=True)}
    expected = set()
    for chain in re.finditer(r"[0-9]+(?:[-./ ][0-9]+)*", page.flat):
        runs = list(re.finditer(r"[0-9]+", chain[0]))
        for i, j in itertools.combinations_with_replacement(range(len(runs)), 2):
            start, end = runs[i].start(), runs[j].end()
            whole = chain[0][start:end]
            name = re.sub("[0-9]+", lambda run: str(len(run[0])), whole)
            if name in names and (start == 0 or chain[0][start - 1] == " ") and (end == len(chain[0]) or chain[0][end] == " "):
                expected.add((chain.start() + start, chain.start() + end, name))
    assert found == expected


def test_luhn_brands_and_accounts_in_arrays_agree_with_one_by_one() -> None:
    draw = random.Random(8)
    numbers = ["".join(draw.choices("0123456789", k=draw.randrange(12, 20))) for _ in range(3000)] + ["4111111111111111", "378282246310005"]
    page = Page("".join(f"{number} " for number in numbers))
    start, end = page.runs.start, page.runs.end
    assert shapes.luhn(page.codes, start, end).tolist() == [luhn(number) for number in numbers]
    brand = payment.brands()[shapes.heads(page.codes, start), end - start].tolist()
    assert [BRANDS[n - 1] if n else None for n in brand] == [payment.issuer(number) for number in numbers]
    accounts = ["".join(draw.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=2)) + "".join(draw.choices("0123456789", k=20)) for _ in range(2000)]
    accounts += [f"DE{98 - int(f'{bank}131400') % 97:02}{bank}" for bank in (draw.randrange(10**17, 10**18) for _ in range(300))]
    for step in (0, 4):
        written = [" ".join(a[i : i + 4] for i in range(0, len(a), 4)) if step else a for a in accounts]
        page = Page("".join(f"{account};" for account in written))
        start = np.cumsum([0, *(len(account) + 1 for account in written[:-1])]) + 1
        ends = payment.iban_ends(page.codes, start, grouped=bool(step)).tolist()
        right = [end == begin + len(account) for end, begin, account in zip(ends, start.tolist(), written, strict=True)]
        assert right == [payment.iban(account) for account in accounts]
        assert sum(right) >= 300


@pytest.mark.parametrize(
    "piece", ["0123 ", "GB12 ", "://", "1:1", "born ", "1 ", "a@a.", "::", "a.a.", "@", "7", "1.1.", "11-", "password="]
)
def test_hostile_text_is_read_in_time_that_grows_with_its_length(piece: str) -> None:
    times = []
    for size in (1 << 17, 1 << 19):
        text = piece * (size // len(piece))
        scan.scan_text(text)
        start = time.process_time()
        scan.scan_text(text)
        times.append(time.process_time() - start)
    assert times[1] < 12 * times[0] + 0.2  # four times the text; square growth would be sixteen times, of far more


def test_numbers_of_nobody_raise_few_alarms() -> None:
    draw = random.Random(9)
    lines = [str(1_500_000_000_000 + draw.randrange(200_000_000_000)) for _ in range(20_000)]
    lines += [str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(5000)]
    lines += [f"{draw.getrandbits(256):064x}" for _ in range(3000)]
    lines += [" ".join(f"{draw.gauss(0, 1000):.6f}" for _ in range(8)) for _ in range(3000)]
    found = [hit for hits in pii.scan_texts(lines) for hit in hits]
    assert len(found) <= 5, found


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


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["born", "DOB", "Secret", "passw", "PASSW", "api_key", "API-key", "private key", "PRIVATE KEY", "\0", "é", "sword", "s_"]
        )
    )
)
def test_telling_words_are_found_alike_in_short_and_in_long_texts(parts: list[str]) -> None:
    page = Page("x".join(parts))
    long = markers.places(page.codes, page._classes)
    short = markers.places_in_short(page.flat)
    assert {word: found.tolist() for word, found in long.items()} == {word: found.tolist() for word, found in short.items()}
