"""The section about data sets: for each what the checks of it said, and the pictures that go with it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bartizan.model.findings import Finding, Verdict
from bartizan.model.system import Dataset
from bartizan.renderers.pictures import Album, Picture

AREAS = {
    "quality": "Columns, labels, duplicates, outliers",
    "pii": "Personal data and secrets",
    "poisoning": "Poison",
    "fairness": "Groups and their labels",
    "access": "Access and retention",
    "provenance": "Origin",
}
"""What is asked of a data set, by the area of the checks, in the order of the sections."""


class DataAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer about a data set, and the anchor of the finding."""

    verdict: Verdict
    title: str
    anchor: str


class DataGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What one area said of a data set; without answers nothing looked at it."""

    title: str
    answers: tuple[DataAnswer, ...]
    pictures: tuple[Picture, ...]


class DataRow(msgspec.Struct, frozen=True, kw_only=True):
    """A data set of the system."""

    anchor: str
    dataset: Dataset
    groups: tuple[DataGroup, ...]


def data_rows(findings: Sequence[tuple[str, Finding]], anchors: Sequence[tuple[str, Dataset]], album: Album) -> tuple[DataRow, ...]:
    """A row for each data set of `anchors`, with the findings about it, which come with their own anchors in `findings`."""
    rows = []
    for anchor, dataset in anchors:
        about = [(place, finding) for place, finding in findings if finding.asset == dataset.id]
        groups = tuple(_group(area, title, about, album) for area, title in AREAS.items())
        rows.append(DataRow(anchor=anchor, dataset=dataset, groups=groups))
    return tuple(rows)


def _group(area: str, title: str, about: Sequence[tuple[str, Finding]], album: Album) -> DataGroup:
    mine = [(place, finding) for place, finding in about if finding.check.partition(".")[0] == area]
    once = {(f.verdict, f.title): DataAnswer(verdict=f.verdict, title=f.title, anchor=place) for place, f in reversed(mine)}
    return DataGroup(title=title, answers=tuple(reversed(once.values())), pictures=album.take(f for _, f in mine))
