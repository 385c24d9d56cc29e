"""Who asked for data stands in the chain: signed, verified with the rest, found by who asked, and several processes add to it at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bartizan.evidence import Keyring, Store, verify_store
from bartizan.model.access import Access
from bartizan.model.errors import EvidenceError

OPENED = Access(
    principal="alice", purpose="training", dataset="loans", source="loans.parquet", policy="a" * 64, data="b" * 64, act="open",
    clear=("amount",), masked=("zip",), denied=("ssn",),
)  # fmt: skip

WRITER = """
import sys
from pathlib import Path
import msgspec
from bartizan.evidence import Keyring, Store
from bartizan.model.access import Access
folder, data = Path(sys.argv[1]), sys.argv[2]
with Store.open(folder, key=Keyring(folder / "keys").signer()) as store:
    for _ in range(10):
        store.note_access(msgspec.json.decode(data, type=Access))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store.open(tmp_path, key=Keyring(tmp_path / "keys").signer()) as store:
        seq = store.note_access(OPENED)
        assert seq == 1
        store.note_access(Access(**{**{n: getattr(OPENED, n) for n in Access.__struct_fields__}, "act": "sql", "rows": 5, "opened": seq}))
    return tmp_path


def test_what_was_given_is_read_back_by_principal(folder: Path) -> None:
    with Store.open(folder) as store:
        opened, asked = store.accesses("alice")
        assert opened == OPENED
        assert (asked.rows, asked.opened) == (5, 1)
        assert store.accesses("bob") == ()
        assert store.evidence() == ()  # it is no result of a check
    found = verify_store(folder, next((folder / "keys" / "public").glob("*.pem")))
    assert found.ok, found.problems
    assert found.entries == 2


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE entries SET payload = CAST(replace(CAST(payload AS TEXT), '\"rows\":5', '\"rows\":1') AS BLOB)",
        "UPDATE entries SET topic = 'bob'",
        "DELETE FROM entries WHERE seq = 1",
    ],
)
def test_an_edited_record_is_found(folder: Path, edit: str) -> None:
    with sqlite3.connect(folder / "evidence.db") as connection:
        connection.execute(edit)
    connection.close()
    assert not verify_store(folder).ok


def test_without_a_key_nothing_is_recorded(folder: Path) -> None:
    with Store.open(folder) as store, pytest.raises(EvidenceError, match="reading only"):
        store.note_access(OPENED)


def test_processes_add_at_once(folder: Path) -> None:
    import msgspec

    command = [sys.executable, "-c", WRITER, str(folder), msgspec.json.encode(OPENED).decode()]
    running = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    with Store.open(folder) as store:
        assert len(store.accesses()) == 32
    assert verify_store(folder).ok
