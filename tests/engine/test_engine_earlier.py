"""Examples that a check kept reach its next run on the same node, newest first, through a real store; nothing else does."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from bartizan.engine import planner
from bartizan.engine.earlier import MOST_ARTEFACTS, with_earlier
from bartizan.evidence import Keyring, Store
from bartizan.model.findings import EXAMPLES, Artefact, Finding, Job, Outcome, Verdict
from bartizan.model.system import Asset, Kind

JOB = Job(check="evasion.white_box", version="1", threats=("t",), subject=Asset(id="m", kind=Kind.MODEL), digest="d")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / ".bartizan", key=Keyring(tmp_path / "keys").signer())


def kept(store: Store, job: Job, *artefacts: Artefact) -> None:
    finding = Finding(check=job.check, asset="m", threat="t", verdict=Verdict.PASS, title="t", artefacts=artefacts)
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    store.append(Outcome(job=job, findings=(finding,), started=at, finished=at, cpu_seconds=0.0, environment={}))


def test_what_a_check_kept_reaches_its_next_run(store: Store) -> None:
    with store:
        for number in range(MOST_ARTEFACTS + 2):
            picture = Artefact(name="p.png", media_type="image/png", data=b"png%d" % number)
            kept(store, JOB, Artefact(name=f"{number}", media_type=EXAMPLES, data=b"x%d" % number), picture)
        kept(store, msgspec.structs.replace(JOB, check="evasion.black_box"), Artefact(name="o", media_type=EXAMPLES, data=b"other"))
        records = store.evidence()
        other = msgspec.structs.replace(JOB, subject=Asset(id="n", kind=Kind.MODEL))
        again, elsewhere = with_earlier([JOB, other], records, store.artefact)
        assert [artefact.data for artefact in again.earlier] == [b"x%d" % n for n in range(MOST_ARTEFACTS + 1, 1, -1)]
        assert elsewhere.earlier == ()
        assert with_earlier([JOB], records, store.artefact, known={"d"}) == (JOB,)
        assert planner.identity(again) == planner.identity(JOB)


def test_a_damaged_artefact_is_told_not_hidden_and_none_is_recorded_twice(store: Store) -> None:
    with store:
        kept(store, JOB, Artefact(name="a", media_type=EXAMPLES, data=b"first"))
        (record,) = store.evidence()
        store.artefacts.path(record.findings[0].artefacts[0].digest).write_bytes(b"changed")
        (again,) = with_earlier([JOB], store.evidence(), store.artefact)
        assert again.earlier[0].data is None
        kept(store, msgspec.structs.replace(again, earlier=(Artefact(name="a", media_type=EXAMPLES, digest="0" * 64, data=b"secret"),)))
        recorded = store.evidence(verify=True)[-1].job
        assert [(artefact.digest, artefact.data) for artefact in recorded.earlier] == [("0" * 64, None)]
