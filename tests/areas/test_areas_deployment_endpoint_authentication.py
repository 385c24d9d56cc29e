"""Live probes of real servers on loopback: what an answer proves, what it does not, and that hostile servers end."""

import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.requests import Request

from bartizan.areas.deployment.http_client import MAX_BODY, Client, NoAnswer, Origin, Spent, split
from bartizan.areas.deployment.operations import Operation, documented, inference
from bartizan.engine import registry
from bartizan.model.errors import InputError, Place
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Asset, Kind, System
from bartizan.testing.checks import contract

CHECK = "deployment.endpoint_authentication"
KEY = "the-right-key"
MISSING = {"detail": [{"type": "missing", "loc": ["body", "age"], "msg": "Field required"}]}

Answering = Callable[[BaseHTTPRequestHandler, bytes], tuple[int, object]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answering], tuple[str, list[str]]]]:
    """Start a server that answers by a function of (request, body); returns its address and the list of what it was asked."""
    servers: list[ThreadingHTTPServer] = []

    def start(answering: Answering, context: ssl.SSLContext | None = None) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked.append(f"{self.command} {self.path} {body.decode()}".strip())
                status, content = answering(self, body)
                if status < 0:
                    return
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if data.startswith(b"<") else "application/json")
                if status in (301, 302, 307, 308):
                    self.send_header("Location", str(content))
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _reply

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def document(*paths: str, security: object = None, method: str = "post", **more: object) -> dict[str, object]:
    schema = {"type": "object", "required": ["age"]}
    operation = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/In"}}}}, **more}
    if security is not None:
        operation["security"] = security
    return {"openapi": "3.1.0", "paths": {p: {method: operation} for p in paths}, "components": {"schemas": {"In": schema}}}


def probed(run_check, url: str, **values: object) -> Finding:
    [finding] = run_check(CHECK, Asset(id="api", kind=Kind.ENDPOINT, url=url, at=Place("bartizan.yaml", 9)))
    assert finding.places == (Place("bartizan.yaml", 9),)
    assert finding.verdict is Verdict.PASS or "probability_cap" not in finding.details
    return finding


def keyed(request: BaseHTTPRequestHandler) -> bool:
    return request.headers.get("X-API-Key") == KEY


def only(path: str, answering: Answering) -> Answering:
    return lambda request, body: answering(request, body) if request.path == path else (404, {"detail": "Not Found"})


def test_an_open_service_fails(serve, run_check) -> None:
    url, asked = serve(only("/predict", lambda r, b: (200, {"score": 0.4})))
    finding = probed(run_check, url + "/predict")
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
    assert "POST /predict (200)" in finding.why
    assert (finding.measures[0].k, finding.measures[0].n, finding.measures[0].role) == (1, 1, "")
    assert {line.split()[0] for line in asked} <= {"GET", "POST"}
    assert all(line.endswith("{}") for line in asked if line.startswith("POST"))


def test_a_service_with_a_key_passes(serve, run_check) -> None:
    url, _ = serve(only("/predict", lambda r, b: (200, {"score": 1}) if keyed(r) else (401, {"detail": "no"})))
    finding = probed(run_check, url + "/predict")
    assert finding.verdict is Verdict.PASS
    assert finding.details["probability_cap"] == 0.05


def test_a_service_that_takes_any_key_fails(serve, run_check) -> None:
    url, _ = serve(only("/predict", lambda r, b: (200, {"score": 1}) if r.headers.get("X-API-Key") else (401, {})))
    finding = probed(run_check, url + "/predict")
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
    assert "made-up credential was accepted" in finding.why


def test_a_service_that_validates_any_bearer_fails(serve, run_check) -> None:
    url, _ = serve(only("/predict", lambda r, b: (422, MISSING) if r.headers.get("Authorization") else (403, {})))
    assert probed(run_check, url + "/predict").details["operations"][0]["proof"] == "any-key"


def test_a_malformed_token_told_apart_from_input(serve, run_check) -> None:
    """Some libraries answer 422 or 400 for a token that is none: that is no acceptance, and no refusal by 401 either."""
    url, _ = serve(only("/predict", lambda r, b: (422, {"msg": "Not enough segments"}) if r.headers.get("Authorization") else (401, {})))
    assert probed(run_check, url + "/predict").verdict is Verdict.UNKNOWN


