"""The main job on a real folder: nothing unchanged runs twice, a changed byte reopens, a kill loses no finished work, a report repeats."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

MANIFEST = """\
bartizan: 1
system: {name: small, purpose: try things, owner: us, role: provider, impact: high}
zones: [{id: internet, trust: none}, {id: inside, trust: internal}]
actors: [{id: anyone, zone: internet, can: [query], sees: [score]}]
datasets:
  - {id: train, stage: train, uri: train.csv, label: y, subjects: [person], zone: inside, digest: "sha256:DIGEST"}
  - {id: test, stage: test, uri: test.csv, label: y, subjects: [person], zone: inside, retention: 365}
assets:
  - id: model
    kind: model
    task: tabular-classification
    uri: model.pkl
    trained_on: [train]
    tested_on: [test]
    output: score
    zone: inside
  - {id: api, kind: endpoint, serves: [model], zone: inside, authn: none}
  - {id: packages, kind: dependencies, uri: requirements.txt, zone: inside}
  - {id: image, kind: container, uri: Dockerfile, zone: inside}
flows: [{from: anyone, to: api}, {from: api, to: model}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    rows = [f"{i % 7},{i * 37 % 101},{i % 2}" for i in range(200)]
    (tmp_path / "train.csv").write_text("a,b,y\n" + "\n".join(rows[:150]) + "\n")
    (tmp_path / "test.csv").write_text("a,b,y\n" + "\n".join(rows[140:]) + "\n")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04}\x94.")
    (tmp_path / "requirements.txt").write_text("numpy\nclick==8.1.7\n")
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nCMD python\n")
    import hashlib

    digest = hashlib.sha256((tmp_path / "train.csv").read_bytes()).hexdigest()
    (tmp_path / "bartizan.yaml").write_text(MANIFEST.replace("DIGEST", digest))
    return tmp_path


def bartizan(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bartizan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env}, timeout=300)


def assess(project: Path, *more: str) -> dict[str, object]:
    done = bartizan("assess", project, "--format", "json", *more)
    assert done.returncode in (0, 1), done.stderr
    result: dict[str, object] = json.loads(done.stdout)
    return result


def findings(result: dict[str, object]) -> dict[tuple[str, str, str], str]:
    report = result["report"]
    assert isinstance(report, dict)
    return {(f["check"], f["asset"], f["threat"]): f["verdict"] for f in report["findings"]}


def risks(project: Path) -> dict[tuple[str, str], dict[str, object]]:
    done = bartizan("risks", project, "--format", "json")
    assert done.returncode == 0, done.stderr
    return {(r["threat"], r["asset"]): r for r in json.loads(done.stdout)}


def test_the_second_assessment_runs_nothing_and_says_the_same(project: Path) -> None:
    first = assess(project)
    again = assess(project)
    assert first["ran"]
    assert again["ran"] == 0
    assert again["reused"] == first["ran"]
    assert findings(again) == findings(first)
    assert bartizan("verify", project).returncode == 0


def test_inline_and_processes_agree(project: Path) -> None:
    inline = assess(project, "--executor", "inline")
    processes = assess(project, "--executor", "processes", "--fresh")
    assert findings(inline) == findings(processes)


def test_one_changed_byte_of_the_model_reopens_its_risks(project: Path) -> None:
    assess(project)
    before = risks(project)
    (project / "model.pkl").write_bytes(b"\x80\x04]\x94.")
    after = risks(project)
    moved = [key for key in before if key[1] == "model" and before[key]["evidence"]]
    assert moved
    for key in moved:
        assert not after[key]["evidence"]
        assert after[key]["stale"]
        assert after[key]["residual"] == after[key]["inherent"]
        assert after[key]["status"] == "open"


def test_a_comment_in_the_manifest_reopens_nothing(project: Path) -> None:
    assess(project)
    text = (project / "bartizan.yaml").read_text()
    (project / "bartizan.yaml").write_text("# a remark\n\n" + text)
    assert assess(project)["ran"] == 0


def test_without_evidence_the_residual_is_the_inherent_risk(project: Path) -> None:
    assess(project, "--only", "dependencies")
    for risk in risks(project).values():
        if not risk["evidence"]:
            assert risk["residual"] == risk["inherent"]


def test_a_decision_holds_until_the_risk_changes(project: Path) -> None:
    assess(project)
    found = next(r for r in risks(project).values() if r["threat"] == "train-test-leakage")
    ident = str(found["id"])
    done = bartizan("accept", ident, project, "--by", "Ada", "--why", "a pilot", "--until", "2999-01-01")
    assert done.returncode == 0, done.stderr
    assert next(r for r in risks(project).values() if r["id"] == ident)["status"] == "accepted"
    with (project / "test.csv").open("a") as file:
        file.write("1,2,0\n")
    reopened = next(r for r in risks(project).values() if r["id"] == ident)
    assert reopened["status"] == "open"
    assert reopened["void_decision"]


