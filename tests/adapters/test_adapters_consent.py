"""A live probe asks this machine, or a host that whoever runs it consented to; a manifest cannot give that consent."""

from __future__ import annotations

import pytest

from bartizan.adapters.consent import VARIABLE, consent, may_ask
from bartizan.engine.runner import run_job
from bartizan.model.findings import Job, Verdict
from bartizan.model.system import Asset, Kind


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_may_always_be_asked(host: str) -> None:
    assert may_ask(host)


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1", "169.254.169.254", "0.0.0.0", "127.0.0.1.example.org", "", "::ffff:10.0.0.1"])
def test_others_only_with_consent(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not may_ask(host)
    if host:
        monkeypatch.setenv(VARIABLE, "")
        consent((host.upper(), "other.example"))
        assert may_ask(host)
        assert may_ask("other.example")
        assert not may_ask("third.example")


def test_without_consent_the_check_is_unknown_and_says_how_to_give_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    api = Asset(id="api", kind=Kind.ENDPOINT, url="http://203.0.113.7:81/predict")
    job = Job(check="deployment.endpoint_authentication", version="1", threats=("unauthenticated-inference",), subject=api)
    (finding,) = run_job(job).findings
    assert finding.verdict is Verdict.UNKNOWN
    assert "--probe 203.0.113.7" in finding.title + finding.remedy
