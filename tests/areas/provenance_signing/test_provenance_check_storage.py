"""Storage: labelled configurations, open ones fail with their line and clean ones do not; modes of files on this machine."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.adapters.wrapping_keys import LocalKey
from bartizan.areas.provenance.sealing import seal
from bartizan.areas.provenance.storage_files import bucket_of
from bartizan.areas.provenance.storage_hcl import Raw, blocks_of
from bartizan.model.errors import InputError
from bartizan.model.findings import Verdict
from bartizan.model.system import Acl, Asset, Dataset, Holds, Kind, Stage

CHECK = "provenance.storage"
CASES = yaml.safe_load((Path(__file__).parent / "storage-cases.yaml").read_text(encoding="utf-8"))
BUCKET = 'resource "aws_s3_bucket" "w" {\n  bucket = "weights"\n}\n'


def store(**more: object) -> Asset:
    return Asset(id="weights", kind=Kind.STORE, holds=(Holds.WEIGHTS,), **more)  # type: ignore[arg-type]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder whose parents let everybody through, as on a shared machine."""
    folder = Path(tempfile.mkdtemp(prefix="bartizan-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder.resolve()
    shutil.rmtree(folder)


@pytest.mark.parametrize("case", CASES["open"], ids=lambda case: case["label"])
def test_an_open_store_fails_at_its_line(run_check, tmp_path: Path, case: dict) -> None:
    name, text, line = case["file"], case["text"], case["line"]
    (tmp_path / name).write_text(text)
    (finding,) = [f for f in run_check(CHECK, store(uri="s3://weights/v1", configuration=(name,))) if f.threat == "weight-theft"]
    assert finding.verdict is Verdict.FAIL, finding.why
    assert str(finding.places[0]) == f"{name}:{line}"


@pytest.mark.parametrize("case", CASES["clean"], ids=lambda case: case["label"])
def test_a_clean_store_passes(run_check, tmp_path: Path, case: dict) -> None:
    name, text = case["file"], case["text"]
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / name).write_text(text)
    (tmp_path / "infra" / "other.json").write_text("[1, 2]")
    for finding in run_check(CHECK, store(uri="s3://weights/v1", configuration=("infra",))):
        assert finding.verdict is Verdict.PASS, finding.why
        assert finding.details["probability_cap"] == 0.2


def test_nothing_to_look_at_or_not_readable_is_unknown(run_check, tmp_path: Path) -> None:
    (tmp_path / "bad.tf").write_text(BUCKET + "resource {{{\n")
    (tmp_path / "none.tf").write_text('resource "aws_vpc" "v" {}\n')
    for more in ({}, {"uri": "s3://weights"}, {"configuration": ("bad.tf",)}, {"configuration": ("none.tf",)}):
        assert {f.verdict for f in run_check(CHECK, store(**more))} == {Verdict.UNKNOWN}, more
    for more in ({"encrypted": False}, {"acl": Acl.NONE}):
        assert {f.verdict for f in run_check(CHECK, store(uri="s3://weights", **more))} == {Verdict.FAIL}


def test_files_that_everybody_can_read_fail_unless_sealed(run_check, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    (folder / "rows.csv").write_text("a\n1\n")
    (folder / "rows.csv").chmod(0o644)
    data = Dataset(id="d", stage=Stage.TRAIN, uri="data")
    (finding,) = [f for f in run_check(CHECK, data) if f.threat == "training-store-theft"]
    assert finding.verdict is Verdict.FAIL
    assert str(finding.places[0]) == "data/rows.csv"
    (folder / "rows.csv").chmod(0o640)
    assert {f.verdict for f in run_check(CHECK, data)} == {Verdict.PASS}
    (folder / "rows.csv").chmod(0o644)
    folder.chmod(0o750)
    assert {f.verdict for f in run_check(CHECK, data)} == {Verdict.PASS}
    folder.chmod(0o755)
    seal(folder / "rows.csv", folder / "rows.sealed", LocalKey(bytes(32)))
    (folder / "rows.csv").unlink()
    (folder / "rows.sealed").chmod(0o644)
    passed = run_check(CHECK, data)
    assert {f.verdict for f in passed} == {Verdict.PASS}
    assert passed[0].details["probability_cap"] == 0.05
    (folder / "rows.sealed").chmod(0o646)
    assert {f.verdict for f in run_check(CHECK, data)} == {Verdict.FAIL}


@pytest.mark.parametrize(
    ("uri", "bucket"),
    [
        ("s3://weights/v1", "weights"),
        ("gs://weights", "weights"),
        ("https://weights.s3.eu-central-1.amazonaws.com/v1", "weights"),
        ("https://s3.amazonaws.com/weights/v1", "weights"),
        ("https://storage.googleapis.com/weights/x", "weights"),
        ("abfss://weights@account.dfs.core.windows.net/x", "weights"),
        ("models/", None),
        ("https://example.org/x", None),
        (None, None),
    ],
)
def test_the_bucket_of_an_address(uri: str | None, bucket: str | None) -> None:
    assert bucket_of(uri) == bucket


def test_terraform_values() -> None:
    (block,) = blocks_of(
        'a "b" c {\n x = [1, "t\\n", true]\n y = { k = "v", "l" : null }\n z = f("}") + 1\n s = "${a["x"]}-b"\n n { }\n}', "f"
    )
    assert (block.kind, block.labels, block.line) == ("a", ("b", "c"), 1)
    assert block.attributes["x"] == ["1", "t\n", True]
    assert block.attributes["y"] == {"k": "v", "l": None}
    assert block.attributes["z"] == Raw('f("}") + 1')
    assert block.attributes["s"] == '${a["x"]}-b'
    assert isinstance(block.attributes["s"], Raw)
    assert [inner.kind for inner in block.blocks] == ["n"]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='ab ={}[]"$<\n\\,:#/*()E1', max_size=60))
def test_no_text_crashes_the_reader_of_terraform(text: str) -> None:
    with contextlib.suppress(InputError):
        blocks_of(text, "f")


@pytest.mark.parametrize("text", ["a {" * 5000, "a = " + "[" * 5000, 'a = "' + '${"' * 5000, "a = (" + "(" * 5000, "/*" * 50_000])
def test_deep_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        blocks_of(text, "f")
