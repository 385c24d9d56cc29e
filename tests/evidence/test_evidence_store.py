"""The store: what goes in comes out, nothing is lost, nobody writes beside anybody, and old times are refused."""

from __future__ import annotations

import base64
import datetime as dt
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bartizan.evidence import Keyring, Signer, Store, verify_store
from bartizan.model.errors import EvidenceError, Place
from bartizan.model.findings import Outcome
from bartizan.model.risks import Status, digest_of
from bartizan.model.system import Actor, ActorBudget, Appetite, Asset, Dataset, Flow, Kind, Quota, Stage, System

Make = Callable[..., Any]


def test_a_record_is_what_was_given_and_reads_back_the_same(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    given: Outcome = outcome(1, clock.move(seconds=1), data=b"scores", ratio=1.0, none=None)
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        made = store.append(given)
        assert store.evidence() == (made,)
        assert store.evidence(verify=True) == (made,)
        assert store.newest(given.job.digest) == made
        assert store.newest("0" * 64) is None
        assert store.artefact(made.findings[0].artefacts[0].digest) == b"scores"
    assert made.job == msgspec.structs.replace(given.job, root=".")
    assert repr(made.job.parameters["tolerance"]) == "0.0"
    assert made.collected == "2026-03-01T12:00:01.000000Z" == made.received
    assert (made.seq, made.previous, made.key) == (1, "0" * 64, keyring.signer().id)
    artefact = made.findings[0].artefacts[0]
    assert (artefact.data, artefact.size) == (None, 6)
    kept = msgspec.structs.replace(made.findings[0], artefacts=given.findings[0].artefacts)
    assert kept == given.findings[0]
    assert repr(kept.details["ratio"]) == "1.0"
    assert [s.name for s in made.subjects] == ["models/scorer.skops", "declaration:scorer-1"]
    assert b"/somewhere/private" not in (folder / "evidence.db").read_bytes()


SUBJECTS = [
    Asset(id="api", kind=Kind.ENDPOINT, quota=Quota(requests_per_minute=60), at=Place("bartizan.yaml", 7)),
    Actor(id="applicant", can=("query",), budget=ActorBudget(campaigns_per_year=2.0)),
    Dataset(id="loans", stage=Stage.TRAIN, retention=30),
    System(
        name="credit",
        appetite=Appetite(tolerances={"evasion": 1.0, "membership": {"tpr": 0.0}}),
        flows=(Flow(source="applicant", target="api"),),
        last_drill=dt.date(2026, 1, 2),
    ),
]


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: type(s).__name__)
def test_a_job_keeps_its_identity_through_the_store(folder: Path, keyring: Keyring, clock: Any, outcome: Make, subject: Any) -> None:
    """What decides whether a job has to run again is computed from the record: not a digit of it may change its type."""
    given: Outcome = outcome(1, clock())
    parameters = {
        "whole": 2.0,
        "zero": -0.0,
        "n": 3,
        "big": 2**64,
        "nan": float("nan"),
        "tiny": 1e-300,
        "text": "é",
        "flag": True,
        "no": None,
    }
    job = msgspec.structs.replace(given.job, subject=subject, parameters=parameters, seed=2**63, about=(("evasion", "api"),))
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        made = store.append(msgspec.structs.replace(given, job=job))
    assert digest_of(made.job) == digest_of(msgspec.structs.replace(job, root="."))
    assert type(made.job.subject) is type(subject)
    assert verify_store(folder).ok