@pytest.mark.parametrize("form", ["html", "markdown", "json", "csv", "sarif", "junit"])
def test_the_same_store_gives_the_same_bytes(project: Path, form: str) -> None:
    assess(project)
    texts = {
        bartizan("report", project, "--format", form, SOURCE_DATE_EPOCH="1790000000", PYTHONHASHSEED=seed).stdout for seed in ("1", "2")
    }
    assert len(texts) == 1
    assert len(texts.pop()) > 100


def test_fail_on_decides_the_exit_code(project: Path) -> None:
    assert bartizan("assess", project).returncode == 1
    assert bartizan("assess", project, "--fail-on", "never").returncode == 0
    wrong = bartizan("assess", project, "--fail-on", "riks>=high")
    assert wrong.returncode == 2
    assert "did you mean" in wrong.stderr


def test_no_seed_and_no_limit_hides_a_failure_from_the_gate(project: Path) -> None:
    assert bartizan("assess", project).returncode == 1
    first = findings(assess(project))
    starved = bartizan("assess", project, "--fresh", "--time-limit", "0.1", "--memory-limit", "64", "--seed", "5", "--format", "json")
    assert starved.returncode == 1
    assert any("malicious-artefact" in line for line in json.loads(starved.stdout)["violations"])
    again = assess(project, "--seed", "6")
    report = again["report"]
    assert isinstance(report, dict)
    assert len(report["findings"]) == len({json.dumps(f, sort_keys=True) for f in report["findings"]})
    assert {k: v for k, v in findings(again).items() if v == "fail"} == {k: v for k, v in first.items() if v == "fail"}


class Door(BaseHTTPRequestHandler):
    """Lets nobody in."""

    def answer(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass


def test_a_live_check_that_is_named_asks_again(project: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        manifest = project / "bartizan.yaml"
        url = f"http://127.0.0.1:{server.server_address[1]}/score"
        manifest.write_text(manifest.read_text().replace("serves: [model],", f'serves: [model], url: "{url}",'))
        name = "deployment.endpoint_authentication"
        key = (name, "api", "unauthenticated-inference")
        assert findings(assess(project))[key] == "pass"
        assert assess(project, "--only", name)["ran"] == 1
    finally:
        server.shutdown()
        server.server_close()


def killed_at(project: Path, delay: float) -> None:
    command = [sys.executable, "-m", "bartizan", "assess", str(project), "--quiet"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()


def recorded(project: Path) -> set[str]:
    from bartizan.evidence import Store

    if not (project / ".bartizan" / "evidence.db").exists():
        return set()
    with Store.open(project / ".bartizan", create=False) as store:
        return {e.job.digest for e in store.evidence()}


def killing(project: Path, times: int, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(times):
        killed_at(project, chance.uniform(0.05, 1.5))
        if (project / ".bartizan" / "evidence.db").exists():
            verified = bartizan("verify", project)
            assert verified.returncode == 0, verified.stdout + verified.stderr
    before = recorded(project)
    final = assess(project)
    total = int(str(final["ran"])) + int(str(final["reused"]))
    assert final["reused"] == len(before)
    assert len(recorded(project)) == total


def test_a_kill_loses_no_finished_work(project: Path) -> None:
    killing(project, 3, 1)


@pytest.mark.slow
def test_twenty_kills_at_random_moments(project: Path) -> None:
    killing(project, 20, 2)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(project: Path) -> None:
    command = [sys.executable, "-m", "bartizan", "assess", str(project)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 30
    while not recorded_safely(project) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode == 2:
        assert "again to go on" in errors
        assert "Traceback" not in errors
    assert bartizan("verify", project).returncode == 0
    done = recorded(project)
    assert assess(project)["reused"] == len(done)


def recorded_safely(project: Path) -> bool:
    from bartizan.model.errors import EvidenceError

    try:
        return bool(recorded(project))
    except EvidenceError:
        return False


def test_an_old_report_date_does_not_revive_an_expired_decision(project: Path) -> None:
    """A decision that ended yesterday is over at the gate, whatever date the report is made to carry."""
    import datetime as dt

    from bartizan.evidence import Keyring, Store
    from bartizan.model.system import Action, Decision

    assess(project)
    yesterday = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    with Store.open(project / ".bartizan", create=False, key=Keyring(project / ".bartizan" / "keys").signer()) as store:
        for risk in risks(project).values():
            store.decide(Decision(risk=str(risk["id"]), action=Action.ACCEPT, by="Ada", why="w", until=yesterday, state=str(risk["state"])))
    assert bartizan("assess", project, SOURCE_DATE_EPOCH="1000000000").returncode == 1


def test_the_next_step_of_a_refused_job_is_its_cure_not_to_run_it_again(project: Path) -> None:
    assess(project)
    report = json.loads(bartizan("report", project, "--format", "json").stdout)
    refused = [f for f in report["findings"] if f["check"] == "privacy.membership_inference"]
    assert refused
    assert all("export it with skops" in f["remedy"] for f in refused)
