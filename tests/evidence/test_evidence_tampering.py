"""The eight tamperings that verification must see, each done to a real SQLite file, and the untouched store, which it must not blame."""

from __future__ import annotations

import base64
import datetime as dt
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bartizan.evidence import Keyring, Signer, Store, Verification, checkpoints, dsse, statements, verify_store
from bartizan.evidence.canonical import canonical, plain, sha256
from bartizan.evidence.merkle import leaf_hash, root_of
from bartizan.model.errors import EvidenceError

Make = Callable[..., Any]


@contextmanager
def sql(folder: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(folder / "evidence.db")) as connection:
        yield connection
        connection.commit()


def verified(folder: Path, kept: str | None = "kept.json", **more: Any) -> Verification:
    """What an auditor with the public key and a kept checkpoint finds."""
    return verify_store(folder, folder.parent / "trusted.pem", folder.parent / kept if kept else None, **more)


def resealed(folder: Path, signer: Signer, change: Callable[[int, dict[str, Any]], None], seal: bool = True) -> None:
    """Write the chain again with `change` made to each statement, signed by `signer`: all digests, leaves, columns, checkpoints fit."""
    with sql(folder) as db:
        previous, leaves = "0" * 64, []
        for seq, payload, old in db.execute("SELECT seq, payload, signature FROM entries ORDER BY seq").fetchall():
            statement = msgspec.json.decode(payload)
            predicate = statement["predicate"]
            predicate["chain"]["previous"] = previous
            predicate["collector"]["key"] = signer.id
            change(seq, statement)
            envelope = dsse.seal(dsse.IN_TOTO, canonical(statement), signer)
            if not seal:
                envelope = msgspec.structs.replace(envelope, signature=old)
            leaf = envelope.encode()
            collected = predicate.get("finished", predicate["chain"]["received"])
            row = (
                envelope.payload,
                envelope.signature,
                signer.id,
                previous,
                sha256(leaf),
                leaf_hash(leaf),
                predicate["chain"]["received"],
                collected,
                seq,
            )
            db.execute(
                "UPDATE entries SET payload=?, signature=?, key=?, previous=?, digest=?, leaf=?, received=?, collected=? WHERE seq=?", row
            )
            previous = sha256(leaf)
            leaves.append((leaf_hash(leaf), previous))
        origin = db.execute("SELECT value FROM meta").fetchone()[0]
        for size, time in db.execute("SELECT size, time FROM checkpoints").fetchall():
            root = root_of(leaf for leaf, _ in leaves[:size])
            body: dict[str, str | int] = {"origin": origin, "size": size, "root": root, "head": leaves[size - 1][1], "time": time}
            db.execute("UPDATE checkpoints SET envelope=? WHERE size=?", (checkpoints.sign(body, signer).envelope, size))
        db.execute("DELETE FROM keys")
        db.execute("INSERT INTO keys VALUES (?, ?)", (signer.id, signer.public.der))


def nothing(seq: int, statement: dict[str, Any]) -> None:
    """Change nothing."""


def better(seq: int, statement: dict[str, Any]) -> None:
    """Make the second result look better."""
    if seq == 2:
        statement["predicate"]["findings"][0]["measures"][0]["k"] = 0


def owner(folder: Path) -> Signer:
    return Keyring(folder / "keys").signer()


# 1. an edited byte, wherever it stands