def test_what_is_signed_is_an_in_toto_statement(filled: Path) -> None:
    with Store.open(filled) as store:
        envelope = msgspec.json.decode(next(store.envelopes(1)))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = msgspec.json.decode(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"].endswith("check-result/v1")
    assert statement["subject"][0] == {"name": "models/scorer.skops", "digest": {"sha256": "a" * 64}}
    predicate = statement["predicate"]
    assert {"chain", "collector", "job", "started", "finished", "environment", "environmentDigest", "findings"} <= set(predicate)
    assert {"check", "version", "threats", "parameters", "seed", "digest"} <= set(predicate["job"])
    assert predicate["findings"][0]["attacker"]["queries"] == 2000
    assert {"n": 1000, "k": 1, "clusters": 40}.items() <= predicate["findings"][0]["measures"][0].items()


def contents(folder: Path) -> dict[Path, bytes]:
    """All files but those that SQLite keeps beside an open log."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.name.endswith(("-shm", "-wal"))}


def test_reading_needs_no_key_and_writes_nothing(filled: Path, clock: Any, outcome: Make) -> None:
    (filled / "keys" / "signing.pem").unlink()
    before = contents(filled)
    with Store.open(filled, create=False) as store:
        assert len(store.evidence()) == 6
        assert store.chain().verified
        with pytest.raises(EvidenceError, match="reading only"):
            store.append(outcome(9, clock()))
        with pytest.raises(EvidenceError, match="reading only"):
            store.checkpoint()
    assert contents(filled) == before


def test_a_store_in_a_read_only_folder_can_be_read(filled: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root writes everywhere")
    filled.chmod(0o500)
    try:
        assert verify_store(filled).ok
    finally:
        filled.chmod(0o700)


def test_the_newest_record_of_each_job(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        for number in (1, 2, 1):
            store.append(outcome(number, clock.move(seconds=1)))
        assert sorted(e.seq for e in store.latest_by_job().values()) == [2, 3]
        newest = store.newest(outcome(1, clock()).job.digest)
    assert newest is not None
    assert newest.seq == 3


def test_decisions_and_the_history_of_a_risk(folder: Path, keyring: Keyring, clock: Any, risk: Make, decision: Make) -> None:
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        assert store.note_risks([risk("s1")], "2026-03-01T12:00:00Z") == 1
        assert store.note_risks([risk("s1")], "2026-03-02T12:00:00Z") == 0
        assert store.note_risks([risk("s1", Status.ACCEPTED)], "2026-03-03T12:00:00Z") == 1
        assert store.note_risks([risk("s2")], "2026-03-04T12:00:00Z") == 1
        store.decide(decision())
        assert store.decisions() == (decision(),)
        history = store.history(risk().id)
        assert store.history("R-0000000000") == ()
    assert [(n.at[:10], n.risk.status) for n in history] == [
        ("2026-03-01", Status.OPEN),
        ("2026-03-03", Status.ACCEPTED),
        ("2026-03-04", Status.OPEN),
    ]
    assert history[0].risk == risk("s1")


def test_the_time_of_receipt_never_goes_back(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        first = store.append(outcome(1, clock()))
        second = store.append(outcome(2, clock.move(minutes=-2)))
    assert second.received == first.received
    assert verify_store(folder).ok


def test_back_dated_outcomes_are_refused_unless_they_say_why(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    start = clock()
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        store.append(outcome(1, start))
        store.checkpoint()
        clock.move(hours=2)
        store.append(outcome(2, start - dt.timedelta(minutes=4)))  # within the skew of clocks
        with pytest.raises(EvidenceError, match=r"back-dated.*before the checkpoint"):
            store.append(outcome(3, start - dt.timedelta(minutes=6)))
        with pytest.raises(EvidenceError, match="after it was received"):
            store.append(outcome(3, clock() + dt.timedelta(minutes=6)))
        clock.move(hours=30)
        with pytest.raises(EvidenceError, match=r"back-dated.*24 h"):
            store.append(outcome(3, clock() - dt.timedelta(hours=25)))
        with pytest.raises(EvidenceError, match="not a time"):
            store.append(msgspec.structs.replace(outcome(3, clock()), finished="yesterday"))
        assert len(store.evidence()) == 2
        store.append(outcome(3, clock() - dt.timedelta(hours=25)), late="measured on a machine without a network")
    found = verify_store(folder)
    assert found.ok
    assert any("without a network" in warning for warning in found.warnings)


def test_jobs_may_start_before_a_checkpoint_and_end_after_it(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    begun = clock().isoformat()
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        store.append(outcome(1, clock.move(hours=1)))
        store.checkpoint()
        store.append(msgspec.structs.replace(outcome(2, clock.move(hours=5)), started=begun))
    assert verify_store(folder).ok


def test_a_checkpoint_is_made_when_a_writer_closes_and_only_for_something_new(filled: Path, keyring: Keyring, clock: Any) -> None:
    with Store.open(filled, key=keyring.signer(), clock=clock) as store:
        first = store.checkpoint()
        clock.move(hours=1)
        assert store.checkpoint() == first
    assert first.size == 8
    assert (filled / "checkpoint.json").read_bytes() == first.envelope + b"\n"


def test_another_key_cannot_go_on_with_the_chain(filled: Path) -> None:
    with pytest.raises(EvidenceError, match="does not sign this chain"):
        Store.open(filled, key=Signer.generate())


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, but long enough to be looked at" * 40, b"SQLite format 3\0" + b"\xff" * 4000]
)
def test_a_damaged_database_is_one_line(folder: Path, keyring: Keyring, content: bytes) -> None:
    key = keyring.signer()
    (folder / "evidence.db").write_bytes(content)
    if not content:
        assert verify_store(folder).ok
        return
    for open_it in (lambda: Store.open(folder), lambda: Store.open(folder, key=key)):
        with pytest.raises(EvidenceError, match="damaged") as caught:
            open_it()
        assert "\n" not in str(caught.value)
    assert not verify_store(folder).ok


def test_no_store_and_a_newer_one_are_told(folder: Path, keyring: Keyring) -> None:
    with pytest.raises(EvidenceError, match="no evidence here"):
        Store.open(folder)
    with pytest.raises(EvidenceError, match="no evidence store"):
        verify_store(folder)
    Store.open(folder, key=keyring.signer()).close()
    with sqlite3.connect(folder / "evidence.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(EvidenceError, match="newer bartizan"):
        Store.open(folder)


def test_a_changed_or_missing_artefact_is_not_given_out(filled: Path) -> None:
    with Store.open(filled) as store:
        digest = store.evidence()[0].findings[0].artefacts[0].digest
        path = filled / "artefacts" / digest[:2] / digest[2:]
        path.write_bytes(b"other")
        with pytest.raises(EvidenceError, match="was changed"):
            store.artefact(digest)
        path.unlink()
        with pytest.raises(EvidenceError, match="missing"):
            store.artefact(digest)
        with pytest.raises(EvidenceError, match="not the digest"):
            store.artefact("../../keys/signing.pem")


WRITER = """
import datetime as dt, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import make_outcome
from bartizan.evidence import Keyring, Store
folder, first, count = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
with Store.open(folder, key=Keyring(folder / "keys").signer()) as store:
    for number in range(first, first + count):
        made = store.append(make_outcome(number, dt.datetime.now(dt.UTC), data=b"data %d" % number))
        print(made.seq, flush=True)
        if number % 5 == 0:
            store.checkpoint()
"""


def writer(folder: Path, first: int, count: int) -> subprocess.Popen[str]:
    """A process that appends `count` outcomes and prints the number of each entry once it is there."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", WRITER, here, str(folder), str(first), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_write_one_chain(folder: Path) -> None:
    processes = [writer(folder, first, 40) for first in (100, 200)]
    said = [int(line) for process in processes for line in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(said) == list(range(1, 81))
    found = verify_store(folder)
    assert found.problems == ()
    assert found.entries == 80


def kill_again_and_again(folder: Path, times: int) -> None:
    told = 0
    for round_ in range(times):
        process = writer(folder, 1000 * (round_ + 1), 10_000)
        assert process.stdout is not None
        for _ in range(1 + 7 * round_ % 23):
            told = int(process.stdout.readline())
        time.sleep((round_ * 37 % 50) / 10_000)
        process.send_signal(signal.SIGKILL)
        told = max([told, *(int(line) for line in process.stdout.read().split("\n")[:-1] if line)])
        process.stdout.close()
        process.wait()
        found = verify_store(folder)
        assert found.problems == ()
        assert found.entries >= told  # what was said to be there is there
        assert not list((folder / "artefacts").rglob("*.tmp"))
    with Store.open(folder, key=Keyring(folder / "keys").signer()) as store:
        assert len(store.evidence(verify=True)) >= told


def test_a_killed_writer_leaves_a_store_that_opens_and_verifies(folder: Path) -> None:
    kill_again_and_again(folder, 5)


@pytest.mark.slow
def test_twenty_killed_writers(folder: Path) -> None:
    kill_again_and_again(folder, 20)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.1, 0.15, 0.2, 0.25])
