"""Where else do removed rows stand? Backups, exports and caches are read and compared with them, whatever they are written in.

A row is the same where all columns that both tables have hold the same: numbers by value, dates and moments by the instant, all else by its
text, so that a csv export and a Parquet file compare. Where the shared columns do not tell a removed row from one that stayed, it is not
counted. Besides, a row counts that meets the wish itself, such as the subject's name in a table with other columns; and a file that is no
table counts where a subject stands in its bytes. What could not be read is named.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from bartizan.areas.access import columns, retention
from bartizan.areas.access.purging import Chooser, Copies, Copy, Wish
from bartizan.model.errors import BartizanError, InputError

Keys: TypeAlias = npt.NDArray[np.uint64]

MAX_FILES = 100_000
SHORTEST = 5
"""Characters that a subject has at least, to be looked for among bytes."""

_CHUNK = 8 * 1024 * 1024
_NESTED = ("List", "Array", "Struct", "Object", "Binary")


class Hunt:
    """Learns the removed rows, then searches `also` for them. `own` files are not looked into."""

    def __init__(self, also: Sequence[Path], wish: Wish | None) -> None:
        self._wish = wish
        self._seed = secrets.randbits(63)
        self._files = list(_below(also))
        self._names: dict[Path, tuple[str, ...]] = {}
        self._unread: list[str] = []
        for file in self._files:
            self._names[file] = self._columns(file)
        self._sought = {frozenset(names) for names in self._names.values() if names}
        self._parts: dict[tuple[str, ...], list[Keys]] = {}
        self._known: dict[tuple[str, ...], Keys] = {}
        self._unclear: dict[tuple[str, ...], Keys] = {}
        self._all: set[tuple[str, ...]] = set()

    def learn(self, batch: Any, gone: npt.NDArray[np.bool_]) -> None:
        """Take in the rows of an Arrow batch that go."""
        for shared in self._shared(batch.schema):
            frame = _frame(batch.select(list(shared))).filter(retention.polars().Series(gone))
            found = self._keys(frame, shared)
            if found is not None:
                self._parts.setdefault(shared, []).append(found)
                if len(shared) == len(batch.schema.names):
                    self._all.add(shared)

    @property
    def doubtful(self) -> bool:
        """Whether some columns are not shared, so that rows that stay have to be told apart (`discount`)."""
        return bool(set(self._parts) - self._all)

    def discount(self, batch: Any) -> None:
        """Take in rows that stay: what they share with removed rows tells nobody apart."""
        self._settle()
        for shared in self._shared(batch.schema):
            if shared in self._known and shared not in self._all:
                found = self._keys(_frame(batch.select(list(shared))), shared)
                if found is not None:
                    both = np.intersect1d(found, self._known[shared])
                    self._unclear[shared] = np.union1d(self._unclear.get(shared, both), both)

    def search(self, own: Iterable[Path] = ()) -> Copies:
        """Look into every file but `own` and what lies below them."""
        self._settle()
        mine = [one.resolve() for one in own]
        places: list[Copy] = []
        looked = unclear = 0
        for file in self._files:
            if any(file.is_relative_to(one) for one in mine):
                continue
            try:
                found, doubt = self._look(file)
            except (BartizanError, OSError) as error:
                self._unread.append(str(error))
                continue
            looked += int(found is not None)
            unclear += doubt
            if found is not None and (found.rows or found.mentions):
                places.append(found)
        return Copies(files=looked, places=tuple(places), unread=tuple(self._unread), unclear=unclear)

    def _columns(self, file: Path) -> tuple[str, ...]:
        if columns.table_kind(file) is None:
            return ()
        try:
            return tuple(columns.names(file))
        except InputError as error:
            self._unread.append(str(error))
            return ()

    def _shared(self, schema: Any) -> set[tuple[str, ...]]:
        """What each file has of these columns; nested ones cannot be compared."""
        names = [field.name for field in schema if not (field.type.num_fields or "binary" in str(field.type))]
        found = {tuple(sorted(set(names) & sought)) for sought in self._sought}
        return {shared for shared in found if shared}

    def _settle(self) -> None:
        self._known = {shared: np.unique(np.concatenate(parts)) for shared, parts in self._parts.items()}

    def _look(self, file: Path) -> tuple[Copy | None, int]:
        """What stands in one file, and how many of its rows are unclear; None where it was not looked into."""
        names = self._names[file]
        if not names:
            return self._bytes(file)
        sets = [shared for shared in self._known if set(shared) <= set(names)]
        largest = [one for one in sets if not any(set(one) < set(other) for other in sets)]
        wished = self._wish is not None and set(self._wish.columns) <= set(names) and bool(self._wish.columns)
        if not largest and not wished:
            self._unread.append(f"{file.name} shares no column with the removed rows")
            return None, 0
        chooser = Chooser(self._wish) if wished and self._wish is not None else None
        wanted = sorted({*(name for shared in largest for name in shared), *(self._wish.columns if wished and self._wish else ())})
        rows = unclear = 0
        for frame in columns.frames(file, wanted):
            hit = np.zeros(len(frame), np.bool_)
            doubt = np.zeros(len(frame), np.bool_)
            for shared in largest:
                keys = self._keys(frame.select(shared), shared)
                if keys is not None:
                    same = np.isin(keys, self._known[shared])
                    unsure = np.isin(keys, self._unclear.get(shared, np.zeros(0, np.uint64)))
                    hit |= same & ~unsure
                    doubt |= same & unsure
            if chooser is not None:
                hit |= chooser(_lenient(frame, chooser.wish).to_arrow(), file.name)
            rows += int(hit.sum())
            unclear += int((doubt & ~hit).sum())
        return Copy(file=file, rows=rows, shared=tuple(wanted)), unclear

    def _bytes(self, file: Path) -> tuple[Copy | None, int]:
        """Whether a subject stands in the bytes of a file that is no table."""
        subjects = self._wish.subjects if self._wish is not None else {}
        values = [value.encode() for values in subjects.values() for value in values if len(value) >= SHORTEST]
        if not values:
            self._unread.append(f"{file.name} is no table")
            return None, 0
        return Copy(file=file, rows=0, mentions=_mentioned(file, values)), 0

    def _keys(self, frame: Any, shared: tuple[str, ...]) -> Keys | None:
        """A hash of each row over its shared columns; None where one of them is nested."""
        pl = retention.polars()
        if any(type(frame[name].dtype).__name__ in _NESTED for name in shared):
            return None
        plain = pl.DataFrame([normal(frame[name]).alias(f"{n}") for n, name in enumerate(shared)])
        joined = plain.select(pl.concat_str(pl.all(), separator="\x1f").alias("row"))["row"]
        found: Keys = joined.hash(self._seed).to_numpy()
        return found


def normal(cells: Any) -> Any:
    """Each cell as text that is the same for the same value in every format; an empty cell is the empty text."""
    pl = retention.polars()
    kind = cells.dtype
    if kind == pl.Boolean:
        text = cells.cast(pl.String)
    elif kind == pl.Date or isinstance(kind, pl.Datetime):
        text = _instants(retention.ends(cells))
    elif kind.is_integer():
        text = cells.cast(pl.String)
    elif kind.is_numeric():
        text = _number_text(cells.cast(pl.Float64))
    else:
        text = _read_text(cells.cast(pl.String, strict=False))
    return text.fill_null("")


def _instants(ends: Any) -> Any:
    """Moments as text; a day is its first moment, since exports leave out midnights."""
    pl = retention.polars()
    day = 86_400 * 10**6
    return "@" + (ends - (ends % day == 0).cast(pl.Int64) * (day - 1) - 1).cast(pl.String)


def _number_text(numbers: Any) -> Any:
    pl = retention.polars()
    whole = numbers.is_finite() & (numbers == numbers.floor()) & (numbers.abs() < 2**63)
    text = numbers.cast(pl.Int64, strict=False).cast(pl.String).zip_with(whole, numbers.cast(pl.String))
    return text.zip_with(numbers.is_not_nan().fill_null(True), pl.Series([""], dtype=pl.String))


def _read_text(text: Any) -> Any:
    """Text that writes a number or a date as what it writes."""
    pl = retention.polars()
    bare = text.str.strip_chars()
    found = bare.str.to_lowercase().zip_with(bare.str.contains(r"(?i)^(true|false)$").fill_null(False), bare)
    found = found.zip_with(~bare.str.contains(r"(?i)^nan$").fill_null(False), pl.Series([""], dtype=pl.String))
    number = bare.str.contains(r"^-?(0|[1-9]\d*)?\.\d+$|^-?\d+(\.\d+)?[eE][+-]?\d+$").fill_null(False)
    if number.any():
        found = _number_text(bare.cast(pl.Float64, strict=False)).zip_with(number, found)
    dated = bare.str.contains(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}").fill_null(False) & ~number
    if dated.any():
        moments = retention.ends(bare)
        found = _instants(moments).zip_with(dated & moments.is_not_null(), found)
    return found


def _lenient(frame: Any, wish: Wish) -> Any:
    """The frame with text read as numbers where the wish compares it with one."""
    pl = retention.polars()
    for clause in wish.clauses:
        if frame[clause.column].dtype == pl.String:
            numbers = frame[clause.column].cast(pl.Float64, strict=False)
            if pl.Series([clause.value]).cast(pl.Float64, strict=False).is_not_null()[0]:
                frame = frame.with_columns(numbers)
    return frame


def _frame(batch: Any) -> Any:
    return retention.polars().from_arrow(batch)


def _below(also: Sequence[Path]) -> Iterator[Path]:
    """The files of `also`; links are not followed. Raises `InputError` where something is not there or there is too much."""
    count = 0
    for path in also:
        if not path.exists():
            raise InputError("is not there", place=str(path))
        found = [path.resolve()] if path.is_file() else (Path(f, n) for f, _, names in os.walk(path.resolve()) for n in sorted(names))
        for one in found:
            if one.is_file() and not one.is_symlink():
                count += 1
                if count > MAX_FILES:
                    raise InputError(f"holds more than {MAX_FILES} files", place=str(path), cure="name a narrower folder")
                yield one


def _mentioned(file: Path, values: Sequence[bytes]) -> bool:
    """Whether one of `values` stands in the bytes of `file` as words of their own."""
    word = rb"[0-9A-Za-z\x80-\xff]"
    sought = re.compile(rb"(?<!%b)(?:%b)(?!%b)" % (word, b"|".join(map(re.escape, values)), word))
    longest = max(map(len, values)) + 2
    with file.open("rb") as stream:
        block, first = stream.read(_CHUNK), True
        while block:
            following = stream.read(_CHUNK)
            for match in sought.finditer(block):  # what stands at an edge is seen again, with what stands beside it
                if (match.start() or first) and (match.end() < len(block) or not following):
                    return True
            block, first = (block[-longest:] + following, first and len(block) <= longest) if following else (b"", False)
    return False
