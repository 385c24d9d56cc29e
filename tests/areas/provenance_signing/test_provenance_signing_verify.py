"""Signing: swap two shards, add an unsigned file, remove one, link out, reuse the verifier: all refused; hostile statements too."""

from __future__ import annotations

import base64
import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.areas.provenance.signing import bundle, making, statement
from bartizan.areas.provenance.signing.cache import Cache
from bartizan.areas.provenance.signing.files import listing
from bartizan.areas.provenance.signing.keys import ALGORITHMS, PrivateKey, PublicKey, create
from bartizan.areas.provenance.signing.names import collisions, fault
from bartizan.areas.provenance.signing.statement import Resource, Statement
from bartizan.areas.provenance.signing.verifying import Verifier, signature_of
from bartizan.evidence.dsse import pae
from bartizan.model.errors import EvidenceError, InputError, Refused

KEY = PrivateKey.generate()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "shard-1.safetensors").write_bytes(b"one" * 1000)
    (folder / "shard-2.safetensors").write_bytes(b"two" * 1000)
    (folder / "sub" / "tokenizer.json").write_text("{}")
    (folder / "sub.x").write_text("x")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref")
    return folder


@pytest.fixture
def signed(model: Path, tmp_path: Path) -> Path:
    making.sign(model, tmp_path / "model.sig", KEY)
    return tmp_path / "model.sig"


def problems(model: Path, signature: Path, **how: object) -> list[str]:
    return list(Verifier.of_key(KEY.public, **how).verify(model, signature).problems)


def swap(model: Path) -> None:
    one, two = model / "shard-1.safetensors", model / "shard-2.safetensors"
    one.rename(model / "t")
    two.rename(one)
    (model / "t").rename(two)


def link_out(model: Path) -> None:
    outside = model.parent / "outside.bin"
    shutil.move(model / "sub.x", outside)
    (model / "sub.x").symlink_to(outside)


def link_folder_out(model: Path) -> None:
    shutil.move(model / "sub", model.parent / "elsewhere")
    (model / "sub").symlink_to(model.parent / "elsewhere")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "swapped shards": (swap, "'shard-1.safetensors' is not what was signed"),
    "an unsigned file": (lambda m: (m / "sub" / "evil.py").write_text("x"), "'sub/evil.py' was not signed"),
    "an unsigned empty file": (lambda m: (m / "__init__.py").write_text(""), "'__init__.py' was not signed"),
    "a removed file": (lambda m: (m / "sub.x").unlink(), "'sub.x' is missing"),
    "a renamed file": (lambda m: (m / "sub.x").rename(m / "sub.y"), "'sub.y' was not signed"),
    "one flipped bit": (lambda m: (m / "sub.x").write_bytes(b"y"), "'sub.x' is not what was signed"),
    "an appended byte": (lambda m: (m / "shard-1.safetensors").write_bytes(b"one" * 1000 + b"\0"), "is not what was signed"),
    "a link out": (link_out, "symbolic link"),
    "a folder linked out": (link_folder_out, "symbolic link"),
    "a dangling link": (lambda m: (m / "l").symlink_to("nowhere"), "symbolic link"),
    "a named pipe": (lambda m: os.mkfifo(m / "pipe"), "neither a file nor a folder"),
}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_refused_and_named(model: Path, signed: Path, change: str, fast: bool) -> None:
    assert problems(model, signed, fast=fast) == []
    act, said = CHANGES[change]
    act(model)
    assert any(said in problem for problem in problems(model, signed, fast=fast))


def test_a_link_out_is_refused_even_where_links_are_allowed(model: Path, signed: Path) -> None:
    link_out(model)
    assert any("leads out" in problem for problem in problems(model, signed, allow_symlinks=True))


def test_links_that_stay_inside_count_where_both_sides_allow_them(model: Path, tmp_path: Path) -> None:
    (model / "link").symlink_to("sub.x")
    signature = tmp_path / "model.sig"
    with pytest.raises(Refused, match="symbolic link"):
        making.sign(model, signature, KEY)
    making.sign(model, signature, KEY, statement=making.state(model, signature=signature, allow_symlinks=True))
    assert problems(model, signature, allow_symlinks=True) == []
    assert any("'link' is a symbolic link" in problem for problem in problems(model, signature))
    (model / "link").unlink()
    (model / "link").symlink_to("shard-1.safetensors")
    assert problems(model, signature, allow_symlinks=True) == ["'link' is not what was signed"]
    (model / "folder").symlink_to("sub")
    assert any("link to a folder" in problem for problem in problems(model, signature, allow_symlinks=True))


def test_a_verifier_keeps_nothing_of_the_folder_before(model: Path, signed: Path, tmp_path: Path) -> None:
    verifier = Verifier.of_key(KEY.public)
    other = tmp_path / "other"
    shutil.copytree(model, other)
    (other / "evil.py").write_text("x")
    for _ in range(2):
        assert verifier.verify(model, signed).ok
        assert verifier.verify(other, signed).problems == ("'evil.py' was not signed",)
    making.sign(other, tmp_path / "other.sig", KEY, statement=making.state(other, ignore=["evil.py"]))
    assert verifier.verify(other, tmp_path / "other.sig").ok
    assert verifier.verify(other, signed).problems == ("'evil.py' was not signed",)  # what the other statement left out is forgotten


