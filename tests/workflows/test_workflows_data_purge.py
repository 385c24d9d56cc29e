"""Purging: what goes and what stays add up, what went is proved to be gone, and nothing is ever half written."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.areas.access.purging import Undated, Wish, clause
from bartizan.areas.access.retention import Expiry
from bartizan.areas.provenance.passport import deletion, proving, recording, statement, verifying
from bartizan.areas.provenance.signing.keys import PrivateKey
from bartizan.evidence import Keyring, Store, verify_store
from bartizan.model.errors import EvidenceError, InputError, Refused, UnknownName
from bartizan.workflows.data_purge import Order, Purged, purge
from bartizan.workflows.dataset_passport import record

KEY = PrivateKey.generate("ed25519")


def wish(*clauses: str, **more: object) -> Wish:
    return Wish(clauses=tuple(map(clause, clauses)), **more)


def table(rows: int = 50) -> pl.DataFrame:
    made = [f"20{10 + n % 20:02}-06-01" if n % 9 else None for n in range(rows)]
    return pl.DataFrame({"id": range(rows), "name": [f"person {n % 10}" for n in range(rows)], "made": made})


def written(folder: Path, kind: str, held: pl.DataFrame, name: str = "people") -> Path:
    path = folder / f"{name}.{kind}"
    {"csv": held.write_csv, "jsonl": held.write_ndjson, "parquet": held.write_parquet}[kind](path)
    return path


def loaded(path: Path) -> list[tuple[object, ...]]:
    read = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}[path.suffix]
    return read(path).rows()


def verified(path: Path) -> verifying.Verified:
    return verifying.verify(path, statement.passport_path(path), KEY.public)


def leaves(path: Path) -> Counter[bytes]:
    from bartizan.areas.provenance.passport.encoding import columns_of
    from bartizan.areas.provenance.passport.reading import Table
    from bartizan.areas.provenance.passport.removal import types_of

    made = statement.read(statement.passport_path(path), None).details.files[0]
    found: Counter[bytes] = Counter()
    for batch in Table(path, made.format, None, types_of(made)).batches():
        joined = recording.row_hashes(columns_of(batch.columns), batch.num_rows)
        found.update(joined[n : n + 32] for n in range(0, len(joined), 32))
    return found


def proofs(done: Purged) -> list[proving.Absence]:
    return [proving.decode(line) for line in done.written["proofs"].read_bytes().splitlines()]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.integers(-3, 3), st.sampled_from(["a", "b,\n", "ü", ""])), min_size=1, max_size=30))
def test_what_goes_and_what_stays_add_up_and_proofs_hold(kind: str, rows, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("purge")
    held = pl.DataFrame(rows, schema={"n": pl.Int64, "t": pl.String}, orient="row")
    path = written(folder, kind, held)
    record(path, statement.passport_path(path), KEY)
    done = purge(path, KEY, Order(wish=wish("n > 0"), output=folder / f"new.{kind}"))
    going = [row for row in rows if row[0] > 0]
    assert done.removed == len(going)
    if not going:
        assert done.deletion is None
        assert not (folder / f"new.{kind}").exists()
        return
    new = done.written["data"]
    before, after = leaves(path), leaves(new)
    assert sum(after.values()) + len(going) == sum(before.values()) == len(rows)
    gone = before - after
    assert after + gone == before
    assert verified(new).ok
    proved = proofs(done)
    assert {proof.leaf for proof in proved} == {leaf.hex() for leaf in gone}
    for proof in proved:
        proving.check(proof, KEY.public)
        for kept in after:
            false = proving.Absence(passport=proof.passport, leaf=kept.hex(), schema=proof.schema, bucket=proof.bucket, steps=proof.steps)
            with pytest.raises(EvidenceError):
                proving.check(false, KEY.public)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_age_with_undated_rows_reported_or_removed(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, table())
    aged = Expiry(column="made", days=0)
    order = Order(wish=Wish(expiry=aged, before="2020-01-01T00:00:00+00:00"), output=tmp_path / f"a.{kind}")
    done = purge(path, KEY, order)
    rows = table().rows()
    old = [r for r in rows if r[2] is not None and r[2] < "2020-01-01"]
    none = [r for r in rows if r[2] is None]
    assert (done.removed, done.seen.undated) == (len(old), len(none))
    assert loaded(done.written["data"]) == [r for r in rows if r not in old]
    removed = Wish(expiry=aged, before="2020-01-01T00:00:00+00:00", undated=Undated.REMOVE)
    strict = purge(path, KEY, Order(wish=removed, output=tmp_path / f"b.{kind}"))
    assert loaded(strict.written["data"]) == [r for r in rows if r not in old and r not in none]


def test_the_new_passport_names_the_old_one_and_the_certificate_fits(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", table())
    record(path, statement.passport_path(path), KEY)
    order = Order(wish=wish(subjects={"name": ("person 3",)}), output=tmp_path / "new.csv", opening=tmp_path / "o.json")
    done = purge(path, KEY, order)
    new = statement.passport_path(tmp_path / "new.csv")
    assert verifying.verify(tmp_path / "new.csv", new, KEY.public, parents=[statement.passport_path(path)]).ok
    assert verifying.verify(tmp_path / "new.csv", new, KEY.public, parents=[done.written["before"]]).ok
    data = done.written["certificate"].read_bytes()
    made = deletion.check(data, KEY.public)
    assert (made.before.rows, made.removed, made.after.rows) == (50, 5, 45)
    deletion.belongs(made, statement.read(new, KEY.public))
    with pytest.raises(EvidenceError, match="another state"):
        deletion.belongs(made, statement.read(statement.passport_path(path), KEY.public))
    opening = (tmp_path / "o.json").read_bytes()
    assert deletion.opened(made, opening).rule["subjects"] == {"name": ["person 3"]}
    assert (tmp_path / "o.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(EvidenceError, match="another rule"):
        deletion.opened(made, opening.replace(b"person 3", b"person 4"))
    assert b"person 3" not in base64.b64decode(json.loads(data)["dsseEnvelope"]["payload"])


def test_a_certificate_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", table())
    data = purge(path, KEY, Order(wish=wish("id < 7"), output=tmp_path / "new.csv")).written["certificate"].read_bytes()
    with pytest.raises(EvidenceError):
        deletion.check(data, PrivateKey.generate("ed25519").public)
    wire = json.loads(data)
    payload = bytearray(base64.b64decode(wire["dsseEnvelope"]["payload"]))
    for place in range(0, len(payload), 7):
        payload[place] ^= 1
        wire["dsseEnvelope"]["payload"] = base64.b64encode(bytes(payload)).decode()
        with pytest.raises(EvidenceError):
            deletion.check(json.dumps(wire).encode(), KEY.public)
        payload[place] ^= 1
    made = deletion.check(data, KEY.public)
    lying = deletion.seal(deletion.Deletion(**{f: getattr(made, f) for f in made.__struct_fields__} | {"removed": 8}), KEY)
    with pytest.raises(EvidenceError, match="do not add up"):
        deletion.check(lying, KEY.public)


def test_data_that_is_not_what_its_passport_says_is_left_alone(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", table())
    record(path, statement.passport_path(path), KEY)
    path.write_text(path.read_text().replace("person 9", "person 8", 1))
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(Refused, match="not what the passport says"):
        purge(path, KEY, Order(wish=wish("id < 7")))
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_in_place_keeps_mode_and_the_old_statement(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", table())
    path.chmod(0o640)
    record(path, statement.passport_path(path), KEY)
    old = statement.read(statement.passport_path(path), KEY.public).passport
    done = purge(path, KEY, Order(wish=wish("id < 7")))
    assert path.stat().st_mode & 0o777 == 0o640
    assert verified(path).ok
    assert statement.read(done.written["before"], KEY.public, details=False).passport == old
    again = purge(path, KEY, Order(wish=wish("id < 9")))
    assert (again.removed, again.written["certificate"].name) == (2, "people.csv.2.deletion.json")
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_rows_by_their_proofs_and_no_others(tmp_path: Path) -> None:
    path = written(tmp_path, "parquet", table())
    record(path, statement.passport_path(path), KEY)
    held = statement.read(statement.passport_path(path), KEY.public)
    for row in (3, 30):
        (tmp_path / f"{row}.json").write_bytes(proving.encode(proving.prove_row(path, held, row)))
    order = Order(rows_from=(tmp_path / "3.json", tmp_path / "30.json"), trusted=KEY.public, output=tmp_path / "new.parquet")
    done = purge(path, KEY, order)
    assert (done.removed, done.proofs) == (2, 2)
    assert [row[0] for row in loaded(tmp_path / "new.parquet")] == [n for n in range(50) if n not in (3, 30)]
    with pytest.raises(EvidenceError):
        purge(path, KEY, Order(rows_from=(tmp_path / "3.json",), trusted=PrivateKey.generate("ed25519").public))


def folder_of(tmp_path: Path) -> Path:
    data = tmp_path / "set"
    (data / "deep").mkdir(parents=True)
    written(data, "csv", table(30), "one")
    written(data / "deep", "parquet", table(40), "two")
    written(data, "csv", table(0).with_columns(), "none")
    (data / "readme.txt").write_text("about the data\n")
    (data / "picture.png").write_bytes(b"\x89PNG")
    (data / ".git").mkdir()
    (data / ".git" / "config").write_text("kept in place")
    return data


@pytest.mark.parametrize("in_place", [True, False])
def test_a_folder(tmp_path: Path, in_place: bool) -> None:
    data = folder_of(tmp_path)
    inode = (data / "picture.png").stat().st_ino
    done = purge(data, KEY, Order(wish=wish("id >= 25"), output=None if in_place else tmp_path / "new"))
    assert done.files == {
        "deep/two.parquet": (15, 25), "none.csv": (0, 0), "one.csv": (5, 25), "picture.png": (0, 1), "readme.txt": (0, 1),
    }  # fmt: skip
    assert set(done.unjudged) == {"readme.txt", "picture.png"}
    new = data if in_place else tmp_path / "new"
    assert verified(new).ok
    assert [r[0] for r in loaded(new / "deep" / "two.parquet")] == list(range(25))
    assert ((new / "picture.png").stat().st_ino == inode) == in_place
    assert (new / ".git" / "config").exists() == in_place
    assert done.left_out == (() if in_place else (".git", ".gitattributes", ".github", ".gitignore"))
    for proof in proofs(done):
        proving.check(proof, KEY.public)
    assert done.proofs == 15, "five rows stand in both files, and are one row as a set"


def test_a_table_without_the_column_is_refused_unless_it_is_to_stay(tmp_path: Path) -> None:
    data = folder_of(tmp_path)
    (data / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UnknownName, match="unknown column 'id'"):
        purge(data, KEY, Order(wish=wish("id >= 25"), output=tmp_path / "new"))
    done = purge(data, KEY, Order(wish=wish("id >= 25"), output=tmp_path / "new", keep=("other.csv",)))
    assert "other.csv" in done.unjudged
    assert (tmp_path / "new" / "other.csv").read_text() == "a,b\n1,2\n"


def test_a_column_keeps_its_type_when_the_value_that_made_it_text_goes(tmp_path: Path) -> None:
    path = tmp_path / "mixed.csv"
    path.write_text("id,code\n1,7\n2,x\n3,9\n")
    record(path, statement.passport_path(path), KEY)
    done = purge(path, KEY, Order(wish=wish("code == x"), output=tmp_path / "new.csv"))
    assert (tmp_path / "new.csv").read_text() == "id,code\n1,7\n3,9\n"
    assert [c.type for c in statement.read(done.written["passport"], None).details.files[0].columns] == ["int64", "string"]
    assert verified(tmp_path / "new.csv").ok
    assert verifying.verify(tmp_path / "new.csv", done.written["passport"], KEY.public, content=True).ok


def test_lines_of_json_whose_types_were_made_by_what_goes(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    path.write_text('{"id": 1, "x": 1}\n{"id": 2, "x": 2.5, "only": "here"}\n{"id": 3, "x": 3}\n')
    record(path, statement.passport_path(path), KEY)
    done = purge(path, KEY, Order(wish=wish("id == 2"), output=tmp_path / "new.jsonl"))
    assert (tmp_path / "new.jsonl").read_text() == '{"id": 1, "x": 1}\n{"id": 3, "x": 3}\n'
    assert done.retyped == (".",)
    assert [(c.name, c.type) for c in statement.read(done.written["passport"], None).details.files[0].columns] == [
        ("id", "int64"),
        ("x", "int64"),
    ]
    assert verified(tmp_path / "new.jsonl").ok
    assert "different columns" in proving.check(proofs(done)[0], KEY.public).said


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("id == x", "holds numbers"),
        ("name < person 3", "only compared by"),
        ("nothing", "compares nothing"),
        ("who == 1", "unknown column"),
    ],
)
def test_a_comparison_that_means_nothing_is_said(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        purge(written(tmp_path, "csv", table()), KEY, Order(wish=wish(text), output=tmp_path / "new.csv"))
    assert not (tmp_path / "new.csv").exists()


def test_copies_are_found_whatever_they_are_written_in(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", table())
    also = tmp_path / "elsewhere"
    also.mkdir()
    for kind in ("csv", "jsonl", "parquet"):
        written(also, kind, table().with_columns(pl.col("made").str.to_date()), "backup")
    written(also, "csv", table().select("name"), "names")
    written(also, "parquet", table().select(pl.col("id").cast(pl.Float64), pl.lit(1).alias("more")).tail(20), "late")
    (also / "old.sqlite").write_bytes(b"SQLite format 3\0")
    done = purge(path, KEY, Order(wish=wish("id < 7"), output=tmp_path / "new.csv", also=(also,)))
    assert done.copies is not None
    found = {place.file.name: place.rows for place in done.copies.places}
    assert found == {"backup.csv": 7, "backup.jsonl": 7, "backup.parquet": 7}
    assert done.copies.unclear == 35, "seven names stand in five rows each, of which four stay"
    assert done.copies.unread == ("old.sqlite is no table",)
    assert done.deletion is not None
    assert (done.deletion.elsewhere.files, done.deletion.elsewhere.found) == (5, 21)


def test_a_subject_is_found_where_only_its_name_stands(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", table())
    (tmp_path / "log.txt").write_text("login of person 3.\n")
    (tmp_path / "other.txt").write_text("login of person 33\n")
    written(tmp_path, "csv", table().select(pl.col("name"), pl.lit("x").alias("mail")), "mails")
    order = Order(
        wish=wish(subjects={"name": ("person 3",)}),
        output=tmp_path / "new.csv",
        also=tuple(tmp_path / name for name in ("log.txt", "other.txt", "mails.csv")),
    )
    done = purge(path, KEY, order)
    assert done.copies is not None
    assert {(p.file.name, p.rows, p.mentions) for p in done.copies.places} == {("log.txt", 0, True), ("mails.csv", 5, False)}


def test_it_is_noted_in_the_chain_of_evidence(tmp_path: Path) -> None:
    state = tmp_path / ".bartizan"
    path = written(tmp_path, "csv", table())
    done = purge(path, KEY, Order(wish=wish("id < 7"), output=tmp_path / "new.csv", state=state))
    with Store.open(state, key=Keyring(state / "keys").signer()) as store:
        (noted,) = store.purges("new.csv")
    assert done.deletion is not None
    assert (noted.removed, noted.left, noted.certificate) == (7, 43, done.deletion.id)
    assert noted.certificate == hashlib.sha256(done.deletion.encode()).hexdigest()
    assert verify_store(state).ok


def test_two_purges_at_once_and_an_output_that_is_there_are_refused(tmp_path: Path) -> None:
    from bartizan.areas.access.replacing import Workplace

    path = written(tmp_path, "csv", table())
    with Workplace(path), pytest.raises(Refused, match="another process"):
        purge(path, KEY, Order(wish=wish("id < 7")))
    (tmp_path / "new.csv").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        purge(path, KEY, Order(wish=wish("id < 7"), output=tmp_path / "new.csv"))
    assert (tmp_path / "new.csv").read_text() == "mine"
    for place in ("new.parquet", "people.csv/x.csv"):
        with pytest.raises(InputError):
            purge(path, KEY, Order(wish=wish("id < 7"), output=tmp_path / place))
    data = folder_of(tmp_path)
    with pytest.raises(InputError, match="in the data itself"):
        purge(data, KEY, Order(wish=wish("id < 7"), output=data / "new"))
    (tmp_path / "notes.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="no columns"):
        purge(tmp_path / "notes.txt", KEY, Order(wish=wish("line == a")))


def test_a_chain_that_cannot_be_written_stops_it_in_time(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", table())
    before = path.read_bytes()
    (tmp_path / "state").write_text("no folder")
    with pytest.raises(EvidenceError):
        purge(path, KEY, Order(wish=wish("id < 7"), state=tmp_path / "state"))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("i >= 2", [1]), ("f < 2.5", [3]), ("d == 2.50", [1, 3]), ("b == true", [2]), ("when < 2024-01-02", [2, 3]),
        ("at < 2024-01-02T00:00:00Z", [2, 3]), ("c == x", [2]), ("none == x", [1, 2, 3]), ('"s" == "a b"', [2, 3]), ("s != a b", [1]),
    ],
)  # fmt: skip
def test_comparisons_of_every_type(tmp_path: Path, text: str, left: list[int]) -> None:
    import datetime as dt
    from decimal import Decimal

    days = [dt.datetime(2024, 1, n) for n in (1, 2, 3)]
    held = pl.DataFrame(
        {
            "i": [1, 2, 3], "f": [1.0, 2.0, 3.0], "d": [Decimal("1.50"), Decimal("2.50"), Decimal("3.50")], "b": [True, False, True],
            "when": [d.date() for d in days], "at": [d.replace(tzinfo=dt.UTC) for d in days], "none": [None] * 3, "s": ["a b", "c", "d"],
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
        }
    )  # fmt: skip
    held.write_parquet(tmp_path / "t.parquet")
    done = purge(tmp_path / "t.parquet", KEY, Order(wish=wish(text), output=tmp_path / "new.parquet"))
    kept = pl.read_parquet(tmp_path / "new.parquet")["i"].to_list() if done.deletion is not None else [1, 2, 3]
    assert kept == left
    assert done.seen.undecided == (3 if text.startswith("none") else 0)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_file_that_changes_meanwhile_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, kind, table())
    record(path, statement.passport_path(path), KEY)

    def meddle(news: object) -> None:
        with path.open("ab") as file:
            file.write(b"\n")

    with pytest.raises(Refused):
        purge(path, KEY, Order(wish=wish("id < 7")), listener=meddle)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".") or "deletion" in p.name]


def test_folders_change_places_where_the_system_cannot_exchange_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bartizan.areas.access import replacing

    monkeypatch.setattr(replacing, "_EXCHANGE", 1 << 20)  # a flag that no kernel knows
    data = folder_of(tmp_path)
    purge(data, KEY, Order(wish=wish("id >= 25")))
    assert verified(data).ok
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


PROGRAM = """
import sys
from pathlib import Path
from bartizan.areas.access.purging import Wish, clause
from bartizan.areas.provenance.signing.keys import PrivateKey
from bartizan.workflows.data_purge import Order, purge
print("ready", flush=True)
purge(Path(sys.argv[1]), PrivateKey.read(Path(sys.argv[2])), Order(wish=Wish(clauses=(clause("id < 1000"),))))
"""


@pytest.mark.slow
def test_a_kill_leaves_the_old_data_or_the_new(tmp_path: Path) -> None:
    data = tmp_path / "set"
    data.mkdir()
    written(data, "csv", table(60_000), "a")
    written(data, "parquet", table(60_000), "b")
    (tmp_path / "key.pem").write_bytes(KEY.pem())
    (tmp_path / "key.pem").chmod(0o600)
    old = {p.name: p.read_bytes() for p in data.iterdir()}
    lines = (data / "a.csv").read_text().splitlines(keepends=True)
    new = "".join([lines[0], *lines[1001:]])
    ended = Counter[str]()
    for step in range(9):
        started = subprocess.Popen([sys.executable, "-c", PROGRAM, str(data), str(tmp_path / "key.pem")], stdout=subprocess.PIPE)
        assert started.stdout is not None
        started.stdout.readline()
        time.sleep(0.12 * step)
        os.kill(started.pid, signal.SIGKILL)
        started.wait()
        started.stdout.close()
        now = {p.name: p.read_bytes() for p in data.iterdir()}
        if now == old:
            ended["old"] += 1
            continue
        ended["new"] += 1
        assert set(now) == {"a.csv", "b.parquet"}
        assert now["a.csv"].decode() == new, "both files are of one state"
        assert [r[0] for r in loaded(data / "b.parquet")] == list(range(1000, 60_000))
        break
    assert ended["old"] > 0
    left = purge(data, KEY, Order(wish=wish("id < 2000"), dry=True))
    assert left.removed == (2000 if ended["new"] else 4000)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")], "what the killed runs left is gone"
