"""Maps the columns of a table to the personal data they hold: by their names, by each value once, and by check digits that all hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bartizan.areas.pii import national
from bartizan.areas.pii.context import Phrases
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.scan import scan_texts

_SPLIT = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")
_NAMED: tuple[tuple[str, Phrases], ...] = (
    ("email", Phrases(r"email|mail(?![a-z])|mail ?address")),
    ("phone", Phrases(r"phone|telephone|tel(?![a-z])|mobile|cell ?phone|fax(?![a-z])|telefon")),
    ("date_of_birth", Phrases(r"birth ?da|date of birth|dob(?![a-z])|birthday|born|geburts|year of birth|birth year")),
    ("person_name", Phrases(r"first ?name|last ?name|sur ?name|full ?name|given ?name|family ?name|middle ?name|maiden ?name|vorname|"
                            r"nachname|nombre|apellido|customer name|client name|patient name|person name|employee name|user ?name|"
                            r"applicant name|contact name|name\Z")),
    ("address", Phrases(r"street|address|addr(?![a-z])|house ?n|stra[sß]+e|adresse|direcci")),
    ("postcode", Phrases(r"zip(?![a-z])|zip ?code|post ?code|postal|plz(?![a-z])")),
    ("us_ssn", Phrases(r"ssn(?![a-z])|social ?security")),
    ("identity_number", Phrases(r"passport|national ?id|identity ?n|driv(?:er|ing)|licen[cs]e ?n|tax ?id|insurance ?n|medical ?record|"
                                r"mrn(?![a-z])")),
    ("sex", Phrases(r"sex(?![a-z])|gender|geschlecht")),
    ("origin", Phrases(r"ethnic|race(?![a-z])|nationality|citizenship|birth ?place|place of birth|country of birth")),
    ("belief", Phrases(r"religion|confession|political|party ?member|union ?member")),
    ("health", Phrases(r"diagnos|disease|medication|disabilit|blood ?(?:type|group)|allerg|icd(?![a-z])|hiv(?![a-z])|pregnan")),
    ("age", Phrases(r"age(?![a-z])|alter(?![a-z])")),
    ("income", Phrases(r"salary|income|wage")),
    ("device", Phrases(r"ip ?addr|mac ?addr|imei|device ?id|user ?agent|cookie")),
    ("location", Phrases(r"latitude|longitude|lat(?![a-z])|lon(?![a-z])|lng(?![a-z])|gps|geo ?loc")),
    ("secret", Phrases(r"password|passwd|pwd(?![a-z])|api ?key|secret(?![a-z])|access ?token|private ?key")),
)  # fmt: skip
DIRECT = frozenset({"email", "phone", "person_name", "address", "us_ssn", "identity_number", "device", "secret"})
"""Kinds by name that single a person out, or open a door; the others do so together with more columns."""
_NO_CHECK_DIGIT = frozenset({"us_ssn", "us_itin", "gb_nino", "in_pan", "dk_cpr", "my_mykad"})
_ENOUGH = 12  # values that a check digit of one in ten cannot all pass by chance: 1e-12


class Found(msgspec.Struct, frozen=True):
    """How many `rows` and different `values` of a column hold a kind, and whether the value is `whole` or text with it inside."""

    rows: int
    values: int
    whole: int


class Column(msgspec.Struct, frozen=True):
    """What a column holds: `rows` in all, `filled` ones, different `values`; `named` by its name, `kinds` by its content."""

    name: str
    rows: int
    filled: int
    values: int
    named: str | None
    kinds: dict[str, Found]
    words: float = 0.0
    """Words a different value has, on average."""

    @property
    def main(self) -> str | None:
        """The kind that at least half of the filled rows hold, else the one its name says."""
        best = max(self.kinds, key=lambda kind: self.kinds[kind].rows, default=None)
        return best if best is not None and self.kinds[best].rows * 2 >= self.filled else self.named

    @property
    def personal(self) -> bool:
        """Does it hold anything that singles a person out, or a secret?"""
        return bool(self.kinds) or self.named in DIRECT


def column_words(name: str) -> str:
    """The name of a column as words: `dateOfBirth` and `DATE_OF_BIRTH` are `date of birth`."""
    return " ".join(part.lower() for part in _SPLIT.split(name[:200]) if part)


def named_kind(name: str) -> str | None:
    """What the name of a column says it holds, or None."""
    words = column_words(name)
    return next((kind for kind, phrases in _NAMED if phrases.search(words)), None)


def scan_table(columns: Mapping[str, Iterable[Any]]) -> dict[str, Column]:
    """What each column of a table holds; `columns` maps names to their values (lists, arrays, the columns of a pandas or polars frame).

    Each different value is read once, however often it stands there. None and NaN are empty.
    """
    return {str(name): scan_column(str(name), values) for name, values in columns.items()}


def scan_column(name: str, values: Iterable[Any]) -> Column:
    """What one column holds."""
    counted, rows = _counted(values)
    texts = list(counted)
    hits = scan_texts(texts, hint=column_words(name))
    kinds = _tally(texts, counted, hits)
    for kind in _by_check_digits(texts) if not kinds else ():
        kinds[kind] = Found(sum(counted.values()), len(texts), len(texts))
    words = sum(text.count(" ") + 1 for text in texts) / max(len(texts), 1)
    return Column(name, rows, sum(counted.values()), len(texts), named_kind(name), kinds, words)


def _counted(values: Iterable[Any]) -> tuple[Counter[str], int]:
    """The different values as text with their counts, and the number of rows."""
    plain = values.tolist() if hasattr(values, "tolist") else values.to_pylist() if hasattr(values, "to_pylist") else list(values)
    raw = Counter(plain)
    counted: Counter[str] = Counter()
    for value, count in raw.items():
        if value is None or value != value or value == "":
            continue
        if isinstance(value, float):
            if not value.is_integer() or abs(value) >= 1e16:
                continue
            value = int(value)
        counted[value if isinstance(value, str) else str(value)] += count
    return counted, len(plain)


def _tally(texts: list[str], counted: Mapping[str, int], hits: list[tuple[Hit, ...]]) -> dict[str, Found]:
    sums: dict[str, list[int]] = {}
    for text, found in zip(texts, hits, strict=True):
        for kind in {hit.kind for hit in found}:
            entry = sums.setdefault(kind, [0, 0, 0])
            entry[0] += counted[text]
            entry[1] += 1
            entry[2] += any(hit.kind == kind and hit.end - hit.start == len(text.strip()) for hit in found)
    return {kind: Found(*sums[kind]) for kind in sorted(sums)}


def _by_check_digits(texts: list[str]) -> list[str]:
    """The national identifier that nearly all values are by their check digits, which chance does not give; at most one."""
    sample = texts[:1000]
    shapes = Counter(re.sub(r"[0-9]+", lambda run: str(len(run[0])), text.strip()) for text in sample)
    if len(sample) < _ENOUGH or not shapes:
        return []
    shape, count = shapes.most_common(1)[0]
    if count < 0.95 * len(sample):
        return []
    bare = [re.sub(r"[^0-9]", "", text) for text in sample if len(re.sub(r"[^0-9]", "", text)) >= 8]
    for rule in national.by_shape().get(shape, ()):
        if rule.kind in _NO_CHECK_DIGIT or rule.tail or len(bare) < count:
            continue
        expected = sum(int(number) for number in re.findall(r"[0-9]+", shape))
        if sum(len(digits) == expected and rule.test(digits) for digits in bare) >= 0.95 * len(sample):
            return [rule.kind]
    return []
