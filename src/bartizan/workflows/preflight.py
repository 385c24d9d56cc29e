"""What a manifest names and no file bears out, said before the first job: a column that is not there, a tolerance that no check has.

A job that meets such a mistake can only answer `unknown`, and an assessment could end well although nothing was attacked. Here it is an
error of the manifest, with its line and the nearest name. Files that are not there or cannot be read are left to the checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bartizan.adapters.files import local_path
from bartizan.adapters.table_header import columns_of
from bartizan.engine.parameters import keys_of, unused_tolerances
from bartizan.model.checks import Check
from bartizan.model.errors import InputError, UnknownName, nearest, one_line
from bartizan.model.inputs import Constraints
from bartizan.model.system import Asset, Dataset, Kind, System

CLOSE = 0.75
"""From how much likeness on an unanswered tolerance counts as a misspelt one; one that resembles nothing may be meant for a check that is
not installed here."""


def names_are_there(system: System, root: Path, checks: Mapping[str, Check]) -> tuple[str, ...]:
    """Tolerances that no installed check answers to, as notes for people.

    Raises `UnknownName` for one that looks misspelt, and for a label or a constrained column that the data does not have.
    """
    notes = _tolerances(system, checks)
    columns = {node.id: found for node in system.datasets if (found := _columns(node, root)) is not None}
    for node in system.datasets:
        if node.label is not None and node.id in columns and node.label not in columns[node.id]:
            raise UnknownName("column", node.label, columns[node.id], place=node.at, of=f"data set '{node.id}', declared as its label")
    for asset in system.assets:
        if asset.constraints is not None:
            _constrained(asset, asset.constraints, [columns.get(data) for data in _trained_on(asset, system)])
    return notes


def _tolerances(system: System, checks: Mapping[str, Check]) -> tuple[str, ...]:
    known = sorted({part for check in checks.values() for part in keys_of(check)})
    unused = unused_tolerances(system.appetite, checks.values())
    for key in unused:
        if nearest(key, known, CLOSE) is not None:
            raise UnknownName("check or area", key, known, place=system.appetite.at, of="tolerances")
    return tuple(f"no installed check answers to the tolerance '{one_line(key, 80)}'" for key in unused)


def _constrained(asset: Asset, told: Constraints, headers: list[tuple[str, ...] | None]) -> None:
    """Every constrained column stands in the data; where a header cannot be read, the checks say what is wrong."""
    known = [name for header in headers for name in header or ()]
    if not headers or None in headers:
        return
    for name in told.named():
        if name not in known:
            raise UnknownName("column", name, known, place=told.at or asset.at, of=f"the data of '{asset.id}', named in its constraints")


def _columns(node: Dataset, root: Path) -> tuple[str, ...] | None:
    if node.uri is None:
        return None
    try:
        return columns_of(local_path(root, node.uri, node.at))
    except InputError:
        return None


def _trained_on(asset: Asset, system: System) -> tuple[str, ...]:
    """The ids of the data that says which columns inputs of `asset` have: that of the model, or of the models that an endpoint serves."""
    return tuple(dict.fromkeys(_ids(_models(asset, system))))


def _models(asset: Asset, system: System) -> Iterator[Asset]:
    if asset.kind is Kind.MODEL:
        yield asset
    yield from (other for other in system.assets if other.id in (asset.serves or ()))


def _ids(models: Iterable[Asset]) -> Iterator[str]:
    for model in models:
        yield from model.trained_on or ()
