"""Signs a model or a data set: lists its files, hashes them, and seals the list with a key."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from bartizan.areas.provenance.signing.bundle import sealed
from bartizan.areas.provenance.signing.cache import Cache
from bartizan.areas.provenance.signing.chunk_tree import CHUNK, best
from bartizan.areas.provenance.signing.files import GIT, listing
from bartizan.areas.provenance.signing.hashing import Listener, digests_of
from bartizan.areas.provenance.signing.keys import PrivateKey
from bartizan.areas.provenance.signing.names import WHOLE, fault
from bartizan.areas.provenance.signing.statement import Resource, Root, Statement, Trees
from bartizan.evidence.files import write_atomically
from bartizan.model.errors import InputError, Refused


def state(
    path: Path,
    *,
    signature: Path | None = None,
    ignore: Iterable[str] = (),
    git: bool = False,
    allow_symlinks: bool = False,
    tree: bool = True,
    cache: Cache | None = None,
    listener: Listener | None = None,
) -> Statement:
    """The statement about `path` as it is now.

    `ignore` are names relative to the folder to leave out, beside what version control leaves there unless `git` takes it in and beside
    the file `signature`. `tree` adds the roots of the chunk trees. Raises `Refused` where `files.listing` finds what cannot be signed or
    a file changes meanwhile, `InputError` where something cannot be read or nothing is there.
    """
    root = path.resolve()
    left_out = sorted({*_ignored(ignore), *(() if git else GIT), *_inside(root, signature)}) if root.is_dir() else []
    found = listing(path, ignore=left_out, allow_symlinks=allow_symlinks)
    if found.problems:
        more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
        raise Refused(f"cannot be signed: {found.problems[0]}{more}", place=str(path))
    if not found.files:
        raise InputError("holds no file to sign", place=str(path))
    if any(0xD800 <= ord(character) <= 0xDFFF for character in found.root.name):
        raise Refused("cannot be signed: its name is no Unicode text", place=str(path), cure="rename it")
    algorithm = best() if tree else None
    digests = digests_of(found.files, tree=algorithm, cache=cache, follow=allow_symlinks, listener=listener)
    roots = tuple(Root(name, d.size, d.tree.root) for name, d in digests.items() if d.tree is not None)
    return Statement(
        name=found.root.name or "model",
        resources=tuple(Resource(name, digest.hex) for name, digest in digests.items()),
        allow_symlinks=allow_symlinks,
        ignored=tuple(left_out),
        trees=Trees(algorithm, CHUNK, roots) if algorithm is not None else None,
    )


def sign(path: Path, signature: Path, key: PrivateKey, *, statement: Statement | None = None) -> Statement:
    """Sign `path` with `key` and write the bundle to `signature`, whole or not at all; returns what was signed.

    `statement` is signed where other options are wanted than those of `state(path, signature=signature)`.
    """
    made = statement if statement is not None else state(path, signature=signature)
    write_atomically(signature, sealed(made.encode(), key), 0o644)
    return made


def _ignored(names: Iterable[str]) -> list[str]:
    kept = [str(PurePosixPath(name)) for name in names]
    for name in kept:
        if name == WHOLE or fault(name):
            raise InputError(f"'{name}' is no name below the folder", cure="give it relative to the folder that is signed")
    return kept


def _inside(root: Path, signature: Path | None) -> list[str]:
    if signature is None:
        return []
    place = signature.parent.resolve() / signature.name
    return [place.relative_to(root).as_posix()] if place.is_relative_to(root) else []
