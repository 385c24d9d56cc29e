"""Black-box checks: weak models and endpoints are flipped with the questions that callers have, robust ones are not, quotas bind or not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from bartizan import manifest
from bartizan.engine import planner, registry
from bartizan.model.errors import InputError
from bartizan.model.findings import Verdict
from bartizan.model.inputs import Constraints, Inference
from bartizan.model.system import Actor, ActorBudget, Asset, Dataset, Kind, Output, Quota, Stage, Task
from bartizan.model.threats import ThreatInstance, ThreatModel

ABOUT = [("black-box-evasion", "m")]


class Service:
    """An endpoint whose answer to a decoded body is what `answer` makes of it; after `quota` requests it answers 429."""

    def __init__(self, answer: Callable[[Any], Any], quota: int | None = None) -> None:
        self.requests = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65_536

            def do_POST(self) -> None:
                service.requests += 1
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                held = quota is not None and service.requests > quota
                content = b"{}" if held else json.dumps(answer(body)).encode()
                self.send_response(429 if held else 200)
                if held:
                    self.send_header("Retry-After", "3600")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/score"


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    running: list[tuple[Service, threading.Thread]] = []

    def start(answer: Callable[[Any], Any], quota: int | None = None) -> Service:
        service = Service(answer, quota)
        thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.append((service, thread))
        return service

    yield start
    for service, thread in running:
        service.server.shutdown()
        service.server.server_close()
        thread.join()


def loans(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 80, rows),
            "amount": np.round(random.gamma(2.0, 1500.0, rows), 2),
            "purpose": random.choice(["car", "furniture", "education"], rows),
        }
    )
    score = (frame.age - 45) / 20 - (frame.amount - 3000) / 2000 - (frame.purpose == "education")
    return frame.assign(repaid=np.where(score + random.normal(0, 0.4, rows) > -0.4, "yes", "no"))


def fitted(model: Any, train: pd.DataFrame) -> Any:
    encode = ColumnTransformer([("named", OneHotEncoder(sparse_output=False), ["purpose"])], remainder="passthrough")
    return make_pipeline(encode, model).fit(train.drop(columns="repaid"), train.repaid)


def written(folder: Path, train: pd.DataFrame, test: pd.DataFrame, label: str) -> list[Dataset]:
    train.to_csv(folder / "train.csv", index=False)
    test.to_csv(folder / "test.csv", index=False)
    return [Dataset(id=name, stage=Stage(name), uri=f"{name}.csv", label=label) for name in ("train", "test")]


def declared(**more: Any) -> Asset:
    return Asset(**({"id": "m", "kind": Kind.MODEL, "trained_on": ("train",), "tested_on": ("test",)} | more))


SINGLE = Inference(single=True, answer_at="decision", labels={"refuse": "no", "grant": "yes"})
FREE = Quota(requests_per_minute=6_000_000)


@pytest.mark.parametrize("weak", [True, False])
def test_an_endpoint_that_shows_decisions_one_by_one(run_check: Any, tmp_path: Path, serve: Any, weak: bool) -> None:
    data = loans(310)
    model = fitted(DecisionTreeClassifier(random_state=0) if weak else DummyClassifier(), data[:240])
    sets = written(tmp_path, data[:240], data[240:], "repaid")
    seen: list[dict[str, Any]] = []

    def answer(body: Any) -> Any:
        seen.append(body)
        return {"decision": {"yes": "grant", "no": "refuse"}[model.predict(pd.DataFrame([body]))[0]]}

    service = serve(answer)
    api = Asset(id="api", kind=Kind.ENDPOINT, serves=("m",), url=service.url, inference=SINGLE, quota=FREE)
    actor = Actor(id="applicant", budget=ActorBudget(queries_per_day=20))
    constraints = Constraints(immutable=("age",), integer=("age",))
    (found,) = run_check(
        "evasion.endpoint_black_box", api, declared(constraints=constraints), *sets, actor, about=ABOUT, queries=60, tolerance=0.2
    )
    main = found.measures[0]
    assert found.verdict is (Verdict.FAIL if weak else Verdict.PASS)
    assert main.value > 0.3 if weak else main.k == 0
    assert found.attacker.queries == 20
    assert service.requests == found.details["requests"] == found.details["asked"] <= main.n * 23 * 2
    assert len(seen) == len({json.dumps(body) for body in seen})
    ages = {(row["age"]) for row in seen}
    assert ages <= set(data.age.tolist())
    if weak:
        assert main.null < main.value / 2
        assert all(change["feature"] != "age" for shown in found.details["examples"] for change in shown["changed"])


def test_a_quota_that_binds_is_seen_to_bind(run_check: Any, tmp_path: Path, serve: Any) -> None:
    """The endpoint's model never changes its mind; one service answers nobody after 120 requests, the other says so and answers on."""
    data = loans(300)
    sets = written(tmp_path, data[:200], data[200:].assign(repaid="yes"), "repaid")
    for quota, bound in ((120, 120), (None, None)):
        service = serve(lambda body: {"p": 0.9}, quota)
        told = Quota(requests_per_day=120, requests_per_minute=6_000_000)
        api = Asset(id="api", kind=Kind.ENDPOINT, serves=("m",), url=service.url, quota=told, inference=Inference(
            single=True, answers_at="p", gives="score", labels={"no": "no", "yes": "yes"}))  # fmt: skip
        (found,) = run_check("evasion.endpoint_black_box", api, declared(), *sets, about=ABOUT, queries=2, k=1, tolerance=0.25)
        assert found.verdict is Verdict.PASS
        assert found.details["requests"] == service.requests == 121
        assert found.details.get("enforced_queries_per_day") == bound


