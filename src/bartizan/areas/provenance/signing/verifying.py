"""Verifies that a model or a data set is what was signed: every file, no file more, under the same names, by the key that is trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from bartizan.areas.provenance.signing import bundle as bundles
from bartizan.areas.provenance.signing.cache import Cache
from bartizan.areas.provenance.signing.chunk_tree import tree_of
from bartizan.areas.provenance.signing.files import Listing, listing
from bartizan.areas.provenance.signing.hashing import Digest, Listener, digest_of, digests_of, over
from bartizan.areas.provenance.signing.keys import PublicKey
from bartizan.areas.provenance.signing.names import order
from bartizan.areas.provenance.signing.statement import Statement, decode
from bartizan.evidence.dsse import IN_TOTO
from bartizan.model.errors import EvidenceError, InputError, one_line

Opener: TypeAlias = Callable[[bytes], Statement]
"""Proves the bytes of a bundle and gives its statement, or raises `EvidenceError`."""

NAMES = ("{name}.sig", "{name}.sigstore.json", "{name}.sigstore")
"""How a signature beside its file or folder may be called."""

INSIDE = ("model.sig", "dataset.sig", "model.sigstore.json")
"""How a signature inside its folder may be called."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What verifying found. `problems` say what differs; `notes` what the signature does not cover; `signer` names the key or identity."""

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    signer: str
    name: str
    files: int
    size: int
    digest: str

    @property
    def ok(self) -> bool:
        return not self.problems


class Verifier(msgspec.Struct, frozen=True, kw_only=True):
    """How to verify; it keeps nothing of what it has verified. `signer` is how the trusted party is shown.

    `fast` compares the roots of the chunk trees, which the signature covers as well, instead of SHA-256; `allow_symlinks` lets links count
    that stay inside; `cache` trusts the times of files.
    """

    opener: Opener
    signer: str
    allow_symlinks: bool = False
    fast: bool = False
    cache: Cache | None = None

    @classmethod
    def of_key(cls, key: PublicKey, **how: Any) -> Verifier:
        """The verifier that trusts `key`; `how` are the other fields."""
        return cls(opener=lambda data: bundles.parse(data).statement(key), signer=f"key {key.id}", **how)

    @classmethod
    def of_identity(cls, identity: str, issuer: str, *, offline: bool = False, **how: Any) -> Verifier:
        """The verifier that trusts what Sigstore proves to be signed by `identity`, as vouched for by `issuer`; `offline` takes the
        trusted root that is at hand."""
        return cls(opener=lambda data: _of_identity(data, identity, issuer, offline), signer=f"identity {identity}", **how)

    def verify(self, path: Path, signature: Path, listener: Listener | None = None) -> Verified:
        """Compare `path` with what `signature` states.

        Raises `EvidenceError` where the signature does not hold or its statement is refused, `InputError` where something cannot be read,
        `Refused` where a file changes meanwhile, `MissingExtra` where a hash is not installed.
        """
        statement = self.opener(bundles.content(signature))
        found = listing(path, ignore=statement.ignored, own=signature, allow_symlinks=self.allow_symlinks)
        here, there = set(found.files), set(statement.files)
        problems = [*found.problems]
        notes = [f"not covered: {', '.join(statement.ignored)}"] if statement.ignored and found.root.is_dir() else []
        common = {name: found.files[name] for name in found.files if name in there}
        changed, size = self._changed(statement, common, found, listener)
        extra = here - there
        if statement.shard is not None:
            empty = {name for name in extra if _empty(found.files[name])}
            extra -= empty
            notes += [f"empty files are not covered by this kind of signature: {len(empty)}"] if empty else []
        problems += _differences(sorted(extra, key=order), sorted(there - here, key=order), changed, found)
        return Verified(
            problems=tuple(problems),
            notes=tuple(notes),
            signer=self.signer,
            name=statement.name,
            files=len(there),
            size=size,
            digest=statement.digest,
        )

    def _changed(
        self, statement: Statement, common: Mapping[str, Path], found: Listing, listener: Listener | None
    ) -> tuple[list[str], int]:
        """The files of `common` whose content is not what was signed, and the bytes that were compared."""
        if statement.shard is not None:
            return self._changed_shards(statement, common)
        if self.fast:
            return self._changed_roots(statement, common, listener)
        digests = digests_of(
            common,
            algorithm=statement.hash,
            cache=self.cache,
            follow=self.allow_symlinks or not found.root.is_dir(),
            listener=listener,
        )
        expected = {resource.name: resource.digest for resource in statement.resources}
        return [name for name, digest in digests.items() if digest.hex != expected[name]], sum(d.size for d in digests.values())

    def _changed_roots(self, statement: Statement, common: Mapping[str, Path], listener: Listener | None) -> tuple[list[str], int]:
        if statement.trees is None:
            raise InputError("the signature holds no chunk tree", cure="verify without --fast, or sign again with bartizan sign")
        expected = {root.name: root for root in statement.trees.files}
        whole, done = sum(root.size for root in expected.values()), 0
        changed = []
        for name, path in common.items():
            tree = tree_of(path, statement.trees.hash, follow=self.allow_symlinks)
            if (tree.size, tree.root) != (expected[name].size, expected[name].root):
                changed.append(name)
            done += tree.size
            if listener is not None:
                listener(min(done, whole), whole)
        return changed, done

    def _changed_shards(self, statement: Statement, common: Mapping[str, Path]) -> tuple[list[str], int]:
        expected: dict[str, dict[tuple[int, int], str]] = {}
        for resource in statement.resources:
            assert resource.span is not None
            expected.setdefault(resource.name, {})[resource.span] = resource.digest
        shard = statement.shard or 0
        changed = {name for name, path in common.items() if set(_spans(path, shard)) != set(expected[name])}
        parts = {f"{name}:{start}": (name, (start, end)) for name in common if name not in changed for start, end in expected[name]}

        def one(part: str) -> tuple[str, Digest]:
            name, (start, end) = parts[part]
            return part, digest_of(common[name], algorithm=statement.hash, span=range(start, end), follow=self.allow_symlinks)

        size = 0
        for part, digest in over(one, list(parts), None):
            name, span = parts[part]
            size += digest.size
            if digest.hex != expected[name][span]:
                changed.add(name)
        return sorted(changed, key=order), size


