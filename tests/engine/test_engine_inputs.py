"""Digests of what a job reads."""

import hashlib
import os
from pathlib import Path

import pytest

from bartizan.engine.inputs import Inputs, locate
from bartizan.model.system import Asset, Dataset, Kind, Stage


def test_a_file_has_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a b.csv").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1: the digest of "abc"
    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    for uri in ("a b.csv", "./a b.csv", f"file://{tmp_path}/a%20b.csv"):
        (found,) = Inputs(tmp_path).of([Dataset(id="d", stage=Stage.TRAIN, uri=uri)])
        assert (found.uri, found.digest) == (uri, expected)


@pytest.mark.parametrize("uri", ["https://example.org/a.csv", "s3://bucket/a", "hf:org/model", "file://otherhost/a", "oci://r/i:1", "a\nb"])
def test_remote_uris_and_texts_are_no_inputs(tmp_path: Path, uri: str) -> None:
    assert Inputs(tmp_path).of([Dataset(id="d", stage=Stage.TRAIN, uri=uri)]) == ()


def test_a_local_name_with_a_colon_is_found_where_it_exists(tmp_path: Path) -> None:
    (tmp_path / "run:1.csv").write_text("x")
    assert locate("run:1.csv", tmp_path) == tmp_path / "run:1.csv"


def test_what_is_missing_has_no_digest(tmp_path: Path) -> None:
    (found,) = Inputs(tmp_path).of([Dataset(id="d", stage=Stage.TRAIN, uri="none.csv")])
    assert found.digest is None


def test_all_local_fields_count_once(tmp_path: Path) -> None:
    for name in ("w.onnx", "w2.onnx", "prompt.txt", "app.py"):
        (tmp_path / name).write_text(name)
    model = Asset(id="m", kind=Kind.MODEL, uri="w.onnx", exports=("w.onnx", "w2.onnx"))
    app = Asset(id="a", kind=Kind.LLM_APP, code="app.py", system_prompt="prompt.txt")
    assert [found.uri for found in Inputs(tmp_path).of([model, app, model])] == ["w.onnx", "w2.onnx", "app.py", "prompt.txt"]


def folder_digest(root: Path, *, whole: bool = True) -> str | None:
    return Inputs(root).digest(root / "f", whole=whole)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f/sub").mkdir(parents=True)
    (tmp_path / "f/a").write_text("1")
    (tmp_path / "f/sub/b").write_text("2")
    return tmp_path


def test_a_folder_is_its_sorted_names_and_contents(folder: Path) -> None:
    inner = {name: hashlib.sha256(data).hexdigest() for name, data in {"a": b"1", "sub/b": b"2"}.items()}
    lines = b"".join(b"%s\0sha256:%s\n" % (name.encode(), digest.encode()) for name, digest in sorted(inner.items()))
    assert folder_digest(folder) == "sha256:" + hashlib.sha256(lines).hexdigest()


@pytest.mark.parametrize("change", ["rename", "move", "edit", "add", "swap"])
def test_any_change_in_a_folder_changes_its_digest(folder: Path, change: str) -> None:
    before = folder_digest(folder)
    match change:
        case "rename":
            (folder / "f/a").rename(folder / "f/c")
        case "move":
            (folder / "f/a").rename(folder / "f/sub/a")
        case "edit":
            (folder / "f/sub/b").write_text("3")
        case "add":
            (folder / "f/sub/c").touch()
        case "swap":
            (folder / "f/a").write_text("2")
            (folder / "f/sub/b").write_text("1")
    assert folder_digest(folder) != before


def test_our_own_state_never_counts_and_caches_only_for_weights_and_data(folder: Path) -> None:
    before = folder_digest(folder), folder_digest(folder, whole=False)
    for name in (".bartizan/evidence.db", "__pycache__/a.pyc", ".git/index"):
        (folder / "f" / name).parent.mkdir()
        (folder / "f" / name).write_text("x")
    after = folder_digest(folder), folder_digest(folder, whole=False)
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_the_commit_of_a_repository_counts(folder: Path) -> None:
    (folder / "f/.git/refs/heads").mkdir(parents=True)
    (folder / "f/.git/refs/heads/main").write_text("1")
    before = folder_digest(folder, whole=False)
    (folder / "f/.git/refs/heads/main").write_text("2")
    assert folder_digest(folder, whole=False) != before


def test_nothing_outside_the_root_is_opened(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "secret"
    (root / "f").mkdir(parents=True)
    outside.write_text("secret")
    (root / "link").symlink_to(outside)
    (root / "f/link").symlink_to(outside)
    inputs = Inputs(root)
    assert inputs.digest(root / "link") is None
    assert inputs.digest(root / "../secret") is None
    before = folder_digest(root)
    outside.write_text("changed")
    assert folder_digest(root) == before
    (root / "f/link").unlink()
    (root / "f/link").symlink_to(tmp_path / "other")
    assert folder_digest(root) != before


def test_links_within_the_root_are_read_and_loops_and_pipes_do_no_harm(folder: Path) -> None:
    (folder / "real").write_text("1")
    (folder / "f/link").symlink_to(folder / "real")
    before = folder_digest(folder)
    (folder / "real").write_text("2")
    assert folder_digest(folder) != before
    (folder / "f/loop").symlink_to(folder / "f")
    (folder / "f/round").symlink_to(folder / "f/round")
    os.mkfifo(folder / "f/pipe")
    assert folder_digest(folder) is not None
    assert Inputs(folder).digest(folder / "f/pipe") is None
