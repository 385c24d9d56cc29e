"""Reads a declared table (csv, tsv, json lines, parquet; gzip too) as a frame, within stated limits."""

from __future__ import annotations

import gzip
import importlib
import io
import time
import warnings
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from bartizan.adapters.files import local_path, shown
from bartizan.adapters.table_header import SEPARATORS, form_of
from bartizan.model.errors import InputError, MissingExtra
from bartizan.model.findings import Job
from bartizan.model.system import Asset, Dataset

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 4 * 1024**3
"""Largest table, in bytes after decompression, that is read."""

KEPT = 256 * 1024**2
"""Bytes of tables that this process keeps, at most, for the next check of the same data."""

FRESH = 200_000_000
"""Nanoseconds since the last writing before a file is taken to be as its times say."""

_Key: TypeAlias = tuple[str, int, int, int, int, int, int]

FORMATS = (*sorted(SEPARATORS), ".jsonl", ".ndjson", ".parquet")


def pandas() -> Any:
    """The module pandas. Raises `MissingExtra` where it is not installed."""
    try:
        return importlib.import_module("pandas")
    except ImportError:
        raise MissingExtra("data", "pandas") from None


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than `limit` bytes: what stops a decompression bomb."""

    def __init__(self, stream: Any, limit: int, name: str) -> None:
        self._stream, self._left, self._name = stream, limit, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise InputError(f"grows beyond {MAX_BYTES} bytes when read", place=self._name, cure="declare a smaller extract")
        buffer[: len(data)] = data
        return len(data)


def read_table(root: str | Path, path: Path, *, limit: int = MAX_BYTES) -> pd.DataFrame:
    """The table at `path`, columns named by its header; types are inferred per column.

    Several checks of one data set parse it once: tables stay in this process's memory (`KEPT` bytes at most) for as long as their files
    stay as they are. What a caller does to its frame changes no other's. Raises `MissingExtra` without pandas, `InputError` for an unknown
    format, a broken file or one that grows beyond `limit` bytes.
    """
    kept = _kept(path, limit)
    if kept is None:
        return _parsed(root, path, limit)
    frame = _MEMO.pop(kept, None)
    if frame is None:
        frame = _parsed(root, path, limit)
        if kept != _kept(path, limit):  # changed while it was read
            return frame
    _keep(kept, frame)
    return frame.copy(deep=not _copies_on_write(pandas()))


def _parsed(root: str | Path, path: Path, limit: int) -> pd.DataFrame:
    name = shown(root, path)
    kind, packed = form_of(path)
    if kind != ".parquet" and kind not in SEPARATORS and kind not in (".jsonl", ".ndjson"):
        raise InputError(f"is not a table that can be read here ('{kind}')", place=name, cure="known: " + ", ".join(FORMATS))
    frames = pandas()
    if kind == ".parquet":
        return _read_parquet(path, name, limit)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas warns of ragged rows; they are kept cut to the header
            stream = gzip.GzipFile(fileobj=file) if packed else file
            bounded = io.BufferedReader(_Bounded(stream, limit, name), buffer_size=1 << 20)
            if kind in SEPARATORS:
                frame = frames.read_csv(
                    bounded, sep=SEPARATORS[kind], encoding_errors="replace", compression=None, low_memory=False, index_col=False
                )
            else:
                frame = frames.read_json(bounded, lines=True, encoding_errors="replace", compression=None)
    except (ValueError, OSError, EOFError, zlib.error, OverflowError, RecursionError) as error:
        raise InputError(f"cannot be read as a table: {error}", place=name) from None
    frame.columns = [str(column).strip() for column in frame.columns]
    return frame


def _read_parquet(path: Path, name: str, limit: int) -> pd.DataFrame:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
        arrow = importlib.import_module("pyarrow")
    except ImportError:
        raise MissingExtra("data", "pyarrow") from None
    try:
        with parquet.ParquetFile(path) as file:
            meta = file.metadata
            if meta.num_rows * max(meta.num_columns, 1) * 8 > limit:
                raise InputError(f"declares {meta.num_rows} rows of {meta.num_columns} columns", place=name, cure="declare an extract")
            frame: pd.DataFrame = file.read().to_pandas()
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"cannot be read as parquet: {error}", place=name) from None
    frame.columns = [str(column).strip() for column in frame.columns]
    return frame


_MEMO: OrderedDict[_Key, pd.DataFrame] = OrderedDict()
"""Tables of this process, the one that was asked for last at the end."""


def _kept(path: Path, limit: int) -> _Key | None:
    """Under what a table is kept: its place, and all that changes when a file does; None for one that was written just now, since the
    clock of a file system may not tell two writings apart."""
    try:
        state = path.stat()
    except OSError:
        return None
    if time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) < FRESH:
        return None
    return str(path.absolute()), limit, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _keep(key: _Key, frame: pd.DataFrame) -> None:
    _MEMO[key] = frame
    held = 0
    for other in reversed([*_MEMO]):
        held += _bytes(other, _MEMO[other])
        if held > KEPT:
            del _MEMO[other]


def _bytes(key: _Key, frame: pd.DataFrame) -> int:
    """The memory of a table; texts that are Python objects are taken to be six times as large as in the file."""
    objects = any(getattr(kind, "kind", "") == "O" and str(kind) == "object" for kind in frame.dtypes)
    return int(frame.memory_usage(index=False).sum()) + (6 * key[4] if objects else 0)


def _copies_on_write(frames: Any) -> bool:
    return int(str(frames.__version__).partition(".")[0]) >= 3


def declared_table(job: Job, ids: tuple[str, ...] | None, target: Asset, field: str, *, wanted: str) -> tuple[pd.DataFrame, str | None]:
    """The data sets `ids` that `field` of `target` names, one below the other, and the label column that they declare.

    `wanted` says in the error what `field` should be declared with. Raises `InputError` where none is declared or one has no uri.
    """
    sets = [node for node in job.related if isinstance(node, Dataset) and node.id in (ids or ())]
    if not sets:
        raise InputError(f"'{target.id}' has no {field}", place=target.at, cure=f"declare {field}: {wanted}")
    for node in sets:
        if node.uri is None:
            raise InputError(f"data set '{node.id}' has no uri", place=node.at, cure="declare where it lies")
    frames = [read_table(job.root, local_path(job.root, node.uri or "", node.at)) for node in sets]
    return pandas().concat(frames, ignore_index=True), next((node.label for node in sets if node.label), None)
