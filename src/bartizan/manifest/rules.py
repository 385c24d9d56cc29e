"""What a manifest must keep beyond its shape: ids, references, traits that fit their kind, numbers in range, addresses.

Each rule takes the converted manifest and the document it came from, and raises the first `InputError` it finds, with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from bartizan.documents import Located
from bartizan.manifest.addresses import check_uri, check_url
from bartizan.manifest.input_rules import constraints, inference
from bartizan.manifest.sections import NODES, VERSION
from bartizan.model.errors import InputError, UnknownName, one_line
from bartizan.model.system import SYSTEM_ID, Kind
from bartizan.model.traits import TRAIT_KINDS

ID_PATTERN = "[a-z0-9][a-z0-9._-]*"
DIGEST_PATTERN = "sha256:[0-9a-f]{64}"
_ID = re.compile(ID_PATTERN)
_DIGEST = re.compile(DIGEST_PATTERN)
_SECTION_OF_KIND = {Kind.SYSTEM: "system", Kind.ACTOR: "actors", Kind.DATASET: "datasets"}

RATES = frozenset(
    {
        "backdoor",
        "evasion",
        "extraction",
        "fairness",
        "injection",
        "inversion",
        "jailbreak",
        "leakage",
        "membership",
        "poisoning",
        "privacy",
    }
)
"""Areas whose tolerance is a rate, in [0, 1]."""
_RATE_NAME = re.compile(r"(?:tpr|fpr)_at_.*|.*_(?:rate|fraction|share)|accuracy|recall|precision|auc")

Path: TypeAlias = tuple[str | int, ...]


def version(manifest: Any, located: Located) -> None:
    """`bartizan:` is the one version that we read."""
    if manifest.bartizan != VERSION:
        what = f"manifest version {manifest.bartizan} is not known"
        raise InputError(what, place=located.place(("bartizan",)), cure=f"this release reads 'bartizan: {VERSION}'")


def ids(manifest: Any, located: Located) -> None:
    """Ids are well formed, unique over all sections, and none is the system's own."""
    first: dict[str, Path] = {}
    for section in NODES:
        for index, node in enumerate(getattr(manifest, section)):
            path = (section, index, "id")
            if not _ID.fullmatch(node.id):
                cure = "use lower-case letters, digits, '.', '_' and '-', starting with a letter or digit"
                raise InputError(f"'{one_line(node.id, 80)}' is not an id", place=located.place(path), cure=cure)
            if node.id == SYSTEM_ID:
                raise InputError(f"the id '{SYSTEM_ID}' stands for the whole system", place=located.place(path), cure="choose another")
            if node.id in first:
                where = located.place(first[node.id]).line
                raise InputError(
                    f"the id '{one_line(node.id, 80)}' is taken on line {where}", place=located.place(path), cure="choose another"
                )
            first[node.id] = path


def references(manifest: Any, located: Located) -> None:
    """Every id that one node says of another exists, in the section where it belongs."""
    groups = {section: [node.id for node in getattr(manifest, section)] for section in NODES}
    zones, datasets, assets = set(groups["zones"]), set(groups["datasets"]), set(groups["assets"])
    things = datasets | assets
    nodes = things | set(groups["actors"])
    checked: dict[str, tuple[tuple[str, set[str], str], ...]] = {
        "actors": (("zone", zones, "zone"),),
        "datasets": (("zone", zones, "zone"), ("derived_from", things, "dataset or asset")),
        "assets": (
            ("zone", zones, "zone"),
            ("trained_on", datasets, "dataset"),
            ("tested_on", datasets, "dataset"),
            ("serves", assets, "asset"),
            ("uses", things, "asset or dataset"),
            ("tools", assets, "asset"),
            ("retrieves_from", things, "store or dataset"),
            ("delegates_to", assets, "asset"),
            ("produces", things, "asset or dataset"),
            ("runs", assets, "asset"),
        ),
        "flows": (("source", nodes, "node"), ("target", nodes, "node")),
        "controls": (("on", nodes | {SYSTEM_ID}, "node"),),
    }
    for section, fields in checked.items():
        for index, node in enumerate(getattr(manifest, section)):
            for field, known, what in fields:
                value = getattr(node, field)
                if value is not None:
                    _resolve(value, known, what, (section, index, _KEYS.get(field, field)), located)


_KEYS = {"source": "from", "target": "to"}


def _resolve(value: str | tuple[str, ...], known: set[str], what: str, path: Path, located: Located) -> None:
    if isinstance(value, str):
        if value not in known:
            raise UnknownName(what, value, sorted(known), place=located.place(path), of=f"'{path[-1]}'")
        return
    for index, name in enumerate(value):
        if name not in known:
            raise UnknownName(what, name, sorted(known), place=located.place((*path, index)), of=f"'{path[-1]}'")
    if len(set(value)) < len(value):
        raise InputError(f"'{path[-1]}' names the same id twice", place=located.place(path), cure="keep one")


