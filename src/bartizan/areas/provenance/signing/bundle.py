"""The Sigstore bundle (v0.3, JSON) around a signed statement: a DSSE envelope and a hint which key made it.

The signature is over the pre-authentication encoding of payload type and payload; nothing of the payload is read before it holds.
"""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec

from bartizan.areas.provenance.signing.keys import PrivateKey, PublicKey
from bartizan.areas.provenance.signing.statement import Statement, decode, strict_json
from bartizan.evidence.dsse import IN_TOTO, pae
from bartizan.evidence.files import open_regular
from bartizan.model.errors import EvidenceError, InputError, one_line

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"

MAX_BYTES = 256 * 1024 * 1024
"""Largest bundle that is read."""


class _Hint(msgspec.Struct, frozen=True):
    hint: str | None = None


class _Material(msgspec.Struct, frozen=True, rename="camel"):
    public_key: _Hint | None = None
    certificate: msgspec.Raw | None = None
    x509_certificate_chain: msgspec.Raw | None = msgspec.field(default=None, name="x509CertificateChain")


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str = ""


class _Envelope(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    payload: str
    payload_type: str
    signatures: tuple[_Signature, ...]


class _Wire(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope | None = None


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle as read; nothing of it is proved. `hint` is the id of the key it says it was made with, `keyless` whether a certificate
    stands in for the key."""

    payload_type: str
    payload: bytes
    signature: bytes
    hint: str | None
    keyless: bool

    def statement(self, key: PublicKey) -> Statement:
        """The statement, once the signature proves to be `key`'s. Raises `EvidenceError` where it is not, or the statement is refused."""
        if self.keyless:
            raise EvidenceError("is signed with a certificate, not with a key", cure="verify it with --identity and --issuer")
        if self.hint is not None and self.hint != key.id:
            raise EvidenceError(f"was made with another key ({one_line(self.hint, 16)}…, yours is {key.id[:16]}…)")
        if not key.holds(self.signature, pae(self.payload_type, self.payload)):
            raise EvidenceError("the signature does not hold: it was made with another key, or what it signs was altered")
        if self.payload_type != IN_TOTO:
            raise EvidenceError(f"signs '{one_line(self.payload_type, 80)}', not an in-toto statement")
        return decode(self.payload)


def sealed(payload: bytes, key: PrivateKey) -> bytes:
    """The bundle around `payload`, signed with `key`, as JSON."""
    signature = key.sign(pae(IN_TOTO, payload))
    return msgspec.json.encode(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key.public.id}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": IN_TOTO,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        }
    )


def parse(data: bytes) -> Bundle:
    """The bundle in `data`. Raises `EvidenceError` where it is none with exactly one signed statement."""
    try:
        wire = msgspec.convert(strict_json(data, "the signature"), type=_Wire)
        if wire.media_type != MEDIA_TYPE:
            raise EvidenceError(f"is no Sigstore bundle v0.3 but '{one_line(wire.media_type, 80)}'")
        envelope = wire.dsse_envelope
        if envelope is None or len(envelope.signatures) != 1:
            raise EvidenceError("holds no statement with exactly one signature")
        material = wire.verification_material
        return Bundle(
            payload_type=envelope.payload_type,
            payload=base64.b64decode(envelope.payload, validate=True),
            signature=base64.b64decode(envelope.signatures[0].sig, validate=True),
            hint=(material.public_key.hint or None) if material.public_key is not None else None,
            keyless=material.public_key is None,
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise EvidenceError(f"is no Sigstore bundle: {error}") from None


def read(path: Path) -> Bundle:
    """The bundle in the file `path`. Raises `InputError` where it cannot be read, `EvidenceError` where it is no bundle."""
    data = content(path)
    try:
        return parse(data)
    except EvidenceError as error:
        raise EvidenceError(error.what, place=str(path), cure=error.cure) from None


def content(path: Path) -> bytes:
    """The bytes of the bundle in the file `path`. Raises `InputError`."""
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"the signature cannot be read: {error.strerror}", place=str(path)) from None
    if len(data) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES} bytes, too large for a signature", place=str(path))
    return data