EDITS = {
    "payload": "UPDATE entries SET payload = CAST(replace(CAST(payload AS TEXT), '\"k\":1', '\"k\":0') AS BLOB) WHERE seq = 2",
    "signature": "UPDATE entries SET signature = zeroblob(64) WHERE seq = 2",
    "key": "UPDATE entries SET key = 'f' || substr(key, 2) || 'f' WHERE seq = 2",
    "previous": "UPDATE entries SET previous = 'f' || substr(previous, 2) || 'f' WHERE seq = 2",
    "digest": "UPDATE entries SET digest = 'f' || substr(digest, 2) || 'f' WHERE seq = 2",
    "leaf": "UPDATE entries SET leaf = zeroblob(32) WHERE seq = 2",
    "kind": "UPDATE entries SET kind = 'decision' WHERE seq = 2",
    "topic": "UPDATE entries SET topic = 'f' || substr(topic, 2) || 'f' WHERE seq = 2",
    "collected": "UPDATE entries SET collected = '2026-03-01T12:02:00.000001Z' WHERE seq = 2",
    "received": "UPDATE entries SET received = '2026-03-01T12:02:00.000001Z' WHERE seq = 2",
    "checkpoint": "UPDATE checkpoints SET envelope = CAST(replace(CAST(envelope AS TEXT), 'sig\":\"', 'sig\":\"AAAA') AS BLOB)",
    "checkpoint size": "UPDATE checkpoints SET size = 2 WHERE size = 3",
    "stored key": "UPDATE keys SET der = zeroblob(44)",
    "origin": "UPDATE meta SET value = 'ffff'",
}


@pytest.mark.parametrize("what", EDITS)
def test_1_an_edited_byte(filled: Path, what: str) -> None:
    with sql(filled) as db:
        db.execute(EDITS[what])
    found = verified(filled, kept=None)
    assert not found.ok
    assert not verify_store(filled).ok
    assert all("\n" not in problem for problem in found.problems)
    if what not in ("checkpoint", "checkpoint size", "stored key", "origin"):
        assert any(problem.startswith("entry 2:") for problem in found.problems)


def test_1_an_edited_byte_is_not_served_either(filled: Path) -> None:
    with sql(filled) as db:
        db.execute(EDITS["payload"])
    with Store.open(filled) as store, pytest.raises(EvidenceError, match="entry 2 was edited"):
        store.evidence()


def test_1_an_edited_artefact(filled: Path) -> None:
    with Store.open(filled) as store:
        digest = store.evidence()[1].findings[0].artefacts[0].digest
    path = filled / "artefacts" / digest[:2] / digest[2:]
    path.write_bytes(path.read_bytes().replace(b"0.5", b"0.6"))
    assert any("was changed" in p for p in verified(filled).problems)
    path.unlink()
    assert any("is missing" in p for p in verified(filled).problems)


def test_1_a_flipped_bit_in_an_index_page(filled: Path) -> None:
    """`newest` asks the index: it must not be possible to hide an entry from it."""
    with sql(filled) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        topic = db.execute("SELECT topic FROM entries WHERE seq = 2").fetchone()[0].encode()
    path = filled / "evidence.db"
    data = bytearray(path.read_bytes())
    places = [i for i in range(len(data)) if data.startswith(b"check-result" + topic, i)]
    for place in places:
        data[place + 12] ^= 1
    path.write_bytes(data)
    assert places
    assert not verified(filled).ok


# 2. a removed tail


def test_2_a_removed_tail_that_the_own_checkpoints_show(filled: Path) -> None:
    with sql(filled) as db:
        db.execute("DELETE FROM entries WHERE seq > 6")
    assert any("its tail was removed" in p for p in verify_store(filled).problems)


def test_2_a_removed_tail_with_its_checkpoints(filled: Path) -> None:
    with sql(filled) as db:
        db.execute("DELETE FROM entries WHERE seq > 6")
        db.execute("DELETE FROM checkpoints WHERE size > 6")
    assert any("unseen" in w for w in verified(filled, kept=None).warnings)
    assert any("tail was removed" in p for p in verified(filled).problems)


def test_2_everything_removed(filled: Path) -> None:
    with sql(filled) as db:
        db.execute("DELETE FROM entries")
        db.execute("DELETE FROM checkpoints")
    assert not verified(filled).ok


# 3. reordering, and its kin


