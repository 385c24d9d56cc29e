"""One reading for all: digest and rows from the same bytes, late types cost one more reading, a reading that was stopped goes on."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bartizan.areas.provenance.passport import journal as journals
from bartizan.areas.provenance.passport import reading, recording
from bartizan.areas.provenance.passport import source as sources
from bartizan.areas.provenance.passport.cells import ORDER, settled
from bartizan.areas.provenance.passport.journal import Journal
from bartizan.areas.provenance.passport.recording import TREE, record
from bartizan.areas.provenance.passport.source import Source
from bartizan.areas.provenance.signing import chunk_tree, hashing
from bartizan.areas.provenance.signing.hashing import digest_of
from bartizan.methods.one_pass import Batch, Form, Guarded
from bartizan.model.errors import InputError, Refused


class Seen:
    """Notes what passes."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, Form]] = []
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.cells: dict[str, list[dict[str, Any]]] = {}
        self.ended: list[str] = []

    def begin(self, place: Path, form: Form, schema: Any) -> None:
        self.begun.append((place.name, form))
        self.name = place.name
        self.rows[self.name], self.cells[self.name] = [], []

    def take(self, batch: Batch) -> None:
        self.rows[self.name] += batch.typed.to_pylist()
        if batch.cells is not None:
            assert batch.cells.num_rows == batch.typed.num_rows
            self.cells[self.name] += batch.cells.to_pylist()

    def finish(self) -> None:
        self.ended.append(self.name)

    def kept(self) -> bytes:
        return json.dumps(len(self.rows[self.name])).encode()

    def restore(self, place: Path, kept: bytes | None) -> None:
        self.ended.append(f"{place.name}: {json.loads(kept or b'null')}")


def table(rows: int = 3000) -> pa.Table:
    return pa.table({"id": range(rows), "x": [i / 7 for i in range(rows)], "t": [f"text {i % 90}" for i in range(rows)]})


def written(folder: Path, name: str) -> Path:
    path, made = folder / name, table()
    if name.endswith(".parquet"):
        pq.write_table(made, path, row_group_size=500)
    elif name.endswith(".arrow"):
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, made.schema) as writer:
            writer.write_table(made, max_chunksize=300)
    elif ".jsonl" in name:
        path.write_bytes("".join(json.dumps(row) + "\n" for row in made.to_pylist()).encode())
    else:
        pcsv.write_csv(made, path)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


@pytest.fixture
def _chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (chunk_tree, hashing, sources):
        monkeypatch.setattr(module, "CHUNK", 1024)


