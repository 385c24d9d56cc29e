"""The in-toto statement that lists the files of a model or data set, in the predicate of the OpenSSF model-signing format (v1.0).

    subject      one: the name of the folder, and SHA-256 over the digests of its files in their order
    resources    the files: name, algorithm, digest
    serialization  how the list was made: by files or by shards of files, which hash, what was left out
    chunk_tree   ours, ignored by others: the size and the root of the chunk tree of each file

A statement is only read after its signature held; it is refused all the same where two readers could understand it differently.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any

import msgspec

from bartizan.areas.provenance.signing.chunk_tree import CHUNK
from bartizan.areas.provenance.signing.names import WHOLE, collisions, fault, order
from bartizan.evidence.canonical import canonical
from bartizan.model.errors import EvidenceError, one_line

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"

HASHES = {"sha256": 64, "blake2b": 128, "blake3": 64}
"""Algorithms of the format, with the number of hexadecimal digits."""

_SHARD = re.compile(r"(.+):([0-9]{1,19}):([0-9]{1,19})", re.DOTALL)


class Resource(msgspec.Struct, frozen=True):
    """A file, or the bytes `span` (start, end) of one, with its digest in hexadecimal digits."""

    name: str
    digest: str
    span: tuple[int, int] | None = None


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The size of a file in bytes and the root of its chunk tree."""

    name: str
    size: int
    root: str


class Trees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The roots of all files; `hash` is the algorithm of the tree, `chunk` the bytes of a chunk."""

    hash: str
    chunk: int
    files: tuple[Root, ...]


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What was signed. `shard` is the size of a shard in bytes where the list goes by shards; `ignored` are names left out."""

    name: str
    resources: tuple[Resource, ...]
    hash: str = "sha256"
    shard: int | None = None
    allow_symlinks: bool = False
    ignored: tuple[str, ...] = ()
    trees: Trees | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, each once."""
        return tuple(dict.fromkeys(resource.name for resource in self.resources))

    @property
    def digest(self) -> str:
        """SHA-256 over the digests in their order: the digest of the whole."""
        return hashlib.sha256(b"".join(bytes.fromhex(resource.digest) for resource in self.resources)).hexdigest()

    def encode(self) -> bytes:
        """The statement as RFC 8785 JSON, its files sorted. Only statements by whole files are written."""
        ordered = msgspec.structs.replace(self, resources=tuple(sorted(self.resources, key=lambda r: order(r.name))))
        predicate: dict[str, Any] = {
            "serialization": {
                "method": "files",
                "hash_type": self.hash,
                "allow_symlinks": self.allow_symlinks,
                "ignore_paths": list(self.ignored),
            },
            "resources": [{"name": r.name, "algorithm": self.hash, "digest": r.digest} for r in ordered.resources],
        }
        if self.trees is not None:
            predicate["chunk_tree"] = msgspec.to_builtins(self.trees)
        subject = {"name": self.name, "digest": {"sha256": ordered.digest}}
        return canonical({"_type": TYPE, "subject": [subject], "predicateType": PREDICATE, "predicate": predicate})


class _Resource(msgspec.Struct, frozen=True):
    name: str
    algorithm: str
    digest: str


class _Serialization(msgspec.Struct, frozen=True):
    method: str
    hash_type: str
    allow_symlinks: bool
    shard_size: Annotated[float, msgspec.Meta(ge=1, le=2**53)] | None = None  # protobuf writes every number as a float
    ignore_paths: tuple[str, ...] = ()


class _Predicate(msgspec.Struct, frozen=True):
    serialization: _Serialization
    resources: tuple[_Resource, ...]
    chunk_tree: Trees | None = None


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _Wire(msgspec.Struct, frozen=True):
    type: str = msgspec.field(name="_type")
    predicate_type: str = msgspec.field(name="predicateType")
    subject: tuple[_Subject, ...]
    predicate: _Predicate


def decode(payload: bytes) -> Statement:
    """The statement in `payload`. Raises `EvidenceError` where it is no statement of this format, names a file twice or one outside the
    folder, or does not hash to its own subject."""
    value = strict_json(payload, "the statement")
    if isinstance(value, dict) and value.get("predicateType") != PREDICATE:
        kind = one_line(str(value.get("predicateType")), 100)
        raise EvidenceError(f"the statement is of another kind ({kind})", cure="sign again with a tool that writes version 1.0")
    try:
        wire = msgspec.convert(value, type=_Wire)
    except msgspec.ValidationError as error:
        raise EvidenceError(f"the statement is not of the model-signing format: {error}") from None
    if wire.type != TYPE or len(wire.subject) != 1:
        raise EvidenceError("the statement is no in-toto v1 statement with one subject")
    method = wire.predicate.serialization
    shard = int(method.shard_size) if method.shard_size is not None else None
    if method.hash_type not in HASHES or method.method not in ("files", "shards") or (method.method == "shards") != (shard is not None):
        raise EvidenceError(f"the statement lists files by a method we do not know ({method.method}, {method.hash_type})")
    made = Statement(
        name=one_line(wire.subject[0].name, 200),
        resources=tuple(_resource(one, method, shard) for one in wire.predicate.resources),
        hash=method.hash_type,
        shard=shard,
        allow_symlinks=method.allow_symlinks,
        ignored=_ignored(method.ignore_paths),
        trees=wire.predicate.chunk_tree,
    )
    wrong = collisions(made.files)
    if len({(one.name, one.span) for one in made.resources}) != len(made.resources):
        wrong.append("a file stands there twice")
    if wrong:
        raise EvidenceError(f"the statement is ambiguous: {wrong[0]}")
    if made.digest != wire.subject[0].digest.get("sha256"):
        raise EvidenceError("the statement contradicts itself: its files do not hash to its subject")
    _check_trees(made)
    return made


def strict_json(data: bytes, what: str) -> Any:
    """The JSON in `data`. Raises `EvidenceError` for what is none, and for a key that stands twice, which readers take differently."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise EvidenceError(f"{what} has the same key twice")
        return found

    try:
        return json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{what} is no JSON: {error}") from None


def _resource(one: _Resource, method: _Serialization, shard: int | None) -> Resource:
    name, span, algorithm = one.name, None, method.hash_type
    if shard is not None:
        found = _SHARD.fullmatch(one.name)
        if found is None:
            raise EvidenceError(f"'{one_line(one.name, 120)}' names no shard of a file")
        name, span = found[1], (int(found[2]), int(found[3]))
        algorithm = f"{method.hash_type}-sharded-{shard}"
    if one.algorithm != algorithm or not re.fullmatch(rf"[0-9a-f]{{{HASHES[method.hash_type]}}}", one.digest):
        raise EvidenceError(f"the digest of '{one_line(one.name, 120)}' is no {algorithm}")
    if wrong := fault(name):
        raise EvidenceError(f"the statement cannot be trusted to stay in its folder: {wrong}")
    return Resource(name, one.digest, span)


def _ignored(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name == WHOLE or fault(name):
            raise EvidenceError(f"the statement leaves out '{one_line(name, 120)}', which is no name below its folder")
    return tuple(sorted(set(names)))


def _check_trees(made: Statement) -> None:
    if made.trees is None:
        return
    if made.trees.hash not in ("blake3", "sha256") or made.trees.chunk != CHUNK:
        raise EvidenceError(f"the chunk tree is of a kind we do not know ({one_line(made.trees.hash, 40)}, {made.trees.chunk} bytes)")
    if [root.name for root in made.trees.files] != list(made.files):
        raise EvidenceError("the statement contradicts itself: the chunk tree is of other files")