def test_3_reordering(filled: Path) -> None:
    with sql(filled) as db:
        db.execute("UPDATE entries SET seq = -seq WHERE seq IN (1, 2)")
        db.execute("UPDATE entries SET seq = 3 + seq WHERE seq < 0")
    assert any("reordered" in p for p in verified(filled, kept=None).problems)


def test_3_a_removed_or_doubled_entry_in_the_middle(filled: Path) -> None:
    whole = filled.parent / "copy"
    shutil.copytree(filled, whole / ".bartizan")
    with sql(filled) as db:
        db.execute("DELETE FROM entries WHERE seq = 2")
        db.execute("UPDATE entries SET seq = seq - 1 WHERE seq > 2")
    assert not verified(filled, kept=None).ok
    with sql(whole / ".bartizan") as db:
        columns = "kind, topic, collected, received, key, payload, signature, previous, digest, leaf"
        db.execute(f"INSERT INTO entries SELECT 9, {columns} FROM entries WHERE seq = 8")
    assert not verify_store(whole, filled.parent / "trusted.pem").ok


# 4. a full re-chain


def test_4_a_full_rechain_with_another_key(filled: Path) -> None:
    resealed(filled, Signer.generate(), better)
    assert verify_store(filled).ok  # it agrees with itself ...
    assert "whoever rewrote" in verify_store(filled).warnings[0]  # ... which is said to prove nothing
    assert any("wrong key" in p for p in verified(filled, kept=None).problems)
    assert any("wrong key" in p for p in verify_store(filled, None, filled.parent / "kept.json").problems)


def test_4_a_full_rechain_without_any_key(filled: Path) -> None:
    resealed(filled, owner(filled), better, seal=False)
    assert any("signature does not hold" in p for p in verify_store(filled).problems)


def test_4_a_full_rechain_by_the_owner_of_the_key(filled: Path) -> None:
    resealed(filled, owner(filled), better)
    assert verified(filled, kept=None).ok  # nobody else could have done it, and no one can tell ...
    assert any("rewritten" in p for p in verified(filled, kept="early.json").problems)  # ... but whoever kept a checkpoint


# 5. an older store in its place


def test_5_an_older_store_swapped_in(filled: Path, clock: Any, outcome: Make) -> None:
    old = filled.parent / "old"
    shutil.copytree(filled, old)
    with Store.open(filled, key=owner(filled), clock=clock) as store:
        store.append(outcome(9, clock.move(hours=1)))
        store.checkpoint().save(filled.parent / "newest.json")
    shutil.rmtree(filled)
    old.rename(filled)
    assert verified(filled).ok
    assert any("older store" in p for p in verified(filled, kept="newest.json").problems)


def test_5_an_older_store_that_went_on_by_itself(filled: Path, clock: Any, outcome: Make) -> None:
    old = filled.parent / "old"
    shutil.copytree(filled, old)
    with Store.open(filled, key=owner(filled), clock=clock) as store:
        store.append(outcome(9, clock.move(hours=1)))
        store.checkpoint().save(filled.parent / "newest.json")
    shutil.rmtree(filled)
    old.rename(filled)
    with Store.open(filled, key=owner(filled), clock=clock) as store:
        for number in (10, 11):
            store.append(outcome(number, clock.move(hours=1)))
    assert any("not those it fixed" in p for p in verified(filled, kept="newest.json").problems)


# 6. a wrong subject


def test_6_evidence_about_another_file(filled: Path) -> None:
    root = filled.parent
    (root / "models").mkdir()
    model = root / "models" / "scorer.skops"
    model.write_bytes(b"another model")
    assert any("wrong subject" in p for p in verified(filled, root=root).problems)
    assert any("wrong subject" in p for p in verified(filled, subjects={"models/scorer.skops": model}).problems)
    assert any("wrong subject" in p for p in verified(filled, subjects={"models/scorer.skops": "sha256:" + "b" * 64}).problems)
    assert verified(filled, subjects={"models/scorer.skops": "sha256:" + "a" * 64}).ok
    model.unlink()
    assert any("not compared" in w for w in verified(filled, root=root).warnings)


