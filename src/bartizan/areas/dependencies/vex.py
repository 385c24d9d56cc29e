"""Statements on whether a weakness touches a product (VEX): read from OpenVEX and CycloneDX, written as OpenVEX 0.2.0.

A statement excuses a match only where it names the weakness by one of its ids and the package, in the version at hand if it names one.
`not_affected` without a justification or an impact statement excuses nothing: the specification asks for one, and so do we.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bartizan.adapters.files import read_bytes
from bartizan.areas.dependencies.inventory import from_purl
from bartizan.model.errors import InputError, Place, one_line

if TYPE_CHECKING:
    from bartizan.areas.dependencies.advisories.matching import Match

MAX_BYTES = 64 * 1024 * 1024
CONTEXT = "https://openvex.dev/ns/v0.2.0"

_STATES = {"not_affected": "not_affected", "false_positive": "not_affected", "fixed": "fixed", "resolved": "fixed"}
"""What excuses, in the words of OpenVEX and of CycloneDX (`analysis.state`)."""


@dataclass(frozen=True)
class Statement:
    """One excuse: the weakness's ids, the packages (name, version or None for all), `not_affected` or `fixed`, and the reason given."""

    ids: frozenset[str]
    packages: frozenset[tuple[str, str | None]]
    state: str
    reason: str
    place: Place

    def excuses(self, match: Match) -> bool:
        """Whether this speaks of `match`."""
        package = match.package
        return bool(self.ids & set(match.ids)) and bool({(package.name, None), (package.name, package.version)} & self.packages)


def read(path: Path) -> list[Statement]:
    """The excuses in the OpenVEX or CycloneDX document at `path`.

    Raises `InputError` where it is neither, or one of them lacks its reason.
    """
    try:
        document = json.loads(read_bytes(path.parent, path, MAX_BYTES))
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON: {one_line(str(error), 100)}", place=path.name) from None
    if isinstance(document, dict) and str(document.get("@context", "")).startswith("https://openvex.dev/ns"):
        found = [_openvex(entry, path.name) for entry in _tables(document.get("statements"))]
    elif isinstance(document, dict) and document.get("bomFormat") == "CycloneDX":
        components = {str(c.get("bom-ref")): c for c in _tables(document.get("components"))}
        found = [_cyclonedx(entry, components, path.name) for entry in _tables(document.get("vulnerabilities"))]
    else:
        raise InputError("is neither OpenVEX nor CycloneDX", place=path.name, cure="pass a VEX document in JSON")
    return [statement for statement in found if statement is not None]


def _tables(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _openvex(entry: dict[str, Any], name: str) -> Statement | None:
    state = _STATES.get(str(entry.get("status")))
    if state is None:
        return None
    about = entry.get("vulnerability")
    ids = {str(about.get("name") or about.get("@id")), *map(str, about.get("aliases") or ())} if isinstance(about, dict) else {str(about)}
    purls = []
    for product in _tables(entry.get("products")):
        inner = _tables(product.get("subcomponents"))
        purls += [_identity(p) for p in (inner or [product])]
    reason = _reason(entry.get("justification"), entry.get("impact_statement"))
    return _statement(ids, purls, state, reason, Place(name))


def _identity(product: dict[str, Any]) -> str:
    identifiers = product.get("identifiers")
    purl = identifiers.get("purl") if isinstance(identifiers, dict) else None
    return str(purl or product.get("@id") or "")


def _cyclonedx(entry: dict[str, Any], components: dict[str, dict[str, Any]], name: str) -> Statement | None:
    analysis = entry.get("analysis")
    state = _STATES.get(str(analysis.get("state"))) if isinstance(analysis, dict) else None
    if state is None or not isinstance(analysis, dict):
        return None
    ids = {str(entry.get("id")), *(str(r.get("id")) for r in _tables(entry.get("references")))}
    refs = [str(target.get("ref")) for target in _tables(entry.get("affects"))]
    purls = [ref if ref.startswith("pkg:") else str(components.get(ref, {}).get("purl", "")) for ref in refs]
    return _statement(ids, purls, state, _reason(analysis.get("justification"), analysis.get("detail")), Place(name))


def _reason(*parts: object) -> str:
    return one_line(": ".join(str(part) for part in parts if part), 300)


def _statement(ids: Iterable[str], purls: Iterable[str], state: str, reason: str, place: Place) -> Statement:
    packages = [package for purl in purls if (package := from_purl(purl, place)) is not None]
    shown = ", ".join(sorted(ids))
    if not packages:
        raise InputError(
            f"the statement on {one_line(shown, 80)} names no package", place=place, cure="name products by package URL (pkg:...)"
        )
    if state == "not_affected" and not reason:
        cure = "add a justification or an impact statement"
        raise InputError(f"the statement on {one_line(shown, 80)} says not affected, but not why", place=place, cure=cure)
    return Statement(frozenset(ids), frozenset((p.name, p.version) for p in packages), state, reason, place)


def excused(matches: Sequence[Match], statements: Sequence[Statement]) -> tuple[list[Match], list[tuple[Match, Statement]]]:
    """The matches that remain, and those that a statement excuses, with it."""
    kept, gone = [], []
    for match in matches:
        statement = next((s for s in statements if s.excuses(match)), None)
        if statement is None:
            kept.append(match)
        else:
            gone.append((match, statement))
    return kept, gone


def document(matches: Sequence[Match], imported: dict[str, bool | None], author: str, now: datetime | None = None) -> str:
    """An OpenVEX document to start from: every match `under_investigation`, with what is known of its imports as a note.

    The answer whether a weakness touches the product stays with people; nothing is excused by machine.
    """
    moment = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    statements = []
    for match in matches:
        known = imported.get(match.package.name)
        note = None if known is None else ("the code imports the package" if known else "no import of the package was found in the code")
        statements.append(
            {
                "vulnerability": {"name": match.ids[0], "aliases": list(match.ids[1:]), "description": match.title},
                "products": [{"@id": match.package.purl, "identifiers": {"purl": match.package.purl}}],
                "status": "under_investigation",
                "timestamp": moment,
            }
            | ({"status_notes": note} if note else {})
        )
    body = json.dumps(statements, sort_keys=True).encode()
    head = {
        "@context": CONTEXT,
        "@id": f"urn:sha256:{hashlib.sha256(body).hexdigest()}",
        "author": author,
        "timestamp": moment,
        "version": 1,
    }
    return json.dumps(head | {"statements": statements}, indent=2, ensure_ascii=False) + "\n"
