"""The reference implementation of the format verifies what we sign, and we verify what it signs.

Runs where `model_signing` (PyPI: model-signing) is installed, or where BARTIZAN_MODEL_SIGNING names its program.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bartizan.areas.provenance.signing import making
from bartizan.areas.provenance.signing.keys import PublicKey, create
from bartizan.areas.provenance.signing.verifying import Verifier

PROGRAM = os.environ.get("BARTIZAN_MODEL_SIGNING") or shutil.which("model_signing")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="model-signing is not installed")]


def theirs(*words: object) -> subprocess.CompletedProcess[str]:
    assert PROGRAM
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name, data in {
        "a.bin": b"a" * 5_000_000,
        "sub/b.json": b"{}",
        "sub.x": b"x",
        "é.txt": b"e",
        "empty": b"",
        ".git/HEAD": b"x",
    }.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.mark.parametrize("algorithm", ["p256", "p384"])
@pytest.mark.parametrize("what", ["folder", "file", "link"])
def test_each_verifies_the_other(model: Path, tmp_path: Path, algorithm: str, what: str) -> None:
    key = create(tmp_path / "k.pem", algorithm)
    public = tmp_path / "k.pem.pub"
    links = what == "link"
    if links:
        (model / "link").symlink_to("a.bin")
    target = model / "a.bin" if what == "file" else model
    ours, other = tmp_path / "ours.sig", tmp_path / "theirs.sig"
    making.sign(target, ours, key, statement=making.state(target, signature=ours, allow_symlinks=links))
    flag = ["--allow_symlinks"] if links else []
    done = theirs("verify", "key", target, "--public_key", public, "--signature", ours, *flag)
    assert "Verification succeeded" in done.stdout, done.stderr
    done = theirs("sign", "key", target, "--private_key", tmp_path / "k.pem", "--signature", other, *flag)
    assert "Signing succeeded" in done.stdout, done.stderr
    verifier = Verifier.of_key(PublicKey.read(public), allow_symlinks=links)
    assert verifier.verify(target, other).ok
    (model / "a.bin").write_bytes(b"b" * 5_000_000)
    assert not verifier.verify(target, other).ok
    assert theirs("verify", "key", target, "--public_key", public, "--signature", ours, *flag).returncode == 1


@pytest.mark.parametrize(("method", "hash"), [("shards", "sha256"), ("shards", "blake2"), ("files", "blake2"), ("files", "blake3")])
def test_their_other_ways_of_listing_are_read(model: Path, tmp_path: Path, method: str, hash: str) -> None:
    assert PROGRAM
    create(tmp_path / "k.pem")
    size = "shard_size=1_000_000, " if method == "shards" else ""
    code = f"""import model_signing as m, pathlib
h = m.hashing.Config().use_{method[:-1]}_serialization({size}hashing_algorithm={hash!r}).set_ignored_paths(paths=[])
s = m.signing.Config().use_elliptic_key_signer(private_key={str(tmp_path / "k.pem")!r})
s.set_hashing_config(h).sign({str(model)!r}, {str(tmp_path / "s")!r})
"""
    python = Path(PROGRAM).with_name("python")
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    verifier = Verifier.of_key(PublicKey.read(tmp_path / "k.pem.pub"))
    assert verifier.verify(model, tmp_path / "s").problems == ()
    with (model / "a.bin").open("r+b") as file:
        file.seek(4_999_999)
        file.write(b"x")
    assert verifier.verify(model, tmp_path / "s").problems == ("'a.bin' is not what was signed",)
    (model / "a.bin").write_bytes(b"a" * 4_000_000)  # a whole shard cut off
    assert verifier.verify(model, tmp_path / "s").problems == ("'a.bin' is not what was signed",)
