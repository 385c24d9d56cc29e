"""Sealing: every cut, flip, swap and splice is refused, nothing half-written stays, keys rotate, memory stays flat."""

from __future__ import annotations

import base64
import http.server
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.adapters.wrapping_keys import LocalKey, wrapping_key
from bartizan.areas.provenance.sealing import MAGIC, SMALLEST, inspect, rewrap, seal, unseal
from bartizan.cli.app import run
from bartizan.model.errors import BartizanError, InputError, Refused

KEY = LocalKey(bytes(range(32)))
CONTENT = bytes(range(256)) * 50  # 12,800 bytes: three chunks and a part


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(CONTENT)
    seal(tmp_path / "weights", tmp_path / "weights.sealed", KEY, chunk=SMALLEST)
    return tmp_path / "weights.sealed"


def refused(path: Path, key: LocalKey = KEY) -> str:
    target = path.with_name("out")
    with pytest.raises(BartizanError) as caught:
        unseal(path, target, key)
    assert not target.exists()
    assert not list(path.parent.glob(".*.part"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("size", [0, 1, SMALLEST - 1, SMALLEST, SMALLEST + 1, 3 * SMALLEST, 20_000])
def test_what_was_sealed_comes_back(tmp_path: Path, size: int) -> None:
    (tmp_path / "w").write_bytes(CONTENT[:1] * size)
    seal(tmp_path / "w", tmp_path / "s", KEY, chunk=SMALLEST)
    unseal(tmp_path / "s", tmp_path / "back", KEY)
    assert (tmp_path / "back").read_bytes() == CONTENT[:1] * size
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_a_folder_comes_back_whole(tmp_path: Path) -> None:
    (tmp_path / "m" / "sub").mkdir(parents=True)
    (tmp_path / "m" / "a").write_bytes(CONTENT)
    (tmp_path / "m" / "sub" / "é").write_text("x")
    seal(tmp_path / "m", tmp_path / "s", KEY, chunk=SMALLEST)
    assert b"sub" not in (tmp_path / "s").read_bytes()
    unseal(tmp_path / "s", tmp_path / "back", KEY)
    assert (tmp_path / "back" / "a").read_bytes() == CONTENT
    assert (tmp_path / "back" / "sub" / "é").read_text() == "x"
    with pytest.raises(InputError, match="already"):
        unseal(tmp_path / "s", tmp_path / "back", KEY)
    data = bytearray((tmp_path / "s").read_bytes())
    data[-20] ^= 1
    (tmp_path / "s").write_bytes(data)
    assert "does not hold" in refused(tmp_path / "s")
    (tmp_path / "m" / "link").symlink_to("a")
    with pytest.raises(Refused, match="symbolic link"):
        seal(tmp_path / "m", tmp_path / "t", KEY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(st.data())
def test_no_flipped_bit_and_no_cut_passes(sealed: Path, data: st.DataObject) -> None:
    whole = sealed.read_bytes()
    copy = sealed.with_name("copy")
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        copy.write_bytes(whole[:place])
    else:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << data.draw(st.integers(0, 7))
        copy.write_bytes(flipped)
    refused(copy)


def test_no_flipped_bit_of_the_header_passes(sealed: Path) -> None:
    whole = sealed.read_bytes()
    copy = sealed.with_name("copy")
    for place in range(len(whole) - len(b"".join(chunks(sealed)[1]))):
        for bit in (0, 7):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit  # bit 7 makes text that is no UTF-8
            copy.write_bytes(flipped)
            refused(copy)


def chunks(sealed: Path) -> tuple[bytes, list[bytes]]:
    whole = sealed.read_bytes()
    size = SMALLEST + 16
    start = len(whole) - (3 * size + len(CONTENT) - 3 * SMALLEST + 16)
    return whole[:start], [whole[i : i + size] for i in range(start, len(whole), size)]


def test_chunks_cannot_be_dropped_moved_doubled_or_spliced(sealed: Path, tmp_path: Path) -> None:
    head, parts = chunks(sealed)
    assert [len(part) for part in parts] == [SMALLEST + 16] * 3 + [len(CONTENT) - 3 * SMALLEST + 16]
    seal(tmp_path / "weights", tmp_path / "other", KEY, chunk=SMALLEST)
    _, foreign = chunks(tmp_path / "other")
    arrangements = [
        parts[:3],
        parts[1:],
        [],
        [parts[1], parts[0], *parts[2:]],
        [parts[0], *parts],
        [*parts, parts[3]],
        [*parts[:3], foreign[3]],
        [foreign[0], *parts[1:]],
        [*parts, bytes(16)],
        [parts[3]],
    ]
    for arrangement in arrangements:
        (tmp_path / "copy").write_bytes(head + b"".join(arrangement))
        assert "does not hold at chunk" in refused(tmp_path / "copy")
    other_head, _ = chunks(tmp_path / "other")
    (tmp_path / "copy").write_bytes(other_head + b"".join(parts))
    refused(tmp_path / "copy")


def test_the_slot_of_another_file_and_a_changed_header_open_nothing(sealed: Path, tmp_path: Path) -> None:
    seal(tmp_path / "weights", tmp_path / "other", KEY, chunk=SMALLEST)
    one, two = sealed.read_bytes(), (tmp_path / "other").read_bytes()
    slot_one, slot_two = (data[data.index(b'{"data_key"') : data.index(b"}", data.index(b'{"data_key"')) + 1] for data in (one, two))
    (tmp_path / "copy").write_bytes(one.replace(slot_one, slot_two))
    assert "header was altered" in refused(tmp_path / "copy")
    (tmp_path / "copy").write_bytes(one.replace(b'"kind":"file"', b'"kind":"fold"'))
    assert "header is damaged" in refused(tmp_path / "copy")
    (tmp_path / "copy").write_bytes(one.replace(b'"chunk":4096', b'"chunk":8192'))
    assert "header was altered" in refused(tmp_path / "copy")
    (tmp_path / "copy").write_bytes(b"PK\3\4")
    assert "is no sealed file" in refused(tmp_path / "copy")
    (tmp_path / "copy").write_bytes(MAGIC + b"\xff\xff\xff\xff")
    assert "header is damaged" in refused(tmp_path / "copy")


def test_the_wrong_key_is_one_line_that_names_both(
    sealed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = LocalKey(bytes(32))
    assert KEY.id in refused(sealed, other)
    assert other.id in refused(sealed, other)
    monkeypatch.setenv("WEIGHTS", "00" * 32)
    assert run(["unseal", str(sealed), "-o", str(sealed.with_name("out")), "--key", "env:WEIGHTS"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "was sealed with the key" in said
    assert not sealed.with_name("out").exists()


def test_a_new_key_takes_over_without_touching_the_content(sealed: Path) -> None:
    new = LocalKey(secrets.token_bytes(32))
    before = chunks(sealed)[1]
    rewrap(sealed, KEY, new)
    assert inspect(sealed)[1] == new.id
    assert chunks(sealed)[1] == before
    refused(sealed)
    unseal(sealed, sealed.with_name("back"), new)
    assert sealed.with_name("back").read_bytes() == CONTENT


def test_two_sealings_of_the_same_share_nothing(sealed: Path, tmp_path: Path) -> None:
    seal(tmp_path / "weights", tmp_path / "other", KEY, chunk=SMALLEST)
    assert not set(chunks(sealed)[1]) & set(chunks(tmp_path / "other")[1])


def test_nothing_is_replaced_unless_asked(sealed: Path) -> None:
    with pytest.raises(InputError, match="already"):
        unseal(sealed, sealed.with_name("weights"), KEY)
    unseal(sealed, sealed.with_name("weights"), KEY, replace=True)


def test_keys_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = wrapping_key(str(tmp_path / "k"), create=True)
    assert wrapping_key(str(tmp_path / "k")).id == made.id
    (tmp_path / "raw").write_bytes(bytes(range(32)))
    (tmp_path / "raw").chmod(0o600)
    assert wrapping_key(str(tmp_path / "raw")).id == KEY.id
    monkeypatch.setenv("W", base64.b64encode(bytes(range(32))).decode())
    assert wrapping_key("env:W").id == KEY.id
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(Refused, match="others can read"):
        wrapping_key(str(tmp_path / "k"))
    for spec in ("env:NOTHING", str(tmp_path / "nothing"), "vault+http://vault.example/transit/k", "https://x/y", "vault+https://x/y"):
        monkeypatch.setenv("VAULT_TOKEN", "t")
        with pytest.raises(InputError):
            wrapping_key(spec)
    monkeypatch.setenv("W", "short")
    with pytest.raises(InputError, match="holds no key"):
        wrapping_key("env:W")


class Transit(http.server.BaseHTTPRequestHandler):
    """The encrypt and decrypt calls of the Transit engine, as its API documentation has them."""

    key = AESGCM(bytes(32))
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["X-Vault-Token"] != "good":
            return self.answer(403, {"errors": ["permission denied"]})
        data = base64.b64decode(given["associated_data"])
        if self.path == "/v1/transit/encrypt/weights":
            nonce = secrets.token_bytes(12)
            made = nonce + self.key.encrypt(nonce, base64.b64decode(given["plaintext"]), data)
            return self.answer(200, {"data": {"ciphertext": "vault:v1:" + base64.b64encode(made).decode()}})
        if self.path == "/v1/transit/decrypt/weights":
            held = base64.b64decode(given["ciphertext"].removeprefix("vault:v1:"))
            try:
                plain = self.key.decrypt(held[:12], held[12:], data)
            except InvalidTag:
                return self.answer(400, {"errors": ["cipher: message authentication failed"]})
            return self.answer(200, {"data": {"plaintext": base64.b64encode(plain).decode()}})
        return self.answer(404, {"errors": []})

    def answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Transit)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"vault+http://127.0.0.1:{server.server_port}/transit/weights"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_key_service_wraps_and_unwraps(tmp_path: Path, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "good")
    (tmp_path / "w").write_bytes(CONTENT)
    key = wrapping_key(service)
    seal(tmp_path / "w", tmp_path / "s", key)
    assert inspect(tmp_path / "s")[1] == "vault:127.0.0.1/transit/weights"
    unseal(tmp_path / "s", tmp_path / "back", key)
    assert (tmp_path / "back").read_bytes() == CONTENT
    seal(tmp_path / "w", tmp_path / "t", key)
    one, two = (tmp_path / "s").read_bytes(), (tmp_path / "t").read_bytes()
    slots = [data[data.index(b'{"data_key"') : data.index(b"}", data.index(b'{"data_key"')) + 1] for data in (one, two)]
    (tmp_path / "u").write_bytes(one.replace(*slots))
    with pytest.raises(Refused, match="header was altered"):
        unseal(tmp_path / "u", tmp_path / "out", key)
    monkeypatch.setenv("VAULT_TOKEN", "bad")
    with pytest.raises(InputError, match="VAULT_TOKEN"):
        unseal(tmp_path / "s", tmp_path / "out", wrapping_key(service))
    monkeypatch.setenv("VAULT_TOKEN", "good")
    other = wrapping_key(service + "-other")
    with pytest.raises(InputError, match="404"):
        seal(tmp_path / "w", tmp_path / "v", other)
    assert not (tmp_path / "v").exists()
    with pytest.raises(InputError, match="does not answer"):
        wrapping_key("vault+http://127.0.0.1:9/transit/weights").wrap(bytes(32), b"")


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    with (tmp_path / "w").open("wb") as file:
        file.truncate(192 * 1024 * 1024)
    code = (
        "import resource, sys; from pathlib import Path; from bartizan.adapters.wrapping_keys import LocalKey\n"
        "from bartizan.areas.provenance.sealing import seal, unseal\n"
        "p = Path(sys.argv[1]); k = LocalKey(bytes(32)); (p / 'x').write_bytes(b'1')\n"
        "seal(p / 'x', p / 'y', k); unseal(p / 'y', p / 'z', k)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "seal(p / 'w', p / 's', k); unseal(p / 's', p / 'back', k)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, env={**os.environ})
    assert int(done.stdout) <= 24  # MiB, of 192
    assert (tmp_path / "back").stat().st_size == 192 * 1024 * 1024
