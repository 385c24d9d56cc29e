"""Croissant: the document is complete and consistent, and the reference reader loads it without a word and reads the data back.

The second half runs where the reference reader (mlcroissant) is: the environment variable BARTIZAN_MLCROISSANT names the Python interpreter
that has it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.areas.provenance.passport import statement
from bartizan.areas.provenance.passport.croissant import CONTEXT, MANY, PLAIN, RAI, _id, croissant
from bartizan.areas.provenance.passport.recording import record
from bartizan.areas.provenance.passport.statement import Answer, Held
from bartizan.model.errors import UnknownName

READER = os.environ.get("BARTIZAN_MLCROISSANT")
AT = "2026-07-01T12:00:00Z"
FACTS = {
    "license": "https://spdx.org/licenses/CC-BY-4.0.html",
    "url": "https://example.org/loans",
    "creator": "Example Bank",
    "citeAs": "Example Bank (2026). Loans.",
    "keywords": "loans, credit",
    **{name: f"what is said of {name}" for name in RAI if name not in ("dataCollectionTimeframe",)},
    "dataCollectionTimeframe": "2025-01-01/2025-12-31",
}
ROWS = [
    {"id": i, "income": i * 1.5, "city": ["Bonn", "Köln", 'a "b", c'][i % 3], "ok": i % 2 == 0, "day": f"2026-01-{i % 28 + 1:02d}"}
    for i in range(50)
]


def held(data: Path, *answers: Answer) -> Held:
    passport, details = record(data, at=AT)
    if answers:
        passport, details = statement.with_answers(passport, details, answers)
    return Held(passport=passport, details=details, hand_overs=(), signer=None, holder="", lines=())


def written(place: Path, made: dict[str, Any]) -> Path:
    path = place / "croissant.json"
    path.write_text(json.dumps(made), encoding="utf-8")
    return path


def as_csv(path: Path, separator: str = ",") -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(ROWS)


def png(value: int) -> bytes:
    from bartizan.methods.gallery import _png

    return _png(np.full((3, 8, 8), value, dtype=np.uint8))


def as_folder(place: Path) -> Path:
    """A folder with every kind of file, with names that an IRI cannot hold as they are."""
    (place / "deep").mkdir(parents=True)
    as_csv(place / "loans.csv")
    as_csv(place / "a b#c:d.tsv", "\t")
    with (place / "deep" / "loans.jsonl").open("w") as file:
        file.writelines(json.dumps({**row, "tags": ["x", "y"]}) + "\n" for row in ROWS)
    table = pa.table(
        {
            "id": pa.array(range(50), pa.int32()),
            "when": pa.array([dt.datetime(2026, 1, 1) + dt.timedelta(hours=i) for i in range(50)]),
            "share of / all": pa.array([i / 50 for i in range(50)], pa.float32()),
            "gap": pa.array([None if i % 2 else f"t{i}" for i in range(50)]),
            "list": pa.array([[i, i + 1] for i in range(50)], pa.list_(pa.int64())),
            "inner": pa.array([{"a": i} for i in range(50)]),
        }
    )
    pq.write_table(table, place / "deep" / "loans.parquet")
    (place / "notes.txt").write_text('first, with a comma\n\nthird "quoted"\nlast: ü', encoding="utf-8")
    (place / "blob.bin").write_bytes(b"\x00\x01")
    return place


def test_every_reference_leads_somewhere_and_every_digest_is_right(tmp_path: Path) -> None:
    place = as_folder(tmp_path / "data")
    made = croissant(held(place), FACTS)
    ids = [node["@id"] for node in made["distribution"]]
    ids += [one["@id"] for one in made["recordSet"]] + [f["@id"] for one in made["recordSet"] for f in one["field"]]
    assert len(ids) == len(set(ids))
    for one in made["recordSet"]:
        for field in one["field"]:
            source = field["source"]
            assert (source.get("fileObject") or source["fileSet"])["@id"] in ids
    for file in made["distribution"]:
        assert hashlib.sha256((place / file["contentUrl"]).read_bytes()).hexdigest() == file["sha256"]
        assert file["contentSize"] == f"{(place / file['contentUrl']).stat().st_size} B"
    fields = {field["name"]: field for one in made["recordSet"] for field in one["field"]}
    assert fields["list"]["repeated"] is True
    assert fields["list"]["dataType"] == "sc:Integer"
    assert "inner" not in fields
    assert made["rai:dataCollectionTimeframe"] == ["2025-01-01", "2025-12-31"]
    assert made["keywords"] == ["loans", "credit"]
    assert re.fullmatch(r"1\.0\.0\+[0-9a-f]{16}", made["version"])


def test_the_fields_for_responsible_ai_are_those_of_the_vocabulary() -> None:
    """The 20 properties of https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html, version 1.0."""
    assert len(RAI) == len(set(RAI)) == 20
    assert not set(RAI) & set(PLAIN)
    assert CONTEXT["rai"] == "http://mlcommons.org/croissant/RAI/"


def test_what_checks_found_is_said_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    as_csv(tmp_path / "loans.csv")
    answers = (
        Answer(area="pii", check="pii.personal_data", verdict="fail", title="2 columns hold email"),
        Answer(area="quality", check="quality.outliers", verdict="pass", title="no outliers"),
        Answer(area="quality", check="quality.near_duplicates", verdict="fail", title="9 rows repeat"),
        Answer(area="fairness", check="", verdict=None, title="not covered"),
    )
    made = croissant(held(tmp_path / "loans.csv", *answers))
    assert made["rai:personalSensitiveInformation"] == "2 columns hold email (pii.personal_data: fail)"
    assert made["rai:dataLimitations"] == "9 rows repeat (quality.near_duplicates: fail)"
    assert "rai:dataBiases" not in made
    assert "license" not in made
    made = croissant(held(tmp_path / "loans.csv", *answers), {"personalSensitiveInformation": "none"})
    assert made["rai:personalSensitiveInformation"] == "none"


def test_a_fact_that_croissant_does_not_know_is_refused(tmp_path: Path) -> None:
    as_csv(tmp_path / "loans.csv")
    with pytest.raises(UnknownName, match="licence"):
        croissant(held(tmp_path / "loans.csv"), {"licence": "CC-BY-4.0"})


@given(st.text(max_size=40), st.text(max_size=40))
def test_names_become_iris_that_differ_where_names_do(one: str, other: str) -> None:
    one, other = (text.encode("utf-8", "replace").decode() for text in (one, other))
    assert re.fullmatch(r"[A-Za-z0-9%._~-]+", _id(one, safe=""))
    assert (_id(one, safe="") == _id(other, safe="")) == (one == other or {one, other} == {"", " "})


SCRIPT = """
import hashlib, json, logging, sys
heard = []
class Ear(logging.Handler):
    def emit(self, record):
        if record.levelno >= logging.WARNING: heard.append(record.getMessage())