def test_killed_while_it_is_being_made(folder: Path, delay: float) -> None:
    process = writer(folder, 1, 5)
    time.sleep(delay)
    process.kill()
    process.communicate()
    if (folder / "evidence.db").exists():
        assert verify_store(folder).ok
    process = writer(folder, 1, 2)
    process.communicate()
    assert process.returncode == 0
    assert verify_store(folder).ok


@pytest.mark.parametrize("place", ["evidence.db", "keys/signing.pem", "keys/public/other.pem"])
def test_a_named_pipe_in_the_store_is_an_error_and_no_wait(filled: Path, place: str) -> None:
    path = filled / place
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    for use in {
        "evidence.db": (lambda: Store.open(filled), lambda: Store.open(filled, key=Keyring(filled / "keys").signer())),
        "keys/signing.pem": (lambda: Keyring(filled / "keys").signer(), lambda: Keyring(filled / "keys").public()),
        "keys/public/other.pem": (lambda: Keyring(filled / "keys").public(),),
    }[place]:
        with pytest.raises(EvidenceError, match="not a plain file"):
            use()


def test_a_pipe_or_a_device_among_artefacts_and_subjects_is_told_and_not_read(filled: Path, tmp_path: Path) -> None:
    artefact = next(path for path in (filled / "artefacts").rglob("*") if path.is_file())
    artefact.unlink()
    os.mkfifo(artefact)
    found = verify_store(filled, subjects={"data/loans.csv": Path("/dev/zero"), "models/scorer.skops": Path("/dev/zero")})
    assert any("not a plain file" in problem for problem in found.problems)
    assert any("not a plain file" in warning for warning in found.warnings)
