"""The contract of an evidence store: what is appended is read back the same and in order, in a chain that verifies.

contract(lambda writing: Store.open(folder, key=signer if writing else None))
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from bartizan.engine import runner
from bartizan.engine.environment import environment
from bartizan.model.findings import Artefact, Finding, Outcome, Verdict
from bartizan.model.report import Chain
from bartizan.model.risks import Evidence
from bartizan.model.system import Action, Decision
from bartizan.testing.executors import sample_job
from bartizan.testing.sample_checks import THREAT


class KeepsEvidence(Protocol):
    """What the workflows need of a store."""

    def append(self, outcome: Outcome) -> Evidence:
        """Record one outcome, signed and chained."""
        ...

    def evidence(self) -> tuple[Evidence, ...]:
        """All records in the order of the chain."""
        ...

    def newest(self, job_digest: str) -> Evidence | None:
        """The newest record of a job."""
        ...

    def decide(self, decision: Decision) -> int:
        """Record a decision."""
        ...

    def decisions(self) -> tuple[Decision, ...]:
        """All decisions, oldest first."""
        ...

    def artefact(self, digest: str) -> bytes:
        """The content behind a digest."""
        ...

    def chain(self) -> Chain:
        """The state of the chain, verified."""
        ...


Opening = Callable[[bool], AbstractContextManager[KeepsEvidence]]
"""Opens the same empty store again and again; the argument says whether to write."""


def contract(opening: Opening) -> None:
    """Raise `AssertionError` where the store that `opening` opens does not keep the contract."""
    outcomes = [_outcome(f"model{number % 2}", f"run {number}", data=bytes([number])) for number in range(4)]
    with opening(True) as store:
        assert store.evidence() == (), "the contract needs an empty store"
        written = [store.append(outcome) for outcome in outcomes]
        decision = Decision(risk="R-1", action=Action.ACCEPT, by="Ada", why="a trial", until=dt.date(2999, 1, 1), state="s")
        store.decide(decision)
    with opening(False) as store:
        read = store.evidence()
        assert list(read) == written, "what was written is read back, in order"
        assert [e.seq for e in read] == sorted({e.seq for e in read}), "numbers grow along the chain"
        assert all(later.previous for later in read[1:]), "each record names the one before it"
        assert [e.findings[0].title for e in read] == [o.findings[0].title for o in outcomes], "findings keep their order"
        _newest(store, outcomes, read)
        assert store.decisions() == (decision,), "decisions are kept as they were made"
        chain = store.chain()
        assert chain.verified, f"an untouched store verifies: {chain.problems}"
        assert chain.entries >= len(read) + 1, "decisions stand in the chain, too"


def _newest(store: KeepsEvidence, outcomes: list[Outcome], read: tuple[Evidence, ...]) -> None:
    found = store.newest(outcomes[0].job.digest)
    assert found is not None
    assert found.findings[0].title == "run 2", "the newest of one job is the last that was written"
    assert store.newest("0" * 64) is None, "a job that never ran has no record"
    for record, outcome in zip(read, outcomes, strict=True):
        kept, given = record.findings[0].artefacts[0], outcome.findings[0].artefacts[0]
        assert kept.data is None, "records hold digests, not data"
        assert store.artefact(kept.digest) == given.data, "an artefact is found by its digest"


def _outcome(asset: str, title: str, data: bytes) -> Outcome:
    job = sample_job("answers", asset)
    artefact = Artefact(name="trace.bin", media_type="application/octet-stream", data=data)
    finding = Finding(check=job.check, asset=asset, threat=THREAT, verdict=Verdict.PASS, title=title, artefacts=(artefact,))
    at = runner.now()
    return Outcome(job=job, findings=(finding,), started=at, finished=at, cpu_seconds=0.0, environment=environment(job))
