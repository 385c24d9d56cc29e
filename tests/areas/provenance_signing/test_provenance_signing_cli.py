"""`bartizan sign`, `verify`, `seal`, `unseal` at the command line: exit codes, one-line errors, the signature found beside."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from bartizan.cli.app import run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.bin").write_bytes(b"a")
    assert run(["sign", "model", "--key", "k.pem", "--new-key", "p256"]) == 0
    return tmp_path


@pytest.mark.parametrize("options", [[], ["--fast"], ["--trust-mtime"], ["--signature", "model.sig"]])
def test_a_signed_folder_holds_until_it_is_changed(place: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    words = ["verify", "model/", "--key", "k.pem.pub", *options]
    assert run(words) == 0
    assert "is what was signed" in capsys.readouterr().out
    (place / "model" / "b.bin").write_bytes(b"b")
    assert run(words) == 1
    assert "'b.bin' was not signed" in capsys.readouterr().out
    assert run([*words, "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"] == ["'b.bin' was not signed"]


def test_the_wrong_key_is_exit_code_one_and_no_key_two(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "other").write_bytes(b"x")
    assert run(["sign", "other", "--key", "o.pem", "--new-key", "ed25519"]) == 0
    capsys.readouterr()
    assert run(["verify", "model", "--key", "o.pem.pub"]) == 1
    assert "another key" in capsys.readouterr().out
    assert run(["verify", "model", "--key", "o.pem.pub", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    for words in (
        ["verify", "model"],
        ["verify", "model", "--key", "k.pem"],
        ["verify", "model", "--key", "k.pem.pub", "--identity", "me"],
        ["verify", "model", "--key", "k.pem.pub", "--root", "."],
        ["verify", "other", "--signature", "o.pem.pub", "--identity", "me"],
        ["sign", "model"],
        ["sign", "model", "--key", "missing.pem"],
        ["sign", "model", "--key", "k.pem", "--keyless"],
        ["sign", "model", "--key", "k.pem", "--ignore", "../x"],
        ["sign", "model", "--key", "k.pem", "--password-env", "NOTHING_THERE"],
        ["verify", "cache" if (place / "cache").exists() else "."],
    ):
        assert run(words) == 2, words
        assert capsys.readouterr().err.count("\n") == 1
    (place / "model.sig").write_text("{}")
    assert run(["verify", "model", "--key", "k.pem.pub"]) == 1


@pytest.mark.skipif(importlib.util.find_spec("sigstore") is not None, reason="the extra is installed")
def test_without_the_extra_keyless_says_how_to_get_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sign", "model", "--keyless"]) == 2
    assert run(["verify", "model", "--identity", "me@example.org", "--issuer", "https://accounts.example.org"]) == 2
    said = capsys.readouterr().err
    assert said.count("pip install 'bartizan[sigstore]'") == 2


def test_a_folder_is_signed_by_its_own_name_from_inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place / "model")
    assert run(["sign", ".", "--key", "../k.pem", "-o", "model.sig"]) == 0
    assert run(["verify", ".", "--key", "../k.pem.pub"]) == 0
    assert run(["sign", ".", "--key", "../k.pem"]) == 0
    assert (place / "model.sig").exists()


def test_sealing_and_unsealing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["seal", "model", "--key", "w.key", "--new-key"]) == 0
    assert (place / "w.key").stat().st_mode & 0o777 == 0o600
    assert run(["seal", "model", "--key", "w.key"]) == 2
    assert "already" in capsys.readouterr().err
    assert run(["seal", "model", "--key", "w.key", "--force"]) == 0
    assert run(["seal", "model.sealed", "--key", "w.key", "--rewrap", "w2.key", "--new-key"]) == 0
    assert run(["unseal", "model.sealed", "-o", "back", "--key", "w.key"]) == 2
    assert run(["unseal", "model.sealed", "-o", "back", "--key", "w2.key"]) == 0
    assert (place / "back" / "a.bin").read_bytes() == b"a"
    assert run(["unseal", "model/a.bin", "--key", "w2.key"]) == 2
