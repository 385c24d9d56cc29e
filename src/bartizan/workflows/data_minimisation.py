"""What people do to need less data: ask which columns of a table a model can do without, and write the table without them.

The rooms are joined here: personal data is found by content, the model is opened safely, the columns are judged. What reads tables is
loaded when it is used, so that a command line without the extra still starts.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.model.errors import InputError, MissingExtra, one_line

if TYPE_CHECKING:
    from bartizan.areas.access.column_needs import Minimised

LONGEST_CELL = 1 << 26
"""Longest cell of a csv file, in characters, that is copied."""


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a table: which column is the `label`, the skops file of the `model`, `test` data that it has not seen, columns that
    somebody says are `personal`, the `margin` of the score, the `seed` and the most `seconds`."""

    label: str
    model: Path | None = None
    test: Path | None = None
    personal: tuple[str, ...] = ()
    margin: float = 0.005
    seed: int = 0
    seconds: float = 600.0


def room(name: str) -> Any:
    """The module `bartizan.<name>` that needs scikit-learn and pandas. Raises `MissingExtra` where they are not installed."""
    try:
        importlib.import_module("sklearn")
        return importlib.import_module(f"bartizan.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra("sklearn", error.name) from None


def minimise(path: Path, asking: Asking, *, told: Callable[[str], None] | None = None) -> Minimised:
    """Judge the columns of the table at `path`. Personal are those that are named, those whose names say so and those that hold personal
    data. Raises `InputError` where it cannot be read or judged, `Refused` for a model that cannot be opened safely."""
    judging = room("areas.access.minimisation")
    tables = room("adapters.tables")
    frame = tables.read_table(path.parent, path)
    model = room("adapters.estimators").load_estimator(asking.model.parent, asking.model) if asking.model is not None else None
    test = tables.read_table(asking.test.parent, asking.test) if asking.test is not None else None
    if asking.label not in frame:
        cure = f"name the label; known: {', '.join(map(str, frame.columns[:10]))}"
        raise InputError(f"has no column '{one_line(asking.label, 60)}'", place=path.name, cure=cure)
    features = frame.drop(columns=asking.label)
    personal = [*asking.personal, *room("methods.groups").personal_names(features, None), *_holding(features, told)]
    made: Minimised = judging.minimise(
        frame, asking.label, model=model, test=test, personal=tuple(dict.fromkeys(personal)), margin=asking.margin, seed=asking.seed,
        watch=room("areas.access.retraining").Watch(asking.seconds, told),
    )  # fmt: skip
    return made


def _holding(features: Any, told: Callable[[str], None] | None) -> Iterator[str]:
    """Columns of text that hold personal data."""
    if told is not None:
        told("looking for personal data")
    text = {str(name): features[name].tolist() for name in features.columns if features[name].dtype.kind not in "fiubmM"}
    found = importlib.import_module("bartizan.areas.pii.columns").scan_table(text)
    yield from (name for name, column in found.items() if column.personal)


def picture(found: Minimised) -> bytes:
    """The answer as SVG."""
    drawn: bytes = room("areas.access.minimisation_picture").picture(found)
    return drawn


def columns_of(found: Minimised) -> list[dict[str, Any]]:
    """The columns as plain data."""
    return [room("areas.access.check_minimisation").row(column) for column in found.columns]


def write_without(path: Path, output: Path, gone: Sequence[str]) -> int:
    """Write the table at `path` to `output` without the columns `gone`, every other cell as it is; returns the rows written.

    csv, tsv, jsonl, ndjson and parquet, each as what it was. Raises `InputError` for others and where `output` has another ending.
    """
    kind = path.suffix.lower()
    if output.suffix.lower() != kind or kind not in (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"):
        raise InputError(f"a {kind or 'file'} cannot be written as {output.suffix or 'that'}", place=output.name, cure="keep its ending")
    if output.exists() and output.samefile(path):
        raise InputError("would replace the data itself", place=output.name, cure="write the smaller data set beside it")
    with _whole(output) as part:
        if kind == ".parquet":
            return _parquet(path, part, set(gone))
        return (
            _lines(path, part, set(gone))
            if kind in (".jsonl", ".ndjson")
            else _cells(path, part, set(gone), "\t" if kind == ".tsv" else ",")
        )


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A file beside `output` that takes its name when all is written."""
    part = output.with_name(f".{output.name}.part")
    try:
        yield part
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _cells(path: Path, part: Path, gone: set[str], separator: str) -> int:
    rows = -1
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        with (
            path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as source,
            part.open("w", newline="", encoding="utf-8", errors="surrogateescape") as target,
        ):
            writer = csv.writer(target, delimiter=separator, lineterminator="\n")
            kept: list[int] = []
            for rows, cells in enumerate(csv.reader(source, delimiter=separator)):
                if rows == 0:
                    kept = [place for place, name in enumerate(cells) if name.strip() not in gone]
                writer.writerow([cells[place] if place < len(cells) else "" for place in kept] if cells else [])
    except csv.Error as error:
        raise InputError(f"cannot be copied as a table: {error}", place=path.name) from None
    finally:
        csv.field_size_limit(before)
    return max(rows, 0)


def _lines(path: Path, part: Path, gone: set[str]) -> int:
    rows = 0
    with path.open(encoding="utf-8", errors="replace") as source, part.open("w", encoding="utf-8") as target:
        for line in source:
            if not line.strip():
                continue
            try:
                held = json.loads(line)
            except (ValueError, RecursionError):
                raise InputError("is no JSON", place=f"{path.name}:{rows + 1}") from None
            kept = {name: value for name, value in held.items() if name.strip() not in gone} if isinstance(held, dict) else held
            target.write(json.dumps(kept, ensure_ascii=False) + "\n")
            rows += 1
    return rows


def _parquet(path: Path, part: Path, gone: set[str]) -> int:
    parquet = importlib.import_module("pyarrow.parquet")
    arrow = importlib.import_module("pyarrow")
    try:
        with parquet.ParquetFile(path) as source:
            names = [name for name in source.schema_arrow.names if name.strip() not in gone]
            schema = arrow.schema([source.schema_arrow.field(name) for name in names])
            with parquet.ParquetWriter(part, schema) as target:
                for batch in source.iter_batches(columns=names):
                    target.write_batch(batch.cast(schema))
            return int(source.metadata.num_rows)
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise InputError(f"cannot be copied as parquet: {error}", place=path.name) from None
