"""Writes a cleaned copy of a file: a table column by column, any other text as a whole. The file that is there is never changed."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.adapters.files import read_text
from bartizan.adapters.tables import pandas, read_table
from bartizan.areas.pii.cleaning import Action, Result, Wish, anonymise, clean_text
from bartizan.areas.pii.files import TABLES
from bartizan.areas.pii.folding import pieces_of
from bartizan.areas.pii.groups import Likeness
from bartizan.areas.pii.masking import Masker, finder_of
from bartizan.areas.pii.pseudonyms import KEY_BYTES, Pseudonyms
from bartizan.model.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """What was written where: `done` by column (a text has none), `residual` hits, and how rows hide before and after.

    `names` says whether names in free text were searched, before and after.
    """

    written: str
    rows: int
    done: dict[str, Action] = {}
    residual: dict[str, dict[str, int]] = {}
    before: Likeness | None = None
    after: Likeness | None = None
    names: bool = False

    @property
    def clean(self) -> bool:
        """Does a scan of the copy find nothing?"""
        return not self.residual


def clean_copy(source: Path, target: Path, wish: Wish | None = None, *, key: bytes | None = None, force: bool = False) -> Copy:
    """Write a copy of `source` without personal data to `target` (.csv, .tsv, .jsonl, .parquet; any other suffix: text).

    Raises `InputError` for a target that is the source, or is there and `force` is false, or a wish that cannot be met.
    """
    if not source.is_file():
        raise InputError("there is no such file", place=str(source))
    if target.exists() and (target.samefile(source) or not force):
        cure = "name another file" if target.samefile(source) else "name another file, or allow it with --force"
        raise InputError("is there already", place=str(target), cure=cure)
    if not target.parent.is_dir():
        raise InputError("its folder is not there", place=str(target))
    kind = next((s.lower() for s in reversed(source.suffixes) if s.lower() != ".gz"), "")
    if kind not in TABLES:
        return _clean_text(source, target, wish or Wish(), key)
    frame = read_table(source.parent, source)
    result = anonymise({name: frame[name].array for name in frame.columns}, wish, key=key)
    _write(target, _encoded(_frame(frame, result), target))
    return Copy(
        written=str(target), rows=len(frame), done=result.done, residual=result.residual, before=result.before, after=result.after,
        names=result.names,
    )  # fmt: skip


def _clean_text(source: Path, target: Path, wish: Wish, key: bytes | None) -> Copy:
    """A text as a whole, in which only what is found is replaced."""
    masker = Masker(Pseudonyms(key or secrets.token_bytes(KEY_BYTES)), finder_of(wish.names))
    text = clean_text(read_text(source.parent, source), masker)
    _write(target, text.encode("utf-8", "surrogatepass"))
    left = Counter(hit.kind for hits in masker.find(pieces_of(text)) for hit in hits)
    residual = {"text": dict(left)} if left else {}
    return Copy(written=str(target), rows=text.count("\n"), residual=residual, names=masker.finder is not None)


def _frame(frame: pd.DataFrame, result: Result) -> pd.DataFrame:
    """The new table: columns that are kept stay as they are, types included."""
    kept: Mapping[str, Any] = {
        name: frame[name] if result.done[name] is Action.KEEP else pandas().Series(values, index=frame.index, dtype=object)
        for name, values in result.columns.items()
    }
    return pandas().DataFrame(kept)


def _encoded(frame: pd.DataFrame, target: Path) -> bytes:
    suffix = target.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return bytes(frame.to_csv(index=False, sep="," if suffix == ".csv" else "\t").encode())
    if suffix in (".jsonl", ".ndjson"):
        return bytes(frame.to_json(orient="records", lines=True, force_ascii=False).encode())
    if suffix == ".parquet":
        return bytes(frame.to_parquet(index=False))
    raise InputError(f"a table is not written as '{suffix}'", place=str(target), cure="known: .csv, .tsv, .jsonl, .parquet")


def _write(target: Path, data: bytes) -> None:
    """All of it or nothing: a new file beside the target takes its place."""
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            file.write(data)
        os.replace(file.name, target)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", place=str(target)) from None
