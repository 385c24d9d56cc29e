"""The certificate of deletion: how many rows left a data set, from which passport to which, by what rule, signed by whoever did it.

It names no row, no value and no rule in clear. The rule and the set of removed rows stand in it as HMAC-SHA256 under a salt of 256 bits, so
nobody can try whose rows they were; whoever was given the salt (the opening) can show that the certificate is about this rule.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

import msgspec

from bartizan.areas.provenance.passport.statement import (
    Count,
    Held,
    Hex,
    Passport,
    as_strings,
    predicate_of,
    signed_payload,
)
from bartizan.areas.provenance.signing import bundle as bundles
from bartizan.areas.provenance.signing.keys import PrivateKey, PublicKey
from bartizan.areas.provenance.signing.statement import TYPE
from bartizan.evidence.canonical import canonical
from bartizan.model.errors import EvidenceError, InputError

DELETION = "urn:bartizan:data-deletion/v1"
MAX_BYTES = 64 * 1024
MAX_OPENING = 256 * 1024 * 1024
"""Largest opening, in bytes, that is read: it may hold a long list of subjects."""

SALT = 32
"""Bytes of a salt."""


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A data set at one time: the SHA-256 of its passport's statement, its rows, the root of its content."""

    passport: Hex
    rows: Count
    content: Hex

    @classmethod
    def of(cls, passport: Passport) -> State:
        return cls(passport=passport.id, rows=passport.content.rows, content=passport.content.root)


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where else the removed rows were looked for: files read, rows found there, files that could not be read."""

    files: Count = 0
    found: Count = 0
    unread: Count = 0


class Deletion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. `rule` and `rows` are HMAC-SHA256 under the salt of the rule and of the set of removed rows; `kinds` say of what the
    rule was made; `undated` and `undecided` rows could not be judged and stay, as do `unjudged` files, of which the rule says nothing."""

    name: str
    at: str
    tool: str
    before: State
    after: State
    removed: Count
    rule: Hex
    rows: Hex
    kinds: tuple[str, ...]
    undated: Count = 0
    undecided: Count = 0
    unjudged: Count = 0
    in_place: bool = False
    elsewhere: Search | None = None
    version: int = 1

    def encode(self) -> bytes:
        """The in-toto statement as RFC 8785 JSON; its subject is the data set without the rows."""
        subject = {"name": self.name, "digest": {"bartizan-content-v1": self.after.content}}
        return canonical(
            {"_type": TYPE, "subject": [subject], "predicateType": DELETION, "predicate": as_strings(msgspec.to_builtins(self))}
        )

    @property
    def id(self) -> str:
        """SHA-256 of the statement."""
        return hashlib.sha256(self.encode()).hexdigest()


class Opening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What opens a certificate: the salt (hex) and the rule. It may name persons: keep it as you keep the data, or do not keep it."""

    salt: Hex
    rule: dict[str, Any]

    def digest(self) -> str:
        """HMAC-SHA256 of the rule under the salt."""
        return keyed(bytes.fromhex(self.salt), self.rule)


def new_salt() -> bytes:
    """A salt for one certificate."""
    return secrets.token_bytes(SALT)


def keyed(salt: bytes, rule: dict[str, Any]) -> str:
    """HMAC-SHA256 of a rule under `salt`."""
    return hmac.new(salt, canonical(rule), hashlib.sha256).hexdigest()


def seal(made: Deletion, key: PrivateKey) -> bytes:
    """The certificate, signed, as one line of JSON."""
    return bundles.sealed(made.encode(), key) + b"\n"


def is_certificate(data: bytes) -> bool:
    """Whether `data` has the form of a certificate; nothing is proved."""
    try:
        payload, _ = signed_payload(data.removesuffix(b"\n"), None)
        predicate_of(payload, DELETION, Deletion)
    except EvidenceError:
        return False
    return True


def check(data: bytes, key: PublicKey) -> Deletion:
    """What the certificate in `data` says, given that `key` signed it. Raises `EvidenceError` where it does not hold."""
    if len(data) > MAX_BYTES:
        raise EvidenceError(f"is larger than {MAX_BYTES} bytes, too large for a certificate")
    payload, _ = signed_payload(data.removesuffix(b"\n"), key)
    made = predicate_of(payload, DELETION, Deletion)
    if made.encode() != payload:
        raise EvidenceError("the statement is not in the form that we write: it could be read in two ways")
    if made.before.rows - made.removed != made.after.rows or not made.removed:
        raise EvidenceError("the certificate contradicts itself: its counts do not add up")
    return made


def belongs(made: Deletion, held: Held) -> None:
    """Raise `EvidenceError` unless the passport `held` is that of the data set after the deletion, made from that before."""
    if State.of(held.passport) != made.after:
        raise EvidenceError("the certificate is about another state of the data", cure="give the passport that was written with it")
    parents = {(p.passport, p.content, p.transformation) for p in held.details.parents}
    if (made.before.passport, made.before.content, made.rule) not in parents:
        raise EvidenceError("the passport's lineage does not name what was there before the deletion")


def opened(made: Deletion, data: bytes) -> Opening:
    """The opening in `data`. Raises `EvidenceError` where it does not open this certificate, `InputError` where it is none."""
    try:
        found = msgspec.json.decode(data, type=Opening)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is no opening of a certificate: {error}") from None
    if not hmac.compare_digest(found.digest(), made.rule):
        raise EvidenceError("the opening does not fit the certificate: it is about another rule")
    return found