def traits(manifest: Any, located: Located) -> None:
    """A trait is declared only on a kind of asset that it fits."""
    fields = (
        [(name, TRAIT_KINDS[name]) for name in msgspec.structs.asdict(manifest.assets[0]) if name in TRAIT_KINDS] if manifest.assets else []
    )
    for index, asset in enumerate(manifest.assets):
        kind = asset.kind
        if kind in _SECTION_OF_KIND:
            section = _SECTION_OF_KIND[kind]
            place = located.place(("assets", index, "kind"))
            raise InputError(
                f"asset '{one_line(asset.id, 80)}' cannot be of kind '{kind}'", place=place, cure=f"declare it under '{section}:'"
            )
        for name, kinds in fields:
            if kind not in kinds and getattr(asset, name) is not None:
                cure = "it fits " + ", ".join(sorted(kinds))
                what = f"'{name}' does not fit the kind {kind} of '{one_line(asset.id, 80)}'"
                raise InputError(what, place=located.place(("assets", index, name)), cure=cure)


def addresses(manifest: Any, located: Located) -> None:
    """Paths stay inside the manifest's folder, addresses have a known scheme and no password, digests are SHA-256."""
    for section in ("datasets", "assets"):
        for index, node in enumerate(getattr(manifest, section)):
            if node.uri is not None:
                check_uri(node.uri, "uri", located.place((section, index, "uri")))
            if node.digest is not None and not _DIGEST.fullmatch(node.digest):
                place = located.place((section, index, "digest"))
                raise InputError("'digest' must be sha256: and 64 hex digits in lower case", place=place, cure="see 'sha256sum FILE'")
    for index, asset in enumerate(manifest.assets):
        if asset.url is not None:
            check_url(asset.url, "url", located.place(("assets", index, "url")))
        if asset.code is not None:
            check_uri(asset.code, "code", located.place(("assets", index, "code")))
    for index, catalog in enumerate(manifest.catalogs):
        check_uri(catalog, "catalogs", located.place(("catalogs", index)), ("file",))


def numbers(manifest: Any, located: Located) -> None:
    """Counts and durations are not negative; the confidence and the tolerances are in range."""
    for name, value, path in _counts(manifest):
        if value is not None and value < 0:
            raise InputError(f"'{name}' must be at least 0, not {value}", place=located.place((*path, name)))
    appetite = manifest.appetite
    if not 0.5 < appetite.confidence < 1:
        place = located.place(("appetite", "confidence"))
        raise InputError(f"'confidence' must be above 0.5 and below 1, not {appetite.confidence}", place=place, cure="0.95 is usual")
    for area, tolerance in appetite.tolerances.items():
        path = ("appetite", "tolerances", area)
        if isinstance(tolerance, dict):
            for name, limit in tolerance.items():
                if isinstance(limit, str):
                    continue  # a parameter that is text; the check that has it judges it
                _tolerance(name, limit, area in RATES or bool(_RATE_NAME.fullmatch(name)), (*path, name), located)
        else:
            _tolerance(area, tolerance, area.partition(".")[0] in RATES, path, located)


def _tolerance(name: str, limit: float, rate: bool, path: Path, located: Located) -> None:
    if limit < 0 or (rate and limit > 1):
        scope = "between 0 and 1" if rate else "at least 0"
        cure = "5 % is written 0.05" if rate and limit > 1 else None
        raise InputError(f"the tolerance '{one_line(name, 80)}' must be {scope}, not {limit}", place=located.place(path), cure=cure)


def _counts(manifest: Any) -> Iterator[tuple[str, float | None, Path]]:
    for index, dataset in enumerate(manifest.datasets):
        yield "retention", dataset.retention, ("datasets", index)
    for section, field in (("assets", "quota"), ("actors", "budget")):
        for index, node in enumerate(getattr(manifest, section)):
            limits = getattr(node, field)
            if limits is not None:
                for name, value in msgspec.structs.asdict(limits).items():
                    yield name, value, (section, index, field)


def texts(manifest: Any, located: Located) -> None:
    """Names that everything else refers to are not blank."""
    if not manifest.system.name.strip():
        raise InputError("the system has an empty 'name'", place=located.place(("system", "name")), cure="give it one")
    for index, claim in enumerate(manifest.controls):
        if not claim.control.strip():
            raise InputError(
                "the claim names no control", place=located.place(("controls", index, "control")), cure="see 'bartizan catalog'"
            )


RULES: tuple[Callable[[Any, Located], None], ...] = (version, texts, ids, references, traits, addresses, numbers, constraints, inference)
"""All rules, in the order in which their errors help most."""
