"""Keys: whom their files are open to, how they hand over, and that a verifier can follow."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bartizan.evidence import Keyring, PublicKey, Signer, Store, verify_store
from bartizan.model.errors import EvidenceError

Make = Callable[..., Any]

# RFC 8032, section 7.1, test 2: secret key, public key, message, signature
RFC_8032 = (
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
)


def test_signatures_are_those_of_rfc_8032() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret, public, message, signature = map(bytes.fromhex, RFC_8032)
    signer = Signer(Ed25519PrivateKey.from_private_bytes(secret))
    assert signer.sign(message) == signature
    assert signer.public.der.endswith(public)
    assert signer.public.holds(signature, message)
    assert not signer.public.holds(signature, message + b" ")
    assert PublicKey.load(signer.public.pem()).id == PublicKey.load(signer.public.der).id == signer.id


def test_a_key_is_made_on_first_use_for_its_owner_alone(keyring: Keyring) -> None:
    before = os.umask(0)
    try:
        signer = keyring.signer()
    finally:
        os.umask(before)
    assert stat.S_IMODE(keyring.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((keyring.folder / "signing.pem").stat().st_mode) == 0o600
    assert (keyring.folder / "signing.pem").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert (keyring.folder / ".gitignore").read_text() == "*\n"
    assert keyring.signer().id == signer.id
    assert [(k.id, k.current) for k in keyring.public()] == [(signer.id, True)]
    assert sorted(p.name for p in keyring.folder.iterdir()) == [".gitignore", "public", "signing.pem"]


def test_looking_at_keys_makes_none(keyring: Keyring) -> None:
    assert keyring.public() == []
    assert not keyring.folder.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_private_key_that_others_can_read_is_refused(keyring: Keyring, mode: int) -> None:
    keyring.signer()
    (keyring.folder / "signing.pem").chmod(mode)
    with pytest.raises(EvidenceError, match=r"others can read the private key.*chmod 600"):
        keyring.signer()


def test_a_folder_that_others_can_write_to_is_refused(keyring: Keyring) -> None:
    keyring.signer()
    keyring.folder.chmod(0o777)
    with pytest.raises(EvidenceError, match="chmod 700"):
        keyring.signer()


def test_a_link_in_place_of_the_key_is_refused(keyring: Keyring, tmp_path: Path) -> None:
    keyring.signer()
    (keyring.folder / "signing.pem").rename(tmp_path / "elsewhere.pem")
    (keyring.folder / "signing.pem").symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(EvidenceError, match="a link"):
        keyring.signer()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\xff" * 100])
def test_a_damaged_key_is_one_line(keyring: Keyring, content: bytes) -> None:
    keyring.signer()
    (keyring.folder / "signing.pem").write_bytes(content)
    with pytest.raises(EvidenceError, match="not a private key"):
        keyring.signer()
    with pytest.raises(EvidenceError, match="not a public key"):
        PublicKey.load(content)


def test_keys_of_other_algorithms_are_refused() -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    other = X25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    private = other.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = other.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(EvidenceError, match="not an Ed25519 private key"):
        Signer.load(private, "x.pem")
    with pytest.raises(EvidenceError, match="not an Ed25519 public key"):
        PublicKey.load(public, "x.pem")


def test_processes_that_start_together_agree_on_one_key(keyring: Keyring) -> None:
    code = "import sys; from pathlib import Path; from bartizan.evidence import Keyring; print(Keyring(Path(sys.argv[1])).signer().id)"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(keyring.folder)], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert {p.communicate(timeout=60)[0].strip() for p in processes} == {keyring.signer().id}


def test_whoever_trusts_the_first_or_the_last_key_can_follow_the_rotations(
    folder: Path, keyring: Keyring, clock: Any, outcome: Make
) -> None:
    trusted = []
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        for number in range(1, 4):
            trusted.append(keyring.signer().public.pem())
            store.append(outcome(number, clock.move(hours=1)))
            new = store.rotate()
            assert keyring.signer().id == new.id
        store.append(outcome(4, clock.move(hours=1)))
        trusted.append(new.pem())
        assert len(store.evidence(verify=True)) == 4
    for key in trusted:
        assert verify_store(folder, key).problems == ()
    assert not verify_store(folder, Signer.generate().public.pem()).ok
    assert [k.current for k in keyring.public()] == [True, False, False, False]
    assert not (keyring.folder / "next.pem").exists()


def test_the_new_key_is_trusted_right_after_the_rotation(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        store.append(outcome(1, clock()))
    new = keyring.rotate()  # finds the store beside its folder
    assert verify_store(folder, new.public.pem()).ok
    assert verify_store(folder).entries == 2


def test_the_old_key_signs_nothing_after_it_handed_over(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    old = keyring.signer()
    with Store.open(folder, key=old, clock=clock) as store:
        store.append(outcome(1, clock()))
        store.rotate()
    stolen = Signer.load(old.pem(), "stolen")
    with pytest.raises(EvidenceError, match="does not sign this chain"):
        Store.open(folder, key=stolen)


def test_a_rotation_cut_short_is_finished_by_the_next_use(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        store.append(outcome(1, clock()))
        keyring._create(keyring._next)  # as `rotate` does, up to the moment before the files are renamed
        new = keyring._load(keyring._next)
        store.hand_over(new)
    assert keyring.signer().id != new.id
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        assert store.signer().id == new.id == keyring.signer().id
        store.append(outcome(2, clock.move(minutes=1)))
    assert verify_store(folder).ok


def test_a_second_process_follows_a_rotation_it_did_not_make(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    with Store.open(folder, key=keyring.signer(), clock=clock) as first:
        first.append(outcome(1, clock()))
        with Store.open(folder, key=keyring.signer(), clock=clock) as second:
            second.rotate()
        first.append(outcome(2, clock.move(minutes=1)))
    assert verify_store(folder).ok


def test_export_gives_the_public_half_alone(keyring: Keyring, tmp_path: Path) -> None:
    key = keyring.export(tmp_path / "key.pem")
    text = (tmp_path / "key.pem").read_text()
    assert text.startswith("-----BEGIN PUBLIC KEY-----")
    assert "PRIVATE" not in text
    assert key.id == keyring.signer().id
