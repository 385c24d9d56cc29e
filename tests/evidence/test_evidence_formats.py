"""Canonical JSON, envelopes and tree hashes against the known answers of their standards."""

from __future__ import annotations

import base64
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.evidence import Signer, dsse
from bartizan.evidence.canonical import canonical, parse, plain
from bartizan.evidence.merkle import EMPTY_ROOT, leaf_hash, root_of
from bartizan.model.errors import EvidenceError

# The input and the octets of RFC 8785, sections 3.2.2 to 3.2.4.
RFC_8785_INPUT = {
    "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": '€$\u000f\nA\'B"\\\\"/',
    "literals": [None, True, False],
}
RFC_8785_BYTES = bytes.fromhex(
    "7b226c69746572616c73223a5b6e756c6c2c747275652c66616c73655d2c226e756d62657273223a5b3333333333333333332e333333333333332c31652b33302c342e35"
    "2c302e3030322c31652d32375d2c22737472696e67223a22e282ac245c75303030665c6e4127425c225c5c5c5c5c222f227d"
)

# The eight leaves of the reference implementation of RFC 6962 (certificate-transparency, merkletree tests) and the roots over the first n.
CT_LEAVES = [bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_canonical_json_is_that_of_rfc_8785() -> None:
    assert canonical(RFC_8785_INPUT) == RFC_8785_BYTES


def test_keys_are_ordered_by_utf_16_code_units() -> None:
    # RFC 8785 section 3.2.3: a smiley (surrogates D83D DE00) stands before U+FB33
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = list(msgspec.json.decode(canonical(dict.fromkeys(keys, 0))))
    assert ordered == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_pre_authentication_encoding_is_that_of_dsse() -> None:
    # DSSE v1, protocol.md, test vectors
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_tree_hashes_are_those_of_rfc_6962() -> None:
    assert EMPTY_ROOT == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    hashes = [leaf_hash(leaf) for leaf in CT_LEAVES]
    assert [root_of(hashes[: n + 1]) for n in range(8)] == CT_ROOTS
    assert root_of([]) == EMPTY_ROOT


class _Free(msgspec.Struct):
    details: dict[str, object]


def _round(value: dict[str, object]) -> dict[str, object]:
    data = canonical({"details": plain(value, exact=True)})
    return parse(data, msgspec.json.Decoder(_Free), lambda held: [held.details]).details


numbers = st.integers() | st.floats(allow_nan=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.sampled_from(["$number", "$$number", "number", "$", "a"]) | st.text(), values, max_size=5))
def test_what_a_finding_holds_is_read_back_as_it_was(value: dict[str, object]) -> None:
    found = _round(value)
    assert found == value
    for name, was in value.items():
        if isinstance(was, float) and was != 0:
            assert isinstance(found[name], float)


def test_numbers_that_json_lacks_survive() -> None:
    found = _round({"nan": math.nan, "inf": -math.inf, "big": 2**80, "one": 1.0, "bytes": b"ab", "lone": "\udc80"})
    assert math.isnan(found.pop("nan"))  # type: ignore[arg-type]
    assert found == {"inf": -math.inf, "big": 2**80, "one": 1.0, "bytes": base64.b64encode(b"ab").decode(), "lone": "\\udc80"}
    assert isinstance(found["one"], float)


def test_numpy_values_are_data() -> None:
    numpy = pytest.importorskip("numpy")
    assert _round({"a": numpy.float32(0.5), "b": numpy.arange(3), "c": numpy.int64(7)}) == {"a": 0.5, "b": [0, 1, 2], "c": 7}


def test_what_is_no_data_is_refused_in_one_line() -> None:
    endless: list[object] = []
    endless.append(endless)
    for value in (object(), endless, {"f": print}):
        with pytest.raises(EvidenceError) as caught:
            plain(value)
        assert "\n" not in str(caught.value)


def test_an_envelope_is_accepted_only_as_we_write_it() -> None:
    signer = Signer.generate()
    envelope = dsse.seal(dsse.IN_TOTO, b'{"a":1}', signer)
    data = envelope.encode()
    assert dsse.decode(data, dsse.IN_TOTO) == envelope
    assert envelope.signed_by(signer.public)
    assert not envelope.signed_by(Signer.generate().public)
    assert data == canonical(msgspec.json.decode(data))
    for broken in (data + b" ", data.replace(b'"payload"', b'"Payload"'), data[:-1], b"[]", b"", data.replace(b":", b": ", 1)):
        with pytest.raises(EvidenceError):
            dsse.decode(broken, dsse.IN_TOTO)
    with pytest.raises(EvidenceError, match=r"not 'application/vnd\.bartizan\.checkpoint"):
        dsse.decode(data, dsse.CHECKPOINT)


def test_a_signature_over_one_type_does_not_hold_for_another() -> None:
    signer = Signer.generate()
    moved = msgspec.structs.replace(dsse.seal(dsse.IN_TOTO, b"{}", signer), payload_type=dsse.CHECKPOINT)
    assert not moved.signed_by(signer.public)