def test_validation_without_authentication_fails_by_the_document(serve, run_check) -> None:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        if request.path == "/openapi.json":
            return 200, document("/score")
        return (422, MISSING) if request.path == "/score" and request.command == "POST" else (404, {"detail": "Not Found"})

    url, _ = serve(answer)
    finding = probed(run_check, url)
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.HIGH)
    assert finding.details["exposed"] == ["/openapi.json"]
    assert "/openapi.json" in finding.why


@pytest.mark.parametrize("documents", [True, False])
def test_validation_before_authentication_is_a_lesser_failure(serve, run_check, documents: bool) -> None:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        if request.path == "/openapi.json" and documents:
            return 200, document("/score", security=[{"key": []}])
        return (422, MISSING) if request.path == "/score" and request.command == "POST" else (404, {"detail": "Not Found"})

    url, _ = serve(answer)
    finding = probed(run_check, url + "/score")
    assert (finding.verdict, finding.severity) == (Verdict.FAIL, Severity.MEDIUM)
    assert "was not tried" in finding.why


def test_a_required_header_that_is_missing_is_a_refusal(serve, run_check) -> None:
    """FastAPI answers 422 where a required header parameter is missing: that asks for the credential."""
    lacking = {"detail": [{"loc": ["header", "x-api-key"]}, {"loc": ["body", "age"]}]}
    url, _ = serve(only("/score", lambda r, b: (401, {}) if r.headers.get("X-API-Key") else (422, lacking)))
    assert probed(run_check, url + "/score").verdict is Verdict.PASS
    url, _ = serve(only("/score", lambda r, b: (422, lacking)))
    assert probed(run_check, url + "/score").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (404, {}),
        (405, {}),
        (500, {}),
        (503, {}),
        (429, {}),
        (400, {"error": "invalid api key"}),
        (200, {"error": "login first"}),
        (200, b"<html>"),
    ],
)
def test_answers_that_prove_nothing(serve, run_check, status: int, content: object) -> None:
    url, _ = serve(only("/predict", lambda r, b: (status, content)))
    finding = probed(run_check, url + "/predict")
    assert finding.verdict is Verdict.UNKNOWN
    assert "url" in finding.remedy


@pytest.mark.parametrize("status", [200, 400])
def test_a_server_that_answers_everything_alike_proves_nothing(serve, run_check, status: int) -> None:
    url, _ = serve(lambda r, b: (status, {"hello": "world"}))
    assert probed(run_check, url + "/predict").verdict is Verdict.UNKNOWN


def test_a_guard_before_everything_passes_without_a_document(serve, run_check) -> None:
    url, _ = serve(lambda r, b: (401, {}))
    assert probed(run_check, url).verdict is Verdict.PASS


def test_the_root_alone_proves_nothing(serve, run_check) -> None:
    url, _ = serve(lambda r, b: (200, {"welcome": 1}) if r.path == "/" and r.command == "GET" else (404, {}))
    finding = probed(run_check, url)
    assert finding.verdict is Verdict.UNKNOWN


def test_one_open_operation_among_guarded_ones_is_counted(serve, run_check) -> None:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        if request.path == "/openapi.json":
            return 200, document("/a", "/b", "/v1/{model}/predict", "/health", "/reset", security=[{"k": []}])
        return {"/b": (422, MISSING), "/a": (401, {}), "/v1/0/predict": (401, {})}.get(request.path, (404, {}))

    url, asked = serve(answer)
    finding = probed(run_check, url)
    assert finding.verdict is Verdict.FAIL
    assert "1 of 3 operations" in finding.title
    assert not [line for line in asked if "reset" in line or line.startswith("POST /health")]


def test_more_operations_than_are_tried_are_inconclusive(serve, run_check) -> None:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        if request.path == "/openapi.json":
            return 200, document(*(f"/m{i}/predict" for i in range(30)))
        return (404, {}) if request.command == "GET" else (401, {})

    url, asked = serve(answer)
    finding = probed(run_check, url)
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.needed == 30 - finding.measures[0].n > 0
    assert len(asked) <= 40


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_redirects_to_another_host_are_not_followed(serve, run_check, code: int) -> None:
    other, asked = serve(lambda r, b: (200, {"score": 1}))
    url, _ = serve(only("/predict", lambda r, b: (code, other + "/predict")))
    assert probed(run_check, url + "/predict").verdict is Verdict.UNKNOWN
    assert not asked