from absl import logging as absl_logging
absl_logging.get_absl_logger().addHandler(Ear()); logging.getLogger().addHandler(Ear())
import mlcroissant as mlc
data = mlc.Dataset(jsonld=sys.argv[1])
issues = data.metadata.ctx.issues
def plain(v):
    if isinstance(v, bytes): return v.decode("utf-8", "replace")
    if isinstance(v, (list, tuple)): return [plain(one) for one in v]
    if hasattr(v, "tobytes") and hasattr(v, "size") and not hasattr(v, "dtype"): return hashlib.sha256(v.tobytes()).hexdigest()
    if hasattr(v, "isoformat"): return v.isoformat()
    return v.item() if hasattr(v, "item") else v
records = {}
for one in data.metadata.record_sets:
    records[one.id] = [{k: plain(v) for k, v in row.items()} for row in data.records(one.id)]
rai = {k: str(getattr(data.metadata, k)) for k in ("data_collection", "personal_sensitive_information", "data_biases", "data_limitations")}
print(json.dumps({"errors": list(issues.errors), "warnings": list(issues.warnings), "heard": heard, "records": records, "rai": rai}))
"""
needs_reader = pytest.mark.skipif(not READER, reason="BARTIZAN_MLCROISSANT names no interpreter that has mlcroissant")


def loaded(document: Path) -> dict[str, Any]:
    """What the reference reader makes of a document; it must not complain."""
    assert READER is not None
    done = subprocess.run([READER, "-c", SCRIPT, str(document)], capture_output=True, text=True, timeout=120, cwd=document.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["errors"] == told["warnings"] == told["heard"] == []
    return told


@needs_reader
@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "csv.gz"])
def test_the_reference_reader_reads_a_single_table_back(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"loans.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        as_csv(path, "\t" if kind == "tsv" else ",")
        if kind == "csv.gz":
            import gzip

            path.write_bytes(gzip.compress(path.read_bytes()))
    told = loaded(written(tmp_path, croissant(held(path), FACTS)))
    rows = [{name.rpartition("/")[2]: value for name, value in row.items()} for row in told["records"]["rows"]]
    assert [{**row, "day": str(row["day"])[:10]} for row in rows] == ROWS
    assert told["rai"]["personal_sensitive_information"] == "['what is said of personalSensitiveInformation']"


@needs_reader
def test_the_reference_reader_reads_a_folder_back(tmp_path: Path) -> None:
    place = as_folder(tmp_path / "data")
    records = loaded(written(place, croissant(held(place), FACTS)))["records"]
    assert set(records) == {
        "loans.csv/rows",
        "a%20b%23c%3Ad.tsv/rows",
        "deep/loans.jsonl/rows",
        "deep/loans.parquet/rows",
        "notes.txt/rows",
    }
    assert [row["a%20b%23c%3Ad.tsv/rows/city"] for row in records["a%20b%23c%3Ad.tsv/rows"]] == [row["city"] for row in ROWS]
    table = records["deep/loans.parquet/rows"]
    assert [row["deep/loans.parquet/rows/list"] for row in table] == [[i, i + 1] for i in range(50)]
    assert [row["deep/loans.parquet/rows/gap"] for row in table] == [None if i % 2 else f"t{i}" for i in range(50)]
    assert table[3]["deep/loans.parquet/rows/when"] == "2026-01-01T03:00:00"
    assert table[10]["deep/loans.parquet/rows/share%20of%20%2F%20all"] == pytest.approx(0.2)
    assert records["notes.txt/rows"] == [{"notes.txt/rows/content": (place / "notes.txt").read_text()}]
    assert records["deep/loans.jsonl/rows"][1]["deep/loans.jsonl/rows/tags"] == ["x", "y"]


@needs_reader
def test_the_reference_reader_reads_pictures_with_their_classes(tmp_path: Path) -> None:
    for label, base in (("cat", 10), ("dog", 120)):
        (tmp_path / "data" / "train" / label).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "data" / "train" / label / f"{i}.png").write_bytes(png(base + i))
    told = loaded(written(tmp_path / "data", croissant(held(tmp_path / "data"), FACTS)))
    rows = told["records"]["pictures/records"]
    assert [row["pictures/records/folder"] for row in rows] == ["cat"] * 3 + ["dog"] * 3
    assert [row["pictures/records/file"] for row in rows][4] == "train/dog/1.png"
    wanted = [hashlib.sha256(bytes([value]) * 192).hexdigest() for value in (10, 11, 12, 120, 121, 122)]
    assert [row["pictures/records/image"] for row in rows] == wanted


@needs_reader
def test_the_reference_reader_reads_a_folder_of_many_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for i in range(MANY + 1):
        (tmp_path / "data" / f"part-{i:03d}.csv").write_text(f"id,value\n{i},{i * 0.5}\n")
    made = croissant(held(tmp_path / "data"), FACTS)
    assert len(made["distribution"]) == 1
    rows = loaded(written(tmp_path / "data", made))["records"]["files-csv/rows"]
    assert sorted(row["files-csv/rows/id"] for row in rows) == list(range(MANY + 1))