def test_version_control_is_left_out_and_said_so(model: Path, signed: Path) -> None:
    (model / ".git" / "config").write_text("x")
    found = Verifier.of_key(KEY.public).verify(model, signed)
    assert found.ok
    assert found.notes == ("not covered: .git, .gitattributes, .github, .gitignore",)
    (model / "sub" / ".git").mkdir()
    (model / "sub" / ".git" / "hook").write_text("x")  # only the one at the top
    assert problems(model, signed) == ["'sub/.git/hook' was not signed"]
    assert ".git/HEAD" in making.state(model, git=True).files


def test_a_signature_inside_the_folder_is_left_out(model: Path) -> None:
    making.sign(model, model / "model.sig", KEY)
    assert signature_of(model) == model / "model.sig"
    assert problems(model, model / "model.sig") == []
    moved = model.rename(model.with_name("moved"))
    assert problems(moved, moved / "model.sig") == []


def test_files_and_data_sets_are_signed_alike(tmp_path: Path) -> None:
    data = tmp_path / "loans.csv"
    data.write_text("a,y\n1,0\n")
    making.sign(data, tmp_path / "loans.csv.sig", KEY)
    assert signature_of(data) == tmp_path / "loans.csv.sig"
    assert problems(data, tmp_path / "loans.csv.sig") == []
    assert problems(tmp_path, tmp_path / "loans.csv.sig")
    data.write_text("a,y\n1,1\n")
    assert problems(data, tmp_path / "loans.csv.sig") == ["'.' is not what was signed"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_kind_of_key_signs_and_another_is_refused(model: Path, tmp_path: Path, algorithm: str) -> None:
    key = create(tmp_path / "k.pem", algorithm, b"secret")
    assert (tmp_path / "k.pem").stat().st_mode & 0o777 == 0o600
    assert PrivateKey.read(tmp_path / "k.pem", b"secret").public.id == key.public.id
    making.sign(model, tmp_path / "s", key)
    public = PublicKey.read(tmp_path / "k.pem.pub")
    assert Verifier.of_key(public).verify(model, tmp_path / "s").ok
    with pytest.raises(EvidenceError, match="another key"):
        Verifier.of_key(KEY.public).verify(model, tmp_path / "s")


def test_keys_that_others_can_read_or_that_are_none_are_refused(tmp_path: Path) -> None:
    create(tmp_path / "k.pem")
    (tmp_path / "k.pem").chmod(0o644)
    with pytest.raises(Refused, match="others can read"):
        PrivateKey.read(tmp_path / "k.pem")
    (tmp_path / "none.pem").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    with pytest.raises(InputError, match="public key"):
        PublicKey.read(tmp_path / "none.pem")
    with pytest.raises(InputError, match="private key"):
        PublicKey.read(tmp_path / "k.pem")
    create(tmp_path / "locked.pem", "p256", b"secret")
    for password in (None, b"wrong"):
        with pytest.raises(InputError, match="password"):
            PrivateKey.read(tmp_path / "locked.pem", password)


def envelope(payload: bytes, kind: str = "application/vnd.in-toto+json", key: PrivateKey = KEY) -> dict[str, object]:
    made = json.loads(bundle.sealed(payload, key))
    made["dsseEnvelope"]["payloadType"] = kind
    made["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(key.sign(pae(kind, payload))).decode()
    return made


def stated(model: Path) -> dict[str, object]:
    return json.loads(making.state(model, tree=False).encode())


def refused(made: dict[str, object]) -> str:
    with pytest.raises(EvidenceError) as caught:
        bundle.parse(json.dumps(made).encode()).statement(KEY.public)
    return str(caught.value)


def test_an_altered_envelope_is_refused(model: Path) -> None:
    payload = making.state(model).encode()
    good = envelope(payload)
    bundle.parse(json.dumps(good).encode()).statement(KEY.public)
    other = json.loads(json.dumps(good))
    other["dsseEnvelope"]["payloadType"] = "text/plain"
    assert "does not hold" in refused(other)
    assert "not an in-toto statement" in refused(envelope(payload, "text/plain"))  # signed, but as something else
    other = json.loads(json.dumps(good))
    other["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b"sub.x", b"sub.y")).decode()
    assert "does not hold" in refused(other)
    other = json.loads(json.dumps(good))
    other["dsseEnvelope"]["signatures"] *= 2
    assert "exactly one signature" in refused(other)
    other = json.loads(json.dumps(good))
    other["verificationMaterial"] = {"certificate": {"rawBytes": ""}, "tlogEntries": []}
    assert "certificate" in refused(other)
    other = json.loads(json.dumps(good))
    other["mediaType"] = "application/json"
    assert "no Sigstore bundle v0.3" in refused(other)
    forged = json.loads(json.dumps(envelope(payload, key=PrivateKey.generate())))
    forged["verificationMaterial"]["publicKey"]["hint"] = KEY.public.id  # says it was our key
    assert "does not hold" in refused(forged)
    del forged["verificationMaterial"]["publicKey"]["hint"]
    assert "does not hold" in refused(forged)


SEALED = bundle.sealed(Statement(name="m", resources=(Resource("a", "00" * 32), Resource("b", "11" * 32))).encode(), KEY)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(SEALED) - 1), st.binary(max_size=3))
def test_an_altered_bundle_is_refused_or_says_the_same(place: int, other: bytes) -> None:
    altered = SEALED[:place] + other + SEALED[place + 1 :]
    try:
        found = bundle.parse(altered).statement(KEY.public)
    except EvidenceError:
        return
    assert found == bundle.parse(SEALED).statement(KEY.public)


BAD_NAMES = ["../evil", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "", "a\\b", "a\nb", "a\0b", "a/./b", "\ud800"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_out_or_can_be_read_two_ways_are_refused(name: str) -> None:
    assert fault(name)
    digest = "00" * 32
    raw = Statement(name="m", resources=(Resource("a", digest),)).encode().replace(b'"name":"a"', b'"name":' + json.dumps(name).encode())
    with pytest.raises(EvidenceError):
        statement.decode(raw)


def test_statements_that_contradict_themselves_are_refused(model: Path) -> None:
    def twice(value: dict) -> None:
        value["predicate"]["resources"].append(value["predicate"]["resources"][0])

    def forms(value: dict) -> None:
        for name in ("é.bin", unicodedata.normalize("NFD", "é.bin")):
            value["predicate"]["resources"].append({"name": name, "algorithm": "sha256", "digest": "00" * 32})

    def subject(value: dict) -> None:
        value["subject"][0]["digest"]["sha256"] = "00" * 32

    def everything(value: dict) -> None:
        value["predicate"]["serialization"]["ignore_paths"] = ["."]

    def outside(value: dict) -> None:
        value["predicate"]["serialization"]["ignore_paths"] = ["../x"]

    def kind(value: dict) -> None:
        value["predicateType"] = "https://slsa.dev/provenance/v1"

    def algorithm(value: dict) -> None:
        value["predicate"]["resources"][0]["algorithm"] = "md5"

    said = {
        twice: "ambiguous",
        forms: "Unicode",
        subject: "contradicts",
        everything: "leaves out",
        outside: "leaves out",
        kind: "another kind",
    }
    for change, words in {**said, algorithm: "no sha256"}.items():
        value = stated(model)
        change(value)
        assert words in refused(envelope(json.dumps(value).encode())), change.__name__
    doubled = making.state(model).encode().replace(b'"predicateType"', b'"predicateType":"x","predicateType"', 1)
    assert "same key twice" in refused(envelope(doubled))
    assert "no JSON" in refused(envelope(b"[" * 100_000))


def test_another_unicode_form_of_a_name_is_another_file(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "é.bin").write_text("x")
    making.sign(folder, tmp_path / "s", KEY)
    (folder / "é.bin").rename(folder / unicodedata.normalize("NFD", "é.bin"))
    assert len(problems(folder, tmp_path / "s")) == 2
    (folder / "é.bin").write_text("x")
    assert any("Unicode form" in problem for problem in problems(folder, tmp_path / "s"))
    with pytest.raises(Refused, match="Unicode form"):
        making.state(folder)


def test_a_name_that_is_no_unicode_cannot_be_signed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.bin")).write_text("x")
    with pytest.raises(Refused, match="no Unicode"):
        making.state(tmp_path)


@given(st.lists(st.text(min_size=1, max_size=12), max_size=6))
def test_names_that_are_kept_are_relative_and_round_trip(names: list[str]) -> None:
    kept = [name for name in dict.fromkeys(names) if not fault(name) and name != "."]
    if collisions(kept):
        return
    made = Statement(name="m", resources=tuple(Resource(name, f"{i:064x}") for i, name in enumerate(kept)))
    assert sorted(statement.decode(made.encode()).files) == sorted(kept)
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in kept)


def test_times_are_trusted_only_when_asked(model: Path, signed: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache" / "digests")
    assert problems(model, signed, cache=cache) == []
    cache.save()
    target = model / "sub.x"
    before = target.stat()
    target.write_bytes(b"y")
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))  # the time set back; the change time gives it away
    assert problems(model, signed, cache=Cache(tmp_path / "cache" / "digests")) == ["'sub.x' is not what was signed"]
    assert problems(model, signed) == ["'sub.x' is not what was signed"]
    (tmp_path / "cache" / "digests").write_bytes(b"rubbish")
    assert problems(model, signed, cache=Cache(tmp_path / "cache" / "digests")) == ["'sub.x' is not what was signed"]


def test_the_files_of_a_listing_are_in_the_order_of_the_format(model: Path) -> None:
    assert list(listing(model, ignore=[".git"]).files) == ["shard-1.safetensors", "shard-2.safetensors", "sub/tokenizer.json", "sub.x"]
    with pytest.raises(InputError):
        listing(model / "nothing")