@pytest.mark.usefixtures("_chunks")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5000), st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 3000)), max_size=12))
def test_the_digest_is_that_of_the_file_in_whatever_order_it_was_read(data: bytes, places: list[tuple[int, int]]) -> None:
    path = Path(os.environ["PYTEST_CURRENT_TEST_FOLDER"]) / "f"
    path.write_bytes(data)
    with Source(path, tree=TREE) as source:
        for start, count in places:
            assert source.at(start, count) == data[start : start + count]
        found = source.digest()
    assert found == digest_of(path, tree=TREE)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Blocks so small that little files have many, and a cache of their own."""
    folder = tmp_path_factory.mktemp("one_pass")
    monkeypatch.setenv("PYTEST_CURRENT_TEST_FOLDER", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setattr(reading, "BLOCK", 4096)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl", "t.jsonl.gz", "t.parquet", "t.arrow"])
def test_a_file_is_read_once(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = written(tmp_path, name), []
    end = Source.__exit__
    monkeypatch.setattr(Source, "__exit__", lambda self, *a: (read.append(self.read), end(self, *a))[1])
    seen = Seen()
    made, details = record(path, at="", consumers=[seen])
    assert made.content.rows == 3000
    assert seen.rows[name] == table().to_pylist()
    assert seen.begun == [(name, Form.TABLE)]
    assert details.files[0].sha256 == digest_of(path).hex
    footer = 64 * 1024 if name.endswith((".parquet", ".arrow")) else 0
    assert read[0] <= path.stat().st_size + 2 * footer, "the end of such a file is read first, and again in its place"


def test_late_types_cost_one_more_reading_however_many_they_are(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    lines = [f"{i},{i},{i},{i}" for i in range(4000)]
    lines[1500] = "1.5,1,1,1"
    lines[2500] = "1,true,1,1"
    lines[3999] = "1,1,word,1"
    path.write_text("a,b,c,d\n" + "\n".join(lines) + "\n")
    seen = Seen()
    _, details = record(path, at="", consumers=[seen])
    assert [c.type for c in details.files[0].columns] == ["float64", "string", "string", "int64"]
    assert seen.begun == [("t.csv", Form.TABLE)] * 2
    assert len(seen.rows["t.csv"]) == 4000, "what was taken before is forgotten"
    assert seen.cells["t.csv"][2500] == {"a": "1", "b": "true", "c": "1", "d": "1"}


def test_jsonl_whose_columns_change_is_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    rows = [{"a": i} for i in range(900)] + [{"a": i + 0.5, "b": "x"} for i in range(900)] + [{"c": [1]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen = Seen()
    record(path, at="", consumers=[seen])
    assert len(seen.begun) == 2
    assert [{k: v for k, v in row.items() if v is not None} for row in seen.rows["t.jsonl"]] == rows


CELLS = [
    "1", "0", " 1", "2 ", "007", "+5", "-4", "1e5", "1.5", " 1.5 ", "nan", "inf", "-inf", "true", "True", "tRUE", " false", "0x1F", "",
    '""', "NA", "12345678901234567890", "9007199254740993", "1_000", "2024-01-01", "12:30", "x", "日本", "1e400", "9223372036854775808",
    " ",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(CELLS), min_size=1, max_size=6))
def test_types_are_those_that_arrow_gives_a_csv(cells: list[str]) -> None:
    options: dict[str, Any] = {"null_values": [""], "strings_can_be_null": True, "quoted_strings_can_be_null": False}
    data = ("c,end\n" + "".join(f"{cell},\n" for cell in cells)).encode()
    by_arrow = pcsv.read_csv(pa.BufferReader(data), convert_options=pcsv.ConvertOptions(**options))["c"]
    if pa.types.is_temporal(by_arrow.type):
        by_arrow = pcsv.read_csv(pa.BufferReader(data), convert_options=pcsv.ConvertOptions(column_types={"c": pa.string()}, **options))[
            "c"
        ]
    raw = pcsv.read_csv(pa.BufferReader(data), convert_options=pcsv.ConvertOptions(column_types={"c": pa.binary()}, **options))["c"]
    kind, values, _ = settled(raw.combine_chunks(), ORDER[0], given=True)
    assert kind == by_arrow.type
    assert str(values.to_pylist()) == str(by_arrow.combine_chunks().to_pylist())


def test_lines_and_what_nobody_reads(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.yaml").write_text("key: value\n")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "d.bin").write_bytes(bytes(range(256)))
    (tmp_path / "e.json").write_bytes(b"")
    seen = Seen()
    made, _ = record(tmp_path, at="", consumers=[seen])
    forms = dict(seen.begun)
    assert forms == {"a.txt": Form.LINES, "b.yaml": Form.LINES, "c.png": Form.OPAQUE, "d.bin": Form.OPAQUE, "e.json": Form.OPAQUE}
    assert seen.rows["b.yaml"] == [{"line": b"key: value"}]
    assert sorted(seen.ended) == sorted(forms)
    assert made == record(tmp_path, at="")[0], "who takes part changes nothing"


def test_long_lines_and_a_head_in_quotes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('\n"a\nb",c\n' + "x" * 50_000 + ",1\ny,2\n")
    _, details = record(tmp_path / "t.csv", at="")
    assert [(c.name, c.type) for c in details.files[0].columns] == [("a\nb", "string"), ("c", "int64")]
    assert details.files[0].rows == 2


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv")

    def change(_: object) -> None:
        with path.open("a") as file:
            file.write("1,1,x\n")

    with pytest.raises(Refused, match="changed while it was read"):
        record(path, at="", listener=change)


def test_one_who_fails_does_not_end_the_reading(tmp_path: Path) -> None:
    class Broken(Seen):
        def take(self, batch: Batch) -> None:
            raise ValueError("no")

    guarded, seen = Guarded(Broken()), Seen()
    record(written(tmp_path, "t.parquet"), at="", consumers=[guarded, seen])
    assert str(guarded.error) == "no"
    assert len(seen.rows["t.parquet"]) == 3000


def test_a_table_that_cannot_be_read_counts_as_one_row_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1\n2,3\n")
    written(tmp_path, "good.csv")
    with pytest.raises(InputError, match="cannot be read as csv"):
        record(tmp_path, at="")
    broken: list[InputError] = []
    made, details = record(tmp_path, at="", broken=broken)
    assert [file.format for file in details.files] == ["file", "csv"]
    assert made.content.rows == 3001
    assert [str(error.place) for error in broken] == ["bad.csv"]


KILLED = """
import os, signal, sys
from pathlib import Path
from bartizan.areas.provenance.passport import journal
from bartizan.areas.provenance.passport.recording import record
journal.LEAST_FILES = journal.FRESH = 0
def tell(news):
    if news.number == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
