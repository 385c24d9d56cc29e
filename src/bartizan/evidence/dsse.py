"""DSSE v1 envelopes with one signature: what is signed is the pre-authentication encoding of type and payload, never JSON as parsed."""

from __future__ import annotations

import base64
import binascii

import msgspec

from bartizan.evidence.signing import PublicKey, Signer
from bartizan.model.errors import EvidenceError

IN_TOTO = "application/vnd.in-toto+json"
CHECKPOINT = "application/vnd.bartizan.checkpoint+json"
INDEX = "application/vnd.bartizan.bundle-index+json"


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding (DSSE v1, protocol): `DSSEv1 LEN(type) type LEN(body) body`."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Wire(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: tuple[_Signature]


_DECODER = msgspec.json.Decoder(_Wire)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A payload with its type and one signature over both by the key whose id is `key`."""

    payload_type: str
    payload: bytes
    key: str
    signature: bytes

    def encode(self) -> bytes:
        """The envelope as RFC 8785 JSON; these bytes are the leaf of the Merkle tree and the link of the chain."""
        wire = _Wire(_base64(self.payload), self.payload_type, (_Signature(self.key, _base64(self.signature)),))
        return msgspec.json.encode(wire)  # the fields stand in RFC 8785 order and hold no character that JSON escapes differently

    def signed_by(self, key: PublicKey) -> bool:
        """Whether the signature is `key`'s over type and payload."""
        return self.key == key.id and key.holds(self.signature, pae(self.payload_type, self.payload))


def seal(payload_type: str, payload: bytes, signer: Signer) -> Envelope:
    """An envelope around `payload`, signed."""
    return Envelope(payload_type=payload_type, payload=payload, key=signer.id, signature=signer.sign(pae(payload_type, payload)))


def decode(data: bytes, payload_type: str) -> Envelope:
    """The envelope in `data`. Raises `EvidenceError` unless it is of this type and exactly as `Envelope.encode` writes it."""
    try:
        wire = _DECODER.decode(data)
        payload = base64.b64decode(wire.payload, validate=True)
        signature = base64.b64decode(wire.signatures[0].sig, validate=True)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise EvidenceError(f"not a DSSE envelope: {error}") from error
    if wire.payload_type != payload_type:
        raise EvidenceError(f"the envelope holds '{wire.payload_type}', not '{payload_type}'")
    envelope = Envelope(payload_type=payload_type, payload=payload, key=wire.signatures[0].keyid, signature=signature)
    if envelope.encode() != data:
        raise EvidenceError("the envelope is not written in canonical form")
    return envelope


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
