"""What running jobs gives: verdicts for whatever a check does, reuse, keeping, and Ctrl-C."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bartizan.engine import registry, runner
from bartizan.engine.answers import answers
from bartizan.engine.runner import reusable, run_job
from bartizan.executors.inline import Inline
from bartizan.executors.processes import Processes
from bartizan.model.findings import Finding, Job, Outcome, Severity, Verdict
from bartizan.testing.executors import sample_job, samples
from bartizan.testing.sample_checks import THREAT


@pytest.fixture(autouse=True)
def _samples(tmp_path: Path) -> Iterator[None]:
    with samples(tmp_path):
        yield


def only_finding(job: Job) -> Finding:
    (finding,) = run_job(job).findings
    return finding


def test_a_good_job_gives_plain_findings_with_their_place_and_time() -> None:
    outcome = run_job(sample_job("answers"))
    (finding,) = outcome.findings
    assert (finding.asset, finding.threat, finding.verdict) == ("scorer", THREAT, Verdict.FAIL)
    assert finding.severity is Severity.MEDIUM, "a failure is never just information"
    assert finding.details == {"a": {"set": [1, 2, 3]}, "b": 1, "pair": [1, 2]}
    assert dt.datetime.fromisoformat(outcome.started) <= dt.datetime.fromisoformat(outcome.finished)
    assert outcome.started.endswith("Z")
    assert outcome.environment["python"] == "CPython " + sys.version.split()[0]
    assert {"bartizan", "platform", "numpy", "bartizan-samples"} <= set(outcome.environment)


@pytest.mark.parametrize(
    ("name", "options", "title", "reason"),
    [
        ("raises", {}, "ValueError: cannot read model.bin second line", "error"),
        ("raises", {"what": "exit"}, "SystemExit: 3", "error"),
        ("raises", {"what": "refused"}, "model.pkl: the file is hostile; store it as skops", "refused"),
        ("silent", {}, "the check gave no finding", "no-finding"),
        ("errs", {"how": "asset"}, "sample.errs gave a finding on 'elsewhere', which it was not run on", "invalid-finding"),
        ("errs", {"how": "measure"}, "the measure 'm' has a number that is not finite", "invalid-finding"),
        ("errs", {"how": "details"}, "a finding that cannot be recorded: a value of type object", "invalid-finding"),
    ],
)
def test_whatever_a_check_does_is_an_unknown_with_its_cure_or_the_command_to_run_it_again(
    name: str, options: dict[str, str], title: str, reason: str
) -> None:
    job = msgspec.structs.replace(sample_job(name, **options), root="/some/where")
    finding = only_finding(job)
    assert (finding.verdict, finding.title, finding.details["reason"]) == (Verdict.UNKNOWN, title, reason)
    again = f"run it again: bartizan assess --only sample.{name}@scorer"
    assert finding.remedy == ("store it as skops" if reason == "refused" else again)
    assert "/some/where" not in finding.why


def test_a_missing_extra_says_which_command_brings_it() -> None:
    finding = only_finding(sample_job("lacks"))
    assert finding.title == "needs pip install 'bartizan-samples[rare]'"
    assert finding.remedy == "pip install 'bartizan-samples[rare]'"
    assert "no-such-library-anywhere" in finding.why
    assert only_finding(sample_job("raises", what="extra")).remedy == "pip install 'bartizan-samples[torch]'"


def test_a_check_that_is_not_installed_or_not_fit_is_an_unknown() -> None:
    assert "unknown check 'sample.nothing'" in only_finding(msgspec.structs.replace(sample_job("answers"), check="sample.nothing")).title
    assert only_finding(sample_job("answers", wrong=1)).title.startswith("TypeError")


def test_findings_are_carried_to_the_threatened_node_and_others_left_out() -> None:
    described = registry.get("sample.answers")
    job = msgspec.structs.replace(sample_job("answers"), about=((THREAT, "api"), (THREAT, "web")))
    mine = Finding(check=job.check, asset="scorer", threat=THREAT, verdict=Verdict.PASS, title="t")
    assert [finding.asset for finding in answers(job, described, [mine])] == ["api", "web"]
    direct = msgspec.structs.replace(mine, asset="web")
    assert [(f.asset, f.verdict) for f in answers(job, described, [direct])] == [("api", Verdict.UNKNOWN), ("web", Verdict.PASS)]


def test_ctrl_c_passes_through_run_job(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    killer = subprocess.Popen([sys.executable, "-c", f"import os,time; time.sleep(0.3); os.kill({os.getpid()}, 2)"])
    with pytest.raises(KeyboardInterrupt):
        run_job(sample_job("sleeps", seconds=20))
    killer.wait()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL, "the handler of before is back"


class Memory:
    """A store in memory."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}

    def keep(self, outcome: Outcome) -> None:
        self.outcomes[outcome.job.digest] = outcome