def _of_identity(data: bytes, identity: str, issuer: str, offline: bool) -> Statement:
    from bartizan.adapters import sigstore_keyless

    kind, payload = sigstore_keyless.proved(data, identity, issuer, offline=offline)
    if kind != IN_TOTO:
        raise EvidenceError(f"signs '{one_line(kind, 80)}', not an in-toto statement")
    return decode(payload)


def signature_of(path: Path) -> Path | None:
    """The signature that lies beside `path`, or inside it where it is a folder; None where there is none."""
    beside = [path.with_name(name.format(name=path.name)) for name in NAMES] if path.name not in ("", "..") else []
    inside = [path / name for name in INSIDE] if path.is_dir() else []
    return next((place for place in (*beside, *inside) if place.is_file()), None)


def _spans(path: Path, shard: int) -> Iterator[tuple[int, int]]:
    size = path.stat().st_size
    for start in range(0, size, shard):
        yield start, min(start + shard, size)


def _empty(path: Path) -> bool:
    return path.stat().st_size == 0


def _differences(extra: list[str], missing: list[str], changed: list[str], found: Listing) -> Iterator[str]:
    """What differs, in words; a file of each side that share nothing but their content would be named twice, which is clear enough."""
    yield from (f"'{one_line(name, 200)}' was not signed" for name in extra)
    yield from (f"'{one_line(name, 200)}' is missing" for name in missing)
    yield from (f"'{one_line(name, 200)}' is not what was signed" for name in changed)
    if not found.files and not missing:
        yield "there is no file"