def test_6_older_evidence_may_be_about_an_older_file(filled: Path, clock: Any, outcome: Make) -> None:
    with Store.open(filled, key=owner(filled), clock=clock) as store:
        for number in range(1, 7):
            store.append(outcome(number, clock.move(minutes=1), digest="b" * 64))
    assert verified(filled, subjects={"models/scorer.skops": "b" * 64}).ok


@pytest.mark.parametrize("subject", [0, 1])
def test_6_subjects_moved_from_another_job_even_by_the_owner(filled: Path, subject: int) -> None:
    def moved(seq: int, statement: dict[str, Any]) -> None:
        if seq == 2:
            statement["subject"][subject]["digest"]["sha256"] = "c" * 64

    resealed(filled, owner(filled), moved)
    assert any(p.startswith("entry 2: wrong subject") for p in verified(filled, kept=None).problems)


# 7. a wrong key


def test_7_the_store_of_someone_else(filled: Path) -> None:
    other = Signer.generate().public.pem()
    assert any("wrong key" in p for p in verify_store(filled, other).problems)


def test_7_one_entry_by_another_key(filled: Path) -> None:
    stranger = Signer.generate()
    with sql(filled) as db:
        payload = db.execute("SELECT payload FROM entries WHERE seq = 8").fetchone()[0]
        envelope = dsse.seal(dsse.IN_TOTO, payload, stranger)
        leaf = envelope.encode()
        row = (stranger.id, envelope.signature, sha256(leaf), leaf_hash(leaf))
        db.execute("UPDATE entries SET key = ?, signature = ?, digest = ?, leaf = ? WHERE seq = 8", row)
        db.execute("DELETE FROM checkpoints WHERE size = 8")
        db.execute("INSERT INTO keys VALUES (?, ?)", (stranger.id, stranger.public.der))
    assert any(p.startswith("entry 8: wrong key") for p in verified(filled, kept=None).problems)


# 8. back-dated collection


def test_8_a_result_collected_long_before_it_was_received(filled: Path) -> None:
    def back(seq: int, statement: dict[str, Any]) -> None:
        if seq == 8:
            statement["predicate"]["started"] = statement["predicate"]["finished"] = "2026-01-01T00:00:00.000000Z"

    resealed(filled, owner(filled), back)
    assert any(p.startswith("entry 8: back-dated") for p in verified(filled, kept=None).problems)


def test_8_a_result_collected_before_the_checkpoint_it_came_after(filled: Path) -> None:
    def back(seq: int, statement: dict[str, Any]) -> None:
        if seq == 8:
            statement["predicate"]["started"] = statement["predicate"]["finished"] = "2026-03-01T11:50:00.000000Z"

    resealed(filled, owner(filled), back)
    assert any("before the checkpoint" in p for p in verified(filled, kept=None).problems)


def test_8_a_result_with_a_forged_time_of_receipt(filled: Path) -> None:
    def back(seq: int, statement: dict[str, Any]) -> None:
        if seq == 8:
            predicate = statement["predicate"]
            predicate["started"] = predicate["finished"] = predicate["chain"]["received"] = "2026-03-01T12:01:30.000000Z"

    resealed(filled, owner(filled), back)
    assert any("back-dated: received" in p for p in verified(filled, kept=None).problems)


def test_8_a_kept_checkpoint_binds_the_owner(filled: Path, outcome: Make) -> None:
    """The clock is set back, the store's own checkpoints are thrown away, and a result is added: the one kept elsewhere tells."""
    with sql(filled) as db:
        db.execute("DELETE FROM checkpoints")
        db.execute("DELETE FROM entries WHERE seq > 3")
    early = dt.datetime(2026, 3, 1, 12, 3, tzinfo=dt.UTC)
    with Store.open(filled, key=owner(filled), clock=lambda: early) as store:
        store.append(outcome(4, early))
    assert verified(filled, kept=None).ok
    with Store.open(filled) as store:
        kept = store.checkpoints(4)[-1]
    body = {**plain({n: getattr(kept, n) for n in ("origin", "root", "head", "size")}), "time": "2026-03-05T00:00:00.000000Z"}
    later = checkpoints.sign(body, owner(filled))
    later.save(filled.parent / "later.json")
    with Store.open(filled, key=owner(filled), clock=lambda: early) as store:
        store.append(outcome(5, early))
    assert any(p.startswith("entry 5: back-dated") for p in verified(filled, kept="later.json").problems)


