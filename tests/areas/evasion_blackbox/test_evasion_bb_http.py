"""Endpoints over real HTTP on loopback: labels and probabilities, rate, retries, hostile answers, exact counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from bartizan.adapters.http_models import Endpoint, HttpModel
from bartizan.areas.evasion.blackbox.attacks import black_box
from bartizan.model.errors import InputError, Refused

Answer = Callable[[Any], tuple[int, dict[str, str], bytes]]


class Service:
    """A server whose answer to the next request is what `answer` makes of its decoded body; it counts requests."""

    def __init__(self) -> None:
        self.answer: Answer = lambda body: (200, {}, b"{}")
        self.requests = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536

            def do_POST(self) -> None:
                service.requests += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, headers, content = service.answer(body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/predict"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def told(predictions: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"predictions": predictions}).encode()


def probability(row: list[float]) -> float:
    return float(1 / (1 + np.exp(-8 * (sum(row) - 1.0))))


X = np.random.default_rng(0).random((12, 2))
Y = (X.sum(axis=1) > 1).astype(int)


@pytest.mark.parametrize("attack", ["hopskipjump", "signopt", "boundary", "square"])
def test_attacks_on_an_endpoint_find_the_boundary_within_their_budget(service: Service, attack: str) -> None:
    asked = 0

    def answer(body: Any) -> tuple[int, dict[str, str], bytes]:
        nonlocal asked
        asked += len(body["instances"])
        assert len(body["instances"]) <= 50
        if attack == "square":
            return told([[1 - (p := probability(row)), p] for row in body["instances"]])
        return told([int(probability(row) > 0.5) for row in body["instances"]])

    service.answer = answer
    gives = "probabilities" if attack == "square" else "labels"
    model = HttpModel(Endpoint(url=service.url, gives=gives, batch=50, per_second=1e6), (2,))
    hunt = black_box(model, X, Y, attack=attack, norm="l2", eps=1.5, queries=120)
    model.close()
    assert asked == hunt.queries.sum() == model.forwards
    assert service.requests == model.requests
    assert hunt.found.mean() >= 0.9
    if attack != "square":
        exact = np.abs(X.sum(axis=1) - 1) / np.sqrt(2)
        assert np.median(hunt.distance / exact) <= 1.1


def test_declared_shapes_of_request_and_answer(service: Service) -> None:
    def answer(body: Any) -> tuple[int, dict[str, str], bytes]:
        assert body["model"] == "v2"
        assert set(body["rows"][0]) == {"a", "b"}
        names = [{"label": "high" if row["a"] + row["b"] > 1 else "low", "id": 1} for row in body["rows"]]
        return 200, {}, json.dumps({"data": [{"out": names}]}).encode()

    service.answer = answer
    endpoint = Endpoint(
        url=service.url, labels=("low", "high"), rows_at="rows", columns=("a", "b"), constant={"model": "v2"},
        answers_at="data.0.out", answer_at="label", per_second=1e6,
    )  # fmt: skip
    model = HttpModel(endpoint, (2,))
    assert (model.decide(X) == Y).all()
    model.close()


def test_the_rate_is_kept_and_haste_is_retried_after_the_time_asked(service: Service) -> None:
    now, waits = [0.0], []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    statuses = [429, 503, 200, 200]
    service.answer = lambda body: (
        (status, {"Retry-After": "7"}, b"") if (status := statuses.pop(0)) != 200 else told([0] * len(body["instances"]))
    )
    model = HttpModel(Endpoint(url=service.url, batch=6, per_second=2.0), (2,), clock=lambda: now[0], sleep=sleep)
    model.logits(X)
    model.close()
    assert model.requests == 4
    assert waits == pytest.approx([7.0, 7.0, 0.5])
    assert model.forwards == len(X)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {}, b"x" * 5000), "more than 2000 bytes"),
        ((200, {}, b"[" * 1900), "no JSON"),
        ((200, {}, b'{"predictions": [0]}'), "1 answers"),
        ((200, {}, b'{"predictions": "no"}'), "no list"),
        ((200, {}, json.dumps({"predictions": ["high"] * 12}).encode()), "whole number"),
        ((200, {}, json.dumps({"predictions": [99999999999999999999] * 12}).encode()), "labels"),
        ((200, {}, json.dumps({"predictions": [7] * 12}).encode()), "beyond 2 classes"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "status 302"),
        ((403, {}, b""), "status 403"),
        ((429, {"Retry-After": "86400"}, b""), "86400 s"),
    ],
)
def test_hostile_answers_are_errors_that_name_the_endpoint(service: Service, answer: Any, message: str) -> None:
    service.answer = lambda body: answer
    model = HttpModel(Endpoint(url=service.url, per_second=1e6, most_bytes=2000), (2,), sleep=lambda seconds: None)
    with pytest.raises(InputError, match=message) as raised:
        model.logits(X)
    assert "127.0.0.1" in str(raised.value)
    assert service.requests == 1
    model.close()


def test_retries_are_bounded_and_foreign_hosts_refused(service: Service) -> None:
    service.answer = lambda body: (500, {}, b"")
    model = HttpModel(Endpoint(url=service.url, retries=2, per_second=1e6), (2,), sleep=lambda seconds: None)
    with pytest.raises(InputError, match="status 500"):
        model.logits(X)
    model.close()
    assert service.requests == 3
    with pytest.raises(Refused, match="another machine"):
        HttpModel(Endpoint(url="http://example.com/predict"), (2,))
    with pytest.raises(InputError, match="no http address"):
        HttpModel(Endpoint(url="file:///etc/passwd"), (2,))