def test_what_is_known_is_not_run_again_and_unknowns_are() -> None:
    jobs = [sample_job("answers"), sample_job("raises"), sample_job("lacks"), sample_job("answers", "other")]
    memory = Memory()
    first = runner.run(jobs, Inline(), keep=memory.keep)
    assert len(memory.outcomes) == 4
    heard: list[tuple[str, int]] = []
    second = runner.run(jobs, Inline(), reuse=memory.outcomes.get, listener=lambda news: heard.append((news.kind, news.index)))
    assert [outcome.cached for outcome in second] == [True, False, True, True]
    assert [outcome.findings for outcome in second] == [outcome.findings for outcome in first]
    assert heard == [("reused", 0), ("reused", 2), ("reused", 3), ("started", 1), ("finished", 1)]


def test_evidence_of_a_check_with_valid_days_expires() -> None:
    outcome = run_job(sample_job("lacks"))
    finished = dt.datetime.fromisoformat(outcome.finished)
    assert reusable(outcome, finished + dt.timedelta(hours=23))
    assert not reusable(outcome, finished + dt.timedelta(hours=25))
    assert not reusable(outcome, finished - dt.timedelta(seconds=1)), "from the future"
    assert reusable(run_job(sample_job("answers")), finished + dt.timedelta(days=9999))


def test_an_extra_that_has_been_installed_runs_the_job(tmp_path: Path) -> None:
    outcome = run_job(sample_job("lacks"))
    info = tmp_path / "no_such_library_anywhere-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: no-such-library-anywhere\nVersion: 3.2\n")
    assert not reusable(outcome)
    again = run_job(sample_job("lacks"))
    assert again.findings[0].verdict is Verdict.PASS
    assert again.environment["no-such-library-anywhere"] == "3.2"


@pytest.mark.parametrize("executor", [Inline(), Processes(2)])
def test_an_error_of_the_store_stops_the_run(executor: Inline | Processes) -> None:
    def full(_: Outcome) -> None:
        raise OSError("disk full")

    begun = time.monotonic()
    with pytest.raises(OSError, match="disk full"):
        runner.run([sample_job("answers"), sample_job("sleeps")], executor, keep=full)
    assert time.monotonic() - begun < 20


SCRIPT = """
import sys
from pathlib import Path
from bartizan.engine import runner
from bartizan.executors.{module} import {name}
from bartizan.testing.executors import sample_job, samples
with samples(Path(sys.argv[1])):
    jobs = [sample_job("answers"), sample_job("answers", "b"), sample_job("sleeps"), sample_job("sleeps", "c")]
    try:
        runner.run(jobs, {name}(), keep=lambda outcome: print("kept", outcome.job.subject.id, flush=True))
    except runner.Interrupted as stop:
        print(stop, len(stop.outcomes))
        sys.exit(130)
"""


@pytest.mark.parametrize(("module", "name"), [("inline", "Inline"), ("processes", "Processes")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_keeps_what_is_done_and_leaves_no_process(tmp_path: Path, module: str, name: str, number: signal.Signals) -> None:
    script = SCRIPT.format(module=module, name=name)
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert sorted(child.stdout.readline().strip() for _ in range(2)) == ["kept b", "kept scorer"]
        time.sleep(0.3)
        workers = children_of(child.pid)
        assert bool(workers) == (name == "Processes")
        child.send_signal(number)
        rest = child.stdout.read()
    child.wait(timeout=20)
    if number is signal.SIGINT:
        assert child.returncode == 130
        assert rest == "stopped: 2 of 4 jobs done; run the same command again to go on 2\n"
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() and running(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(running(pid) for pid in workers)


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def running(pid: int) -> bool:
    """Whether the process still does something: neither gone nor a zombie that its new parent has yet to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