# and nothing else


@pytest.mark.parametrize("kept", [None, "early.json", "kept.json"])
def test_an_untouched_store_verifies(filled: Path, kept: str | None) -> None:
    found = verified(filled, kept=kept)
    assert found.ok
    assert found.problems == ()
    assert found.entries == 8
    assert found.key == owner(filled).id
    with Store.open(filled) as store:
        chain = store.chain()
    assert (chain.entries, chain.head, chain.root, chain.verified) == (8, found.head, found.root, True)


def test_resealing_by_the_owner_changes_nothing(filled: Path) -> None:
    """The forger of these tests makes perfect forgeries: what the tests above see is the tampering and not its clumsiness."""
    before = verified(filled)
    resealed(filled, owner(filled), nothing)
    assert verified(filled) == before


def test_hostile_statements_end_in_a_problem_and_not_in_a_traceback(filled: Path) -> None:
    payloads = [
        b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"predicateType":7}', b'{"predicateType":"urn:bartizan:check-result/v1"}',
        b'{"predicateType":"urn:bartizan:check-result/v9"}',
    ]  # fmt: skip
    with sql(filled) as db:
        real = db.execute("SELECT payload FROM entries WHERE seq = 2").fetchone()[0]
    statement = msgspec.json.decode(real)
    for place, value in [
        ("inputs", [{"uri": "x", "digest": 5}]), ("inputs", None), ("subject", {}), ("subject", {"asset": 5}), ("seed", {"$number": "x"}),
        ("seed", {"$number": "1e5"}), ("parameters", {"$number": "5"}), ("parameters", {"a": 2**70}), ("digest", None),
    ]:  # fmt: skip
        changed = msgspec.json.decode(real)
        changed["predicate"]["job"][place] = value
        payloads.append(msgspec.json.encode(changed))
    payloads.append(real.replace(b'"parameters":{', b'"parameters":{"deep":' + b"[" * 5000 + b"]" * 5000 + b","))
    payloads.append(real.replace(b'"parameters":{', b'"parameters":{"deep":' + b"[" * 100_000))
    payloads += [canonical({**statement, "predicate": {**statement["predicate"], p: "0000-99-99"}}) for p in ("started", "finished")]
    for payload in payloads:
        with sql(filled) as db:
            db.execute("UPDATE entries SET payload = ? WHERE seq = 2", (payload,))
        found = verified(filled)
        assert not found.ok
        assert all(len(p) < 1000 and "\n" not in p for p in found.problems)


def test_many_problems_are_counted_and_not_all_told(folder: Path, keyring: Keyring, clock: Any, outcome: Make) -> None:
    with Store.open(folder, key=keyring.signer(), clock=clock) as store:
        for number in range(120):
            store.append(outcome(number, clock()))
    with sql(folder) as db:
        db.execute("UPDATE entries SET signature = zeroblob(64)")
    found = verify_store(folder)
    assert len(found.problems) == 101
    assert "more problems" in found.problems[-1]


def test_a_statement_of_every_kind_can_be_read(filled: Path) -> None:
    with Store.open(filled) as store:
        payloads = [base64.b64decode(msgspec.json.decode(e)["payload"]) for e in store.envelopes(8)]
    kinds = [statements.kind_of(p) for p in payloads]
    assert kinds == ["check-result"] * 3 + ["decision", "risk-state"] + ["check-result"] * 3
