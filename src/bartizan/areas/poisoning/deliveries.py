"""A labelled table with the name of who delivered each row, from a column or from one file for each source; and its running text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.adapters.files import local_path, shown
from bartizan.adapters.labelled_sets import LabelledSet, of_frame
from bartizan.adapters.tables import read_table
from bartizan.areas.poisoning.source_signs import UNNAMED, source_column
from bartizan.areas.poisoning.text_marks import MOST_WORDS
from bartizan.model.errors import InputError, one_line
from bartizan.model.findings import Job
from bartizan.model.system import Dataset

MOST_FILES = 10_000
"""Most files of a folder that are read as one source each."""


MOST_TEXTS = 20_000
"""Most rows that are screened where they hold texts; fewer where these are long."""

_WORDS_A_TEXT = 3
_WORDS_READ = 1_000_000
_TABLES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".parquet")


@dataclass(frozen=True)
class Deliveries:
    """The rows without the column that names who delivered them, and that name for each (`sources`, n); `told_by` says where it stood."""

    data: LabelledSet
    sources: npt.NDArray[np.str_]
    told_by: str


def read_deliveries(job: Job, node: Dataset, column: str, most: int) -> Deliveries:
    """The declared table `node`, or folder of tables, at most `most` rows of it drawn by the job's seed.

    column: which names the source; empty takes one whose name says so
    Raises `InputError` where nothing says who delivered the rows.
    """
    if node.uri is None:
        raise InputError(f"data set '{node.id}' has no uri", place=node.at, cure="declare where it lies")
    path = local_path(job.root, node.uri, node.at)
    name = shown(job.root, path)
    frame, told_by = _frame(job.root, path, name, column)
    values = frame[told_by]
    named = values.map(lambda value: one_line(str(value), 60)).where(values.notna(), UNNAMED).to_numpy(dtype=str)
    data = of_frame(frame.drop(columns=told_by), name, node.label)
    kept = data.sample(most, job.seed)
    return Deliveries(kept, named if kept.numbers is None else named[kept.numbers], told_by)


def _frame(root: str | Path, path: Path, name: str, column: str) -> tuple[pd.DataFrame, str]:
    if path.is_dir() and not column:
        files = [file for file in sorted(path.iterdir()) if file.is_file() and file.name.lower().endswith(_TABLES)]
        if not 2 <= len(files) <= MOST_FILES:
            raise InputError(f"holds {len(files)} tables", place=name, cure="declare a folder with one table for each source")
        parts = [read_table(root, file) for file in files]
        sources = np.repeat([file.name for file in files], [len(part) for part in parts])
        return pd.concat([*parts], ignore_index=True).assign(**{"(file)": sources}), "(file)"
    frame = read_table(root, path)
    told_by = source_column([str(one) for one in frame.columns], column)
    if told_by is None:
        raise InputError(
            "has no column that says who delivered a row", place=name, cure="name it if there is one: poisoning.sources source: COLUMN"
        )
    return frame, told_by


def without_sources(data: LabelledSet) -> LabelledSet:
    """The set without a column that names who delivered a row: that says nothing of what the row is."""
    column = None if data.frame is None else source_column([str(name) for name in data.frame.columns])
    if data.frame is None or column is None:
        return data
    return replace(data, frame=data.frame.drop(columns=column))


def texts_of(frame: pd.DataFrame | None) -> list[str] | None:
    """What stands in the columns of running text, joined for each row; None where there is no such column.

    Running text has `_WORDS_A_TEXT` words or more in the middle row, and differs in most rows.
    """
    if frame is None:
        return None
    found = []
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
            continue
        text = column.map(str).where(column.notna(), "")
        if float(text.head(2000).str.count(" ").median()) >= _WORDS_A_TEXT - 1 and text.nunique() >= 0.5 * len(text):
            found.append(text)
    return ["\n".join(parts) for parts in zip(*found, strict=True)] if found else None


def readable_texts(texts: list[str]) -> int:
    """How many rows of such texts can be screened in the time of a check: `MOST_TEXTS`, fewer where they are long."""
    told = texts[:: max(1, len(texts) // 1000)]
    words = sum(min(text.count(" ") + 1, MOST_WORDS) for text in told) / max(len(told), 1)
    return max(1, min(MOST_TEXTS, int(_WORDS_READ / max(words, 1.0))))
