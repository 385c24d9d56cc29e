"""The passport as an in-toto statement of a few kilobytes, the details beside it, and the chain of hand-overs.

NAME.passport.jsonl          line 1: the statement in a Sigstore bundle; each further line: one hand-over in a bundle of its own
NAME.passport.details.json   files, columns and blocks; the statement holds its SHA-256, so nothing in it can be changed

The statement holds roots of Merkle trees, never a list: its size does not grow with the data.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from bartizan.areas.provenance.passport.trees import leaf_hash, root
from bartizan.areas.provenance.signing import bundle as bundles
from bartizan.areas.provenance.signing.keys import PrivateKey, PublicKey
from bartizan.areas.provenance.signing.names import fault
from bartizan.areas.provenance.signing.statement import TYPE, strict_json
from bartizan.evidence.canonical import canonical
from bartizan.evidence.dsse import IN_TOTO, pae
from bartizan.evidence.files import open_regular, write_atomically
from bartizan.model.errors import EvidenceError, InputError, one_line

PREDICATE = "urn:bartizan:data-passport/v1"
HAND_OVER = "urn:bartizan:data-hand-over/v1"
MAX_DETAILS = 2 * 1024**3
MAX_LINE = 64 * 1024

Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
T = TypeVar("T")


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column: name, canonical type, BLAKE3 digest of its values in their order, nulls, and for numbers mean and standard deviation.

    The least and the greatest value are left out on purpose: they may be somebody's.
    """

    name: str
    type: str
    digest: Hex
    nulls: Count
    mean: float | None = None
    deviation: float | None = None