def test_a_redirect_to_the_same_host_is_followed_once(serve, run_check) -> None:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, object]:
        return {"/score": (307, "/score/"), "/score/": (200, {"s": 1}), "/loop": (307, "/loop?")}.get(request.path, (404, {}))

    url, _ = serve(answer)
    assert probed(run_check, url + "/score").verdict is Verdict.FAIL
    assert probed(run_check, url + "/loop").verdict is Verdict.UNKNOWN


def test_a_refused_connection_says_what_to_start(run_check) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    finding = probed(run_check, f"http://127.0.0.1:{port}/predict")
    assert finding.verdict is Verdict.UNKNOWN
    assert "connection refused" in finding.title
    assert finding.remedy == f"Start the service at http://127.0.0.1:{port}/predict and run again."


def test_no_tls_where_https_is_declared(serve, run_check) -> None:
    url, _ = serve(lambda r, b: (200, {}))
    finding = probed(run_check, url.replace("http://", "https://"))
    assert finding.verdict is Verdict.UNKNOWN
    assert "TLS" in finding.title


def raw(*parts: bytes, every: float = 0.0) -> Iterator[int]:
    """A server that writes `parts` over and over to whoever connects, whatever is asked."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(1000)
                for part in parts:
                    connection.sendall(part)
                    if stop.wait(every):
                        return
            except OSError:
                return

    def accept() -> None:
        while not stop.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        stop.set()
        server.close()


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\nX: ", *[b"a"] * 1000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", *[b"a"] * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\na\r\n"] * 1000),
    ],
)
def test_a_server_that_drips_is_left_in_time(parts: tuple[bytes, ...]) -> None:
    for port in raw(*parts, every=0.05):
        client = Client(Origin("http", "127.0.0.1", port), seconds=0.6, each=0.4)
        begun = time.monotonic()
        try:
            assert not client.ask("GET", "/").whole
        except NoAnswer as error:
            assert "no answer in time" in str(error)  # noqa: PT017 - headers that never end give no answer, a body that drips a partial one
        with pytest.raises((NoAnswer, Spent)):
            [client.ask("POST", "/", body=b"{}") for _ in range(40)]
        assert time.monotonic() - begun < 1.5


@pytest.mark.parametrize(
    "answer",
    [
        b"\xff" * 100_000,
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc",
        b"",
    ],
)
def test_garbage_is_no_answer_or_a_partial_one(answer: bytes) -> None:
    for port in raw(answer):
        client = Client(Origin("http", "127.0.0.1", port), seconds=2, each=1)
        try:
            assert client.ask("GET", "/").status == 200
        except NoAnswer as error:
            assert "\n" not in str(error)  # noqa: PT017 - either is fine, anything else is not


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{"openapi": "3", "paths": ' + b'{"a":' * 30_000,
        b'{"openapi": "3.0", "paths": {"/x": ' + b"1" * 5_000 + b"}}",
        b"x" * (MAX_BODY + 10),
        b'{"paths": [], "openapi": 1}',
        b'{"swagger": 2, "paths": {"/ask": {"post": {"requestBody": {"$ref": "#/paths"}}, "parameters": 3}, "x": 1, "//a/predict": []}}',
        b"null",
        b"\xff\xfe",
    ],
)
def test_hostile_documents_end_in_a_verdict(serve, run_check, content: bytes) -> None:
    url, _ = serve(lambda r, b: (200, content) if r.path == "/openapi.json" else (404, {}))
    begun = time.process_time()
    assert probed(run_check, url + "/predict").verdict is Verdict.UNKNOWN
    assert time.process_time() - begun < 3


def test_paths_of_a_document_cannot_split_a_request(serve) -> None:
    url, asked = serve(lambda r, b: (200, {}))
    origin, _ = split(url, None)
    Client(origin).ask("GET", "//evil.example/a b\r\nX: y\u00e9?q#f")
    assert asked == ["GET /evil.example/a%20b%0D%0AX:%20y%C3%A9%3Fq%23f"]


def test_operations_of_a_document() -> None:
    data: dict[str, Any] = document("/score", "/train", security=[])
    data["servers"] = [{"url": "https://example.org/api/"}]
    data["security"] = [{"key": []}]
    data["paths"]["/predict"] = {"get": {}, "delete": {}, "post": {"parameters": [{"in": "header", "name": "X-API-Key"}], "security": []}}
    data["paths"]["/infer"] = {"post": {}}
    data["paths"]["/optional"] = {"post": {}}
    data["paths"]["/metrics"] = {"get": {}}
    assert documented(json.dumps(data).encode()) == [
        Operation("POST", "/api/infer", True),
        Operation("POST", "/api/predict", True),
        Operation("POST", "/api/score", False),
        Operation("GET", "/api/predict", True),
    ]


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/predict", "/invocations", "/v2/models/m/infer", "/embeddings", "/models/m:predict"]
)
def test_paths_that_name_inference(path: str) -> None:
    assert inference(path)


@pytest.mark.parametrize("url", ["ftp://a/b", "http://", "http://u:p@a/b", "http://a:99999/b", "http://[::1/b", "/x"])
def test_addresses_that_are_not_probed(run_check, url: str) -> None:
    with pytest.raises(InputError) as error:
        probed(run_check, url)
    assert error.value.place == Place("bartizan.yaml", 9)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    today = dt.datetime.now(dt.UTC)
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    built = built.not_valid_before(today - dt.timedelta(days=1)).not_valid_after(today + dt.timedelta(days=1))
    built = built.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    signed = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(signed.public_bytes(pem) + private)
    return file


def test_tls_is_verified(serve, run_check, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    url, asked = serve(only("/predict", lambda r, b: (200, {"score": 0.4})), context)
    url = url.replace("http://", "https://") + "/predict"
    finding = probed(run_check, url)
    assert finding.verdict is Verdict.UNKNOWN
    assert "certificate cannot be verified" in finding.title
    assert not asked
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert probed(run_check, url).verdict is Verdict.FAIL


@pytest.fixture(scope="module")
def fastapi_service() -> Iterator[str]:
    """A real FastAPI application with one open operation below /open and the same behind a key below /closed and in the handler."""

    class In(BaseModel):
        age: int

    key = APIKeyHeader(name="X-API-Key")

    def asked_for(given: str = Security(key)) -> None:
        if given != KEY:
            raise HTTPException(403)

    def score(given: In) -> dict[str, int]:
        return {"score": given.age}

    def score_late(given: In, request: Request) -> dict[str, int]:
        if request.headers.get("x-api-key") != KEY:
            raise HTTPException(401)
        return {"score": given.age}

    app = FastAPI()
    for name, function, needed in (("open", score, []), ("closed", score, [Depends(asked_for)]), ("late", score_late, [])):
        part = FastAPI()
        part.post("/score", dependencies=needed)(function)
        app.mount(f"/{name}", part)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(5)


@pytest.mark.parametrize(
    ("name", "verdict", "severity"),
    [
        ("open", Verdict.FAIL, Severity.HIGH),
        ("closed", Verdict.PASS, Severity.INFO),
        ("late", Verdict.FAIL, Severity.HIGH),
    ],
)
def test_real_services_of_fastapi(run_check, fastapi_service: str, name: str, verdict: Verdict, severity: Severity) -> None:
    """`late` asks for the key in the handler and says nothing of it in its document: by what is seen it judges a stranger's input."""
    finding = probed(run_check, f"{fastapi_service}/{name}")
    assert (finding.verdict, finding.severity) == (verdict, severity)
    assert finding.details["documented"]


def test_applies_only_with_an_http_address() -> None:
    applies = registry.get(CHECK).applies
    assert applies is not None
    assert [applies(Asset(id="a", kind=Kind.ENDPOINT, url=url), System) for url in ("https://a", "grpc://a", None)] == [True, False, False]


def test_keeps_the_contract(serve) -> None:
    described = registry.get(CHECK)
    opened, _ = serve(only("/predict", lambda r, b: (200, {"score": 0.4})))
    closed, _ = serve(lambda r, b: (401, {}))
    jobs = [
        Job(check=CHECK, version="1", threats=described.threats, subject=Asset(id="a", kind=Kind.ENDPOINT, url=url))
        for url in (opened + "/predict", closed, "http://127.0.0.1:1/predict")
    ]
    assert [o.findings[0].verdict for o in contract(described, jobs)] == [Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN]
