"""What a look at a data set found, as one HTML page that needs nothing else: its columns, each answer by area, and the pictures.

The page has the style, the script and the content-security policy of the report. It names columns, rows by number and counts, and shows
no value of the data but the pictures of a set of pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Protocol

import msgspec

from bartizan.model.findings import Finding, Verdict
from bartizan.renderers.html_data import AREAS
from bartizan.renderers.html_page import page
from bartizan.renderers.html_rows import Anchors, MeasureRow
from bartizan.renderers.pictures import Album, Picture
from bartizan.renderers.svg_bars import measure_bar
from bartizan.renderers.wording import plural

SUFFIX = ".html"
MEDIA_TYPE = "text/html"

COLUMNS = 200
"""Most columns of a table that the page lists."""

TABLES = 5
"""Most kinds of tables that it lists."""


class Line(Protocol):
    """One answer of a scan."""

    @property
    def area(self) -> str: ...
    @property
    def check(self) -> str: ...
    @property
    def verdict(self) -> Verdict | None: ...
    @property
    def title(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def remedy(self) -> str: ...
    @property
    def finding(self) -> Finding | None: ...


class Scan(Protocol):
    """A look at a data set, as `workflows.dataset_passport.scan` gives it."""

    @property
    def path(self) -> str: ...
    @property
    def passport(self) -> Any: ...
    @property
    def details(self) -> Any: ...
    @property
    def lines(self) -> Sequence[Line]: ...
    @property
    def schemas(self) -> Mapping[str, str]: ...


class AnswerRow(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with what it measured; `verdict` is unknown where nothing covered it."""

    anchor: str
    verdict: Verdict
    check: str
    title: str
    why: str
    remedy: str
    measures: tuple[MeasureRow, ...]
    places: tuple[str, ...]


class TableRow(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of table: the name of its first file, how many files are of it, its columns, and how many more it has."""

    name: str
    files: int
    columns: tuple[dict[str, Any], ...]
    more: int


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """An area: its answers, what failed first, and its pictures."""

    anchor: str
    title: str
    answers: tuple[AnswerRow, ...]
    pictures: tuple[Picture, ...]


def render(scan: Scan, *, version: str = "") -> str:
    """The whole page, ending in a newline. The same scan gives the same bytes."""
    anchors, album = Anchors(), Album({})
    sections = tuple(_section(area, title, scan.lines, anchors, album) for area, title in _areas(scan.lines))
    counts = Counter(row.verdict for section in sections for row in section.answers)
    return page(
        "data_scan.html.j2",
        name=PurePath(scan.path).name or scan.path,
        version=version,
        passport=scan.passport,
        tables=_tables(scan.details),
        schemas=list(scan.schemas.items())[:TABLES],
        headline=_headline(counts),
        counts=[(verdict, counts[verdict]) for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.UNKNOWN, Verdict.PASS)],
        sections=sections,
        remedies=[row for section in sections for row in section.answers if row.remedy and row.verdict is not Verdict.PASS],
    )


def _areas(lines: Sequence[Line]) -> list[tuple[str, str]]:
    """The areas that answered, those we have a name for first."""
    present = {line.area for line in lines}
    known = [(area, title) for area, title in AREAS.items() if area in present]
    return known + [(area, area.capitalize()) for area in sorted(present - set(AREAS))]


def _section(area: str, title: str, lines: Sequence[Line], anchors: Anchors, album: Album) -> Section:
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.UNKNOWN, Verdict.PASS]
    mine = sorted((line for line in lines if line.area == area), key=lambda line: order.index(line.verdict or Verdict.UNKNOWN))
    return Section(
        anchor=anchors.take("area", area),
        title=title,
        answers=tuple(_answer(line, anchors) for line in mine),
        pictures=album.take(line.finding for line in mine if line.finding is not None),
    )


def _answer(line: Line, anchors: Anchors) -> AnswerRow:
    finding = line.finding
    return AnswerRow(
        anchor=anchors.take("answer", line.check or line.area),
        verdict=line.verdict or Verdict.UNKNOWN,
        check=line.check or line.area,
        title=line.title,
        why=line.why,
        remedy=line.remedy,
        measures=tuple(MeasureRow(measure=m, picture=measure_bar(m)) for m in finding.measures) if finding is not None else (),
        places=tuple(str(place) for place in finding.places[:10]) if finding is not None else (),
    )


def _tables(details: Any) -> list[TableRow]:
    """The columns of each kind of table: files with the same columns and types are one kind, shown by its first file."""
    kinds: dict[str, list[Any]] = {}
    for file in details.files if details is not None else ():
        if file.columns:
            kinds.setdefault(file.schema, []).append(file)
    return [
        TableRow(
            name=PurePath(files[0].name).name if len(kinds) > 1 or len(files) > 1 else "",
            files=len(files),
            columns=tuple(_column(c, files[0].rows) for c in files[0].columns[:COLUMNS]),
            more=max(0, len(files[0].columns) - COLUMNS),
        )
        for files in list(kinds.values())[:TABLES]
    ]


def _column(column: Any, rows: int) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "empty": column.nulls / rows if rows else 0.0,
        "mean": column.mean,
        "deviation": column.deviation,
    }


def _headline(counts: Counter[Verdict]) -> str:
    failed, open_ones = counts[Verdict.FAIL], counts[Verdict.INCONCLUSIVE] + counts[Verdict.UNKNOWN]
    told = f"{plural(failed, 'check')} failed" if failed else "Nothing failed"
    return f"{told}; {plural(open_ones, 'answer')} not settled" if open_ones else told
