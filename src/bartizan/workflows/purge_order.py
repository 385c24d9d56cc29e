"""What a purge is asked for and what it answers: rows by a wish or by their proofs, where the new data goes, what is written beside it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bartizan.model.errors import InputError, MissingExtra
from bartizan.workflows.dataset_passport import passport_room

if TYPE_CHECKING:
    from bartizan.areas.access.purging import Copies, Seen, Wish
    from bartizan.areas.provenance.passport.deletion import Deletion
    from bartizan.areas.provenance.signing.keys import PublicKey

PROOFS = 1000
"""Proofs that are written unless somebody asks for more."""

MOST_PROOFS = 1_000_000


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: the rows by `wish`, or by the proofs in `rows_from` that they were in; where the new data goes (`output`, None:
    in place); `keep` are files of a folder that stay as they are; `proofs` is the most rows that get a proof of their own; `also` is
    where else copies are looked for; `opening` is where the salt and the rule are written; `state` is a `.bartizan` folder to note it in.
    """

    wish: Wish | None = None
    rows_from: tuple[Path, ...] = ()
    trusted: PublicKey | None = None
    output: Path | None = None
    passport: Path | None = None
    keep: tuple[str, ...] = ()
    proofs: int = PROOFS
    also: tuple[Path, ...] = ()
    opening: Path | None = None
    state: Path | None = None
    dry: bool = False


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `files` are (rows that went, rows that stayed) by file, `written` the new files by what they are, `proofs` how many
    rows are proved to be gone, `unproved` how many stand in another table of the data set under other columns. `unjudged` are files that
    the order says nothing of, `retyped` jsonl files whose columns have other types now that some values are gone; `left_out` is what no
    passport covers and was not copied; `linked` are files that lost rows in place and whose old content still has another name, `naming`
    those in whose metadata a subject is named. Without `deletion` no row met the order, or it was dry, and nothing was written."""

    files: dict[str, tuple[int, int]]
    seen: Seen
    deletion: Deletion | None = None
    written: dict[str, Path] = {}
    proofs: int = 0
    unproved: int = 0
    unjudged: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    naming: tuple[str, ...] = ()
    copies: Copies | None = None

    @property
    def removed(self) -> int:
        return sum(gone for gone, _ in self.files.values())


def access_room(name: str) -> Any:
    """A module of the room `access` that reads tables. Raises `MissingExtra` without the extra `data`."""
    try:
        return importlib.import_module(f"bartizan.areas.access.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra("data", error.name) from None


def leaves_of(order: Order) -> frozenset[bytes]:
    """The hashes of the rows whose proofs were given. Raises `EvidenceError` where one does not hold."""
    if not order.rows_from:
        return frozenset()
    proving = passport_room("proving")
    if order.trusted is None:
        raise InputError("proofs are believed by a key alone", cure="give the public key that signed them: --trust KEY.pub")
    found = set()
    for path in order.rows_from:
        with path.open("rb") as file:
            while line := file.readline(proving.MAX_BYTES + 1):
                proof = proving.decode(line)
                if not isinstance(proof, proving.Inclusion):
                    raise InputError("proves that a row is gone, not that it is in", place=str(path))
                found.add(proving.check(proof, order.trusted).leaf)
    return frozenset(found)


def rule_of(order: Order, leaves: frozenset[bytes]) -> dict[str, Any]:
    """What was asked for, as data that can be written in one way alone."""
    if order.wish is None:
        return {"rows": sorted(leaf.hex() for leaf in leaves)}
    found: dict[str, Any] = msgspec.to_builtins(order.wish)
    told: dict[str, Any] = _texts(found)
    return told


def _texts(value: Any) -> Any:
    """Whole numbers as text, so that there is one way to write each."""
    if isinstance(value, dict):
        return {name: _texts(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_texts(one) for one in value]
    return str(value) if isinstance(value, int) else value


def beside(target: Path) -> dict[str, Path]:
    """Where certificate, proofs and the passport of what was there before are written: names that no earlier purge took."""
    for number in range(1, 10_000):
        tail = f".{number}" if number > 1 else ""
        names = {"certificate": "deletion.json", "proofs": "gone.jsonl", "before": "before.passport.jsonl"}
        found = {what: target.with_name(f"{target.name}{tail}.{name}") for what, name in names.items()}
        if not any(one.exists() for one in found.values()):
            return found
    raise InputError("has 10,000 certificates beside it", place=str(target), cure="move them elsewhere")
