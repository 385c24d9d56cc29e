"""Maps the columns of a table to the personal data they hold: by their names, by each value once, and by check digits that all hold.

A table may come in batches of rows: `ColumnScan` needs the same memory for any number of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np

from bartizan.areas.pii import national
from bartizan.areas.pii.context import Phrases
from bartizan.areas.pii.distinct import SMALL, LargeNumbers, Sample, SmallNumbers
from bartizan.areas.pii.hits import Hit
from bartizan.areas.pii.reading import BEGINNING, Reading
from bartizan.areas.pii.scan import scan_texts
from bartizan.areas.pii.values import Whole, counted, whole_numbers
from bartizan.methods.categories import are_categories

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bartizan.areas.pii.reading import Reader

Kinds: TypeAlias = tuple[tuple[str, bool], ...]
"""The kinds that a value holds, each with whether one hit of it is the whole value."""

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


MEMORY = 64 << 20
"""Bytes that a scan spends on remembering values, over all its columns; beyond, it forgets them and judges them again."""
_FIRST = 1000  # different values of which a check digit must hold nearly always
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")  # what is remembered as a number
_INT64 = np.iinfo(np.int64)
_LONG = 64  # characters from which a value is remembered by its digest
_PSEUDONYM = re.compile(r"[a-p]{20}")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_MOST_TEXTS = 50_000  # texts of a column that are kept for the tagger of names, and
_TEXTS = 32 << 20  # their characters, over all columns
_SAMPLE = 2048  # different values by which their number is estimated: a standard error of 2 %
_MANY = 20  # rows from which two values are a yes and a no


class Found(msgspec.Struct, frozen=True):
    """How many `rows` and different `values` of a column hold a kind, and of how many values it is the `whole`, not a part.

    `rows` is exact, and so are the others unless the column says that they are `estimated`.
    """

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
    estimated: bool = False
    """Are `values`, and those of `kinds`, estimates (standard error 2 %), because there were too many to remember? Rows are exact."""
    reading: Reading | None = None
    """What the tagger of names said of its texts; None where it has none or no tagger was given."""

    @property
    def main(self) -> str | None:
        """The kind that at least half of the filled rows hold, else the one its name says."""
        best = max(self.kinds, key=lambda kind: self.kinds[kind].rows, default=None)
        return best if best is not None and self.kinds[best].rows * 2 >= self.filled else self.named

    @property
    def personal(self) -> bool:
        """Does it hold anything that singles a person out, or a secret?"""
        return bool(self.kinds) or self.named_personal or self.holds_names

    @property
    def named_personal(self) -> bool:
        """Does its name say so? A column of two values in many rows, such as whether there is a telephone, singles nobody out."""
        return self.named in DIRECT and not (self.values <= 2 and self.filled >= _MANY)

    @property
    def holds_names(self) -> bool:
        """Does the tagger see more names of persons in its texts than false alarms explain; in short values: is at least half a name?"""
        if self.reading is None or not self.reading.holds_names():
            return False
        return self.free_text or self.reading.whole * 2 >= self.reading.values or self.repeats_names(self.reading.sure)

    def repeats_names(self, sure: int) -> bool:
        """Are its sentences few and often repeated, and do most of them, `sure`, bear a name all the same, as no categories do?"""
        return self.words >= 3 and self.values >= 10 and sure * 2 >= self.values

    @property
    def free_text(self) -> bool:
        """Are its values likely sentences: four words or more, and three or more different values that are not a few categories?"""
        return self.words >= 4 and self.values >= 3 and not are_categories(self.values, self.filled)


def column_words(name: str) -> str:
    """The name of a column as words: `dateOfBirth` and `DATE_OF_BIRTH` are `date of birth`."""
    return " ".join(part.lower() for part in _SPLIT.split(name[:200]) if part)


def named_kind(name: str) -> str | None:
    """What the name of a column says it holds, or None."""
    words = column_words(name)
    return next((kind for kind, phrases in _NAMED if phrases.search(words)), None)


def scan_table(columns: Mapping[str, Iterable[Any]]) -> dict[str, Column]:
    """What each column of a table holds; `columns` maps names to their values (lists, arrays, the columns of a pandas or polars frame).

    Each different value is read once, however often it stands there. None and NaN are empty; of floats only whole ones are read.
    """
    scan = ColumnScan()
    scan.take(columns)
    return scan.finish()


def scan_column(name: str, values: Iterable[Any]) -> Column:
    """What one column holds."""
    return scan_table({name: values})[name]


class ColumnScan:
    """A table that comes in batches of rows, read in one pass; memory stays the same for any number of rows (see `MEMORY`)."""

    def __init__(self, *, finder: Reader | None = None) -> None:
        """`finder` reads the texts for names at the end, within its budget; None leaves names out."""
        self._finder = finder
        self._columns: dict[str, _Held] = {}

    def take(self, columns: Mapping[str, Any]) -> None:
        """Read one batch of rows: for each column its values as a list, or an array of numpy, pandas, polars or Arrow.

        The values of an Arrow dictionary are judged once. A column that a batch lacks, or that comes later, has fewer rows.
        """
        room = _TEXTS // max(len(columns), 1) if self._finder is not None else 0
        for name, values in columns.items():
            held = self._columns.setdefault(str(name), _Held(str(name), room))
            numbers = whole_numbers(values)
            if numbers is None:
                texts, rows = counted(values)
                held.rows += rows
                held.take(texts)
            else:
                held.rows += numbers[1]
                held.take_numbers(numbers[0])
        self._forget()

    def finish(self) -> dict[str, Column]:
        """What each column held, in the order in which they came."""
        found = {name: held.column() for name, held in self._columns.items()}
        texts = {name: held.texts for name, held in self._columns.items() if held.texts is not None and len(held.texts)}
        if self._finder is not None:
            for name, reading in zip(texts, self._finder.read(list(texts.values())), strict=True):
                found[name] = msgspec.structs.replace(found[name], reading=reading)
        return found

    def _forget(self) -> None:
        """Where the values take too much memory, the columns with more than their share forget theirs."""
        if sum(held.size for held in self._columns.values()) > MEMORY:
            for held in self._columns.values():
                if held.size * len(self._columns) > MEMORY:
                    held.forget()


class _Held:
    """What is known of one column so far."""

    def __init__(self, name: str, room: int = 0) -> None:
        self.name, self.hint = name, column_words(name)
        self.texts = Sample(_MOST_TEXTS, room) if room else None  # what the tagger is to read
        self.rows = self.filled = self.size = 0
        self.words = self.judged = 0
        self.kinds: dict[str, list[int]] = {}
        self._first: list[str] = []
        self._small, self._large = SmallNumbers(), LargeNumbers()
        self._memo: dict[str, Kinds] = {}  # what texts hold
        self._numbers: dict[int, Kinds] = {}  # what numbers of seven digits and more hold, where it is anything
        self._all: Sample | None = None  # from here on: samples of the values seen, and of those with each kind
        self._of: dict[str, Sample] = {}

    def take(self, texts: Mapping[str, int]) -> None:
        """Count `texts`, different values with the rows that hold them."""
        numbers = {text: int(text) for text in texts if text[-1].isdigit() and len(text) < 20 and _WHOLE.fullmatch(text)}
        others = [text for text in texts if text not in numbers] if numbers else list(texts)
        keys = {text: _short(text) for text in others if len(text) >= _LONG}
        new = set()
        if numbers:
            array = np.array(list(numbers.values()), np.int64)
            new = set(self._take_numbers(array, np.array([texts[text] for text in numbers], np.int64)).tolist())
        if len(self._first) < _FIRST:
            fresh = (text for text in texts if (numbers[text] in new if text in numbers else keys.get(text, text) not in self._memo))
            self._first += [text.strip()[:_LONG] for text in islice(fresh, _FIRST - len(self._first))]
        self.filled += sum(texts.values())
        self._judge(others, keys, texts)
        if self.texts is not None:
            for text in others:
                if " " in text and _LETTERS.search(text, 0, BEGINNING):
                    self.texts.add(keys.get(text, text), texts[text], text=text[:BEGINNING])

    def _judge(self, texts: Sequence[str], keys: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """Count the kinds of `texts`; those that are not remembered are judged. `keys` stand for long ones in the memory."""
        memo = self._memo
        new = [text for text in texts if keys.get(text, text) not in memo] if keys else [text for text in texts if text not in memo]
        self.judged += len(new)
        self.words += " ".join(new).count(" ") + 1 if new else 0  # the spaces in each, and one more for each
        named = [keys.get(text, text) for text in new] if keys else new
        self.size += 150 * len(new) + sum(map(len, named))
        memo.update(dict.fromkeys(named, ()))
        for text, key, hits in zip(new, named, scan_texts(new, hint=self.hint), strict=True):
            if hits:
                memo[key] = self._found(len(text.strip()), hits)
        if self._all is not None:
            for key in named:
                self._sampled(key, memo[key])
        for text in texts if self.kinds else ():
            for kind, _ in memo[keys.get(text, text)]:
                self.kinds[kind][0] += counts[text]

    def _found(self, length: int, hits: Iterable[Hit]) -> Kinds:
        """The kinds of `hits` in a value of `length` characters, and whether one of the kind is the whole of it."""
        found = {hit.kind: False for hit in hits} | {hit.kind: True for hit in hits if hit.end - hit.start == length}
        for kind, whole in found.items():
            entry = self.kinds.setdefault(kind, [0, 0, 0])
            entry[1] += 1
            entry[2] += whole
        return tuple(sorted(found.items()))

    def take_numbers(self, numbers: Whole) -> None:
        """Count whole numbers."""
        if numbers.dtype == np.uint64 and len(numbers) and int(numbers.max()) > _INT64.max:
            self.take(Counter(map(str, numbers[numbers > np.uint64(_INT64.max)].tolist())))
            numbers = numbers[numbers <= np.uint64(_INT64.max)]
        self.filled += len(numbers)
        new = self._take_numbers(numbers.astype(np.int64, copy=False), None)
        if len(self._first) < _FIRST and len(new):
            self._first += [str(number) for number in new[: _FIRST - len(self._first)].tolist()]

    def _take_numbers(self, numbers: NDArray[np.int64], counts: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Count the kinds of `numbers`, each in `counts` rows (None: one); the new ones, each once, in the order in which they stand.

        Those of at most six digits hold nothing, and are noted by a bit each.
        """
        small = (numbers > -SMALL) & (numbers < SMALL)
        places = np.flatnonzero(small)
        new = places[self._small.add(numbers[small])] if len(places) else places
        if len(places) < len(numbers):
            large = numbers[~small]
            different, first, rows = np.unique(large, return_index=True, return_counts=True)
            if counts is not None:
                rows = counts[~small][first]
            fresh = self._large.new(different)
            new = np.concatenate((new, np.flatnonzero(~small)[first[fresh]]))
            self._judge_numbers(different, rows, fresh)
        found = numbers[np.sort(new)]
        _, first = np.unique(found, return_index=True)
        return found[np.sort(first)]

    def _judge_numbers(self, different: NDArray[np.int64], rows: NDArray[np.int64], fresh: NDArray[np.bool_]) -> None:
        """Count the kinds of `different` numbers; those that are `fresh` are judged."""
        new = different[fresh]
        self._large.add(new)
        self.judged += len(new)
        self.words += len(new)
        self.size += 8 * len(new)
        texts = [str(number) for number in new.tolist()]
        for text, hits in zip(texts, scan_texts(texts, hint=self.hint), strict=True):
            if hits:
                self._numbers[int(text)] = self._found(len(text), hits)
                self.size += 150
        if self._all is not None:
            for text in texts:
                self._sampled(text, self._numbers.get(int(text), ()))
        if self._numbers:
            for number, count in zip(different.tolist(), rows.tolist(), strict=True):
                for kind, _ in self._numbers.get(number, ()):
                    self.kinds[kind][0] += count

    def forget(self) -> None:
        """Free the memory of the values; their number becomes an estimate."""
        if self._all is None:
            self._all = Sample(_SAMPLE)
            for key, found in self._memo.items():
                self._sampled(key, found)
            for number in (number for run in self._large.runs for number in run.tolist()):
                self._sampled(str(number), self._numbers.get(number, ()))
        self._memo.clear()
        self._numbers.clear()
        self._large = LargeNumbers()
        self.size = 0

    def _sampled(self, key: str, found: Kinds) -> None:
        if self._all is not None:
            self._all.add(key)
            for kind, whole in found:
                self._of.setdefault(kind, Sample(_SAMPLE)).add(key, marked=whole)

    def column(self) -> Column:
        """What the column holds, as far as it has come."""
        values = len(self._small) + (self.judged if self._all is None else self._all.estimate())
        kinds = {kind: Found(*self.kinds[kind]) for kind in sorted(self.kinds)}
        if self._all is not None:
            kinds = {kind: Found(found.rows, self._of[kind].estimate(), self._of[kind].marked()) for kind, found in kinds.items()}
        for kind in _by_check_digits(self._first) if not kinds else ():
            kinds[kind] = Found(self.filled, values, values)
        words = (self.words + len(self._small)) / max(self.judged + len(self._small), 1)
        replaced = bool(self._first) and all(_PSEUDONYM.fullmatch(text) for text in self._first)  # what a cleaned copy holds
        named = None if replaced else named_kind(self.name)
        return Column(self.name, self.rows, self.filled, values, named, kinds, words, self._all is not None)


def _short(text: str) -> str:
    """What stands for a long value in the memory."""
    return f"\0{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def _by_check_digits(texts: list[str]) -> list[str]:
    """The national identifier that nearly all values are by their check digits, which chance does not give; at most one."""
    sample = texts[:_FIRST]
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
