"""Checks that behave and misbehave in every way an executor must cope with. No entry point leads here: tests install them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

from bartizan.engine.registry import check
from bartizan.model.errors import MissingExtra, Refused
from bartizan.model.findings import Artefact, Finding, Job, Measure, Verdict
from bartizan.model.system import Asset, Kind, Phase

THREAT = "sample-threat"


def _finding(job: Job, target: Asset, title: str = "as it should be", asset: str | None = None) -> Finding:
    return Finding(check=job.check, asset=asset or target.id, threat=THREAT, verdict=Verdict.PASS, title=title)


@check("sample.answers", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT})
def answers(job: Job, target: Asset, *, trials: int = 20) -> Iterator[Finding]:
    """Counts heads of a coin that the job's seed throws.

    trials: how often it is thrown
    """
    coin = random.Random(job.seed)  # noqa: S311 - no secret
    heads = sum(coin.random() < 0.5 for _ in range(trials))
    measure = Measure(name="heads", value=heads / trials, low=0.0, high=1.0, confidence=job.confidence, n=trials, k=heads)
    artefact = Artefact(name="throws.bin", media_type="application/octet-stream", size=2, data=b"\x00\xff")
    yield Finding(
        check=job.check,
        asset=target.id,
        threat=THREAT,
        verdict=Verdict.FAIL,
        title="thrown",
        measures=(measure,),
        artefacts=(artefact,),
        details={"pair": (1, 2), "b": 1, "a": {"set": {3, 1, 2}}},
    )


@check("sample.sleeps", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT})
def sleeps(job: Job, target: Asset, *, seconds: float = 60.0, stubborn: bool = False) -> Iterator[Finding]:
    """Sleeps, and does not hear the alarm when stubborn."""
    if stubborn:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(seconds)
    yield _finding(job, target)


@check("sample.allocates", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT})
def allocates(job: Job, target: Asset, *, mib: int = 256, stubborn: bool = False) -> Iterator[Finding]:
    """Takes memory and holds it, having lifted its limit when stubborn."""
    if stubborn:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    held = [b"x" * (1 << 20) for _ in range(mib)]
    if stubborn:
        time.sleep(60)
    yield _finding(job, target, f"held {len(held)}")


@check("sample.dies", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT})
def dies(job: Job, target: Asset, *, number: int = 0) -> Iterator[Finding]:
    """Ends its process: by the signal `number`, or by leaving with status 7."""
    os.write(2, b"last words\n")
    if number:
        os.kill(os.getpid(), number)
        time.sleep(60)
    os._exit(7)
    yield _finding(job, target)


@check("sample.raises", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT})
def raises(job: Job, target: Asset, *, what: str = "error") -> Iterator[Finding]:
    """Gives a finding and then raises."""
    yield _finding(job, target)
    if what == "exit":
        raise SystemExit(3)
    if what == "refused":
        raise Refused("the file is hostile", place="model.pkl", cure="store it as skops")
    if what == "extra":
        raise MissingExtra("torch", "torch")
    raise ValueError(f"cannot read {job.root}/model.bin\nsecond line")


@check("sample.silent", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT})
def silent(job: Job, target: Asset) -> Iterator[Finding]:
    """Has nothing to say."""
    if target.id != job.subject.id:
        yield _finding(job, target, "never")


@check("sample.errs", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT})
def errs(job: Job, target: Asset, *, how: str = "asset") -> Iterator[Finding]:
    """Gives findings that break the rules."""
    finding = _finding(job, target, asset="elsewhere" if how == "asset" else None)
    if how == "measure":
        measure = Measure(name="m", value=float("nan"), low=0.0, high=1.0, confidence=0.95, n=1)
        finding = Finding(check=job.check, asset=target.id, threat=THREAT, verdict=Verdict.PASS, title="t", measures=(measure,))
    if how == "details":
        finding = Finding(check=job.check, asset=target.id, threat=THREAT, verdict=Verdict.PASS, title="t", details={"f": object()})
    yield finding


@check("sample.lacks", threats=[THREAT], kinds={Kind.MODEL}, phases={Phase.DEVELOPMENT}, extra="rare", valid_days=1.0)
def lacks(job: Job, target: Asset) -> Iterator[Finding]:
    """Needs an extra that nobody has, and counts for a day."""
    yield _finding(job, target)
