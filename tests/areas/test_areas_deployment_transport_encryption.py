"""TLS on a declared address: real handshakes with a trusted, an unknown, a foreign and an expired certificate, and with none."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bartizan.engine import registry
from bartizan.engine.runner import run_job
from bartizan.model.findings import Finding, Job, Verdict
from bartizan.model.system import Asset, Kind
from bartizan.testing.checks import contract

CHECK = "deployment.transport_encryption"


def certificate(folder: Path, name: str, *, address: str = "127.0.0.1", days: int = 30) -> Path:
    """A self-signed certificate for `address` and its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{name}.pem"
    path.write_bytes(pem)
    return path


@pytest.fixture
def serve() -> Iterator[Callable[[Path | None], int]]:
    """Starts a server on loopback that shakes hands with the given certificate, or talks clear text; gives its port."""
    stop: list[socket.socket] = []

    def start(pem: Path | None) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        stop.append(server)

        def answer() -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            if pem is not None:
                context.load_cert_chain(pem)
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    try:
                        if pem is None:
                            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        else:
                            context.wrap_socket(connection, server_side=True).close()
                    except OSError:
                        continue

        threading.Thread(target=answer, daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in stop:
        server.close()


def finding(url: str) -> Finding:
    job = Job(check=CHECK, version="1", threats=("output-tampering",), subject=Asset(id="api", kind=Kind.ENDPOINT, url=url))
    (only,) = run_job(job).findings
    return only


def test_a_trusted_certificate_passes(tmp_path: Path, serve: Callable[[Path | None], int], monkeypatch: pytest.MonkeyPatch) -> None:
    pem = certificate(tmp_path, "good")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    found = finding(f"https://127.0.0.1:{serve(pem)}/score")
    assert found.verdict is Verdict.PASS, found
    assert "TLSv1." in found.title


@pytest.mark.parametrize(("address", "days", "trusted"), [("127.0.0.1", 30, False), ("127.0.0.2", 30, True), ("127.0.0.1", -1, True)])
def test_an_unknown_a_foreign_and_an_expired_certificate_fail(
    address: str, days: int, trusted: bool, tmp_path: Path, serve: Callable[[Path | None], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = certificate(tmp_path, "bad", address=address, days=days)
    other = certificate(tmp_path, "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(pem if trusted else other))
    found = finding(f"https://127.0.0.1:{serve(pem)}/score")
    assert found.verdict is Verdict.FAIL
    assert "does not verify" in found.title


def test_clear_text_behind_an_https_address_fails(serve: Callable[[Path | None], int]) -> None:
    assert finding(f"https://127.0.0.1:{serve(None)}/score").verdict is Verdict.FAIL


def test_a_clear_text_address_fails_without_a_request_but_not_on_loopback() -> None:
    assert finding("http://scores.example.com/score").verdict is Verdict.FAIL
    assert finding("http://127.0.0.1:8080/score").verdict is Verdict.UNKNOWN


def test_no_answer_and_no_consent_are_unknown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert finding(f"https://127.0.0.1:{port}/").verdict is Verdict.UNKNOWN
    refused = finding("https://scores.example.com/score")
    assert refused.verdict is Verdict.UNKNOWN
    assert "--probe scores.example.com" in refused.title


def test_it_keeps_the_contract_of_checks() -> None:
    contract(registry.get(CHECK))