with journal.Journal(Path(sys.argv[2])) as going:
    record(Path(sys.argv[1]), at="", listener=tell, journal=going)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "set"
    made.mkdir()
    for n in range(9):
        pcsv.write_csv(table(500 + n), made / f"{n}.csv")
    (made / "x.png").write_bytes(b"\x89PNG")
    return made


def killed(folder: Path, place: Path, number: int) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(place), str(number)], check=False)
    assert done.returncode == -signal.SIGKILL


def went_on(folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch, *, fresh: bool = False) -> list[str]:
    """The files that are read when the reading goes on; what comes out is what a reading from the start gives."""
    monkeypatch.setattr(journals, "LEAST_FILES", 0)
    monkeypatch.setattr(journals, "FRESH", 0)
    opened: list[str] = []

    class Watched(Source):
        def __init__(self, path: Path, **how: Any) -> None:
            opened.append(path.name)
            super().__init__(path, **how)

    whole = record(folder, at="")
    monkeypatch.setattr(recording, "Source", Watched)
    with Journal(place, fresh=fresh) as going:
        found = record(folder, at="", journal=going)
    assert found == whole
    return opened


def test_a_reading_that_was_killed_goes_on_and_ends_the_same(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(folder, tmp_path / "c" / "j", 8)
    assert went_on(folder, tmp_path / "c" / "j", monkeypatch) == ["8.csv"]
    assert not (tmp_path / "c" / "j").exists(), "a reading that came to its end leaves nothing"


def test_what_changed_meanwhile_is_read_again(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(folder, tmp_path / "c" / "j", 8)
    state = (folder / "3.csv").stat()
    data = (folder / "3.csv").read_bytes()
    (folder / "3.csv").write_bytes(data.replace(b"text 7", b"text 8", 1))
    os.utime(folder / "3.csv", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert went_on(folder, tmp_path / "c" / "j", monkeypatch) == ["3.csv", "8.csv"]


@pytest.mark.parametrize("damage", ["fresh", "torn", "altered", "rows", "open"])
def test_a_journal_that_is_not_whole_is_not_believed(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    place = tmp_path / "c" / "j"
    killed(folder, place, 6)
    entries = place / "entries"
    lines = entries.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    if damage == "torn":
        entries.write_bytes(b"".join(lines)[:-10])
    elif damage == "altered":
        entries.write_bytes(b"".join(lines).replace(b'"rows":502', b'"rows":503'))
    elif damage == "rows":
        data = bytearray((place / "rows").read_bytes())
        data[0] ^= 1
        (place / "rows").write_bytes(bytes(data))
    elif damage == "open":
        place.parent.chmod(0o755)
    names = [f"{n}.csv" for n in range(9)]
    expected = {"fresh": names, "torn": names[5:], "altered": names[2:], "rows": ["0.csv", *names[6:]], "open": names}[damage]
    assert went_on(folder, place, monkeypatch, fresh=damage == "fresh") == expected


def test_who_takes_part_is_given_what_it_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "LEAST_FILES", 0)
    monkeypatch.setattr(journals, "FRESH", 0)

    def stop(news: Any) -> None:
        if news.number == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "c" / "j") as going:
        record(folder, at="", consumers=[Seen()], listener=stop, journal=going)
    seen, told = Seen(), []
    with Journal(tmp_path / "c" / "j") as going:
        record(folder, at="", consumers=[seen], listener=told.append, journal=going)
    assert seen.ended[:6] == [f"{n}.csv: {500 + n}" for n in range(5)] + ["5.csv"]
    assert told[0].known == sum((folder / f"{n}.csv").stat().st_size for n in range(5))