@lru_cache(maxsize=64)
def _schema(columns: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(canonical([list(column) for column in columns])).hexdigest()


class FileRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file: its bytes (size, SHA-256, root of the chunk tree `tree`) and its rows (root over them;
    `blocks` are the roots of each 4,096)."""

    name: str
    size: Count
    sha256: Hex
    tree: Hex
    format: str
    rows: Count
    root: Hex
    columns: tuple[Profile, ...] = ()
    blocks: tuple[str, ...] = ()
    types: dict[str, str] = {}

    @property
    def schema(self) -> str:
        """SHA-256 over the names and canonical types of the columns in their order."""
        return _schema(tuple((c.name, c.type) for c in self.columns))

    def bytes_leaf(self) -> bytes:
        """The leaf of the tree over files."""
        return leaf_hash(canonical({"name": self.name, "size": str(self.size), "sha256": self.sha256, "tree": self.tree}))

    def content(self, logical: str) -> bytes:
        """What the leaf of the tree over contents is the hash of: the same for every encoding of the same rows."""
        return canonical({"name": logical, "schema": self.schema, "rows": str(self.rows), "root": self.root})


class Parent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the data was made from: the name, the SHA-256 of its passport's statement, the root of its content, and the SHA-256 of what
    turned it into this data (a program), where that is known."""

    name: str
    passport: Hex
    content: Hex
    transformation: Hex | None = None
    by: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a check said of the data when it was recorded; without a verdict it was not covered."""

    area: str
    check: str
    verdict: str | None
    title: str


class Details(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the statement's roots stand for."""

    version: int = 1
    files: tuple[FileRecord, ...] = ()
    parents: tuple[Parent, ...] = ()
    ignored: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()

    def encode(self) -> bytes:
        return msgspec.json.encode(self)


class Files(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many files of how many bytes, and the root over them."""

    count: Count
    size: Count
    root: Hex
    tree: str


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows: how many, the root over the contents of the files, the root over the rows as a set."""

    rows: Count
    root: Hex
    set: Hex
    columns: Count
    schema: Hex


class Roots(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A number of things and the root over them."""

    count: Count
    root: Hex


class Passport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed."""

    name: str
    recorded: str
    tool: str
    files: Files
    content: Content
    lineage: Roots
    details: Hex
    answers: Roots | None = None
    version: int = 1

    def encode(self) -> bytes:
        """The in-toto statement as RFC 8785 JSON."""
        subject = {"name": self.name, "digest": {"sha256": self.files.root, "bartizan-content-v1": self.content.root}}
        return canonical(
            {"_type": TYPE, "subject": [subject], "predicateType": PREDICATE, "predicate": as_strings(msgspec.to_builtins(self))}
        )

    @property
    def id(self) -> str:
        """SHA-256 of the statement."""
        return hashlib.sha256(self.encode()).hexdigest()


class HandOver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The holder hands the data on to the owner of the public key `key` (PEM): signed by the one who held it before."""

    passport: Hex
    number: Count
    previous: Hex
    to: str
    key: str
    at: str
    why: str = ""

    def encode(self) -> bytes:
        subject = {"name": f"hand-over {self.number}", "digest": {"sha256": self.passport}}
        return canonical(
            {"_type": TYPE, "subject": [subject], "predicateType": HAND_OVER, "predicate": as_strings(msgspec.to_builtins(self))}
        )


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A passport as read: proved where `signer` is set. `holder` is the key that holds the data now."""

    passport: Passport
    details: Details
    hand_overs: tuple[HandOver, ...]
    signer: str | None
    holder: str
    lines: tuple[bytes, ...]


def details_path(passport: Path) -> Path:
    """Where the details of a passport lie."""
    return passport.with_name(passport.name.removesuffix(".jsonl") + ".details.json")


def passport_path(data: Path) -> Path:
    """Where the passport of `data` is written unless somebody says otherwise."""
    place = data.resolve()
    return place.with_name(f"{place.name}.passport.jsonl")


def write(path: Path, passport: Passport, details: Details, key: PrivateKey) -> None:
    """Write the signed passport to `path` and the details beside it, each whole or not at all."""
    write_atomically(details_path(path), details.encode(), 0o644)
    write_atomically(path, bundles.sealed(passport.encode(), key) + b"\n", 0o644)


def hand_over(path: Path, key: PrivateKey, to: PublicKey, name: str, at: str, why: str = "") -> HandOver:
    """Append to the passport at `path` that the holder of `key` hands the data on to `to`. Raises `EvidenceError` if another holds it."""
    held = read(path, None, details=False)
    if held.holder != key.public.id:
        raise EvidenceError(f"is held by key {held.holder[:16]}…, not by yours ({key.public.id[:16]}…)", place=str(path))
    previous = hashlib.sha256(held.lines[-1]).hexdigest()
    number = len(held.lines)
    made = HandOver(passport=held.passport.id, number=number, previous=previous, to=name, key=to.pem.decode(), at=at, why=why)
    write_atomically(path, b"\n".join((*held.lines, bundles.sealed(made.encode(), key))) + b"\n", 0o644)
    return made


def read(path: Path, key: PublicKey | None, *, details: bool = True) -> Held:
    """The passport at `path` with its details. With `key` it and every hand-over must prove to be signed; without, nothing is proved but
    that its parts belong together. Raises `EvidenceError`, `InputError`."""
    lines = tuple(_content(path, 64 * 1024 * 1024).removesuffix(b"\n").split(b"\n"))
    try:
        passport, overs, holder = read_lines(lines, key)
        found = _details(details_path(path), passport) if details else Details()
    except EvidenceError as error:
        raise EvidenceError(error.what, place=str(error.place or path), cure=error.cure) from None
    signer = key.id if key is not None else None
    return Held(passport=passport, details=found, hand_overs=overs, signer=signer, holder=holder, lines=lines)


def read_lines(lines: tuple[bytes, ...], key: PublicKey | None) -> tuple[Passport, tuple[HandOver, ...], str]:
    """The passport, the hand-overs and the id of the key that holds the data now, from the lines of a passport. Raises `EvidenceError`."""
    passport, holder = _passport(lines[0], key)
    overs, holder = _hand_overs(lines, passport, holder, key)
    return passport, overs, holder


def lineage_root(parents: tuple[Parent, ...]) -> str:
    """The root over what the data was made from."""
    return root([leaf_hash(canonical(msgspec.to_builtins(p))) for p in parents]).hex()


def with_answers(passport: Passport, details: Details, answers: tuple[Answer, ...]) -> tuple[Passport, Details]:
    """The passport and its details with what checks said of the data."""
    told = msgspec.structs.replace(details, answers=answers)
    count = Roots(count=len(answers), root=root([leaf_hash(canonical(msgspec.to_builtins(a))) for a in answers]).hex())
    return msgspec.structs.replace(passport, answers=count, details=hashlib.sha256(told.encode()).hexdigest()), told


def _passport(line: bytes, key: PublicKey | None) -> tuple[Passport, str]:
    payload, hint = signed_payload(line, key)
    passport = predicate_of(payload, PREDICATE, Passport)
    if passport.encode() != payload:
        raise EvidenceError("the statement is not in the form that we write: it could be read in two ways")
    return passport, key.id if key is not None else hint


def _hand_overs(lines: tuple[bytes, ...], passport: Passport, holder: str, key: PublicKey | None) -> tuple[tuple[HandOver, ...], str]:
    found: list[HandOver] = []
    current = key
    for number, line in enumerate(lines[1:], 1):
        payload, hint = signed_payload(line, current)
        made = predicate_of(payload, HAND_OVER, HandOver)
        before = hashlib.sha256(lines[number - 1]).hexdigest()
        if made.encode() != payload or made.number != number or made.previous != before or made.passport != passport.id or hint != holder:
            raise EvidenceError(f"hand-over {number} does not follow from what stands before it")
        following = PublicKey.load(made.key.encode(), f"hand-over {number}")
        holder = following.id
        current = following if key is not None else None
        found.append(made)
    return tuple(found), holder


def signed_payload(line: bytes, key: PublicKey | None) -> tuple[bytes, str]:
    """The signed bytes of a line and the id of the key that it names."""
    if len(line) > MAX_LINE:
        raise EvidenceError("is no passport: a line is too long")
    bundle = bundles.parse(line)
    if bundle.payload_type != IN_TOTO or bundle.keyless or bundle.hint is None:
        raise EvidenceError("is no passport that was signed with a key")
    if key is not None:
        if bundle.hint != key.id:
            raise EvidenceError(f"was signed with another key ({one_line(bundle.hint, 16)}…, yours is {key.id[:16]}…)")
        if not key.holds(bundle.signature, pae(bundle.payload_type, bundle.payload)):
            raise EvidenceError("the signature does not hold: it was made with another key, or the passport was altered")
    return bundle.payload, bundle.hint


def predicate_of(payload: bytes, kind: str, wanted: type[T]) -> T:
    """The predicate of an in-toto statement of this kind. Raises `EvidenceError`."""
    value = strict_json(payload, "the statement")
    if not isinstance(value, dict) or value.get("_type") != TYPE or value.get("predicateType") != kind:
        raise EvidenceError(f"the statement is no {kind}")
    try:
        return msgspec.convert(value.get("predicate"), type=wanted, strict=False)
    except msgspec.ValidationError as error:
        raise EvidenceError(f"the statement is no {kind}: {error}") from None


def _details(path: Path, passport: Passport) -> Details:
    data = _content(path, MAX_DETAILS)
    if hashlib.sha256(data).hexdigest() != passport.details:
        raise EvidenceError("the details are not those of the passport", place=str(path))
    try:
        found = msgspec.json.decode(data, type=Details)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"the details cannot be read: {error}", place=str(path)) from None
    if wrong := next((w for w in (fault(record.name) for record in found.files) if w), None):
        raise EvidenceError(f"the details cannot be trusted to stay in their folder: {wrong}", place=str(path))
    if root([record.bytes_leaf() for record in found.files]).hex() != passport.files.root:
        raise EvidenceError("the details contradict the passport: their files have another root", place=str(path))
    return found


def _content(path: Path, limit: int) -> bytes:
    try:
        with open_regular(path) as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", place=str(path), cure="make it with bartizan data record") from None
    if len(data) > limit:
        raise InputError(f"is larger than {limit} bytes", place=str(path))
    return data


def as_strings(value: Any) -> Any:
    """Whole numbers as text: RFC 8785 knows none beyond 2**53."""
    if isinstance(value, dict):
        return {k: as_strings(v) for k, v in value.items()}
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