def test_what_the_endpoint_check_needs(run_check: Any, tmp_path: Path, serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = loans(300)
    sets = written(tmp_path, data[:200], data[200:], "repaid")
    service = serve(lambda body: {"decision": "perhaps"})
    api = {"id": "api", "kind": Kind.ENDPOINT, "serves": ("m",), "url": service.url, "inference": SINGLE, "quota": FREE}
    monkeypatch.delenv("BARTIZAN_PROBE_HOSTS", raising=False)
    for change, message in (
        ({"url": "http://scores.example/x"}, "nobody consented"),
        ({"quota": Quota(requests_per_minute=6)}, "at the declared rate do for 0 rows"),
        ({}, "'perhaps' is not among the declared labels"),
        ({"inference": Inference(labels={"a": "y", "b": "no"})}, "'labels' maps to 'y'; the column 'repaid' holds: no, yes"),
    ):
        with pytest.raises(InputError, match=message):
            run_check("evasion.endpoint_black_box", Asset(**(api | change)), declared(), *sets, about=ABOUT)
    described = registry.get("evasion.endpoint_black_box")
    assert described.applies(Asset(**api), None)
    assert not described.applies(Asset(**(api | {"inference": None})), None)


def digits() -> tuple[pd.DataFrame, pd.DataFrame]:
    x, y = load_digits(return_X_y=True)
    frame = pd.DataFrame(x / 16, columns=[f"p{i}" for i in range(64)]).assign(digit=y)
    return frame[:400], frame[400:460]


@pytest.mark.parametrize(("output", "attack"), [(Output.PROBABILITIES, "square"), (Output.LABEL, "hopskipjump")])
def test_images_are_flipped_by_asking(run_check: Any, tmp_path: Path, output: Output, attack: str) -> None:
    train, test = digits()
    sets = written(tmp_path, train, test, "digit")
    model = make_pipeline(LogisticRegression(max_iter=300)).fit(train.drop(columns="digit"), train.digit)
    skops.io.dump(model, tmp_path / "m.skops")
    target = declared(uri="m.skops", task=Task.IMAGE_CLASSIFICATION, output=output)
    (found,) = run_check("evasion.black_box", target, *sets, about=ABOUT, eps=0.2, queries=200)
    assert found.verdict is Verdict.FAIL
    assert found.details["attack"] == attack
    assert found.measures[0].value > 3 * found.measures[0].null + 0.3
    (small,) = run_check("evasion.black_box", target, *sets, about=ABOUT, eps=0.002, queries=40)
    assert small.verdict is Verdict.PASS
    caller = Actor(id="a", budget=ActorBudget(queries_per_day=30))
    (few,) = run_check("evasion.black_box", target, *sets, caller, about=ABOUT, eps=0.2, queries=400)
    assert few.attacker.queries == 30


def test_images_behind_an_endpoint(run_check: Any, tmp_path: Path, serve: Any) -> None:
    train, test = digits()
    sets = written(tmp_path, train, test, "digit")
    model = LogisticRegression(max_iter=300).fit(train.drop(columns="digit").to_numpy(), train.digit)
    service = serve(lambda body: {"predictions": model.predict_proba(np.array(body["instances"])).tolist()})
    told = Inference(rows_at="instances", named=False, answers_at="predictions", gives="probabilities")
    api = Asset(id="api", kind=Kind.ENDPOINT, serves=("m",), url=service.url, inference=told, quota=FREE)
    target = declared(task=Task.IMAGE_CLASSIFICATION)
    (found,) = run_check("evasion.endpoint_black_box", api, target, *sets, about=ABOUT, eps=0.2, queries=80)
    assert found.verdict is Verdict.FAIL
    assert found.measures[0].null < found.measures[0].value / 2
    (small,) = run_check("evasion.endpoint_black_box", api, target, *sets, about=ABOUT, eps=0.002, queries=20)
    assert small.verdict is Verdict.PASS


def test_the_callers_of_an_endpoint_are_read() -> None:
    system = manifest.parse(
        "bartizan: 1\nsystem: {name: s}\nactors: [{id: caller, budget: {queries_per_day: 7}}, {id: other}]\nassets:\n"
        "- {id: m, kind: model, task: image-classification}\n"
        "- {id: api, kind: endpoint, serves: [m], url: 'http://127.0.0.1:1/x', inference: {gives: label}}\n"
        "flows: [{from: caller, to: api}, {from: api, to: caller}]\n",
        "m",
    )
    fires = ThreatInstance(threat="black-box-evasion", element="m", certain=True)
    model = ThreatModel(system="s", instances=(fires,), questions=())
    checks = {id: registry.get(id) for id in ("evasion.black_box", "evasion.endpoint_black_box")}
    jobs = {job.check: job for job in planner.plan(system, model, checks, Path())}
    for id, subject in (("evasion.black_box", "m"), ("evasion.endpoint_black_box", "api")):
        assert jobs[id].subject.id == subject
        assert [node.id for node in jobs[id].related if isinstance(node, Actor)] == ["caller"]
        assert jobs[id].about == (("black-box-evasion", "m"),)
